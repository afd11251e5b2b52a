"""What is sent to a model: the house's instructions, and question and articles quoted as data."""

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from service.redact import redact


def messages(purpose: str, question: str, data: dict[str, Any]) -> list[dict[str, str]]:
    """Write what is sent; everything that anybody else wrote is inside one JSON object.

    :param purpose: A table of prompts.toml.
    :param question: As asked; secrets are taken out here once more.
    """
    quoted = json.dumps({"question": redact(question).text, **data}, ensure_ascii=False)
    return [{"role": "system", "content": _data()[purpose]["system"].strip()}, {"role": "user", "content": quoted}]


def version() -> int:
    """Give the version of the prompts."""
    number: int = _data()["version"]
    return number


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("prompts.toml").read_text(encoding="utf-8"))
