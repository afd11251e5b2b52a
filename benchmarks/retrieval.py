"""What each part of the retrieval brings: span@k and nDCG@10 of the order in which passages are read.

    python -m benchmarks.retrieval --data DIR --home var [--work DIR] [--set NAME]... [--half report] [--names]

For each data set the passages that the search finds are ranked by weighted sums of what is known of them; each row of the
table leaves a part out, adds one that was tried and not kept, or weighs one differently. The rows are compared with the
one that is chosen, by 95 % intervals of paired bootstrap differences. Questions in English and in other languages are
reported apart. Only questions with a gold passage in their scope count: what is lost by a wrong scope is not retrieval's.
What is searched for is the question without the names of exchanges, with `--names` the question as it is.

`--data` is the folder of the data sets, `--home` the home of the starter corpus, built with two encoders. The homes of the
other sets are kept in `--work`; building them takes some half an hour on two cores, once.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.quality.datasets import SITE, DataSet, Half, half_of, load
from benchmarks.quality.homes import assistant_for
from index.filters import Filters
from index.lexical import terms
from index.search import Hit, HybridRetriever
from index.snapshot import Snapshot
from service.evaluation.folding import citation_hits, holds
from service.evaluation.intervals import bootstrapped, mean
from service.evaluation.questions import EvaluationQuestion, GoldSpan
from service.evidence import LEAN_WEIGHT, word_rarities
from service.question import Question, understand
from service.settings import read_settings

SETS = ("starter", "help_questions", "help_questions_whole", "doc2dial", "covid_faq", "crypto_headings")
# As many as a search gives: what the rows rank.
POOL = 150
MEASURES = ("span@1", "span@5", "span@10", "nDCG@10")
# Groups of fewer questions are not reported: their intervals are as wide as the table.
FEWEST = 15

Matrix = npt.NDArray[np.float64]
Feature = Literal["passage", "sentence", "next sentence", "passage 2", "sentence 2", "words", "bm25", "length"]
Weights = dict[Feature, float]

# Nearness in standard deviations; "2" is the second encoder's, the first one's where it has none, so that in other languages
# than English it is the same. Words and bm25 are shares in [0, 1], length is the logarithm of the characters.
CHOSEN: Weights = {"passage": 1.0, "sentence": 0.5, "passage 2": 0.7, "sentence 2": 0.5, "words": 3.0}
ROWS: dict[str, Weights] = {
    "BM25": {"bm25": 1.0},
    "e5": {"passage": 1.0},
    "MiniLM": {"passage 2": 1.0},
    "e5, sentence, words (one encoder)": {"passage": 1.0, "sentence": 0.5, "words": 3.0},
    "and MiniLM's passages": {"passage": 1.0, "sentence": 0.5, "words": 3.0, "passage 2": 0.7},
    "chosen: and MiniLM's sentences": CHOSEN,
    "without e5's sentences": CHOSEN | {"sentence": 0.0},
    "without MiniLM's passages": CHOSEN | {"passage 2": 0.0},
    "without words": CHOSEN | {"words": 0.0},
    "BM25 instead of words": CHOSEN | {"words": 0.0, "bm25": 5.0},
    "with BM25": CHOSEN | {"bm25": 3.0},
    "with the next best sentence": CHOSEN | {"next sentence": -0.25},
    "with the length": CHOSEN | {"length": 0.3},
    "sentences doubled": CHOSEN | {"sentence": 1.0, "sentence 2": 1.0},
    "words doubled": CHOSEN | {"words": 6.0},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question's hits and what is known of them.

    :ivar features: By feature, a value for each hit.
    :ivar holds_gold: Of each hit, whether it holds a gold span.
    :ivar articles: Of each hit, its article.
    """

    language: str
    features: dict[Feature, Matrix]
    holds_gold: npt.NDArray[np.bool_]
    articles: tuple[str, ...]
    gold_articles: frozenset[str]

    def measured(self, weights: Weights) -> tuple[float, ...]:
        """Give `MEASURES` of the order by these weights."""
        score = sum((weight * self.features[name] for name, weight in weights.items()), np.zeros(len(self.articles)))
        order = np.argsort(-score, kind="stable")
        found = [float(self.holds_gold[order[:k]].any()) for k in (1, 5, 10)]
        ranked = list(dict.fromkeys(self.articles[at] for at in order))[:10]
        gain = sum(1 / math.log2(rank + 2) for rank, name in enumerate(ranked) if name in self.gold_articles)
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(10, len(self.gold_articles))))
        return (*found, gain / ideal)


def crypto_headings(data: Path) -> DataSet:
    """Headings of help articles as questions to the articles' bodies; the whole body is the gold."""
    folder = data / "crypto_help" / "headings"
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    articles = {row["id"]: row["text"] for row in rows}
    lines = [
        {"id": row["id"], "url": f"{SITE}headings/{row['id']}", "title": row["set"], "text": row["text"]}
        for row in rows
    ]
    relevant = dict(line.split("\t")[:2] for line in (folder / "qrels.tsv").read_text().splitlines()[1:])
    halves: dict[Half, list[EvaluationQuestion]] = {"fit": [], "report": []}
    for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if gold := relevant.get(row["id"]):
            span = GoldSpan(gold, articles[gold])
            halves[half_of(gold)].append(
                EvaluationQuestion(row["id"], row["text"], "en", "direct", "answer", gold=(span,), gold_mode="any")
            )
    return DataSet("crypto_headings", tuple(lines), {half: tuple(found) for half, found in halves.items()})


def ask(
    question: EvaluationQuestion, snapshot: Snapshot, retriever: HybridRetriever, *, names: bool = False
) -> Asked | None:
    """Search for a question and measure the hits; None where no passage in its scope holds its gold.

    :param names: Search with the names of exchanges that are in the question, not without them.
    """
    asked = understand(
        question.question,
        snapshot,
        exchange=question.ask_exchange,
        page_url=question.page_url,
        history=question.history,
    )
    scope = frozenset(asked.exchanges)
    if not _reachable(question, scope, snapshot):
        return None
    filters = Filters(frozenset((*scope, "")) if scope else None)
    query = asked.query if names else asked.neutral
    hits = retriever.search(query, filters, POOL, language=asked.language)
    hits = [hit for hit in hits if _in_scope(hit, scope, snapshot)]
    if not hits:
        return None
    return Asked(
        question.language,
        _features(asked, query, hits, snapshot, retriever),
        np.array([_holds_gold(hit.passage.article_id, hit.passage.text, question) for hit in hits]),
        tuple(hit.passage.article_id for hit in hits),
        frozenset(span.article_id for span in question.gold),
    )


def _reachable(question: EvaluationQuestion, scope: frozenset[str], snapshot: Snapshot) -> bool:
    for article_id in {span.article_id for span in question.gold}:
        article = snapshot.article(article_id)
        if article is None or (scope and article.exchange and article.exchange not in scope):
            continue
        if any(_holds_gold(article_id, passage.text, question) for passage in snapshot.passages_of(article_id)):
            return True
    return False


def _holds_gold(article_id: str, text: str, question: EvaluationQuestion) -> bool:
    """Tell whether a passage holds a gold span, or is a part of one."""
    spans = [span.answer_span for span in question.gold if span.article_id == article_id]
    return any(citation_hits(text, span) or holds(span, text) for span in spans)


def _in_scope(hit: Hit, scope: frozenset[str], snapshot: Snapshot) -> bool:
    article = snapshot.article(hit.passage.article_id)
    if article is None or not scope or article.exchange:
        return article is not None
    text = "\n".join((article.title, *hit.passage.heading_path, hit.passage.text))
    return bool(set(snapshot.directory.mentioned(text)) & scope)


def _features(
    asked: Question, query: str, hits: Sequence[Hit], snapshot: Snapshot, retriever: HybridRetriever
) -> dict[Feature, Matrix]:
    passages = [hit.passage for hit in hits]
    articles = [snapshot.article(passage.article_id) for passage in passages]
    languages = [article.language if article else "" for article in articles]
    scale = _scale(query, snapshot, retriever)
    near = [scale(hit.dense_score, language) for hit, language in zip(hits, languages, strict=True)]
    sentences = [
        sorted((scale(cosine, language) for cosine in cosines), reverse=True) or [own]
        for cosines, language, own in zip(retriever.sentence_scores(query, passages), languages, near, strict=True)
    ]
    second = retriever.second_nearness(query, passages, language=asked.language)
    rarities = word_rarities(asked, snapshot)
    total = sum(rarities.values()) or 1.0
    words = []
    for article, passage, language in zip(articles, passages, languages, strict=True):
        context = "\n".join((article.title if article else "", *passage.heading_path, passage.text))
        there = set(terms(context, language))
        words.append(sum(weight for term, weight in rarities.items() if term in there) / total)
    most = max(hit.lexical_score for hit in hits) or 1.0
    columns: dict[Feature, list[float]] = {
        "passage": near,
        "sentence": [own[0] for own in sentences],
        "next sentence": [own[min(1, len(own) - 1)] for own in sentences],
        "passage 2": [
            own if hit.second_nearness is None else hit.second_nearness for hit, own in zip(hits, near, strict=True)
        ],
        "sentence 2": [max(two) if two else own[0] for two, own in zip(second, sentences, strict=True)],
        "words": words,
        "bm25": [hit.lexical_score / most for hit in hits],
        "length": [math.log(1 + len(passage.text)) for passage in passages],
    }
    return {name: np.array(column) for name, column in columns.items()}


def _scale(query: str, snapshot: Snapshot, retriever: HybridRetriever) -> Callable[[float, str], float]:
    """Give what turns the first encoder's cosines into standard deviations, as `service.evidence` does."""
    vector, spread = retriever.query_vector(query), snapshot.spread
    middle, deviation, lean = spread.expected(vector), spread.deviation(vector), spread.lean(vector)
    return lambda cosine, language: (cosine - middle - LEAN_WEIGHT * lean.get(language, 0.0)) / deviation


def table(asked: Sequence[Asked]) -> Iterator[str]:
    """Give the lines of one group's table: each measure, and its difference from the chosen row with its interval."""
    chosen = np.array([question.measured(CHOSEN) for question in asked])
    yield "| " + " | ".join(("ranked by", *MEASURES)) + " |"
    yield "|" + "---|" * (len(MEASURES) + 1)
    for label, weights in ROWS.items():
        values = np.array([question.measured(weights) for question in asked])
        cells = [f"{value:.3f}" for value in values.mean(axis=0)]
        if weights != CHOSEN:
            cells = [f"{cell} {_difference(column)}" for cell, column in zip(cells, (values - chosen).T, strict=True)]
        yield f"| {label} | " + " | ".join(cells) + " |"


def _difference(values: Matrix) -> str:
    measure = bootstrapped([float(value) for value in values], mean)
    if measure.low is None or measure.high is None:
        return ""
    return f"({measure.value:+.3f}: {measure.low:+.3f} to {measure.high:+.3f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retrieval", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--home", type=Path, required=True, help="the home of the starter corpus")
    parser.add_argument("--work", type=Path, default=Path("var/quality"), help="where the homes of the sets are kept")
    parser.add_argument("--set", action="append", choices=SETS, dest="sets", help="one of the data sets (repeatable)")
    parser.add_argument("--half", choices=("fit", "report"), default="report", help="the half that is reported")
    parser.add_argument("--names", action="store_true", help="search with the names of exchanges in the questions")
    chosen = parser.parse_args(arguments)
    for name in chosen.sets or SETS:
        data_set = crypto_headings(chosen.data) if name == "crypto_headings" else load(name, chosen.data)
        snapshot = assistant_for(data_set, chosen.work, read_settings().cache, chosen.home).snapshot
        retriever = HybridRetriever(snapshot)
        questions = [question for question in data_set.questions[chosen.half] if question.gold]
        asked = (ask(question, snapshot, retriever, names=chosen.names) for question in questions)
        found = [one for one in asked if one]
        for group in ("English", "other languages"):
            own = [one for one in found if (one.language == "en") == (group == "English")]
            if len(own) >= FEWEST:
                print(f"\n{name}, {chosen.half}, {group}: {len(own)} questions\n", flush=True)
                print("\n".join(table(own)), flush=True)


if __name__ == "__main__":
    main()
