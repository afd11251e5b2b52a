"""What every `Retriever` has to hold. A new one is another line of `RETRIEVERS`: what makes it of a published snapshot."""

import numpy as np
import pytest
from homes import CROWDED as QUESTION
from homes import MIRADOR, article, crowd, home_of

from benchmarks.milvus_servers import MilvusServer
from index.filters import Filters
from index.milvus import retrievers
from index.milvus_store import put
from index.search import DEPTH, HybridRetriever, Retriever
from index.snapshot import Snapshot, SnapshotShelf
from service.assistant import Assistant


def in_milvus(snapshot: Snapshot, server: MilvusServer) -> Retriever:
    url = server.database("contract")
    put(snapshot, SnapshotShelf(snapshot.folder.parents[1]), url)
    return retrievers(url)(snapshot)


# What makes each, and the fixture that it needs besides.
RETRIEVERS = {
    "embedded": (HybridRetriever, None),
    "milvus-lite": (in_milvus, "milvus_lite"),
    "milvus-standalone": (in_milvus, "milvus_standalone"),
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    rows = crowd()
    rows += [article("nordbank", "Nordbank nimmt auf dem Kassamarkt 0,3 %.", exchange="Nordbank", language="de")]
    official = {"exchange": "Kraken", "url": "https://support.kraken.com/funding"}
    rows += [article("funding", "It is paid every hour.", title="Funding of futures", **official)]
    return SnapshotShelf(home_of(tmp_path_factory.mktemp("search") / "home", rows)).open()


@pytest.fixture(scope="module", params=RETRIEVERS)
def retriever(request, snapshot) -> Retriever:
    make, fixture = RETRIEVERS[request.param]
    return make(snapshot, request.getfixturevalue(fixture)) if fixture else make(snapshot)


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


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(languages=frozenset({"de"})), {"nordbank"}),
        (Filters(trusts=frozenset({"official", "partner"})), {"funding"}),
        (Filters(products=frozenset({"FUTURES", "Loans"})), {"funding"}),
        (
            Filters(frozenset({"Kraken"}), frozenset({"en"}), frozenset({"official"}), frozenset({"futures"})),
            {"funding"},
        ),
        (Filters(languages=frozenset({"de"}), trusts=frozenset({"official"})), set()),
        (Filters(frozenset({"Mirador"}), article="mirador-fees"), {"mirador-fees"}),
        (Filters(frozenset({"Kelpex"}), article="mirador-fees"), set()),
        (Filters(products=frozenset()), set()),
        (Filters(trusts=frozenset()), set()),
    ],
)
def test_only_what_holds_to_all_that_a_filter_says_is_found(retriever, filters, found):
    assert {hit.passage.article_id for hit in retriever.search(QUESTION, filters, 40)} == found


def test_nothing_asked_for_is_nothing_found(retriever):
    assert retriever.search(QUESTION, Filters(), 0) == []


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


def test_a_question_without_a_word_to_look_up_is_still_searched(retriever):
    assert len(retriever.search("???", Filters(), 5)) == 5


def test_the_nearest_of_an_exchange_are_those_with_the_highest_cosines(retriever, snapshot):
    hits = retriever.nearest(QUESTION, frozenset({"Mirador"}), 2)
    rows = snapshot.rows_of(Filters(frozenset({"Mirador"})))
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


@pytest.mark.parametrize("k", [1, 3, 7])
def test_no_more_are_found_than_are_asked_for_and_the_best_come_first(retriever, k):
    hits, more = retriever.search(QUESTION, Filters(), k), retriever.search(QUESTION, Filters(), 40)
    assert len(hits) == k
    assert [hit.passage.id for hit in hits] == [hit.passage.id for hit in more[:k]]
    assert [hit.score for hit in more] == sorted((hit.score for hit in more), reverse=True)
    assert len({hit.passage.id for hit in more}) == len(more)


def test_of_one_article_its_passages_alone_are_found(retriever):
    hits = retriever.search(QUESTION, Filters(article="mirador-fees"), 20)
    assert [hit.passage.article_id for hit in hits] == ["mirador-fees"]
    assert retriever.search(QUESTION, Filters(article="nowhere"), 20) == []


def test_a_passage_is_given_as_the_snapshot_has_it(retriever, snapshot):
    for hit in retriever.search("tax and fees", Filters(frozenset({"", "Mirador"})), 10):
        assert hit.passage in snapshot.passages_of(hit.passage.article_id)


def test_words_find_what_they_stand_in(retriever):
    [first, *rest] = retriever.search("authenticator", Filters(), 10)
    assert first.passage.article_id == "mirador-codes"
    assert first.lexical_score > 0 == max(hit.lexical_score for hit in rest)


def test_a_question_is_a_unit_vector_of_the_snapshots_encoder(retriever, snapshot):
    vector = retriever.query_vector(QUESTION)
    assert vector == pytest.approx(snapshot.encoder.encode_query([QUESTION])[0], abs=1e-6)
    assert float(vector @ vector) == pytest.approx(1.0, abs=1e-5)


def test_where_there_is_no_second_encoder_there_is_no_second_opinion(retriever, snapshot):
    passages = snapshot.passages([0, 1, 2])
    assert retriever.second_nearness(QUESTION, passages) == [None] * 3
    assert {hit.second_nearness for hit in retriever.search(QUESTION, Filters(), 5)} == {None}


def test_a_question_is_answered_over_it_as_over_the_snapshots_own_indexes(retriever, snapshot):
    for question in (QUESTION, "What is the taker fee on Mirador?", "How do I cook rice?"):
        own, other = (Assistant(snapshot, retriever=found).ask(question) for found in (None, retriever))
        assert (own.status, own.text) == (other.status, other.text)
