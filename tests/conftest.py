import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.milvus_servers import MilvusServer, ServerError, lite, standalone
from index.build import build
from index.snapshot import SnapshotShelf
from index.weights import exported
from ingest.exchanges import load_directory, shipped_path
from ingest.pipeline import ingest
from ingest.sources import find_sources
from ingest.store import CorpusStore
from service.assistant import Assistant
from service.settings import read_settings

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "corpus"


def make_home(home: Path, source: Path, encoder: str) -> Path:
    """Ingest and build as the command line does."""
    with CorpusStore(home / "corpus.sqlite") as store:
        report = ingest(find_sources(str(source)), store, load_directory())
    assert not report.problems
    build(home, exported(encoder, read_settings().cache), shipped_path().read_text(encoding="utf-8"))
    return home


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the page that the project began with; it is no part of the project."""
    path = Path(os.environ.get("CITEDESK_SHARED", ROOT.parent / "shared"))
    if not (path / "seed").is_dir():
        pytest.skip(f"{path} is not there; set CITEDESK_SHARED")
    return path


def _running(make: Callable[[Path], MilvusServer], folder: Path) -> Iterator[MilvusServer]:
    try:
        server = make(folder)
    except ServerError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="session")
def milvus_lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """milvus-lite's server; give each test's passages a database of their own."""
    yield from _running(lite, tmp_path_factory.mktemp("milvus-lite"))


@pytest.fixture(scope="session")
def milvus_standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """The standalone server of the wheel, which has no sparse vectors; it takes some 13 s and 0.5 GB of memory."""
    yield from _running(standalone, tmp_path_factory.mktemp("milvus-standalone"))


@pytest.fixture(scope="session")
def starter_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the starter articles, built with the default encoder."""
    return make_home(tmp_path_factory.mktemp("starter"), CORPUS / "sources.toml", "e5")


@pytest.fixture(scope="session")
def starter(starter_home: Path) -> Assistant:
    return Assistant(SnapshotShelf(starter_home).open())


PAGES = {
    "kelpex": (
        "How Kelpex withdrawals work",
        "Kelpex sends bitcoin withdrawals every ten minutes. A withdrawal to a new address waits for 24 hours on Kelpex. "
        "The Kelpex network fee for bitcoin is 0.0002 BTC.",
    ),
    "mirador": (
        "How Mirador withdrawals work",
        "Mirador sends bitcoin withdrawals once an hour. No, Mirador does not delay withdrawals to new addresses. "
        "The Mirador network fee for bitcoin is 0.0005 BTC.",
    ),
}


@pytest.fixture
def small_source(tmp_path: Path) -> Path:
    """Two articles of two exchanges that only they name, as a JSONL file."""
    import json

    rows = [
        {"id": f"{name}-withdrawals", "url": f"https://help.{name}.example/withdrawals", "title": title, "text": text,
         "exchange": name.capitalize(), "updated": "2026-05-01"}
        for name, (title, text) in PAGES.items()
    ]  # fmt: skip
    path = tmp_path / "articles.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def small_home(tmp_path: Path, small_source: Path) -> Path:
    """A home with the two articles, built with the fast encoder."""
    return make_home(tmp_path / "home", small_source, "minilm")
