"""A client with a key, and the application that it talks to."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from service.app import create_app
from service.keys import LOOK_AGAIN, KeyStore, Kind
from service.server_settings import ServerSettings

ORIGIN = "https://help.kelpex.example"
#: Limits that no test reaches unless it means to.
LARGE = {"client_per_minute": 100_000, "key_per_minute": 100_000}


def new_key(home: Path, kind: Kind = "secret", origins: tuple[str, ...] = (ORIGIN,)) -> str:
    home.mkdir(parents=True, exist_ok=True)
    return KeyStore(home / "keys.sqlite").create(kind, f"a {kind} key", origins if kind == "widget" else ())[1]


def key_while_running(home: Path, kind: Kind = "secret") -> str:
    """Make a key that an application which runs already knows: it looks at the keys twice a second."""
    text = new_key(home, kind)
    time.sleep(1.5 * LOOK_AGAIN)
    return text


def with_key(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@contextmanager
def client_of(
    home: Path, kind: Kind | None = "secret", *, milvus: str | None = None, **settings: object
) -> Iterator[TestClient]:
    """Run the application and give a client that has a key of a kind, or none."""
    app = create_app(home, ServerSettings(**{**LARGE, **settings}), milvus=milvus)
    headers = with_key(new_key(home, kind)) if kind else {}
    if kind == "widget":
        headers["Origin"] = ORIGIN
    with TestClient(app, raise_server_exceptions=False, headers=headers) as client:
        yield client
