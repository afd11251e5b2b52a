"""The crawl state: a run that is gone on with, the queues, and what is known of pages."""

import sqlite3
import zlib
from dataclasses import asdict

import pytest

from ingest.archive import Location
from ingest.article import Article, Section
from ingest.database import FORMAT
from ingest.state import CrawlState, Found, Run
from ingest.store import CorpusStore, content_digest

URL = "https://help.kelpex.example/fees"


@pytest.fixture
def store(tmp_path):
    with CorpusStore(tmp_path / "corpus.sqlite") as opened:
        yield opened


@pytest.fixture
def state(store) -> CrawlState:
    return store.state()


def begun(state: CrawlState, scope: str = "{}") -> Run:
    return state.begin("kelpex", scope, "{}")


def capture(state: CrawlState, run: Run, digest: str, at: int = 0) -> bool:
    return state.captured(
        run, URL, status=200, digest=digest, fetched="2026-05-01T10:00:00+00:00", etag='"1"',
        location=Location("pages-00000.warc.gz", at, 100),
    )  # fmt: skip


def test_a_run_that_was_not_finished_is_gone_on_with(state):
    first = begun(state)
    state.add(first, [Found(URL), Found(f"{URL}/2", depth=1)])
    state.failed(first, URL, status=500, error="HTTP 500")
    again = begun(state)
    assert (again.id, again.resumed) == (first.id, True)
    assert [queued.found.url for queued in state.waiting(again, after=0, most=10)] == [f"{URL}/2"]
    assert state.progress(again) == {"failed": 1, "waiting": 1}


def test_a_run_of_another_scope_or_after_a_finished_one_begins_anew(state):
    first = begun(state)
    state.add(first, [Found(URL)])
    other = begun(state, '{"include": ["x"]}')
    assert other.id != first.id
    assert not other.resumed
    assert state.progress(first) == {}
    state.finish(other, complete=True)
    assert begun(state, '{"include": ["x"]}').id != other.id


def test_an_address_is_queued_once_a_run(state):
    run = begun(state)
    assert state.add(run, [Found(URL), Found(URL, depth=3)]) == 1
    assert state.add(run, [Found(URL)]) == 0
    state.missing(run, URL, status=404)
    assert state.add(run, [Found(URL)]) == 0
    assert state.waiting(run, after=0, most=10) == []


def test_only_another_body_is_to_be_cleaned(state):
    run = begun(state)
    assert capture(state, run, "a")
    (page,) = state.uncleaned("kelpex", 10)
    state.cleaned(page, "rules", article_id="fees")
    assert state.uncleaned("kelpex", 10) == []
    assert not capture(state, run, "a")
    assert state.uncleaned("kelpex", 10) == []
    assert capture(state, run, "b", at=100)
    assert len(state.uncleaned("kelpex", 10)) == 1
    assert state.archive_lengths() == {"pages-00000.warc.gz": 200}


def test_what_was_fetched_meanwhile_is_not_taken_for_cleaned(state):
    run = begun(state)
    capture(state, run, "a")
    (page,) = state.uncleaned("kelpex", 10)
    capture(state, run, "b", at=100)
    state.cleaned(page, "rules", article_id="fees")
    assert [waiting.digest for waiting in state.uncleaned("kelpex", 10)] == ["b"]


def test_other_rules_have_every_archived_page_cleaned_again(state):
    run = begun(state)
    capture(state, run, "a")
    state.cleaned(state.page("kelpex", URL), "rules", article_id="fees")
    assert state.clean_again("kelpex", "rules") == 0
    assert state.clean_again("kelpex", "newer rules") == 1
    assert len(state.uncleaned("kelpex", 10)) == 1


def test_failures_are_counted_by_runs_and_end_with_a_success(state):
    for expected in (1, 2):
        run = begun(state)
        state.failed(run, URL, status=500, error="HTTP 500")
        state.failed(run, URL, status=500, error="HTTP 500")
        assert state.page("kelpex", URL).failures == expected
        state.finish(run, complete=True)
    capture(state, begun(state), "a")
    assert state.page("kelpex", URL).failures == 0


def test_a_page_without_an_article_goes_on_failing_while_it_stays_as_it_is(state):
    run = begun(state)
    capture(state, run, "a")
    state.cleaned(state.page("kelpex", URL), "rules", article_id=None, problem="no main text")
    state.finish(run, complete=True)
    run = begun(state)
    state.unchanged(run, URL)
    page = state.page("kelpex", URL)
    assert (page.failures, page.problem) == (2, "no main text")


def test_what_the_archive_lost_is_fetched_again(state):
    run = begun(state)
    capture(state, run, "a", at=500)
    assert state.lost_captures("pages-00000.warc.gz", 550) == 1
    page = state.page("kelpex", URL)
    assert (page.location, page.digest, page.etag) == (None, None, None)
    assert state.archive_lengths() == {"pages-00000.warc.gz": 550}


def test_a_page_that_is_back_is_cleaned_though_its_body_is_the_same(state):
    run = begun(state)
    capture(state, run, "a")
    state.cleaned(state.page("kelpex", URL), "rules", article_id="fees")
    state.gone("kelpex", [URL])
    state.unchanged(run, URL)
    assert len(state.uncleaned("kelpex", 10)) == 1
    assert not state.page("kelpex", URL).gone


def test_a_transaction_is_done_whole_or_not_at_all(store, state):
    run = begun(state)

    def broken_off() -> None:
        with store.transaction():
            capture(state, run, "a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert state.page("kelpex", URL) is None


def test_a_store_of_the_first_format_is_brought_up_to_date_with_all_it_holds(tmp_path):
    import json

    path = tmp_path / "corpus.sqlite"
    fees = Article(
        "fees", URL, "Fees", "Kelpex", ("Fees",), "en", "official", None, None, "2026-05-01",
        (Section((), "", "prose", "Kelpex takes 0.1 %."),),
    )  # fmt: skip
    text = json.dumps(asdict(fees))
    db = sqlite3.connect(path)
    db.executescript(
        "CREATE TABLE articles (id TEXT PRIMARY KEY, url TEXT NOT NULL UNIQUE, source TEXT NOT NULL, status TEXT NOT NULL "
        "DEFAULT 'active', title TEXT NOT NULL, exchange TEXT, language TEXT NOT NULL, trust TEXT NOT NULL, digest TEXT NOT "
        "NULL, max_age_days INTEGER, article TEXT NOT NULL) STRICT;"
        "CREATE TABLE versions (article_id TEXT NOT NULL, digest TEXT NOT NULL, seen TEXT, article TEXT NOT NULL, PRIMARY "
        "KEY (article_id, digest)) STRICT; PRAGMA user_version = 1;"
    )
    digest = content_digest(fees)
    db.execute(
        "INSERT INTO articles VALUES ('fees', ?, 'fees.html', 'active', 'Fees', 'Kelpex', 'en', 'official', ?, 30, ?)",
        (URL, digest, text),
    )
    db.execute("INSERT INTO versions VALUES ('fees', ?, '2026-05-01', ?)", (digest, text))
    db.commit()
    db.close()
    with CorpusStore(path) as store:
        stored = store.get("fees")
        assert stored.article == fees
        assert (stored.source, stored.max_age_days) == ("fees.html", 30)
        assert store.put(fees, source="fees.html") == ("unchanged", "fees")
        packed = store.database.connection.execute("SELECT article FROM versions").fetchone()[0]
        assert json.loads(zlib.decompress(packed))["title"] == "Fees"
        assert store.database.connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT
