"""Runs the application: one process or several, which share the mapped index, and a clean end."""

import asyncio
import logging
import math
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from service.app import create_app
from service.logs import configure
from service.metrics import SHARED_FOLDER, forget_process
from service.server_settings import ServerSettings, read_server_settings
from service.settings import Settings, SettingsError, read_settings
from service.state import open_state

# Bytes of a request's line and headers; browsers and proxies stay below half of it.
LARGEST_HEADERS = 16 * 1024
# Seconds that requests under way have to end when the server is stopped.
GRACE = 10
# Seconds in which an idle connection has to send the next request.
KEEP_ALIVE = 15
# Seconds in which a client that still sends may read why it is not heard, before the connection is cut.
LINGER = 1.0
# Seconds between two signs of life of a worker.
BEAT = 1.0
# Bytes that are looked at together: h11 measures headers only while they are incomplete.
_PIECE = 4 * 1024
_log = logging.getLogger(__name__)


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 (h11 bounds the headers), with a time in which they have to arrive, and errors as problem+json.

    Without it a client that sends its headers a byte a minute holds a connection for ever (uvicorn 0.54).
    """

    #: Seconds from the connection, or from the end of the request before, to the last byte of the headers.
    header_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None
    _answered_for: object = None
    _is_last = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; wait on unless the headers are there."""
        if self.cycle is not None and self.cycle.response_complete and self._deadline is None:
            self._wait()
        for start in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return  # what is sent after the last answer is not read
            super().data_received(data[start : start + _PIECE])
        if self.cycle is not None and self.cycle is not self._answered_for:
            self._answered_for = self.cycle
            self._wait_no_more()
            self.cycle.keep_alive = self.cycle.keep_alive and not self._is_last

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End with the request that is under way, if only half of its headers are there too."""
        if self._deadline and self.conn.trailing_data[0]:
            self._is_last = True
        elif not self.transport.is_closing():
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, or that its headers are too large."""
        if len(self.conn.trailing_data[0]) > LARGEST_HEADERS:
            self._refuse(431, f"The request line and the headers may have {LARGEST_HEADERS:,} bytes at most.")
        else:
            self._refuse(400, "This is no HTTP/1.1 request.")

    def is_sent_to(self) -> bool:
        """Tell whether the client is in the midst of a request."""
        return self.conn.their_state in {h11.SEND_BODY, h11.ERROR}

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._too_slow)

    def _wait_no_more(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(408, f"The headers did not arrive within {self.header_seconds:g} seconds.")

    def _refuse(self, status: int, detail: str) -> None:
        reason = HTTPStatus(status).phrase
        body = f'{{"type":"about:blank","title":"{reason}","status":{status},"detail":"{detail}"}}'.encode()
        headers = [
            ("Content-Type", "application/problem+json"), ("Content-Length", str(len(body))), ("Connection", "close"),
        ]  # fmt: skip
        start = h11.Response(status_code=status, headers=headers, reason=reason)
        try:
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            pass  # a response is under way already: the connection just ends
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # whoever waits for the rest of its body waits in vain
            self.cycle.message_event.set()
        self.transport.close()


class _Lingering:
    """A connection that lets a client read the answer that it got in the midst of its request.

    A plain close, with bytes unread, would make the kernel reset the connection, and the answer might be lost with it.
    """

    def __init__(self, transport: asyncio.Transport, protocol: PatientProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._lingers = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Tell whether nothing more is read or written."""
        return self._lingers or self._transport.is_closing()

    def close(self) -> None:
        """Write nothing more; end at once, or where the client still sends, when it has heard why."""
        if self._lingers or not self._protocol.is_sent_to() or self._transport.is_closing():
            self._transport.close()
            return
        self._lingers = True
        self._transport.resume_reading()  # and what comes is dropped
        self._transport.write_eof()
        self._protocol.loop.call_later(LINGER, self._transport.close)


class Workers(Multiprocess):
    """Starts a worker again that has ended, and asks the kernel alone whether it has.

    uvicorn asks each worker in turn and waits 5 s for its reply: where all cores are busy, one that is still importing, or
    answering, is killed for being slow, and where one is killed while it is asked, nobody looks at the others meanwhile.
    Here a worker's event loop leaves signs of life, and one that was alive and has left none for long is killed.

    :ivar beats: The folder of these signs.
    :ivar hung_seconds: For how long.
    """

    beats: Path
    hung_seconds: float
    _looked = math.inf

    def keep_subprocess_alive(self) -> None:
        """Put a new worker in the place of each that has ended or hangs; end if one cannot start."""
        self._kill_hung()
        for place, worker in enumerate(self.processes):
            if self.should_exit.is_set() or worker.process.is_alive():
                continue
            if worker.exitcode == STARTUP_FAILURE:
                _log.error("worker %s cannot start, see above: the server ends", worker.pid)
                self.should_exit.set()
                return
            _log.error("worker %s ended (%s): another one is started", worker.pid, worker.exitcode)
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()

    def _kill_hung(self) -> None:
        looked, self._looked = self._looked, time.monotonic()
        if self._looked - looked > self.hung_seconds / 2:
            return  # this process was held up as well: the machine slept, and the workers need a moment too
        for worker in self.processes:
            if (beat := _beat_of(self.beats, worker.pid)) and time.time() - beat > self.hung_seconds:
                _log.error("worker %s gave no sign of life for %g seconds: it is killed", worker.pid, self.hung_seconds)
                worker.kill()
                worker.join()


def serve(settings: Settings, server: ServerSettings) -> None:
    """Answer over HTTP until a signal ends it; requests under way are answered first.

    :raises SettingsError: The address of Redis cannot be used.
    """
    _check_state(server)
    configure()
    _allow_connections()
    # uvicorn ends well and then sends the signal on, which would look like a crash to whoever started this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    PatientProtocol.header_seconds = server.request_seconds
    options: dict[str, Any] = {
        "host": server.host, "port": server.port, "http": PatientProtocol, "ws": "none", "log_config": None,
        "access_log": False, "server_header": False, "h11_max_incomplete_event_size": LARGEST_HEADERS,
        "timeout_keep_alive": KEEP_ALIVE, "timeout_graceful_shutdown": GRACE, "proxy_headers": bool(server.proxies),
        "forwarded_allow_ips": server.proxies or None,
    }  # fmt: skip
    if server.workers == 1:
        uvicorn.run(create_app(settings.home, server, risk=settings.risk, milvus=settings.milvus), **options)
        return
    # The workers read their settings from the environment, as they are new processes.
    os.environ |= _as_environment(settings, server)
    figures = tempfile.mkdtemp(prefix="citedesk-metrics-")
    os.environ[SHARED_FOLDER] = figures
    try:
        config = uvicorn.Config("service.server:app_of_environment", factory=True, workers=server.workers, **options)
        workers = Workers(config, sockets=[config.bind_socket()])
        workers.beats, workers.hung_seconds = Path(figures), server.hung_seconds
        workers.run()
    finally:
        shutil.rmtree(figures, ignore_errors=True)


def app_of_environment() -> FastAPI:
    """Make the application of one worker, which finds everything in its environment."""
    configure()
    _end_with_parent()
    figures = Path(os.environ[SHARED_FOLDER])
    _forget_the_dead(figures)
    settings, server = read_settings(), read_server_settings()
    PatientProtocol.header_seconds = server.request_seconds
    app = create_app(settings.home, server, risk=settings.risk, milvus=settings.milvus)
    return _with_beats(app, figures)


def is_free(host: str, port: int) -> bool:
    """Tell whether a port can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _check_state(server: ServerSettings) -> None:
    """Refuse an address of Redis here, since a worker that cannot start would be started again and again."""
    try:
        open_state(server.redis).close()
    except ValueError as error:
        raise SettingsError(f"--redis (CITEDESK_REDIS): {error}") from error


def _allow_connections() -> None:
    """Allow as many open connections as this process may have; often it begins with 1,024."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _end_with_parent() -> None:
    """End well when the process that started this worker is gone: nobody else would end it, and it would keep the port."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        _log.error("the process that started this worker is gone: it ends too")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _with_beats(app: FastAPI, beats: Path) -> FastAPI:
    """Let the event loop that runs an application leave signs of life while it does."""
    path = beats / f"beat-{os.getpid()}"
    inner = app.router.lifespan_context

    async def beat() -> None:
        while True:
            path.touch()
            await asyncio.sleep(BEAT)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        beating = asyncio.create_task(beat())
        async with inner(app) as state:
            yield state or {}
        beating.cancel()
        path.unlink(missing_ok=True)

    app.router.lifespan_context = living
    return app


def _beat_of(beats: Path, pid: int | None) -> float | None:
    """Give when a worker last left a sign of life (Unix time); None before the first and after the last."""
    try:
        return (beats / f"beat-{pid}").stat().st_mtime
    except FileNotFoundError:
        return None


def _forget_the_dead(figures: Path) -> None:
    """Drop the gauges of workers that were killed, before this one takes the place of one of them."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in figures.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            forget_process(pid)


def _as_environment(settings: Settings, server: ServerSettings) -> dict[str, str]:
    told = {"home": Path(settings.home).absolute(), "cache": settings.cache, "risk": settings.risk}
    told |= {name: value for name, value in server.model_dump().items() if value is not None}
    return {f"CITEDESK_{name.upper()}": str(value) for name, value in told.items()}
