"""Hints on single sites: pages in each site's markup come out clean, and a hint that is wrong does no harm."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from ingest.article import IngestError, Page
from ingest.clean import parse_html
from ingest.hints import Site, Sites, load_sites, parse_sites, shipped_sites

PAGES = Path(__file__).parent / "pages" / "sites"
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((PAGES / "expected.toml").read_text(encoding="utf-8"))
STORY = "<p>Orders wait in the book until their price is there, and the first to come is the first to go.</p>"


def read(name: str) -> Page:
    return parse_html((PAGES / f"{name}.html").read_bytes(), url=EXPECTED[name]["url"])


def whole(page: Page) -> str:
    return "\n".join("\n".join((*section.heading_path, section.text)) for section in page.sections)


def of(body: str, site: Site, url: str = "https://tidewater.example/a") -> Page:
    return parse_html(f"<html><body>{body}</body></html>", url=url, sites=Sites((site,)))


def tidewater(**hints: tuple[str, ...]) -> Site:
    return Site("Tidewater", ("tidewater.example",), **hints)


@pytest.mark.parametrize("name", EXPECTED)
class TestAPageInTheMarkupOfASite:
    def test_says_what_it_is(self, name):
        page, expected = read(name), EXPECTED[name]
        assert page.title == expected["title"]
        assert (page.published, page.updated) == (expected.get("published"), expected.get("updated"))
        assert page.breadcrumbs == tuple(expected["breadcrumbs"])
        assert page.disclaimer.replace("\n", " ") == expected.get("disclaimer", "")
        assert page.flags == ()

    def test_gives_its_headings_and_its_text(self, name):
        sections = read(name).sections
        paths = dict.fromkeys(" / ".join(section.heading_path) for section in sections if section.kind != "faq")
        assert list(paths) == EXPECTED[name]["headings"]
        assert sections[0].text.split("\n")[0] == EXPECTED[name]["lead"]

    def test_gives_its_faq_pairs(self, name):
        pairs = {s.heading_path[-1]: s.text for s in read(name).sections if s.kind == "faq"}
        assert pairs == EXPECTED[name].get("pairs", {})

    def test_leaves_out_what_stands_around_the_article(self, name):
        text = whole(read(name))
        assert [noise for noise in EXPECTED[name]["gone"] if noise in text] == []


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("zendesk", "Zendesk, standard theme (Copenhagen)"), ("intercom", "Intercom help center"),
        ("intercom_older", "Intercom help center"), ("binance", "Binance"), ("bybit", "Bybit"), ("kraken", "Kraken"),
        ("okx", "OKX"), ("coinbase", "Coinbase"), ("kdj", "kdj.com"),
    ],
)  # fmt: skip
def test_each_site_is_recognised_and_each_row_has_a_page(name, site):
    soup = BeautifulSoup((PAGES / f"{name}.html").read_bytes(), "lxml")
    found = shipped_sites().find(soup, EXPECTED[name]["url"])
    assert found is not None
    assert found.name == site


def test_no_row_is_without_a_page():
    assert len(EXPECTED) == len(list(PAGES.glob("*.html")))
    assert len(shipped_sites().rows) == 8


def test_an_article_that_was_never_edited_has_the_day_of_its_publication():
    html = (PAGES / "zendesk.html").read_text(encoding="utf-8")
    page = parse_html(html.replace('<li class="meta-data">Updated</li>', ""), url=EXPECTED["zendesk"]["url"])
    assert (page.published, page.updated) == ("2026-03-09", None)


def test_a_saved_page_is_recognised_by_the_address_that_it_names():
    hint = tidewater(main=(".x",))
    head = '<link rel="canonical" href="https://help.tidewater.example/a">'
    body = f"{STORY}<div class='x'>{STORY.replace('book', 'queue')}</div>"
    page = parse_html(f"<html><head>{head}</head><body>{body}</body></html>", url="saved.html", sites=Sites((hint,)))
    assert "queue" in whole(page)
    assert "book" not in whole(page)


@pytest.mark.parametrize(
    "url", ["https://tidewater.example.evil.example/a", "https://nottidewater.example/", "tidewater.example.html", None]
)
def test_a_site_is_told_by_its_whole_host(url):
    assert Sites((tidewater(),)).find(BeautifulSoup("", "lxml"), url) is None


def test_with_domains_and_marks_both_must_fit():
    sites = Sites((Site("T", ("tidewater.example",), (".b", ".c")),))
    url = "https://tidewater.example/"
    assert sites.find(BeautifulSoup("<p class='b'>", "lxml"), url) is None
    assert sites.find(BeautifulSoup("<p class='b c'>", "lxml"), "https://other.example/") is None
    assert sites.find(BeautifulSoup("<p class='b c'>", "lxml"), url) is not None


def test_the_first_main_element_with_enough_text_counts():
    body = (
        f"<div class='empty'></div><div class='thin'>Loading</div><div class='full'>{STORY}</div><div>{STORY * 2}</div>"
    )
    page = of(body, tidewater(main=(".gone", ".empty", ".thin", ".full")))
    assert whole(page).count("Orders wait") == 1


@pytest.mark.parametrize(
    "main",
    [
        (".gone",),  # not there
        (".thin",),  # nearly empty
        (".card",),  # one of many of a kind
        ("nav",),  # taken out as noise
    ],
)
def test_a_hint_that_does_not_hold_leaves_the_page_as_it_would_be_without_it(main):
    cards = "".join(f"<div class='card'>{STORY.replace('book', word)}</div>" for word in ("tide", "dune", "reef"))
    body = f"<nav><a href='/'>Home</a> {STORY}</nav><h1>Orders</h1><p class='thin'>A word.</p><h2>Waiting</h2>{cards}"
    hinted, plain = of(body, tidewater(main=main)), of(body, Site("none", ("none.example",)))
    assert hinted == plain
    assert all(word in whole(plain) for word in ("tide", "dune", "reef"))


def test_what_is_to_be_removed_goes_but_never_the_page():
    body = f"<div class='all'><h1>Orders</h1><p class='boat9'>Win a boat, win two boats.</p>{STORY}</div>"
    assert "boat" in whole(of(body, tidewater()))
    page = of(body, tidewater(remove=(".boat9", ".all")))
    assert "boat" not in whole(page)
    assert "Orders wait" in whole(page)


def test_a_hinted_title_goes_before_all_others():
    body = f"<h1>Tidewater</h1><div class='t'>How orders <b>wait</b></div><div class='m'>{STORY}</div>"
    assert of(body, tidewater(title=(".none", ".t"), main=(".m",))).title == "How orders wait"


@pytest.mark.parametrize(
    ("markup", "day"),
    [
        ("<i class='d'>Published 2 May 2025, updated on 3 June 2026</i>", "2026-06-03"),
        ("<time class='d' datetime='2026-06-03T10:00:00Z'>yesterday</time>", "2026-06-03"),
        ("<i class='d'>over a week ago</i><i class='d'>3 June 2026</i>", "2026-06-03"),
        ("<i class='d'>Invalid Date</i>", None),
    ],
)
def test_a_hinted_date_is_read_from_its_label_on(markup, day):
    assert of(f"<h1>Orders</h1>{markup}{STORY}", tidewater(updated=(".d",))).updated == day


def test_an_accordion_is_read_as_its_hint_says():
    row = "<li class='r'><h3><button class='q'><span>{}</span></button></h3><section class='p' hidden aria-hidden='true'>{}</section></li>"
    rows = row.format("Do orders sleep?", "<p>No order ever sleeps.</p>") + row.format(
        "Kinds", "<ul><li>Limit</li></ul>"
    )
    body = f"<h1>Orders</h1>{STORY}<ul>{rows}</ul>"
    page = of(body, tidewater(questions=(".q",), answers=(".p",)))
    found = {section.heading_path: (section.kind, section.text) for section in page.sections}
    assert found[("Do orders sleep?",)] == ("faq", "No order ever sleeps.")
    assert found[("Kinds",)] == ("prose", "- Limit")


def test_panels_without_a_question_and_questions_around_their_panel_stay_as_they_are():
    body = f"<h1>Orders</h1>{STORY}<div class='p'>A panel first.</div><div class='q'>Do orders sleep? <div class='p'>Never.</div></div>"
    plain = of(body, tidewater())
    assert of(body, tidewater(questions=(".q",), answers=(".p",))) == plain


def test_an_operators_rows_go_before_the_shipped_ones(tmp_path):
    path = tmp_path / "sites.toml"
    path.write_text('[[site]]\nname = "Own"\ndomains = ["binance.com"]\nmain = [".own"]\n', encoding="utf-8")
    sites = load_sites(path)
    assert [row.name for row in sites.rows] == ["Own", *(row.name for row in shipped_sites().rows)]
    assert sites.find(BeautifulSoup("", "lxml"), "https://www.binance.com/en").main == (".own",)
    assert load_sites() is shipped_sites()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[site]", "own.toml: not valid TOML"),
        ("site = 3", "own.toml: 'site' is one table; write it as a row, [[site]]"),
        ("[site]\nname = 'A'", "own.toml: 'site' is one table; write it as a row, [[site]]"),
        ("sites = []", "own.toml: unknown setting 'sites'"),
        ("site = [1]", "own.toml: [[site]] number 1: is 1; give a [[site]] with a name"),
        ("[[site]]\nmarks = ['p']", "own.toml: [[site]] number 1: 'name' is missing"),
        ("[[site]]\nname = 'A'", "own.toml: [[site]] number 1 (A): neither 'domains' nor 'marks' in it"),
        ("[[site]]\nname = 'A'\nmarks = ['p']\nmian = ['p']", "own.toml: [[site]] number 1 (A): unknown field 'mian'; known are name,"),
        ("[[site]]\nname = 'A'\nmarks = 'p'", "own.toml: [[site]] number 1 (A): marks is 'p'; a list of texts is expected"),
        ("[[site]]\nname = 'A'\nmarks = ['']", "own.toml: [[site]] number 1 (A): marks is ['']; a list of texts is expected"),
        ("[[site]]\nname = 'A'\ndomains = ['https://a.example/']", "own.toml: [[site]] number 1 (A): domains: 'https://a.example/' is no host"),
        ("[[site]]\nname = 'A'\nmarks = ['p']\n[[site]]\nname = 'B'\nmarks = ['p']\nmain = ['div[']", "own.toml: [[site]] number 2 (B): main: 'div[' is no CSS selector: "),
        ("[[site]]\nname = 'A'\nmarks = ['p']\nanswers = ['p']", "own.toml: [[site]] number 1 (A): only one of 'questions' and 'answers' in it"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_row_and_field(tmp_path, text, problem):
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(IngestError, match=re.escape(problem)):
        load_sites(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(IngestError, match=r"none\.toml: cannot read the hints on sites"):
        load_sites(tmp_path / "none.toml")


def test_the_format_is_explained_field_by_field_where_the_rows_stand():
    text = (Path(__file__).parents[1] / "ingest" / "sites.toml").read_text(encoding="utf-8")
    head = text[: text.index("[[site]]")]
    assert all(re.search(rf"\b{field}\b", head) for field in Site.__dataclass_fields__)
    assert parse_sites(text, where="sites.toml") == shipped_sites()
