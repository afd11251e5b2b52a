"""A Redis server for tests: Debian's, on loopback and a socket, in a folder of its own, keeping nothing."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


class RedisServer:
    """A redis-server of this test alone; skips the test where there is none on the machine.

    :ivar url: Its address on a free loopback port; the same after it was killed and started again.
    :ivar unix_url: Its address as a socket in the file system.
    """

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not on this machine (Debian: apt-get install redis-server)")
        # Not pytest's folder: the path of a socket has about 100 characters at most.
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self._socket = Path(self._folder.name, "redis.sock")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._command = [
            program, "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(self._socket), "--save", "",
            "--appendonly", "no", "--dir", self._folder.name, "--loglevel", "warning",
        ]  # fmt: skip
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self.unix_url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start: {' '.join(self._command)}")
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP lets it hang, SIGCONT go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does, with nothing said to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
