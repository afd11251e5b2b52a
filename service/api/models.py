"""What the API takes and gives beside `service.answer.Answer`; unknown fields are refused, so that a slip is noticed."""

from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from index.filters import Filters
from ingest.article import Trust
from service.answer import Answer
from service.question import LONGEST

MOST_HISTORY = 20
LONGEST_REASON = 500
QuestionText = Annotated[str, Field(description=f"What is asked, in any language; at most {LONGEST:,} characters.")]
ExchangeName = Annotated[str | None, Field(description="The exchange that binds the answer.", max_length=100)]
LanguageCode = Annotated[
    str | None,
    Field(
        description="Language code of the question, such as en or pt-BR.",
        max_length=35,
        pattern=r"^\s*([A-Za-z]{2,3}([-_].*)?)?\s*$",
    ),
]
ConversationId = Annotated[str, Path(description="As beginning the conversation gave it.")]
PageUrl = Annotated[str | None, Field(description="The page that the asker stands on.", max_length=2048)]


class Taken(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid")


class Only(Taken):
    """What may be quoted and named, whatever else is asked; what is left out lets everything through.

    :ivar trust: Only pages of sites as close to the exchange as one of these.
    :ivar languages: Only pages in one of these, as codes such as en.
    :ivar products: Only pages about one of these products, in any case.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"trust": ["official", "partner"]}]})

    trust: Annotated[list[Trust] | None, Field(max_length=4)] = None
    languages: Annotated[list[Annotated[str, Field(max_length=35)]] | None, Field(max_length=50)] = None
    products: Annotated[list[Annotated[str, Field(max_length=100)]] | None, Field(max_length=50)] = None

    def filters(self) -> Filters:
        """Give what a search takes."""

        def chosen(values: list[Any] | None) -> frozenset[Any] | None:
            return None if values is None else frozenset(values)

        return Filters(languages=chosen(self.languages), trusts=chosen(self.trust), products=chosen(self.products))


OnlyField = Annotated[
    Only, Field(description="What may be quoted: how official, in which languages, about which products.")
]


class ConversationRequest(Taken):
    """What `POST /v1/conversations` takes: what holds for every question of the conversation unless one says otherwise."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"page_url": "https://help.example/withdrawals"}]}
    )

    exchange: ExchangeName = None
    language: LanguageCode = None
    page_url: PageUrl = None


class TurnRequest(ConversationRequest):
    """What `POST /v1/conversations/{id}/questions` takes."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"question": "and on Kraken?"}]})

    question: QuestionText
    only: OnlyField = Only()


class QueryRequest(TurnRequest):
    """What `POST /v1/query` takes: the same as `citedesk ask`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"question": "Will I owe money?", "exchange": "Binance"}]},
    )

    history: Annotated[list[str], Field(description="Earlier questions, oldest first.", max_length=MOST_HISTORY)] = []


class FeedbackRequest(Taken):
    """What `POST /v1/feedback` takes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"answer_id": "a_4vX0…", "verdict": "down", "reason": "It is about futures."}]},
    )

    answer_id: Annotated[str, Field(description="The `id` of an answer.", min_length=1, max_length=64)]
    verdict: Literal["up", "down"]
    reason: Annotated[str, Field(description="Why, in the asker's words.", max_length=LONGEST_REASON)] = ""


class TurnView(BaseModel):
    """A question of a conversation, and its answer.

    :ivar at: When it was asked; UTC, ISO 8601.
    :ivar question: As it was asked; secrets and personal data are taken out.
    """

    at: str
    question: str
    answer: Answer


class ConversationView(BaseModel):
    """A conversation; ``exchange``, ``language`` and ``page_url`` hold for each of its questions that says no other.

    :ivar created: UTC, ISO 8601.
    :ivar expires_in: Seconds after its last question for which it is kept.
    """

    id: str
    created: str
    expires_in: int
    exchange: str | None
    language: str | None
    page_url: str | None
    turns: list[TurnView]


class ArticleLine(BaseModel):
    """An article, without its text.

    :ivar url: Where it is published.
    :ivar exchange: The exchange that it is about; null where it is about none.
    :ivar language: Its language as a code, such as en.
    :ivar trust: How close the site is to the exchange: official, partner, aggregator or unknown.
    :ivar published: The day as the page says it, ISO 8601; likewise updated.
    """

    id: str
    url: str
    title: str
    exchange: str | None
    language: str
    trust: str
    published: str | None
    updated: str | None


class ArticleList(BaseModel):
    """A part of the articles, by id; ``next`` is the ``after`` of the part that follows, if one does."""

    articles: list[ArticleLine]
    next: str | None


class SectionView(BaseModel):
    """A section of an article.

    :ivar heading_path: The headings above it, outermost first.
    :ivar anchor: What the page calls it after a #; empty where it has no name.
    :ivar kind: prose, steps, table or faq.
    """

    heading_path: list[str]
    anchor: str
    kind: str
    text: str


class ArticleView(ArticleLine):
    """A whole article.

    :ivar products: What of the exchange it is about, such as Withdrawals.
    :ivar fetched: The day on which it was read, ISO 8601.
    :ivar text: All of it; a passage's ``start`` and ``end`` count its characters.
    """

    products: list[str]
    fetched: str | None
    disclaimer: str
    text: str
    sections: list[SectionView]


class PassageView(BaseModel):
    """A part of an article that answers as one.

    :ivar heading_path: The headings above it, outermost first.
    :ivar question: The question that it answers, in a FAQ.
    :ivar text: The article's ``text[start:end]``, exactly.
    """

    id: str
    heading_path: list[str]
    question: str | None
    text: str
    start: int
    end: int
    article: ArticleLine


class Suggestion(BaseModel):
    """A question that an article answers.

    :ivar exchange: The exchange that the article is about; null where it is about none.
    """

    question: str
    exchange: str | None
    article_id: str


class SuggestionList(BaseModel):
    """Questions that begin as what was typed does, or hold its words."""

    suggestions: list[Suggestion]


class SnapshotView(BaseModel):
    """What is answered from.

    :ivar created: When it was built; UTC, ISO 8601.
    :ivar counts: How many articles, passages and sentences it has.
    :ivar encoder: The fingerprint of the model that made its vectors.
    :ivar languages: The languages of its articles, the most frequent first.
    :ivar exchanges: The exchanges that it has articles about.
    """

    id: str
    created: str
    counts: dict[str, int]
    encoder: str
    languages: list[str]
    exchanges: list[str]


class SnapshotRequest(Taken):
    """What `PUT /v1/snapshot` takes: the snapshot to publish; without an id the one before the published one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"id": None}]})

    id: Annotated[str | None, Field(max_length=100)] = None


class Health(BaseModel):
    """The server runs."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """What answering needs: `ok`, or what is wrong with it."""

    snapshot: str
    state: str


class ProblemView(BaseModel):
    """What went wrong (RFC 9457): ``detail`` says what to do about it."""

    type: str
    title: str
    status: int
    detail: str


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Name the errors of a route for the schema, see `service.api.schema`; any may be unauthorized, limited or unavailable."""
    return {code: {"description": ""} for code in sorted({401, 403, 429, 503, *codes})}
