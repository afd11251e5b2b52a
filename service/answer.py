"""What every door gives back: an answer, its sentences, and the citations that prove them."""

from dataclasses import dataclass, field
from typing import Literal

from ingest.article import Trust

Status = Literal["answered", "clarify", "not_covered", "declined"]
ScopeSource = Literal["question", "caller", "page", "history", "corpus", "none"]


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a sentence of the answer stands.

    :ivar number: The mark ``[n]`` in the answer's text, from 1.
    :ivar url: The article's address with a text fragment that opens the page at the quote.
    :ivar quote: ``passage.text[start:end]``, exactly: one run of sentences.
    """

    number: int
    passage_id: str
    article_id: str
    url: str
    title: str
    exchange: str | None
    trust: Trust
    updated: str | None
    quote: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the answer, and the numbers of the citations that prove it."""

    text: str
    citations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """For which exchanges and products the answer holds, and how that was known.

    :ivar source: Where the exchange came from: the ``question`` itself, the ``caller``, the ``page`` that the
        asker stands on, the ``history`` of the conversation, the ``corpus`` (none was named, and
        the citations tell), or ``none``.
    """

    exchanges: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    source: ScopeSource = "none"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the asker should know about the answer.

    :ivar code: ``sources_disagree``, ``may_be_outdated``, ``not_official``, ``other_language``,
        ``other_exchange``, ``not_advice``, ``phrased_by_model``, ``translated_by_model``, ``question_rewritten`` or
        ``secret_redacted``.
    :ivar message: The same for people, one sentence.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Related:
    """An article that is near the question without answering it."""

    article_id: str
    url: str
    title: str
    exchange: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    :ivar text: The sentences with their ``[n]`` marks; for a status other than ``answered``, what is said instead.
    :ivar id: What feedback on it refers to; of no two answers the same.
    :ivar confidence: In [0, 1]: how sure it is that the corpus answers the question; 0 where it is declined.
    :ivar timings: Milliseconds by stage, and ``total``.
    """

    status: Status
    text: str
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    scope: Scope
    notices: tuple[Notice, ...]
    related: tuple[Related, ...]
    confidence: float
    snapshot_id: str
    timings: dict[str, float] = field(default_factory=dict)
    id: str = ""
