"""The commands over the corpus, run as an operator runs them: a help centre on the web, followed from day to day."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.homes import fast_encoder
from tests.site import Response, Site, article, sitemap

ROOT = Path(__file__).parents[1]
NAMES = ("fees", "deposits", "withdrawals", "orders")


def citedesk(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *map(os.fspath, map(str, arguments)), "--home", home],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "error"},
    )  # fmt: skip


def text(name: str) -> str:
    return article(
        f"How Kelpex handles {name}",
        f"<p>Kelpex books {name} within three minutes of the hour. A request about {name} that comes later is booked with "
        f"the next hour, and the desk for {name} sends a letter about it.</p>",
    )


@pytest.fixture(scope="module")
def site():
    with Site({f"/hc/{name}": text(name) for name in NAMES}) as running:
        running.pages["/sitemap.xml"] = sitemap([f"{running.url}/hc/{name}" for name in NAMES])
        yield running


@pytest.fixture(scope="module")
def days(tmp_path_factory, site) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """A home that read the site on three days: all there, one page gone and one changed, then all but one gone."""
    home = tmp_path_factory.mktemp("days") / "home"
    read = ("ingest", f"{site.url}/sitemap.xml", "--allow-private", "--delay", "0", "--exchange", "Kelpex")
    done = [citedesk(home, *read)]
    site.pages["/hc/fees"] = Response(410)
    site.pages["/hc/orders"] = text("orders and quotes")
    done.append(citedesk(home, *read))
    for name in ("deposits", "withdrawals", "orders"):
        site.pages[f"/hc/{name}"] = Response(404)
    done.append(citedesk(home, *read))
    return home, done


def test_an_ingest_from_the_web_tells_what_it_did(days):
    _, (first, second, _) = days
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines()[0] == "4 new, 0 changed, 0 unchanged, 0 not read"
    assert "4 fetched" in first.stdout.splitlines()[1]
    assert second.returncode == 0
    assert second.stdout.splitlines()[0] == "0 new, 1 changed, 2 unchanged, 1 gone, 0 not read"


def test_a_source_that_loses_too_much_is_held_back_and_nothing_is_built(days):
    home, (*_, third) = days
    assert third.returncode == 1
    assert "3 of 3 articles would be lost at once (3 × HTTP 404); nothing was taken out" in third.stderr
    fast_encoder()
    built = citedesk(home, "build", "--encoder", "minilm")
    assert built.returncode == 1
    assert "nothing is built, because of" in built.stderr
    assert "--accept-loss" in built.stderr


def test_what_happened_to_a_page_is_told(days):
    home, _ = days
    told = json.loads(citedesk(home, "articles", "history", "fees", "--json").stdout)
    assert [event["kind"] for event in told["events"]] == ["added", "gone"]
    assert told["events"][1]["detail"] == "HTTP 410"
    assert told["status"] == "gone"
    assert told["pages"][0]["status"] == 410
    shown = citedesk(home, "articles", "history", "orders").stdout
    assert "added" in shown
    assert "changed" in shown


def test_changes_are_listed_by_time_and_by_status(days):
    home, _ = days
    assert citedesk(home, "articles", "list", "--changed").returncode == 1, "the last ingest was held back"
    rows = [
        json.loads(line)
        for line in citedesk(home, "articles", "list", "--since", "2026-01-01", "--json").stdout.splitlines()
    ]
    assert {row["id"]: [event["kind"] for event in row["events"]] for row in rows} == {
        "deposits": ["added"], "fees": ["added", "gone"], "orders": ["added", "changed"], "withdrawals": ["added"],
    }  # fmt: skip
    gone = citedesk(home, "articles", "list", "--status", "gone").stdout
    assert gone == "fees  [Kelpex]  How Kelpex handles fees  (gone)\n"
    assert citedesk(home, "articles", "list", "--source", "nowhere").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest", "https://x.example/", "--delay", "soon"], "'soon' is not a number of seconds from 0 to 3600"),
        (["ingest", "https://x.example/", "--max-pages", "-3"], "'-3' is not a whole number from 1"),
        (["articles", "list", "--since", "yesterday"], "'yesterday' is not a date; give one like 2026-05-01"),
        (["articles", "history", "nosuch"], "nosuch: no such article; `citedesk articles list` shows"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_use_is_named(days, arguments, message):
    done = citedesk(days[0], *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_private_address_is_refused_unless_it_is_allowed(tmp_path, site):
    done = citedesk(tmp_path / "home", "ingest", f"{site.url}/sitemap.xml", "--delay", "0")
    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr
    assert "allow_private = true for this source if it is yours" in done.stderr
    assert done.stdout.startswith("0 new, 0 changed, 0 unchanged")


def test_a_day_without_a_change_is_a_good_day(tmp_path, site):
    site.pages["/still.xml"] = sitemap([f"{site.url}/hc/still"])
    site.pages["/hc/still"] = text("letters")
    read = ("ingest", f"{site.url}/still.xml", "--as", "sitemap", "--allow-private", "--delay", "0")
    assert citedesk(tmp_path / "home", *read).returncode == 0
    done = citedesk(tmp_path / "home", *read)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 new, 0 changed, 1 unchanged, 0 not read")


def test_a_source_is_removed_with_its_articles(tmp_path):
    for name in ("fees", "orders"):
        (tmp_path / f"{name}.html").write_text(text(name), encoding="utf-8")
        assert citedesk(tmp_path / "home", "ingest", tmp_path / f"{name}.html").returncode == 0
    listed = [json.loads(line) for line in citedesk(tmp_path / "home", "sources", "list", "--json").stdout.splitlines()]
    assert [(row["name"], row["articles"], row["held"]) for row in listed] == [
        (str(tmp_path.resolve() / f"{name}.html"), 1, None) for name in ("fees", "orders")
    ]
    done = citedesk(tmp_path / "home", "sources", "remove", tmp_path.resolve() / "fees.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 articles taken out" in done.stdout
    assert citedesk(tmp_path / "home", "articles", "list", "--status", "active").stdout.startswith("orders ")
    again = citedesk(tmp_path / "home", "sources", "remove", "fees")
    assert (again.returncode, "fees: no such source; `citedesk sources list`" in again.stderr) == (2, True)
