"""The API as a client sees it: answers, streams, conversations, feedback, articles, suggestions, snapshots."""

import json
import sqlite3
from urllib.parse import quote

import pytest
from desk_client import client_of, key_while_running, with_key
from homes import OTHERS, article, home_of

from index.snapshot import SnapshotShelf
from service.answer import Answer
from service.api.models import LONGEST_REASON

WAITS = "A withdrawal to a new address waits for {} hours on Kelpex."
QUESTION = "how long does a withdrawal to a new address wait on kelpex"
EVENTS = {"Accept": "text/event-stream"}
SEED = "legal winner thank year wave sausage worth useful legal winner thank yellow"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = home_of(tmp_path_factory.mktemp("api") / "home", [*OTHERS, article("waits", WAITS.format(24))])
    faq = {
        "id": "faq", "url": "https://help.kelpex.example/faq", "title": "What does Kelpex charge?", "exchange": "Kelpex",
        "html": "<html><body><main><h1>What does Kelpex charge?</h1><h2>How high is the network fee for bitcoin?</h2>"
        "<p>The Kelpex network fee for bitcoin is 0.0002 BTC.</p><h2>When do fees change?</h2>"
        "<p>Kelpex changes its fees on the first day of a month.</p></main></body></html>",
    }  # fmt: skip
    return home_of(home, [*OTHERS, article("waits", WAITS.format(48)), faq])


@pytest.fixture(scope="module")
def client(home):
    with client_of(home) as client:
        yield client


@pytest.fixture(scope="module")
def desk(client):
    return client.app.state.desk


def ask(client, question=QUESTION, **arguments):
    return client.post("/v1/query", json={"question": question, **arguments})


def events_of(response):
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def questions_in(home):
    with sqlite3.connect(home / "questions.sqlite") as log:
        return b"".join(path.read_bytes() for path in home.glob("questions.sqlite*")), list(log.iterdump())


# ---- answers and streams


def test_every_answer_has_an_id_of_its_own(client):
    ids = {ask(client).json()["id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(id_) > 12 for id_ in ids)


def test_a_stream_tells_the_status_first_then_the_sentences_with_their_citations(client):
    whole = ask(client).json()
    events = events_of(client.post("/v1/query", json={"question": QUESTION}, headers=EVENTS))
    assert [name for name, _ in events[:2]] == ["status", "status"]
    assert events[0][1]["status"] == "reading"
    assert events[0][1]["exchanges"] == ["Kelpex"]
    assert events[1][1]["status"] == whole["status"] == "answered"
    assert events[0][1]["id"] == events[1][1]["id"]
    sentences = [data for name, data in events if name == "sentence"]
    assert [s["text"] for s in sentences] == [s["text"] for s in whole["sentences"]]
    assert [s["numbers"] for s in sentences] == [s["citations"] for s in whole["sentences"]]
    assert [c for s in sentences for c in s["citations"]] == whole["citations"]
    assert [name for name, _ in events[-2:]] == ["related", "done"]
    assert events[-1][1]["text"] == whole["text"]
    assert events[-1][1]["timings"]["total"] > 0


def test_a_stream_of_what_is_not_covered_says_so_and_names_what_is_near(client):
    events = events_of(client.post("/v1/query", json={"question": "what are the fees on KuCoin?"}, headers=EVENTS))
    assert [name for name, _ in events] == ["status", "status", "related", "done"]
    assert events[1][1]["status"] == "not_covered"
    assert "KuCoin" in events[1][1]["text"]


def test_a_question_may_be_bound_to_how_official_pages_are(client):
    asked = {"question": QUESTION}
    unknown = client.post("/v1/query", json={**asked, "only": {"trust": ["unknown"], "languages": ["en"]}}).json()
    assert unknown["status"] == "answered"
    official = client.post("/v1/query", json={**asked, "only": {"trust": ["official"]}}).json()
    assert (official["status"], official["related"]) == ("not_covered", [])
    response = client.post("/v1/query", json={**asked, "only": {"trust": ["holy"]}})
    assert response.status_code == 422
    assert "aggregator" in response.text


def test_a_stream_of_what_cannot_be_asked_is_a_problem_not_a_stream(client):
    response = client.post("/v1/query", json={"question": " "}, headers=EVENTS)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


# ---- secrets


def test_a_secret_is_neither_answered_nor_logged_and_the_asker_is_warned(client, desk, home):
    question = f"{QUESTION}? my phrase is {SEED}"
    response = ask(client, question, history=[f"i wrote {SEED} before"])
    answer = response.json()
    assert answer["notices"][0]["code"] == "secret_redacted"
    assert "seed phrase" in answer["notices"][0]["message"]
    assert "sausage" not in response.text
    desk.log.flush()
    raw, _ = questions_in(home)
    assert b"sausage" not in raw
    assert b"[seed phrase]" in raw


def test_a_secret_as_an_exchange_is_not_repeated(client):
    assert "sausage" not in ask(client, "how long does a withdrawal wait?", exchange=SEED[:100]).text


# ---- conversations


def test_a_follow_up_is_understood_from_the_conversation(client):
    begun = client.post("/v1/conversations", json={})
    assert begun.status_code == 201
    place = begun.headers["location"]
    assert place == f"/v1/conversations/{begun.json()['id']}"
    first = client.post(f"{place}/questions", json={"question": QUESTION}).json()
    second = client.post(f"{place}/questions", json={"question": "and what is the network fee?"}).json()
    assert first["scope"]["exchanges"] == second["scope"]["exchanges"] == ["Kelpex"]
    assert second["scope"]["source"] == "history"
    read = client.get(place).json()
    assert [turn["question"] for turn in read["turns"]] == [QUESTION, "and what is the network fee?"]
    assert read["turns"][0]["answer"] == first
    assert read["expires_in"] > 0


def test_what_a_conversation_is_begun_with_holds_for_its_questions(client):
    place = client.post("/v1/conversations", json={"exchange": "kelpex"}).headers["location"]
    answer = client.post(f"{place}/questions", json={"question": "how long does a withdrawal wait?"}).json()
    assert answer["scope"]["exchanges"] == ["Kelpex"]


def test_a_conversation_streams_too(client):
    place = client.post("/v1/conversations", json={}).headers["location"]
    events = events_of(client.post(f"{place}/questions", json={"question": QUESTION}, headers=EVENTS))
    assert events[1][1]["status"] == "answered"
    assert client.get(place).json()["turns"][0]["answer"]["id"] == events[1][1]["id"]


def test_a_deleted_conversation_is_nowhere_any_more(client, desk, home):
    place = client.post("/v1/conversations", json={}).headers["location"]
    said = "does zanzibarquux hold my withdrawal on kelpex"
    client.post(f"{place}/questions", json={"question": said})
    desk.log.flush()
    assert b"zanzibarquux" in questions_in(home)[0]
    assert client.delete(place).status_code == 204
    assert b"zanzibarquux" not in questions_in(home)[0]
    for response in (
        client.get(place),
        client.delete(place),
        client.post(f"{place}/questions", json={"question": "fees"}),
    ):
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"


def test_a_conversation_belongs_to_the_key_that_began_it(client, home):
    place = client.post("/v1/conversations", json={}).headers["location"]
    stranger = with_key(key_while_running(home))
    assert client.get(place, headers=stranger).status_code == 404
    assert client.delete(place, headers=stranger).status_code == 404
    assert client.get(place).status_code == 200


def test_a_conversation_keeps_no_secret(client):
    place = client.post("/v1/conversations", json={}).headers["location"]
    client.post(f"{place}/questions", json={"question": f"{QUESTION} {SEED}"})
    assert "sausage" not in client.get(place).text


# ---- feedback


def test_feedback_is_taken_for_an_answer_that_was_given(client, desk):
    id_ = ask(client).json()["id"]
    assert (
        client.post("/v1/feedback", json={"answer_id": id_, "verdict": "down", "reason": "not mine"}).status_code == 204
    )
    assert client.post("/v1/feedback", json={"answer_id": id_, "verdict": "up"}).status_code == 204


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"answer_id": "a_unknown", "verdict": "up"}, 404),
        ({"answer_id": "a_unknown", "verdict": "sideways"}, 422),
        ({"answer_id": "", "verdict": "up"}, 422),
        ({"answer_id": "a_1", "verdict": "up", "reason": "x" * (LONGEST_REASON + 1)}, 422),
        ({"verdict": "up"}, 422),
        ({"answer_id": "a_1", "verdict": "up", "stars": 5}, 422),
    ],
)
def test_feedback_that_fits_no_answer_is_a_problem(client, body, status):
    assert client.post("/v1/feedback", json=body).status_code == status


# ---- the corpus


def test_what_is_cited_can_be_read_in_its_place(client):
    citation = ask(client).json()["citations"][0]
    passage = client.get(f"/v1/passages/{quote(citation['passage_id'], safe='')}").json()
    assert passage["text"][citation["start"] : citation["end"]] == citation["quote"]
    article = client.get(f"/v1/articles/{citation['article_id']}").json()
    assert article["text"][passage["start"] : passage["end"]] == passage["text"]
    assert passage["article"]["title"] == article["title"] == citation["title"]


def test_articles_are_listed_in_parts(client):
    whole = client.get("/v1/articles").json()
    assert whole["next"] is None
    found, after = [], ""
    while after is not None:
        part = client.get("/v1/articles", params={"limit": 2, "after": after}).json()
        assert len(part["articles"]) <= 2
        found += part["articles"]
        after = part["next"]
    assert found == whole["articles"]
    assert len(found) == len(OTHERS) + 2


def test_articles_of_one_exchange_are_listed_by_any_of_its_spellings(client):
    found = client.get("/v1/articles", params={"exchange": "KELPEX"}).json()["articles"]
    assert {"waits", "faq"} <= {article["id"] for article in found}
    assert {article["exchange"] for article in found} == {"Kelpex"}


@pytest.mark.parametrize(
    "path", ["/v1/articles/nothing", "/v1/passages/nothing", "/v1/passages/waits%2399", "/v1/passages/%23"]
)
def test_what_is_not_there_is_a_problem(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/v1/articles", "/v1/articles/waits", "/v1/passages/waits%230", "/v1/snapshot"])
def test_what_a_client_has_already_is_not_sent_again(client, path):
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(path, headers={"If-None-Match": '"something else"'})
    assert (other.status_code, other.json()) == (200, first.json())


# ---- suggestions


def suggested(client, **params):
    return [one["question"] for one in client.get("/v1/suggest", params=params).json()["suggestions"]]


def test_questions_are_suggested_as_one_types(client):
    assert suggested(client, q="how high is the netw") == ["How high is the network fee for bitcoin?"]
    assert suggested(client, q="bitcoin fee") == ["How high is the network fee for bitcoin?"]
    assert suggested(client, q="when do f") == ["When do fees change?"]
    assert suggested(client, q="zebra") == []


def test_the_questions_of_the_page_come_first(client):
    found = suggested(client, page_url="https://help.kelpex.example/faq?from=mail")
    assert found[:3] == ["What does Kelpex charge?", "How high is the network fee for bitcoin?", "When do fees change?"]


def test_questions_of_another_exchange_are_not_suggested(client):
    assert suggested(client, q="fee", exchange="Mirador") == []
    assert suggested(client, q="fee", exchange="kelpex") != []


@pytest.mark.parametrize("q", ["?", "  ", "#%_'\"", "\u202e", "١٢", "a" * 200])
def test_whatever_is_typed_suggesting_does_not_fail(client, q):
    assert client.get("/v1/suggest", params={"q": q}).status_code == 200


# ---- the snapshot, and what operators see


def test_an_operator_publishes_and_rolls_back(home, client):
    shelf = SnapshotShelf(home)
    earlier, current = shelf.ids()
    admin = with_key(key_while_running(home, "admin"))
    assert client.get("/v1/snapshot").json()["id"] == current
    try:
        assert client.put("/v1/snapshot", json={}, headers=admin).json()["id"] == earlier
        assert shelf.current() == earlier
        assert client.put("/v1/snapshot", json={}, headers=admin).status_code == 409
        assert client.put("/v1/snapshot", json={"id": "../../etc"}, headers=admin).status_code == 404
    finally:
        assert client.put("/v1/snapshot", json={"id": current}, headers=admin).json()["id"] == current


def test_metrics_tell_what_was_answered(home, client):
    ask(client)
    admin = with_key(key_while_running(home, "admin"))
    text = client.get("/metrics", headers=admin).text
    assert 'citedesk_answers_total{door="api",status="answered"}' in text
    assert 'citedesk_stage_seconds_bucket{le="0.1",stage="search"}' in text
    assert 'citedesk_requests_total{code="200",route="/v1/query"}' in text
    assert "citedesk_snapshot_age_seconds" in text
    assert 'citedesk_cache_hits{cache="queries"}' in text
    assert QUESTION not in text


def test_readiness_needs_a_snapshot(home, client, tmp_path):
    admin = with_key(key_while_running(home, "admin"))
    assert client.get("/readyz", headers=admin).json() == {"snapshot": "ok", "state": "ok"}
    with client_of(tmp_path / "empty", "admin") as other:
        response = other.get("/readyz")
        assert response.status_code == 503
        assert response.json()["snapshot"] != "ok"


def test_insights_are_a_page_without_any_script(home, client):
    ask(client, "<script>alert(1)</script> fees on kelpex?")
    admin = key_while_running(home, "admin")
    page = client.get("/insights", auth=("anybody", admin))
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    refused = client.get("/insights", headers={"Authorization": ""})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")


def test_the_schema_has_an_example_of_every_body(client):
    schema = client.get("/openapi.json").json()
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        for path in schema["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    ]
    assert {"QueryRequest", "TurnRequest", "ConversationRequest", "FeedbackRequest", "SnapshotRequest"} <= set(bodies)
    assert all(schema["components"]["schemas"][name].get("examples") for name in bodies)
    assert set(schema["components"]["schemas"]["Answer"]["properties"]) == set(Answer.__slots__)
