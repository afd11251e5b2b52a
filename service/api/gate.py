"""What every request passes before a route sees it: its id, its key and origin, the limits, and its line in the log."""

import base64
import binascii
import ipaddress
import re
import time
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.access import Rule, rule_for
from service.api.bodies import read_body, replay
from service.api.idempotency import Claim, Recording, claim
from service.api.problems import Problem, problem_of, problem_response
from service.api.turnstile import Turnstile
from service.desk import Caller
from service.keys import Key, KeyStore
from service.logs import told
from service.metrics import Metrics
from service.server_settings import ServerSettings
from service.state import MemoryState, State, StateError
from service.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_BODIES = {"POST", "PUT", "PATCH", "DELETE"}
_DOORS = {"/v1/chat/completions": "openai", "/v1/models": "openai", "/mcp": "mcp"}
# What a page of another origin may send and read.
_ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-Id"
_EXPOSED_HEADERS = "ETag, Idempotency-Replayed, Location, Retry-After, X-Request-Id"
# Browsers remember a preflight for two hours at most.
_PREFLIGHT_SECONDS = 7200
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(slots=True)
class Passage:
    """One request on its way through the gate."""

    scope: Scope
    send: Send
    id: str
    route: str = "unknown"
    code: int = 0
    key_id: str = ""
    origin: str = ""
    error: Exception | None = None
    span: "Span | None" = None
    started: float = field(default_factory=time.perf_counter)

    async def __call__(self, message: Message) -> None:
        """Send a message of the response, with the headers that every response has."""
        if message["type"] == "http.response.start":
            self.code = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.id
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            if self.origin:
                headers["Access-Control-Allow-Origin"] = self.origin
                headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
            headers.add_vary_header("Origin")
        await self.send(message)


class Gate:
    """The outermost layer of the application.

    :param demo: The text and the key of the demo page, if it is served.
    """

    def __init__(
        self, app: ASGIApp, *, settings: ServerSettings, keys: KeyStore, state: State, metrics: Metrics,
        demo: tuple[str, Key] | None = None, tracing: Tracing | None = None,
    ) -> None:  # fmt: skip
        self._app = app
        self._settings = settings
        self._keys = keys
        self._state = state
        self._is_shared = not isinstance(state, MemoryState)
        self._metrics = metrics
        self._demo = demo
        self._tracing = tracing
        self._turnstile = Turnstile(settings.running, settings.waiting, metrics)
        # Where the shared state is away, each process still keeps the limits by itself.
        self._own = MemoryState()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request = Passage(scope, send, given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex)
        scope.setdefault("state", {})["request_id"] = request.id
        if self._tracing:
            request.span = self._tracing.begin(scope["method"], headers)
        try:
            await self._pass(request, headers, receive)
        except ConnectionError:
            request.code = 499  # the client has gone: nobody is there to be told
        except Exception as error:
            request.error = error
            if not request.code:
                if "origin" in headers:
                    # A page that may read nothing may yet read why, or a wrong key would look like a dead server.
                    request.origin = request.origin or "*"
                await problem_response(problem_of(error), scope["path"])(scope, receive, request)
        finally:
            seconds = time.perf_counter() - request.started
            self._metrics.request(request.route, request.code, seconds)
            cause = request.error or scope["state"].get("error")
            told(request.id, scope["method"], request.route, request.code, seconds, request.key_id, cause)
            if self._tracing and request.span:
                self._tracing.end(
                    request.span, method=scope["method"], route=request.route, code=request.code, request_id=request.id,
                    key_id=request.key_id,
                )  # fmt: skip

    async def _pass(self, request: Passage, headers: Headers, receive: Receive) -> None:
        scope, method = request.scope, request.scope["method"]
        rule = rule_for(scope["path"], demo=self._demo is not None)
        if rule is None:
            raise Problem(404, "Not here", "There is nothing at this path; /openapi.json lists what there is.")
        request.route = rule.route
        if method == "OPTIONS":
            await _preflight(request, rule, headers)
            return
        if method not in rule.kinds:
            raise Problem(405, "Not so", f"{method} is not possible here.", {"Allow": ", ".join(rule.kinds)})
        wanted = rule.kinds[method]
        key = None
        if wanted is not None:
            key = await self._known(headers, rule)
            request.key_id = key.id
            self._check_origin(request, key, headers)
            if key.kind not in wanted:
                raise Problem(
                    403, "Not with this key", f"This needs a key of another kind: {', '.join(sorted(wanted))}."
                )
            if method in rule.asks:
                self._turnstile.check()  # before what costs more: who is sent away should not slow those who are let in
            await self._check_rate(request, key, asks=method in rule.asks)
            door = _DOORS.get(rule.route, "widget" if key.kind == "widget" else "api")
            scope["state"]["caller"] = Caller(key.id, key.kind, door, request.span)
        await self._carry_out(request, rule, key, headers, receive)

    async def _carry_out(
        self, request: Passage, rule: Rule, key: Key | None, headers: Headers, receive: Receive
    ) -> None:
        scope, method = request.scope, request.scope["method"]
        send: Send = request
        held: Claim | None = None
        async with AsyncExitStack() as stack:
            if method in _BODIES:
                limits = self._settings
                body = await read_body(scope, receive, largest=limits.largest_body, seconds=limits.request_seconds)
                receive = replay(body, receive)
                if key and method == "POST" and "idempotency-key" in headers:
                    call = b"\0".join((method.encode(), scope["path"].encode("utf-8", "surrogateescape"), body))
                    found = await run_in_threadpool(
                        claim, self._state, key=headers["idempotency-key"], caller=key.id, request=call
                    )
                    if not isinstance(found, Claim):
                        await _replayed(found, request)
                        return
                    held, send = found, Recording(request)
            try:
                if method in rule.asks:
                    await stack.enter_async_context(self._turnstile.turn())
                await self._app(scope, receive, send)
            finally:
                if held and isinstance(send, Recording):
                    send.is_kept = not scope["state"].get("is_not_kept")
                    await run_in_threadpool(held.keep, send, conversation=_conversation(rule, scope["path"]))

    async def _known(self, headers: Headers, rule: Rule) -> Key:
        """Give the key that a request carries."""
        text = _key_text(headers)
        challenge = {"WWW-Authenticate": 'Basic realm="citedesk", charset="UTF-8"' if rule.page else "Bearer"}
        if not text:
            how = "give an admin key as the password" if rule.page else "send it as `Authorization: Bearer KEY`"
            raise Problem(
                401, "A key is needed", f"This needs a key: {how}; `citedesk keys create` makes one.", challenge
            )
        if self._demo and text == self._demo[0]:
            return self._demo[1]
        key = self._keys.find(text)  # from memory; a thread would cost more, most of all when all are busy
        if key is None:
            raise Problem(401, "Not a valid key", "This key is not known here, or was revoked.", challenge)
        return key

    def _check_origin(self, request: Passage, key: Key, headers: Headers) -> None:
        """Let a page use a key only from where the key is bound to; a company's own server sends no origin."""
        origin = headers.get("origin", "")
        if key.kind != "widget":
            if origin and not _same(origin, headers):
                raise Problem(
                    403, "Not from a page", "A secret key must not be used in a web page; use a widget key there."
                )
            return
        if not origin and headers.get("sec-fetch-site") == "same-origin":
            return  # browsers leave the origin out of a page's reads of its own server
        if not origin or not key.allows(origin):
            where = origin or "a request without an Origin header"
            raise Problem(403, "Not from here", f"This key does not hold for {where[:200]}.")
        request.origin = origin

    async def _check_rate(self, request: Passage, key: Key, *, asks: bool) -> None:
        kind, times = ("ask", 1) if asks else ("read", self._settings.reads_for_each_question)
        limits = [(f"{kind}:key:{key.id}", self._settings.key_per_minute * times)]
        if key.kind == "widget":
            client = client_of(request.scope)
            limits.insert(0, (f"{kind}:client:{key.id}:{client}", self._settings.client_per_minute * times))
        for bucket, a_minute in limits:
            # In memory it takes microseconds: a thread would cost more, most of all when all are busy.
            take = run_in_threadpool(self._take, bucket, a_minute) if self._is_shared else None
            wait = await take if take else self._take(bucket, a_minute)
            if wait > 0:
                self._metrics.shed("rate")
                seconds = max(1, round(wait + 0.5))
                raise Problem(
                    429, "Too many", f"Too many requests; try again in {seconds} s.", {"Retry-After": str(seconds)}
                )

    def _take(self, bucket: str, a_minute: int) -> float:
        try:
            return self._state.take(bucket, capacity=a_minute, per_second=a_minute / 60)
        except StateError:
            return self._own.take(bucket, capacity=a_minute, per_second=a_minute / 60)


async def _preflight(request: Passage, rule: Rule, headers: Headers) -> None:
    """Tell a browser what a page may send: to where widget keys are for, from every page, for no key is in sight yet.

    That grants nothing: what is sent then passes the gate as all else does, and a page that the key does not hold for
    reads why it is refused. Credentials of the browser's own are never allowed.
    """
    if "origin" not in headers or "access-control-request-method" not in headers:
        raise Problem(405, "Not so", "OPTIONS is not possible here.", {"Allow": ", ".join(rule.kinds)})
    methods = [method for method, kinds in rule.kinds.items() if kinds and "widget" in kinds]
    if not methods:
        raise Problem(403, "Not from a page", "No web page may call this, whatever its key.")
    request.origin = "*"
    start: Message = {
        "type": "http.response.start", "status": 204,
        "headers": [
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-allow-headers", _ALLOWED_HEADERS.encode()),
            (b"access-control-max-age", str(_PREFLIGHT_SECONDS).encode()),
        ],
    }  # fmt: skip
    await request(start)
    await request({"type": "http.response.body", "body": b""})


def client_of(scope: Scope) -> str:
    """Give what tells clients apart: the address, of IPv6 the network of 64 bits that one client has to itself."""
    host = (scope.get("client") or ("unknown",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


def _conversation(rule: Rule, path: str) -> str | None:
    """Give the conversation that a request is a part of."""
    return path.split("/")[3] if rule.route.startswith("/v1/conversations/") else None


def _key_text(headers: Mapping[str, str]) -> str:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(text, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _same(origin: str, headers: Headers) -> bool:
    return urlsplit(origin).netloc == headers.get("host", "")


async def _replayed(kept: dict[str, Any], send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept["headers"]]
    headers = [pair for pair in headers if pair[0] != b"x-request-id"]
    await send(
        {
            "type": "http.response.start",
            "status": kept["status"],
            "headers": [*headers, (b"idempotency-replayed", b"true")],
        }
    )
    await send({"type": "http.response.body", "body": kept["body"]})
