"""A help centre on the web, read run after run: what changed is cleaned again, and what left it leaves the corpus."""

import json
from pathlib import Path

import pytest

from ingest.article import IngestError
from ingest.exchanges import load_directory
from ingest.pipeline import Report, archived_sources, ingest
from ingest.sources import FileSource, WebSource
from ingest.store import CorpusStore
from tests.site import Response, Site, article, redirect, sitemap

DIRECTORY = load_directory()
NAMES = ("fees", "deposits", "withdrawals", "orders", "margin", "staking")


def text(name: str, figure: int = 3) -> str:
    return article(
        f"How Kelpex handles {name}",
        f"<p>Kelpex books {name} within {figure} minutes of the hour. A request about {name} that comes later is booked "
        f"with the next hour, and the desk for {name} sends a letter about it.</p>",
    )


@pytest.fixture
def site():
    pages = {f"/{name}": text(name) for name in NAMES}
    with Site(pages) as running:
        list_pages(running)
        yield running


def list_pages(site: Site, *without: str) -> None:
    listed = sorted(path for path in site.pages if path not in ("/sitemap.xml", "/robots.txt", *without))
    site.pages["/sitemap.xml"] = sitemap([site.url + path for path in listed])


class Desk:
    """A home that reads a site again and again."""

    def __init__(self, home: Path, site: Site) -> None:
        self.home = home
        self.source = WebSource(
            name="kelpex", kind="sitemap", start=(f"{site.url}/sitemap.xml",), allow_private=True, delay=0, grace=1
        )

    def read(self, **options: bool) -> Report:
        with CorpusStore(self.home / "corpus.sqlite") as store:
            return ingest([self.source], store, DIRECTORY, **options)

    def statuses(self) -> dict[str, str]:
        with CorpusStore(self.home / "corpus.sqlite") as store:
            return {row.id: row.status for row in store.rows()}

    def happened(self, article_id: str) -> list[str]:
        with CorpusStore(self.home / "corpus.sqlite") as store:
            return [event.kind for event in store.history(article_id)]


@pytest.fixture
def desk(tmp_path, site) -> Desk:
    return Desk(tmp_path / "home", site)


def test_a_page_that_left_leaves_the_corpus_and_comes_back_with_it(desk, site):
    first = desk.read()
    assert (first.new, first.problems, first.held) == (6, [], {})
    assert set(desk.statuses().values()) == {"active"}

    site.reset()
    second = desk.read()
    assert (second.new, second.changed, second.cleaned, second.gone) == (0, 0, 0, 0)
    assert second.outcomes["unchanged"] == 6

    kept = site.pages["/fees"]
    site.pages["/fees"] = Response(410)
    site.pages["/orders"] = text("orders", figure=9)
    third = desk.read()
    assert (third.changed, third.cleaned, third.gone) == (1, 1, 1)
    assert desk.statuses()["fees"] == "gone"

    site.pages["/fees"] = kept
    fourth = desk.read()
    assert desk.statuses()["fees"] == "active", fourth
    assert desk.happened("fees") == ["added", "gone", "returned"]
    assert desk.happened("orders") == ["added", "changed"]


def test_a_page_that_the_list_no_longer_names_is_gone_at_once(desk, site):
    desk.read()
    list_pages(site, "/margin")
    assert desk.read().gone == 1
    assert desk.statuses()["margin"] == "gone"


def test_a_broken_list_takes_nothing_out(desk, site):
    desk.read()
    site.pages["/sitemap.xml"] = site.pages["/sitemap.xml"][:-60]
    report = desk.read()
    assert report.gone == 0
    assert report.notes
    assert set(desk.statuses().values()) == {"active"}


def test_an_error_that_may_pass_takes_a_page_out_only_after_the_grace(desk, site):
    desk.read()
    site.pages["/staking"] = Response(404)
    site.pages["/margin"] = Response(403)
    assert desk.read().gone == 1
    assert desk.statuses()["margin"] == "active"
    report = desk.read()
    assert report.gone == 1
    assert desk.statuses()["margin"] == "gone"
    assert any("403" in problem for problem in report.problems)


def test_a_page_that_moved_keeps_its_id_and_its_history(desk, site):
    desk.read()
    site.pages["/new/fees"] = site.pages["/fees"]
    site.pages["/fees"] = redirect("/new/fees", 301)
    list_pages(site)
    report = desk.read()
    assert (report.new, report.moved, report.gone) == (0, 1, 0)
    assert desk.statuses() == dict.fromkeys(NAMES, "active")
    assert "moved" in desk.happened("fees")
    with CorpusStore(desk.home / "corpus.sqlite") as store:
        assert store.get("fees").article.url == f"{site.url}/new/fees"


def test_a_page_that_is_listed_at_another_address_keeps_its_id_and_its_history(desk, site):
    desk.read()
    site.pages["/elsewhere/7-margin"] = site.pages["/margin"]
    site.pages["/margin"] = Response(404)
    list_pages(site, "/margin")
    report = desk.read()
    assert (report.new, report.moved, report.gone, report.held) == (0, 1, 0, {})
    assert desk.statuses() == dict.fromkeys(NAMES, "active")
    assert desk.happened("margin") == ["added", "moved"]
    with CorpusStore(desk.home / "corpus.sqlite") as store:
        assert store.get("margin").article.url == f"{site.url}/elsewhere/7-margin"
    assert desk.read().unchanged == 6
    site.pages["/elsewhere/7-margin"] = Response(410)
    assert desk.read().gone == 1
    assert desk.statuses()["margin"] == "gone"


def test_a_sudden_loss_is_held_back_until_it_is_accepted(desk, site):
    desk.read()
    for name in NAMES[:4]:
        site.pages[f"/{name}"] = Response(404)
    report = desk.read()
    assert report.gone == 0
    assert "4 of 6 articles would be lost at once (4 × HTTP 404)" in report.held["kelpex"]
    assert set(desk.statuses().values()) == {"active"}
    accepted = desk.read(accept_loss=True)
    assert (accepted.gone, accepted.held) == (4, {})
    assert sorted(desk.statuses().values()) == ["active"] * 2 + ["gone"] * 4


def test_a_site_that_shows_one_text_on_all_pages_is_held_back_until_it_is_back(desk, site):
    desk.read()
    before = dict(site.pages)
    for name in NAMES:
        site.pages[f"/{name}"] = article(
            "Back soon", "<p>We are working on our pages. Please come back in an hour.</p>"
        )
    report = desk.read()
    assert "changed to one and the same text" in report.held["kelpex"]
    assert desk.read().held, "it is still down"
    site.pages.update(before)
    assert desk.read().held == {}
    assert set(desk.statuses().values()) == {"active"}


def test_pages_are_cleaned_again_from_the_archive_without_a_request(desk, site):
    desk.read()
    site.reset()
    with CorpusStore(desk.home / "corpus.sqlite") as store:
        sources = archived_sources(store)
        assert sources == [desk.source]
        report = ingest(sources, store, DIRECTORY, from_archive=True)
    assert (report.cleaned, report.unchanged) == (6, 6)
    assert not site.counts()


def test_a_file_that_is_deleted_leaves_the_corpus(tmp_path):
    folder = tmp_path / "pages"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.html").write_text(text(name), encoding="utf-8")
    source = FileSource(name="pages", path=folder)
    with CorpusStore(tmp_path / "corpus.sqlite") as store:
        assert ingest([source], store, DIRECTORY).new == 6
        (folder / "fees.html").unlink()
        (folder / "orders.html").write_text(text("orders", figure=8), encoding="utf-8")
        report = ingest([source], store, DIRECTORY)
        assert (report.gone, report.changed, report.unchanged, report.cleaned) == (1, 1, 4, 1)
        for path in folder.iterdir():
            path.unlink()
        assert "5 of 5 articles would be lost at once" in ingest([source], store, DIRECTORY).held["pages"]


def test_a_row_that_cannot_be_read_takes_no_other_row_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"id": name, "title": name, "text": f"Kelpex books {name} within an hour."} for name in NAMES]
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines))
    source = FileSource(name="rows", path=path)
    with CorpusStore(tmp_path / "corpus.sqlite") as store:
        ingest([source], store, DIRECTORY)
        path.write_text("\n".join([*lines[:4], lines[4][:20]]))
        assert ingest([source], store, DIRECTORY).gone == 0
        path.write_text("\n".join(lines[:5]))
        assert ingest([source], store, DIRECTORY).gone == 1


def test_two_ingests_into_one_home_do_not_run_at_once(desk):
    import fcntl

    desk.home.mkdir()
    with (desk.home / ".ingest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(IngestError, match="another `citedesk ingest` is running there; wait for it to end"):
            desk.read()
