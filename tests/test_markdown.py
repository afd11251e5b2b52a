import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from service.answer import Answer, Citation, Notice, Related, Scope, Sentence
from service.markdown import escape, link, to_markdown

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
URL = "https://help.example/fees?a=1&b=2#:~:text=The%20fee,is%201%25"
# What means something to Markdown, and words around it.
PIECES = [*"\\`*_{}[]()<>#+-.!|~&;:=\"'/^ \n\t1a2bé中", "&amp;", "](", "http://x.example "]
NASTY = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def citation(number, exchange="Kelpex", url=URL, title="Fees"):
    return Citation(number, f"a{number}#0", f"a{number}", url, title, exchange, "official", "2026-05-01", "q", 0, 1)


def answered(*texts, exchanges=("Kelpex",), notices=(), related=(), **cited):
    sentences = tuple(Sentence(text, (number,)) for number, text in enumerate(texts, 1))
    citations = tuple(
        citation(number, exchanges[(number - 1) % len(exchanges)], **cited) for number in range(1, len(texts) + 1)
    )
    named = tuple(name for name in dict.fromkeys(exchanges) if name)
    return Answer("answered", "", sentences, citations, Scope(named), notices, related, 0.9, "s1", {}, id="a_1")


def body(answer):
    """The text without the sources under it."""
    return to_markdown(answer).text.split("\n\nSources:")[0]


def shown(markdown):
    """What a reader of the rendered page sees, and the page."""
    page = PARSER.render(markdown)
    return html.unescape(re.sub(r"<[^>]*>", "", page)), page


def squeezed(text):
    return " ".join(text.split())


@settings(max_examples=300, deadline=None)
@given(NASTY)
def test_an_escaped_text_is_shown_as_it_was_written(text):
    seen, page = shown(escape(text))
    assert squeezed(seen) == squeezed(text)
    assert set(re.findall(r"<(\w+)", page)) <= {"p"}


@settings(max_examples=100, deadline=None)
@given(st.lists(NASTY.filter(lambda text: re.search(r"\w", text)), min_size=1, max_size=4))
def test_sentences_bring_no_markup_of_their_own(texts):
    _, page = shown(body(answered(*texts)))
    assert set(re.findall(r"<(\w+)", page)) <= {"p", "ul", "ol", "li"}


@settings(max_examples=200, deadline=None)
@given(NASTY, st.sampled_from([URL, "https://x.example/a b(c)<d>", "http://x.example/a)](javascript:b)"]))
def test_a_link_leads_where_it_says_whatever_its_title_is(title, url):
    _, page = shown(f"x {link(title, url)}")
    assert len(re.findall("<a ", page)) == 1
    assert re.search(r'href="(https?://(?:help|x)\.example/[^"]*)"', page)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "file:///srv/pages/a.html", "data:text/html,x", "", "//x.example"]
)
def test_an_address_that_is_not_of_the_web_is_no_link(url):
    assert link("Fees", url) == "Fees"


def test_the_address_arrives_unchanged():
    _, page = shown(link("Fees", URL))
    assert f'href="{html.escape(URL)}"' in page


def test_each_mark_stands_where_it_is_said_to_stand():
    answer = answered("The fee is 1 %.", "- Not *always*.", "1. Tap Pay.", "中文。", exchanges=("Kelpex", "Mirador"))
    markdown = to_markdown(answer)
    assert [mark.number for mark in markdown.marks] == [1, 2, 3, 4]
    assert all(markdown.text[mark.start : mark.end] == f"[{mark.number}]" for mark in markdown.marks)
    assert "".join(markdown.pieces) == markdown.text


def test_prose_runs_on_and_lists_are_lists():
    text = body(answered("You need two things:", "- a phone", "• an email", "Then wait.", "It is quick."))
    assert text == "You need two things: [1]\n\n- a phone [2]\n- an email [3]\n\nThen wait. [4] It is quick. [5]"


def test_steps_keep_their_numbers_where_some_are_left_out():
    _, page = shown(body(answered("1. Open it.", "2. Tap Pay.", "4. Confirm.", "5. Wait.", "9. Done.")))
    starts = [int(start or 1) for start in re.findall(r"<ol(?: start=\"(\d+)\")?>", page)]
    assert starts == [1, 4, 9]
    assert page.count("<li>") == 5


def test_a_row_of_a_table_is_an_item():
    assert body(answered("Level: 1 | Fee: 0.1 %", "Level: 2 | Fee: 0.2 %")).count("\n- ") == 1


def test_several_exchanges_stand_under_their_names():
    text = body(answered("It waits.", "It does not.", "It depends.", exchanges=("Kelpex", "Mirador_1", None)))
    assert (
        text
        == "**Kelpex**\n\nIt waits. [1]\n\n**Mirador_1**\n\nIt does not. [2]\n\n**No exchange named**\n\nIt depends. [3]"
    )


def test_the_sources_and_notices_stand_under_the_answer():
    text = to_markdown(answered("It waits.", notices=(Notice("not_official", "Not the exchange's own."),))).text
    assert text == (
        "It waits. [1]\n\nNote: Not the exchange's own.\n\n"
        f"Sources:\n\n- [1] [Fees]({URL}) · Kelpex · official page · 2026-05-01"
    )


def test_what_is_not_covered_names_the_nearest_articles_as_links():
    related = (Related("a", "https://x.example/a", "How [to]", "Kelpex"), Related("b", "file:///b", "Fees", None))
    answer = Answer("not_covered", "Not *here*.", (), (), Scope(), (), related, 0.1, "s1", {}, id="a_1")
    assert to_markdown(answer).text == (
        "Not \\*here\\*.\n\nNearest articles:\n\n- [How \\[to\\]](https://x.example/a) · Kelpex\n- Fees"
    )
