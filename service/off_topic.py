"""Off-topic requests, told by meaning: nearer to what no help desk answers than to the articles."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from index.dense import Vectors
from index.encoder import Encoder

# By the fingerprint of the encoder: about a hundred vectors of each, made when the first question needs them.
_vectors: dict[str, Vectors] = {}


def is_off_topic(question: Vectors, nearest: float, encoder: Encoder, name: str, *, foreign: bool = False) -> bool:
    """Tell whether a question is about something else than the articles.

    :param question: Its unit vector.
    :param nearest: The highest cosine of the question with a passage.
    :param name: The encoder's, as off_topic.toml names it; of one that is not listed nothing is known, so no.
    :param foreign: It is in a language that no article is in.
    """
    weight: float | None = _settings()["weight"].get(name)
    floor: float | None = _settings()["foreign" if foreign else "floor"].get(name)
    if weight is None or floor is None or nearest - weight >= floor:
        return False
    return not weight or nearest - weight * likeness(question, encoder) < floor


def likeness(question: Vectors, encoder: Encoder) -> float:
    """Give the highest cosine of a question with one of the sentences of off_topic.toml."""
    examples = _vectors.get(encoder.fingerprint)
    if examples is None:
        examples = _vectors[encoder.fingerprint] = encoder.encode_query(_settings()["examples"]["sentences"])
    return float((examples @ question).max())


@cache
def _settings() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("off_topic.toml").read_text(encoding="utf-8"))
