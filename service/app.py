"""The HTTP door: parse, call `Assistant.ask`, render. Errors are problem+json (RFC 9457), made in one table."""

import threading
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from index.encoder import EncoderError
from index.snapshot import SnapshotError, SnapshotShelf
from service.answer import Answer
from service.assistant import Assistant
from service.question import LONGEST, QuestionError
from service.settings import DEFAULT_RISK

STATIC = Path(__file__).with_name("static")
MOST_HISTORY = 20
# The page loads nothing but itself and talks to nobody but its own server.
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
# A browser asks each time whether a file is still the same, and never guesses what kind of file it is.
FILE_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


class QueryRequest(BaseModel):
    """What `POST /v1/query` takes: the same as `citedesk ask`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"question": "Will I owe money?", "exchange": "Binance"}]},
    )

    question: Annotated[str, Field(description=f"What is asked, in any language; at most {LONGEST} characters.")]
    exchange: Annotated[str | None, Field(description="The exchange that binds the answer.", max_length=100)] = None
    language: Annotated[str | None, Field(description="Language code of the question.", max_length=35)] = None
    page_url: Annotated[str | None, Field(description="The page that the asker stands on.", max_length=2048)] = None
    history: Annotated[list[str], Field(description="Earlier questions, oldest first.", max_length=MOST_HISTORY)] = []


class AssistantDesk:
    """Hands out the assistant of the published snapshot, and opens the next one when CURRENT changes.

    A request keeps the assistant that it got: the old one is dropped when the last request has ended.
    """

    def __init__(self, home: Path, *, risk: float = DEFAULT_RISK) -> None:
        self._risk = risk
        self._shelf = SnapshotShelf(home)
        self._lock = threading.Lock()
        self._assistant: Assistant | None = None

    def assistant(self) -> Assistant:
        """Give the assistant of the published snapshot.

        :raises SnapshotError: There is no snapshot, or the only one is damaged.
        """
        current = self._shelf.current()
        with self._lock:
            if self._assistant is None or (current and self._assistant.snapshot_id != current):
                self._assistant = Assistant(self._shelf.open(), risk=self._risk)
            return self._assistant


def create_app(home: Path, *, risk: float = DEFAULT_RISK) -> FastAPI:
    """Make the application that answers from a home's published snapshot.

    :param risk: The risk of a wrong refusal that is accepted, see `service.decide.least_confidence`.
    """
    desk = AssistantDesk(home, risk=risk)
    app = FastAPI(
        title="citedesk", version=version("citedesk"), description="Answers with the exact passage as proof.",
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    _add_errors(app)

    @app.post("/v1/query", responses={422: {"description": "The question cannot be asked."}})
    def query(request: QueryRequest) -> Answer:
        """Answer a question from the help articles."""
        return desk.assistant().ask(
            request.question, exchange=request.exchange, language=request.language, page_url=request.page_url,
            history=request.history,
        )  # fmt: skip

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Say that the server runs."""
        return {"status": "ok"}

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={**FILE_HEADERS, "Content-Security-Policy": PAGE_POLICY})

    @app.api_route("/static/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    def static(name: str) -> FileResponse:
        if name not in {path.name for path in STATIC.iterdir() if path.is_file()}:
            raise HTTPException(404, f"no file named {name!r}")
        return FileResponse(STATIC / name, headers=FILE_HEADERS)

    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(QuestionError)
    def question_error(_: Request, error: QuestionError) -> JSONResponse:
        return _problem(422, "This cannot be asked", str(error))

    @app.exception_handler(SnapshotError)
    def snapshot_error(_: Request, error: SnapshotError) -> JSONResponse:
        return _problem(503, "No usable snapshot", str(error))

    @app.exception_handler(EncoderError)
    def encoder_error(_: Request, error: EncoderError) -> JSONResponse:
        return _problem(503, "No usable encoder", str(error))

    @app.exception_handler(Exception)
    def unexpected(_: Request, error: Exception) -> JSONResponse:
        # Starlette raises it again when this is sent, so that the server's log has it in full.
        return _problem(500, "Something went wrong here", f"{type(error).__name__}; the server's log says more")

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        details = [f"{'.'.join(str(part) for part in e['loc'][1:]) or 'body'}: {e['msg']}" for e in error.errors()]
        return _problem(422, "The request is not as expected", "; ".join(details))

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, "The request failed", str(error.detail), error.headers)


def _problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")
