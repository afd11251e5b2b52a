"""A language model's endpoint on loopback that does what a test tells it to, over real HTTP."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[["Handler", dict[str, Any]], None]


@dataclass
class Scripted:
    """The endpoint: its acts are done in turn, the last one again and again."""

    acts: list[Act]
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def quoted(self, number: int = -1) -> dict[str, Any]:
        """Give the data of a request."""
        return json.loads(self.asked[number]["messages"][1]["content"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scripted: Scripted

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        act = self.scripted.acts[min(len(self.scripted.asked), len(self.scripted.acts) - 1)]
        self.scripted.asked.append(request)
        self.scripted.keys.append(self.headers["Authorization"])
        with suppress(BrokenPipeError, ConnectionResetError):
            act(self, request)
        self.close_connection = True

    def log_message(self, *_):
        pass

    def begin(self, status=200, kind="text/event-stream", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def chunk(self, text="", finished=None, usage=None):
        delta = {"role": "assistant", "content": text}
        data = {
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "usage": usage,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finished}],
        }  # fmt: skip
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()


@contextmanager
def scripted(*acts: Act) -> Iterator[Scripted]:
    """Serve the acts; the server is gone when the block ends."""
    model = Scripted(list(acts))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"scripted": model}))
    server.daemon_threads = True
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield model
    finally:
        model.over.set()
        server.shutdown()
        server.server_close()


def says(reply, *, finished: str | None = "stop", pieces: int = 7) -> Act:
    """Write a reply in pieces; one that is no text as JSON. ``finished`` None: the connection ends in the middle."""
    text = reply if isinstance(reply, str) else json.dumps(reply)

    def act(handler, request):
        handler.begin()
        for start in range(0, len(text), pieces):
            handler.chunk(text[start : start + pieces])
        if finished:
            handler.chunk(finished=finished, usage={"prompt_tokens": 90, "completion_tokens": 12, "total_tokens": 102})
            handler.wfile.write(b"data: [DONE]\n\n")

    return act


def stops_after(text: str) -> Act:
    """Write so far, and end the connection."""
    return says(text, finished=None)


def waits(first: str, then: str, gate: threading.Event) -> Act:
    """Write the first part of a reply, and the rest when the gate is opened."""

    def act(handler, request):
        handler.begin()
        handler.chunk(first)
        gate.wait(30)
        handler.chunk(then)
        handler.chunk(finished="stop")
        handler.wfile.write(b"data: [DONE]\n\n")

    return act


def obeys(script: Callable[[dict[str, Any]], Any]) -> Act:
    """Reply with what a request's data make it say."""

    def act(handler, request):
        says(script(json.loads(request["messages"][1]["content"])))(handler, request)

    return act


def fails(status: int, **headers: str) -> Act:
    def act(handler, request):
        handler.begin(status, "application/json", **headers)
        handler.wfile.write(b'{"error": {"message": "scripted"}}')

    return act


def silent(handler, request):
    """Take the request, and say nothing."""
    handler.scripted.over.wait(30)


def dribbles(handler, request):
    """Write a byte now and then, and never a whole event."""
    handler.begin()
    while not handler.scripted.over.is_set():
        handler.wfile.write(b"d")
        handler.wfile.flush()
        time.sleep(0.05)


def rambles(handler, request):
    """Write on and on."""
    handler.begin()
    while not handler.scripted.over.is_set():
        handler.chunk("and so on ")
        time.sleep(0.01)


def no_http(handler, request):
    handler.wfile.write(b"\x00\xff what is this\r\n\r\n")


def no_events(handler, request):
    handler.begin()
    handler.wfile.write(b'data: {"choices": 7}\n\ndata: {{{\n\n')


def no_schemas(reply) -> Act:
    """Refuse requests with a schema, as older servers do, and answer the others."""

    def act(handler, request):
        (fails(400) if "response_format" in request else says(reply))(handler, request)

    return act


def own_schemas(reply) -> Act:
    """Take a schema as llama-cpp-python's server does, and end with a 500 on OpenAI's way."""

    def act(handler, request):
        if request["response_format"]["type"] == "json_object":
            says(reply)(handler, request)
        else:
            handler.begin(500, "application/json")
            handler.wfile.write(
                b"{\"error\": {\"message\": \"1 validation error: ('body', 'response_format', 'type')\"}}"
            )

    return act
