"""What goes wrong, as problem+json (RFC 9457): one table from our errors to what a client is told."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from index.encoder import EncoderError
from index.snapshot import SnapshotError
from service import openai_api
from service.keys import KeysError
from service.question import QuestionError
from service.question_log import QuestionLogError
from service.state import StateError

MEDIA_TYPE = "application/problem+json"
# Doors of another standard tell errors in its own shape.
OPENAI_PATHS = ("/v1/chat/", "/v1/models")


class Problem(Exception):
    """A request that is not served: the status, what went wrong in three words, and what to do about it."""

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})


def problem_response(problem: Problem, path: str) -> Response:
    """Render a problem as the door at a path tells it."""
    if path.startswith(OPENAI_PATHS):
        return JSONResponse(openai_api.error_body(problem.status, problem.detail), problem.status, problem.headers)
    body = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail}
    return JSONResponse(body, problem.status, problem.headers, media_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """Say what a client is told of an error; what nobody expected is named by its type alone."""
    match error:
        case Problem():
            return error
        case QuestionError():
            return Problem(422, "This cannot be asked", str(error))
        case RequestValidationError():
            details = [f"{'.'.join(str(part) for part in e['loc'][1:]) or 'body'}: {e['msg']}" for e in error.errors()]
            return Problem(422, "The request is not as expected", "; ".join(details))
        case HTTPException():
            return Problem(error.status_code, "The request failed", str(error.detail), error.headers)
        case SnapshotError():
            return Problem(503, "No usable snapshot", "There is no usable snapshot; the server's log says more.", RETRY)
        case EncoderError():
            return Problem(
                503, "No usable encoder", "The snapshot's encoder cannot be used; the server's log says more.", RETRY
            )
        case StateError() | KeysError() | QuestionLogError():
            return Problem(
                503,
                "Not now",
                "What the server keeps its keys, conversations or questions in cannot be read or written; try again.",
                RETRY,
            )
        case _:
            return Problem(500, "Something went wrong here", f"{type(error).__name__}; the server's log says more")


#: When to come back where something has to be mended first.
RETRY = {"Retry-After": "5"}
_OURS = (
    Problem,
    QuestionError,
    RequestValidationError,
    HTTPException,
    SnapshotError,
    EncoderError,
    StateError,
    KeysError,
    QuestionLogError,
)


def add_errors(app: FastAPI) -> None:
    """Tell every error of an application as a problem."""

    def told(request: Request, error: Exception) -> Response:
        request.state.error = error  # for the request's line in the log
        return problem_response(problem_of(error), request.url.path)

    for kind in _OURS:
        app.add_exception_handler(kind, told)
