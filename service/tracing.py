"""OpenTelemetry traces (the extra ``trace``): a span for each request, its answer and the answer's stages. Never what was asked.

On where the environment says where traces go: OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_TRACES_EXPORTER=console. The SDK's other
variables (sampling, resource, headers, batches) hold as it documents them.
"""

import os
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from service.answer import Answer
from service.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Tracing:
    """Makes the spans of one application.

    :param provider: What samples and sends them.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("citedesk", version("citedesk"))
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, method: str, headers: Mapping[str, str]) -> "Span":
        """Begin the span of a request; it goes on with the trace that the request's ``traceparent`` names."""
        from opentelemetry.trace import SpanKind

        known = method if method in _METHODS else "_OTHER"
        parent = self._propagator.extract(headers)
        return self._tracer.start_span(known, parent, SpanKind.SERVER, {"http.request.method": known})

    def end(self, span: "Span", *, method: str, route: str, code: int, request_id: str, key_id: str) -> None:
        """End the span of a request; ``route`` is the pattern of its path: a path may hold what opens a conversation."""
        from opentelemetry.trace import StatusCode

        span.update_name(f"{method if method in _METHODS else 'HTTP'} {route}")
        span.set_attributes(
            {
                "http.route": route, "http.response.status_code": code, "citedesk.request_id": request_id,
                "citedesk.key": key_id,
            }
        )  # fmt: skip
        if code >= 500:
            span.set_attribute("error.type", str(code))
            span.set_status(StatusCode.ERROR)
        span.end()

    def answered(self, answer: Answer, *, door: str, request: "Span | None") -> None:
        """Make the spans of an answer that was given just now, from its timings.

        Stages are put one after the other; what passed between them, which is next to nothing, is at the end of the answer.

        :param request: The span of the request that asked.
        """
        from opentelemetry.trace import set_span_in_context

        end = time.time_ns()
        begin = end - _nanoseconds(answer.timings["total"])
        whole = self._tracer.start_span(
            "citedesk.ask", set_span_in_context(request) if request else None, start_time=begin,
            attributes={
                "citedesk.answer": answer.id, "citedesk.status": answer.status, "citedesk.door": door,
                "citedesk.confidence": answer.confidence, "citedesk.citations": len(answer.citations),
                "citedesk.notices": [notice.code for notice in answer.notices], "citedesk.snapshot": answer.snapshot_id,
            },
        )  # fmt: skip
        inside = set_span_in_context(whole)
        for stage, milliseconds in answer.timings.items():
            if stage != "total":
                span = self._tracer.start_span(f"citedesk.ask.{stage}", inside, start_time=begin)
                begin += _nanoseconds(milliseconds)
                span.end(begin)
        whole.end(end)

    def close(self) -> None:
        """Send what was not sent yet."""
        self._provider.shutdown()


def open_tracing(environment: Mapping[str, str] = os.environ) -> Tracing | None:
    """Set tracing up as the environment says; None where it says nothing.

    :raises SettingsError: It cannot be done so; the message says what to do.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    named = [name for name in ENDPOINTS if environment.get(name)]
    off = exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if off or not (exporter or named):
        return None
    if exporter not in ("", "otlp", "console"):
        raise SettingsError(f"OTEL_TRACES_EXPORTER: {exporter!r} is not known here; give otlp, console or none")
    for name in PROTOCOLS if exporter != "console" else ():
        if environment.get(name, "http/protobuf") != "http/protobuf":
            raise SettingsError(f"{name}: traces are sent as http/protobuf alone; collectors take it at port 4318")
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        processor = _processor(to_console=exporter == "console")
    except ImportError as error:
        told = named[0] if named else "OTEL_TRACES_EXPORTER"
        raise SettingsError(f"{told} is set, and traces need an extra: pip install 'citedesk[trace]'") from error
    provider = TracerProvider(resource=Resource.create(_resource(environment)), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return Tracing(provider)


def _processor(*, to_console: bool) -> "SpanProcessor":
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    if to_console:
        # Among the lines of the server's log, each as one line.
        return SimpleSpanProcessor(
            ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: f"{span.to_json(None)}\n")
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())


def _resource(environment: Mapping[str, str]) -> dict[str, str]:
    """Name the service, unless the environment does."""
    named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {"service.version": version("citedesk"), **({} if named else {"service.name": "citedesk"})}


def _nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * 1_000_000)
