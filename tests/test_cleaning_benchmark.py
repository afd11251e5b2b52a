"""The measure of cleaning, on pages and texts made up here."""

import gzip
import json

import pytest

from benchmarks.cleaning import CORPUS, Score, compare, half_of, measure, page_text, recover, word_scores
from ingest.clean import parse_html


@pytest.mark.parametrize(
    ("text", "truth", "f1"),
    [("a b", "A, b!", 1.0), ("a b b", "a b c", 2 / 3), ("", "a", 0.0), ("a", "", 0.0), ("", "", 1.0), ("x", "y", 0.0)],
)
def test_words_are_counted_as_a_bag(text, truth, f1):
    assert word_scores(text, truth)[0] == pytest.approx(f1)


def test_a_page_is_always_in_the_same_half():
    halves = [half_of(f"dev/{number:04}") for number in range(200)]
    assert halves == [half_of(f"dev/{number:04}") for number in range(200)]
    assert 70 < halves.count("tune") < 130


def test_the_interval_of_a_constant_difference_is_that_difference():
    ours, peer = (Score(f1, 1, 1, 1, 1, 0.1) for f1 in (0.9, 0.8))
    found = compare([ours] * 5, [peer] * 5)
    assert (found.difference, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_a_repeated_header_cell_counts_once():
    table = (
        "<table><tr><th>Coin</th><th>Fee</th></tr><tr><td>A</td><td>1</td></tr><tr><td>B</td><td>2</td></tr></table>"
    )
    page = parse_html(f"<h1>Fees</h1><p>What each coin costs.</p>{table}", url=None)
    assert page_text(page).split("\n")[2:] == ["Coin: A | Fee: 1", "B | 2"]


def test_both_cleaners_are_measured_on_the_same_pages(tmp_path):
    text = "Fees are charged once a day, at noon, on the whole balance of the account. " * 4
    html = f"<html><body><nav><a href=/>Home</a></nav><main><h1>Fees</h1><p>{text}</p></main></body></html>"
    (tmp_path / "html").mkdir()
    rows = []
    for number in range(4):
        name = f"html/{number}.html.gz"
        (tmp_path / name).write_bytes(gzip.compress(html.encode()))
        row = {"id": str(number), "type": "documentation", "url": "https://a.example/", "html": name}
        rows.append(json.dumps(row | {"truth": f"Fees {text}", "with": ["at noon"], "without": ["Home"]}))
    (tmp_path / "truth.jsonl").write_text("\n".join(rows))
    found = measure(tmp_path, "all")
    assert found["documentation"].pages == found["all"].pages == 4
    assert (found["all"].ours.f1, found["all"].ours.present, found["all"].ours.absent) == (1.0, 1.0, 1.0)


def test_everything_of_the_starter_corpus_is_recovered():
    found = recover(CORPUS)
    assert {what: each.missed for what, each in found.items()} == dict.fromkeys(found, ())
    assert all(each.there >= 20 for each in found.values())


def test_what_cleaning_loses_is_missed(tmp_path):
    steps = "<ol><li>Open the app.</li><li>Press the button.</li></ol>"
    page = f"<h1>Cards</h1><p>How a card is ordered in the app.</p>{steps}<div hidden>{steps.replace('button', 'bell')}</div>"
    (tmp_path / "a.html").write_text(page)
    assert (recover(tmp_path)["step lists"].found, recover(tmp_path)["step lists"].there) == (1, 2)
