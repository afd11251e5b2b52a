import numpy as np
import pytest
from homes import article, home_of

from index.filters import Filters
from index.lexical import terms
from index.search import DEPTH, LEXICAL_WEIGHT, RRF_K, HybridRetriever
from index.snapshot import SnapshotShelf

QUESTION = "How long does a bitcoin withdrawal to a new address wait?"
# More articles that repeat the question than either list is deep: without its filter none of Mirador's is found.
CROWD = DEPTH + 10
MIRADOR = {
    "mirador-fees": "Mirador takes a taker fee of 0.2% on the spot market.",
    "mirador-staking": "Staked coins earn rewards every Monday.",
    "mirador-codes": "Scan the picture with an authenticator app, then type the six digits.",
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    rows = [article(f"kelpex-{n}", f"{QUESTION} It waits {n + 2} hours.", title=QUESTION) for n in range(CROWD)]
    rows += [article(name, text, exchange="Mirador") for name, text in MIRADOR.items()]
    rows += [article("tax", "A tax report lists every trade of a year.", exchange="")]
    rows += [article("odd", "A withdrawal waits for a day.", exchange='Nim"us OR (group:*)')]
    return SnapshotShelf(home_of(tmp_path_factory.mktemp("search") / "home", rows)).open()


@pytest.fixture(scope="module")
def retriever(snapshot):
    return HybridRetriever(snapshot)


def exchanges_of(hits, snapshot):
    return {snapshot.article(hit.passage.article_id).exchange for hit in hits}


def all_cosines(retriever, snapshot, question):
    vectors = np.stack([snapshot.dense.vector(row) for row in range(len(snapshot.dense))])
    return vectors @ retriever.query_vector(question)


def test_hits_are_ordered_by_the_ranks_of_both_lists(retriever, snapshot):
    question = "taker fee for a withdrawal and rewards"
    dense = snapshot.dense.search(retriever.query_vector(question), DEPTH)
    lexical = snapshot.lexical.search(terms(question), DEPTH)
    expected = {}
    for hits, weight in ((dense, 1.0), (lexical, LEXICAL_WEIGHT)):
        for rank, (row, _) in enumerate(hits, 1):
            expected[row] = expected.get(row, 0.0) + weight / (RRF_K + rank)
    order = sorted(expected, key=lambda row: (-expected[row], row))
    found = retriever.search(question, Filters(), 200)
    assert [hit.passage.id for hit in found] == [passage.id for passage in snapshot.passages(order)]
    assert [hit.score for hit in found] == [expected[row] for row in order]


def test_a_hit_without_a_word_of_the_question_has_no_lexical_score(retriever):
    hits = {h.passage.article_id: h for h in retriever.search("taker fee", Filters(frozenset({"Mirador"})), 9)}
    assert hits["mirador-fees"].lexical_score > 0
    assert hits["mirador-staking"].lexical_score == 0
