import numpy as np
import pytest
from homes import article, home_of

from index.lexical import terms
from index.search import DEPTH, LEXICAL_WEIGHT, RRF_K, Filters, HybridRetriever
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


@pytest.mark.parametrize("name", ["Kelpex", "Mirador", 'Nim"us OR (group:*)'])
@pytest.mark.parametrize(
    "question", [QUESTION, "taker fee on Mirador", "tax", "Kelpex or Mirador?", "group:Kelpex OR *"]
)
def test_a_filter_never_lets_another_exchanges_passage_through(retriever, snapshot, name, question):
    hits = retriever.search(question, Filters(frozenset({name})), 100)
    assert hits
    assert exchanges_of(hits, snapshot) == {name}


def test_a_narrow_filter_finds_all_of_its_passages(retriever):
    unfiltered = {hit.passage.article_id for hit in retriever.search(QUESTION, Filters(), DEPTH)}
    assert not unfiltered & set(MIRADOR)
    hits = retriever.search(QUESTION, Filters(frozenset({"Mirador"})), 40)
    assert {hit.passage.article_id for hit in hits} == set(MIRADOR)


def test_the_empty_name_stands_for_articles_about_no_exchange(retriever):
    assert [hit.passage.article_id for hit in retriever.search(QUESTION, Filters(frozenset({""})), 40)] == ["tax"]
    both = retriever.search("tax and fees", Filters(frozenset({"", "Mirador"})), 40)
    assert {hit.passage.article_id for hit in both} == {"tax", *MIRADOR}


def test_no_exchange_allowed_and_an_unknown_one_find_nothing(retriever):
    assert retriever.search(QUESTION, Filters(frozenset()), 10) == []
    assert retriever.search(QUESTION, Filters(frozenset({"Nowhere"})), 10) == []
    assert retriever.nearest(QUESTION, frozenset({"Nowhere"}), 10) == []


def test_nothing_asked_for_is_nothing_found(retriever):
    assert retriever.search(QUESTION, Filters(), 0) == []


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


def test_a_hit_carries_its_exact_cosine_even_where_only_words_found_it(retriever, snapshot):
    # BM25 finds the one passage with "authenticator"; the encoder has it behind the crowd.
    question = f"{QUESTION} authenticator"
    cosines = all_cosines(retriever, snapshot, question)
    nearest = {row for row, _ in snapshot.dense.search(retriever.query_vector(question), DEPTH)}
    ids = {passage.id: row for row, passage in enumerate(snapshot.passages(range(len(snapshot.dense))))}
    hits = retriever.search(question, Filters(), 200)
    assert any(ids[hit.passage.id] not in nearest for hit in hits)
    for hit in hits:
        assert hit.dense_score == pytest.approx(cosines[ids[hit.passage.id]], abs=1e-5)


def test_a_hit_without_a_word_of_the_question_has_no_lexical_score(retriever):
    hits = {h.passage.article_id: h for h in retriever.search("taker fee", Filters(frozenset({"Mirador"})), 9)}
    assert hits["mirador-fees"].lexical_score > 0
    assert hits["mirador-staking"].lexical_score == 0


def test_a_question_without_a_word_to_look_up_is_still_searched(retriever):
    assert len(retriever.search("???", Filters(), 5)) == 5


def test_the_nearest_of_an_exchange_are_those_with_the_highest_cosines(retriever, snapshot):
    hits = retriever.nearest(QUESTION, frozenset({"Mirador"}), 2)
    rows = snapshot.rows_of(frozenset({"Mirador"}))
    best = sorted(all_cosines(retriever, snapshot, QUESTION)[rows], reverse=True)[:2]
    assert [hit.dense_score for hit in hits] == pytest.approx(best, abs=1e-5)


def test_every_sentence_is_scored_by_its_own_vector(retriever, snapshot):
    passages = snapshot.passages([0, 1])
    for passage, scores in zip(passages, retriever.sentence_scores(QUESTION, passages), strict=True):
        rows = [sentence.row for sentence in snapshot.sentences(passage.id)]
        expected = snapshot.sentence_vectors[rows].astype(np.float32) @ retriever.query_vector(QUESTION)
        assert scores == pytest.approx(expected.tolist(), abs=1e-6)
    assert retriever.sentence_scores(QUESTION, []) == []


def test_the_same_search_gives_the_same_hits(retriever):
    assert retriever.search(QUESTION, Filters(), 40) == retriever.search(QUESTION, Filters(), 40)
