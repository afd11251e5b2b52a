import json
import math

import numpy as np
import pytest
from homes import article, home_of

from benchmarks.quality.datasets import DataSet
from benchmarks.retrieval import CHOSEN, MEASURES, POOL, ROWS, Asked, ask, crypto_headings, table
from index.filters import Filters
from index.search import HybridRetriever
from index.snapshot import SnapshotShelf
from service.evaluation.questions import EvaluationQuestion, GoldSpan
from service.evidence import read
from service.question import understand

WAITS = "A withdrawal to a new address waits for 24 hours on Kelpex."


def question(text, *gold, **fields):
    return EvaluationQuestion(
        "q", text, "en", "direct", "answer", gold=tuple(GoldSpan(*span) for span in gold), gold_mode="any", **fields
    )


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    rows = [
        article("waits", f"{WAITS} It is sent then."),
        article("fees", "The taker fee is 0.2% on the spot market.", exchange="Mirador"),
        article("staking", "Staked coins earn rewards every Monday.", exchange="Mirador"),
    ]
    return SnapshotShelf(home_of(tmp_path_factory.mktemp("retrieval") / "home", rows)).open()


@pytest.fixture(scope="module")
def retriever(snapshot):
    return HybridRetriever(snapshot)


def test_the_measures_are_those_of_the_order_by_the_weights():
    asked = Asked(
        "en",
        {"passage": np.array([3.0, 2.0, 1.0]), "words": np.array([0.0, 0.0, 1.0])},
        np.array([False, False, True]),
        ("a", "a", "b"),
        frozenset({"b"}),
    )
    assert asked.measured({"passage": 1.0}) == (0.0, 1.0, 1.0, 1 / math.log2(3))
    assert asked.measured({"passage": 1.0, "words": 9.0}) == (1.0, 1.0, 1.0, 1.0)


def test_a_passage_that_holds_the_gold_is_found(snapshot, retriever):
    asked = ask(question("how long does a withdrawal wait", ("waits", WAITS)), snapshot, retriever)
    assert [asked.articles[at] for at in np.flatnonzero(asked.holds_gold)] == ["waits"]
    assert asked.measured(CHOSEN) == (1.0,) * len(MEASURES)
    assert {name for weights in ROWS.values() for name in weights} == set(asked.features)


def test_a_passage_that_is_a_part_of_the_gold_counts(snapshot, retriever):
    whole = f"{WAITS} It is sent then. And more that is in no passage."
    assert ask(question("how long does it wait", ("waits", whole)), snapshot, retriever).holds_gold.any()


def test_only_the_exchange_that_is_asked_about_is_searched(snapshot, retriever):
    gold = ("fees", "The taker fee is 0.2%")
    assert set(ask(question("what is the fee on Mirador", gold), snapshot, retriever).articles) == {"fees", "staking"}
    assert ask(question("what is the fee on Kelpex", gold), snapshot, retriever) is None


def test_a_question_whose_gold_is_in_no_passage_is_left_out(snapshot, retriever):
    assert ask(question("what is the fee", ("fees", "words of another page altogether")), snapshot, retriever) is None


def test_the_table_has_a_row_for_each_way_of_ranking(snapshot, retriever):
    asked = [ask(question(text, ("waits", WAITS)), snapshot, retriever) for text in ("withdrawal", "taker fee")]
    header, rule, *rows = table(asked)
    assert header == f"| ranked by | {' | '.join(MEASURES)} |"
    assert rule.count("|") == header.count("|")
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(ROWS)
    assert all(
        ("(" in row.split(" | ", 1)[1]) == (ROWS[label] != CHOSEN) for label, row in zip(ROWS, rows, strict=True)
    )


def test_headings_become_questions_to_the_bodies(tmp_path):
    folder = tmp_path / "crypto_help" / "headings"
    folder.mkdir(parents=True)
    bodies = [{"id": f"d{n}", "set": "mew", "text": f"Body {n}."} for n in range(2)]
    heads = [{"id": f"q{n}", "text": f"How {n}?"} for n in range(2)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, bodies)), encoding="utf-8")
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, heads)), encoding="utf-8")
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n", encoding="utf-8")
    loaded = crypto_headings(tmp_path)
    assert isinstance(loaded, DataSet)
    assert [row["id"] for row in loaded.articles] == ["d0", "d1"]
    asked = [question for half in loaded.questions.values() for question in half]
    assert [(one.question, one.gold) for one in asked] == [("How 1?", (GoldSpan("d1", "Body 1."),))]


@pytest.mark.parametrize("text", ["how long does a withdrawal wait on kelpex", "taker fee", "when do i get my rewards"])
def test_the_chosen_row_is_how_evidence_is_ranked(snapshot, retriever, text):
    gold = [(name, snapshot.article(name).text) for name in ("waits", "fees", "staking")]
    asked, understood = ask(question(text, *gold), snapshot, retriever), understand(text, snapshot)
    filters = Filters(frozenset((*understood.exchanges, "")) if understood.exchanges else None)
    hits = retriever.search(understood.neutral, filters, POOL, language=understood.language)
    score = sum(weight * asked.features[name] for name, weight in CHOSEN.items())
    read_order = [evidence.article.id for evidence in read(understood, hits, retriever, snapshot)]
    assert read_order == [asked.articles[at] for at in np.argsort(-score, kind="stable")]
