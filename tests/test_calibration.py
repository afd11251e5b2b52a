import json
import math

import pytest
from homes import OTHERS, article, build_fast, home_of, put

from index.calibration import FILE, LEAN_WEIGHT, LEAST, Calibration, measure
from index.snapshot import SnapshotShelf
from ingest.exchanges import Directory
from service import evidence

TOPICS = ("withdrawal fees", "staking rewards", "lost codes", "price alerts", "tax reports", "futures margin")


def pages(name, wording, exchange):
    """Pages of one topic each, with a heading that no other page has."""
    return [
        article(f"{name}-{number}", f"## {wording.format(topic)}\n\nPage {number} tells of {topic}.", exchange=exchange, title=f"{topic} {name}")
        for number, topic in enumerate(TOPICS)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    rows = [*pages("one", "All about {}", "Kelpex"), *pages("two", "Help with {}", "Mirador")]
    return SnapshotShelf(home_of(tmp_path_factory.mktemp("desk") / "home", rows)).open()


def test_a_build_measures_how_near_the_corpus_comes_to_what_it_does_not_answer(snapshot):
    found = snapshot.calibration
    assert found == Calibration.open(snapshot.folder)
    assert found.asked == found.asked_within >= len(TOPICS)
    # Each topic has a twin at the other exchange, and none at its own.
    assert found.within < found.anywhere
    assert found.usual(bound=True) == found.within
    assert found.usual(bound=False) == found.anywhere


def test_a_question_of_the_corpus_is_not_compared_with_its_own_article(snapshot):
    asked = snapshot.encoder.encode_query(["All about staking rewards"])[0]
    spread = snapshot.spread
    with_own = (snapshot.dense.search(asked, 1)[0][1] - spread.expected(asked)) / spread.deviation(asked)
    assert snapshot.calibration.within < with_own


def test_the_same_corpus_gives_the_same_calibration(snapshot):
    again = measure(snapshot.folder, snapshot.encoder, snapshot.directory)
    assert again == snapshot.calibration


def test_headings_that_name_an_exchange_are_not_asked(snapshot):
    names = Directory(()).with_names(["All about", "Help with", "one", "two"])
    unasked = measure(snapshot.folder, snapshot.encoder, names)
    assert (unasked.asked, unasked.asked_within) == (0, 0)
    foretold = Calibration.foretold(snapshot.manifest.counts["passages"], 2)
    assert unasked.anywhere == pytest.approx(foretold.anywhere, abs=0.001)
    assert unasked.within == pytest.approx(foretold.within, abs=0.001)


@pytest.mark.parametrize(("passages", "exchanges"), [(0, 0), (1, 1), (3, 7)])
def test_even_a_single_passage_comes_as_near_as_any_about_trading(passages, exchanges):
    assert Calibration.foretold(passages, exchanges) == Calibration(LEAST, LEAST)


def test_more_passages_come_nearer():
    foretold = Calibration.foretold(1000, 10)
    assert foretold.anywhere == pytest.approx(math.sqrt(2 * math.log(1000)))
    assert foretold.within == pytest.approx(math.sqrt(2 * math.log(100)))


def test_a_corpus_of_one_article_is_calibrated_by_its_size_alone(tmp_path):
    home = home_of(tmp_path / "home", [article("fees", "The taker fee is 0.2%.\n\nThe maker fee is 0.1%.")])
    found = SnapshotShelf(home).open().calibration
    assert (found.asked, found.asked_within) == (0, 0)


def test_a_snapshot_from_before_the_calibration_still_opens(tmp_path):
    home = home_of(tmp_path / "home", OTHERS)
    folder = SnapshotShelf(home).open().folder
    (folder / FILE).unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"][FILE]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    opened = SnapshotShelf(home).open()
    assert opened.calibration == Calibration.foretold(opened.manifest.counts["passages"], 2)


def test_a_changed_corpus_is_calibrated_anew(tmp_path):
    home = home_of(tmp_path / "home", OTHERS)
    before = SnapshotShelf(home).open().calibration
    put(home, pages("more", "All about {}", "Kelpex"))
    build_fast(home)
    assert SnapshotShelf(home).open().calibration.asked > before.asked


def test_nearness_is_counted_as_the_evidence_counts_it():
    assert LEAN_WEIGHT == evidence.LEAN_WEIGHT
