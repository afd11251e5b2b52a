import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from desk import CODES, QUESTIONS, REPLIES, TAKER, Desk, Reply, question
from rich.console import Console

from service.evaluation.comparison import compare
from service.evaluation.report import write_report
from service.evaluation.run import evaluate
from service.evaluation.tables import MISSES_SHOWN, print_comparison, print_table

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;\u202e\x1b[31m[bold]\x00\n\tend"
VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """The page as a list of (tag, attributes), its text, and whether its tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(tmp_path, replies, questions) -> str:
    desk = Desk(replies)
    path = tmp_path / "report.html"
    write_report(evaluate(desk, questions, clock=desk.clock), path)
    return path.read_text(encoding="utf-8")


def printed(result, **options) -> str:
    out = io.StringIO()
    print_table(result, Console(file=out, **options))
    return out.getvalue()


@pytest.fixture
def html(tmp_path) -> str:
    return report(tmp_path, REPLIES, QUESTIONS)


def test_the_page_asks_for_nothing_from_outside_and_runs_nothing(html):
    page = Page(html)
    assert page.open == []
    assert not {"script", "iframe", "img", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "action")]
    assert [attributes["href"] for _, attributes in page.tags if "href" in attributes] == ["data:,"]
    assert "url(" not in html
    assert "@import" not in html
    assert "//" not in html


def test_the_page_can_be_read_without_seeing_it(html):
    page = Page(html)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert len(page.all("caption")) == len(page.all("table")) >= 4
    assert all(header["scope"] in ("col", "row") for header in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for svg in page.all("svg"):
        assert svg.get("aria-hidden") == "true" or set(svg["aria-labelledby"].split()) <= set(ids)
    assert {"title", "desc"} <= {tag for tag, _ in page.tags}
    for region in page.all("section"):
        assert region["aria-labelledby"] in ids


def test_the_page_follows_the_readers_light_or_dark(html):
    assert "prefers-color-scheme:dark" in html


def test_each_plot_is_there_and_is_well_formed(html):
    names = []
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        drawing = ElementTree.fromstring(svg)
        numbers = re.findall(r'(?:x|y|width|height|r)="(-?[\d.]+|nan|inf)"', svg)
        assert all(float(number) > -1 for number in numbers)
        title = drawing.find("title")
        names += [title.text] if title is not None else []
    assert names == [
        "Risk over coverage",
        "Reliability of the confidence",
        "Confidence of covered and uncovered questions",
        "Latency",
        "Where the way went wrong",
    ]


def test_the_page_shows_the_measures_with_interval_and_count(html):
    text = " ".join(Page(html).texts)
    assert "answered right" in text
    assert "0.150 to 0.850" in text
    assert "n = 11" in text
    assert "105.0 ms" in text


def test_misses_are_grouped_by_where_the_way_went_wrong(html):
    page = Page(html)
    assert len(page.all("details")) == 7
    assert "retrieved but not read" in page.texts
    assert "How do codes work?" in page.texts


@pytest.mark.parametrize(
    "hostile",
    [
        {"question": HOSTILE},
        {"gold_short": HOSTILE},
        {"language": HOSTILE},
        {"history": (HOSTILE,)},
        {"id_": HOSTILE, "question": "q"},
    ],
)
def test_what_a_question_says_is_text_and_nothing_else(tmp_path, hostile):
    fields = {"id_": "q", "question": "q", **hostile}
    asked = question(fields.pop("id_"), "answer", gold=[("a1", TAKER)], **fields)
    html = report(tmp_path, {asked.question: Reply("answered", (("a3#0", CODES),))}, [asked])
    page = Page(html)
    assert page.open == []
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert any("alert(1)" in text for text in page.texts) or any("alert(1)" in str(tag) for tag in page.tags)


def test_what_an_article_says_is_text_too_even_where_utf8_cannot_spell_it(tmp_path):
    reply = Reply("answered", (("a3#0", CODES),), said=(f"{HOSTILE}\ud800",))
    html = report(tmp_path, {"q": reply}, [question("q", "abstain")])
    assert not {"script", "img"} & {tag for tag, _ in Page(html).tags}


@pytest.mark.parametrize(
    ("replies", "questions"),
    [
        ({"q": Reply("declined")}, [question("q", "decline_advice", kind="advice")]),
        ({}, [question("q", "abstain", question="")]),
        ({"q": Reply(takes_ms=0)}, [question("q", "abstain")]),
        ({"q": Reply(takes_ms=3_600_000, confidence=1)}, [question("q", gold=[("a1", TAKER)])]),
        ({"q": Reply("answered", (("a3#0", CODES),), confidence=0)}, [question("q", "abstain")]),
        ({"q": Reply("answered", (("a1#1", TAKER),), confidence=1)}, [question("q", gold=[("a1", TAKER)])]),
    ],
)
def test_a_page_of_next_to_nothing_is_still_a_page(tmp_path, replies, questions):
    html = report(tmp_path, replies, questions)
    assert Page(html).open == []
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(svg)
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL).lower().split()


def test_a_pipe_gets_plain_aligned_lines():
    desk = Desk(REPLIES)
    out = printed(evaluate(desk, QUESTIONS, clock=desk.clock), width=40)
    assert not re.search("[\x1b─│┃━]", out)
    assert "answered right        0.500     4   0.150 to 0.850\n" in out
    assert "By kind" in out
    assert re.search(
        r"^q3 +q3 +answer +answered +wrong exchange +The maker fee is 0.25% on Kraken\.$", out, re.MULTILINE
    )


def test_a_terminal_gets_tables():
    desk = Desk(REPLIES)
    out = printed(evaluate(desk, QUESTIONS, clock=desk.clock), width=160, force_terminal=True)
    assert "┃" in out
    assert "answered right" in out


@pytest.mark.parametrize("terminal", [True, False])
def test_a_question_cannot_command_the_terminal(terminal):
    asked = question("q", "abstain", question=HOSTILE)
    result = evaluate(Desk({HOSTILE: Reply("answered", (("a3#0", CODES),))}), [asked])
    out = printed(result, width=250, force_terminal=terminal, color_system=None)
    assert "[bold]" in out
    assert not re.search("\x1b\\[31m|[\x00\u202e]", out)


def test_only_the_first_misses_are_printed_and_the_rest_is_counted():
    questions = [question(f"q{index}", "abstain", question="q") for index in range(MISSES_SHOWN + 3)]
    out = printed(evaluate(Desk({"q": Reply("answered", (("a3#0", CODES),))}), questions), width=200)
    assert out.count("should have abstained") == MISSES_SHOWN
    assert "and 3 more" in out


def test_a_comparison_is_printed_by_measure_with_the_changed_questions():
    before = evaluate(Desk(REPLIES), QUESTIONS).as_json()
    now = evaluate(Desk(REPLIES | {"q6": Reply("not_covered", confidence=0.8)}), QUESTIONS).as_json()
    out = io.StringIO()
    print_comparison(compare(before, now), Console(file=out, width=60))
    assert re.search(r"refused right +0\.333 +0\.667 +\+0\.333", out.getvalue())
    assert "fixed: 1: q6\nbroken: 0\n" in out.getvalue()
