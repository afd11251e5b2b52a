"""Sentences that a model phrases reach the asker one by one, each checked before; over real sockets on both sides."""

import json
import threading

import httpx
import pytest
from openai import OpenAI

from service.app import create_app
from service.keys import KeyStore
from service.server_settings import ServerSettings
from tests.live import live
from tests.model_home import CHOSEN, PHRASED, QUESTION, WAITS, model_home
from tests.scripted_model import scripted, stops_after, waits

FEE_PHRASED = "The network fee for bitcoin on Kelpex is 0.0002 BTC."
FIRST = f'{{"sentences": [{{"text": "{PHRASED}", "cites": [1]}}'
THEN = f', {{"text": "{FEE_PHRASED}", "cites": [1]}}]}}'
FALSE = '{"sentences": [{"text": "A withdrawal waits for 48 hours on Kelpex.", "cites": [1]}'


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return model_home(tmp_path_factory.mktemp("streams") / "home")


@pytest.fixture(scope="module")
def key(home):
    return KeyStore(home / "keys.sqlite").create("secret", "test")[1]


@pytest.fixture
def served(home, monkeypatch):
    """Serve the articles beside a model of these acts."""

    def serve(model):
        monkeypatch.setenv("CITEDESK_LLM_URL", model.url)
        monkeypatch.setenv("CITEDESK_LLM_MODEL", "scripted")
        monkeypatch.setenv("CITEDESK_LLM_MODE", "compose")
        monkeypatch.setenv("CITEDESK_LLM_SECONDS", "30")
        monkeypatch.setenv("CITEDESK_LLM_BONUS", "0")
        return live(create_app(home, ServerSettings(key_per_minute=100_000, client_per_minute=100_000)))

    return serve


def events_of(lines):
    """Give events as they come."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def asked(address, key, accept):
    headers = {"Authorization": f"Bearer {key}", "Accept": accept}
    return httpx.stream("POST", f"{address}/v1/query", json={"question": QUESTION}, headers=headers, timeout=60)


def told(address, key, act_before: threading.Event | None = None):
    """Ask for events; the gate is opened when the first sentence is there."""
    events = []
    with asked(address, key, "text/event-stream") as response:
        for name, data in events_of(response.iter_lines()):
            if name == "sentence" and act_before and not act_before.is_set():
                events.append(("gate", {}))
                act_before.set()
            events.append((name, data))
    return events


def test_a_sentence_is_sent_while_the_model_writes_the_next(served, key):
    gate = threading.Event()
    with scripted(CHOSEN, waits(FIRST, THEN, gate)) as model, served(model) as address:
        events = told(address, key, gate)
        whole = httpx.post(
            f"{address}/v1/query", json={"question": QUESTION}, headers={"Authorization": f"Bearer {key}"}
        ).json()
    assert [name for name, _ in events] == [
        "status", "status", "gate", "sentence", "sentence", "related", "done",
    ]  # fmt: skip
    sentences = [data for name, data in events if name == "sentence"]
    assert [s["text"] for s in sentences] == [PHRASED, FEE_PHRASED]
    assert [s["text"] for s in sentences] == [s["text"] for s in whole["sentences"]]
    assert [c for s in sentences for c in s["citations"]] == whole["citations"]
    assert events[1][1]["status"] == "answered"
    assert "phrased_by_model" in {notice["code"] for notice in events[-1][1]["notices"]}
    assert events[-1][1]["text"] == whole["text"]


def test_openais_clients_get_a_sentence_while_the_model_writes_the_next(served, key):
    gate = threading.Event()
    pieces = []
    with scripted(CHOSEN, waits(FIRST, THEN, gate)) as model, served(model) as address:
        client = OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=60)
        stream = client.chat.completions.create(
            model="citedesk", messages=[{"role": "user", "content": QUESTION}], stream=True
        )
        for chunk in stream:
            pieces.append(chunk.choices[0].delta.content or "")
            if PHRASED in pieces[-1]:
                assert not gate.is_set()
                gate.set()
        plain = client.chat.completions.create(model="citedesk", messages=[{"role": "user", "content": QUESTION}])
        client.close()
    assert gate.is_set()
    assert "".join(pieces) == plain.choices[0].message.content


@pytest.mark.parametrize("door", ["events", "OpenAI"])
def test_what_is_false_is_never_sent_and_what_breaks_off_is_ended_with_the_quotes(served, key, door):
    with scripted(CHOSEN, stops_after(FALSE + ', {"text": "And')) as model, served(model) as address:
        if door == "events":
            with asked(address, key, "text/event-stream") as response:
                body = response.read().decode()
        else:
            body = httpx.post(
                f"{address}/v1/chat/completions",
                json={"model": "citedesk", "messages": [{"role": "user", "content": QUESTION}], "stream": True},
                headers={"Authorization": f"Bearer {key}"}, timeout=60,
            ).text  # fmt: skip
    assert "48 hours" not in body
    assert WAITS in body
    assert "phrased_by_model" not in body
    assert body.rstrip().endswith("[DONE]") or "event: done" in body


def test_a_model_that_says_nothing_is_a_stream_in_the_articles_words(served, key):
    with scripted(CHOSEN, stops_after("")) as model, served(model) as address:
        events = told(address, key)
    assert [name for name, _ in events[:3]] == ["status", "status", "sentence"]
    assert events[2][1]["text"] == WAITS
