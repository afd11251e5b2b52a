"""Near-duplicates in the store: one speaks for the group, and another one takes over when it leaves."""

from dataclasses import replace

import pytest

from ingest.article import Article, Section
from ingest.groups import group, remember
from ingest.store import CorpusStore

WORDS = (
    "Kelpex moves the margin of a position to the spot wallet when the position is closed by hand. "
    "A position that the engine closes leaves the rest of its margin in the insurance pool of the market. "
    "The trader sees both bookings in the ledger of the account on the next working day, and may ask the desk to explain "
    "each of them. Bookings of a market that is halted wait for its reopening, which the status page announces. "
    "Until then neither the wallet nor the ledger shows what is still on its way from one to the other. "
)
OFFICIAL = Article(
    "margin", "https://help.kelpex.example/margin", "Where margin goes", "Kelpex", ("Margin",), "en", "official", None,
    "2026-03-01", None, (Section((), "", "prose", WORDS),),
)  # fmt: skip
MIRROR = replace(
    OFFICIAL, id="mirror", url="https://mirror.example/kelpex-margin", trust="unknown", updated="2026-04-01",
    sections=(Section((), "", "prose", f"{WORDS}\nRead more of our stories."),),
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with CorpusStore(tmp_path / "corpus.sqlite") as opened:
        yield opened


def put(store: CorpusStore, *articles: Article) -> None:
    for one in articles:
        _, article_id = store.put(one, source=one.url)
        remember(store, article_id)
    group(store)


def statuses(store: CorpusStore) -> dict[str, str]:
    return {row.id: row.status for row in store.rows()}


@pytest.mark.parametrize("order", [(OFFICIAL, MIRROR), (MIRROR, OFFICIAL)], ids=["official first", "mirror first"])
def test_the_more_trusted_one_speaks_whatever_came_first(store, order):
    for one in order:
        put(store, one)
    assert statuses(store) == {"margin": "active", "mirror": "duplicate"}
    assert store.get("mirror").speaker == "margin"
    assert store.get("mirror").why == "says the same as margin"
    assert [stored.article.id for stored in store.articles()] == ["margin"]


def test_a_mirror_speaks_again_when_the_original_is_gone_and_is_silent_when_it_is_back(store):
    put(store, OFFICIAL, MIRROR)
    store.remove("margin", "HTTP 404")
    group(store)
    assert statuses(store) == {"margin": "gone", "mirror": "active"}
    put(store, OFFICIAL)
    assert statuses(store) == {"margin": "active", "mirror": "duplicate"}
    assert [event.kind for event in store.history("mirror")] == ["added", "duplicate", "speaks", "duplicate"]


def test_a_mirror_that_changes_speaks_for_itself(store):
    put(store, OFFICIAL, MIRROR)
    other = "Kelpex halts a market for maintenance. " + " ".join(f"Desk {n} answers letter {n}." for n in range(60))
    put(store, replace(MIRROR, sections=(Section((), "", "prose", other),)))
    assert statuses(store) == {"margin": "active", "mirror": "active"}


def test_articles_of_two_exchanges_are_never_grouped(store):
    put(store, OFFICIAL, replace(MIRROR, exchange="Mirador"))
    assert statuses(store) == {"margin": "active", "mirror": "active"}


def test_a_suspect_never_speaks_nor_is_spoken_for(store):
    put(store, OFFICIAL)
    store.put(MIRROR, source="x", suspect="looks like kelpex.example")
    remember(store, "mirror")
    group(store)
    assert statuses(store) == {"margin": "active", "mirror": "suspect"}
    assert store.get("mirror").why == "looks like kelpex.example"


def test_what_did_not_change_is_not_compared_again(store):
    put(store, OFFICIAL, MIRROR)
    assert store.ungrouped() == []
    put(store, OFFICIAL)
    assert [event.kind for event in store.history("margin")] == ["added"]


def test_a_signature_of_another_version_is_made_again(store):
    put(store, OFFICIAL)
    with store.transaction() as db:
        db.execute("UPDATE signatures SET data = x'00'")
        db.execute("DELETE FROM bands")
    put(store, MIRROR)
    store.database.connection.execute("INSERT INTO ungrouped VALUES ('margin')")
    group(store)
    assert statuses(store) == {"margin": "active", "mirror": "duplicate"}


def test_a_signature_of_another_version_that_is_met_is_filed_next_time(store):
    put(store, OFFICIAL)
    store.database.connection.execute("UPDATE signatures SET data = x'00'")
    put(store, MIRROR)
    assert statuses(store) == {"margin": "active", "mirror": "duplicate"}
    assert store.ungrouped() == ["margin"]
    group(store)
    assert store.ungrouped() == []


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_articles_that_are_filed_one_after_the_other_find_each_other(store, monkeypatch, at_once):
    monkeypatch.setattr("ingest.groups.AT_ONCE", at_once)
    alone = replace(OFFICIAL, id="alone", url="https://alone.example/a", sections=(Section((), "", "prose", "Alone."),))
    put(store, alone, OFFICIAL, MIRROR, replace(MIRROR, id="reprint", url="https://reprint.example/m"))
    assert statuses(store) == {"alone": "active", "margin": "active", "mirror": "duplicate", "reprint": "duplicate"}


def test_pages_of_one_site_are_not_compared_however_alike_they_are(store):
    put(
        store,
        *(replace(MIRROR, id=f"mirror-{n}", url=f"https://mirror.example/{n}", title=f"Margin {n}") for n in range(3)),
    )
    assert set(statuses(store).values()) == {"active"}


def test_what_is_taken_back_is_grouped_the_next_time(store):
    def fail() -> None:
        with store.transaction():
            group(store)
            raise KeyError

    for one in (OFFICIAL, MIRROR):
        _, article_id = store.put(one, source=one.url)
        remember(store, article_id)
    with pytest.raises(KeyError):
        fail()
    assert statuses(store) == {"margin": "active", "mirror": "active"}
    group(store)
    assert statuses(store) == {"margin": "active", "mirror": "duplicate"}
