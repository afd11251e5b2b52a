import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import fuzz_cleaning
from benchmarks.fuzz_cleaning import Case, cases, pages_of, read_page, shrink, try_page, violations
from benchmarks.mutations import LONGEST, MUTATIONS, broken
from ingest.article import Article, PageError, Section
from ingest.exchanges import load_directory

PAGES = pages_of(None)
DIRECTORY = load_directory()
FINE = ("cleaned", "refused")

#: What broke the cleaning once: it must be cleaned or refused, and never break it again.
FOUND = {
    "a superscript as a span": "<h1>Fees</h1><table><tr><th colspan='²'>Coin</th><td>The fee is five</td></tr></table>",
    "a superscript as a number": "<h1>Fees</h1><ol start='²'><li value='³'>The fee is five</li></ol>",
    "a number of 5,000 digits": f"<h1>Fees</h1><ol start={'9' * 5000}><li>The fee is five</ol><table><td colspan={'9' * 5000}>The fee",
    "a pair of which one half is noise": "<h1>Fees</h1><dl><dt>How much is it?<dt><dd></dl><p>The fee is five euros.</p>",
    "a span of a thousand million": "<h1>Fees</h1><table><tr><td colspan=1000000000 rowspan=1000000000>The fee is five</table>",
    "a link inside a permalink": "<h1>Fees</h1><p>The fee is five euros.</p><h3><a><d><a>",
    "lists right inside each other": "<h1>Fees</h1>" + "<ul>" * 26 + "<li>The fee is five euros</li>" + "</ul>" * 26,
    "a line of digits": f"<h1>Fees</h1><p>The fee is five euros.</p><p>{'1' * 20_000}</p>",
    "a text without a space": f"<h1>Fees</h1><p>{'x' * 200_000}</p>",
    "an address that is none": '<link rel="canonical" href="http://[::1"><h1>Fees</h1><p>The fee is five euros.</p>',
    "half a character": "<h1>Fees &#xD800;</h1><p>The fee &#xDFFF; is five euros \\ud800.</p>",
}


def page(name: str) -> bytes:
    return next(read_page(Path(path)) for path in PAGES if path.endswith(f"/{name}"))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_no_way_of_breaking_a_page_breaks_the_cleaning(mutation):
    for seed in range(2):
        draw = Random(seed)
        data = mutation(page(("noisy.html", "binance-api-keys.html")[seed]), draw)[:200_000]
        outcome = try_page(data, DIRECTORY)
        assert outcome.kind in FINE, outcome.problem


@pytest.mark.parametrize("html", FOUND.values(), ids=FOUND)
def test_what_broke_the_cleaning_once_does_not_again(html):
    outcome = try_page(html.encode("utf-8", "surrogatepass"), DIRECTORY)
    assert outcome.kind in FINE, outcome.problem
    assert outcome.ms < 5000  # some of them took far longer


PIECES = (
    "<p>", "</p>", "<table>", "<tr>", "<td>", "</table>", "<ol>", "<li>", "</ol>", "<dl>", "<dt>", "<dd>", "<details>", "<summary>", "</details>",
    "<h1>", "<h2>", "</h2>", "<b>", "<pre>", "<!--", "-->", "<script>", "</script>", "<br>", "<a href='http://['>", "Q:", "A:", "1.", "2.", "?",
    "- ", "|", "{{x}}", "&#0;", "&#xD800;", "\0", "\u202e", "\x85", "\u2028", "\n", "word", "A sentence.",
)  # fmt: skip
FRAGMENTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=60)


@given(FRAGMENTS)
@settings(max_examples=60, deadline=5000, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None)
def test_any_heap_of_tags_and_text_is_cleaned_or_refused(fragments):
    html = "<h1>Fees and limits</h1><p>The fee for a withdrawal is five euros.</p>" + " ".join(fragments)
    outcome = try_page(html.encode("utf-8", "surrogatepass"), DIRECTORY)
    assert outcome.kind in FINE, outcome.problem


def test_the_same_seed_breaks_the_same_pages_in_the_same_way():
    first, again = ([case.data() for case in cases(PAGES, 12, 5)] for _ in range(2))
    assert first == again
    assert len({data for data, _ in first}) == 12
    assert {data for data, _ in first}.isdisjoint(read_page(Path(name)) for name in PAGES)


def test_a_broken_page_has_a_longest():
    assert len(broken(b"<p>" * LONGEST, Random(1))[0]) <= LONGEST


ARTICLE = Article(
    "a", "https://help.example/a", "Fees", None, (), "en", "unknown", None, None, None, (Section((), "", "prose", "The fee is five."),)
)  # fmt: skip


@pytest.mark.parametrize(
    ("article", "named"),
    [
        (replace(ARTICLE, title=" "), "title"),
        (replace(ARTICLE, sections=()), "no passages"),
        (replace(ARTICLE, title="a\0b"), "NUL"),
        (replace(ARTICLE, disclaimer="\\\0"), "NUL"),
        (replace(ARTICLE, disclaimer="half \ud83d"), "surrogate"),
    ],
)
def test_what_is_wrong_with_an_article_is_named(article, named):
    assert not list(violations(replace(ARTICLE, disclaimer=r"\u0000 in letters is none")))
    assert any(named in violation for violation in violations(article))


@pytest.mark.parametrize(
    ("error", "kind"), [(KeyError("x"), "crash"), (MemoryError(), "memory"), (PageError("x"), "refused")]
)
def test_a_crash_is_told_from_a_page_that_is_refused_and_from_one_too_large(monkeypatch, error, kind):
    def fail(data, directory):
        raise error

    monkeypatch.setattr(fuzz_cleaning, "clean", fail)
    assert try_page(b"<p>x</p>", DIRECTORY).kind == kind


def test_a_page_is_shrunk_to_what_it_fails_without():
    assert shrink(b"<p>some text</p><b>bad</b><p>more text</p>" * 5, lambda data: b"bad" in data) == b"bad"


def test_the_run_cleans_in_processes_of_their_own():
    todo = iter([Case(PAGES[0], "1:1"), Case(PAGES[1], "1:2"), Case(PAGES[2], "1:3")])
    done = dict(fuzz_cleaning.run(todo, workers=2))
    assert {case.seed for case in done} == {"1:1", "1:2", "1:3"}
    assert all(outcome.ms > 0 and outcome.broken_by for outcome in done.values())


@pytest.mark.parametrize(("limit", "seconds"), [("LIMIT", 0.001), ("PATIENCE", 0.0)])
def test_a_page_that_takes_too_long_is_ended_and_the_rest_goes_on(monkeypatch, limit, seconds):
    monkeypatch.setattr(fuzz_cleaning, limit, seconds)  # no page is that fast
    todo = iter([Case(PAGES[0], "1:1"), Case(PAGES[1], "1:2")])
    outcomes = [outcome for _, outcome in fuzz_cleaning.run(todo, workers=1)]
    assert [outcome.kind for outcome in outcomes] == ["hang", "hang"]
    assert all(outcome.broken_by for outcome in outcomes)


def test_a_saved_page_can_be_cleaned_again(tmp_path):
    path = tmp_path / "crash-page-1.html"
    path.write_bytes(page("noisy.html"))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz_cleaning", "--replay", str(path)],
        capture_output=True, text=True, cwd=fuzz_cleaning.ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("crash-page-1.html: cleaned")
