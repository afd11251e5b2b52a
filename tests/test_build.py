import ast
import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from homes import OTHERS, article, build_fast, copy_home, fast_encoder, home_of, put, replace_bytes

import index.build
from index.build import build
from index.passages import CODE, passage_list
from index.snapshot import CURRENT, MANIFEST, SnapshotError, SnapshotShelf
from ingest.exchanges import shipped_path
from ingest.passages import split
from ingest.store import CorpusStore
from service.assistant import Assistant

ROOT = Path(__file__).parents[1]
WAITS = "A withdrawal to a new address waits for {} hours on Kelpex."
QUESTION = "how long does a withdrawal to a new address wait on kelpex"
OLD, NEW = WAITS.format(24), WAITS.format(48)


@pytest.fixture(scope="module")
def old_home(tmp_path_factory):
    """A home whose published snapshot says 24 hours, while its corpus says 48 by now."""
    home = home_of(tmp_path_factory.mktemp("old") / "home", [*OTHERS, article("waits", OLD)])
    put(home, [article("waits", NEW)])
    return home


@pytest.fixture
def home(old_home, tmp_path):
    return copy_home(old_home, tmp_path / "home")


def answer(home):
    """The first sentence that the published snapshot answers the question with."""
    return Assistant(SnapshotShelf(home).open()).ask(QUESTION).sentences[0].text


def left_over(home):
    return sorted(path.name for path in (home / "snapshots").iterdir() if path.name.startswith(".building"))


def test_a_build_publishes_what_the_corpus_says_now(home):
    before = SnapshotShelf(home).current()
    built = build_fast(home)
    assert built.published
    assert SnapshotShelf(home).current() == built.manifest.id > before
    assert answer(home) == NEW
    assert left_over(home) == []


def test_an_unchanged_corpus_is_not_built_again(home):
    first = build_fast(home)
    again = build_fast(home)
    assert (again.published, again.encoded, again.manifest) == (False, 0, first.manifest)
    assert len(SnapshotShelf(home).ids()) == 2


def test_fetching_the_same_pages_again_changes_nothing(home):
    build_fast(home)
    put(home, [*OTHERS, article("waits", NEW)])
    assert not build_fast(home).published


def test_only_the_texts_of_a_changed_article_are_encoded(home):
    with CorpusStore(home / "corpus.sqlite") as store:
        changed = store.get("waits").article
    # One passage of one sentence: each is one text.
    assert [len(split(changed)), build_fast(home).encoded] == [1, 2]


def test_a_text_that_was_encoded_once_is_never_encoded_again(home):
    build_fast(home)
    put(home, [article("waits", OLD)])
    assert build_fast(home).encoded == 0
    assert answer(home) == OLD


def test_a_new_article_encodes_only_itself(home):
    build_fast(home)
    put(home, [article("more", "Kelpex pays rewards. Rewards come on every Friday of the month.")])
    # One passage; "Kelpex pays rewards." says too little to stand alone, so that both are one sentence.
    assert build_fast(home).encoded == 2


def cached(home):
    """How many vectors the cache holds."""
    with closing(sqlite3.connect(home / "cache" / "vectors.sqlite")) as db:
        return db.execute("SELECT count(*) FROM vectors").fetchone()[0]


def test_only_a_changed_article_is_split_again_and_the_list_is_what_it_would_be_if_all_were(home, tmp_path):
    built = build_fast(home)
    assert (built.split, built.manifest.counts["articles"]) == (1, len(OTHERS) + 1)
    with CorpusStore(home / "corpus.sqlite") as store:
        counts = passage_list(store, tmp_path / "passages.sqlite")
    assert counts.split == counts.articles == len(OTHERS) + 1
    copied = home / "snapshots" / built.manifest.id / "passages.sqlite"
    assert copied.read_bytes() == (tmp_path / "passages.sqlite").read_bytes()


def test_an_article_that_left_the_corpus_leaves_the_snapshot(home):
    with CorpusStore(home / "corpus.sqlite") as store:
        before = {stored.article.id for stored in store.articles()}
    empty = home.parent / "empty"
    home_of(empty, [*OTHERS[1:], article("waits", NEW)])
    shutil.copy2(empty / "corpus.sqlite", home / "corpus.sqlite")
    for name in ("corpus.sqlite-wal", "corpus.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    built = build_fast(home)
    assert built.manifest.counts["articles"] == len(before) - 1
    assert SnapshotShelf(home).open().article(OTHERS[0]["id"]) is None


def test_other_code_that_splits_makes_another_snapshot_from_which_nothing_is_copied(home, monkeypatch):
    first = build_fast(home)
    monkeypatch.setattr(index.build, "code_fingerprint", lambda: "of other code")
    second = build_fast(home)
    assert (second.published, second.encoded, second.split) == (True, 0, len(OTHERS) + 1)
    assert second.manifest.corpus_digest != first.manifest.corpus_digest
    assert not build_fast(home).published


def test_the_fingerprint_covers_every_module_of_ours_that_splitting_needs():
    covered = {Path(module.__file__) for module in CODE}
    needed, todo = set(), set(covered)
    while todo:
        path = todo.pop()
        needed.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("ingest", "index"):
                todo |= {ROOT / f"{node.module.replace('.', '/')}.py"} - needed
    assert needed == covered


def test_an_ingest_during_a_build_is_in_the_next_snapshot_even_if_it_is_taken_back(home):
    def meanwhile(stage, done, total):
        if stage == "split" and done == total:
            put(home, [article("waits", OLD)])

    first = build(home, fast_encoder(), shipped_path().read_text(encoding="utf-8"), meanwhile)
    put(home, [article("waits", NEW)])
    second = build_fast(home)
    assert second.published
    assert second.manifest.corpus_digest != first.manifest.corpus_digest
    assert answer(home) == NEW
    assert not build_fast(home).published


def test_the_progress_counts_up_to_its_total(home):
    told = {}
    build(home, fast_encoder(), shipped_path().read_text(encoding="utf-8"), lambda stage, *at: told.update({stage: at}))
    counts = SnapshotShelf(home).open().manifest.counts
    assert told == {
        "split": (counts["articles"],) * 2, "encode passages": (counts["passages"],) * 2,
        "encode sentences": (counts["sentences"],) * 2, "index": (1, 1),
    }  # fmt: skip


def test_the_page_of_a_duplicate_is_that_of_the_article_that_speaks_for_it(home):
    mirror = "https://mirror.example/waits"
    put(home, [article("mirror", WAITS.format(72), url=mirror)])
    build_fast(home)
    with CorpusStore(home / "corpus.sqlite") as store:
        store.silence("mirror", "waits")
    assert build_fast(home).published
    assert SnapshotShelf(home).open().article_by_url(mirror).id == "waits"
    with CorpusStore(home / "corpus.sqlite") as store:
        store.silence("mirror", None)
    assert build_fast(home).published
    assert SnapshotShelf(home).open().article_by_url(mirror).id == "mirror"


def test_a_cache_that_has_grown_is_cut_down_to_what_is_needed(home, monkeypatch):
    build_fast(home)
    grown = cached(home)
    monkeypatch.setattr(index.build, "CACHED_MOST", 1)
    put(home, [article("waits", WAITS.format(72))])
    counts = build_fast(home).manifest.counts
    assert cached(home) == counts["passages"] + counts["sentences"] < grown
    put(home, [article("waits", NEW)])
    assert build_fast(home).encoded == 2


def test_a_cache_of_the_former_layout_is_used_as_it_is(home):
    path = home / "cache" / "vectors.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(
            "ALTER TABLE vectors RENAME TO moved; CREATE TABLE vectors (encoder TEXT, text BLOB, vector BLOB, "
            "PRIMARY KEY (encoder, text)) STRICT, WITHOUT ROWID; INSERT INTO vectors SELECT * FROM moved; DROP TABLE moved"
        )
    assert build_fast(home).encoded == 2


def test_a_snapshot_of_an_earlier_format_is_built_anew(home):
    path = home / "snapshots" / build_fast(home).manifest.id / MANIFEST
    data = json.loads(path.read_text(encoding="utf-8"))
    replace_bytes(path, json.dumps({**data, "format": 1}).encode())
    with pytest.raises(SnapshotError, match=r"snapshot format 1.*run `citedesk build`"):
        SnapshotShelf(home).open()
    built = build_fast(home)
    assert (built.published, built.encoded, built.split) == (True, 0, len(OTHERS) + 1)
    assert answer(home) == NEW


def test_an_unchanged_build_loads_no_library_that_trains_exports_or_encodes(home):
    build_fast(home)
    code = (
        "import sys; from service.cli import main; code = main(['build', '--home', sys.argv[1], '--encoder', 'minilm']); "
        "print(*sorted({name.split('.')[0] for name in sys.modules})); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "unchanged" in done.stdout
    heavy = {"torch", "transformers", "sentence_transformers", "onnx", "onnxscript", "onnxruntime", "faiss", "tantivy"}
    assert not heavy & set(done.stdout.split())


def test_another_list_of_exchanges_makes_another_snapshot(home):
    first = build_fast(home)
    second = build_fast(home, '[[exchange]]\nname = "Kelpex"\naliases = ["kpx"]\n')
    assert second.published
    assert second.encoded == 0
    assert second.manifest.corpus_digest != first.manifest.corpus_digest
    assert (
        Assistant(SnapshotShelf(home).open()).ask("how long does a withdrawal wait on kpx").scope.source == "question"
    )


def test_another_age_limit_makes_another_snapshot(home):
    build_fast(home)
    put(home, [article("waits", NEW)], max_age_days=30)
    built = build_fast(home)
    assert (built.published, built.encoded) == (True, 0)
    assert SnapshotShelf(home).open().max_age_days("waits") == 30


def test_a_damaged_published_snapshot_is_built_anew(home):
    damaged = build_fast(home).manifest.id
    (home / "snapshots" / damaged / "passages.sqlite").unlink()
    assert build_fast(home).published
    assert answer(home) == NEW


def test_a_damaged_current_is_mended_by_a_build(home):
    (home / "snapshots" / CURRENT).write_bytes(b"\xff")
    assert build_fast(home).published
    assert answer(home) == NEW


def test_a_damaged_cache_of_vectors_says_what_to_do(home):
    before = SnapshotShelf(home).current()
    (home / "cache" / "vectors.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(SnapshotError, match=r"vectors\.sqlite: .*delete it and run `citedesk build`"):
        build_fast(home)
    assert SnapshotShelf(home).current() == before
    assert left_over(home) == []


def test_a_page_of_the_cache_that_was_overwritten_says_what_to_do(home):
    path = home / "cache" / "vectors.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:16_384] + b"\xff" * (len(data) - 16_384))
    with pytest.raises(SnapshotError, match=r"vectors\.sqlite: .*delete it and run `citedesk build`"):
        build_fast(home)
    assert left_over(home) == []


def test_nothing_is_built_while_a_source_is_held_back(home):
    before = SnapshotShelf(home).current()
    with CorpusStore(home / "corpus.sqlite") as store:
        store.state().begin("kelpex", "all", "{}")
        store.state().hold("kelpex", "90 of 100 articles would be lost at once (90 × 404)")
    with pytest.raises(SnapshotError, match=r"kelpex: 90 of 100 articles .*--accept-loss"):
        build_fast(home)
    assert SnapshotShelf(home).current() == before
    with CorpusStore(home / "corpus.sqlite") as store:
        store.state().hold("kelpex", None)
    assert build_fast(home).published


def test_without_a_cache_of_vectors_the_same_vectors_are_made(home):
    first = build_fast(home)
    shutil.rmtree(home / "cache")
    (home / "snapshots" / CURRENT).unlink()
    second = build_fast(home)
    assert second.encoded > 0
    for name in ("vectors.faiss", "sentences.npy", "means.npy"):
        assert first.manifest.files[name] == second.manifest.files[name]


def test_a_build_of_an_empty_corpus_says_what_to_run(tmp_path):
    with pytest.raises(SnapshotError, match="no articles to build from; run `citedesk ingest SOURCE`"):
        build_fast(tmp_path / "home")
    assert SnapshotShelf(tmp_path / "home").ids() == []
    assert left_over(tmp_path / "home") == []


def test_a_corpus_that_is_none_is_refused(tmp_path):
    (tmp_path / "corpus.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(Exception, match=r"corpus\.sqlite: not a readable corpus store"):
        build_fast(tmp_path)


def test_the_second_of_two_builds_is_told_of_the_first(home):
    with (home / "snapshots" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SnapshotError, match="another build of this home is running; wait"):
            build_fast(home)
    assert build_fast(home).published


def test_a_build_during_a_build_is_refused_and_the_first_one_ends_well(home):
    refused = []

    def second(stage, done, total):
        if stage == "encode passages":
            with pytest.raises(SnapshotError, match="another build") as caught:
                build_fast(home)
            refused.append(caught)

    built = build(home, fast_encoder(), shipped_path().read_text(encoding="utf-8"), second)
    assert refused
    assert built.published
    assert answer(home) == NEW


def test_two_builds_within_one_second_are_two_snapshots(home):
    first = build_fast(home).manifest.id
    put(home, [article("waits", OLD)])
    second = build_fast(home).manifest.id
    assert SnapshotShelf(home).ids()[-2:] == [first, second]
    assert SnapshotShelf(home).rollback() == first


# A build that counts what it does to files of its home (Python's audit events, see PEP 578) and at the n-th kills itself
# without a chance to tidy up, as `kill -9` and a loss of power do.
KILLED = """
import os, signal, sys
home, encoder, exchanges, at = sys.argv[1:]
seen = []

def watch(event, arguments):
    touched = any(isinstance(a, (str, os.PathLike)) and os.fspath(a).startswith(home) for a in arguments[:2])
    if touched and not event.startswith("import"):
        seen.append(event)
        if event == "os.rename" and os.fspath(arguments[1]).endswith("CURRENT"):
            print("published at", len(seen), flush=True)
        if len(seen) == int(at):
            os.kill(os.getpid(), signal.SIGKILL)

from pathlib import Path
from index.build import build
sys.addaudithook(watch)
build(Path(home), Path(encoder), Path(exchanges).read_text(encoding="utf-8"))
print("ended at", len(seen), flush=True)
"""


def build_until(home, event):
    """Build in another process that is killed at an event, 0 for never; give its exit status and what it printed."""
    arguments = [str(home), str(fast_encoder()), str(shipped_path()), str(event)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    printed = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    return done.returncode, {key: int(value) for key, value in printed.items()}


@pytest.fixture(scope="module")
def events(old_home, tmp_path_factory):
    """At which event a build publishes, and at which it ends."""
    code, printed = build_until(copy_home(old_home, tmp_path_factory.mktemp("events") / "home"), 0)
    assert code == 0
    return printed["published at"], printed["ended at"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.4, 0.6, 0.75, 0.85, 0.95, 1.0])
def test_a_killed_build_leaves_what_was_published_at(home, events, share):
    before = SnapshotShelf(home).current()
    at = max(1, round(share * events[0]))
    code, _ = build_until(home, at)
    assert code == -signal.SIGKILL
    assert SnapshotShelf(home).current() == before
    assert answer(home) == OLD
    assert build_fast(home).published
    assert answer(home) == NEW
    assert left_over(home) == []


def test_a_build_killed_after_publishing_has_published(home, events):
    published, ended = events
    assert published < ended
    code, _ = build_until(home, published + 1)
    assert code == -signal.SIGKILL
    assert answer(home) == NEW
    assert not build_fast(home).published


def test_what_a_killed_build_left_is_removed_though_nothing_is_to_be_built(home, events):
    assert build_until(home, events[0] // 2)[0] == -signal.SIGKILL
    assert left_over(home)
    put(home, [article("waits", OLD)])
    assert not build_fast(home).published
    assert left_over(home) == []


def test_the_command_killed_while_it_encodes_leaves_what_was_published(home):
    put(
        home,
        [article(f"n{n}", f"Kelpex lists coin number {n}. It charges a fee of {n} coins for it.") for n in range(150)],
    )
    before = SnapshotShelf(home).current()
    fast_encoder()
    command = [sys.executable, "-m", "service.cli", "build", "--home", str(home), "--encoder", "minilm"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "encode" in line and "encoder" not in line:
                process.kill()
                break
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert SnapshotShelf(home).current() == before
    assert answer(home) == OLD
    assert build_fast(home).published
    assert left_over(home) == []


def cached_vectors(home):
    with closing(sqlite3.connect(home / "cache" / "vectors.sqlite")) as db:
        return db.execute("SELECT count(*) FROM vectors").fetchone()[0]


def test_what_a_killed_build_had_encoded_is_not_encoded_again(home):
    put(home, [article(f"n{n}", f"Kelpex lists coin {n}. It charges {n} coins for it.") for n in range(40)])
    before = cached_vectors(home)
    code = """
import os, signal, sys
from pathlib import Path
import index.build

def killed(stage, done, total):
    if stage == "encode passages" and done >= 24:
        os.kill(os.getpid(), signal.SIGKILL)

home, encoder, exchanges = sys.argv[1:]
index.build.CACHED_BATCH = 8
index.build.build(Path(home), Path(encoder), Path(exchanges).read_text(encoding="utf-8"), killed)
"""
    arguments = [str(home), str(fast_encoder()), str(shipped_path())]
    killed = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    there = cached_vectors(home)
    assert there >= before + 16
    built = build_fast(home)
    assert built.published
    assert 0 < built.encoded == cached_vectors(home) - there


def free_kilobytes(home):
    """The size in KiB that a disk must have to hold a home and nothing more."""
    return sum(path.stat().st_size // 1024 + 5 for path in home.rglob("*"))


def on_a_full_disk(home, spare, *command):
    """Run a command on a copy of a home that is on a disk of its own, with little space; give the copy's state as well."""
    disk = home.parent / "disk"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o size="$1"k tmpfs "$2" && cp -a "$3" "$2/home" && shift 3 && { "$@"; echo "exit $?"; '
        'cat "$HOMES/snapshots/CURRENT"; ls -a "$HOMES/snapshots"; cp -a "$HOMES" "$BACK"; }'
    )
    back = home.parent / "back"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(free_kilobytes(home) + spare), str(disk), str(home), *command],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "HOMES": str(disk / "home"), "BACK": str(back)},
    )  # fmt: skip
    return done, back


@pytest.mark.skipif(
    os.getuid() != 0
    or not shutil.which("unshare")
    or subprocess.run(["unshare", "-m", "true"], check=False).returncode,
    reason="only root may mount a small disk",
)
@pytest.mark.parametrize("spare", [0, 300, 700, 5000])
def test_a_full_disk_is_named_and_leaves_what_was_published(home, spare):
    before = SnapshotShelf(home).current()
    code = (
        "import sys; from pathlib import Path; from index.build import build; from index.snapshot import SnapshotError\n"
        "try: build(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]).read_text())\n"
        "except SnapshotError as error: sys.exit(f'citedesk: {error}')"
    )
    target = str(home.parent / "disk" / "home")
    done, back = on_a_full_disk(
        home, spare, sys.executable, "-c", code, target, str(fast_encoder()), str(shipped_path())
    )
    assert "exit 1" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot be written" in done.stderr
    assert "run `citedesk build` again" in done.stderr
    assert SnapshotShelf(back).current() == before
    assert answer(back) == OLD
    assert left_over(back) == []


@pytest.mark.skipif(
    os.getuid() != 0
    or not shutil.which("unshare")
    or subprocess.run(["unshare", "-m", "true"], check=False).returncode,
    reason="only root may mount a small disk",
)
def test_the_command_says_in_one_line_that_the_disk_is_full(home):
    target = str(home.parent / "disk" / "home")
    command = [sys.executable, "-m", "service.cli", "build", "--home", target, "--encoder", "minilm"]
    done, back = on_a_full_disk(home, 5000, *command)
    assert "exit 2" in done.stdout
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert answer(back) == OLD


def test_a_snapshot_tells_what_it_holds(home):
    built = build_fast(home)
    snapshot = SnapshotShelf(home).open()
    assert built.manifest == snapshot.manifest
    assert snapshot.manifest.counts["articles"] == len(OTHERS) + 1
    assert snapshot.manifest.counts["passages"] == len(snapshot.dense)
    assert snapshot.manifest.counts["sentences"] == len(snapshot.sentence_vectors)
    assert snapshot.exchanges == ("Kelpex", "Mirador")
    assert snapshot.languages == ("en",)
    assert (
        json.loads((snapshot.folder / "encoder" / "encoder.json").read_text())["fingerprint"]
        == snapshot.manifest.encoder
    )
