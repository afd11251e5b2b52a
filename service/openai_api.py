"""The OpenAI-compatible door: /v1/chat/completions and /v1/models, for clients that speak nothing else.

The last user message is the question and the earlier ones are its history; the other roles are not read, least of all
obeyed. What comes back is the answer as Markdown, its marks as ``url_citation`` annotations, and under ``citedesk`` the
whole Answer of `POST /v1/query`.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from index.snapshot import Snapshot
from ingest.exchanges import fold
from service.answer import Answer
from service.api.models import MOST_HISTORY, ExchangeName, LanguageCode, Only, OnlyField, PageUrl
from service.desk import Desk
from service.markdown import to_markdown
from service.question import QuestionError, clean_question

MODEL = "citedesk"
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 404: "not_found", 413: "request_too_large", 429: "rate_limit_exceeded"}
_log = logging.getLogger(__name__)


class ErrorDetail(BaseModel):
    """What is wrong: `param` is the parameter it is about, `code` a word for programs."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """An error, in OpenAI's shape."""

    error: ErrorDetail


class Part(BaseModel):
    """A part of a message; only `text` is read."""

    model_config = ConfigDict(strict=True)

    type: str
    text: str | None = None


class Message(BaseModel):
    """A message of the thread; only those of the user are read."""

    model_config = ConfigDict(strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class StreamOptions(BaseModel):
    """How to stream."""

    model_config = ConfigDict(strict=True)

    include_usage: Annotated[bool | None, Field(description="Send a last chunk with the usage.")] = None


class Ask(BaseModel):
    """What `POST /v1/query` takes besides the question."""

    model_config = ConfigDict(strict=True, extra="forbid")

    exchange: ExchangeName = None
    language: LanguageCode = None
    page_url: PageUrl = None
    only: OnlyField = Only()


class ChatRequest(BaseModel):
    """A chat completion request; parameters that steer a language model (`temperature` and the like) change nothing."""

    model_config = ConfigDict(
        strict=True,
        json_schema_extra={
            "examples": [{"model": MODEL, "messages": [{"role": "user", "content": "Will I owe money?"}]}]
        },
    )

    model: Annotated[str, Field(description="`citedesk`, or one bound to an exchange, such as `citedesk:binance`.")]
    messages: Annotated[
        list[Message], Field(description="The thread; the last user message is the question.", min_length=1)
    ]
    stream: Annotated[bool | None, Field(description="Send chat.completion.chunk events.")] = None
    stream_options: StreamOptions | None = None
    n: Annotated[int | None, Field(description="There is one answer.", ge=1, le=1)] = None
    citedesk: Annotated[Ask | None, Field(description="Not part of OpenAI's API: what else binds the answer.")] = None


class UrlCitation(BaseModel):
    """Where a mark leads: it is `content[start_index:end_index]`, counted in Unicode code points."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(BaseModel):
    """A mark ``[n]`` of the content."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class AssistantMessage(BaseModel):
    """The answer as a message; `content` is Markdown."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: list[Annotation]


class Choice(BaseModel):
    """The one answer."""

    index: Literal[0] = 0
    message: AssistantMessage
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class Usage(BaseModel):
    """No language model reads or writes anything here, so there are no tokens to count or to bill."""

    prompt_tokens: Literal[0] = 0
    completion_tokens: Literal[0] = 0
    total_tokens: Literal[0] = 0


class ChatCompletion(BaseModel):
    """A chat completion; `citedesk` is no part of OpenAI's API: the whole Answer, with quotes, notices and confidence."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: Annotated[str, Field(description="The snapshot that it was answered from.")]
    choices: Annotated[list[Choice], Field(min_length=1, max_length=1)]
    usage: Usage = Usage()
    citedesk: Answer


class Model(BaseModel):
    """A model: the whole corpus, or what it says of one exchange."""

    id: str
    object: Literal["model"] = "model"
    created: Annotated[int, Field(description="When the snapshot was made, in Unix seconds.")]
    owned_by: Literal["citedesk"] = "citedesk"


class ModelList(BaseModel):
    """The models that there are."""

    object: Literal["list"] = "list"
    data: list[Model]


class Refusal(Exception):
    """A request that this door does not serve."""

    def __init__(self, status: int, detail: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.param = param
        self.code = code


def error_body(status: int, detail: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Make the body of an error as OpenAI's clients read it.

    :param param: The parameter of the request that it is about.
    :param code: A word for programs; by the status where none is given.
    """
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return ErrorBody(
        error=ErrorDetail(message=detail, type=kind, param=param, code=code or _CODES.get(status))
    ).model_dump()


class _Route(APIRoute):
    """Tells what is wrong with a request as OpenAI does: 400, and the parameter that it is about."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except (RequestValidationError, QuestionError, Refusal) as error:
                request.state.error = error  # for the request's line in the log
                refusal = _refusal_of(error)
                body = error_body(refusal.status, str(refusal), param=refusal.param, code=refusal.code)
                return JSONResponse(body, refusal.status)

        return handled


def router(desk: Desk) -> APIRouter:
    """Make the routes; errors other than a request's own are told by the application, with `error_body`."""
    routes = APIRouter(
        route_class=_Route,
        tags=["OpenAI-compatible"],
        responses={"default": {"model": ErrorBody, "description": "An error, in OpenAI's shape."}},
    )

    @routes.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def chat_completions(request: Request, body: ChatRequest) -> Any:  # noqa: ANN401
        """Answer the last user message; with `stream`, as `chat.completion.chunk` events.

        `content` is Markdown with `[n]` marks and the sources under it; each mark is an annotation (in a stream they
        come with the last delta). That nothing answers the question, or that it is declined, is a message like any
        other. `temperature`, `tools` and other parameters that steer a language model are accepted and change nothing.
        """
        assistant = await run_in_threadpool(desk.assistant)
        question, history = read_thread(body.messages)
        given = body.citedesk or Ask()
        ask = partial(
            desk.ask,
            question,
            caller=request.state.caller,
            exchange=given.exchange or _bound_to(body.model, assistant.snapshot),
            language=given.language,
            page_url=given.page_url,
            history=history,
            only=given.only.filters(),
        )
        if not body.stream:
            trace = await run_in_threadpool(ask)
            return _completion(body.model, trace.answer)
        with_usage = bool(body.stream_options and body.stream_options.include_usage)
        stream = await _Stream.begin(ask, body.model, with_usage=with_usage)
        return StreamingResponse(stream.events(), media_type="text/event-stream", headers=STREAM_HEADERS)

    @routes.get("/v1/models")
    def models() -> ModelList:
        """List the models: the whole corpus, and one for each exchange that has articles."""
        snapshot = desk.assistant().snapshot
        return ModelList(data=[_model(name, snapshot) for name in _models(snapshot)])

    @routes.get("/v1/models/{id}")
    def one_model(id: Annotated[str, Path(description="As the list of models gives it.")]) -> Model:
        """Give one model."""
        snapshot = desk.assistant().snapshot
        _bound_to(id, snapshot)
        return _model(id, snapshot)

    return routes


def read_thread(messages: Sequence[Message]) -> tuple[str, list[str]]:
    """Find the question of a thread, and the questions before it, oldest first.

    An earlier message that could not be asked is left out: clients send the whole thread each time, and what was refused
    once must not end it.

    :raises Refusal: There is no user message, or the last one is not text that can be asked.
    """
    asked = [(number, message) for number, message in enumerate(messages) if message.role == "user"]
    if not asked:
        raise Refusal(400, "there is no user message; the last one is taken as the question", param="messages")
    number, last = asked[-1]
    for part in last.content if isinstance(last.content, list) else ():
        if part.type != "text":
            what = f"a part of type {part.type[:40]!r} cannot be read; ask in text"
            raise Refusal(400, what, param=f"messages.{number}.content", code="unsupported_content")
    earlier = [text for _, message in asked[:-1] if _can_be_asked(text := _text(message))]
    question = _text(last)
    try:
        clean_question(question)
    except QuestionError as error:
        raise Refusal(400, str(error), param="messages", code="invalid_question") from error
    return question, earlier[-MOST_HISTORY:]


def _text(message: Message) -> str:
    if isinstance(message.content, list):
        return "\n".join(part.text for part in message.content if part.type == "text" and part.text)
    return message.content or ""


def _can_be_asked(text: str) -> bool:
    try:
        clean_question(text)
    except QuestionError:
        return False
    return True


def _refusal_of(error: RequestValidationError | QuestionError | Refusal) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, QuestionError):
        return Refusal(400, str(error))
    told = [(".".join(str(part) for part in e["loc"][1:]), e["msg"]) for e in error.errors()]
    detail = "; ".join(f"{where or 'body'}: {what}" for where, what in told)
    return Refusal(400, detail, param=next((where for where, _ in told if where), None))


def _models(snapshot: Snapshot) -> dict[str, str | None]:
    """Give the exchange that each model is bound to."""
    bound = {f"{MODEL}:{fold(name).replace(' ', '-')}": name for name in snapshot.exchanges}
    return {MODEL: None, **bound}


def _bound_to(model: str, snapshot: Snapshot) -> str | None:
    models = _models(snapshot)
    if model not in models:
        known = f"there are {MODEL} and {MODEL}:EXCHANGE for each exchange that has articles; GET /v1/models lists them"
        raise Refusal(404, f"the model {model[:80]!r} does not exist; {known}", param="model", code="model_not_found")
    return models[model]


def _model(name: str, snapshot: Snapshot) -> Model:
    return Model(id=name, created=int(datetime.fromisoformat(snapshot.manifest.created).timestamp()))


def _completion(model: str, answer: Answer) -> ChatCompletion:
    message = AssistantMessage(content=to_markdown(answer).text, annotations=_annotations(answer))
    return ChatCompletion(
        id=_id(answer.id), created=int(time.time()), model=model, system_fingerprint=answer.snapshot_id,
        choices=[Choice(message=message)], citedesk=answer,
    )  # fmt: skip


def _id(answer_id: str) -> str:
    return f"chatcmpl-{answer_id}"


def _annotations(answer: Answer) -> list[Annotation]:
    cited = {citation.number: citation for citation in answer.citations}
    return [
        Annotation(
            url_citation=UrlCitation(
                start_index=mark.start, end_index=mark.end, title=cited[mark.number].title, url=cited[mark.number].url
            )
        )
        for mark in to_markdown(answer).marks
    ]


@dataclass(frozen=True, slots=True)
class _Stream:
    """An answer on its way as events.

    :ivar head: What every chunk begins with.
    """

    head: Mapping[str, Any]
    answering: "asyncio.Task[Answer]"
    growing: "asyncio.Queue[Answer | None]"
    with_usage: bool

    @classmethod
    async def begin(cls, ask: Callable[..., Any], model: str, *, with_usage: bool) -> "_Stream":
        """Ask, and wait until the question is understood: what cannot be asked is an error and no stream."""
        loop = asyncio.get_running_loop()
        understood = asyncio.Event()
        ids: list[str] = []
        growing: asyncio.Queue[Answer | None] = asyncio.Queue()

        def heard(_: object, answer_id: str) -> None:
            ids.append(answer_id)
            loop.call_soon_threadsafe(understood.set)

        def grows(answer: Answer) -> None:
            loop.call_soon_threadsafe(growing.put_nowait, answer)

        async def answer() -> Answer:
            try:
                trace = await run_in_threadpool(ask, heard=heard, grows=grows)
            finally:
                understood.set()
                growing.put_nowait(None)
            found: Answer = trace.answer
            return found

        answering = asyncio.create_task(answer())
        await understood.wait()
        if answering.done() or not ids:
            ids.append((await answering).id)
        head = {
            "id": _id(ids[0]), "object": "chat.completion.chunk", "created": int(time.time()), "model": model,
            **({"usage": None} if with_usage else {}),
        }  # fmt: skip
        return cls(head, answering, growing, with_usage)

    async def events(self) -> AsyncIterator[bytes]:
        """Give the events: the role, the pieces of the content, the annotations, the usage if asked for.

        Where a model phrases the answer, each sentence is a piece as soon as it is checked.
        """
        yield self._chunk({"role": "assistant", "content": ""})
        sent = 0
        while (so_far := await self.growing.get()) is not None:
            for piece in to_markdown(so_far).pieces[sent : len(so_far.sentences)]:
                yield self._chunk({"content": piece}, system_fingerprint=so_far.snapshot_id)
            sent = len(so_far.sentences)
        try:
            answer = await self.answering
        except Exception:
            # The status is sent already; OpenAI's clients raise an event like this one as their APIError.
            _log.exception("an answer failed while it was streamed")
            yield _event(error_body(500, "Something went wrong here; the server's log says more"))
            return
        fingerprint = {"system_fingerprint": answer.snapshot_id}
        for piece in to_markdown(answer).pieces[sent:]:
            yield self._chunk({"content": piece}, **fingerprint)
        last = {"annotations": [annotation.model_dump() for annotation in _annotations(answer)]}
        yield self._chunk(last, finish="stop", **fingerprint, citedesk=asdict(answer))
        if self.with_usage:
            yield _event({**self.head, **fingerprint, "choices": [], "usage": Usage().model_dump()})
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: Mapping[str, Any], *, finish: str | None = None, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event({**self.head, **more, "choices": [choice]})


def _event(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
