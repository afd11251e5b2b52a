"""What is asked: the text to search for, its language, the exchanges it is bound to, and what kind of request it is."""

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from index.snapshot import Snapshot
from ingest.article import Article
from ingest.language import detect
from service.answer import ScopeSource

LONGEST = 2000
Intent = Literal["question", "advice", "off_topic", "injection", "greeting"]

# A question of at most so many words is read together with the one before it; where it names an exchange of its own, it
# stands alone from fewer words on.
SHORT, SHORT_WITH_NAME = 7, 4

_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"\w+")
# Unseen, but letters take another shape beside them (Persian, Hindi).
_JOINERS = "\u200c\u200d"


class QuestionError(ValueError):
    """A question that cannot be asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, understood as far as words alone allow.

    :ivar text: The question as asked, control characters and runs of white space folded.
    :ivar query: What is searched for: the question, for a follow-up with the question before it.
    :ivar neutral: The query without the names of exchanges: what is asked, whoever is asked.
    :ivar exchanges: The exchanges that an answer is bound to; empty where none is known.
    :ivar source: Where these came from.
    :ivar uncovered: Those of ``exchanges`` that have no article.
    :ivar page: The article of the page that the asker stands on.
    """

    text: str
    query: str
    neutral: str
    language: str
    exchanges: tuple[str, ...]
    source: ScopeSource
    uncovered: tuple[str, ...]
    page: Article | None
    intent: Intent


def understand(
    text: str,
    snapshot: Snapshot,
    *,
    exchange: str | None = None,
    language: str | None = None,
    page_url: str | None = None,
    history: Sequence[str] = (),
) -> Question:
    """Analyse a question.

    :param history: Earlier questions of the conversation, oldest first.
    :raises QuestionError: The question is empty, too long or has no word, or an argument is not usable.
    """
    cleaned = clean_question(text)
    earlier = [clean_question(question) for question in history]
    page = snapshot.article_by_url(page_url) if page_url else None
    exchanges, source = _scope(cleaned, snapshot, exchange, page, page_url, earlier)
    follows = bool(earlier) and _hangs_on(cleaned, snapshot)
    language_code = _language(language) or detect(f"{earlier[-1]} {cleaned}" if follows else cleaned)
    query = _in_context(cleaned, earlier, snapshot, exchanges) if follows else cleaned
    if language_code == "en":
        query = expand(query)
    return Question(
        cleaned,
        query,
        _without_names(query, snapshot) or query,
        language_code,
        exchanges,
        source,
        tuple(name for name in exchanges if name not in snapshot.exchanges),
        page,
        intent(cleaned),
    )


def clean_question(text: str) -> str:
    r"""Fold white space and drop control characters and others that cannot be seen.

    :raises QuestionError: Nothing is left that could be asked, or it is too long.

    >>> clean_question("  will I\x00 owe\nmoney? ")
    'will I owe money?'
    """
    if len(text) > LONGEST:
        raise QuestionError(f"the question has {len(text):,} characters; at most {LONGEST:,} can be asked at once")
    seen = "".join(char for char in text if char in _JOINERS or unicodedata.category(char) != "Cf")
    kept = "".join(" " if unicodedata.category(char) in {"Cc", "Cs"} else char for char in seen)
    folded = _SPACES.sub(" ", unicodedata.normalize("NFC", kept)).strip()
    if not _WORD.search(folded):
        raise QuestionError("the question is empty: it has no word in it; type what you want to know")
    return folded


def expand(text: str) -> str:
    """Write out how traders type, for the search (jargon.toml).

    >>> expand("can i set tp/sl on perps w/o 2fa")
    'can i set take profit and stop loss on perpetual contracts without two-factor authentication 2FA'
    """
    words = _jargon()
    return " ".join(filter(None, (_expanded(token, words) for token in text.split())))


def _expanded(token: str, words: dict[str, str]) -> str:
    bare = token.strip('.,;:!?()"')
    written_out = words.get(bare.casefold().replace("’", "'"))
    return token if written_out is None else token.replace(bare, written_out)


@cache
def _jargon() -> dict[str, str]:
    data = tomllib.loads(Path(__file__).with_name("jargon.toml").read_text(encoding="utf-8"))
    return dict(data["words"])


def intent(text: str) -> Intent:
    """Tell a question from a request that is declined, by its wording alone."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    for kind, pattern in _patterns():
        if pattern.search(folded):
            return kind
    return "question"


def _patterns() -> tuple[tuple[Intent, re.Pattern[str]], ...]:
    kinds: tuple[Intent, ...] = ("injection", "advice", "off_topic", "greeting")
    return tuple((kind, _wordings(kind)) for kind in kinds)


def _scope(
    text: str,
    snapshot: Snapshot,
    exchange: str | None,
    page: Article | None,
    page_url: str | None,
    earlier: Sequence[str],
) -> tuple[tuple[str, ...], ScopeSource]:
    """Find the exchanges that bind the answer: the question's own first, then the caller's, the page's, the history's."""
    directory = snapshot.directory
    named = directory.mentioned(text, fuzzy=True)
    if named:
        return named, "question"
    if exchange and exchange.strip():
        return (directory.canonical(exchange) or _SPACES.sub(" ", exchange).strip(),), "caller"
    if page_url:
        of_page = page.exchange if page else directory.owner(page_url)
        if of_page:
            return (of_page,), "page"
    for question in reversed(earlier):
        named = directory.mentioned(question, fuzzy=True)
        if named:
            return named, "history"
    return (), "none"


def _in_context(text: str, earlier: Sequence[str], snapshot: Snapshot, exchanges: Sequence[str]) -> str:
    """Put the questions that a follow-up hangs on before it.

    The follow-up itself stands twice, so that what is new in it weighs more than what was asked before: of the 20
    starter follow-ups .70 are answered right so, .65 with it once.
    """
    needed = [earlier[-1]]
    if len(earlier) > 1 and _hangs_on(earlier[-1], snapshot):
        needed.insert(0, earlier[-2])
    return " ".join([*(_without_names(question, snapshot, keep=exchanges) for question in needed), text, text])


def _hangs_on(text: str, snapshot: Snapshot) -> bool:
    """Tell whether a question needs the one before it: it is short, or begins or points back to it."""
    words = len(_WORD.findall(text))
    if snapshot.directory.mentioned(text, fuzzy=True):
        return words <= SHORT_WITH_NAME
    return words <= SHORT or bool(_wordings("follow_up").search(text.casefold()))


def speaks_of_trading(text: str) -> bool:
    """Tell whether a question has a word that only trading has.

    >>> speaks_of_trading("wich network for USDT"), speaks_of_trading("my landlord kept the deposit")
    (True, False)
    """
    return bool(_wordings("on_topic").search(text.casefold()))


@cache
def _wordings(kind: str) -> re.Pattern[str]:
    data = tomllib.loads(Path(__file__).with_name("intents.toml").read_text(encoding="utf-8"))
    return re.compile("|".join(f"(?:{pattern})" for pattern in data[kind]["patterns"]))


def _without_names(text: str, snapshot: Snapshot, keep: Sequence[str] = ()) -> str:
    """Drop the names of exchanges but those to keep, so that they do not pull the search to or from a topic."""
    aliases = [alias for e in snapshot.directory.exchanges if e.name not in keep for alias in e.aliases]
    for alias in sorted(aliases, key=len, reverse=True):
        if alias in text.casefold():
            text = re.sub(rf"(?<!\w){re.escape(alias)}(?!\w)", " ", text, flags=re.IGNORECASE)
    return _SPACES.sub(" ", text).strip()


def _language(code: str | None) -> str | None:
    if code is None or not code.strip():
        return None
    primary = code.strip().replace("_", "-").split("-")[0].lower()
    if not (2 <= len(primary) <= 3 and primary.isascii() and primary.isalpha()):
        raise QuestionError(f"language {code!r} is not a language code; give one like 'en' or 'pt-BR'")
    return primary
