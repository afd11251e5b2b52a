"""The server as a process on a real port: strange clients, signals, kills, several workers, snapshots that change."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from desk_client import new_key
from homes import OTHERS, article, copy_home, home_of, replace_bytes
from prometheus_client.mmap_dict import MmapedDict
from redis_server import RedisServer

from benchmarks.memory import family, role_of
from index.snapshot import SnapshotShelf
from service.keys import LOOK_AGAIN
from service.server import LARGEST_HEADERS
from service.server_settings import ServerSettings

ROOT = Path(__file__).parents[1]
WAITS = "A withdrawal to a new address waits for {} hours on Kelpex."
QUESTION = json.dumps({"question": "how long does a withdrawal to a new address wait on kelpex"}).encode()
# Passes every limit and costs next to nothing.
EMPTY = json.dumps({"question": " "}).encode()
PROBLEM = "application/problem+json"
# A minute's questions with one key, where workers share them.
SHARED_LIMIT = 100


class Running:
    """A `citedesk serve` that answers, and what it printed."""

    def __init__(self, home: Path, *options: str, log: Path, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = log
        variables = {f"CITEDESK_{name.upper()}": value for name, value in environment.items()}
        command = [
            sys.executable,
            "-m",
            "service.cli",
            "serve",
            "--home",
            str(home),
            "--port",
            str(self.port),
            *options,
        ]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=out, stderr=out, env={**os.environ, **variables}, preexec_fn=_few_files
            )

    def wait(self) -> None:
        end = time.monotonic() + 60
        while self.call("GET", "/healthz")[0] != 200:
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < end, self.printed()
            time.sleep(0.05)

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def call(
        self, method: str, path: str, body: bytes | None = None, key: str = "", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Make one call on a connection of its own; status 0 where there is no answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            given = {
                "Content-Type": "application/json",
                **headers,
                **({"Authorization": f"Bearer {key}"} if key else {}),
            }
            connection.request(method, path, body, given)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except (OSError, HTTPException):
            return 0, {}, b""
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def workers(self) -> set[int]:
        return {pid for pid in family(self.process.pid) if role_of(pid) == "worker"}


def _few_files() -> None:
    """Begin as most systems let a process begin, or stricter: 256 open files unless it asks for more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@contextmanager
def running(home: Path, *options: str, log: Path, **environment: str) -> Iterator[Running]:
    server = Running(home, *options, log=log, **environment)
    try:
        server.wait()
        yield server
    finally:
        workers = server.workers()
        server.process.terminate()
        try:
            server.process.wait(20)
        finally:
            for pid in (server.process.pid, *workers):
                if server.process.poll() is None or pid in workers:
                    _kill(pid)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with two snapshots; the published one says 48 hours."""
    home = home_of(tmp_path_factory.mktemp("served") / "home", [*OTHERS, article("waits", WAITS.format(24))])
    return home_of(home, [article("waits", WAITS.format(48))])


@pytest.fixture(scope="module")
def key(home):
    return new_key(home)


@pytest.fixture(scope="module")
def server(home, key, tmp_path_factory):
    """One process that waits for a request for a second."""
    log = tmp_path_factory.mktemp("log") / "server.log"
    with running(home, log=log, request_seconds="1", key_per_minute="100000") as server:
        yield server


@pytest.fixture(scope="module")
def redis():
    with RedisServer() as redis:
        yield redis


@pytest.fixture(scope="module")
def cluster(home, key, redis, tmp_path_factory):
    """Four workers that share a Redis."""
    log = tmp_path_factory.mktemp("log") / "cluster.log"
    with running(
        home, "--workers", "4", "--redis", redis.url, log=log, key_per_minute=str(SHARED_LIMIT), hung_seconds="5"
    ) as server:  # fmt: skip
        assert until(lambda: server.printed().count(" is served") == 4)
        yield server


@pytest.fixture
def keys(home):
    """Enough keys that no limit is reached."""
    made = [new_key(home) for _ in range(16)]
    time.sleep(LOOK_AGAIN + 0.1)
    return made


def until(holds, seconds=30.0):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def received(connection: socket.socket) -> bytes:
    """Read until the server ends the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def exchanged(server: Running, *parts: bytes) -> bytes:
    """Send, and give everything that comes back until the server ends the connection."""
    with server.connect() as connection:
        for part in parts:
            connection.sendall(part)
        return received(connection)


def is_problem(answer: bytes, status: int, said: str = "") -> None:
    """Check that an answer on the wire is one problem and nothing else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert f"content-type: {PROBLEM}".encode() in head.lower()
    assert f"content-length: {len(body)}".encode() in head.lower()
    assert b"connection: close" in head.lower()
    told = json.loads(body)
    assert told["status"] == status
    assert told["title"]
    assert said in told["detail"]


def send_for_ever(connection: socket.socket, chunk: bytes) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        connection.sendall(chunk)


def head_of(method: str, path: str, key: str, *headers: str) -> bytes:
    lines = (
        f"{method} {path} HTTP/1.1",
        "Host: desk",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
    )
    return "\r\n".join((*lines, *headers, "", "")).encode()


def answers(server: Running, key: str) -> bool:
    return server.call("POST", "/v1/query", QUESTION, key)[0] == 200


# ---- strange clients


@pytest.mark.parametrize(
    "flood",
    [b"x: " + b"y" * 60_000 + b"\r\n\r\n", b"x: " + b"y" * 2_000_000, b"x-1: y\r\n" * 5_000 + b"\r\n", b"x" * 20_000],
    ids=["one long header", "one without end", "many", "no colon"],
)
def test_a_flood_of_headers_is_refused_and_the_client_hears_why(server, flood):
    is_problem(exchanged(server, b"GET /healthz HTTP/1.1\r\nHost: desk\r\n" + flood), 431, f"{LARGEST_HEADERS:,} bytes")


def test_a_path_that_is_too_long_is_refused(server):
    is_problem(exchanged(server, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: desk\r\n\r\n"), 431)


@pytest.mark.parametrize(
    "said", [b"hello\r\n\r\n", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", b"\x00" * 100, b"\xff\xfe\r\n\r\n"]
)
def test_what_is_no_http_is_told_so(server, said):
    is_problem(exchanged(server, said), 400, "no HTTP/1.1")


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: desk\r\nX-Slow: "])
def test_headers_that_do_not_arrive_are_not_waited_for(server, begun):
    started = time.monotonic()
    is_problem(exchanged(server, begun), 408, "within 1 seconds")
    assert 0.9 < time.monotonic() - started < 5


def test_a_byte_now_and_then_gives_headers_no_more_time(server):
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        for _ in range(4):
            time.sleep(0.2)
            connection.sendall(b"y")
        is_problem(received(connection), 408)


def test_a_body_that_stops_half_way_is_not_waited_for(server, key):
    half = head_of("POST", "/v1/query", key, f"Content-Length: {len(QUESTION)}") + QUESTION[:10]
    is_problem(exchanged(server, half), 408, "within 1 seconds")


def test_a_body_with_less_than_was_said_costs_nobody_an_answer(server, key):
    with server.connect() as connection:
        connection.sendall(head_of("POST", "/v1/query", key, "Content-Length: 1000") + QUESTION)
        connection.shutdown(socket.SHUT_WR)
    assert answers(server, key)


def test_a_body_with_more_than_was_said_is_answered_and_the_rest_is_no_request(server, key):
    first, _, second = exchanged(
        server, head_of("POST", "/v1/query", key, f"Content-Length: {len(EMPTY)}") + EMPTY + b"and more\r\n\r\n"
    ).partition(b"HTTP/1.1 400 ")
    assert first.startswith(b"HTTP/1.1 422 ")
    is_problem(b"HTTP/1.1 400 " + second, 400)


def test_a_body_that_is_announced_too_large_is_refused_and_the_client_hears_it(server, key):
    head = head_of("POST", "/v1/query", key, "Content-Length: 5000000")
    is_problem(exchanged(server, head + b"x" * 5_000_000), 413, f"{ServerSettings().largest_body:,}")


def test_a_body_without_end_is_refused_where_it_becomes_too_large(server, key):
    head = head_of("POST", "/v1/query", key, "Transfer-Encoding: chunked")
    with server.connect() as connection:
        connection.sendall(head)
        with pytest.raises(OSError):  # noqa: PT011  (a reset, or a pipe that is closed)
            send_for_ever(connection, b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
    assert answers(server, key)


def test_chunks_that_are_none_are_told_so(server, key):
    head = head_of("POST", "/v1/query", key, "Transfer-Encoding: chunked")
    is_problem(exchanged(server, head, b"zz\r\nnonsense\r\n"), 400)


@pytest.mark.parametrize("body", [b'{"question": "\xff\xfe"}', b"\xff" * 40, b'{"question": "fees', b"\x80"])
def test_invalid_utf_8_is_told_so(server, key, body):
    status, headers, told = server.call("POST", "/v1/query", body, key)
    assert status in {400, 422}
    assert headers["content-type"] == PROBLEM
    assert b"Traceback" not in told


def test_one_connection_serves_many_requests(server, key):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    for _ in range(3):
        connection.request(
            "POST", "/v1/query", QUESTION, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        )
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["status"]) == (200, "answered")
        socket_ = connection.sock
    assert connection.sock is socket_
    connection.close()


def test_requests_that_are_sent_at_once_are_answered_in_their_order(server, key):
    asked = head_of("POST", "/v1/query", key, f"Content-Length: {len(QUESTION)}") + QUESTION
    last = head_of("GET", "/healthz", key, "Connection: close")
    told = exchanged(server, head_of("GET", "/v1/nowhere", key) + asked + last)
    assert [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+) ", told)] == [404, 200, 200]


def test_a_connection_that_was_used_has_as_long_for_its_next_headers(server, key):
    with server.connect() as connection:
        connection.sendall(head_of("GET", "/healthz", key))
        answer = b""
        while not answer.endswith(b'{"status":"ok"}'):
            answer += connection.recv(65536)
        time.sleep(1.2)  # idle for longer than headers may take: that is no fault
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        is_problem(received(connection), 408)


def test_three_hundred_idle_connections_do_not_stop_answers(server, key):
    with ExitStack() as idle:
        for _ in range(300):
            idle.enter_context(server.connect())
        assert answers(server, key)
        assert server.call("GET", "/healthz")[0] == 200


# ---- how it is locked, and what it refuses to start with


def test_it_says_how_it_is_locked(server):
    printed = server.printed()
    assert f"http://127.0.0.1:{server.port}/healthz" in printed
    assert re.search(r"needs a key; there are: 0 widget, \d+ secret, 0 admin", printed)
    assert "demo" not in printed
    assert server.call("GET", "/")[0] == 404


def test_the_demo_has_a_key_of_its_own_that_its_own_page_alone_may_use(home, tmp_path):
    keyless = copy_home(home, tmp_path / "home")
    for path in keyless.glob("keys.sqlite*"):
        path.unlink()
    with running(keyless, "--demo", log=tmp_path / "log") as server:
        assert "demo " in server.printed()
        assert "there is none yet" in server.printed()
        assert "citedesk keys create" in server.printed()
        page = server.call("GET", "/")[2].decode()
        key = re.search('name="citedesk-key" content="(cdw_[^"]+)"', page)[1]
        here = f"http://127.0.0.1:{server.port}"
        assert server.call("POST", "/v1/query", QUESTION, key, Origin=here)[0] == 200
        for origin in ("https://evil.example", "http://127.0.0.1:1", "null"):
            assert server.call("POST", "/v1/query", QUESTION, key, Origin=origin)[0] == 403
        assert server.call("POST", "/v1/query", QUESTION, key)[0] == 403
        assert server.call("GET", "/metrics", None, key, Origin=here)[0] == 403
        assert server.call("POST", "/v1/query", QUESTION)[0] == 401


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "2"], "--redis"),
        (["--workers", "2", "--redis", "nonsense"], "redis://localhost:6379/0"),
        ([], "--port"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_sentence(home, server, options, said):
    port = "0" if options else str(server.port)
    command = [sys.executable, "-m", "service.cli", "serve", "--home", str(home), "--port", port, *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


# ---- the end


def test_a_request_that_is_half_sent_when_the_server_ends_is_still_answered(home, key, tmp_path):
    with running(home, log=tmp_path / "log") as server:
        asked = head_of("POST", "/v1/query", key, f"Content-Length: {len(QUESTION)}") + QUESTION
        with server.connect() as half_head, server.connect() as half_body, server.connect() as idle:
            half_head.sendall(asked[:40])
            half_body.sendall(asked[:-10])
            time.sleep(0.3)
            server.process.terminate()
            assert until(lambda: server.call("GET", "/healthz")[0] == 0, 5)
            assert received(idle) == b""
            half_head.sendall(asked[40:])
            half_body.sendall(asked[-10:])
            assert received(half_head).startswith(b"HTTP/1.1 200 OK")
            assert received(half_body).startswith(b"HTTP/1.1 200 OK")
        assert server.process.wait(10) == 0
        assert "Traceback" not in server.printed()


# ---- several workers


class Askers:
    """Clients that ask one question after another; what they heard, and when."""

    def __init__(self, server: Running, keys: list[str], number: int = 4) -> None:
        self._server = server
        self._keys = keys
        self._done = threading.Event()
        self.heard: list[tuple[float, int, bytes]] = []
        self._threads = [threading.Thread(target=self._ask, args=(turn,)) for turn in range(number)]

    def __enter__(self) -> "Askers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, turn: int) -> None:
        while not self._done.is_set():
            key = self._keys[turn % len(self._keys)]
            status, _, body = self._server.call("POST", "/v1/query", QUESTION, key)
            self.heard.append((time.monotonic(), status, body))
            turn += 1
            self._done.wait(0.1)

    def codes(self, since: float = 0.0) -> Counter:
        return Counter(status for at, status, _ in self.heard if at > since)

    def more(self, number: int = 20) -> bool:
        """Wait until so many more questions were answered."""
        wanted = self.codes()[200] + number
        return until(lambda: self.codes()[200] >= wanted)


def figures(cluster: Running) -> Path:
    """Give the folder in which the workers count."""
    environment = Path(f"/proc/{next(iter(cluster.workers()))}/environ").read_text().split("\0")
    return Path(next(line.partition("=")[2] for line in environment if line.startswith("PROMETHEUS_MULTIPROC_DIR=")))


def served_by(cluster: Running) -> dict[int, float]:
    """Count the questions that each worker was asked."""
    counts = {}
    for path in figures(cluster).glob("counter_*.db"):
        values = MmapedDict.read_all_values_from_file(path)
        asked = [value for name, value, *_ in values if '"citedesk_requests"' in name and "/v1/query" in name]
        counts[int(path.stem.split("_")[1])] = sum(asked)
    return counts


def test_four_workers_share_one_limit(cluster, home):
    key = new_key(home)
    time.sleep(LOOK_AGAIN + 0.1)  # until each worker knows it
    codes: list[int] = []
    before = served_by(cluster)
    turns = iter(range(300))

    def ask() -> None:
        for _ in turns:
            codes.append(cluster.call("POST", "/v1/query", EMPTY, key)[0])

    askers = [threading.Thread(target=ask) for _ in range(6)]
    started = time.monotonic()
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    refilled = (time.monotonic() - started) * SHARED_LIMIT / 60
    counted = Counter(codes)
    assert set(counted) == {422, 429}
    assert SHARED_LIMIT <= counted[422] <= SHARED_LIMIT + refilled
    took = {pid: count - before.get(pid, 0) for pid, count in served_by(cluster).items()}
    assert sum(count > 0 for count in took.values()) >= 2, took


def test_while_a_worker_is_killed_the_others_answer_and_it_is_started_again(cluster, keys):
    before = cluster.workers()
    assert len(before) == 4
    with Askers(cluster, keys) as askers:
        assert askers.more()
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        assert askers.more()
        assert until(lambda: len(cluster.workers() - {killed}) == 4)
        assert until(lambda: cluster.printed().count(" is served") == 5)
        assert askers.more()
        assert list(figures(cluster).glob("gauge_live*"))
        assert not list(figures(cluster).glob(f"gauge_live*_{killed}.db"))  # it counts as running no more
    # Each of four askers had one question under way.
    assert askers.codes()[0] <= 4
    assert set(askers.codes()) <= {0, 200, 503}
    assert set(askers.codes(since=askers.heard[-10][0])) == {200}


def test_a_worker_that_hangs_is_killed_and_another_one_takes_its_place(cluster, keys):
    hung = min(cluster.workers())
    os.kill(hung, signal.SIGSTOP)
    assert until(lambda: hung not in cluster.workers() and len(cluster.workers()) == 4)
    assert f"worker {hung} gave no sign of life" in cluster.printed()
    with Askers(cluster, keys) as askers:
        assert askers.more()
    assert set(askers.codes()) == {200}


def test_without_redis_questions_are_answered_and_conversations_say_when_to_come_back(cluster, redis, keys):
    status, headers, _ = cluster.call("POST", "/v1/conversations", b"{}", keys[0])
    assert status == 201
    place = headers["location"]
    with Askers(cluster, keys[1:]) as askers:
        redis.kill()
        assert askers.more(30)
        for call in (
            ("POST", "/v1/conversations", b"{}"),
            ("GET", place, None),
            ("POST", f"{place}/questions", QUESTION),
        ):
            status, headers, body = cluster.call(*call, keys[0])
            assert status == 503
            assert int(headers["retry-after"]) > 0
            assert headers["content-type"] == PROBLEM
            assert b"edis" not in body
        redis.start()
        assert until(lambda: cluster.call("POST", "/v1/conversations", b"{}", keys[0])[0] == 201, 10)
        assert askers.more()
        assert cluster.call("GET", place, None, keys[0])[0] == 404  # this Redis keeps nothing
    assert set(askers.codes()) <= {200, 503}
    assert askers.codes()[200] > 0.9 * len(askers.heard)


# ---- snapshots


def test_while_snapshots_come_and_go_no_request_is_lost_and_no_answer_wrong(server, home, key):
    shelf = SnapshotShelf(home)
    ids = shelf.ids()
    expected = dict(zip(ids, (WAITS.format(24), WAITS.format(48)), strict=True))
    damaged = shelf.folder / "29990101T000000000-00000000"
    copied = copy_home(shelf.folder / ids[1], damaged)
    manifest = json.loads((copied / "manifest.json").read_text())
    replace_bytes(copied / "manifest.json", json.dumps({**manifest, "id": damaged.name}).encode())
    replace_bytes(copied / "passages.sqlite", (copied / "passages.sqlite").read_bytes()[:-1])

    def is_served(snapshot_id: str) -> bool:
        return json.loads(askers.heard[-1][2])["snapshot_id"] == snapshot_id

    with Askers(server, [key], 2) as askers:
        assert askers.more(10)
        for snapshot_id in (ids[0], ids[1], ids[0]):
            shelf.publish(snapshot_id)
            assert until(lambda: is_served(snapshot_id))  # noqa: B023
        shelf.publish(damaged.name)
        assert until(lambda: "cannot be opened, the one before is served on" in server.printed())
        assert askers.more(10)
        assert is_served(ids[0])
        shelf.rollback(ids[1])
        assert until(lambda: is_served(ids[1]))
    assert set(askers.codes()) == {200}
    for _, _, body in askers.heard:
        answer = json.loads(body)
        assert answer["sentences"][0]["text"] == expected[answer["snapshot_id"]]


# ---- the end of a server with workers


def test_workers_do_not_outlive_a_server_that_was_killed(cluster):
    workers = cluster.workers()
    assert len(workers) == 4
    cluster.process.kill()
    cluster.process.wait()
    assert until(lambda: not any(role_of(pid) == "worker" for pid in workers))
    assert cluster.call("GET", "/healthz")[0] == 0
