"""The routes that answer: `query`, and `conversations` with their questions."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from service.answer import Answer
from service.api.events import Grows, Heard, streamed, wants_events
from service.api.models import (
    ConversationId,
    ConversationRequest,
    ConversationView,
    QueryRequest,
    TurnRequest,
    problems,
)
from service.api.problems import Problem
from service.assistant import Trace
from service.conversations import Conversation, Conversations, Turn, UnknownConversation
from service.desk import Desk, reference
from service.redact import redact

_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Answer,
        "description": "The answer, whatever its status; as events where `text/event-stream` is accepted.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


def router(desk: Desk, conversations: Conversations) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["questions"])

    @routes.post("/v1/query", response_model=Answer, responses={**_ANSWER, **problems(400, 408, 409, 413, 422)})
    async def ask(body: QueryRequest, request: Request) -> Response:
        """Answer a question from the help articles."""

        def answer(heard: Heard | None = None, grows: Grows | None = None) -> Trace:
            return desk.ask(
                body.question, caller=request.state.caller, exchange=body.exchange, language=body.language,
                page_url=body.page_url, history=body.history, only=body.only.filters(), heard=heard, grows=grows,
            )  # fmt: skip

        return await _answered(answer, request)

    @routes.post(
        "/v1/conversations",
        status_code=201,
        response_model=ConversationView,
        responses=problems(400, 408, 409, 413, 422),
    )
    def begin_conversation(body: ConversationRequest, request: Request) -> Response:
        """Begin a conversation."""
        owner = request.state.caller.key_id
        made = conversations.create(
            owner, created=_now(), exchange=_kept(body.exchange), language=body.language, page_url=_kept(body.page_url)
        )
        view = _view(made, conversations)
        return JSONResponse(view, 201, {"Location": f"/v1/conversations/{made.id}"})

    @routes.get("/v1/conversations/{id}", response_model=ConversationView, responses=problems(404))
    def get_conversation(id: ConversationId, request: Request) -> Response:
        """Give a conversation with what was said in it."""
        return JSONResponse(_view(_found(conversations, id, request), conversations))

    @routes.delete("/v1/conversations/{id}", status_code=204, responses=problems(404, 408, 413))
    def delete_conversation(id: ConversationId, request: Request) -> Response:
        """Delete a conversation, in the question log too."""
        _found(conversations, id, request)
        _forget(desk, id)  # first: where it fails, the conversation is still there to be deleted again
        conversations.delete(id, request.state.caller.key_id)
        _forget(desk, id)  # what was answered meanwhile
        return Response(status_code=204)

    @routes.post(
        "/v1/conversations/{id}/questions", response_model=Answer,
        responses={**_ANSWER, **problems(400, 404, 408, 409, 413, 422)},
    )  # fmt: skip
    async def ask_in_conversation(id: ConversationId, body: TurnRequest, request: Request) -> Response:
        """Answer the next question of a conversation.

        What it leaves unsaid, as "and on Kraken?" does, is taken from the questions before.
        """
        so_far = await run_in_threadpool(_found, conversations, id, request)
        caller = request.state.caller

        def answer(heard: Heard | None = None, grows: Grows | None = None) -> Trace:
            trace = desk.ask(
                body.question, caller=caller, exchange=body.exchange or so_far.exchange,
                language=body.language or so_far.language, page_url=body.page_url or so_far.page_url,
                history=so_far.questions, only=body.only.filters(), conversation=id, heard=heard, grows=grows,
            )  # fmt: skip
            turn = Turn(_now(), trace.question.text, asdict(trace.answer))
            if not conversations.add(id, turn):
                _forget(desk, id)  # it was deleted while this was being answered
                request.state.is_not_kept = True
            return trace

        return await _answered(answer, request)

    return routes


async def _answered(ask: Callable[..., Trace], request: Request) -> Response:
    if wants_events(request):
        return await streamed(ask)
    trace = await run_in_threadpool(ask)
    return JSONResponse(asdict(trace.answer))


def _found(conversations: Conversations, id: str, request: Request) -> Conversation:
    try:
        return conversations.read(id, request.state.caller.key_id)
    except UnknownConversation as error:
        raise Problem(404, "No such conversation", str(error)) from error


def _forget(desk: Desk, conversation: str) -> None:
    if desk.log:
        desk.log.forget(reference(conversation))


def _view(conversation: Conversation, conversations: Conversations) -> dict[str, Any]:
    return {**asdict(conversation), "expires_in": round(conversations.seconds)}


def _kept(text: str | None) -> str | None:
    return redact(text).text if text else text


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
