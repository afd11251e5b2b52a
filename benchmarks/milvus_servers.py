"""Milvus servers on loopback, for the tests and the benchmark: milvus-lite's, and the standalone one of the wheel `milvus`.

The standalone server binds every address of the machine. So it runs in a network of its own that has nothing but
loopback, and what comes in at a port of this machine's loopback is handed to it there.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

# Where the standalone server listens, in its own network.
INSIDE = 19530
# Seconds until a server has to answer. Unpacking and starting the standalone one took 13 s on two busy cores.
PATIENCE = 120.0
PIECE = 1 << 16


class ServerError(Exception):
    """A server cannot be run here, or did not start; the message says why."""


class MilvusServer:
    """A Milvus server of its own folder, on a free port of loopback; the same port after it was killed and started again.

    :ivar url: Its address.
    """

    def __init__(self, folder: Path, command: Callable[[Path, socket.socket], list[str]]) -> None:
        self._folder = folder
        self._command = command
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers.

        :raises ServerError: It ends or does not answer in time.
        """
        from pymilvus import MilvusClient, MilvusException

        listening = socket.create_server(("127.0.0.1", self._port))
        command = self._command(self._folder, listening)
        handed = (listening.fileno(),) if str(listening.fileno()) in command else ()
        if not handed:
            listening.close()
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, pass_fds=handed, start_new_session=True, cwd=self._folder
            )
        listening.close()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                MilvusClient(self.url, timeout=2.0, dedicated=True).close()
                return
            except MilvusException as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise ServerError(
                        f"{command[0]} did not start ({error}); {self._folder / 'log'} says more"
                    ) from error
                time.sleep(0.2)

    def database(self, name: str) -> str:
        """Make a database unless it is there, and give its address."""
        from pymilvus import MilvusClient

        client = MilvusClient(self.url, timeout=PATIENCE, dedicated=True)
        if name not in client.list_databases():
            client.create_database(name)
        client.close()
        return f"{self.url}/{name}"

    def signal(self, number: signal.Signals) -> None:
        """Send all its processes a signal: SIGSTOP lets it hang, SIGCONT go on."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it as a crash does, with all that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def memory_mb(self) -> float:
        """Give the resident memory of its processes, in megabytes."""
        assert self._process is not None
        group = str(self._process.pid)
        listed = subprocess.run(["ps", "-o", "rss=", "-g", group], capture_output=True, text=True, check=False)
        return sum(map(int, listed.stdout.split())) / 1024

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def lite(folder: Path) -> MilvusServer:
    """Give milvus-lite's server, which is one Python process.

    :raises ServerError: It is not installed.
    """
    program = _program("milvus-lite")

    def command(folder: Path, listening: socket.socket) -> list[str]:
        port = str(listening.getsockname()[1])
        return [program, "server", "--host", "127.0.0.1", "--port", port, "--data-dir", str(folder / "data")]

    return MilvusServer(folder, command)


def standalone(folder: Path) -> MilvusServer:
    """Give the standalone server of the wheel `milvus`, in a network of its own; some 0.3 GB of disk.

    :raises ServerError: It is not installed, or this user may not make a network.
    """
    program = _program("milvus-server")
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        raise ServerError(
            "the standalone Milvus binds all addresses and so has to run in a network of its own, but `unshare --net` "
            "does not work here; run as root, or allow user namespaces"
        )

    def command(folder: Path, listening: socket.socket) -> list[str]:
        inside = [sys.executable, __file__, str(listening.fileno())]
        return [*alone, *inside, program, "--data", str(folder / "data"), "--proxy-port", str(INSIDE)]

    return MilvusServer(folder, command)


def _program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    if not beside.exists():
        raise ServerError(f"{name} is not installed here; run `pip install 'citedesk[milvus,test]'`")
    return str(beside)


async def _relay(listening: socket.socket, server: list[str]) -> None:
    """Run a server, and hand it whatever comes in."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(PIECE):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", INSIDE)
        except OSError:  # it does not listen yet
            writer.close()
            return
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    async def end_with_parent(parent: int) -> None:
        while os.getppid() == parent:
            await asyncio.sleep(1.0)
        os.killpg(0, signal.SIGKILL)

    async with await asyncio.start_server(met, sock=listening):
        watching = asyncio.create_task(end_with_parent(os.getppid()))
        process = await asyncio.create_subprocess_exec(*server)
        code = await process.wait()
        watching.cancel()
        sys.exit(code)


if __name__ == "__main__":
    asyncio.run(_relay(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]))
