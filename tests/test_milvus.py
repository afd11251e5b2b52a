"""Snapshots in Milvus: what is sent, what stays found meanwhile, and what is said when something is wrong.

What a retriever over Milvus has to find is in test_retriever.py.
"""

import json
import shutil
import signal
import socket
import sys
import time

import numpy as np
import pytest
from desk_client import client_of
from homes import article, fast_encoder, put
from pymilvus import DataType, MilvusClient
from test_cli import FEE, FEE_SPAN, citedesk

from benchmarks import milvus as benchmark
from benchmarks.milvus_servers import lite
from index import milvus_store
from index.build import build
from index.filters import Filters
from index.lexical import LexicalIndex
from index.milvus import MOST_MARKS, PATIENCE, Milvus, MilvusError, alias_of, retrievers
from index.search import HybridRetriever
from index.snapshot import SnapshotShelf
from index.sparse import document_vector, mean_length, query_vector
from ingest.exchanges import load_directory, shipped_path
from ingest.pipeline import ingest
from ingest.sources import find_sources
from ingest.store import CorpusStore
from service.settings import SettingsError, read_settings


def waits(number, fee=3):
    """An article of as many words as the others: a new mean length would have all passages' terms sent again."""
    return article(f"a{number}", f"Withdrawals of coin {number} wait {number + 1} hours. The fee is {fee} dollars.")


ROWS = [waits(number) for number in range(6)]
QUESTION = "How long do withdrawals of coin 3 wait?"


@pytest.fixture
def url(milvus_lite, request):
    """A database of this test alone."""
    return milvus_lite.database("d" + str(abs(hash(request.node.name))))


@pytest.fixture
def home(tmp_path):
    put(tmp_path / "home", ROWS)
    return tmp_path / "home"


def built(home, url, progress=lambda *_: None):
    """Build as the command line does; give the snapshot and what was sent."""
    sent = []

    def send(snapshot):
        sent.append(milvus_store.put(snapshot, SnapshotShelf(home), url, progress))

    build(home, fast_encoder(), shipped_path().read_text(encoding="utf-8"), before_publishing=send)
    return SnapshotShelf(home).open(), sum(sent, milvus_store.Sent())


def counts(sent):
    return sent.upserted, sent.deleted, sent.kept


def same_as_embedded(snapshot, url):
    found = [
        retriever.search(QUESTION, Filters(), 10)
        for retriever in (retrievers(url)(snapshot), HybridRetriever(snapshot))
    ]
    return [hit.passage for hit in found[0]] == [hit.passage for hit in found[1]] != []


def test_the_scores_of_sparse_vectors_are_those_of_tantivy(tmp_path):
    random = np.random.default_rng(7)
    words = [f"w{n}" for n in range(60)]
    documents = [" ".join(random.choice(words, size)) for size in (1, 5, 23, 24, 25, 39, 41, 43, 77, 130, 300, 2000)]
    LexicalIndex.build(tmp_path / "lexical", [(text, "") for text in documents])
    index = LexicalIndex.open(tmp_path / "lexical")
    mean = sum(len(text.split()) for text in documents) / len(documents)
    vectors = [document_vector(text.split(), mean) for text in documents]
    for asked in (["w1"], ["w2", "w3", "w3", "w59"], ["w4", "nowhere"], words):
        query = query_vector(asked, index.document_frequency, len(documents))
        own = {
            row: sum(weight * vector.get(key, 0.0) for key, weight in query.items())
            for row, vector in enumerate(vectors)
        }
        assert {row: score for row, score in own.items() if score} == pytest.approx(
            dict(index.search(asked, 50)), rel=1e-5
        )


def test_a_word_that_no_passage_has_is_not_asked_for():
    assert query_vector(["nowhere"], lambda _: 0, 10) == {}


@pytest.mark.parametrize("tokens", [1, 999, 123_456])
def test_the_mean_length_that_is_stored_is_at_most_a_hundredth_off(tokens):
    assert mean_length(tokens, 10) == pytest.approx(tokens / 10, rel=0.01)


def test_the_second_encoders_list_is_found_in_milvus_as_in_the_snapshot(home, url):
    put(home, [article("b1", "Auszahlungen warten einen Tag, Einzahlungen sind kostenlos.", language="de")])
    text = shipped_path().read_text(encoding="utf-8")
    build(home, fast_encoder(), text, second_folder=fast_encoder())
    shelf = SnapshotShelf(home)
    snapshot = shelf.open()
    assert counts(milvus_store.put(snapshot, shelf, url)) == (7 + 7 + 6, 0, 0)  # the second one knows English alone
    for filters in (Filters(), Filters(frozenset({"Kelpex"})), Filters(article="a3")):
        expected, found = (
            retriever.search(QUESTION, filters, 20)
            for retriever in (HybridRetriever(snapshot), retrievers(url)(snapshot))
        )
        assert any(hit.second_nearness for hit in expected)
        assert [hit.passage for hit in found] == [hit.passage for hit in expected]
        for other, own in zip(found, expected, strict=True):
            assert other.score == pytest.approx(own.score)
            assert other.second_nearness == pytest.approx(own.second_nearness, abs=1e-5)


def test_only_what_changed_is_sent_and_what_is_gone_is_deleted(home, url):
    first, sent = built(home, url)
    assert counts(sent) == (12, 0, 0)  # six passages, each with its vector and its terms
    put(home, [waits(6)])
    _, sent = built(home, url)
    assert counts(sent) == (14, 0, 0)  # the other set of collections, for the first time
    source = home.parent / "home-source-0"
    rows = [*ROWS[:4], waits(4, fee=9)]
    (source / "articles.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with CorpusStore(home / "corpus.sqlite") as store:
        ingest(find_sources(str(source / "sources.toml")), store, load_directory())
    third, sent = built(home, url)
    # Against the first: a4 is another, a5 is gone, a6 is new.
    assert counts(sent) == (4, 2, 8)
    assert same_as_embedded(third, url)
    with pytest.raises(MilvusError, match=f"no alias {alias_of(first.id, 'dense')}.*run `citedesk build`"):
        retrievers(url)(first)


def test_what_is_there_already_is_not_sent_again(home, url):
    snapshot, _ = built(home, url)
    assert counts(milvus_store.put(snapshot, SnapshotShelf(home), url)) == (0, 0, 0)


def test_the_snapshot_before_is_found_until_the_next_build_and_a_rollback_points_the_aliases_back(home, url):
    first, _ = built(home, url)
    put(home, [waits(6)])
    second, _ = built(home, url)
    assert same_as_embedded(first, url)
    assert same_as_embedded(second, url)
    client = MilvusClient(url)
    before = client.describe_alias("citedesk_dense")["collection_name"]
    shelf = SnapshotShelf(home)
    shelf.rollback(before_publishing=lambda snapshot: milvus_store.put(snapshot, shelf, url))
    assert shelf.current() == first.id
    assert client.describe_alias("citedesk_dense")["collection_name"] != before
    assert same_as_embedded(first, url)
    client.close()


def test_a_rollback_to_what_milvus_does_not_hold_any_more_sends_it_again(home, url):
    first, _ = built(home, url)
    for name in (6, 7):
        put(home, [waits(name)])
        built(home, url)
    shelf = SnapshotShelf(home)
    sent = []
    shelf.rollback(first.id, before_publishing=lambda snapshot: sent.append(milvus_store.put(snapshot, shelf, url)))
    assert counts(sent[0]) == (0, 2, 12)
    assert same_as_embedded(shelf.open(), url)


class StoppedError(Exception):
    pass


def test_sending_that_is_stopped_in_the_middle_leaves_the_published_snapshot_found_and_is_taken_up_again(home, url):
    first, _ = built(home, url)
    put(home, [waits(6)])

    def stop(stage, done, total):
        if stage == "send to Milvus":
            raise StoppedError

    with pytest.raises(StoppedError):
        built(home, url, stop)
    shelf = SnapshotShelf(home)
    assert shelf.ids() == [shelf.current()] == [first.id]
    assert same_as_embedded(first, url)
    second, sent = built(home, url)
    assert counts(sent) == (7, 0, 7)  # the vectors had been sent, their terms had not
    assert same_as_embedded(second, url)


def test_a_snapshot_of_another_encoder_gets_collections_of_its_own_and_those_of_the_one_before_stay(
    home, url, monkeypatch
):
    first, _ = built(home, url)
    put(home, [waits(6)])
    monkeypatch.setattr("index.milvus.LAYOUT", 99)
    second, sent = built(home, url)
    assert counts(sent) == (14, 0, 0)
    assert same_as_embedded(second, url)
    with pytest.raises(MilvusError, match="written by another encoder or another version"):
        retrievers(url)(first)
    monkeypatch.undo()
    assert same_as_embedded(first, url)
    put(home, [waits(7)])
    monkeypatch.setattr("index.milvus.LAYOUT", 99)
    built(home, url)
    client = MilvusClient(url)
    assert len({name.split("_")[1] for name in client.list_collections()}) == 1  # the first layout's are dropped
    client.close()


def test_passages_of_another_home_are_not_overwritten(home, url, tmp_path):
    built(home, url)
    put(tmp_path / "other", [article("b", "Another desk.")])
    with pytest.raises(MilvusError, match=r"was put there by another home.*a database of its own"):
        built(tmp_path / "other", url)
    assert same_as_embedded(SnapshotShelf(home).open(), url)
    assert SnapshotShelf(tmp_path / "other").ids() == []


@pytest.fixture
def standing(home, url):
    """A snapshot in Milvus, and a client to do something to it."""
    snapshot, _ = built(home, url)
    client = MilvusClient(url, dedicated=True)
    yield snapshot, client
    client.close()


def test_a_collection_that_lost_rows_is_refused_and_the_next_build_sends_them(standing, home, url):
    snapshot, client = standing
    name = client.describe_alias(alias_of(snapshot.id, "dense"))["collection_name"]
    keys = client.query(name, filter="", output_fields=["key"], limit=2)
    client.delete(name, ids=[row["key"] for row in keys])
    with pytest.raises(MilvusError, match="holds 4 of the 6 passages"):
        retrievers(url)(snapshot)
    assert milvus_store.put(snapshot, SnapshotShelf(home), url).upserted
    assert same_as_embedded(snapshot, url)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (("vector", DataType.FLOAT_VECTOR, {"dim": 8}), "vectors of 8 components instead of 384"),
        (None, "no field vector"),
    ],
)
def test_a_collection_of_another_schema_is_refused_and_made_anew(standing, home, url, field, said):
    snapshot, client = standing
    name = client.describe_alias(alias_of(snapshot.id, "dense"))["collection_name"]
    for alias in client.list_aliases(name)["aliases"]:
        client.drop_alias(alias)
    client.drop_collection(name)
    schema = client.create_schema(auto_id=False)
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=24)
    for plain in ("article", "digest"):
        schema.add_field(plain, DataType.INT64)
    schema.add_field("marks", DataType.ARRAY, element_type=DataType.INT64, max_capacity=MOST_MARKS)
    schema.add_field("passage", DataType.VARCHAR, max_length=65_535)
    kind = field or ("other", DataType.FLOAT_VECTOR, {"dim": 8})
    schema.add_field(kind[0], kind[1], **kind[2])
    client.create_collection(name, schema=schema)
    client.create_alias(name, alias_of(snapshot.id, "dense"))
    with pytest.raises(MilvusError, match=f"has another schema: {said}"):
        retrievers(url)(snapshot)
    milvus_store.put(snapshot, SnapshotShelf(home), url)
    assert same_as_embedded(snapshot, url)


def test_a_passage_that_the_snapshot_does_not_have_is_no_answer(standing, url):
    snapshot, client = standing
    retriever = retrievers(url)(snapshot)
    name = client.describe_alias(alias_of(snapshot.id, "dense"))["collection_name"]
    [row] = client.query(name, filter="", output_fields=["*"], limit=1)
    client.upsert(name, [{**row, "passage": "nowhere#0"}])
    with pytest.raises(MilvusError, match=r"_dense has passage 'nowhere#0', which snapshot .* does not"):
        retriever.search(QUESTION, Filters(), 10)


def test_where_nothing_answers_it_is_said_where_without_the_password(home, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(MilvusError) as caught:
        Milvus(f"http://root:s3cret@127.0.0.1:{port}")
    assert f"Milvus at http://127.0.0.1:{port}: connecting got no answer" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "unset CITEDESK_MILVUS" in str(caught.value)


def test_what_listens_and_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(MilvusError, match="got no answer within 2 s"):
            Milvus(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - begun < 10 * PATIENCE


def test_without_pymilvus_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MilvusError, match=r"pip install 'citedesk\[milvus\]'"):
        Milvus("http://127.0.0.1:1")


@pytest.mark.parametrize("address", ["127.0.0.1:19530", "ftp://127.0.0.1", "milvus"])
def test_a_setting_that_is_no_address_is_refused(monkeypatch, address):
    monkeypatch.setenv("CITEDESK_MILVUS", address)
    with pytest.raises(SettingsError, match="CITEDESK_MILVUS: this is no address"):
        read_settings()


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    """A server that tests may stop."""
    with lite(tmp_path_factory.mktemp("milvus")) as server:
        yield server


def ask(client):
    return client.post("/v1/query", json={"question": FEE})


@pytest.mark.parametrize("how", ["killed", "hanging"])
def test_while_milvus_is_away_questions_say_503_and_when_it_is_back_they_are_answered(own_server, small_home, how):
    url = own_server.database(how)
    shelf = SnapshotShelf(small_home)
    milvus_store.put(shelf.open(), shelf, url)
    with client_of(small_home, milvus=url) as client:
        answer = ask(client).json()
        assert FEE_SPAN in answer["text"]
        own_server.kill() if how == "killed" else own_server.signal(signal.SIGSTOP)
        begun = time.monotonic()
        refused = ask(client)
        assert time.monotonic() - begun < 10 * PATIENCE
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) > 0
        assert "127.0.0.1" not in refused.text
        own_server.start() if how == "killed" else own_server.signal(signal.SIGCONT)
        deadline = time.monotonic() + 30
        while (response := ask(client)).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert response.json()["text"] == answer["text"]


def test_a_server_that_starts_without_milvus_answers_as_soon_as_it_is_there(own_server, small_home):
    url = own_server.database("late")
    shelf = SnapshotShelf(small_home)
    milvus_store.put(shelf.open(), shelf, url)
    own_server.kill()
    try:
        with client_of(small_home, milvus=url) as client:
            assert ask(client).status_code == 503
            own_server.start()
            deadline = time.monotonic() + 30
            while (response := ask(client)).status_code == 503 and time.monotonic() < deadline:
                time.sleep(0.2)
            assert FEE_SPAN in response.json()["text"]
    finally:
        own_server.kill()
        own_server.start()


def test_the_command_line_builds_into_milvus_and_asks_there(small_home, milvus_lite):
    environment = {"CITEDESK_MILVUS": milvus_lite.database("cli")}
    asked = citedesk("ask", FEE, home=small_home, **environment)
    assert asked.returncode == 2
    assert "does not hold snapshot" in asked.stderr
    done = citedesk("build", "--encoder", "minilm", home=small_home, **environment)
    assert done.returncode == 0
    assert "unchanged" in done.stdout
    assert "4 rows sent, 0 deleted, 0 as they were" in done.stderr
    answers = [
        json.loads(citedesk("ask", FEE, "--json", home=small_home, **given).stdout) for given in (environment, {})
    ]
    assert FEE_SPAN in answers[0]["text"]
    assert answers[0]["text"] == answers[1]["text"]


def test_a_build_that_cannot_reach_milvus_publishes_nothing(home, tmp_path):
    shutil.copytree(home, tmp_path / "copy")
    done = citedesk("build", "--encoder", "minilm", home=tmp_path / "copy", CITEDESK_MILVUS="http://127.0.0.1:1")
    assert done.returncode == 2
    assert "Milvus at http://127.0.0.1:1: connecting got no answer" in done.stderr
    assert SnapshotShelf(tmp_path / "copy").ids() == []


def test_the_benchmark_finds_the_embedded_indexes_answers_in_milvus(small_home, tmp_path, capsys):
    benchmark.main(["--home", str(small_home), "--most", "5", "--engine", "milvus-lite", "--json", str(tmp_path / "f")])
    rows = [
        line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| milvus-lite | none")
    ]
    assert [float(row[3]) for row in rows] == pytest.approx([1.0], abs=0.1)


@pytest.mark.parametrize("server", ["milvus_lite", "milvus_standalone"])
def test_vectors_that_lie_in_lists_are_found_too(home, request, monkeypatch, server):
    monkeypatch.setattr("index.milvus.EXACT", 3)
    url = request.getfixturevalue(server).database("lists")
    snapshot, _ = built(home, url)
    client = MilvusClient(url)
    name = client.describe_collection(alias_of(snapshot.id, "dense"))["collection_name"]
    assert client.describe_index(name, "vector")["index_type"] == "IVF_FLAT"
    assert same_as_embedded(snapshot, url)
    assert set(milvus_store._aliases(Milvus(url), name)) == {"citedesk_dense", alias_of(snapshot.id, "dense")}
    client.close()
