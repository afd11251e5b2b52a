"""Whether two sentences contradict each other: a yes and a no, or two figures, of the same matter."""

import re

from service.stance import stance
from service.wording import is_figure, words_of

# Share of the words of the shorter sentence that two sentences about the same matter have in common. Two that say yes and no
# are held to less than two that give figures: where figures differ, so does what they are figures of, nearly always.
SAME_MATTER, SAME_ATTRIBUTE = 0.5, 0.7
# Sentences of fewer words share them by chance.
FEWEST_WORDS = 4

_FIGURE = re.compile(r"(?<![\w.,])(?P<value>\d+(?:[.,]\d+)*)\s?(?P<unit>%|[^\W\d_]+)?")
_YEAR = re.compile(r"(?:19|20)\d\d")


def contradict(one: str, other: str) -> bool:
    """Tell whether two sentences cannot both be right, as far as their wording tells.

    >>> contradict("Yes, you owe the loan after a liquidation.", "No, you owe no loan after a liquidation.")
    True
    >>> contradict("A new address waits for 24 hours.", "A new address waits for 48 hours.")
    True
    >>> contradict("A new address waits for 24 hours.", "A withdrawal waits for 2 days.")
    False
    """
    said = stance(one), stance(other)
    shared = _shared(one, other)
    if None not in said and said[0] != said[1]:
        return shared >= SAME_MATTER
    return shared >= SAME_ATTRIBUTE and _figures_differ(one, other)


def _shared(one: str, other: str) -> float:
    words, others = ({word for word in words_of(text) if not is_figure(word)} for text in (one, other))
    fewer = min(len(words), len(others))
    return len(words & others) / max(len(words), len(others)) if fewer >= FEWEST_WORDS else 0.0


def _figures_differ(one: str, other: str) -> bool:
    """Tell whether both sentences give figures of one unit, and none of them is the same."""
    figures, others = _figures(one), _figures(other)
    return any(not figures[unit] & others[unit] for unit in figures.keys() & others.keys())


def _figures(text: str) -> dict[str, set[str]]:
    """Give the figures of a text by their unit; years are none."""
    found: dict[str, set[str]] = {}
    for match in _FIGURE.finditer(text):
        value, unit = match["value"], (match["unit"] or "").casefold().removesuffix("s")
        if unit and not _YEAR.fullmatch(value):
            found.setdefault(unit, set()).add(value.replace(",", "."))
    return found
