"""The fixed texts for requests that are declined (replies.toml)."""

import tomllib
from functools import cache
from pathlib import Path

from service.intents import Intent

# What related help articles are named for. Whoever is in distress is not handed reading matter.
WITH_RELATED: frozenset[Intent] = frozenset({"advice", "action"})


def reply_to(kind: Intent, language: str = "en") -> str:
    """Give what is said to a declined request, in the asker's language where there is a text in it.

    >>> reply_to("thanks", "xx")
    'You are welcome. Ask me again whenever you want to know how an exchange works.'
    """
    texts = _texts()[kind]
    return texts.get(language, texts["en"])


def no_person(language: str = "en") -> str:
    """Give what is said to somebody who wants to reach a human being."""
    texts = _texts()["person"]
    return texts.get(language, texts["en"])


@cache
def _texts() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_name("replies.toml").read_text(encoding="utf-8"))
