"""The benchmark of the server, run once on little: it measures what it says, and finds a fault where there is one."""

import json
import shutil
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from desk_client import new_key
from homes import OTHERS, article, home_of

from benchmarks.load import plots
from benchmarks.load.breaking import Askers, Heard
from benchmarks.load.serving import Memory, serving
from benchmarks.load.wrk import Shots, shoot, write_bodies
from index.snapshot import SnapshotShelf
from service.question_log import FILE, read

QUESTION = "how long does a withdrawal to a new address wait on kelpex"
WAITS = "A withdrawal to a new address waits for 24 hours on Kelpex."

pytestmark = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not on this machine")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return home_of(tmp_path_factory.mktemp("load") / "home", [*OTHERS, article("waits", WAITS)])


@pytest.fixture(scope="module")
def key(home):
    return new_key(home)


@pytest.fixture(scope="module")
def server(home, key, tmp_path_factory):
    with serving(home, log=tmp_path_factory.mktemp("log") / "log", running="1", waiting="1") as server:
        yield server


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bodies")
    (folder / "questions.jsonl").write_text(json.dumps({"question": QUESTION, "history": []}), encoding="utf-8")
    return write_bodies(folder / "questions.jsonl", folder / "bodies")


def test_wrk_tells_the_status_and_the_time_of_every_request(server, key, bodies):
    shots = shoot(server.port, key, bodies, connections=2, seconds=1)
    assert shots.count().keys() == {200}
    assert shots.lost == 0
    assert 0 < shots.of(200).min() <= shots.of(200).max() < 1
    # Two connections, one answer after another: together they took the whole second.
    assert 1.2 < shots.seconds.sum() < 2.2


def test_questions_are_asked_at_a_rate_however_slowly_they_are_answered(server, key, bodies):
    with Memory(server) as memory:
        shots = shoot(server.port, key, bodies, connections=40, seconds=2, rate=300)
    assert 250 < len(shots.codes) / shots.length < 350
    assert shots.count().keys() == {200, 503}
    assert memory.seen[0][1] > 50_000_000
    server.rest()
    before = server.cpu()
    time.sleep(0.5)
    assert server.cpu() - before < 0.1


def test_every_question_is_unlike_the_others(server, key, bodies, home):
    begun = datetime.now(UTC)
    shots = shoot(server.port, key, bodies, connections=2, seconds=1)
    time.sleep(1)  # the log is written behind the answers
    asked = [logged.entry.question for logged in read(home / FILE, begun, datetime.now(UTC) + timedelta(seconds=1))]
    assert len(asked) >= len(shots.codes)
    assert len(set(asked)) == len(asked)
    assert all(question.startswith(f"{QUESTION} (ref ") for question in asked)


def test_an_answer_that_is_not_that_of_its_snapshot_is_wrong(server, key, home, monkeypatch):
    monkeypatch.setattr("benchmarks.load.breaking.BEFORE", 0.3)
    monkeypatch.setattr("benchmarks.load.breaking.AFTER", 0.0)
    snapshot = SnapshotShelf(home).current()
    body = server.call("POST", "/v1/query", json.dumps({"question": QUESTION}).encode(), key)[1]
    for expected, wrong in ((json.loads(body)["text"], False), ("It waits for a week.", True)):
        with Askers(server, key, {(snapshot, QUESTION): expected}) as askers:
            pass
        answered = [heard for heard in askers.heard if heard.code == 200]
        assert answered
        assert all(heard.wrong == wrong for heard in answered)
        trial = askers.trial("asked", answered[0].asked, answered[0].asked)
        assert (trial.wrong > 0) == wrong
        assert trial.asked == trial.answered + trial.shed
        assert trial.lost == 0


def test_what_nobody_answers_is_lost_and_a_gap(server, key):
    askers = Askers(server, key, {})
    askers.heard = [Heard(0, 1, 200, "s"), Heard(1, 2, 0), Heard(2, 6, 503), Heard(6, 7, 200, "s")]
    trial = askers.trial("killed", 1.0, 6.5)
    assert (trial.asked, trial.answered, trial.shed, trial.lost) == (4, 2, 1, 1)
    assert (trial.at, trial.recovered, trial.gap, trial.slowest) == (1.0, 5.5, 6.0, 1.0)


def test_the_plots_follow_the_page():
    shots = Shots(np.arange(3.0), np.ones(3), np.array([200, 200, 503]), 0, 3.0, 0.1)
    assert shots.count() == {200: 2, 503: 1}
    level = {"reader": "on", "connections": 1, "answers_per_second": 9.0, "p50_ms": 100, "p95_ms": 120, "p99_ms": 130}
    drawn = plots.levels_plot([level, {**level, "connections": 8}])
    assert drawn.count("<svg") == 1
    assert "prefers-color-scheme:dark" in drawn
    assert "#040404" not in drawn
    assert ">reader on</text>" in drawn
