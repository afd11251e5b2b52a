import json
import os
import pickle
import threading

import numpy as np
import pytest
from homes import OTHERS, article, build_fast, copy_home, home_of, put, replace_bytes

from index.snapshot import (
    CURRENT,
    FORMAT,
    MANIFEST,
    SnapshotError,
    SnapshotShelf,
    describe_files,
    file_digest,
    read_manifest,
)
from service.assistant import Assistant

WAITS = "A withdrawal to a new address waits for {} hours on Kelpex."
QUESTION = "how long does a withdrawal to a new address wait on kelpex"
COMMANDS = ("citedesk build", "citedesk snapshots rollback")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home with three snapshots, the newest of them published."""
    home = tmp_path_factory.mktemp("built") / "home"
    for hours in (24, 36, 48):
        home_of(home, [*OTHERS, article("waits", WAITS.format(hours))])
    return home


@pytest.fixture
def home(built, tmp_path):
    return copy_home(built, tmp_path / "home")


@pytest.fixture
def shelf(home):
    return SnapshotShelf(home)


@pytest.fixture
def folder(shelf):
    """The folder of the published snapshot."""
    return shelf.folder / shelf.current()


def refused(shelf, *names, snapshot_id=None):
    """Check that opening is refused with these names and with a command that mends it; give the message."""
    with pytest.raises(SnapshotError) as caught:
        shelf.open(snapshot_id)
    message = str(caught.value)
    assert all(str(name) in message for name in names), message
    assert any(command in message for command in COMMANDS), message
    return message


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES = {
    "one bit is flipped": lambda data: flipped(data) if data else None,
    "it is cut short": lambda data: data[:-1] if data else None,
    "it is emptied": lambda data: b"" if data else None,
    "it has grown": lambda data: data + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file_is_checked_when_a_snapshot_is_opened_for(shelf, folder, damage):
    names = list(read_manifest(folder).files)
    assert len(names) > 15
    for name in names:
        path = folder / name
        whole = path.read_bytes()
        broken = DAMAGES[damage](whole)
        if broken is not None:
            replace_bytes(path, broken)
            refused(shelf, path)
            replace_bytes(path, whole)
    shelf.open()


def test_every_file_has_to_be_there(shelf, folder):
    for name in (*read_manifest(folder).files, MANIFEST):
        path = folder / name
        whole = path.read_bytes()
        path.unlink()
        refused(shelf, path)
        path.write_bytes(whole)
    shelf.open()


def test_the_manifest_names_every_file_of_the_snapshot(folder):
    assert set(read_manifest(folder).files) == set(describe_files(folder)) - {MANIFEST}


BROKEN_MANIFESTS = {
    "empty": lambda _: "",
    "no JSON": lambda _: "{",
    "a list": lambda _: "[]",
    "a number": lambda _: "1",
    "null": lambda _: "null",
    "no format": lambda m: {k: v for k, v in m.items() if k != "format"},
    "no files": lambda m: {k: v for k, v in m.items() if k != "files"},
    "an unknown field": lambda m: {**m, "more": 1},
    "files as a list": lambda m: {**m, "files": list(m["files"])},
    "files as names": lambda m: {**m, "files": dict.fromkeys(m["files"], "x")},
    "files without size": lambda m: {**m, "files": {k: {"sha256": v["sha256"]} for k, v in m["files"].items()}},
    "nothing listed": lambda m: {**m, "files": {}},
    "a file left out": lambda m: {**m, "files": {k: v for k, v in m["files"].items() if k != "passages.sqlite"}},
    "no counts": lambda m: {**m, "counts": {}},
    "another's id": lambda m: {**m, "id": "20200101T000000-00000000"},
}


@pytest.mark.parametrize("kind", BROKEN_MANIFESTS)
def test_a_damaged_manifest_is_refused_that_is(shelf, folder, kind):
    path = folder / MANIFEST
    made = BROKEN_MANIFESTS[kind](json.loads(path.read_text(encoding="utf-8")))
    replace_bytes(path, (made if isinstance(made, str) else json.dumps(made)).encode())
    refused(shelf, path)


def test_a_manifest_that_is_no_text_is_refused(shelf, folder):
    replace_bytes(folder / MANIFEST, b"\xff\xfe\x00")
    refused(shelf, folder / MANIFEST)


@pytest.mark.parametrize("other", [FORMAT + 1, 0, str(FORMAT), None])
def test_a_manifest_of_another_format_is_named_as_such(shelf, folder, other):
    path = folder / MANIFEST
    data = {**json.loads(path.read_text(encoding="utf-8")), "format": other}
    replace_bytes(path, json.dumps(data).encode())
    assert "format" in refused(shelf, path, "citedesk build")


def test_a_newer_format_is_named_even_if_its_fields_are_others(shelf, folder):
    replace_bytes(folder / MANIFEST, json.dumps({"format": 99, "new": []}).encode())
    assert "format 99" in refused(shelf, folder / MANIFEST)


GARBAGE = {
    "letters": b"garbage", "no text": b"\xff\xfe\x00", "several lines": b"a\nb\n", "a long line": b"a" * 5000,
    "a path": b"../home/snapshots", "the parent": b"..", "the root": b"/", "a null byte": b"a\0b",
    "a missing id": b"20250101T000000000-00000000\n", "a hidden folder": b".building-1",
}  # fmt: skip


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_damaged_current_is_refused_and_mended_by_rollback_if_it_holds(shelf, kind):
    (shelf.folder / CURRENT).write_bytes(GARBAGE[kind])
    refused(shelf, shelf.folder)
    assert shelf.rollback() == shelf.ids()[-1]
    shelf.open()


def test_a_current_that_is_a_folder_is_refused(shelf):
    (shelf.folder / CURRENT).unlink()
    (shelf.folder / CURRENT).mkdir()
    refused(shelf, shelf.folder / CURRENT)


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_without_a_published_snapshot_the_commands_that_make_one_are_named(shelf, content):
    (shelf.folder / CURRENT).unlink()
    if content is not None:
        (shelf.folder / CURRENT).write_bytes(content)
    assert shelf.current() is None
    assert "citedesk ingest" in refused(shelf)


def test_a_home_that_is_not_there_has_no_snapshots(tmp_path):
    shelf = SnapshotShelf(tmp_path / "nowhere")
    assert shelf.ids() == []
    assert "citedesk ingest" in refused(shelf, tmp_path / "nowhere")
    with pytest.raises(SnapshotError, match="no snapshot before"):
        shelf.rollback()
    assert not (tmp_path / "nowhere").exists()


def test_a_snapshot_is_opened_by_its_id_without_being_published(shelf):
    first = shelf.ids()[0]
    assert Assistant(shelf.open(first)).ask(QUESTION).text.startswith(WAITS.format(24))
    assert shelf.current() == shelf.ids()[-1]


@pytest.mark.parametrize("name", ["../home/snapshots", "..", ".", "/", "", "a/b", ".building-1", "x" * 400, "a\0b"])
def test_an_id_is_never_a_path(shelf, name):
    (shelf.folder / ".building-1").mkdir()
    before = shelf.current()
    for act in (shelf.publish, shelf.remove, *([shelf.open, shelf.rollback] if name else [])):
        with pytest.raises(SnapshotError, match="no snapshot"):
            act(name)
    assert shelf.current() == before
    assert len(shelf.ids()) == 3


def test_rollback_goes_to_the_one_before_until_there_is_none(shelf):
    first, second, third = shelf.ids()
    assert shelf.current() == third
    assert shelf.rollback() == shelf.current() == second
    assert shelf.rollback() == shelf.current() == first
    with pytest.raises(SnapshotError, match=rf"no snapshot before {first}; nothing was changed"):
        shelf.rollback()
    assert shelf.current() == first
    assert shelf.rollback(third) == shelf.current() == third


def test_rollback_to_a_damaged_snapshot_changes_nothing(shelf):
    _, second, third = shelf.ids()
    replace_bytes(shelf.folder / second / "vectors.faiss", b"")
    with pytest.raises(SnapshotError, match=r"vectors\.faiss"):
        shelf.rollback()
    assert shelf.current() == third


def test_after_a_rollback_the_older_articles_answer(shelf):
    assert Assistant(shelf.open()).ask(QUESTION).text.startswith(WAITS.format(48))
    shelf.rollback()
    assert Assistant(shelf.open()).ask(QUESTION).text.startswith(WAITS.format(36))


def test_the_published_snapshot_cannot_be_removed(shelf):
    with pytest.raises(SnapshotError, match="published"):
        shelf.remove(shelf.current())
    shelf.remove(shelf.ids()[0])
    assert len(shelf.ids()) == 2


def test_publishing_is_atomic(shelf):
    ids = shelf.ids()
    seen, done = set(), threading.Event()

    def look():
        while not done.is_set():
            seen.add(shelf.current())

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(300):
        shelf.publish(ids[turn % 3])
    done.set()
    reader.join()
    assert seen == set(ids)
    assert sorted(os.listdir(shelf.folder)) == sorted([*ids, CURRENT, ".lock"])


def test_old_snapshots_are_removed_beyond_three(home, shelf):
    before = shelf.ids()
    put(home, [article("waits", WAITS.format(60))])
    newest = build_fast(home).manifest.id
    assert shelf.ids() == [*before[1:], newest]
    assert shelf.current() == newest


def test_the_published_snapshot_is_never_removed_though_it_is_the_oldest(home, shelf):
    # A clock that was set back makes the newest snapshot sort before those of the future.
    for snapshot_id in shelf.ids():
        later = "2999" + snapshot_id[4:]
        (shelf.folder / snapshot_id).rename(shelf.folder / later)
        path = shelf.folder / later / MANIFEST
        replace_bytes(path, path.read_bytes().replace(snapshot_id.encode(), later.encode()))
    put(home, [article("waits", WAITS.format(60))])
    newest = build_fast(home).manifest.id
    assert shelf.ids()[0] == newest == shelf.current()
    assert Assistant(shelf.open()).ask(QUESTION).text.startswith(WAITS.format(60))


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_pickle_in_an_array_is_not_loaded(shelf, folder, tmp_path):
    path = folder / "sentences.npy"
    path.unlink()
    np.save(path, np.array([Trap(tmp_path / "trapped")], dtype=object), allow_pickle=True)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"]["sentences.npy"] = {"sha256": file_digest(path), "bytes": path.stat().st_size}
    replace_bytes(folder / MANIFEST, json.dumps(manifest).encode())
    snapshot = shelf.open()
    with pytest.raises(ValueError, match="Python objects"):
        snapshot.sentence_vectors  # noqa: B018
    assert not (tmp_path / "trapped").exists()


def test_no_file_of_a_snapshot_is_a_pickle(folder):
    for name in read_manifest(folder).files:
        assert (folder / name).read_bytes()[:2] not in {pickle.dumps(0, protocol)[:2] for protocol in range(2, 6)}
        if name.endswith(".npy"):
            np.load(folder / name, allow_pickle=False)


def test_a_home_may_have_any_name(built, tmp_path):
    home = copy_home(built, tmp_path / "my home? 100%25 #1 ü")
    assert Assistant(SnapshotShelf(home).open()).ask(QUESTION).status == "answered"


def test_opening_writes_nothing(shelf, folder):
    before = describe_files(folder)
    Assistant(shelf.open()).ask(QUESTION)
    assert describe_files(folder) == before


@pytest.mark.parametrize(
    "url",
    ["https://help.example/waits", "http://help.example/waits/", "https://www.help.example/waits?from=app#a", "HELP.example/WAITS"],
)  # fmt: skip
def test_an_article_is_found_by_the_address_of_its_page(shelf, url):
    assert shelf.open().article_by_url(url).id == "waits"


def test_an_address_that_no_article_has_gives_none(shelf):
    assert shelf.open().article_by_url("https://help.example/") is None
    assert shelf.open().article("nowhere") is None
