"""An answer as Server-Sent Events: its status first, then its sentences with their citations, then what is near."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from service.answer import Answer
from service.api.problems import problem_of
from service.assistant import Trace
from service.question import Question

MEDIA_TYPE = "text/event-stream"
# A proxy that gathers the response before it sends it on would undo all of this.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
Heard = Callable[[Question, str], None]


def wants_events(request: Request) -> bool:
    """Tell whether the client asks for a stream."""
    return MEDIA_TYPE in request.headers.get("accept", "")


async def streamed(ask: Callable[[Heard], Trace]) -> Response:
    """Answer as a stream; what cannot be asked is raised before anything is sent.

    :param ask: Answers, in a thread of its own; it calls its argument when it has understood the question.
    """
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[bytes] = loop.create_future()

    def on_heard(question: Question, answer_id: str) -> None:
        told = {"id": answer_id, "status": "reading", "exchanges": question.exchanges, "language": question.language}
        loop.call_soon_threadsafe(heard.set_result, event("status", told))

    answering = asyncio.ensure_future(run_in_threadpool(ask, on_heard))
    await asyncio.wait((heard, answering), return_when=asyncio.FIRST_COMPLETED)
    if not heard.done():
        answering.result()  # raises what went wrong
    return StreamingResponse(_events(heard, answering), media_type=MEDIA_TYPE, headers=HEADERS)


async def _events(heard: "asyncio.Future[bytes]", answering: "asyncio.Future[Trace]") -> AsyncIterator[bytes]:
    yield await heard
    try:
        trace = await answering
    except Exception as error:
        problem = problem_of(error)
        yield event("error", {"title": problem.title, "status": problem.status, "detail": problem.detail})
        return
    for part in events_of(trace.answer):
        yield part


def events_of(answer: Answer) -> Iterator[bytes]:
    """Give the events of an answer, after the one that says that it is being read."""
    head = {
        "id": answer.id, "status": answer.status, "confidence": answer.confidence, "scope": asdict(answer.scope),
        "notices": [asdict(notice) for notice in answer.notices], "snapshot_id": answer.snapshot_id,
    }  # fmt: skip
    yield event("status", head if answer.sentences else {**head, "text": answer.text})
    cited = {citation.number: citation for citation in answer.citations}
    for sentence in answer.sentences:
        # Each citation travels with the first sentence that needs it.
        new = [asdict(cited.pop(number)) for number in sentence.citations if number in cited]
        yield event("sentence", {"text": sentence.text, "numbers": sentence.citations, "citations": new})
    yield event("related", {"related": [asdict(related) for related in answer.related]})
    yield event("done", {"text": answer.text, "timings": answer.timings})


def event(name: str, data: dict[str, Any]) -> bytes:
    """Write one event; JSON has no line break of its own, so it is one line of data."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
