import pytest
from homes import crowd, home_of

from index.filters import Filters
from index.lexical import terms
from index.search import DEPTH, LEXICAL_WEIGHT, RRF_K, HybridRetriever
from index.snapshot import SnapshotShelf


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    return SnapshotShelf(home_of(tmp_path_factory.mktemp("search") / "home", crowd())).open()


@pytest.fixture(scope="module")
def retriever(snapshot):
    return HybridRetriever(snapshot)


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
