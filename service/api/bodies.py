"""Reads a request's body within bounds of size and time, before anything else looks at it."""

import asyncio
from typing import Any

from starlette.types import Receive, Scope

from service.api.problems import Problem


async def read_body(scope: Scope, receive: Receive, *, largest: int, seconds: float) -> bytes:
    """Read the whole body.

    :raises Problem: 413, it is larger than ``largest`` bytes; 408, it took longer than ``seconds``.
    :raises ConnectionError: The client has gone.
    """
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > largest:
        raise _too_large(largest)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError("the client has gone")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > largest:
                    raise _too_large(largest)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError as error:
        detail = f"The request did not arrive within {seconds:g} seconds."
        raise Problem(408, "Too slow", detail, {"Connection": "close"}) from error


def replay(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read once more, then whatever else comes."""
    pending: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:  # noqa: ANN401
        return pending.pop() if pending else await receive()

    return again


def _too_large(largest: int) -> Problem:
    # What is still under way is not read: the connection ends with this answer.
    return Problem(413, "Too large", f"The body may have {largest:,} bytes at most.", {"Connection": "close"})
