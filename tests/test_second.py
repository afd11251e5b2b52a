import numpy as np
import pytest
from homes import article, copy_home, fast_encoder, put, replace_bytes

from index.build import build
from index.encoder import OnnxEncoder
from index.filters import Filters
from index.lexical import terms
from index.passages import sentence_input
from index.search import DEPTH, LEXICAL_WEIGHT, RRF_K, SECOND_WEIGHT, HybridRetriever
from index.second import ENCODER, FOLDER, SecondEncoder
from index.snapshot import SnapshotError, SnapshotShelf
from index.spread import EVEN
from index.weights import exported
from ingest.exchanges import shipped_path
from service.settings import read_settings

QUESTION = "How long does a withdrawal wait?"
ENGLISH = {
    "waits": "A withdrawal to a new address waits for 24 hours before it is sent.",
    "fees": "Mirador takes a taker fee of 0.2% on the spot market.",
    "staking": "Staked coins earn rewards every Monday.",
    "codes": "Scan the picture with an authenticator app, then type the six digits.",
}
GERMAN = {
    "wartet": "Eine Auszahlung an eine neue Adresse wartet vierundzwanzig Stunden, bevor sie gesendet wird.",
    "steuer": "Der Steuerbericht zeigt alle Geschäfte eines Jahres und die Gebühren dafür.",
}


def build_with(home, *, second=True):
    """Build with e5, and with minilm beside it."""
    first = exported("e5", read_settings().cache)
    text = shipped_path().read_text(encoding="utf-8")
    return build(home, first, text, second_folder=fast_encoder() if second else None)


def rows_of(articles, language, exchange="Kelpex"):
    return [article(name, text, language=language, exchange=exchange) for name, text in articles.items()]


@pytest.fixture(scope="module")
def built_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("second") / "home"
    put(home, rows_of(ENGLISH, "en") + rows_of(GERMAN, "de", "Mirador"))
    # A passage and a sentence each, the English ones by both encoders.
    assert build_with(home).encoded == len(ENGLISH) * 4 + len(GERMAN) * 2
    return home


@pytest.fixture
def home(built_home, tmp_path):
    return copy_home(built_home, tmp_path / "home")


@pytest.fixture(scope="module")
def snapshot(built_home):
    return SnapshotShelf(built_home).open()


@pytest.fixture(scope="module")
def retriever(snapshot):
    return HybridRetriever(snapshot)


def names(hits):
    return [hit.passage.article_id for hit in hits]


def test_only_passages_in_the_second_encoders_languages_have_its_opinion(retriever):
    hits = retriever.search(QUESTION, Filters(), 40)
    assert {hit.passage.article_id: hit.second_nearness is not None for hit in hits} == (
        dict.fromkeys(ENGLISH, True) | dict.fromkeys(GERMAN, False)
    )


def test_the_opinion_is_the_cosine_in_standard_deviations_above_its_mean(retriever, snapshot):
    encoder = SecondEncoder.open(snapshot.folder)
    opinion = encoder.asked(QUESTION)
    index, rows = opinion.vectors.index, opinion.vectors.rows
    vectors = np.stack([index.vector(at) for at in range(len(index))])
    cosines, count = vectors @ opinion.query, len(vectors)
    even = vectors.var(axis=0).sum() / vectors.shape[1]
    deviation = np.sqrt((count * cosines.var() + EVEN * even) / (count + EVEN))
    expected = dict(zip(rows.tolist(), (cosines - cosines.mean()) / deviation, strict=True))
    found = {hit.passage.id: hit.second_nearness for hit in retriever.search(QUESTION, Filters(), 40)}
    assert encoder.languages == {"en"}
    assert len(expected) == len(ENGLISH)
    for row, value in expected.items():
        assert found[snapshot.passage(row).id] == pytest.approx(value, abs=1e-3)
    assert max(expected, key=expected.get) == next(
        row for row in expected if snapshot.passage(row).article_id == "waits"
    )


def test_sentences_are_as_near_as_their_own_vectors(retriever, snapshot):
    hits = retriever.search(QUESTION, Filters(), 40)
    near = retriever.second_nearness(QUESTION, [hit.passage for hit in hits])
    encoder = OnnxEncoder(fast_encoder())
    query, opinion = encoder.encode_query([QUESTION])[0], SecondEncoder.open(snapshot.folder).asked(QUESTION)
    for hit, sentences in zip(hits, near, strict=True):
        title, text = hit.passage.article_id, hit.passage.text
        if title in GERMAN:
            assert sentences is None
            continue
        cosine = encoder.encode_document([sentence_input(title, hit.passage.heading_path, text)])[0] @ query
        assert sentences == pytest.approx([(cosine - opinion.mean) / opinion.deviation], abs=0.02)
    assert retriever.second_nearness(QUESTION, [hit.passage for hit in hits], language="de") == [None] * len(hits)
    assert retriever.second_nearness(QUESTION, []) == []


def test_the_order_is_that_of_three_lists(retriever, snapshot):
    lists = [
        ([row for row, _ in snapshot.dense.search(retriever.query_vector(QUESTION), DEPTH)], 1.0),
        ([row for row, _ in snapshot.lexical.search(terms(QUESTION), DEPTH)], LEXICAL_WEIGHT),
        (SecondEncoder.open(snapshot.folder).asked(QUESTION).search(DEPTH), SECOND_WEIGHT),
    ]
    expected = {}
    for rows, weight in lists:
        for rank, row in enumerate(rows, 1):
            expected[row] = expected.get(row, 0.0) + weight / (RRF_K + rank)
    order = sorted(expected, key=lambda row: (-expected[row], row))
    found = retriever.search(QUESTION, Filters(), 40)
    assert [hit.passage.id for hit in found] == [passage.id for passage in snapshot.passages(order)]
    assert [hit.score for hit in found] == [expected[row] for row in order]


def test_a_question_in_another_language_is_answered_by_the_first_encoder_alone(retriever, home):
    asked = ("Wie lange wartet eine Auszahlung?", Filters(), 40)
    hits = retriever.search(*asked, language="de")
    assert {hit.second_nearness for hit in hits} == {None}
    build_with(home, second=False)
    alone = HybridRetriever(SnapshotShelf(home).open()).search(*asked, language="de")
    assert [(hit.passage, hit.score) for hit in hits] == [(hit.passage, hit.score) for hit in alone]


@pytest.mark.parametrize("exchange", ["Kelpex", "Mirador", "Nowhere"])
def test_the_second_encoder_lets_no_other_exchanges_passage_through(retriever, snapshot, exchange):
    hits = retriever.search(QUESTION, Filters(frozenset({exchange})), 40)
    assert {snapshot.article(name).exchange for name in names(hits)} == {exchange} - {"Nowhere"}


def test_a_corpus_in_other_languages_has_no_second_opinion(tmp_path):
    put(tmp_path / "home", rows_of(GERMAN, "de"))
    build_with(tmp_path / "home")
    snapshot = SnapshotShelf(tmp_path / "home").open()
    assert not (snapshot.folder / FOLDER).exists()
    assert set(names(HybridRetriever(snapshot).search(QUESTION, Filters(), 9))) == set(GERMAN)


def test_taking_the_second_encoder_away_builds_again_and_encodes_nothing(home):
    assert not build_with(home).published
    built = build_with(home, second=False)
    assert (built.published, built.encoded) == (True, 0)
    assert not (SnapshotShelf(home).open().folder / FOLDER).exists()
    again = build_with(home)
    assert (again.published, again.encoded) == (True, 0)


def test_only_a_changed_article_is_encoded_again(home):
    put(home, [article("codes", "Type the nine digits.", language="en")])
    assert build_with(home).encoded == 4  # its passage and its sentence, by both encoders


@pytest.mark.parametrize("name", ["vectors.faiss", "sentences.npy", "rows.npy", f"{ENCODER}/model.onnx"])
def test_a_damaged_second_encoder_is_found_when_the_snapshot_is_opened(home, name):
    snapshot = SnapshotShelf(home).open()
    damaged = snapshot.folder / FOLDER / name
    replace_bytes(damaged, damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(SnapshotError, match="damaged"):
        SnapshotShelf(home).open()
