"""Compare two results of an evaluation: what each measure gained, which questions were fixed, which broken."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.evaluation.measures import NOTES
from service.evaluation.questions import EvaluationError


@dataclass(frozen=True, slots=True)
class Change:
    """A measure before and now; None where it was not measured.

    :ivar difference: Now less before.
    """

    key: str
    before: float | None
    now: float | None

    @property
    def difference(self) -> float | None:
        """Now less before, where both were measured."""
        return None if self.before is None or self.now is None else self.now - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed between two results.

    :ivar before: Date and snapshot of the earlier result; ``now`` of the later one.
    :ivar fixed: Ids of the questions that went wrong before and right now; ``broken`` the other way round.
    :ivar added: Ids that only the later result has; ``removed`` those that only the earlier one has. Measures
        of different questions are not comparable.
    :ivar p_value: How often a coin would part the changed questions so unevenly, the exact two-sided sign test
        (McNemar, 1947, doi:10.1007/BF02295996); None where none changed.
    """

    before: str
    now: str
    changes: tuple[Change, ...]
    fixed: tuple[str, ...]
    broken: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    p_value: float | None

    def as_json(self) -> dict[str, Any]:
        """Give it for ``--json``."""
        return {
            "before": self.before,
            "now": self.now,
            "measures": {
                change.key: {"before": change.before, "now": change.now, "difference": change.difference}
                for change in self.changes
            },
            "fixed": list(self.fixed),
            "broken": list(self.broken),
            "added": list(self.added),
            "removed": list(self.removed),
            "p_value": self.p_value,
        }


def read_result(file: str | Path) -> dict[str, Any]:
    """Read a result that ``--json`` printed, or the last line of a results file, or ``FILE:3``, its third line.

    :raises EvaluationError: It cannot be read, or is not a result.
    """
    path = Path(file)
    numbered = None if path.exists() else re.fullmatch(r"(.+):([1-9]\d{0,8})", str(file), re.DOTALL)
    try:
        text = (Path(numbered[1]) if numbered else path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError([f"{file}: cannot be read: {error}"]) from error
    lines = text.split("\n")
    if numbered:
        candidates = lines[int(numbered[2]) - 1 :][:1]
    else:
        # What --json prints may be indented, over many lines; a file of results is not one object.
        candidates = [text, *[line for line in lines if line.strip()][-1:]]
    for candidate in candidates:
        try:
            result = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if _is_result(result):
            return dict(result)
    raise EvaluationError([f"{file}: expected what eval --json prints, or a file of such lines"])


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> Comparison:
    """Compare two results, as ``Result.as_json`` gives them and ``read_result`` reads them."""
    was = {question["id"]: question["right"] for question in before["questions"]}
    is_ = {question["id"]: question["right"] for question in now["questions"]}
    both = [id_ for id_ in is_ if id_ in was]
    fixed = tuple(id_ for id_ in both if is_[id_] and not was[id_])
    broken = tuple(id_ for id_ in both if was[id_] and not is_[id_])
    return Comparison(
        before=f"{before['date']}, snapshot {before['snapshot_id']}",
        now=f"{now['date']}, snapshot {now['snapshot_id']}",
        changes=tuple(Change(note.key, _value(before, note.key), _value(now, note.key)) for note in NOTES),
        fixed=fixed,
        broken=broken,
        added=tuple(id_ for id_ in is_ if id_ not in was),
        removed=tuple(id_ for id_ in was if id_ not in is_),
        p_value=sign_test(len(fixed), len(broken)),
    )


def sign_test(wins: int, losses: int) -> float | None:
    """Give the two-sided p-value of so uneven a split of equal chances, or None without any.

    >>> sign_test(5, 0)
    0.0625
    """
    n = wins + losses
    if not n:
        return None
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / (1 << n))


def _value(result: Mapping[str, Any], key: str) -> float | None:
    value: float | None = result["measures"].get(key, {}).get("value")
    return value


def _is_result(result: object) -> bool:
    return (
        isinstance(result, dict)
        and isinstance(result.get("date"), str)
        and isinstance(result.get("snapshot_id"), str)
        and isinstance(result.get("measures"), dict)
        and all(_is_measure(measure) for measure in result["measures"].values())
        and isinstance(result.get("questions"), list)
        and all(_is_question(question) for question in result["questions"])
    )


def _is_measure(measure: object) -> bool:
    return isinstance(measure, dict) and isinstance(measure.get("value"), int | float | None)


def _is_question(question: object) -> bool:
    return (
        isinstance(question, dict) and isinstance(question.get("id"), str) and isinstance(question.get("right"), bool)
    )
