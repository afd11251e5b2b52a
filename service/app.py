"""The HTTP door: puts together what answers, who may call it, and how errors are told. Nothing here decides anything."""

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from index.milvus import retrievers
from index.snapshot import SnapshotError
from service import openai_api, widget_demo
from service.api import corpus, operation, questions, widget
from service.api.gate import Gate
from service.api.problems import add_errors
from service.api.schema import schema_of
from service.conversations import Conversations
from service.desk import Desk
from service.keys import Key, KeyStore
from service.mcp_door import McpDoor
from service.question_log import QuestionLog
from service.server_settings import ServerSettings
from service.settings import DEFAULT_RISK
from service.state import State, open_state
from service.tracing import Tracing, open_tracing

STATIC = Path(__file__).with_name("static")
# FastAPI's own spans would hold what was typed, as a part of addresses; ours, in service/tracing.py, do not.
NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
# The page loads nothing but itself and talks to nobody but its own server.
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
# A browser asks each time whether a file is still the same.
FILE_HEADERS = {"Cache-Control": "no-cache"}
_log = logging.getLogger(__name__)


def create_app(
    home: Path,
    settings: ServerSettings | None = None,
    *,
    risk: float = DEFAULT_RISK,
    tracing: Tracing | None = None,
    milvus: str | None = None,
) -> FastAPI:
    """Make the application that answers from a home's published snapshot.

    :param risk: The risk of a wrong refusal that is accepted, see `service.decide.least_confidence`.
    :param tracing: Makes traces; without it, they are made if the environment says where they go.
    :param milvus: The Milvus that passages are looked for in, see `service.settings.Settings`.
    :raises SettingsError: The shared state's address cannot be used, or what the environment says of traces.
    :raises KeysError: The home's keys cannot be read.
    """
    settings = settings or ServerSettings()
    state = open_state(settings.redis)
    keys = KeyStore(home / "keys.sqlite")
    log = QuestionLog(home / "questions.sqlite", days=settings.log_days)  # with 0 days it deletes what there is
    tracing = tracing or open_tracing()
    kept = log if settings.log_days else None
    desk = Desk(home, risk=risk, log=kept, tracing=tracing, retriever=retrievers(milvus))
    door = McpDoor(desk)
    app = FastAPI(
        title="citedesk", version=version("citedesk"), description="Answers with the exact passage as proof.",
        docs_url=None, redoc_url=None, generate_unique_id_function=lambda route: route.name,
        telemetry=NO_TELEMETRY, lifespan=_lifespan(desk, state, door, tracing),
    )  # fmt: skip
    app.state.desk = desk
    add_errors(app)
    app.include_router(questions.router(desk, Conversations(state, hours=settings.conversation_hours)))
    app.include_router(corpus.router(desk))
    app.include_router(operation.router(desk, state))
    app.include_router(openai_api.router(desk))
    app.include_router(widget.router())
    door.mount(app)
    demo = _demo(app, settings, desk) if settings.demo else None
    app.openapi = cache(lambda: schema_of(app))  # type: ignore[method-assign]
    app.add_middleware(
        Gate, settings=settings, keys=keys, state=state, metrics=desk.metrics, demo=demo, tracing=tracing
    )
    return app


def _lifespan(
    desk: Desk, state: State, door: McpDoor, tracing: Tracing | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await run_in_threadpool(desk.assistant)
        except (SnapshotError, OSError) as error:
            _log.error("no question can be answered yet: %s", error)
        async with door.running():
            yield
        if desk.log:
            desk.log.close()
        if tracing:
            await run_in_threadpool(tracing.close)
        state.close()

    return lifespan


def _demo(app: FastAPI, settings: ServerSettings, desk: Desk) -> tuple[str, Key]:
    """Serve the demo page, with a key that only its own pages may use and that ends with the server."""
    text = f"cdw_{secrets.token_urlsafe(32)}"
    hosts = {settings.host, "127.0.0.1", "localhost"}
    origins = tuple(f"http://{host}:{settings.port}" for host in sorted(hosts))
    key = Key("demo", "widget", "the demo page", origins, datetime.now(UTC).isoformat(timespec="seconds"), None)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    def page() -> HTMLResponse:
        html = (STATIC / "index.html").read_text(encoding="utf-8").replace("{{key}}", escape(text))
        return HTMLResponse(html, headers={**FILE_HEADERS, "Content-Security-Policy": PAGE_POLICY})

    @app.api_route("/help", methods=["GET", "HEAD"], include_in_schema=False)
    @app.api_route("/help/{id}", methods=["GET", "HEAD"], include_in_schema=False)
    def help_page(id: str | None = None) -> HTMLResponse:
        html = widget_demo.help_page(desk.assistant().snapshot, text, id)
        if html is None:
            raise HTTPException(404, "there is no such article")
        return HTMLResponse(html, headers={**FILE_HEADERS, "Content-Security-Policy": PAGE_POLICY})

    @app.api_route("/static/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    def static(name: str) -> FileResponse:
        if name not in {path.name for path in STATIC.iterdir() if path.is_file()} or name.endswith(".html"):
            raise HTTPException(404, f"no file named {name!r}")
        return FileResponse(STATIC / name, headers=FILE_HEADERS)

    return text, key
