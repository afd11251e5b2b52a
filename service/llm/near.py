"""How near a sentence is in meaning to others, by the snapshot's encoder."""

from collections.abc import Callable, Sequence

import numpy as np

from index.dense import Vectors
from index.encoder import Encoder

# The encoder that knows many languages, so that a translation can be compared with its original.
MULTILINGUAL = "e5"
# Vectors that are remembered: an answer has a handful of sentences, and quotes come again.
REMEMBERED = 4096


def nearness(encoder: Encoder) -> Callable[[str, Sequence[str]], float]:
    """Make a measure: the highest cosine of a text with several others, 0 where there are none."""
    known: dict[str, Vectors] = {}

    def near(text: str, others: Sequence[str]) -> float:
        wanted = list(dict.fromkeys((text, *others)))
        vectors = {one: known[one] for one in wanted if one in known}
        missing = [one for one in wanted if one not in vectors]
        if missing:
            vectors.update(zip(missing, encoder.encode_document(missing), strict=True))
        if len(known) + len(missing) > REMEMBERED:
            known.clear()
        known.update((one, vectors[one]) for one in missing)
        return max((float(np.dot(vectors[text], vectors[other])) for other in others), default=0.0)

    return near
