"""The model as reader: it is shown numbered sentences, and says which of them answer; it writes no word of the answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from service.evidence import Evidence, ReadSentence
from service.llm.client import TOKEN_CHARACTERS, Model
from service.llm.prompts import messages, version
from service.notices import dated_of
from service.question import Question
from service.wording import is_unfilled

Says = Literal["answers", "none", "unclear"]
# Passages that it is shown: the right one is among the first six for most questions, and more cost time.
MOST_PASSAGES = 6
# Sentences that it may choose.
MOST_CHOSEN = 5
# What the first sentence that it chooses gains over the second, and so on: enough to be led by, among equals.
EARLIER = 0.2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model says.

    :ivar chosen: Passage and start of each sentence that it chose, in its order.
    """

    says: Says
    chosen: tuple[tuple[str, int], ...] = ()


def select(model: Model, question: Question, found: Sequence[Evidence], snapshot_id: str, until: float) -> Verdict:
    """Let the model choose among the sentences of the best passages.

    :raises ModelError: It gave nothing that can be used.
    """
    data, places = _numbered(found, model.settings.prompt_tokens * TOKEN_CHARACTERS)
    return model.ask(
        "select", messages("select", question.query, {"exchanges": question.exchanges, **data}), _schema(len(places)), lambda text: _read(text, places),
        until=until, key=(snapshot_id, version()),
    )  # fmt: skip


def preferred(found: Sequence[Evidence], verdict: Verdict, bonus: float) -> list[Evidence]:
    """Raise what the model chose, best first.

    :param bonus: What the first sentence gains, and its passage, in the unit of the scores; the others gain a little less.
    """
    gains = {place: bonus * (1 - EARLIER * n / MOST_CHOSEN) for n, place in enumerate(verdict.chosen)}
    raised = [_raised(evidence, gains) for evidence in found]
    return sorted(raised, key=lambda evidence: -evidence.score)


def _raised(evidence: Evidence, gains: dict[tuple[str, int], float]) -> Evidence:
    own = [gains.get((evidence.hit.passage.id, sentence.start), 0.0) for sentence in evidence.sentences]
    if not any(own):
        return evidence
    sentences = tuple(
        ReadSentence(s.start, s.end, s.score + gain) for s, gain in zip(evidence.sentences, own, strict=True)
    )
    return replace(evidence, score=evidence.score + max(own), sentences=sentences)


def _numbered(found: Sequence[Evidence], budget: int) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Give numbers to the sentences of the best passages, as many as there is room for.

    :param budget: Characters.
    """
    places: list[tuple[str, int]] = []
    passages: list[dict[str, Any]] = []
    for evidence in found[:MOST_PASSAGES]:
        said: dict[str, Any] = {
            "title": evidence.article.title, "headings": list(evidence.hit.passage.heading_path),
            "question": evidence.hit.passage.question, "exchange": evidence.article.exchange,
            "trust": evidence.article.trust, "date": dated_of(evidence.article), "sentences": {},
        }  # fmt: skip
        budget -= len(json.dumps(said, ensure_ascii=False))
        shown = []
        for sentence in evidence.sentences:
            text = evidence.text(sentence)
            budget -= len(text) + 8
            if budget < 0:
                break
            if not is_unfilled(text):
                shown.append((text, sentence.start))
        for text, start in shown:
            places.append((evidence.hit.passage.id, start))
            said["sentences"][str(len(places))] = text
        if shown:
            passages.append(said)
        if budget < 0:
            break
    return {"passages": passages}, places


def _schema(count: int) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 1, "maximum": count}
    return {
        "type": "object",
        "properties": {
            "verdict": {"type": "string", "enum": ["answers", "none", "unclear"]},
            "sentences": {"type": "array", "items": number, "maxItems": MOST_CHOSEN},
        },
        "required": ["verdict", "sentences"],
        "additionalProperties": False,
    }


def _read(text: str, places: Sequence[tuple[str, int]]) -> Verdict:
    """Read a reply.

    :raises ValueError: It is not what was asked for, or contradicts itself.
    """
    reply = json.loads(text)
    if not isinstance(reply, dict) or set(reply) != {"verdict", "sentences"}:
        raise ValueError("the reply is no object with a verdict and sentences")
    says, numbers = reply["verdict"], reply["sentences"]
    if says not in ("answers", "none", "unclear") or not isinstance(numbers, list):
        raise ValueError("the reply's verdict is none of those asked for")
    if not all(type(n) is int and 1 <= n <= len(places) for n in numbers) or len(set(numbers)) != len(numbers):
        raise ValueError(f"the reply names sentences that there are not: {numbers}"[:200])
    if (says == "answers") != bool(numbers) or len(numbers) > MOST_CHOSEN:
        raise ValueError(f"the reply says {says} and names {len(numbers)} sentences")
    return Verdict(says, tuple(places[n - 1] for n in numbers))
