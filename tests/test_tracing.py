"""Traces: on only where the environment says so, with a span for each stage of an answer, and never what was asked."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from desk_client import LARGE, client_of, new_key, with_key
from fastapi.testclient import TestClient
from homes import OTHERS, article, home_of

from service.app import create_app
from service.server_settings import ServerSettings
from service.settings import SettingsError
from service.tracing import Tracing, open_tracing

pytest.importorskip("opentelemetry.sdk", reason="the extra `trace` is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

QUESTION = "how long does a withdrawal to a new address wait on kelpex"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
STAGES = ["question", "search", "read", "decide", "answer"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    waits = article("waits", "A withdrawal to a new address waits for 24 hours on Kelpex.")
    return home_of(tmp_path_factory.mktemp("tracing") / "home", [*OTHERS, waits])


@pytest.fixture(scope="module")
def exporter():
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def client(home, exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = create_app(home, ServerSettings(**LARGE), tracing=Tracing(provider))
    with TestClient(app, headers=with_key(new_key(home))) as client:
        yield client


@pytest.fixture
def spans(client, exporter):
    """The spans of this test, as a function: those that were made since it began."""
    exporter.clear()
    return lambda: {span.name: span for span in exporter.get_finished_spans()}


def ask(client, **headers):
    response = client.post("/v1/query", json={"question": QUESTION}, headers=headers)
    assert response.status_code == 200
    return response


def test_a_request_its_answer_and_the_stages_of_that_are_spans_within_each_other(client, spans):
    answer = ask(client).json()
    found = spans()
    request, whole = found["POST /v1/query"], found["citedesk.ask"]
    stages = [found[f"citedesk.ask.{stage}"] for stage in STAGES]
    assert len(found) == 2 + len(STAGES)
    assert request.kind is SpanKind.SERVER
    assert request.parent is None
    assert whole.parent.span_id == request.context.span_id
    assert {stage.parent.span_id for stage in stages} == {whole.context.span_id}
    assert {span.context.trace_id for span in found.values()} == {request.context.trace_id}
    assert request.start_time <= whole.start_time <= whole.end_time <= request.end_time
    assert whole.end_time - whole.start_time == pytest.approx(answer["timings"]["total"] * 1e6, abs=1)
    for before, after in pairwise(stages):
        assert whole.start_time <= before.start_time <= before.end_time == after.start_time <= whole.end_time


def test_spans_say_how_it_went_and_not_what_was_asked(client, spans):
    answer = ask(client, **{"X-Request-Id": "trace-7"}).json()
    found = spans()
    request, whole = found["POST /v1/query"].attributes, found["citedesk.ask"].attributes
    assert request["http.route"] == "/v1/query"
    assert request["http.response.status_code"] == 200
    assert request["citedesk.request_id"] == "trace-7"
    assert whole["citedesk.answer"] == answer["id"]
    assert whole["citedesk.status"] == "answered"
    assert whole["citedesk.door"] == "api"
    told = "".join(span.to_json() for span in found.values())
    assert "withdrawal" not in told
    assert "24 hours" not in told


@pytest.mark.parametrize(
    "path",
    ["/v1/suggest?q=zanzibarquux", "/v1/articles/zanzibarquux", "/v1/conversations/zanzibarquux", "/zanzibarquux"],
)
def test_an_address_that_may_hold_what_was_typed_is_in_no_span(client, exporter, spans, path):
    client.get(path)
    assert len(spans()) == 1
    assert "zanzibarquux" not in "".join(span.to_json() for span in exporter.get_finished_spans())


def test_a_stream_is_traced_to_its_end(client, spans):
    ask(client, Accept="text/event-stream")
    found = spans()
    assert found["POST /v1/query"].end_time >= found["citedesk.ask"].end_time
    assert found["citedesk.ask"].parent.span_id == found["POST /v1/query"].context.span_id


def test_a_trace_that_began_elsewhere_goes_on(client, spans):
    ask(client, **TRACEPARENT)
    request = spans()["POST /v1/query"]
    assert format(request.context.trace_id, "032x") == TRACE
    assert format(request.parent.span_id, "016x") == PARENT


@pytest.mark.parametrize("traceparent", ["", "00-0-0-01", "nonsense", f"00-{'0' * 32}-{PARENT}-01", "é".encode()])
def test_what_is_no_traceparent_begins_a_trace(client, spans, traceparent):
    ask(client, traceparent=traceparent)
    assert spans()["POST /v1/query"].parent is None


def test_a_request_that_is_refused_is_a_span_and_one_that_fails_is_an_error(client, spans, monkeypatch):
    client.get("/v1/snapshot", headers={"Authorization": ""})
    refused = spans()["GET /v1/snapshot"]
    assert refused.attributes["http.response.status_code"] == 401
    assert refused.status.status_code is StatusCode.UNSET
    monkeypatch.setattr(client.app.state.desk, "assistant", None)
    client.get("/v1/snapshot")
    failed = spans()["GET /v1/snapshot"]
    assert failed.attributes["error.type"] == "500"
    assert failed.status.status_code is StatusCode.ERROR


def test_a_method_that_nobody_knows_names_no_span(client, spans):
    client.request("ZANZIBARQUUX", "/v1/query")
    assert list(spans()) == ["HTTP /v1/query"]


# ---- where they go


@pytest.fixture
def collector():
    """A collector on loopback; what it was sent, and its address."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_collector_is_sent_what_there_is_when_the_server_ends(home, collector, monkeypatch):
    address, received = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    with client_of(home) as client:
        ask(client)
    assert {path for path, _ in received} == {"/v1/traces"}
    sent = [ExportTraceServiceRequest.FromString(body) for _, body in received]
    resources = [resource for request in sent for resource in request.resource_spans]
    names = [span.name for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert sorted(names) == sorted(["POST /v1/query", "citedesk.ask", *(f"citedesk.ask.{stage}" for stage in STAGES)])
    told = {a.key: a.value.string_value for a in resources[0].resource.attributes}
    assert told["service.name"] == "citedesk"
    assert not any(QUESTION.encode() in body for _, body in received)


def test_a_collector_that_is_away_costs_no_answer_and_no_end(home, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with client_of(home) as client:
        ask(client)


def test_traces_may_go_to_the_console(home, monkeypatch, capsys):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "help-desk")
    with client_of(home) as client:
        ask(client)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {span["resource"]["attributes"]["service.name"] for span in told} == {"help-desk"}
    assert len(told) == 2 + len(STAGES)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SERVICE_NAME": "desk"},
    ],
)
def test_nothing_is_traced_unless_the_environment_says_where_to(environment):
    assert open_tracing(environment) is None


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "'zipkin' is not known"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
    ],
)
def test_what_cannot_be_done_is_said(environment, said):
    with pytest.raises(SettingsError, match=said):
        open_tracing(environment)


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"OTEL_TRACES_EXPORTER is set.*citedesk\[trace\]"):
        open_tracing({"OTEL_TRACES_EXPORTER": "console"})


# Where something else sets a tracer up for the whole process, the web framework would write addresses into it.
FOREIGN = """
import sys
from pathlib import Path
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from service.app import create_app

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
with TestClient(create_app(Path(sys.argv[1]))) as client:
    assert client.get("/healthz?q=zanzibarquux").status_code == 200
with provider.get_tracer("here").start_as_current_span("seen"):
    pass
print([span.name for span in exporter.get_finished_spans()])
"""


def test_the_frameworks_own_spans_which_hold_addresses_are_off(tmp_path):
    told = subprocess.run([sys.executable, "-c", FOREIGN, tmp_path], capture_output=True, text=True, timeout=60)
    assert told.stdout == "['seen']\n", told.stderr
