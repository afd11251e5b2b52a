"""The application on a real socket of loopback, for clients that are not told that it is a test."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

# Seconds in which it starts, or ends, even where other work is running.
LONGEST = 30


@contextmanager
def live(app: FastAPI) -> Iterator[str]:
    """Serve an application with uvicorn, its lifespan with it; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="live-server")
        thread.start()
        deadline = time.monotonic() + LONGEST
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            assert server.started, "the application did not start; the log says why"
            yield "http://{}:{}".format(*listening.getsockname())
        finally:
            server.should_exit = True
            thread.join(LONGEST)
        assert not thread.is_alive()
