import logging
import mmap
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from homes import OTHERS, article, build_fast, copy_home, fast_encoder, put, replace_bytes

from benchmarks import stages
from index.build import Built, build
from index.encoder import OnnxEncoder
from index.passages import PassageList
from index.snapshot import Snapshot, SnapshotError, SnapshotShelf
from index.weights import exported
from ingest.exchanges import shipped_path
from service.assistant import Assistant
from service.evaluation.questions import read_questions
from service.read_ahead import FOLDER, MADE_BY, TYPES, ReadAhead, addition, open_reader
from service.reader import LateInteractionReader, Readable
from service.settings import READ_AHEAD, SettingsError, read_settings

QUESTION = "How long does Kelpex hold a withdrawal?"
ROWS = [
    *OTHERS,
    article(
        "waits", "Kelpex holds a withdrawal to a new address for 24 hours. It is then sent without a further step."
    ),
    article(
        "again", "Kelpex holds a withdrawal to a new address for 24 hours. It is then sent without a further step."
    ),
    article("long", "\n\n".join(f"Step {n}: press the button number {n} in the wallet of Kelpex." for n in range(40))),
]
NEW = article("new", "Kelpex pays interest on Tuesdays. The rate is shown beside the balance.")


@pytest.fixture(scope="module")
def built_home(tmp_path_factory) -> Path:
    """A home that the command line built."""
    home = tmp_path_factory.mktemp("ahead") / "home"
    put(home, ROWS)
    command = [sys.executable, "-m", "service.cli", "build", "--home", str(home)]
    subprocess.run(
        command, check=True, capture_output=True, timeout=300, env={**os.environ, "CITEDESK_READ_AHEAD": "999"}
    )
    return home


@pytest.fixture
def home(built_home, tmp_path) -> Path:
    return copy_home(built_home, tmp_path / "home")


@pytest.fixture(scope="module")
def snapshot(built_home) -> Snapshot:
    return SnapshotShelf(built_home).open()


def build_ahead(home: Path, most: int = 999, **more) -> Built:
    cache = read_settings().cache
    folder = exported("e5", cache)
    return build(
        home, folder, shipped_path().read_text(encoding="utf-8"), second_folder=exported("minilm", cache),
        addition=addition(folder, most), **more,
    )  # fmt: skip


def readables(snapshot: Snapshot) -> list[Readable]:
    return [Readable(*given) for given in PassageList(snapshot.folder / "passages.sqlite").readings()]


@pytest.fixture
def encoded(monkeypatch) -> list[int]:
    """Collects the lengths of the passages that are encoded for the reader."""
    lengths: list[int] = []
    tokens = OnnxEncoder.tokens
    monkeypatch.setattr(OnnxEncoder, "tokens", lambda self, ids: lengths.append(len(ids)) or tokens(self, ids))
    return lengths


def test_every_passage_reads_to_the_bit_as_if_it_were_encoded_now_and_none_is(snapshot, encoded):
    passages = readables(snapshot)
    ahead = open_reader(snapshot).read(QUESTION, passages)
    assert not encoded
    assert ahead == LateInteractionReader(snapshot.encoder).read(QUESTION, passages)
    assert len(encoded) == len(set(passages)) > 8


def test_an_answer_is_the_same_with_and_without(snapshot, home):
    build_ahead(home, 0)
    without = SnapshotShelf(home).open()
    assert not (without.folder / FOLDER).exists()
    for question in (QUESTION, "What is the taker fee on Mirador?", "Can I bring a dog to the office?"):
        one, other = (Assistant(shot).ask(question) for shot in (snapshot, without))
        assert (one.status, one.text, one.confidence) == (other.status, other.text, other.confidence)


def test_a_passage_that_was_not_there_is_encoded(snapshot, encoded):
    [known, *_] = readables(snapshot)
    other = Readable("Elsewhere", (), "It is free.", ((0, 11),))
    assert ReadAhead.open(snapshot.folder).of(other) is None
    assert len(open_reader(snapshot).read(QUESTION, [other, known])) == 2
    assert len(encoded) == 1


def test_what_is_read_is_mapped_not_copied(snapshot):
    ahead = ReadAhead.open(snapshot.folder)
    for passage in readables(snapshot):
        found = ahead.of(passage)
        for array in (*found.tokens, found.kind, found.sentences, found.means, found.vector):
            while isinstance(array, np.ndarray):
                array = array.base
            assert isinstance(array, mmap.mmap)


def test_the_same_text_under_the_same_title_is_written_once(snapshot):
    passages = readables(snapshot)
    assert len(ReadAhead.open(snapshot.folder)) == len(set(passages))
    twice = Readable(passages[0].title, (), passages[0].text, passages[0].sentences)
    assert ReadAhead.open(snapshot.folder).of(twice) is not None


def test_a_rebuild_reads_ahead_only_what_is_new(home, encoded):
    before = len(readables(SnapshotShelf(home).open()))
    put(home, [NEW])
    told = {}
    build_ahead(home, progress=lambda stage, *at: told.update({stage: at}))
    after = SnapshotShelf(home).open()
    assert len(encoded) == 1
    assert told["read ahead"] == (before + 1, before + 1)
    assert open_reader(after).read(QUESTION, readables(after)) == LateInteractionReader(after.encoder).read(
        QUESTION, readables(after)
    )


def test_a_snapshot_that_was_built_without_gets_it_from_the_next_build_of_the_same_corpus(home, encoded):
    build_ahead(home, 0)
    assert build_ahead(home).published
    assert len(encoded) == len(set(readables(SnapshotShelf(home).open())))
    assert not build_ahead(home).published


def test_above_its_limit_a_corpus_is_built_without_it(home):
    passages = SnapshotShelf(home).open().manifest.counts["passages"]
    build_ahead(home, passages - 1)
    assert not (SnapshotShelf(home).open().folder / FOLDER).exists()
    build_ahead(home, passages)
    assert (SnapshotShelf(home).open().folder / FOLDER).is_dir()


def test_with_an_encoder_that_has_no_reader_nothing_is_read_ahead(home):
    assert addition(fast_encoder()) is None
    build_fast(home)
    shot = SnapshotShelf(home).open()
    assert not (shot.folder / FOLDER).exists()
    assert ReadAhead.open(shot.folder) is None
    assert open_reader(shot) is None


def test_what_another_reader_made_is_not_used(home, encoded):
    folder = SnapshotShelf(home).open().folder
    replace_bytes(folder / FOLDER / MADE_BY, b"0" * 64)
    shot = Snapshot(folder, verify=False)
    assert ReadAhead.open(folder) is None
    assert open_reader(shot).read(QUESTION, readables(shot)[:2])
    assert len(encoded) == 2


def test_a_damaged_file_of_it_is_a_damaged_snapshot_which_a_rollback_and_a_build_mend(home):
    put(home, [NEW])
    good, damaged = SnapshotShelf(home).current(), build_ahead(home).manifest.id
    shelf = SnapshotShelf(home)
    path = shelf.folder / damaged / FOLDER / "tokens.npy"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    replace_bytes(path, bytes(data))
    with pytest.raises(SnapshotError, match=r"tokens\.npy: damaged.*rollback.*citedesk build"):
        shelf.open()
    assert shelf.rollback() == good
    shelf.publish(damaged)
    assert build_ahead(home).published
    assert len(ReadAhead.open(shelf.open().folder)) == len(set(readables(shelf.open())))


@pytest.mark.parametrize("name", sorted(TYPES))
@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "no array"])
def test_where_a_file_is_found_damaged_later_the_reader_reads_without_and_says_so(
    snapshot, tmp_path, caplog, name, damage
):
    folder = tmp_path / FOLDER
    shutil.copytree(snapshot.folder / FOLDER, folder)
    path = folder / f"{name}.npy"
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-64])
        case "missing":
            path.unlink()
        case _:
            path.write_bytes(b"" if damage == "empty" else b"no array" * 99)
    with caplog.at_level(logging.WARNING):
        assert ReadAhead.open(tmp_path) is None
    assert "damaged" in caplog.text
    assert "citedesk build" in caplog.text


def test_the_benchmark_of_the_stages_asks_in_each_way_and_encodes_in_one_alone(built_home, encoded):
    questions = list(read_questions(stages.STARTER))[:4]
    ways = stages.assistants(built_home)
    encoded.clear()
    for way, assistant in ways.items():
        assistant.ask("What is the taker fee on Mirador?")
        assert bool(encoded) == (way == stages.COLD), way
        encoded.clear()
    found = {way: stages.percentiles(taken) for way, taken in stages.measured(built_home, questions).items()}
    for cuts in found.values():
        assert cuts["total"] == sorted(cuts["total"])
        assert cuts["total"][0] > cuts["search"][0] > 0
    assert stages.table(found).count("\n") == len(stages.STAGES) + 1


@pytest.mark.parametrize("wrong", ["many", "-1", "1.5", "²"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, wrong):
    monkeypatch.setenv("CITEDESK_READ_AHEAD", wrong)
    with pytest.raises(SettingsError, match=f"CITEDESK_READ_AHEAD: '{wrong}' is no number of passages"):
        read_settings()


def test_the_limit_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("CITEDESK_READ_AHEAD", "0")
    assert read_settings().read_ahead == 0
    monkeypatch.delenv("CITEDESK_READ_AHEAD")
    assert read_settings().read_ahead == READ_AHEAD
