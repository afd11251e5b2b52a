"""An answer as Server-Sent Events: its status first, then its sentences with their citations, then what is near.

Where a model phrases the answer, each sentence is sent as soon as it is checked.
"""

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
Grows = Callable[[Answer], None]


def wants_events(request: Request) -> bool:
    """Tell whether the client asks for a stream."""
    return MEDIA_TYPE in request.headers.get("accept", "")


async def streamed(ask: Callable[[Heard, Grows], Trace]) -> Response:
    """Answer as a stream; what cannot be asked is raised before anything is sent.

    :param ask: Answers, in a thread of its own; it calls its first argument when it has understood the question, and its second
        with the answer as far as it is phrased, where a model phrases it.
    """
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[bytes] = loop.create_future()
    growing: asyncio.Queue[Answer | None] = asyncio.Queue()

    def on_heard(question: Question, answer_id: str) -> None:
        told = {"id": answer_id, "status": "reading", "exchanges": question.exchanges, "language": question.language}
        loop.call_soon_threadsafe(heard.set_result, event("status", told))

    def on_grown(answer: Answer) -> None:
        loop.call_soon_threadsafe(growing.put_nowait, answer)

    answering = asyncio.ensure_future(run_in_threadpool(ask, on_heard, on_grown))
    answering.add_done_callback(lambda _: growing.put_nowait(None))
    await asyncio.wait((heard, answering), return_when=asyncio.FIRST_COMPLETED)
    if not heard.done():
        answering.result()  # raises what went wrong
    return StreamingResponse(_events(heard, growing, answering), media_type=MEDIA_TYPE, headers=HEADERS)


async def _events(
    heard: "asyncio.Future[bytes]", growing: "asyncio.Queue[Answer | None]", answering: "asyncio.Future[Trace]"
) -> AsyncIterator[bytes]:
    yield await heard
    before: Answer | None = None
    while (answer := await growing.get()) is not None:
        for part in _grown(before, answer):
            yield part
        before = answer
    try:
        trace = await answering
    except Exception as error:
        problem = problem_of(error)
        yield event("error", {"title": problem.title, "status": problem.status, "detail": problem.detail})
        return
    for part in events_of(trace.answer, before):
        yield part


def events_of(answer: Answer, before: Answer | None = None) -> Iterator[bytes]:
    """Give the events of an answer, after the one that says that it is being read.

    :param before: What of it was sent already.
    """
    yield from _grown(before, answer)
    yield event("related", {"related": [asdict(related) for related in answer.related]})
    notices = [asdict(notice) for notice in answer.notices]
    yield event("done", {"text": answer.text, "notices": notices, "timings": answer.timings})


def _grown(before: Answer | None, answer: Answer) -> Iterator[bytes]:
    """Give the events of what an answer has beyond what it had before."""
    if before is None:
        yield event("status", _head(answer))
    cited = {citation.number: citation for citation in answer.citations[len(before.citations) if before else 0 :]}
    for sentence in answer.sentences[len(before.sentences) if before else 0 :]:
        # Each citation travels with the first sentence that needs it.
        new = [asdict(cited.pop(number)) for number in sentence.citations if number in cited]
        yield event("sentence", {"text": sentence.text, "numbers": sentence.citations, "citations": new})


def _head(answer: Answer) -> dict[str, Any]:
    head = {
        "id": answer.id, "status": answer.status, "confidence": answer.confidence, "scope": asdict(answer.scope),
        "notices": [asdict(notice) for notice in answer.notices], "snapshot_id": answer.snapshot_id,
    }  # fmt: skip
    return head if answer.status == "answered" else {**head, "text": answer.text}


def event(name: str, data: dict[str, Any]) -> bytes:
    """Write one event; JSON has no line break of its own, so it is one line of data."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
