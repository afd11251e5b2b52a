"""The corpus store: what it keeps, what it calls changed, and what it says of a file that it cannot read."""

import json
import sqlite3
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.article import Article, IngestError, Section
from ingest.database import FORMAT
from ingest.store import CorpusStore

FEES = Article(
    "fees",
    "https://help.kelpex.example/fees",
    "Fees on Kelpex ™ – 手续费",
    "Kelpex",
    ("Spot", "Fees"),
    "en",
    "official",
    "2026-01-02",
    None,
    "2026-05-01",
    (
        Section((), "", "prose", "Kelpex takes 0.1 %.\nMakers pay less."),
        Section(("FAQ", "Is it fixed?"), "faq-1", "faq", "No, it falls with volume.\u2028Ask support."),
    ),
)


@pytest.fixture
def store(tmp_path):
    with CorpusStore(tmp_path / "home" / "corpus.sqlite") as opened:
        yield opened


def reopened(store: CorpusStore) -> CorpusStore:
    store.close()
    return CorpusStore(store.path)


def versions(path: Path) -> list[tuple[str, str]]:
    db = sqlite3.connect(path)
    rows = db.execute("SELECT article_id, article FROM versions ORDER BY rowid").fetchall()
    db.close()
    return [(article_id, json.loads(zlib.decompress(packed))["title"]) for article_id, packed in rows]


def test_an_article_comes_back_as_it_was_put(store):
    assert store.put(FEES, source="pages/fees.html", max_age_days=30) == ("new", "fees")
    with reopened(store) as again:
        stored = again.get("fees")
    assert stored.article == FEES
    assert (stored.source, stored.status, stored.max_age_days) == ("pages/fees.html", "active", 30)


def test_an_unknown_id_gives_nothing(store):
    assert store.get("fees") is None
    assert list(store.articles()) == []


def test_the_same_article_again_is_unchanged(store):
    store.put(FEES, source="a.html")
    assert store.put(FEES, source="a.html") == ("unchanged", "fees")


def test_the_day_of_fetching_does_not_make_a_change(store):
    store.put(FEES, source="a.html")
    assert store.put(replace(FEES, fetched="2026-06-01"), source="a.html") == ("unchanged", "fees")


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Other"},
        {"exchange": None},
        {"products": ()},
        {"updated": "2026-05-02"},
        {"trust": "unknown"},
        {"sections": FEES.sections[:1]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_anything_else_makes_a_change(store, changes):
    store.put(FEES, source="a.html")
    changed = replace(FEES, **changes)
    assert store.put(changed, source="a.html") == ("changed", "fees")
    assert store.get("fees").article == changed


def test_an_unchanged_article_takes_its_new_source_and_limit(store):
    store.put(FEES, source="a.html")
    store.put(FEES, source="b.html", max_age_days=7)
    stored = store.get("fees")
    assert (stored.source, stored.max_age_days) == ("b.html", 7)


def test_the_version_before_is_kept(store):
    store.put(FEES, source="a.html")
    store.put(replace(FEES, title="Newer", fetched="2026-05-02"), source="a.html")
    assert versions(store.path) == [("fees", FEES.title), ("fees", "Newer")]


def test_a_version_that_comes_back_is_current_again(store):
    store.put(FEES, source="a.html")
    store.put(replace(FEES, title="Newer"), source="a.html")
    assert store.put(FEES, source="a.html") == ("changed", "fees")
    assert store.get("fees").article.title == FEES.title
    assert len(versions(store.path)) == 2


def test_an_address_keeps_its_id_when_the_page_has_another_one(store):
    store.put(FEES, source="a.html")
    assert store.put(replace(FEES, id="renamed", title="Newer"), source="a.html") == ("changed", "fees")
    assert [stored.article.id for stored in store.articles()] == ["fees"]


def test_two_addresses_of_one_id_are_both_kept(store):
    other = replace(FEES, url="https://help.mirador.example/fees", exchange="Mirador")
    store.put(FEES, source="a.html")
    change, other_id = store.put(other, source="b.html")
    assert change == "new"
    assert other_id.startswith("fees-")
    assert store.get("fees").article == FEES
    assert store.get(other_id).article == replace(other, id=other_id)
    assert store.put(other, source="b.html") == ("unchanged", other_id)


def test_articles_come_in_the_order_of_their_ids(store):
    for name in ("zebra", "alpha", "middle"):
        store.put(replace(FEES, id=name, url=f"https://x.example/{name}"), source=name)
    assert [stored.article.id for stored in store.articles()] == ["alpha", "middle", "zebra"]


def test_articles_are_picked_by_their_status(store):
    store.put(FEES, source="a.html")
    store.put(replace(FEES, id="old", url="https://x.example/old"), source="b.html")
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE articles SET status = 'gone' WHERE id = 'old'")
    db.close()
    assert [stored.article.id for stored in store.articles()] == ["fees"]
    assert [stored.status for stored in store.articles(status=None)] == ["active", "gone"]
    assert [stored.article.id for stored in store.articles(status="gone")] == ["old"]


def test_a_page_that_is_back_is_active_again(store):
    store.put(FEES, source="a.html")
    before = store.digest()
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE articles SET status = 'gone'")
    db.close()
    assert store.digest() != before
    assert store.put(FEES, source="a.html") == ("changed", "fees")
    assert store.get("fees").status == "active"
    assert store.digest() == before


def test_equal_corpora_have_equal_digests(store, tmp_path):
    other = replace(FEES, id="other", url="https://x.example/other")
    store.put(FEES, source="a.html")
    store.put(other, source="b.html")
    with CorpusStore(tmp_path / "second.sqlite") as second:
        second.put(replace(other, fetched=None), source="elsewhere.html")
        second.put(replace(FEES, title="A detour"), source="elsewhere.html")
        second.put(FEES, source="elsewhere.html")
        assert second.digest() == store.digest()


def test_a_limit_of_age_changes_the_digest(store):
    store.put(FEES, source="a.html")
    before = store.digest()
    store.put(FEES, source="a.html", max_age_days=1)
    assert store.digest() != before


def test_what_is_no_database_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "corpus.sqlite"
    path.write_text("these are not the articles that you look for\n" * 50)
    with pytest.raises(IngestError, match=r"corpus\.sqlite: not a readable corpus store .*run `citedesk ingest` again"):
        CorpusStore(path)


def test_damage_inside_is_named_with_what_to_do(store):
    for number in range(200):
        store.put(replace(FEES, id=f"a{number}", url=f"https://x.example/{number}"), source="a.html")
    reopened(store).close()
    data = bytearray(store.path.read_bytes())
    schema = 40 * 4096  # what is in front holds the tables' definitions
    data[schema:] = b"\xa5" * (len(data) - schema)
    store.path.write_bytes(data)
    message = r"corpus\.sqlite: not a readable corpus store .*run `citedesk ingest` again"
    with CorpusStore(store.path) as damaged:
        with pytest.raises(IngestError, match=message):
            list(damaged.articles())
        with pytest.raises(IngestError, match=message):
            damaged.digest()
        with pytest.raises(IngestError, match=message):
            damaged.put(FEES, source="a.html")


def test_an_unknown_format_is_named_with_what_to_do(store):
    with sqlite3.connect(store.path) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 6}")
    db.close()
    store.close()
    with pytest.raises(IngestError, match=rf"format {FORMAT + 6}, .* reads format {FORMAT}; .*`citedesk ingest` again"):
        CorpusStore(store.path)


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    (tmp_path / "corpus.sqlite").mkdir()
    with pytest.raises(IngestError, match=r"corpus\.sqlite: cannot be used .*check the disk's space and rights"):
        CorpusStore(tmp_path / "corpus.sqlite")
