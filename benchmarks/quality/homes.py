"""A home for each data set: its articles ingested, its snapshot built, and kept for the next run."""

import json
from pathlib import Path

from benchmarks.quality.datasets import DataSet
from index.build import build
from index.snapshot import SnapshotShelf
from index.weights import exported
from ingest.exchanges import load_directory, shipped_path
from ingest.pipeline import ingest
from ingest.sources import FileSource
from ingest.store import CorpusStore
from service.assistant import Assistant

ENCODER, SECOND = "e5", "minilm"


def assistant_for(data_set: DataSet, work: Path, cache: Path, starter_home: Path) -> Assistant:
    """Give an assistant over a data set's articles; what is built already and did not change is opened.

    :param work: Where the homes are kept; a few hundred megabytes in all.
    :param cache: Where the exported encoders are kept.
    :param starter_home: The home of the starter corpus, built by ``make ask``.
    """
    if not data_set.articles:
        return Assistant(SnapshotShelf(starter_home).open())
    home = work / data_set.digest()
    home.mkdir(parents=True, exist_ok=True)
    source = home / "articles.jsonl"
    if not source.exists():
        lines = [json.dumps(row, ensure_ascii=False) for row in data_set.articles]
        source.write_text("\n".join(lines), encoding="utf-8")
    with CorpusStore(home / "corpus.sqlite") as store:
        report = ingest([FileSource(name="articles", path=source)], store, load_directory())
    if report.problem_count:
        raise ValueError(f"{data_set.name}: {report.problem_count} articles cannot be read: {report.problems[:3]}")
    directory = shipped_path().read_text(encoding="utf-8")
    build(home, exported(ENCODER, cache), directory, second_folder=exported(SECOND, cache))
    return Assistant(SnapshotShelf(home).open())
