"""What Zendesk's API answers, and what something that only looks like it may answer."""

import json
from typing import Any

import pytest
from bs4 import BeautifulSoup

from ingest.pagemeta import read_meta
from ingest.zendesk import (
    ZendeskArticle,
    ZendeskSection,
    articles_url,
    breadcrumbs,
    locales_url,
    reaches,
    read_articles,
    read_categories,
    read_locales,
    read_sections,
    to_html,
)

BASE = "https://help.example/hc/en-us"
ASKED = articles_url(BASE, "en-us")
ROW: dict[str, Any] = {
    "id": 360001, "html_url": "https://help.example/hc/en-us/articles/360001-Fees", "title": "Fees & <limits>",
    "body": "<p>0.1 %</p>", "locale": "en-us", "source_locale": "en-us", "created_at": "2024-01-02T03:04:05Z",
    "edited_at": "2026-05-01T10:00:00Z", "updated_at": "2026-06-01T10:00:00Z", "draft": False, "section_id": 22,
    "user_segment_id": None, "label_names": [], "outdated": False, "outdated_locales": [],
}  # fmt: skip
ARTICLE = ZendeskArticle(
    360001, "https://help.example/hc/en-us/articles/360001-Fees", "Fees & <limits>", "<p>0.1 %</p>", "en-us",
    "2024-01-02T03:04:05+00:00", "2026-05-01T10:00:00+00:00", "2026-06-01T10:00:00+00:00", 22,
)  # fmt: skip


def answer(*rows: object, **more: object) -> bytes:
    return json.dumps({"articles": rows, "meta": {"has_more": False}, "links": {"next": None}, **more}).encode()


def test_addresses_are_made_from_any_address_of_the_centre() -> None:
    assert locales_url(BASE) == "https://help.example/api/v2/help_center/locales.json"
    assert ASKED == (
        "https://help.example/api/v2/help_center/en-us/articles.json?page%5Bsize%5D=100&include=sections,categories"
    )
    assert articles_url(BASE, "PT-BR", page_size=7, newest_first=True) == (
        "https://help.example/api/v2/help_center/pt-br/articles.json"
        "?page%5Bsize%5D=7&include=sections,categories&sort_by=updated_at&sort_order=desc"
    )


@pytest.mark.parametrize(("base", "locale"), [("help", "en"), (BASE, ""), (BASE, "../users"), (BASE, "en?x=1")])
def test_addresses_are_not_made_from_what_is_none(base: str, locale: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        articles_url(base, locale)


@pytest.mark.parametrize(
    ("data", "locales"),
    [
        (b'{"locales": ["de", "en-us", "pt-br"], "default_locale": "en-us"}', ("en-us", "de", "pt-br")),
        (b'{"locales": ["de", "DE", 1, null, "../x", ""]}', ("de",)),
        (b'{"locales": {"de": 1}}', ()),
        (b"[]", ()),
        (b"<html>", ()),
    ],
)
def test_locales_are_read(data: bytes, locales: tuple[str, ...]) -> None:
    assert read_locales(data) == locales


def test_an_article_is_read() -> None:
    page = read_articles(answer(ROW), ASKED)
    assert (page.articles, page.next_url, page.problem) == ((ARTICLE,), None, None)


@pytest.mark.parametrize(
    "change", [{"draft": True}, {"user_segment_id": 12}, {"user_segment_ids": [12]}, {"user_segment_id": 0}]
)
def test_what_not_every_reader_may_see_is_left_out(change: dict[str, object]) -> None:
    page = read_articles(answer(ROW | change, ROW), ASKED)
    assert (page.articles, page.problem) == ((ARTICLE,), None)


@pytest.mark.parametrize(
    "html_url",
    ["https://www.binance.com/hc/en-us/articles/360001-Fees", "http://10.0.0.1:80/hc/en-us/articles/360001-Fees"],
)
def test_an_api_cannot_speak_for_another_site(html_url: str) -> None:
    assert read_articles(answer(ROW | {"html_url": html_url}), ASKED).articles == (ARTICLE,)


@pytest.mark.parametrize(
    "change",
    [
        {"id": None}, {"id": True}, {"id": -1}, {"id": 1e3}, {"id": "x"}, {"id": 10**30}, {"html_url": None},
        {"html_url": "javascript:x"}, {"html_url": ["x"]}, {"title": ""}, {"title": 5}, {"body": 5}, {"body": ["x"]},
    ],
)  # fmt: skip
def test_an_article_with_a_wrong_field_is_lost_and_named(change: dict[str, object]) -> None:
    page = read_articles(answer(ROW | change, ROW, *({}, None, "x")[:1]), ASKED)
    assert page.articles == (ARTICLE,)
    assert "2 of 3 articles lack" in str(page.problem)


@pytest.mark.parametrize(
    "change",
    [{"body": None}, {"body": ""}, {"section_id": None}, {"section_id": "22"}, {"created_at": "x", "edited_at": 5}],
)
def test_an_article_may_lack_text_dates_and_section(change: dict[str, object]) -> None:
    page = read_articles(answer(ROW | change), ASKED)
    assert (len(page.articles), page.problem) == (1, None)


NEXT = "/api/v2/help_center/en-us/articles?page%5Bafter%5D=xyz&page%5Bsize%5D=100"


@pytest.mark.parametrize(
    ("more", "next_url"),
    [
        ({"meta": {"has_more": True}, "links": {"next": "https://help.example" + NEXT}}, "cursor"),
        ({"meta": {"has_more": True}, "links": {"next": "https://example.zendesk.com" + NEXT}}, "cursor"),
        ({"meta": {"has_more": True}, "links": {"next": NEXT}}, "cursor"),
        ({"meta": {"has_more": False}, "links": {"next": "https://help.example" + NEXT}}, None),
        ({"meta": None, "next_page": "https://help.example/api/v2/help_center/en-us/articles.json?page=2"}, "page=2"),
        ({"meta": None, "next_page": None}, None),
    ],
)
def test_the_next_page_is_asked_on_the_same_host(more: dict[str, object], next_url: str | None) -> None:
    expected = {
        "cursor": "https://help.example/api/v2/help_center/en-us/articles.json?page%5Bafter%5D=xyz&page%5Bsize%5D=100",
        "page=2": "https://help.example/api/v2/help_center/en-us/articles.json?page=2",
        None: None,
    }[next_url]
    page = read_articles(answer(ROW, **more), ASKED)
    assert (page.next_url, page.problem) == (expected, None)


@pytest.mark.parametrize(
    "found",
    [
        "http://169.254.169.254/latest/meta-data/", "https://help.example/api/v2/users.json", "file:///etc/passwd",
        "https://[", "", 5, ["x"], {"a": 1}, "x" * 20_000, ASKED, ASKED.replace("%5B", "[").replace("%5D", "]"),
        "?include=sections,categories&page[size]=100",
    ],
)  # fmt: skip
def test_a_next_page_that_leads_astray_is_named_and_not_followed(found: object) -> None:
    page = read_articles(answer(ROW, meta={"has_more": True}, links={"next": found}), ASKED)
    assert page.articles == (ARTICLE,)
    assert page.next_url is None
    assert "the rest is missing" in str(page.problem)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b'{"articles": [{"id": ' + b"9" * 10_000 + b"}]}", "no JSON"),
        (b"[]", "no JSON object but list"),
        (b"null", "no JSON object"),
        (b"{}", "no 'articles'"),
        (b'{"articles": {"1": {}}}', "no 'articles'"),
        (b'{"error": "Couldn\'t authenticate you"}', "Couldn't authenticate you"),
    ],
)
def test_an_answer_that_is_none_is_named(data: bytes, problem: str) -> None:
    page = read_articles(data, ASKED)
    assert (page.articles, page.next_url) == ((), None)
    assert problem in str(page.problem)
    assert (read_sections(data), read_categories(data), read_locales(data)) == ({}, {}, ())


def test_an_answer_to_no_address_is_named() -> None:
    assert "no web address" in str(read_articles(answer(ROW), "https://[").problem)


@pytest.mark.parametrize(
    ("times", "since", "reached"),
    [
        (["2026-06-03", "2026-06-02", "2026-06-01"], "2026-06-02", True),
        (["2026-06-03", "2026-06-02", "2026-06-02"], "2026-06-02", False),
        (["2026-06-01", "2026-06-03", "2026-06-01"], "2026-06-02", False),
        (["2026-06-03", None, "2026-06-01"], "2026-06-02", False),
        ([], "2026-06-02", False),
    ],
)
def test_reading_may_stop_only_in_a_listing_that_is_sorted(times: list[str | None], since: str, reached: bool) -> None:
    rows = [ROW | {"updated_at": time} for time in times]
    assert reaches(read_articles(answer(*rows), ASKED), since) is reached


SIDELOADED = answer(
    ROW,
    sections=[
        {"id": 22, "name": "Trading", "category_id": 3, "parent_section_id": 21},
        {"id": 21, "name": "Spot", "category_id": 3, "parent_section_id": None},
        {"id": "x", "name": "no"}, {"id": 4}, None, 5,
    ],
    categories=[{"id": 3, "name": "Products"}, {"name": "no"}, []],
)  # fmt: skip


def test_breadcrumbs_lead_from_the_category_through_the_sections() -> None:
    sections, categories = read_sections(SIDELOADED), read_categories(SIDELOADED)
    assert sections == {22: ZendeskSection("Trading", 21, 3), 21: ZendeskSection("Spot", None, 3)}
    assert breadcrumbs(ARTICLE, sections, categories) == ("Products", "Spot", "Trading")
    assert breadcrumbs(ARTICLE, {}, categories) == ()
    assert breadcrumbs(ARTICLE, sections, {}) == ("Spot", "Trading")


def test_sections_in_a_circle_end() -> None:
    circle = {22: ZendeskSection("a", 23, None), 23: ZendeskSection("b", 22, None)}
    assert 2 <= len(breadcrumbs(ARTICLE, circle, {})) <= 10


def test_a_page_says_of_itself_what_the_api_said() -> None:
    page = to_html(ARTICLE, ("Products", "Spot & more"))
    soup = BeautifulSoup(page, "lxml")
    meta = read_meta(soup, None)
    assert (meta.url, meta.published, meta.updated, meta.language) == (ARTICLE.url, "2024-01-02", "2026-05-01", "en-us")
    assert soup.h1 is not None
    assert soup.h1.text == "Fees & <limits>"
    assert [step.text for step in soup.select("nav ol.breadcrumbs li")] == ["Products", "Spot & more"]
    assert [part.decode_contents() for part in soup.select(".article-body")] == ["<p>0.1 %</p>"]


def test_a_page_is_made_of_the_least_that_an_article_has() -> None:
    row = {"id": 1, "html_url": "https://help.example/hc/1", "title": "half \ud83d <b>"}
    (article,) = read_articles(answer(row), ASKED).articles
    page = to_html(article)
    assert b"<nav" not in page
    assert b'<h1 class="article-title">half ? &lt;b&gt;</h1>' in page
