"""The routes for operators: feedback of askers, health, metrics, insights."""

import threading
import time
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from index.snapshot import SnapshotError
from service.api.models import FeedbackRequest, Health, Readiness, problems
from service.api.problems import Problem
from service.desk import Desk
from service.redact import redact
from service.state import State, StateError

INSIGHTS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_OPERATION: list[str | Enum] = ["operation"]
_UNREADY: dict[int | str, dict[str, Any]] = {503: {"model": Readiness, "description": "Not yet, or not now."}}
# Seconds for which a page of insights is shown again as it is.
STALE_AFTER = 60.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def router(desk: Desk, state: State) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()
    pages = _Pages()

    @routes.post("/v1/feedback", tags=["questions"], status_code=204, responses=problems(400, 404, 408, 409, 413, 422))
    def give_feedback(body: FeedbackRequest) -> Response:
        """Say whether an answer helped; the last verdict on an answer counts."""
        if desk.log is None or not desk.log.feedback(body.answer_id, body.verdict, redact(body.reason).text):
            raise Problem(404, "No such answer", "No answer of this id is kept here.")
        desk.metrics.feedback(body.verdict)
        return Response(status_code=204)

    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz", tags=_OPERATION)
    def get_health() -> Health:
        """Say that the server runs."""
        return Health()

    @routes.get("/readyz", tags=_OPERATION, response_model=Readiness, responses={**_UNREADY, **problems()})
    def get_readiness() -> Response:
        """Say whether questions can be answered: a snapshot is open, and the shared state is there."""
        found = {"snapshot": _snapshot(desk), "state": _state(state)}
        return JSONResponse(found, 200 if all(told == "ok" for told in found.values()) else 503)

    @routes.get("/metrics", tags=_OPERATION, response_class=PlainTextResponse, responses=problems())
    def get_metrics() -> Response:
        """Give the counters in Prometheus' text format."""
        dropped = desk.log.dropped if desk.log else 0
        return Response(desk.metrics.exposition(dropped=dropped, caches=desk.caches), media_type=METRICS_TYPE)

    @routes.get("/insights", tags=_OPERATION, response_class=HTMLResponse, responses=problems(404, 422))
    def show_insights(
        days: Annotated[int, Query(ge=1, le=3650, description="Days to look back over.")] = 30,
    ) -> Response:
        """Show what was asked, answered and not covered."""
        if desk.log is None:
            raise Problem(404, "No log", "Questions are not kept here: CITEDESK_LOG_DAYS is 0.")
        return HTMLResponse(pages.page(desk, days), headers={"Content-Security-Policy": INSIGHTS_POLICY})

    return routes


class _Pages:
    """The pages that were drawn last: one takes seconds, and whoever looks twice should not pay twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawn: dict[int, tuple[float, str]] = {}

    def page(self, desk: Desk, days: int) -> str:
        """Give the page of so many days, at most `STALE_AFTER` seconds old."""
        from service import insights  # what it draws with takes a second to load

        assert desk.log is not None
        with self._lock:  # one at a time: drawing must not crowd out answering
            now = time.monotonic()
            self._drawn = {key: drawn for key, drawn in self._drawn.items() if now - drawn[0] < STALE_AFTER}
            if days not in self._drawn:
                self._drawn[days] = (now, insights.page(desk.log, desk.assistant().snapshot, days))
            return self._drawn[days][1]


def _snapshot(desk: Desk) -> str:
    try:
        desk.assistant()
    except (SnapshotError, OSError):
        return "no usable snapshot"
    return "ok"


def _state(state: State) -> str:
    try:
        state.ping()
    except StateError:
        return "away"
    return "ok"
