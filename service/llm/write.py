"""The model as writer: it phrases an answer from the answer's own quotes, and what it cannot prove is not shown.

Each sentence is checked as soon as the model has written it, and shown then; whatever the model does after that, what was
shown stays, and the quotes that are still missing follow it.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingest.exchanges import Directory
from service.answer import Answer, Citation, Notice, Sentence
from service.compose import text_of
from service.llm.check import Cited, Near, faults
from service.llm.client import Model, ModelError
from service.llm.prompts import messages, version
from service.question import Question
from service.stance import stance

MOST_SENTENCES = 5
#: What the asker is told.
PHRASED = "A language model phrased this answer from the quotes; each sentence was checked against what it cites."
TRANSLATED = (
    "A language model translated this answer; its figures, names, dates and links were checked against the original sentences, "
    "which stand below it."
)
Counted = Callable[[str], None]
Grows = Callable[[Answer], None]
_BEGINNING = re.compile(r'\s*\{\s*"sentences"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Draft:
    """A sentence as the model wrote it, and the numbers of the quotes that it says it is made from."""

    text: str
    cites: tuple[int, ...]


def compose(
    model: Model, question: Question, answer: Answer, directory: Directory, near: Near, until: float,
    *, counted: Counted = lambda _: None, grows: Grows = lambda _: None,
) -> Answer:  # fmt: skip
    """Phrase an answer anew; each of its sentences cites verbatim quotes of the answer, numbered as they are first cited.

    Where asker and articles speak different languages it is a translation, and each sentence has its originals behind it.

    :param counted: Called for each sentence with ``shown``, or with the fault for which the quote is shown instead.
    :param grows: Called with the answer as far as it is checked, each time that a sentence is added.
    :raises ModelError: The model gave nothing that can be used, and nothing was shown.
    """
    language = question.language if is_foreign(answer) else None
    phrasing = _Phrasing(answer, directory, near, counted, grows, language=language)
    quotes = {
        str(citation.number): {"title": citation.title, "exchange": citation.exchange, "text": citation.quote}
        for citation in answer.citations
    }
    data = {"quotes": quotes, **({"language": language} if language else {})}
    purpose = "translate" if language else "compose"
    growing = _Growing(phrasing.take)
    try:
        drafts = model.ask(
            purpose, messages(purpose, question.query, data), _schema(len(quotes)), _read,
            until=until, key=(answer.snapshot_id, version()), heard=growing.add,
        )  # fmt: skip
    except ModelError:
        if not phrasing.sentences:
            raise
        return phrasing.ended(is_whole=False)
    for draft in drafts[phrasing.taken :]:  # all of them, where the reply is remembered
        phrasing.take(draft)
    return phrasing.ended(is_whole=True)


def is_foreign(answer: Answer) -> bool:
    """Tell whether an answer is in another language than the question."""
    return _has(answer, "other_language")


class _Growing:
    """A reply on its way, from which each draft is taken as soon as it is whole."""

    def __init__(self, take: Callable[[Draft], None]) -> None:
        self._take = take
        self._text = ""
        self._at = 0

    def add(self, piece: str) -> None:
        """Take the drafts that are whole with this piece.

        :raises ValueError: One of them is not what was asked for.
        """
        self._text += piece
        if "}" not in piece:
            return
        begun = _BEGINNING.match(self._text)
        for draft in self._whole(begun.end()) if begun else ():
            self._take(draft)

    def _whole(self, beginning: int) -> Iterator[Draft]:
        self._at = self._at or beginning
        while self._text.startswith("{", start := _end_of(_BETWEEN.match(self._text, self._at))):
            try:
                told, self._at = json.JSONDecoder().raw_decode(self._text, start)
            except json.JSONDecodeError:
                return  # not all of it is there
            yield _draft(told)


def _end_of(match: "re.Match[str] | None") -> int:
    return match.end() if match else 0


class _Phrasing:
    """An answer that is phrased, as far as it is."""

    def __init__(
        self, answer: Answer, directory: Directory, near: Near, counted: Counted, grows: Grows, *, language: str | None
    ) -> None:
        self.taken = 0
        self.sentences: list[Sentence] = []
        self._answer, self._directory, self._near = answer, directory, near
        self._counted, self._grows, self._language = counted, grows, language
        self._cited = {citation.number: citation for citation in answer.citations}
        self._verbatim = {n: [s for s in answer.sentences if s.citations == (n,)] for n in self._cited}
        self._lead = answer.citations[0].number
        # By the numbers that the answer has without a model.
        self._said: dict[Sentence, None] = {}
        self._numbers: dict[int, int] = {}
        self._is_phrased = False

    def take(self, draft: Draft) -> None:
        """Check a sentence, and show it, or else what it cites.

        :raises ValueError: There are more than were asked for.
        """
        position, self.taken = self.taken, self.taken + 1
        if position >= MOST_SENTENCES:
            raise ValueError(f"the reply has more than {MOST_SENTENCES} sentences")
        known = tuple(number for number in draft.cites if number in self._cited)
        wrong = self._wrong(draft, known, is_first=position == 0)
        self._counted(wrong or "shown")
        if position == 0 and self._lead not in draft.cites:
            self._quote(self._lead)
        if not wrong:
            self._is_phrased = True
            self._say(Sentence(draft.text.strip(), known))
        if wrong or self._language:
            for number in known:
                self._quote(number)

    def ended(self, *, is_whole: bool) -> Answer:
        """Give the answer; what was not phrased follows in the articles' words where it has to be said.

        :param is_whole: The model wrote all that it wanted to.
        """
        if not is_whole or not self._is_phrased or _has(self._answer, "sources_disagree"):
            for number in self._cited:
                if number not in self._numbers or not self._is_phrased:
                    self._quote(number)
        return self._so_far()

    def _wrong(self, draft: Draft, known: tuple[int, ...], *, is_first: bool) -> str:
        if known != draft.cites or not known:
            return "citation"
        cited = [_cited(self._cited[number], self._verbatim[number]) for number in known]
        found = faults(draft.text, cited, self._directory, self._near, self._language)
        if not found and is_first and stance(draft.text) != stance(self._answer.sentences[0].text):
            return "yes_no"
        return found[0] if found else ""

    def _quote(self, number: int) -> None:
        for sentence in self._verbatim[number]:
            self._say(sentence)

    def _say(self, sentence: Sentence) -> None:
        if sentence in self._said:
            return
        self._said[sentence] = None
        for number in sentence.citations:
            self._numbers.setdefault(number, len(self._numbers) + 1)
        self.sentences.append(Sentence(sentence.text, tuple(self._numbers[number] for number in sentence.citations)))
        self._grows(self._so_far())

    def _so_far(self) -> Answer:
        citations = tuple(replace(self._cited[old], number=new) for old, new in self._numbers.items())
        notices = self._answer.notices
        if self._is_phrased:
            told = Notice("translated_by_model", TRANSLATED) if self._language else Notice("phrased_by_model", PHRASED)
            notices = (*notices, told)
        text = text_of(self.sentences, citations, several=len(self._answer.scope.exchanges) > 1)
        return replace(self._answer, text=text, sentences=tuple(self.sentences), citations=citations, notices=notices)


def _has(answer: Answer, code: str) -> bool:
    return any(notice.code == code for notice in answer.notices)


def _cited(citation: Citation, verbatim: Sequence[Sentence]) -> Cited:
    return Cited(tuple(sentence.text for sentence in verbatim), citation.title, citation.exchange)


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
    if not isinstance(said, list) or not 1 <= len(said) <= MOST_SENTENCES:
        raise ValueError("the reply is no list of sentences, or of too many")
    return tuple(_draft(one) for one in said)


def _draft(one: object) -> Draft:
    if not _is_draft(one):
        raise ValueError("a sentence of the reply is not one sentence with its text and what it cites")
    return Draft(one["text"], tuple(dict.fromkeys(one["cites"])))  # type: ignore[index]


def _is_draft(one: object) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("text"), str) or not isinstance(one.get("cites"), list):
        return False
    # What holds a line break is more than one sentence; a mark in brackets would pass for a citation of ours.
    return "\n" not in one["text"].strip() and "[" not in one["text"] and all(type(n) is int for n in one["cites"])
