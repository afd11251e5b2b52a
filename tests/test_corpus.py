"""The starter articles and their questions: what a reader and the evaluation may rely on."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from ingest.article import Article, Passage
from ingest.articles import to_article
from ingest.exchanges import load_directory
from ingest.files import documents
from ingest.passages import split
from ingest.sources import find_sources
from service.evaluation.folding import citation_hits
from service.evaluation.questions import EvaluationQuestion, read_questions

CORPUS = Path(__file__).parents[1] / "corpus"
PAGES = sorted(CORPUS.glob("*.html"))
#: What the boxes around an article say, in the languages of the pages.
BOXES = {
    "ticker": re.compile(r"\$\d[\d,]*\.\d\d+\b|^[+-]?\d+\.\d+ ?%$|\d\.\d+ [+-]\d+\.\d+ ?%"),
    "cookies": re.compile(r"\bcookies?\b|stores small files on your device", re.IGNORECASE),
    "newsletter": re.compile(r"newsletter|unsubscribe|market letter|weekly digest|tips once a month", re.IGNORECASE),
    "related": re.compile(
        r"(?:Related|Popular|Latest|Trending|More|Recommended|Similar|Most read) (?:articles?|guides|news|pages|topics|knowledge)"
        r"|You (?:may|might) also like|Artículos relacionados|Ähnliche Artikel|相关文章|…$|\w{2}\.\.\.$",
        re.IGNORECASE,
    ),
    "placeholder": re.compile(r"\{\{|Invalid Date|\bundefined\b"),
}
FEWEST_NOISY = 15


@dataclass(frozen=True)
class Entry:
    """A page, the article that is made of it, and its passages."""

    html: str
    soup: BeautifulSoup
    article: Article
    passages: tuple[Passage, ...]

    def shown(self) -> list[str]:
        """Give what the page shows, string by string."""
        return [" ".join(string.split()) for string in self.soup.body.stripped_strings]

    def boxed(self, box: str) -> list[str]:
        """Give what the page shows that belongs to a box of a kind."""
        return [string for string in self.shown() if BOXES[box].search(string)]

    def cited(self) -> str:
        """Give what can be cited of it, and the headings above."""
        return "\n".join("\n".join((*passage.heading_path, passage.text)) for passage in self.passages)


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    directory = load_directory()
    found: dict[str, Entry] = {}
    for source in find_sources(str(CORPUS / "sources.toml")):
        for document in documents(source):
            article = to_article(document, directory)
            html = document.data.decode("utf-8")
            found[document.path.stem] = Entry(html, BeautifulSoup(html, "lxml"), article, split(article))
    return found


@pytest.fixture(scope="module")
def questions() -> list[EvaluationQuestion]:
    return read_questions(CORPUS / "questions.jsonl")


def failing(entries: dict[str, Entry], is_right) -> list[str]:
    return [name for name, entry in entries.items() if not is_right(entry)]


def test_there_is_one_page_for_each_sheet_of_facts(shared):
    sheets = sorted((shared / "facts").glob("*.md"))
    if not sheets:
        pytest.skip("the sheets of facts are not there")
    slugs = [re.search(r'(?m)^slug:\s*"?([\w-]+)', sheet.read_text(encoding="utf-8"))[1] for sheet in sheets]
    assert sorted(slugs) == [page.stem for page in PAGES]


def test_every_page_becomes_one_article_of_its_name(entries):
    assert sorted(entries) == [page.stem for page in PAGES]
    assert len(entries) >= 40
    assert failing(entries, lambda entry: entry.article.exchange) == []
    assert [name for name, entry in entries.items() if entry.article.id != name] == []


def test_the_exchange_is_the_one_of_the_pages_name(entries):
    assert failing(entries, lambda entry: entry.article.id.startswith(entry.article.exchange.lower())) == []


def test_every_passage_is_a_verbatim_slice_of_its_article(entries):
    for entry in entries.values():
        assert entry.passages
        for number, passage in enumerate(entry.passages):
            assert passage.id == f"{entry.article.id}#{number}"
            assert entry.article.text[passage.start : passage.end] == passage.text
            assert passage.text.strip() == passage.text != ""
        assert all(one.end <= two.start for one, two in zip(entry.passages, entry.passages[1:], strict=False))


def test_every_character_of_a_section_is_in_some_passage(entries):
    for entry in entries.values():
        rest = list(entry.article.text)
        for passage in entry.passages:
            rest[passage.start : passage.end] = " " * (passage.end - passage.start)
        starts = zip(entry.article.section_starts(), entry.article.sections, strict=True)
        left = ["".join(rest[start : start + len(section.text)]) for start, section in starts]
        assert [text for text in left if text.strip()] == []


def test_many_pages_have_boxes_of_all_kinds_around_them(entries):
    boxes = {name: {box for box in BOXES if entry.boxed(box)} for name, entry in entries.items()}
    assert len([name for name, found in boxes.items() if found]) >= FEWEST_NOISY
    assert set().union(*boxes.values()) == set(BOXES)


def test_no_passage_and_no_heading_holds_a_box(entries):
    for entry in entries.values():
        cited = entry.cited()
        lines = set(re.split(r"\n| \| ", cited))
        for box, pattern in BOXES.items():
            assert [string for string in entry.boxed(box) if string in lines] == []
            # A rate of an article looks as a ticker's does, so there only the very string tells.
            assert box == "ticker" or not pattern.search(cited)


def test_three_pages_are_in_other_languages(entries):
    languages = Counter(entry.article.language for entry in entries.values())
    assert languages == {"en": len(entries) - 3, "de": 1, "es": 1, "zh": 1}


def test_every_page_ends_with_its_sources(entries):
    wanted = re.compile(r"Sources|Quellen|Fuentes|来源")
    assert failing(entries, lambda entry: wanted.fullmatch(" > ".join(entry.article.sections[-1].heading_path))) == []


def test_every_page_names_its_sources_and_dates_in_its_head(entries):
    def is_right(entry: Entry) -> bool:
        sources = [
            meta.get("content", "") for meta in entry.soup.head.find_all("meta", attrs={"name": "dcterms.source"})
        ]
        dates = [entry.article.published, entry.article.updated]
        return (
            len(sources) >= 2
            and len(sources) == len(set(sources))
            and all(re.search(r"\w+\.\w+|\w{4}", source) and source.endswith(")") for source in sources)
            and all(day and date.fromisoformat(day).isoformat() == day for day in dates)
            and dates[0] <= dates[1]
        )

    assert failing(entries, is_right) == []


def test_json_ld_parses_and_says_what_the_page_shows(entries):
    with_data = 0
    for entry in entries.values():
        shown = re.sub(r"\W+", "", entry.cited())
        for script in entry.soup.find_all("script", type="application/ld+json"):
            data = json.loads(script.get_text())
            with_data += 1
            items = data if isinstance(data, list) else data.get("@graph", [data])
            asked = [question for item in items for question in item.get("mainEntity", []) if "name" in question]
            assert all("@type" in item for item in items)
            assert [q["name"] for q in asked if re.sub(r"\W+", "", q["name"]) not in shown] == []
    assert with_data >= 10


@pytest.mark.parametrize("path", [*PAGES, CORPUS / "questions.jsonl"], ids=lambda path: path.stem)
def test_no_file_names_a_path_of_a_machine(path):
    # Written apart, so that this file does not hold what it looks for.
    wanted = "|".join(
        ("file:/", "/ho" + "me/", "/wo" + "rk/", "/fa" + "rm/", "/t" + "mp/", "/Us" + "ers/", r"\b[A-Z]:\\")
    )
    assert re.findall(wanted, path.read_text(encoding="utf-8")) == []


def test_there_are_questions_of_all_kinds(questions):
    kinds = Counter(question.kind for question in questions)
    assert len(questions) >= 250
    assert set(kinds) == {
        "direct", "scoped", "ambiguous", "follow_up", "cross_lingual", "unanswerable", "off_topic", "injection", "advice"
    }  # fmt: skip
    assert kinds["unanswerable"] >= 60
    assert min(kinds.values()) >= 10


def test_every_question_has_an_id_and_a_text_of_its_own(questions):
    assert [name for name, count in Counter(question.id for question in questions).items() if count > 1] == []
    asked = Counter((question.question, question.history) for question in questions)
    assert [text for text, count in asked.items() if count > 1] == []


def test_every_gold_span_stands_in_a_passage_of_its_article(entries, questions):
    missing = [
        (question.id, span.article_id, span.answer_span)
        for question in questions
        for span in question.gold
        if not any(citation_hits(passage.text, span.answer_span) for passage in entries[span.article_id].passages)
    ]
    assert missing == []


def test_what_a_question_names_exists(entries, questions):
    named = {
        (question.id, article_id)
        for question in questions
        for article_id in (*question.distractors, *question.near_misses)
    }
    assert {(id_, article_id) for id_, article_id in named if article_id not in entries} == set()
    asked = {question.exchange for question in questions if question.exchange and question.expected == "answer"}
    assert asked <= {entry.article.exchange for entry in entries.values()}


def test_only_questions_that_have_an_answer_have_gold(questions):
    with_gold = {question.expected for question in questions if question.gold}
    assert with_gold <= {"answer", "ask_or_list_by_exchange"}
    assert all(question.history for question in questions if question.kind == "follow_up")
