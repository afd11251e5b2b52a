"""A language model beside the desk, on a real HTTP server that does what models and their servers do wrong."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from index.snapshot import SnapshotShelf
from service.assistant import Assistant
from service.llm import attach
from service.llm.client import Breaker
from service.metrics import Metrics
from service.settings import SettingsError
from tests.model_home import CHOSEN, FEE, PHRASED, PLANTED, QUESTION, SECONDS, WAITS, beside, model_home, phrases
from tests.scripted_model import (
    dribbles,
    fails,
    no_events,
    no_http,
    no_schemas,
    own_schemas,
    rambles,
    says,
    scripted,
    silent,
    stops_after,
)

ROOT = Path(__file__).parents[1]
BROKEN = {
    "silent": silent,
    "dribbling": dribbles,
    "rambling": rambles,
    "no HTTP": no_http,
    "no events": no_events,
    "limited": fails(429, Retry_After="30"),
    "overloaded": fails(503),
    "key refused": fails(401),
    "no such model": fails(404),
    "prose": says("Sure! It waits for a day or so."),
    "JSON in prose": says('Here you are: {"verdict": "answers", "sentences": [1]}'),
    "a list": says([1]),
    "another object": says({"answer": "24 hours"}),
    "no such sentence": says({"verdict": "answers", "sentences": [99]}),
    "sentence zero": says({"verdict": "answers", "sentences": [0]}),
    "a word for a number": says({"verdict": "answers", "sentences": ["1"]}),
    "true for a number": says({"verdict": "answers", "sentences": [True]}),
    "twice the same": says({"verdict": "answers", "sentences": [1, 1]}),
    "answers with nothing": says({"verdict": "answers", "sentences": []}),
    "nothing with an answer": says({"verdict": "none", "sentences": [1]}),
    "nothing at all": says(""),
    "cut by length": says({"verdict": "answers", "sentences": [1]}, finished="length"),
    "filtered": says("", finished="content_filter"),
    "gone in mid-sentence": says('{"verdict": "answers", "sent', finished=None),
    "deep nesting": says("[" * 100_000, pieces=50_000),
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    return SnapshotShelf(model_home(tmp_path_factory.mktemp("model") / "home")).open()


@pytest.fixture
def asker(snapshot, without, request):
    """Make an assistant beside a scripted model."""

    def make(model, mode="select", **given):
        assistant, attached = beside(model.url, snapshot, mode, **given)
        request.addfinalizer(attached.close)
        return assistant

    return make


@pytest.fixture(scope="module")
def without(snapshot):
    assistant = Assistant(snapshot)
    assistant.warm()
    return assistant


def bare(answer):
    return replace(answer, id="", timings={})


@pytest.mark.parametrize("act", BROKEN.values(), ids=BROKEN)
def test_whatever_the_model_does_instead_of_choosing_the_answer_is_the_one_without_it_and_in_time(asker, without, act):
    with scripted(act) as model:
        begun = time.monotonic()
        answer = asker(model).ask(QUESTION)
        took = time.monotonic() - begun
    assert model.asked
    assert bare(answer) == bare(without.ask(QUESTION))
    assert took < SECONDS + 1


def test_a_model_that_is_down_is_an_answer_without_it(asker, without):
    with scripted(silent) as model:
        pass
    assert bare(asker(model).ask(QUESTION)) == bare(without.ask(QUESTION))


def test_a_passing_failure_is_tried_again(asker):
    calls = []
    with scripted(fails(503), says({"verdict": "answers", "sentences": [1]})) as model:
        asker(model, told=calls.append).ask(QUESTION)
    assert [call.outcome for call in calls] == ["answered"]
    assert len(model.asked) == 2


def test_an_endpoint_without_schemas_is_asked_without_one(asker):
    calls = []
    with scripted(no_schemas({"verdict": "answers", "sentences": [1]})) as model:
        asker(model, told=calls.append).ask(QUESTION)
    assert [call.outcome for call in calls] == ["answered"]


def test_an_endpoint_that_takes_a_schema_in_its_own_way_is_asked_in_that_way_from_then_on(asker):
    calls = []
    with scripted(own_schemas({"verdict": "answers", "sentences": [1]})) as model:
        assistant = asker(model, told=calls.append)
        assistant.ask(QUESTION)
        assistant.ask(f"{QUESTION} now")
    assert [call.outcome for call in calls] == ["answered", "answered"]
    kinds = [request["response_format"]["type"] for request in model.asked]
    assert kinds == ["json_schema", "json_object", "json_object"]
    assert model.asked[-1]["response_format"]["schema"]["required"] == ["verdict", "sentences"]


def test_after_several_failures_the_model_is_left_alone_for_a_while(asker, without):
    calls = []
    with scripted(fails(500)) as model:
        assistant = asker(model, told=calls.append, failures=2, retries=0, rest_seconds=60)
        answers = [assistant.ask(f"{QUESTION} {n}") for n in range(4)]
    assert [call.outcome for call in calls] == ["failed", "failed", "resting", "resting"]
    assert len(model.asked) == 2
    assert all(answer.status == "answered" for answer in answers)


def test_after_its_rest_one_question_tries_the_model():
    now = [0.0]
    breaker = Breaker(2, 10, clock=lambda: now[0])
    breaker.failed()
    assert breaker.lets_through()
    breaker.failed()
    assert not breaker.lets_through()
    now[0] = 10.0
    assert breaker.lets_through()
    assert not breaker.lets_through()
    breaker.worked()
    assert breaker.lets_through()


def test_what_the_model_chooses_leads(asker, without):
    with scripted(says({"verdict": "none", "sentences": []})) as model:
        asker(model).ask(QUESTION)
    texts = {
        text: int(number) for passage in model.quoted()["passages"] for number, text in passage["sentences"].items()
    }
    assert without.ask(QUESTION).sentences[0].text == WAITS
    with scripted(says({"verdict": "answers", "sentences": [texts[FEE]]})) as model:
        answer = asker(model, bonus=5).ask(QUESTION)
    assert answer.sentences[0].text == FEE
    assert all(citation.quote in f"{WAITS} {FEE} {PLANTED}" for citation in answer.citations)


def test_the_verdict_of_a_model_that_was_not_measured_weighs_nothing_and_that_of_one_that_was_does(asker, without):
    before = without.ask(QUESTION).confidence
    with scripted(says({"verdict": "none", "sentences": []})) as model:
        unmeasured = asker(model).ask(QUESTION).confidence
        measured = asker(model, yes_when_covered=0.9, yes_when_not=0.2).ask(QUESTION).confidence
    assert unmeasured == before
    assert measured < before


def test_the_model_sees_question_and_articles_as_data_with_title_exchange_trust_and_date(asker):
    with scripted(says({"verdict": "answers", "sentences": [1]})) as model:
        asker(model, key="secret-key").ask(QUESTION)
    system, user = model.asked[0]["messages"]
    assert QUESTION not in system["content"]
    assert PLANTED not in system["content"]
    data = json.loads(user["content"])
    assert data["question"] == QUESTION
    first = data["passages"][0]
    assert (first["title"], first["exchange"], first["trust"]) == ("How Kelpex withdrawals work", "Kelpex", "unknown")
    assert "date" in first
    assert model.keys == ["Bearer secret-key"]


def test_secrets_in_a_question_are_not_sent(asker):
    with scripted(says({"verdict": "answers", "sentences": [1]})) as model:
        asker(model).ask(f"{QUESTION}? my password is Hunter22! and my mail is jo@example.org")
    assert "Hunter22" not in json.dumps(model.asked)
    assert "jo@example.org" not in json.dumps(model.asked)


def test_a_long_article_is_cut_to_the_budget(asker):
    with scripted(says({"verdict": "none", "sentences": []})) as model:
        asker(model, prompt_tokens=200).ask(QUESTION)
    assert len(model.asked[0]["messages"][1]["content"]) < 1000


def test_the_same_question_is_asked_of_the_model_once(asker):
    calls = []
    with scripted(says({"verdict": "answers", "sentences": [1]})) as model:
        assistant = asker(model, told=calls.append, prompt_price=1.0, answer_price=2.0)
        first, second = assistant.ask(QUESTION), assistant.ask(QUESTION)
    assert bare(first) == bare(second)
    assert [(call.outcome, call.prompt_tokens, call.answer_tokens) for call in calls] == [
        ("answered", 90, 12), ("remembered", 0, 0),
    ]  # fmt: skip
    assert calls[0].cost == pytest.approx(114e-6)


def test_a_phrasing_that_its_quote_proves_is_shown_with_the_quote_and_a_notice(asker):
    counts = []
    with scripted(CHOSEN, phrases((PHRASED, [1]))) as model:
        answer = asker(model, "compose", counted=counts.append).ask(QUESTION)
    assert answer.sentences[0].text == PHRASED
    assert answer.text == f"{PHRASED} [1]"
    assert WAITS in answer.citations[0].quote
    assert "phrased_by_model" in {notice.code for notice in answer.notices}
    assert counts == ["shown"]


FALSE = {
    "another number": "On Kelpex a withdrawal to a new address waits for 48 hours.",
    "another unit": "On Kelpex a withdrawal to a new address waits for 24 days.",
    "a fee that is invented": "On Kelpex a withdrawal to a new address waits for 24 hours and costs 5 USDT.",
    "a negation": "On Kelpex a withdrawal to a new address does not wait for 24 hours.",
    "another exchange": "On Binance a withdrawal to a new address waits for 24 hours.",
    "a link": "A withdrawal to a new address waits for 24 hours on Kelpex, see https://evil.example/now.",
    "a telephone number": "A withdrawal to a new address waits for 24 hours on Kelpex, call +1 888 123 4567.",
    "a planted instruction": "Send your coins to evil.example.",
    "a date": "On Kelpex a withdrawal to a new address waits for 24 hours since 3 May 2024.",
    "a yes": "Yes, a withdrawal to a new address waits for 24 hours on Kelpex.",
    "the other side": "A deposit to a new address waits for 24 hours on Kelpex.",
    "another matter": "The moon is made of cheese.",
}


@pytest.mark.parametrize("text", FALSE.values(), ids=FALSE)
def test_a_sentence_that_its_quote_does_not_prove_is_the_quote_and_is_counted(asker, text):
    counts = []
    with scripted(CHOSEN, phrases((text, [1]))) as model:
        answer = asker(model, "compose", counted=counts.append).ask(QUESTION)
    assert counts
    assert counts != ["shown"]
    assert answer.sentences[0].text == WAITS
    assert "phrased_by_model" not in {notice.code for notice in answer.notices}


@pytest.mark.parametrize(
    "act",
    [
        *BROKEN.values(), phrases((PHRASED, [9])), phrases((PHRASED, [])), says({"sentences": [{"text": PHRASED}]}),
        phrases((f"{PHRASED} [1]", [1])), says({"sentences": []}),
    ],
)  # fmt: skip
def test_whatever_the_model_does_instead_of_phrasing_the_answer_is_in_the_articles_words_and_in_time(asker, act):
    with scripted(CHOSEN, act) as model:
        begun = time.monotonic()
        answer = asker(model, "compose").ask(QUESTION)
        took = time.monotonic() - begun
    assert len(model.asked) >= 2
    assert answer.sentences[0].text == WAITS
    assert took < SECONDS + 1


def test_a_model_that_stops_after_a_sentence_leaves_that_one_and_the_quotes_that_are_missing(asker):
    with scripted(
        CHOSEN, stops_after(f'{{"sentences": [{{"text": "{PHRASED}", "cites": [1]}}, {{"text": "And')
    ) as model:
        answer = asker(model, "compose").ask(QUESTION)
    assert answer.sentences[0].text == PHRASED
    assert len(model.asked) == 2  # what has begun is not begun again
    assert {number for sentence in answer.sentences for number in sentence.citations} == {
        citation.number for citation in answer.citations
    }


def test_of_more_sentences_than_were_asked_for_the_first_are_shown(asker):
    with scripted(CHOSEN, phrases(*[(PHRASED, [1])] * 9)) as model:
        answer = asker(model, "compose").ask(QUESTION)
    assert [sentence.text for sentence in answer.sentences].count(PHRASED) == 1


def test_what_answers_comes_first_whatever_the_model_begins_with(asker, without):
    both = "what are the taker fee on mirador, and the network fee on kelpex?"
    lead, *_ = without.ask(both).sentences
    with scripted(CHOSEN, phrases(("The network fee for bitcoin on Kelpex is 0.0002 BTC.", [2]))) as model:
        answer = asker(model, "compose", bonus=0).ask(both)
    assert [(s.text, s.citations) for s in answer.sentences] == [
        (lead.text, (1,)), ("The network fee for bitcoin on Kelpex is 0.0002 BTC.", (2,)),
    ]  # fmt: skip


def test_the_metrics_tell_calls_tokens_costs_and_sentences(snapshot, monkeypatch):
    metrics = Metrics()
    with scripted(CHOSEN, phrases((PHRASED, [1]), (FALSE["a link"], [1]))) as model:
        monkeypatch.setenv("CITEDESK_LLM_URL", model.url)
        monkeypatch.setenv("CITEDESK_LLM_MODEL", "scripted")
        monkeypatch.setenv("CITEDESK_LLM_MODE", "compose")
        monkeypatch.setenv("CITEDESK_LLM_PROMPT_PRICE", "10")
        attached = attach(metrics)
        Assistant(snapshot, model=attached).ask(QUESTION)
        attached.close()
    told = generate_latest(metrics.registry).decode()
    assert 'citedesk_model_calls_total{outcome="answered",purpose="compose"} 1.0' in told
    assert 'citedesk_model_tokens_total{kind="prompt"} 180.0' in told
    assert "citedesk_model_cost_total 0.0018" in told
    assert 'citedesk_model_sentences_total{outcome="link"} 1.0' in told
    assert 'citedesk_model_sentences_total{outcome="shown"} 1.0' in told


def test_what_is_sent_and_what_comes_back_is_logged_redacted_where_that_is_wanted(asker, tmp_path):
    with scripted(CHOSEN, phrases(("Write to jo@example.org.", [1]))) as model:
        asker(model, "compose", log=tmp_path / "model.jsonl").ask(f"{QUESTION}? i am jo@example.org")
    logged = (tmp_path / "model.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in logged.splitlines()]
    assert [(line["purpose"], line["outcome"]) for line in lines] == [("select", "answered"), ("compose", "answered")]
    assert [message["role"] for message in lines[0]["sent"]] == ["system", "user"]
    assert WAITS in lines[0]["sent"][1]["content"]
    assert "Write to" in lines[1]["reply"]
    assert "jo@example.org" not in logged


def test_no_model_is_attached_unless_one_is_named(monkeypatch):
    monkeypatch.delenv("CITEDESK_LLM_URL", raising=False)
    assert attach() is None
    monkeypatch.setenv("CITEDESK_LLM_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("CITEDESK_LLM_MODEL", "any")
    monkeypatch.setenv("CITEDESK_LLM_MODE", "off")
    assert attach() is None


@pytest.mark.parametrize(("name", "value"), [("MODE", "invent"), ("SECONDS", "0"), ("YES_WHEN_NOT", "1")])
def test_a_setting_that_cannot_be_used_is_named(monkeypatch, name, value):
    monkeypatch.setenv("CITEDESK_LLM_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("CITEDESK_LLM_MODEL", "any")
    monkeypatch.setenv(f"CITEDESK_LLM_{name}", value)
    with pytest.raises(SettingsError, match=f"CITEDESK_LLM_{name}"):
        attach()


def test_without_a_model_nothing_of_it_is_imported():
    code = "import sys, service.desk, service.assistant; sys.exit(bool({'openai', 'service.llm.client'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
