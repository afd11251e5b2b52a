"""Which exchanges an answer is bound to: those that the question names, else the caller's, the page's or the conversation's."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from index.snapshot import Snapshot
from ingest.article import Article
from ingest.exchanges import Directory, fold
from service.answer import ScopeSource

# Words that put two things beside each other.
_COMPARES = re.compile(
    r"\b(?:both|either|of the two|compared?|cheaper|faster|which (?:one|of them|is|has)|differen(?:t|ce) between (?:them|the two)|"
    r"beide|welche|ambos|cuál|qual|les deux|lequel|оба|обе|какая из|hangisi|ikisi|cả hai|keduanya)\b|两个|哪个|どちら|둘"
)
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Bound:
    """What binds an answer.

    :ivar exchanges: In the order of mention; empty where none is known.
    :ivar source: Where they came from.
    :ivar uncovered: Those that have no article.
    """

    exchanges: tuple[str, ...]
    source: ScopeSource
    uncovered: tuple[str, ...] = ()


def scope_of(
    text: str,
    snapshot: Snapshot,
    *,
    exchange: str | None = None,
    page: Article | None = None,
    page_url: str | None = None,
    earlier: Sequence[str] = (),
) -> Bound:
    """Find what binds the answer to a question; what it names itself comes first.

    :param exchange: The caller's; one that nobody knows binds all the same.
    :param page: The article of the page that the asker stands on.
    :param page_url: That page; where it is no article, the owner of its site binds.
    :param earlier: Earlier questions, oldest first.
    """
    exchanges, source = _named(text, snapshot.directory, exchange, page, page_url, earlier)
    is_strange = source == "question" and not set(exchanges) & set(snapshot.exchanges)
    if is_strange and page and page.exchange and set(exchanges) <= set(snapshot.directory.mentioned(page.title)):
        # A page says how its own exchange deals with one that has no articles ("Moving coins from Bitrue").
        exchanges, source = (page.exchange,), "page"
    return Bound(exchanges, source, tuple(name for name in exchanges if name not in snapshot.exchanges))


def _named(
    text: str,
    directory: Directory,
    exchange: str | None,
    page: Article | None,
    page_url: str | None,
    earlier: Sequence[str],
) -> tuple[tuple[str, ...], ScopeSource]:
    named = directory.mentioned(text, fuzzy=True)
    if named:
        return named, "question"
    if exchange and exchange.strip():
        return (directory.canonical(exchange) or _SPACES.sub(" ", exchange).strip(),), "caller"
    of_page = (page.exchange if page else directory.owner(page_url)) if page_url else None
    if of_page:
        return (of_page,), "page"
    of_history = _of_history(text, directory, earlier)
    return (of_history, "history") if of_history else ((), "none")


def _of_history(text: str, directory: Directory, earlier: Sequence[str]) -> tuple[str, ...]:
    """Give the exchanges named last; of two questions where they are compared ("and which is cheaper?")."""
    named = [found for question in earlier if (found := directory.mentioned(question, fuzzy=True))]
    if not named:
        return ()
    compared = named[-2:] if _COMPARES.search(text.casefold()) else named[-1:]
    return tuple(dict.fromkeys(name for names in compared for name in names))


def without_names(text: str, directory: Directory, keep: Collection[str] = ()) -> str:
    """Drop the names of exchanges but those to keep, so that they do not pull the search to or from a topic."""
    folded = fold(text)
    # Folding seldom changes the length; where it does, the offsets fit the folded text alone.
    kept = list(text if len(folded) == len(text) else folded)
    dropped = [mention for mention in directory.mentions(text, fuzzy=True) if mention.name not in keep]
    for mention in dropped:
        kept[mention.start : mention.end] = " " * (mention.end - mention.start)
    return _SPACES.sub(" ", "".join(kept)).strip() if dropped else text
