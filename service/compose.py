"""Put an answer together: sentences, citations, scope, notices, and the text around them."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from urllib import parse

from index.search import Hit
from index.snapshot import Snapshot
from ingest.article import Trust
from service.answer import Answer, Citation, Notice, Related, Scope, Sentence
from service.decide import Decision
from service.evidence import Evidence, stance
from service.question import Question
from service.quotes import EACH_OF_SEVERAL, MOST_SENTENCES, Quote, choose

MOST_RELATED = 3
# Words at the beginning and the end of a quote that a text fragment names.
FRAGMENT_WORDS = 5

_OFFICIAL_FIRST: tuple[Trust, ...] = ("official", "partner", "unknown", "aggregator")
_MARKER = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


def answered(question: Question, decision: Decision, snapshot: Snapshot) -> Answer:
    """Answer with the chosen evidence, its exchanges one after another."""
    citations: list[Citation] = []
    sentences: list[Sentence] = []
    quotes = _quotes(decision)
    for quote in quotes:
        number = len(citations) + 1
        citations.append(_citation(number, quote))
        sentences += [Sentence(quote.evidence.text(sentence), (number,)) for sentence in quote.sentences]
    scope = _scope(question, [quote.evidence for quote in quotes])
    return Answer(
        "answered",
        _text(sentences, citations, several=len(scope.exchanges) > 1),
        tuple(sentences),
        tuple(citations),
        scope,
        tuple(_notices(question, citations, quotes, snapshot)),
        (),
        decision.confidence,
        snapshot.id,
    )


def clarify(question: Question, decision: Decision, snapshot: Snapshot) -> Answer:
    """Ask which exchange is meant."""
    names = [name for name in decision.exchanges if name]
    text = f"Which exchange do you mean? There are answers for {', '.join(names[:-1])} and {names[-1]}."
    scope = Scope(tuple(names), (), question.source)
    return Answer("clarify", text, (), (), scope, (), (), decision.confidence, snapshot.id)


def not_covered(question: Question, decision: Decision, nearest: Sequence[Hit], snapshot: Snapshot) -> Answer:
    """Say that the articles do not answer the question, and name the nearest ones."""
    notices: list[Notice] = []
    text = "The help articles do not answer this."
    if question.exchanges:
        names = " and ".join(question.exchanges)
        text = f"The help articles do not answer this for {names}."
        if question.uncovered == question.exchanges:
            text = f"There are no help articles about {names}."
            notices.append(Notice("other_exchange", "The articles named here are about other exchanges."))
    text += " Please ask the exchange's own support."
    scope = Scope(question.exchanges, (), question.source)
    return Answer(
        "not_covered",
        text,
        (),
        (),
        scope,
        tuple(notices),
        _related(nearest, snapshot),
        decision.confidence,
        snapshot.id,
    )


_DECLINED = {
    "advice": "I cannot advise on what to buy, sell or hold, or on where a price will go. I answer how the exchanges work.",
    "injection": "I only answer questions from the help articles; instructions in a question are not followed.",
    "off_topic": "That is not something that the help articles are about. Ask me how an exchange works.",
    "greeting": "Hello. Ask me anything about how the exchanges work; I answer from their help articles.",
}


def declined(question: Question, hits: Sequence[Hit], snapshot: Snapshot) -> Answer:
    """Decline a request that is no question for the help articles."""
    scope = Scope(question.exchanges, (), question.source)
    notices = (Notice("not_advice", "Nothing here is investment advice."),) if question.intent == "advice" else ()
    return Answer(
        "declined", _DECLINED[question.intent], (), (), scope, notices, _related(hits, snapshot), 0.0, snapshot.id
    )


def text_fragment(quoted: str) -> str:
    """Make the fragment that opens a page at a quote (WICG Scroll To Text Fragment).

    Only the quote's first line is named, without its list mark: marks and line breaks are not in the page's text.

    >>> text_fragment("- Check it, often")
    '#:~:text=Check%20it%2C%20often'
    """
    line = _MARKER.sub("", quoted.strip().split("\n")[0]).strip()
    cell = line.split(" | ")[0]
    words = (cell.split(": ", 1)[-1] if cell != line else line).split()
    if len(words) <= 2 * FRAGMENT_WORDS + 2:
        return "#:~:text=" + _escaped(" ".join(words))
    return f"#:~:text={_escaped(' '.join(words[:FRAGMENT_WORDS]))},{_escaped(' '.join(words[-FRAGMENT_WORDS:]))}"


def _escaped(text: str) -> str:
    # The dash has a meaning of its own in a fragment, and quoting leaves it as it is.
    return parse.quote(text, safe="").replace("-", "%2D")


def _quotes(decision: Decision) -> list[Quote]:
    """Choose what is shown; where several exchanges answer, each gets its own quotes, one exchange after another."""
    groups: dict[str | None, list[Evidence]] = {}
    for evidence in decision.evidence:
        groups.setdefault(evidence.article.exchange, []).append(evidence)
    most = MOST_SENTENCES if len(groups) == 1 else EACH_OF_SEVERAL
    quotes = [quote for group in groups.values() for quote in choose(group, most)]
    if _disagree(quotes):
        order = list(groups)
        quotes.sort(key=lambda quote: (order.index(quote.evidence.article.exchange), *_standing(quote)))
    return quotes


def _standing(quote: Quote) -> tuple[int, int]:
    """Rank a quote among those that disagree: the official before the rest, then the newer before the older."""
    article = quote.evidence.article
    dated = (article.updated or article.published or "").replace("-", "")[:8]
    return _OFFICIAL_FIRST.index(article.trust), -int(dated) if dated.isdigit() else 0


def _citation(number: int, chosen: Quote) -> Citation:
    article, passage = chosen.evidence.article, chosen.evidence.hit.passage
    quoted = passage.text[chosen.start : chosen.end]
    return Citation(
        number, passage.id, article.id, article.url.split("#")[0] + text_fragment(quoted), article.title, article.exchange,
        article.trust, article.updated or article.published, quoted, chosen.start, chosen.end,
    )  # fmt: skip


def _scope(question: Question, evidence: Sequence[Evidence]) -> Scope:
    exchanges = tuple(dict.fromkeys(e.article.exchange for e in evidence if e.article.exchange))
    products = tuple(dict.fromkeys(product for e in evidence for product in e.article.products[:3]))
    return Scope(exchanges, products[:5], question.source if question.exchanges else "corpus")


def _text(sentences: Sequence[Sentence], citations: Sequence[Citation], *, several: bool) -> str:
    parts: list[str] = []
    exchange: str | None = None
    for sentence in sentences:
        marks = "".join(f"[{number}]" for number in sentence.citations)
        about = citations[sentence.citations[0] - 1].exchange
        label = f"{about}: " if several and about and about != exchange else ""
        exchange = about
        parts.append(f"{label}{sentence.text} {marks}")
    return "\n".join(parts)


def _notices(
    question: Question, citations: Sequence[Citation], quotes: Sequence[Quote], snapshot: Snapshot
) -> list[Notice]:
    notices = []
    if _disagree(quotes):
        notices.append(
            Notice("sources_disagree", "The cited pages disagree; the more official and newer one stands first.")
        )
    old = [c for c in citations if _is_old(c, snapshot.max_age_days(c.article_id))]
    if old:
        oldest = min(c.updated or "" for c in old)
        notices.append(Notice("may_be_outdated", f"A cited page was last updated on {oldest}; it may be out of date."))
    if citations and all(c.trust in {"aggregator", "unknown"} for c in citations):
        notices.append(Notice("not_official", "None of the cited pages is the exchange's own."))
    languages = {quote.evidence.article.language for quote in quotes}
    if languages and question.language not in languages:
        codes = ", ".join(sorted(languages))
        notices.append(Notice("other_language", f"The cited pages are written in another language ({codes})."))
    return notices


def _disagree(quotes: Sequence[Quote]) -> bool:
    """Tell whether two articles about the same exchange begin their answers differently: yes, no, it depends."""
    said: dict[str | None, set[tuple[str, str]]] = {}
    for shown in quotes:
        value = stance(shown.evidence.text(shown.sentences[0]))
        if value is not None:
            said.setdefault(shown.evidence.article.exchange, set()).add((shown.evidence.article.id, value))
    return any(len({article for article, _ in s}) > 1 and len({v for _, v in s}) > 1 for s in said.values())


def _is_old(citation: Citation, limit: int | None) -> bool:
    if limit is None or citation.updated is None:
        return False
    try:
        return date.fromisoformat(citation.updated[:10]) < date.today() - timedelta(days=limit)
    except ValueError:
        return False


def _related(hits: Sequence[Hit], snapshot: Snapshot) -> tuple[Related, ...]:
    articles = [snapshot.article(i) for i in dict.fromkeys(hit.passage.article_id for hit in hits)]
    return tuple(Related(a.id, a.url, a.title, a.exchange) for a in articles[:MOST_RELATED] if a)
