"""The fragment of a web address that opens a page at a quote (WICG Scroll To Text Fragment)."""

import re
from urllib import parse

# Words at the beginning and the end of a line that a fragment names.
FRAGMENT_WORDS = 5
# Characters of a line without spaces that are named whole; of a longer one, its first and its last clause are.
LONGEST_UNSPACED = 40

_MARKER = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_CLAUSE = re.compile(r"[^，。；：、！？]+")


def text_fragment(quoted: str) -> str:
    """Make the fragment for a quote.

    Only the quote's first line is named, without its list mark, and of a table row its first cell: a browser looks for
    a text within one block of the page, where neither marks nor line breaks are.

    >>> text_fragment("- Check it, often")
    '#:~:text=Check%20it%2C%20often'
    """
    line = _MARKER.sub("", quoted.strip().split("\n")[0]).strip()
    cell = line.split(" | ")[0]
    text = cell.split(": ", 1)[-1] if cell != line else line
    words = text.split()
    if len(words) > 2 * FRAGMENT_WORDS + 2:
        return _range(" ".join(words[:FRAGMENT_WORDS]), " ".join(words[-FRAGMENT_WORDS:]))
    clauses = _CLAUSE.findall(text)
    if len(words) == 1 and len(text) > LONGEST_UNSPACED and len(clauses) > 1:
        return _range(clauses[0], clauses[-1])
    return "#:~:text=" + _escaped(" ".join(words))


def _range(start: str, end: str) -> str:
    return f"#:~:text={_escaped(start)},{_escaped(end)}"


def _escaped(text: str) -> str:
    # The dash has a meaning of its own in a fragment, and quoting leaves it as it is.
    return parse.quote(text, safe="").replace("-", "%2D")
