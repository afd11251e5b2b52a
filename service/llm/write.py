"""The model as writer: it phrases an answer from the answer's own quotes, and what it cannot prove is not shown."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingest.exchanges import Directory
from service.answer import Answer, Citation, Notice, Sentence
from service.compose import text_of
from service.llm.check import Cited, Near, faults
from service.llm.client import Model
from service.llm.prompts import messages, version
from service.question import Question
from service.stance import stance

MOST_SENTENCES = 5
#: What the asker is told.
PHRASED = "A language model phrased this answer from the quotes; each sentence was checked against what it cites."
Counted = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Draft:
    """A sentence as the model wrote it, and the numbers of the quotes that it says it is made from."""

    text: str
    cites: tuple[int, ...]


def compose(
    model: Model, question: Question, answer: Answer, directory: Directory, near: Near, until: float,
    counted: Counted = lambda _: None,
) -> Answer:  # fmt: skip
    """Phrase an answer anew; its citations stay as they are, each with its verbatim quote.

    :param counted: Called for each sentence with ``shown``, or with the fault for which the quote is shown instead.
    :raises ModelError: The model gave nothing that can be used.
    """
    quotes = {
        str(citation.number): {"title": citation.title, "exchange": citation.exchange, "text": citation.quote}
        for citation in answer.citations
    }
    drafts = model.ask(
        "compose", messages("compose", question.query, {"quotes": quotes}), _schema(len(quotes)), _read,
        until=until, key=(answer.snapshot_id, version()),
    )  # fmt: skip
    sentences = tuple(dict.fromkeys(_checked(drafts, answer, directory, near, counted)))
    if not any(sentence not in answer.sentences for sentence in sentences):
        return answer  # nothing of the phrasing is left
    return _with(answer, sentences)


def _checked(
    drafts: Sequence[Draft], answer: Answer, directory: Directory, near: Near, counted: Counted
) -> list[Sentence]:
    """Keep the sentences that their citations prove; in the place of each other one stands what it cites."""
    cited = {citation.number: citation for citation in answer.citations}
    verbatim = {
        number: [sentence for sentence in answer.sentences if sentence.citations == (number,)] for number in cited
    }
    kept: list[Sentence] = []
    for position, draft in enumerate(drafts):
        known = tuple(number for number in draft.cites if number in cited)
        wrong: tuple[str, ...] = ("citation",) if known != draft.cites or not known else ()
        wrong = wrong or faults(draft.text, [_cited(cited[n], verbatim[n]) for n in known], directory, near)
        if not wrong and position == 0 and stance(draft.text) != stance(answer.sentences[0].text):
            wrong = ("yes_no",)
        counted(wrong[0] if wrong else "shown")
        if wrong:
            kept += [sentence for number in known for sentence in verbatim[number]]
        else:
            kept.append(Sentence(draft.text.strip(), known))
    shown = {number for sentence in kept for number in sentence.citations}
    lead = answer.citations[0].number
    if lead not in shown:
        kept = verbatim[lead] + kept
    if any(notice.code == "sources_disagree" for notice in answer.notices):
        kept += [sentence for number in cited if number not in shown | {lead} for sentence in verbatim[number]]
    return kept


def _cited(citation: Citation, verbatim: Sequence[Sentence]) -> Cited:
    return Cited(tuple(sentence.text for sentence in verbatim), citation.title, citation.exchange)


def _with(answer: Answer, sentences: Sequence[Sentence]) -> Answer:
    """Put sentences in the place of an answer's; citations that none of them has are left out, the others numbered anew."""
    used = [c for c in answer.citations if any(c.number in sentence.citations for sentence in sentences)]
    new = {citation.number: number for number, citation in enumerate(used, 1)}
    renumbered = tuple(Sentence(s.text, tuple(new[number] for number in s.citations)) for s in sentences)
    citations = tuple(replace(citation, number=new[citation.number]) for citation in used)
    several = len(answer.scope.exchanges) > 1
    notices = (*answer.notices, Notice("phrased_by_model", PHRASED))
    text = text_of(renumbered, citations, several=several)
    return replace(answer, text=text, sentences=renumbered, citations=citations, notices=notices)


def _schema(count: int) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 1, "maximum": count}
    sentence = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "cites": {"type": "array", "items": number, "minItems": 1},
        },
        "required": ["text", "cites"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"sentences": {"type": "array", "items": sentence, "minItems": 1, "maxItems": MOST_SENTENCES}},
        "required": ["sentences"],
        "additionalProperties": False,
    }


def _read(text: str) -> tuple[Draft, ...]:
    """Read a reply.

    :raises ValueError: It is not what was asked for.
    """
    reply = json.loads(text)
    said = reply.get("sentences") if isinstance(reply, dict) else None
    if not isinstance(said, list) or not 1 <= len(said) <= MOST_SENTENCES or not all(_is_draft(one) for one in said):
        raise ValueError("the reply is no list of sentences, each with its text and what it cites")
    return tuple(Draft(one["text"], tuple(dict.fromkeys(one["cites"]))) for one in said)


def _is_draft(one: object) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("text"), str) or not isinstance(one.get("cites"), list):
        return False
    # What holds a line break is more than one sentence; a mark in brackets would pass for a citation of ours.
    return "\n" not in one["text"].strip() and "[" not in one["text"] and all(type(n) is int for n in one["cites"])
