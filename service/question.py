"""What is asked: the text to search for, its language, the exchanges it is bound to, and what kind of request it is."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from index.lexical import terms
from index.snapshot import Snapshot
from index.vocabulary import Vocabulary
from ingest.article import Article
from ingest.exchanges import fold
from ingest.language import detect
from ingest.mentions import words_of
from service.answer import ScopeSource
from service.follow_up import in_context, says_enough, thread
from service.intents import Intent, intent, read_request, speaks_of_trading
from service.replies import WITH_RELATED
from service.scope import scope_of, without_names
from service.spelling import SHORTEST_STEM, correct
from service.synonyms import expand, forms

__all__ = [
    "LONGEST",
    "Intent",
    "Question",
    "QuestionError",
    "clean_question",
    "intent",
    "speaks_of_trading",
    "understand",
]

LONGEST = 2000
# A follow-up reaches back over so many questions at most.
LONGEST_THREAD = 6

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
    :ivar wanted: What an answer has to answer, likewise without names: the same, of a follow-up that says it only itself.
    :ivar before: For such a follow-up the question before it, whose answer is known already; else empty.
    :ivar exchanges: The exchanges that an answer is bound to; empty where none is known.
    :ivar source: Where these came from.
    :ivar uncovered: Those of ``exchanges`` that have no article.
    :ivar page: The article of the page that the asker stands on.
    :ivar thread: The earlier questions that it hangs on, oldest first.
    """

    text: str
    query: str
    neutral: str
    wanted: str
    before: str
    language: str
    exchanges: tuple[str, ...]
    source: ScopeSource
    uncovered: tuple[str, ...]
    page: Article | None
    intent: Intent
    thread: tuple[str, ...] = ()


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
    kind, asked = read_request(cleaned)
    page = snapshot.article_by_url(page_url) if page_url else None
    bound = scope_of(asked, snapshot, exchange=exchange, page=page, page_url=page_url, earlier=earlier)
    directory = snapshot.directory
    questions = [question for question in earlier[-LONGEST_THREAD:] if intent(question) == "question"]
    chain = thread(asked, questions, lambda question: bool(directory.mentioned(question, fuzzy=True)))
    language_code = _language(language) or detect(f"{chain[-1]} {asked}" if chain else asked)
    searched = kind == "question" or kind in WITH_RELATED  # the rest is not

    def understood(text: str) -> str:
        return expand(_spelt(text, language_code, snapshot), language_code) if searched else text

    def neutral(text: str) -> str:
        return without_names(text, directory) or text

    query = understood(asked)
    wanted = neutral(query)
    before = ""
    if chain:
        query = understood(in_context(asked, [without_names(text, directory, bound.exchanges) for text in chain]))
        if says_enough(wanted) and not directory.mentioned(asked, fuzzy=True):
            before = neutral(understood(chain[-1]))
        else:
            wanted = neutral(query)
    return Question(
        cleaned,
        query,
        neutral(query),
        wanted,
        before,
        language_code,
        bound.exchanges,
        bound.source,
        bound.uncovered,
        page,
        kind,
        tuple(chain),
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


def _spelt(query: str, language: str, snapshot: Snapshot) -> str:
    """Put typing errors right, where the snapshot knows the words of its corpus."""
    vocabulary = _vocabulary(snapshot.folder)
    if not vocabulary.counts.get(language):
        return query

    def is_word(word: str) -> bool:
        stems = [term for term in terms(word, language) if len(term) >= SHORTEST_STEM]
        return any(snapshot.encoder.pieces(part) <= 1 for part in (word, *stems))

    folded = fold(query)
    named = {word for m in snapshot.directory.mentions(query, fuzzy=True) for word in words_of(folded[m.start : m.end])}
    names = snapshot.directory.name_words | forms(language) | named
    return correct(query, language, vocabulary, names=names, is_word=is_word)


@lru_cache(maxsize=2)
def _vocabulary(folder: Path) -> Vocabulary:
    return Vocabulary.open(folder)


def _language(code: str | None) -> str | None:
    if code is None or not code.strip():
        return None
    primary = code.strip().replace("_", "-").split("-")[0].lower()
    if not (2 <= len(primary) <= 3 and primary.isascii() and primary.isalpha()):
        raise QuestionError(f"language {code!r} is not a language code; give one like 'en' or 'pt-BR'")
    return primary
