import asyncio
import gc
import json
import re
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote

import pytest
from desk_client import client_of
from homes import OTHERS, article, build_fast, copy_home, home_of, put, replace_bytes

from index.snapshot import CURRENT, SnapshotShelf
from service.api.access import RULES
from service.api.models import MOST_HISTORY
from service.app import PAGE_POLICY, STATIC, create_app
from service.assistant import Assistant
from service.desk import Desk
from service.server_settings import ServerSettings

ROOT = Path(__file__).parents[1]
WAITS = "A withdrawal to a new address waits for {} hours on Kelpex."
QUESTION = "how long does a withdrawal to a new address wait on kelpex"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home with two snapshots; the published one says 48 hours."""
    home = home_of(tmp_path_factory.mktemp("app") / "home", [*OTHERS, article("waits", WAITS.format(24))])
    return home_of(home, [article("waits", WAITS.format(48))])


@pytest.fixture
def home(built, tmp_path):
    return copy_home(built, tmp_path / "home")


@pytest.fixture
def shelf(home):
    return SnapshotShelf(home)


@pytest.fixture(scope="module")
def app(built):
    return create_app(built, ServerSettings(demo=True))


@pytest.fixture(scope="module")
def client(built):
    """A client for those who change nothing."""
    with client_of(built, demo=True) as client:
        yield client


@pytest.fixture
def own(home):
    """A client of a home that may be changed."""
    with client_of(home, demo=True) as client:
        yield client


def ask(client, question=QUESTION, **arguments):
    return client.post("/v1/query", json={"question": question, **arguments})


def until(holds, seconds=20.0):
    """Wait until something holds; the next snapshot is opened beside the one that is served."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def first_sentence(client):
    return ask(client).json()["sentences"][0]["text"]


def is_problem(response, status, *said):
    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    assert body["type"]
    assert body["title"]
    assert all(text in body["detail"] for text in said), body["detail"]
    assert "Traceback" not in response.text
    assert 'File "' not in response.text


def timeless(answer):
    return {**json.loads(json.dumps(answer)), "timings": {}, "id": ""}


def test_the_answer_is_the_assistants(client, shelf):
    for arguments in (
        {"question": QUESTION},
        {"question": "how long does it wait?", "exchange": "kelpex", "language": "en"},
        {"question": "how long does it wait?", "page_url": "https://help.example/waits?x=1"},
        {"question": "and how long?", "history": [QUESTION]},
        {"question": "what are the fees on KuCoin?"},
        {"question": "write me a poem"},
    ):
        response = client.post("/v1/query", json=arguments)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert timeless(response.json()) == timeless(asdict(Assistant(shelf.open()).ask(**arguments)))


def test_the_answer_is_that_of_the_command_line(client, home):
    command = [sys.executable, "-m", "service.cli", "ask", QUESTION, "--home", str(home), "--json"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert timeless(ask(client).json()) == timeless(json.loads(printed))


def test_the_starter_question_is_answered_over_http(starter_home):
    with client_of(starter_home) as client:
        answer = ask(client, "Will I owe money?").json()
    assert answer["status"] == "answered"
    assert answer["scope"]["exchanges"] == ["Binance"]
    assert "insurance fund" in answer["text"]


def test_fields_that_are_left_out_may_also_be_null(client):
    assert ask(client, exchange=None, language=None, page_url=None).json()["status"] == "answered"


@pytest.mark.parametrize(
    ("question", "said"),
    [("", "empty"), (" \n", "empty"), ("\x00\x01\x02", "empty"), ("???", "empty"), ("a" * 10_000, "at most 2,000")],
)
def test_a_question_that_cannot_be_asked_is_a_problem(client, question, said):
    is_problem(ask(client, question), 422, said)


def test_control_characters_in_a_question_do_no_harm(client):
    answer = ask(client, "how long\x00 does a withdrawal\x1b[2J to a new\r\naddress wait on\u202e kelpex\x7f").json()
    assert answer["sentences"][0]["text"] == WAITS.format(48)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "question: "),
        ({"question": None}, "question: "),
        ({"question": 5}, "question: "),
        ({"question": ["fees"]}, "question: "),
        ({"question": "fees", "exchange": 5}, "exchange: "),
        ({"question": "fees", "exchange": "x" * 101}, "exchange: "),
        ({"question": "fees", "language": "x" * 36}, "language: "),
        ({"question": "fees", "language": "english"}, "language: "),
        ({"question": "fees", "page_url": "x" * 2049}, "page_url: "),
        ({"question": "fees", "history": "fees"}, "history: "),
        ({"question": "fees", "history": [5]}, "history.0: "),
        ({"question": "fees", "history": ["fees"] * (MOST_HISTORY + 1)}, "history: "),
        ({"question": "fees", "history": [""]}, "empty"),
        ({"question": "fees", "history": ["a" * 10_000]}, "at most 2,000"),
        ({"question": "fees", "exchagne": "Kraken"}, "exchagne: "),
        ([], "body: "),
        ("fees", "body: "),
        (None, "body: "),
        (5, "body: "),
    ],
)
def test_a_body_that_is_not_as_expected_is_a_problem_that_names_the_field(client, body, said):
    is_problem(client.post("/v1/query", json=body), 422, said)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"question": fees}', b"question=fees", b"\xff\xfe", b"\x00", b'{"question": "a\xff"}', b"[" * 100_000]
)  # fmt: skip
def test_a_body_that_is_no_json_is_a_problem(client, content):
    response = client.post("/v1/query", content=content, headers={"Content-Type": "application/json"})
    is_problem(response, response.status_code)
    assert response.status_code in {400, 422}


@pytest.mark.parametrize("field", ["question", "exchange", "page_url", "language"])
def test_half_of_a_surrogate_pair_is_no_failure_of_the_server_in(client, field):
    body = '{"question": "fees", "%s": "fee \\ud800"}' % field  # noqa: UP031
    response = client.post("/v1/query", content=body.encode(), headers={"Content-Type": "application/json"})
    assert response.status_code in {200, 422}


def test_a_form_is_not_taken_for_json(client):
    is_problem(client.post("/v1/query", data={"question": "fees"}), 422)


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/docs", "/redoc", "/static/", "/v2/query"])
def test_a_path_that_is_not_there_is_a_problem(client, path):
    is_problem(client.get(path, follow_redirects=False), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/v1/query", {"POST"}), ("PUT", "/v1/query", {"POST"}), ("POST", "/", {"GET", "HEAD"}), ("POST", "/healthz", {"GET", "HEAD"}),
     ("DELETE", "/static/page.css", {"GET", "HEAD"})],
)  # fmt: skip
def test_a_method_that_is_not_allowed_is_a_problem_that_names_those_that_are(client, method, path, allowed):
    response = client.request(method, path)
    is_problem(response, 405)
    assert set(response.headers["allow"].split(", ")) == allowed


def test_without_a_snapshot_the_log_names_the_commands_that_make_one(tmp_path, caplog):
    with client_of(tmp_path / "nowhere", demo=True) as client:
        is_problem(ask(client), 503, "no usable snapshot")
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/").status_code == 200
    assert "citedesk ingest" in caplog.text
    assert "citedesk build" in caplog.text


def test_the_first_snapshot_is_served_as_soon_as_it_is_there(tmp_path):
    with client_of(tmp_path / "home") as client:
        is_problem(ask(client), 503)
        home_of(tmp_path / "home", [*OTHERS, article("waits", WAITS.format(24))])
        assert first_sentence(client) == WAITS.format(24)


@pytest.mark.parametrize("name", ["passages.sqlite", "vectors.faiss", "encoder/model.onnx", "manifest.json"])
def test_a_damaged_snapshot_is_a_problem_until_it_is_mended_and_the_log_names_the_file(home, shelf, name, caplog):
    path = shelf.folder / shelf.current() / name
    whole = path.read_bytes()
    replace_bytes(path, whole[:-1])
    with client_of(home) as client:
        response = ask(client)
        is_problem(response, 503, "no usable snapshot")
        assert response.headers["retry-after"]
        assert str(shelf.folder) not in response.text
        assert name in caplog.text
        assert "citedesk snapshots rollback" in caplog.text
        replace_bytes(path, whole)
        assert until(lambda: ask(client).status_code == 200)
        assert first_sentence(client) == WAITS.format(48)


@pytest.mark.parametrize("name", ["passages.sqlite", "vectors.faiss", "encoder/model.onnx", "manifest.json"])
def test_a_damaged_snapshot_never_takes_the_place_of_the_one_that_is_served(own, shelf, home, name, caplog):
    served = shelf.current()
    put(home, [article("waits", WAITS.format(60))])
    built = build_fast(home)
    shelf.publish(served)
    assert first_sentence(own) == WAITS.format(48)
    path = shelf.folder / built.manifest.id / name
    replace_bytes(path, path.read_bytes()[:-1])
    shelf.publish(built.manifest.id)
    assert until(lambda: ask(own).status_code == 200 and name in caplog.text)
    assert ask(own).json()["snapshot_id"] == served


def test_a_damaged_current_changes_nothing_for_those_who_ask(own, shelf):
    (shelf.folder / CURRENT).write_bytes(b"\xff")
    assert first_sentence(own) == WAITS.format(48)
    shelf.rollback(shelf.ids()[0])
    assert until(lambda: first_sentence(own) == WAITS.format(24))


def test_a_server_with_a_damaged_current_says_that_it_cannot_answer(home, shelf):
    (shelf.folder / CURRENT).write_bytes(b"\xff")
    with client_of(home) as client:
        is_problem(ask(client), 503)
        shelf.rollback()
        assert until(lambda: ask(client).status_code == 200)


def test_what_nobody_expected_is_a_problem_without_its_traceback(own, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(Assistant, "trace", broken)
    response = ask(own)
    is_problem(response, 500, "RuntimeError")
    assert "secret of the inside" not in response.text
    assert "secret of the inside" in caplog.text
    assert own.get("/healthz").status_code == 200


def test_files_that_are_deleted_while_they_are_served_are_not_missed(own, shelf):
    for path in sorted((shelf.folder / shelf.current()).rglob("*")):
        if path.is_file():
            path.unlink()
    assert first_sentence(own) == WAITS.format(48)
    assert ask(own, "what is the network fee on mirador?").status_code == 200


def test_a_new_snapshot_is_served_without_a_restart(own, home):
    assert first_sentence(own) == WAITS.format(48)
    put(home, [article("waits", WAITS.format(60))])
    built = build_fast(home)
    assert until(lambda: ask(own).json()["snapshot_id"] == built.manifest.id)
    assert first_sentence(own) == WAITS.format(60)


def test_after_a_rollback_the_earlier_snapshot_is_served(own, shelf):
    assert first_sentence(own) == WAITS.format(48)
    earlier = shelf.rollback()
    assert until(lambda: ask(own).json()["snapshot_id"] == earlier)
    assert first_sentence(own) == WAITS.format(24)


def test_no_request_is_dropped_while_snapshots_change(own, shelf):
    ids = shelf.ids()
    outcomes = []
    done = threading.Event()

    def keep_asking():
        while not done.is_set():
            response = ask(own)
            outcomes.append(
                (response.status_code, response.json()["sentences"][0]["text"], response.json()["snapshot_id"])
            )

    askers = [threading.Thread(target=keep_asking) for _ in range(3)]
    for asker in askers:
        asker.start()
    for turn in range(6):
        shelf.publish(ids[turn % 2])
        done.wait(0.3)
    done.set()
    for asker in askers:
        asker.join()
    said = dict(zip(ids, (WAITS.format(24), WAITS.format(48)), strict=True))
    assert {code for code, _, _ in outcomes} == {200}
    assert {snapshot_id for _, _, snapshot_id in outcomes} == set(ids)
    assert all(text == said[snapshot_id] for _, text, snapshot_id in outcomes)


def test_the_snapshot_that_is_served_is_opened_once(home):
    desk = Desk(home)
    assert desk.assistant() is desk.assistant()


def test_a_snapshot_that_is_no_longer_served_is_let_go(home, shelf):
    desk = Desk(home)
    old = weakref.ref(desk.assistant().snapshot)
    earlier = shelf.rollback()
    assert until(lambda: desk.assistant().snapshot_id == earlier)
    gc.collect()
    assert old() is None


def test_health_needs_no_snapshot(client):
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_the_page_is_served_with_its_policy(client):
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"] == PAGE_POLICY
    assert "default-src 'none'" in PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert re.search('name="citedesk-key" content="cdw_[^"]{43,}"', response.text)
    assert "{{" not in response.text


TYPES = {
    ".js": "javascript",
    ".json": "application/json",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html",
}


@pytest.mark.parametrize(
    "path", ["/", *(f"/static/{file.name}" for file in sorted(STATIC.iterdir()) if file.suffix != ".html")]
)
def test_a_file_is_checked_anew_each_time_and_is_what_its_type_says(client, path):
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert TYPES[Path(path).suffix or ".html"] in response.headers["content-type"]
    head = client.head(path)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == response.headers["content-length"]
    assert head.headers["cache-control"] == "no-cache"


async def as_it_is(app, path):
    """Ask for a path as a hostile client sends it: httpx would fold the dots away."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(), "query_string": b"", "headers": [],
        "http_version": "1.1", "scheme": "http", "server": ("testserver", 80), "client": ("testclient", 1), "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/..%5capp.py", "/static/%2e%2e%2fapp.py",
     "/static/....//app.py", "/static/%00", "/static/page.css%00", "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/.",
     "/static/..", "/../pyproject.toml", "/static/page.css/../../app.py", "/static/PAGE.CSS"],
)  # fmt: skip
def test_no_file_outside_of_the_static_folder_is_served(app, path):
    status, headers, body = asyncio.run(as_it_is(app, path))
    assert status == 404
    assert headers[b"content-type"] == PROBLEM.encode()
    assert b"create_app" not in body


def test_the_schema_names_what_can_be_asked(client):
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {rule.route for rule in RULES} - {"/openapi.json", "/mcp"}
    fields = schema["components"]["schemas"]["QueryRequest"]["properties"]
    assert set(fields) == {"question", "exchange", "language", "page_url", "history", "only"}
