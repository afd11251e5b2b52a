"""The data sets of the quality table, each as articles to ingest and questions to ask.

All but the starter questions come from a folder that is not part of the project. Each has two halves: on ``fit`` one may
tune, ``report`` is what is reported. Pages and their questions are always in the same half. What the reader was fitted on
is in no half that is reported: the halves of its data sets are those of benchmarks/reader/data.py.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from service.evaluation.questions import EvaluationQuestion, GoldSpan, read_questions

Half = Literal["fit", "report"]
SITE = "https://quality.example/"
# The data sets whose half "fit" anything was fitted on: the decision (benchmarks/fit_decision.py), the reader
# (benchmarks/reader/, which read squad2_half_dev too).
FITTED_ON = ("starter", "help_questions", "help_questions_page", "help_questions_whole", "doc2dial", "clapnq")
STARTER = Path(__file__).parents[2] / "corpus" / "questions.jsonl"


@dataclass(frozen=True, slots=True)
class DataSet:
    """Articles and the questions to ask of them.

    :ivar articles: Lines of a JSONL source; empty for the starter corpus, which has a home of its own.
    :ivar questions: By half.
    """

    name: str
    articles: tuple[dict[str, str], ...]
    questions: dict[Half, tuple[EvaluationQuestion, ...]]

    def sample(self, half: Half, most: int) -> tuple[EvaluationQuestion, ...]:
        """Give at most so many questions of a half: always the same, in an order that has nothing to do with them."""
        return tuple(sorted(self.questions[half], key=lambda question: _digest(question.id))[:most])

    def digest(self) -> str:
        """Name the articles by their content."""
        return hashlib.sha256(json.dumps(self.articles).encode()).hexdigest()[:12]


def load(name: str, data: Path) -> DataSet:
    """Load one data set.

    :param data: The folder of the data sets.
    :raises OSError: It is not there.
    """
    return LOADERS[name](data)


def sampled(data_set: DataSet, *, articles: int, questions: int) -> DataSet:
    """Give a part of a data set that is always the same, small enough to be ingested and built within a minute.

    The starter questions are the project's own and stay as they are.

    :param articles: How many articles are kept, at most: first those that questions of the half ``report`` are about.
    :param questions: How many of these questions are kept, at most. They are kept in a fixed order that has nothing to
        do with what they say. The half ``fit`` is left empty.
    """
    if not data_set.articles:
        return data_set
    asked = sorted(data_set.questions["report"], key=lambda question: _digest(question.id))
    abouts = {_about(question) for question in asked}
    ids = sorted((row["id"] for row in data_set.articles), key=lambda id_: (id_ not in abouts, _digest(id_)))
    pages = set(ids[:articles])
    kept = tuple(question for question in asked if _about(question) in pages)[:questions]
    rows = tuple(row for row in data_set.articles if row["id"] in pages)
    return DataSet(data_set.name, rows, {"fit": (), "report": kept})


def half_of(key: str) -> Half:
    """Put a page or a question into a half, by its name alone.

    >>> half_of("liq-001") == half_of("liq-001")
    True
    """
    return "fit" if _digest(key)[0] % 2 else "report"


def half_of_reader(key: str) -> Half:
    """Put a page or a question of a data set that the reader was fitted on into the half that it was in then."""
    return "fit" if zlib.crc32(key.encode()) & 1 else "report"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def starter(_: Path) -> DataSet:
    """Read the questions of corpus/questions.jsonl, halved by the article that they are about."""
    questions = read_questions(STARTER)
    return DataSet("starter", (), _halves((question, half_of(_about(question))) for question in questions))


def help_questions(data: Path) -> DataSet:
    """Read questions over real help pages, half of them not answered there; the owner of the pages is named by the caller."""
    pages = _pages(data)
    return DataSet("help_questions", pages, _halves(_help_questions(data, ask_exchange=True)))


def help_questions_page(data: Path) -> DataSet:
    """Read the same, the asker standing on the page that the question is about."""
    return DataSet("help_questions_page", _pages(data), _halves(_help_questions(data, page=True)))


def help_questions_whole(data: Path) -> DataSet:
    """Read the same, with nothing known of the asker."""
    return DataSet("help_questions_whole", _pages(data), _halves(_help_questions(data)))


def doc2dial(data: Path) -> DataSet:
    """Read opening questions of dialogues with government services: all are answered somewhere.

    A page that help_questions has too is in its half there.
    """
    folder = data / "doc2dial_val"
    shared = {row["article_id"]: row["split"] for row in _lines(data / "help_questions" / "questions.jsonl")}
    articles = tuple(_article(row["id"], row["title"], row["text"]) for row in _lines(folder / "corpus.jsonl"))
    rows = [row for row in _lines(folder / "grounding.jsonl") if row["n_turns"] == 1 and row["speaker"] == "user"]
    questions = (
        (
            _question(row["id"], row["question"], [(row["doc"], span) for span in row["spans"]]),
            shared.get(f"doc2dial_val:{row['doc']}") or half_of_reader(row["doc"]),
        )
        for row in rows
    )
    return DataSet("doc2dial", articles, _halves(questions))


def covid_faq(data: Path) -> DataSet:
    """Read paraphrased questions to FAQ items; the whole answer is the gold."""
    folder = data / "deepset_covid_faq"
    rows = {row["id"]: row for row in _lines(folder / "corpus.jsonl")}
    articles = tuple(_article(row["id"], row["title"], row["text"]) for row in rows.values())
    relevant = dict(line.split("\t")[:2] for line in (folder / "qrels.tsv").read_text().splitlines()[1:])
    questions = (
        (
            _question(row["id"], row["text"], [(relevant[row["id"]], rows[relevant[row["id"]]]["text"])]),
            half_of(relevant[row["id"]]),
        )
        for row in _lines(folder / "queries.jsonl")
        if row["id"] in relevant
    )
    return DataSet("covid_faq", articles, _halves(questions))


def clapnq(data: Path) -> DataSet:
    """Read questions that people typed into a search engine; half are not answered by the passage of their page."""
    folder = data / "clapnq_dev"
    articles = tuple(_article(row["id"], row["title"], row["text"]) for row in _lines(folder / "corpus.jsonl"))
    ids = {row["text"]: row["id"] for row in _lines(folder / "corpus.jsonl")}

    def rows() -> Iterator[tuple[EvaluationQuestion, Half]]:
        for row in _lines(folder / "qa.jsonl"):
            page = ids[row["context"]]
            gold = [(page, sentence) for answer in row["answers"] for sentence in answer["support"]]
            question = _question(row["id"], row["question"], gold if row["answerable"] else [])
            yield replace(question, page_url=SITE + page), half_of_reader(row["id"])

    return DataSet("clapnq", articles, _halves(rows()))


LOADERS: dict[str, Callable[[Path], DataSet]] = {
    function.__name__: function
    for function in (starter, help_questions, help_questions_page, help_questions_whole, doc2dial, covid_faq, clapnq)
}


def _help_questions(
    data: Path, *, page: bool = False, ask_exchange: bool = False
) -> Iterator[tuple[EvaluationQuestion, Half]]:
    for row in _lines(data / "help_questions" / "questions.jsonl"):
        gold = [(row["article_id"], row["span"])] if row["answerable"] else []
        question = _question(row["id"], row["question"], gold, row["language"], row.get("history") or ())
        if not gold:
            question = replace(question, near_misses=(row["article_id"],))
        if page:
            question = replace(question, page_url=SITE + row["article_id"])
        if ask_exchange:
            question = replace(question, ask_exchange=_owner(row["article_id"]))
        yield question, row["split"]


def _pages(data: Path) -> tuple[dict[str, str], ...]:
    rows = _lines(data / "help_questions" / "pages.jsonl")
    return tuple(_article(row["id"], row["title"], row["text"], _owner(row["id"])) for row in rows)


def _owner(page: str) -> str:
    """Name who published a page: the pages of each are held apart as those of an exchange would be."""
    source, _, rest = page.partition(":")
    return rest.partition("/")[0].capitalize() if source == "crypto_help" else "Government"


def _article(id_: str, title: str, text: str, exchange: str = "") -> dict[str, str]:
    row = {"id": id_, "url": SITE + id_, "title": title or id_, "text": text}
    return row | {"exchange": exchange} if exchange else row


def _question(
    id_: str, text: str, gold: list[tuple[str, str]], language: str = "en", history: tuple[str, ...] | list[str] = ()
) -> EvaluationQuestion:
    return EvaluationQuestion(
        id=id_,
        question=text,
        language=language,
        kind=("follow_up" if history else "direct") if gold else "unanswerable",
        expected="answer" if gold else "abstain",
        history=tuple(history),
        gold=tuple(GoldSpan(article, span) for article, span in gold),
        gold_mode="any" if gold else "none",
    )


def _about(question: EvaluationQuestion) -> str:
    """Name the page that a question is about: the asker's, the gold's, else what comes nearest, else the exchange."""
    if question.page_url:
        return question.page_url.removeprefix(SITE)
    named = [span.article_id for span in question.gold] or list(question.near_misses or question.distractors)
    return named[0] if named else question.exchange or question.id


def _halves(questions: Iterator[tuple[EvaluationQuestion, Half]]) -> dict[Half, tuple[EvaluationQuestion, ...]]:
    rows = list(questions)
    halves: tuple[Half, ...] = ("fit", "report")
    return {half: tuple(question for question, own in rows if own == half) for half in halves}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
