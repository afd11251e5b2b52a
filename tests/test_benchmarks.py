"""The benchmarks of the ingest, each run once on little: they measure what they say, and find a fault where there is one."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import crawl, kill, scale, store_scale
from benchmarks.memory import Watch
from benchmarks.site import HelpCentre, served
from ingest.archive import Archive

PAGES = 10


@pytest.fixture(scope="module")
def site():
    with served(HelpCentre(PAGES)) as site:
        yield site


@pytest.fixture(scope="module")
def ingested(site, tmp_path_factory):
    """A home with the whole site in it, and how it came there."""
    folder = tmp_path_factory.mktemp("ingested")
    sources = crawl.write_sources(folder / "sources.toml", crawl.source_of(site, 4))
    return folder / "home", crawl.whole(sources, folder / "home", PAGES)


@pytest.fixture
def home(ingested, tmp_path):
    return shutil.copytree(ingested[0], tmp_path / "home")


def test_a_watch_sees_the_memory_and_the_processor_time_of_a_child():
    with Watch(os.getpid()) as watch:
        subprocess.run([sys.executable, "-c", "a = bytearray(60_000_000); sum(range(6_000_000))"], check=True)
    taken = watch.taken()
    assert taken.peaks["other"] > 60_000_000
    assert taken.cpu["other"] > 0
    assert taken.peak > taken.peaks["other"]


def test_plain_scrapy_and_the_crawl_alone_bring_in_every_page(site, tmp_path):
    plain = crawl.plain(site, tmp_path / "plain", 4, PAGES)
    alone = crawl.crawl_alone(site, tmp_path / "alone", 4, PAGES)
    assert plain.pages == alone.pages == PAGES
    assert list(plain.taken.peaks) == ["scrapy"]
    assert list(alone.taken.peaks) == ["crawler"]


def test_a_whole_ingest_is_measured_by_what_each_process_does(ingested):
    assert ingested[1].taken.peaks.keys() >= {"parent", "crawler", "worker"}


def test_a_second_run_that_is_slow_or_tells_of_other_changes_is_a_fault(site, ingested):
    first = ingested[1]
    asked = site.counters()
    wanted = {"changed": 1, "gone": 0, "moved": 0}
    right = crawl.Second("right", 1.0, 0.05, asked, 1, {"changed": 1}, wanted, first.taken)
    slow = crawl.Second("slow", 1.0, 0.2, asked, 1, {"changed": 1}, wanted, first.taken)
    lost = crawl.Second("lost", 1.0, 0.05, asked, 2, {"gone": 1}, wanted, first.taken)
    results = crawl.Results("here", [first], [right, slow, lost])
    assert [fault.partition(":")[0] for fault in crawl.faults(results)] == ["slow", "lost", "lost"]


def test_an_undisturbed_home_has_no_fault(home):
    assert list(kill.faults_of(home, kill.content(home))) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM pages WHERE rowid = 1", "page is lost"),
        ("UPDATE articles SET status = 'gone' WHERE rowid = 1", "article is lost"),
        ("UPDATE articles SET digest = 'x' WHERE rowid = 1", "article is another"),
        ("UPDATE pages SET \"offset\" = \"offset\" + 1 WHERE rowid = 1", "pages-00000.warc.gz: byte"),
        ("INSERT INTO events (article_id, at, kind, detail) SELECT id, '2026', 'added', '' FROM articles LIMIT 1", "'added'"),
        ("INSERT INTO frontier (run, url, kind, depth) VALUES (1, 'http://a', 'page', 0)", "frontier"),
    ],
)  # fmt: skip
def test_what_a_kill_could_do_to_a_home_is_found(home, statement, said):
    wanted = kill.content(home)
    with sqlite3.connect(home / "corpus.sqlite") as db:
        assert db.execute(statement).rowcount == 1
    db.close()
    assert any(said in fault for fault in kill.faults_of(home, wanted))


def test_damage_in_the_archive_is_found(home):
    wanted = kill.content(home)
    path = Archive(home / "pages").files()[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    assert any(path.name in fault for fault in kill.faults_of(home, wanted))


def test_killed_twice_an_ingest_loses_nothing(site, ingested, tmp_path):
    sources = crawl.write_sources(tmp_path / "sources.toml", crawl.source_of(site, 4))
    trial = kill.Trial("killed")
    kill.killed(trial, 2, sources, tmp_path, kill.content(ingested[0]), random.Random(3))
    assert trial.disturbed == 2
    assert trial.homes >= 1
    assert trial.faults == []


def test_the_store_is_measured_at_every_stage(tmp_path):
    rows = store_scale.write_rows(tmp_path / "rows.jsonl", 150)
    first = store_scale.ingesting(tmp_path, rows)[1]
    store_scale.write_rows(rows, 150, day=1)
    second = store_scale.ingesting(tmp_path, rows)[1]
    said = {name: stage(tmp_path, rows)[1] for name, stage in store_scale.OVER_ALL.items()}
    alone = store_scale.putting(tmp_path / "alone", rows)[1]
    assert (first["new"], second["changed"], second["unchanged"]) == (150, 1, 149)
    assert first["duplicates"] == said["group all"]["duplicate"] == alone["duplicate"] == 3
    assert (said["articles list"]["rows"], said["articles list --changed"]["rows"]) == (150, 1)
    assert said["passage list"]["passages"] > 150


def test_a_stage_runs_in_a_process_of_its_own_and_gives_its_memory(tmp_path):
    rows = store_scale.write_rows(tmp_path / "rows.jsonl", 20)
    stage, taken = store_scale.run("put alone", store_scale.putting, tmp_path, rows)
    assert stage.said["active"] == 20
    assert stage.memory > 10_000_000
    assert taken.peaks["parent"] > 10_000_000


def test_a_plot_shows_each_stage_that_goes_on_by_thousands():
    stages = [store_scale.Stage("ingest", 6.0, 5.0, 1, (2.0, 2.5)), store_scale.Stage("digest", 1.0, 1.0, 1)]
    drawn = store_scale.plot(store_scale.Scale(2_000, 1, stages))
    assert drawn.count("<polyline") == 1
    assert ">ingest</text>" in drawn


def test_articles_are_the_same_for_the_same_number_and_reprints_say_the_same():
    rows = list(store_scale.articles(100))
    assert rows == list(store_scale.articles(100))
    assert len({row["url"] for row in rows}) == 100
    assert rows[98]["text"] == rows[0]["text"]


def test_vectors_are_made_more_without_repeating_any(starter):
    real = np.stack([starter.snapshot.dense.vector(row) for row in range(100)])
    made = np.concatenate([vectors for vectors, _ in scale.more_vectors(real, 500)])
    assert np.linalg.norm(made, axis=1) == pytest.approx(np.ones(500), abs=1e-5)
    assert len(np.unique(made.round(5), axis=0)) == 500
    again = np.concatenate([vectors for vectors, _ in scale.more_vectors(real, 500)])
    assert (made == again).all()


def test_indexes_of_a_size_are_built_and_searched_under_each_filter(starter_home, tmp_path):
    one = scale.measure(starter_home, 300, tmp_path / "work")
    assert [found.filter for found in one.found] == ["none", *scale.SHARES, "together"]
    assert all(found.recall > 0.99 for found in one.found if found.passages)
    assert one.passages == one.found[0].passages == 300
    assert not one.graph
    assert "| 300 |" in scale.table([one])
    assert not (tmp_path / "work").exists()
