"""What the asker should know about the sources of an answer: that they disagree, are old, or not the exchange's own."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from index.snapshot import Snapshot
from ingest.article import Article, Trust
from service.answer import Notice
from service.conflicts import contradict
from service.question import Question
from service.quotes import Quote

_OFFICIAL_FIRST: tuple[Trust, ...] = ("official", "partner", "unknown", "aggregator")


def notices_of(question: Question, quotes: Sequence[Quote], snapshot: Snapshot) -> tuple[Notice, ...]:
    """Give the notices of an answer that is made of these quotes."""
    articles = {quote.evidence.article.id: quote.evidence.article for quote in quotes}.values()
    notices = [_disagreement(quotes), _age(articles, snapshot)] if quotes else []
    if articles and all(article.trust in {"aggregator", "unknown"} for article in articles):
        notices.append(Notice("not_official", "None of the cited pages is the exchange's own."))
    languages = {article.language for article in articles}
    if languages and question.language not in languages:
        codes = ", ".join(sorted(languages))
        notices.append(Notice("other_language", f"The cited pages are written in another language ({codes})."))
    return tuple(notice for notice in notices if notice)


def disagree(quotes: Sequence[Quote]) -> bool:
    """Tell whether another article about the same exchange contradicts what leads there."""
    leads: dict[str | None, Quote] = {}
    return any(_contradicts(leads.setdefault(quote.evidence.article.exchange, quote), quote) for quote in quotes)


def standing(quote: Quote) -> tuple[int, int]:
    """Rank a quote among those that disagree: the official before the rest, then the newer before the older."""
    article = quote.evidence.article
    dated = (dated_of(article) or "").replace("-", "")[:8]
    return _OFFICIAL_FIRST.index(article.trust), -int(dated) if dated.isdigit() else 0


def dated_of(article: Article) -> str | None:
    """Give the date that an article is as old as: when it was updated, else when it was published."""
    return article.updated or article.published


def is_old(article: Article, limit: int | None) -> bool:
    """Tell whether an article is older than its source's limit of days; without a limit or a date none is."""
    dated = dated_of(article)
    if limit is None or dated is None:
        return False
    try:
        return date.fromisoformat(dated[:10]) < date.today() - timedelta(days=limit)
    except ValueError:
        return False


def _contradicts(lead: Quote, quote: Quote) -> bool:
    if lead.evidence.article.id == quote.evidence.article.id:
        return False
    texts, others = ([q.evidence.text(sentence) for sentence in q.sentences] for q in (lead, quote))
    return any(contradict(text, other) for text in texts for other in others)


def _disagreement(quotes: Sequence[Quote]) -> Notice | None:
    if not disagree(quotes):
        return None
    message = "The cited pages disagree; the more official and newer one stands first."
    return Notice("sources_disagree", message)


def _age(articles: Iterable[Article], snapshot: Snapshot) -> Notice | None:
    old = [article for article in articles if is_old(article, snapshot.max_age_days(article.id))]
    if not old:
        return None
    oldest = min(old, key=lambda article: dated_of(article) or "")
    was = "last updated" if oldest.updated else "published"
    return Notice("may_be_outdated", f"A cited page was {was} on {dated_of(oldest)}; it may be out of date.")
