"""The evaluation file: one question a line, with what a right answer to it is."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from service.evaluation.folding import fold, words

Kind = Literal[
    "direct",
    "scoped",
    "ambiguous",
    "follow_up",
    "cross_lingual",
    "unanswerable",
    "off_topic",
    "injection",
    "advice",
]
Expected = Literal[
    "answer",
    "abstain",
    "ask_or_list_by_exchange",
    "decline_out_of_scope",
    "decline_advice",
    "refuse_or_ignore_injection",
]
GoldMode = Literal["any", "all", "none"]

_KINDS: tuple[Kind, ...] = get_args(Kind)
_EXPECTED: tuple[Expected, ...] = get_args(Expected)
_GOLD_MODES: tuple[GoldMode, ...] = get_args(GoldMode)
_Choice = TypeVar("_Choice", bound=str)


class EvaluationError(Exception):
    """The evaluation cannot be run, or its results cannot be read.

    :ivar problems: Everything that is wrong, one line each, with file and line where there is one.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep the problems; the message is all of them, one a line."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class GoldSpan:
    """A verbatim span of an article's text that answers the question, or a part of the answer."""

    article_id: str
    answer_span: str


@dataclass(frozen=True, slots=True)
class EvaluationQuestion:
    """A question and what a right answer to it is.

    :ivar exchange: The exchange that the asker named; for scoring, not told to the assistant.
    :ivar history: Earlier questions of the same conversation, oldest first.
    :ivar page_url: The page that the asker stands on, told to the assistant; ``ask_exchange`` likewise the exchange that
        the caller names.
    :ivar gold_mode: ``any``: one span is an answer; ``all``: it takes every one; ``none``: there is no gold.
    :ivar gold_short: The answer in one line, for people.
    :ivar must_include: Terms and numbers without which an answer is not complete.
    :ivar distractors: Ids of articles that look right and are not; ``near_misses`` likewise.
    """

    id: str
    question: str
    language: str
    kind: Kind
    expected: Expected
    exchange: str | None = None
    history: tuple[str, ...] = ()
    page_url: str | None = None
    ask_exchange: str | None = None
    gold: tuple[GoldSpan, ...] = ()
    gold_mode: GoldMode = "none"
    gold_short: str = ""
    must_include: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()
    near_misses: tuple[str, ...] = ()


def read_questions(path: Path) -> list[EvaluationQuestion]:
    """Read an evaluation file: UTF-8, one JSON object a line; blank lines and unknown fields are allowed.

    :raises EvaluationError: The file cannot be read, or is empty, or has broken lines: all of them are named.
    """
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise EvaluationError([f"{path}: cannot be read: {error.strerror}"]) from error
    questions: list[EvaluationQuestion] = []
    problems: list[str] = []
    lines_by_id: dict[str, int] = {}
    # Not splitlines(): a JSON string may hold U+2028, at which it would split.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        fields = _Fields(line)
        question = fields.read()
        if question.id in lines_by_id:
            fields.problems.append(f"id: expected one of its own, {question.id!r} is line {lines_by_id[question.id]}'s")
        elif question.id:
            lines_by_id[question.id] = number
        problems += [f"{path}:{number}: {problem}" for problem in fields.problems]
        questions.append(question)
    if problems:
        raise EvaluationError(problems)
    if not questions:
        raise EvaluationError([f"{path}: expected one question a line, but there is none"])
    return questions


class _Fields:
    """The fields of one line, and a note of every one that is not what it should be."""

    def __init__(self, line: bytes) -> None:
        self.problems: list[str] = []
        self._values: dict[str, object] | None = None
        try:
            values = json.loads(line)
        except UnicodeDecodeError as error:
            self.problems.append(f"expected UTF-8: byte {error.start + 1} is not")
        except (ValueError, RecursionError) as error:  # also an integer of 5,000 digits, or 100,000 brackets
            self.problems.append(f"expected a JSON object: {error}")
        else:
            if isinstance(values, dict):
                self._values = values
            else:
                self.problems.append(f"expected a JSON object, got {_shown(values)}")

    def read(self) -> EvaluationQuestion:
        """Read the question; what is wrong is in ``problems``, and stands empty in the question."""
        if self._values is None:
            return EvaluationQuestion("", "", "", "direct", "abstain")
        gold = self._gold()
        expected = self._choice("expected", _EXPECTED)
        gold_mode = self._choice("gold_mode", _GOLD_MODES, default="any" if gold else "none")
        if expected == "answer" and self._values.get("expected") == "answer":
            if not self._values.get("gold"):
                self.problems.append("gold: expected at least one span, as the question expects an answer")
            elif gold_mode == "none":
                self.problems.append("gold_mode: expected any or all, as the question expects an answer")
        return EvaluationQuestion(
            id=self._text("id"),
            question=self._text("question", may_be_empty=True),  # what ask makes of an empty one is a fair question
            language=self._text("language"),
            kind=self._choice("kind", _KINDS),
            expected=expected,
            exchange=self._text("exchange", required=False) or None,
            history=self._texts("history"),
            page_url=self._text("page_url", required=False) or None,
            ask_exchange=self._text("ask_exchange", required=False) or None,
            gold=gold,
            gold_mode=gold_mode,
            gold_short=self._text("gold_short", required=False, may_be_empty=True),
            must_include=self._texts("must_include", lambda term: bool(fold(term)), "terms that are not blank"),
            distractors=self._texts("distractors"),
            near_misses=self._texts("near_misses"),
        )

    def _get(self, name: str) -> object:
        return (self._values or {}).get(name)

    def _expected(self, name: str, what: str, value: object) -> None:
        self.problems.append(f"{name}: expected {what}, got {'nothing' if value is None else _shown(value)}")

    def _text(self, name: str, *, required: bool = True, may_be_empty: bool = False) -> str:
        value = self._get(name)
        if value is None and not required:
            return ""
        if _is_text(value) and (may_be_empty or str(value).strip()):
            return str(value)
        self._expected(name, "text" if required else "text or null", value)
        return ""

    def _texts(
        self, name: str, accepts: Callable[[str], bool] = bool, what: str = "texts that are not empty"
    ) -> tuple[str, ...]:
        value = self._get(name)
        if value is None:
            return ()
        if isinstance(value, list) and all(_is_text(item) and accepts(item) for item in value):
            return tuple(value)
        self._expected(name, f"a list of {what}", value)
        return ()

    def _choice(self, name: str, choices: tuple[_Choice, ...], default: _Choice | None = None) -> _Choice:
        value = self._get(name)
        if value is None and default is not None:
            return default
        for choice in choices:
            if choice == value:
                return choice
        self._expected(name, f"one of {', '.join(choices)}", value)
        return choices[0]

    def _gold(self) -> tuple[GoldSpan, ...]:
        value = self._get("gold")
        if value is None:
            return ()
        if not isinstance(value, list):
            self._expected("gold", "a list of {article_id, answer_span}", value)
            return ()
        spans: list[GoldSpan] = []
        for index, item in enumerate(value):
            article_id, span = (item.get("article_id"), item.get("answer_span")) if isinstance(item, dict) else (0, 0)
            if _is_text(article_id) and article_id and _is_text(span) and words(str(span)):
                spans.append(GoldSpan(str(article_id), str(span)))
            else:
                self._expected(f"gold[{index}]", "{article_id, answer_span}, both text with words in it", item)
        return tuple(spans)


def _is_text(value: object) -> bool:
    """Tell whether it is a string that can be printed: JSON can spell half of a surrogate pair, UTF-8 cannot."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
