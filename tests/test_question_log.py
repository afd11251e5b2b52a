import json
import logging
import os
import random
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from conftest import ROOT

from service.question_file import FEW_GONE, FORMAT, QuestionFile, digest
from service.question_log import Entry, QuestionLog, QuestionLogError, stamp

NOW = datetime.now(UTC)
LONG_AGO, TOMORROW = NOW - timedelta(days=4000), NOW + timedelta(days=365_000)


def entry(answer_id="a1", **fields):
    values = {
        "at": stamp(NOW), "door": "widget", "key_id": "k1", "conversation": None, "question": "How do I stake on Kelpex?",
        "language": "en", "exchanges": ("Kelpex",), "page": "kelpex-staking", "status": "answered", "confidence": 0.83,
        "snapshot_id": "s1", "articles": ("kelpex-staking", "kelpex-rewards"), "notices": ("may_be_outdated",),
        "related": (), "milliseconds": 41.25,
    }  # fmt: skip
    return Entry(answer_id=answer_id, **{**values, **fields})


@pytest.fixture
def log(tmp_path):
    with closing(QuestionLog(tmp_path / "questions.sqlite", days=30)) as log:
        yield log


def rows(log, since=LONG_AGO, until=TOMORROW):
    log.flush()
    return list(log.rows(since, until))


def holds(folder, text):
    """Tell which files of a folder have a text anywhere in their bytes."""
    return [path.name for path in folder.iterdir() if text.encode() in path.read_bytes()]


def test_what_is_recorded_is_read_back_as_it_was(log):
    one = entry(question="质押 \x00 «émoji» 🦜")
    log.record(one)
    [logged] = rows(log)
    assert logged.entry == one
    assert logged.vote is None


def test_a_conversation_is_known_by_its_digest_alone(log, tmp_path):
    log.record(entry(conversation="conv-secret-id"))
    [logged] = rows(log)
    assert logged.entry.conversation == digest("conv-secret-id")
    assert holds(tmp_path, "conv-secret-id") == []


def test_only_the_owner_may_read_the_file(log, tmp_path):
    log.record(entry())
    log.flush()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


def test_rows_come_in_the_order_of_time_and_the_end_is_left_out(log):
    times = [NOW - timedelta(hours=hours) for hours in (1, 5, 3)]
    for number, at in enumerate(times):
        log.record(entry(f"a{number}", at=stamp(at)))
    assert [logged.entry.answer_id for logged in rows(log)] == ["a1", "a2", "a0"]
    between = rows(log, NOW - timedelta(hours=5), NOW - timedelta(hours=1))
    assert [logged.entry.answer_id for logged in between] == ["a1", "a2"]


def test_more_rows_than_are_read_at_a_time_come_all_and_once(log):
    for number in range(2500):
        log.record(entry(f"a{number}", at=stamp(NOW - timedelta(seconds=number % 7))))
    assert sorted(logged.entry.answer_id for logged in rows(log)) == sorted(f"a{number}" for number in range(2500))


def test_an_answer_that_is_recorded_twice_counts_once(log):
    log.record(entry())
    log.record(entry(question="something else"))
    assert [logged.entry.question for logged in rows(log)] == ["How do I stake on Kelpex?"]


def test_half_of_a_surrogate_pair_neither_fails_nor_takes_others_along(log):
    log.record(entry("a1", question="what \ud83e is", exchanges=("K\udc00",)))
    log.record(entry("a2"))
    assert [logged.entry.question for logged in rows(log)] == ["what ? is", "How do I stake on Kelpex?"]
    assert log.dropped == 0


def test_there_is_nothing_to_read_before_the_first_question(tmp_path):
    with closing(QuestionLog(tmp_path / "none" / "questions.sqlite", days=1)) as log:
        assert list(log.rows(LONG_AGO, TOMORROW)) == []


# ---- votes


def test_the_last_vote_counts_and_an_answer_in_the_queue_is_known(log):
    log.record(entry())
    assert log.feedback("a1", "up")
    assert log.feedback("a1", "down", "this is about staking, not about fees")
    [logged] = rows(log)
    assert (logged.vote.verdict, logged.vote.reason) == ("down", "this is about staking, not about fees")


def test_an_answer_that_was_written_is_known_to_another_process(log):
    log.record(entry())
    log.flush()
    with closing(QuestionLog(log.path, days=30)) as other:
        assert other.feedback("a1", "up")
        other.flush()
    assert rows(log)[0].vote.verdict == "up"


@pytest.mark.parametrize("answer_id", ["a2", "", "' OR 1=1 --", "\ud800", "x" * 100_000])
def test_a_vote_on_no_answer_is_told(log, answer_id):
    log.record(entry())
    assert not log.feedback(answer_id, "up")
    log.flush()
    assert not log.feedback(answer_id, "up")


def test_a_reason_is_redacted_before_it_is_written(log, tmp_path):
    log.record(entry())
    log.feedback("a1", "down", "write me at jane.roe@example.org" + " please" * 1000)
    [logged] = rows(log)
    assert logged.vote.reason.startswith("write me at [e-mail address]")
    assert len(logged.vote.reason) <= 2010
    assert holds(tmp_path, "jane.roe") == []


# ---- deleting


def test_a_deleted_conversation_leaves_no_byte_in_any_file(log, tmp_path):
    log.record(entry("a1", conversation="c1", question="the MARKER-ONE question", page="MARKER-PAGE"))
    log.record(entry("a2", conversation="c2", question="the other question"))
    log.feedback("a1", "down", "the MARKER-TWO reason")
    log.flush()
    assert holds(tmp_path, "MARKER-ONE")
    log.record(entry("a3", conversation="c1", question="MARKER-THREE is still in the queue"))
    assert log.forget("c1") == 2
    for marker in ("MARKER", "a3", digest("c1") + "widget"):
        assert holds(tmp_path, marker) == []
    assert [logged.entry.answer_id for logged in rows(log)] == ["a2"]
    assert not log.feedback("a1", "up")
    assert log.forget("c1") == 0


def test_what_another_process_still_had_of_a_deleted_conversation_is_not_written(log):
    with closing(QuestionLog(log.path, days=30)) as other:
        log.record(entry("a1", conversation="c1"))
        log.flush()
        assert other.forget("c1") == 1
    log.record(entry("a2", conversation="c1"))
    assert rows(log) == []


def test_deleting_in_any_order_leaves_no_trace_of_what_sqlite_moved(tmp_path, monkeypatch):
    """With `secure_delete` alone, rows that SQLite moves between pages survive their own deletion there."""
    luck = random.Random(5)
    file = QuestionFile(tmp_path / "questions.sqlite")
    names = [f"c{luck.randrange(3000)}" for _ in range(15_000)]
    for start in range(0, len(names), 500):
        file.append([
            entry(f"a{number:05}", conversation=names[number], at=stamp(NOW - timedelta(minutes=15_000 - number)),
                  question=f"<{names[number]}>" + "x" * luck.randrange(900))
            for number in range(start, start + 500)
        ])  # fmt: skip
    order = sorted(set(names))
    luck.shuffle(order)
    gone = order[:1500]
    with monkeypatch.context() as patched:
        patched.setattr(
            QuestionFile, "_empty_wal", lambda self: True
        )  # each takes the disk's time; the last one is enough
        for place, name in enumerate(gone[:-1]):
            file.forget(name)
            if place % 300 == 299:  # old rows go as well, and the tables are copied when many are gone
                file.purge(NOW - timedelta(minutes=15_000 - 2 * place))
    file.forget(gone[-1])
    with closing(sqlite3.connect(file.path)) as db:
        left = {name for (name,) in db.execute("SELECT DISTINCT conversation FROM questions WHERE gone = 0")}
    file.close()
    data = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    found = {name.decode() for name in re.findall(rb"<(c\d+)>", data)}
    assert found & set(gone) == set()
    assert found == {name for name in order if digest(name) in left}
    assert len(found) > 1000


def test_what_is_too_old_is_deleted_on_opening(tmp_path):
    path = tmp_path / "questions.sqlite"
    with closing(QuestionLog(path, days=400)) as log:
        log.record(entry("old", at=stamp(NOW - timedelta(days=31)), question="the OLD-MARKER question"))
        log.record(entry("new", at=stamp(NOW - timedelta(days=29))))
        assert len(rows(log)) == 2
    with closing(QuestionLog(path, days=30)) as log:
        for _ in range(200):
            if len(rows(log)) == 1:
                break
            time.sleep(0.01)
        assert [logged.entry.answer_id for logged in rows(log)] == ["new"]
        assert log.purge() == 0
    assert holds(tmp_path, "OLD-MARKER") == []


def test_the_tables_are_copied_when_many_are_gone_and_what_is_left_is_the_same(tmp_path):
    file = QuestionFile(tmp_path / "questions.sqlite")
    for start in range(0, 2 * FEW_GONE, 500):
        file.append(
            [entry(f"a{n}", at=stamp(NOW - timedelta(days=60 - 40 * (n % 2)))) for n in range(start, start + 500)]
        )
    assert file.purge(NOW - timedelta(days=30)) == FEW_GONE
    file.append([entry("last")])
    with closing(sqlite3.connect(file.path)) as db:
        assert db.execute("SELECT count(*), sum(gone) FROM questions").fetchone() == (FEW_GONE + 1, 0)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        indexes = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE%INDEX%'")}
    assert {"questions_answer", "questions_at", "questions_conversation", "questions_gone"} <= indexes
    file.close()


def test_with_no_days_nothing_is_kept_and_an_earlier_log_is_deleted(tmp_path, caplog):
    path = tmp_path / "questions.sqlite"
    with closing(QuestionLog(path, days=1)) as log:
        log.record(entry())
    with closing(QuestionLog(path, days=0)) as log:
        log.record(entry())
        assert not log.feedback("a1", "up")
        assert log.forget("c1") == log.purge() == 0
        assert rows(log) == []
    assert list(tmp_path.iterdir()) == []
    assert "deleted" in caplog.text


def test_negative_days_are_refused(tmp_path):
    with pytest.raises(ValueError, match="-1 days"):
        QuestionLog(tmp_path / "questions.sqlite", days=-1)


# ---- several processes, and what goes wrong

WRITER = """
import sys, time
from pathlib import Path
from service.question_log import Entry, QuestionLog
path, name, count = sys.argv[1:]
log = QuestionLog(Path(path), days=30)
for number in range(int(count)):
    log.record(Entry(
        f"{name}-{number}", "2999-01-01T00:00:00.000+00:00", "api", "k", None, "q" * 300, "en", (), None, "declined", 0.0,
        "s", (), (), (), 1.0,
    ))
    time.sleep(0.0003)
    if number == 500: print("under way", flush=True)
log.close()
sys.exit(log.dropped)
"""


def write(path, name, count, **options):
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, text=True, **options)


def test_four_processes_lose_nothing(tmp_path):
    path = tmp_path / "questions.sqlite"
    processes = [write(path, str(number), 250) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    with closing(QuestionLog(path, days=30)) as log:
        assert len({logged.entry.answer_id for logged in rows(log)}) == 1000


def test_a_killed_process_leaves_a_file_that_can_be_read_and_written(tmp_path):
    path = tmp_path / "questions.sqlite"
    with write(path, "k", 60_000, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "under way\n"
        time.sleep(0.3)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    with closing(QuestionLog(path, days=30)) as log:
        written = len(rows(log))
        assert written >= 100
        log.record(entry("after"))
        assert len(rows(log)) == written + 1
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_recording_never_waits_for_a_file_that_another_process_holds(log, monkeypatch, caplog):
    monkeypatch.setattr("service.question_file.PATIENCE", 0.3)
    log.record(entry("a1"))
    log.flush()
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        log._file.close()  # opened again with the shorter patience
        other.execute("BEGIN IMMEDIATE")
        begun = time.perf_counter()
        for number in range(1000):
            log.record(entry(f"b{number}"))
        assert time.perf_counter() - begun < 0.25
        log.flush()
        other.execute("ROLLBACK")
    assert log.dropped == 1000
    assert caplog.text.count("database is locked") == 1
    log.record(entry("after"))
    assert {logged.entry.answer_id for logged in rows(log)} == {"a1", "after"}


def test_what_does_not_fit_into_the_queue_is_counted_and_told_once(log, monkeypatch, caplog):
    monkeypatch.setattr("service.question_log.QUEUED", 5)
    with log._writing:  # as while a transaction takes long
        for number in range(600):
            log.record(entry(f"a{number}"))
    assert log.dropped == 595
    assert len(rows(log)) == 5
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_what_is_recorded_after_the_end_is_counted(log):
    log.close()
    log.record(entry())
    assert log.dropped == 1


@pytest.mark.skipif(
    os.getuid() != 0
    or not shutil.which("unshare")
    or subprocess.run(["unshare", "-m", "true"], check=False).returncode,
    reason="only root may mount a small disk",
)
def test_a_full_disk_costs_entries_and_no_answer(tmp_path):
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1] + '/tests')\n"
        "from pathlib import Path\n"
        "from service.question_log import QuestionLog\n"
        "from test_question_log import entry, rows\n"
        "disk = Path(sys.argv[2]); log = QuestionLog(disk / 'questions.sqlite', days=30)\n"
        "for number in range(40):\n"
        "    for more in range(50): log.record(entry(f'{number}-{more}', question='q' * 500))\n"
        "    log.flush()\n"
        "dropped, kept = log.dropped, len(rows(log))\n"
        "(disk / 'ballast').unlink(); log.record(entry('after')); log.flush()\n"
        "print(json.dumps([dropped, kept, log.dropped, len(rows(log))])); log.close()\n"
    )
    script = 'mount -t tmpfs -o size=700k tmpfs "$1" && head -c 200000 /dev/zero > "$1/ballast" && shift && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, "-c", code, str(ROOT), str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    dropped, kept, dropped_after, kept_after = json.loads(done.stdout)
    assert dropped > 0
    assert kept == 2000 - dropped
    assert (dropped_after, kept_after) == (dropped, kept + 1)
    assert "full" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_file_is_set_aside_and_told(tmp_path, caplog):
    path = tmp_path / "questions.sqlite"
    path.write_bytes(b"this is no database, but who knows what it was " * 100)
    with closing(QuestionLog(path, days=30)) as log:
        log.record(entry())
        assert len(rows(log)) == 1
        assert log.dropped == 0
    [aside] = tmp_path.glob("questions.sqlite.damaged-*")
    assert aside.read_bytes().startswith(b"this is no database")
    assert str(aside) in caplog.text


def test_a_file_that_is_damaged_while_it_is_used_is_set_aside_with_what_it_holds(log, tmp_path):
    for number in range(300):
        log.record(entry(f"a{number}", question="q" * 300))
    log.flush()
    with log._writing:
        log._file._empty_wal()
        with log.path.open("r+b") as file:
            file.write(b"\xff" * 4096)
    log.record(entry("unseen"))  # goes into the log of the damaged file
    with pytest.raises(QuestionLogError, match="sets it aside"):
        rows(log)
    log.record(entry("after"))
    assert {logged.entry.answer_id for logged in rows(log)} == {"after"}
    assert len(list(tmp_path.glob("questions.sqlite.damaged-*[0-9]"))) == 1
    assert log.dropped == 0


def test_processes_that_find_the_same_damage_set_one_file_aside(tmp_path):
    path = tmp_path / "questions.sqlite"
    path.write_bytes(b"no database " * 1000)
    processes = [write(path, str(number), 50) for number in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    with closing(QuestionLog(path, days=30)) as log:
        assert len(rows(log)) == 150


def test_a_file_that_was_moved_away_is_begun_anew(log, tmp_path):
    log.record(entry("a1"))
    log.flush()
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name("archived-" + path.name))
    log.record(entry("a2"))
    assert [logged.entry.answer_id for logged in rows(log)] == ["a2"]


def test_a_database_of_another_kind_is_left_alone(tmp_path, caplog):
    path = tmp_path / "questions.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
        db.commit()
    before = path.read_bytes()
    with closing(QuestionLog(path, days=30)) as log:
        log.record(entry())
        log.flush()
        assert log.dropped == 1
        with pytest.raises(QuestionLogError, match="not a question log"):
            list(log.rows(LONG_AGO, TOMORROW))
    assert path.read_bytes() == before
    assert "move it away" in caplog.text


def test_a_reader_in_the_middle_does_not_keep_a_conversation_from_being_deleted(log, tmp_path):
    for number in range(1500):
        log.record(entry(f"a{number}", conversation="c1" if number == 1400 else None, question=f"MARKER-{number}-END"))
    log.flush()
    reading = log.rows(LONG_AGO, TOMORROW)
    next(reading)
    assert log.forget("c1") == 1
    assert holds(tmp_path, "MARKER-1400-END") == []
    assert len(list(reading)) == 1498


def test_votes_and_questions_from_many_threads_are_all_kept(log):
    def work(name):
        for number in range(100):
            log.record(entry(f"{name}-{number}"))
            assert log.feedback(f"{name}-{number}", "up")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logged = rows(log)
    assert len(logged) == 400
    assert all(one.vote for one in logged)


def test_closing_writes_what_is_in_the_queue(log):
    log.record(replace(entry(), answer_id="last"))
    log.close()
    assert [logged.entry.answer_id for logged in log.rows(LONG_AGO, TOMORROW)] == ["last"]
