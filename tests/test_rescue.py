"""Pages of no known shape, and pages that are hostile by their size."""

import time

import pytest

from ingest.article import PageError
from ingest.clean import parse_html
from ingest.tree import MOST_ELEMENTS, parse_tree

SENTENCES = "".join(
    f"<p>Rule {number}: a withdrawal waits until the network has confirmed it, which takes a while.</p>"
    for number in range(12)
)


def whole(page):
    return "\n".join("\n".join((*section.heading_path, section.text)) for section in page.sections)


def test_a_main_text_in_a_part_that_is_never_an_article_is_rescued():
    page = parse_html(
        f"<html><body><dialog open><h2 id='w'>Waiting</h2>{SENTENCES}<ol><li>Open the wallet and look at it.</li>"
        "<li>Wait for the network to confirm.</li></ol></dialog><p>Hi</p></body></html>",
        url="https://tidewater.example/wait",
    )
    assert "rescued" in page.flags
    assert "Rule 7: a withdrawal waits" in whole(page)


def test_nothing_is_rescued_that_the_page_does_not_say():
    page = parse_html(f"<body><dialog open>{SENTENCES}</dialog></body>", url=None)
    assert "rescued" in page.flags
    said = " ".join(SENTENCES.replace("</p>", " ").replace("<p>", "").split())
    assert all(line in said for line in whole(page).split("\n") if line)


def test_a_page_that_is_cleaned_well_is_not_rescued():
    assert parse_html(f"<main><h1>Waiting</h1>{SENTENCES}</main>", url=None).flags == ()


def test_a_short_page_is_left_alone():
    assert parse_html("<main><h1>Fees</h1><p>Fees are charged once a day.</p></main>", url=None).flags == ()


@pytest.mark.parametrize(
    "opened", ["<div>", "<span>", "<ul><li>", "<blockquote>", "<table><tr><td>", "<b>", "<dl><dd>"]
)
def test_deep_nesting_ends_soon(opened):
    start = time.perf_counter()
    page = parse_html("<h1>Fees</h1><p>Fees are charged once a day.</p>" + opened * 10_000 + "deep", url=None)
    assert whole(page).startswith("Fees are charged once a day.")
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("piece", ["<a href=x>link</a> ", "<tr><td>a</td></tr>", "<div>"])
def test_a_page_of_too_many_elements_is_refused(piece):
    with pytest.raises(PageError, match="more than 40,000 elements"):
        parse_html("<p>Text.</p><table>" + piece * (MOST_ELEMENTS + 1), url="https://a.example/")


def test_a_huge_attribute_is_cut():
    soup = parse_tree("<p class='" + "nav " * 500_000 + "'>Text</p>", where="")
    assert len(" ".join(soup.p["class"])) <= 2000


def test_a_long_header_is_not_repeated_with_each_row():
    head = "word " * 2000
    rows = "<tr><td>a</td><td>b</td></tr>" * 500
    page = parse_html(f"<h1>T</h1><table><tr><th>{head}</th><th>Fee</th></tr>{rows}</table>", url=None)
    assert len(whole(page)) < 10_000
    assert "a | Fee: b" in whole(page)


def test_every_other_child_of_a_wide_element_goes_soon():
    start = time.perf_counter()
    page = parse_html("<h1>T</h1>" + "<p>word a</p><p hidden>no</p>" * 8000, url=None)
    assert "no" not in whole(page)
    assert time.perf_counter() - start < 10


def test_parts_that_react_streams_stand_in_their_place():
    page = parse_html(
        "<main><h1>Fees</h1><p>They are charged at noon.</p><template id='B:0'></template><p>That is all of it.</p></main>"
        "<div hidden id='S:0'><p>Each day has one.</p></div>",
        url=None,
    )
    assert whole(page) == "They are charged at noon.\nEach day has one.\nThat is all of it."
