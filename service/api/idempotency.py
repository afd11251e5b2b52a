"""A request that is sent twice under one Idempotency-Key is carried out once: the second gets the first one's response."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Send

from service.api.problems import Problem
from service.conversations import repeats_of
from service.state import State

# How long a response is kept for its key; how long a key is held for a request that may have died.
KEPT, HELD = 24 * 3600.0, 60.0
LONGEST_KEY = 255
# Responses of one conversation that are found again when it is deleted; it has fewer questions in a day.
MOST_OF_ONE = 1000
# Larger responses, and those that are streamed, are not kept.
LARGEST = 512 * 1024


@dataclass(slots=True)
class Recording:
    """Sends a response on and keeps it."""

    send: Send
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False
    is_kept: bool = True

    async def __call__(self, message: Message) -> None:
        """Take one message of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [tuple(pair) for pair in message.get("headers", [])]
        elif message["type"] == "http.response.body":
            if len(self.body) <= LARGEST:
                self.body += message.get("body", b"")
            self.whole = not message.get("more_body")
        await self.send(message)

    @property
    def may_be_kept(self) -> bool:
        """Tell whether it is a whole response that would be the same if the request were carried out again."""
        streamed = any(
            name == b"content-type" and value.startswith(b"text/event-stream") for name, value in self.headers
        )
        return self.is_kept and self.whole and not streamed and len(self.body) <= LARGEST and self.status < 500

    def dumped(self, fingerprint: str) -> bytes:
        """Write it down."""
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers]
        body = base64.b64encode(self.body).decode("ascii")
        return json.dumps({"of": fingerprint, "status": self.status, "headers": headers, "body": body}).encode()


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that a request holds."""

    state: State
    name: str
    fingerprint: str

    def keep(self, recording: Recording, *, conversation: str | None = None) -> None:
        """Keep the response, or let the key go where the request may be tried again.

        :param conversation: The conversation that the response is a part of: it goes when that is deleted.
        """
        if recording.may_be_kept:
            self.state.put(self.name, recording.dumped(self.fingerprint), KEPT)
            if conversation:
                self.state.append(repeats_of(conversation), self.name.encode(), KEPT, most=MOST_OF_ONE)
        else:
            self.state.delete(self.name)


def claim(state: State, *, key: str, caller: str, request: bytes) -> Claim | dict[str, Any]:
    """Claim a key for a request; give the response kept for it where it was carried out before.

    :param request: What tells this request from another: method, path and body.
    :raises Problem: 400, the key is empty or too long; 409, the first request is still being carried out; 422, it was another request.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise Problem(400, "Not a key", f"Idempotency-Key takes 1 to {LONGEST_KEY} characters.")
    fingerprint = hashlib.sha256(request).hexdigest()
    name = f"idempotency:{caller}:{hashlib.sha256(key.encode()).hexdigest()}"
    found = state.claim(name, json.dumps({"of": fingerprint}).encode(), HELD)
    if found is None:
        return Claim(state, name, fingerprint)
    before: dict[str, Any] = json.loads(found)
    if before["of"] != fingerprint:
        raise Problem(422, "Another request", "This Idempotency-Key was used for another request; take a new one.")
    if "body" not in before:
        raise Problem(409, "Still under way", "The same request is being carried out.", {"Retry-After": "1"})
    return {**before, "body": base64.b64decode(before["body"])}
