"""The server's log on standard error: one JSON object a line, or coloured text on a terminal. Never what was asked."""

import logging
import sys
from typing import Any

import structlog


def configure(*, as_json: bool | None = None) -> None:
    """Set the log up, for our own lines and those of the libraries; JSON unless standard error is a terminal."""
    if as_json is None:
        as_json = not sys.stderr.isatty()
    shared: list[Any] = [
        _without_colours,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    tracebacks = [structlog.processors.format_exc_info] if as_json else []
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tracebacks, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in ("faiss", "httpx", "matplotlib", "mcp", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _without_colours(_: object, __: str, line: dict[str, Any]) -> dict[str, Any]:
    """Drop uvicorn's second, coloured copy of its message."""
    record = line.get("_record")
    if record is not None:
        record.__dict__.pop("color_message", None)
    return line


def told(
    request_id: str, method: str, route: str, code: int, seconds: float, key_id: str, error: Exception | None
) -> None:
    """Write the line of a request; ``route`` is the pattern of its path, since a path may hold what somebody typed."""
    fields = {
        "request_id": request_id, "method": method, "route": route, "code": code, "ms": round(1000 * seconds, 1),
        "key": key_id,
    }  # fmt: skip
    log = logging.getLogger("citedesk.requests")
    if code >= 500:
        unexpected = error is not None and code == 500
        log.error("failed: %s", error or code, extra=fields, exc_info=error if unexpected else None)
    else:
        log.info("served", extra=fields)
