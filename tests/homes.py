"""Homes for tests: written from rows, copied, and read back."""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from index.build import Built, build
from index.search import DEPTH
from index.weights import exported
from ingest.exchanges import load_directory, shipped_path
from ingest.pipeline import ingest
from ingest.sources import find_sources
from ingest.store import CorpusStore
from service.settings import read_settings

Row = dict[str, str]


def article(name: str, text: str, *, exchange: str = "Kelpex", title: str = "", **fields: str) -> Row:
    """A line of a JSONL source; its address is none that the list of exchanges knows, unless ``url`` is given."""
    row = {"id": name, "url": f"https://help.example/{name}", "title": title or name, "text": text}
    return {**row, **({"exchange": exchange} if exchange else {}), **fields}


# What a question is not about: the score of a passage is how far it stands out from the others.
OTHERS = (
    article(
        "mirador-fees", "The taker fee on the Mirador spot market is 0.2%, the maker fee is 0.1%.", exchange="Mirador"
    ),
    article(
        "mirador-staking", "Staked coins earn rewards every Monday. Unstaking takes seven days.", exchange="Mirador"
    ),
    article("kelpex-codes", "Scan the picture with an authenticator app, then type the six digits into Kelpex."),
)


CROWDED = "How long does a bitcoin withdrawal to a new address wait?"
MIRADOR = {
    "mirador-fees": "Mirador takes a taker fee of 0.2% on the spot market.",
    "mirador-staking": "Staked coins earn rewards every Monday.",
    "mirador-codes": "Scan the picture with an authenticator app, then type the six digits.",
}


def crowd() -> list[Row]:
    """More articles that repeat the question `CROWDED` than either list is deep, and others that only a filter brings up."""
    rows = [article(f"kelpex-{n}", f"{CROWDED} It waits {n + 2} hours.", title=CROWDED) for n in range(DEPTH + 10)]
    rows += [article(name, text, exchange="Mirador") for name, text in MIRADOR.items()]
    rows += [article("tax", "A tax report lists every trade of a year.", exchange="")]
    rows += [article("odd", "A withdrawal waits for a day.", exchange='Nim"us OR (group:*)')]
    return rows


def put(home: Path, rows: Iterable[Row], *, max_age_days: int | None = None) -> None:
    """Ingest rows into a home; each time as a source of its own, so that nothing is taken out that was put before."""
    folder = home.parent / f"{home.name}-source-{len(list(home.parent.glob(f'{home.name}-source-*')))}"
    folder.mkdir(parents=True)
    (folder / "articles.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    limit = f"max_age_days = {max_age_days}" if max_age_days else ""
    (folder / "sources.toml").write_text(f'[[source]]\npath = "articles.jsonl"\n{limit}\n', encoding="utf-8")
    with CorpusStore(home / "corpus.sqlite") as store:
        report = ingest(find_sources(str(folder / "sources.toml")), store, load_directory())
    assert not report.problems


def fast_encoder() -> Path:
    """The folder of the exported minilm encoder."""
    return exported("minilm", read_settings().cache)


def build_fast(home: Path, directory: str | None = None) -> Built:
    """Build a home with the fast encoder."""
    text = shipped_path().read_text(encoding="utf-8") if directory is None else directory
    return build(home, fast_encoder(), text)


def home_of(home: Path, rows: Sequence[Row], *, max_age_days: int | None = None) -> Path:
    """A home with these articles, built with the fast encoder."""
    put(home, rows, max_age_days=max_age_days)
    build_fast(home)
    return home


def copy_home(home: Path, to: Path) -> Path:
    """Copy a home. Files of snapshots are linked: replace them, do not write into them."""

    def copy(source: str, target: str) -> str:
        snapshots = home / "snapshots"
        linked = Path(source).is_relative_to(snapshots) and Path(source).parent != snapshots
        return os.link(source, target) or target if linked else shutil.copy2(source, target)

    return Path(shutil.copytree(home, to, copy_function=copy))


def replace_bytes(path: Path, data: bytes) -> None:
    """Put another file in a file's place, so that what is linked to the old one stays as it is."""
    path.unlink()
    path.write_bytes(data)
