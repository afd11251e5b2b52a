"""Print answers and articles for people: coloured on a terminal, plain elsewhere."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from ingest.store import StoredArticle
from service.answer import Answer, Citation

UNWRAPPED = 100_000
_TRUST = {"official": "official", "partner": "partner of the exchange", "aggregator": "aggregator, not official",
          "unknown": "not an official page"}  # fmt: skip
_STATUS = {"clarify": "One more thing", "not_covered": "Not covered", "declined": "Declined"}


def _console() -> Console:
    """Make a console; where its output is no terminal, lines are as long as they are."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=UNWRAPPED)


def print_answer(answer: Answer) -> None:
    """Print an answer with its citations under it."""
    out = _console()
    out.print()
    if answer.status != "answered":
        out.print(f"[bold yellow]{_STATUS[answer.status]}[/]  {escape(answer.text)}")
    else:
        _print_sentences(out, answer)
    for notice in answer.notices:
        out.print(f"[yellow]![/] {escape(notice.message)}")
    if answer.citations:
        out.print("\n[bold]Sources[/]")
    _print_sources(out, answer.citations)
    if answer.related:
        out.print("\n[bold]Nearest articles[/]" if answer.status != "answered" else "\n[bold]See also[/]")
        for related in answer.related:
            out.print(f"  · {escape(related.title)}" + (f" [dim]({related.exchange})[/]" if related.exchange else ""))
    total = answer.timings.get("total", 0.0)
    out.print(f"\n[dim]confidence {answer.confidence:.2f} · {total:.0f} ms · snapshot {answer.snapshot_id}[/]")


def _print_sentences(out: Console, answer: Answer) -> None:
    numbered = {citation.number: citation for citation in answer.citations}
    exchange: str | None = None
    for position, sentence in enumerate(answer.sentences):
        about = numbered[sentence.citations[0]].exchange
        if position == 0 or about != exchange:
            products = f" · {', '.join(answer.scope.products)}" if position == 0 and answer.scope.products else ""
            if about:
                out.print(f"{'' if position == 0 else chr(10)}[bold cyan]{escape(about)}[/][cyan]{escape(products)}[/]")
            exchange = about
        marks = "".join(f"[{number}]" for number in sentence.citations)
        style = "bold" if position == 0 else "default"
        out.print(Padding(f"[{style}]{escape(sentence.text)}[/] [green]{escape(marks)}[/]", (0, 0, 0, 2), expand=False))


def _print_sources(out: Console, citations: Sequence[Citation]) -> None:
    """Print each cited article once, under it a link for each of its quotes."""
    by_article: dict[str, list[Citation]] = {}
    for citation in citations:
        by_article.setdefault(citation.article_id, []).append(citation)
    for cited in by_article.values():
        first = cited[0]
        facts = [first.exchange or "no exchange", _TRUST[first.trust], first.updated or "undated"]
        out.print(Padding(f"{escape(first.title)} [dim]· {escape(' · '.join(facts))}[/]", (0, 0, 0, 2), expand=False))
        for citation in cited:
            # A link is never wrapped: a terminal opens it as it stands.
            mark = escape(f"[{citation.number}]")
            out.print(f"  [green]{mark}[/] [dim]{escape(citation.url)}[/]", soft_wrap=True)


def print_article(stored: StoredArticle) -> None:
    """Print an article as it was cleaned."""
    article = stored.article
    out = _console()
    out.print(f"[bold]{escape(article.title)}[/]")
    facts = {"id": article.id, "url": article.url, "source": stored.source, "exchange": article.exchange or "–",
             "products": ", ".join(article.products) or "–", "language": article.language, "trust": article.trust,
             "published": article.published or "–", "updated": article.updated or "–", "status": stored.status,
             "why": stored.why or "", "flags": ", ".join(article.flags), "disclaimer": article.disclaimer}  # fmt: skip
    for name, value in facts.items():
        if not value:
            continue
        out.print(f"[dim]{name:>10}[/]  {escape(value)}")
    above: tuple[str, ...] = ()
    for section in article.sections:
        if section.heading_path != above:
            out.print(f"\n[bold cyan]{escape(' › '.join(section.heading_path))}[/] [dim]{section.kind}[/]")
            above = section.heading_path
        out.print(escape(section.text))
