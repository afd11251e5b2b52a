"""What a sentence is by its wording: an item, a row, a lead-in, a pointer elsewhere; and whether it hangs on another.

How sentences begin in each language is data: ``wording.toml``.
"""

import re
import tomllib
from functools import cache
from pathlib import Path

from ingest.shapes import PLACEHOLDER, ends_sentence, is_question, word_count
from service.stance import stance

# A line that does not end as a sentence does and has at most so many words is a heading, a label or a button.
LABEL_WORDS = 7
# One that begins as titles do ("How to …") may have so many.
TITLE_WORDS = 14
# A sentence of so few words says nothing by itself ("Let's begin!").
FEWEST_WORDS = 3
# A pointer of more words than this says something besides.
POINTER_WORDS = 22
# A sentence of at most so many words behind a question is the rest of that question ("Well, now you can.").
REPLY_WORDS = 4
# A sentence says the same as another that has this share of its words and no others, if no figure and no "not" is left out.
# One that has another word in the place of one may say the opposite: "buy" and "sell", "maker" and "taker".
SAME = 0.85

_STEP = re.compile(
    r"\s*\d{1,3}[.)] |\s*(?:step|schritt|paso|passo|étape|шаг|крок|adım|langkah|bước|krok|단계|步骤|步驟|ステップ)\s*\d{1,2}\b",
    re.IGNORECASE,
)
_ITEM = re.compile(r"\s*[-•*–] ")
_ROW = re.compile(r"\S \| \S")
_MARK = re.compile(r"\s*(?:[-•*–]|\d{1,3}[.)])\s+")
_WORD = re.compile(r"[^\W_]+(?:[.,'’%-][^\W_]+)*%?")
_TITLE = re.compile(
    r"\W*(?:(?:how|what|why|when|where|which|who|using|about|wie|was|warum|cómo|qué|por qué|como|o que|comment|pourquoi|come|как|что|почему|nasıl|cara|cách|jak)\b|"
    r"如何|怎么|怎样|什么)",
    re.IGNORECASE,
)
_LEFTOVER = re.compile(
    r"\[\[?toc\]?\]|^\W*$|^\W*(?:https?://|www\.)\S+$|\S\.(?:png|jpe?g|gif|svg|webp)\b", re.IGNORECASE
)
# A figure that was to be filled in: "XX%", "$X.XX", "[amount]".
_BLANK = re.compile(
    r"(?<!\w)[$€£]?[xX#]{1,4}(?:[.,][xX#]{1,4})?\s?%|[$€£][xX#]{1,4}(?:[.,][xX#]{1,4})?(?!\w)|\[(?:amount|date|fee|insert|link|number|xx+)[^\]\n]{0,40}\]",
    re.IGNORECASE,
)
# As `ingest.flags` has it, which loads what reads HTML.
_BROKEN_DATE = re.compile(r"invalid date|\bNaN[-/.,年:\s]+NaN\b|\bundefined NaN\b", re.IGNORECASE)
# What markup leaves behind a sentence.
_TAIL = re.compile(r"(?:&#?x20;|&nbsp;|[\s\\*_])+$")
_SPACELESS = ("zh", "ja")


def is_step(text: str) -> bool:
    """Tell whether a sentence is a numbered step."""
    return bool(_STEP.match(text))


def is_item(text: str) -> bool:
    """Tell whether a sentence is an item of a bulleted list."""
    return bool(_ITEM.match(text))


def is_row(text: str) -> bool:
    """Tell whether a sentence is a row of a table."""
    return bool(_ROW.search(text))


def is_listed(text: str) -> bool:
    """Tell whether a sentence is a step, an item or a row."""
    return is_step(text) or is_item(text) or is_row(text)


def leads_in(text: str) -> bool:
    """Tell whether a sentence leads in to what follows it.

    >>> leads_in("You need two things:"), leads_in("You need two things.")
    (True, False)
    """
    return _TAIL.sub("", text).endswith((":", "："))


def leans(text: str) -> bool:
    """Tell whether a sentence hangs on the one before it: it points back to something, or is an aside to it.

    >>> leans("In that case it is lost."), leans("It is possible to stop it."), leans("Note: fees apply.")
    (True, False, True)
    """
    if stance(text) is not None:
        return False
    bare = _MARK.sub("", text, count=1)
    if _starts("aside").match(bare) or bare[:1] in ("(", "（", "…"):
        return True
    return bool(_starts("leaning").match(bare)) and not _starts("standing").match(bare)


def hangs(text: str) -> bool:
    """Tell whether a sentence cannot be understood without the one before it; one that only links to it can be.

    >>> hangs("However, you cannot cancel it."), hangs("In that case it is lost.")
    (False, True)
    """
    return leans(text) and not _starts("linking").match(text)


def is_reply(text: str) -> bool:
    """Tell whether a sentence behind a question needs that question: it hangs on it, is a yes or no, or has few words."""
    return leans(text) or stance(text) is not None or word_count(text) <= REPLY_WORDS


def opens(text: str) -> bool:
    """Tell whether a sentence only opens what follows it: a question or a heading in the text."""
    return asks(text) or _is_label(text)


def asks(text: str) -> bool:
    """Tell whether a sentence is a question; what ends in a semicolon is one in Greek alone, and taken for none."""
    return is_question(text) and not text.rstrip().endswith(";")


def says_nothing(text: str) -> bool:
    """Tell whether a sentence answers nothing whatever is asked: it points elsewhere, or is a leftover of the page.

    >>> says_nothing("Learn more in our guide."), says_nothing("The fee is 1%.")
    (True, False)
    """
    bare = _TAIL.sub("", _MARK.sub("", text, count=1))
    if _LEFTOVER.search(bare) or (word_count(bare) <= FEWEST_WORDS and not is_listed(text) and not is_figure(bare)):
        return True
    return bool(_starts("pointer").match(bare)) and word_count(bare) <= POINTER_WORDS


def is_unfilled(text: str) -> bool:
    """Tell whether a sentence has a placeholder or a date that was printed broken; it must never be quoted.

    >>> is_unfilled("The fee is {{fee}}."), is_unfilled("The fee is XX%."), is_unfilled("The fee is 1%.")
    (True, True, False)
    """
    return any(pattern.search(text) for pattern in (PLACEHOLDER, _BROKEN_DATE, _BLANK))


def same(one: str, other: str) -> bool:
    """Tell whether two sentences say the same: in the same words, or one of them in a few words more.

    >>> same("Fees are 0.1 % for all.", "- Fees are 0.1 % for all"), same("You do owe it.", "You do not owe it.")
    (True, False)
    """
    words, others = words_of(one), words_of(other)
    if words == others:
        return True
    fewer, more = sorted((set(words), set(others)), key=len)
    if not fewer <= more or len(fewer) < SAME * len(more) or stance(one) != stance(other):
        return False
    return not any(is_figure(word) or word in _negations() for word in more - fewer)


def words_of(text: str) -> list[str]:
    """Give the words of a sentence, folded, without its list mark."""
    return [word.casefold() for word in _WORD.findall(_MARK.sub("", text, count=1))]


def is_figure(word: str) -> bool:
    """Tell whether a word has a digit in it."""
    return any(char.isdigit() for char in word)


def _is_label(text: str) -> bool:
    text = _TAIL.sub("", text)
    if is_listed(text) or leads_in(text) or ends_sentence(text) or stance(text) is not None:
        return False
    longest = TITLE_WORDS if _TITLE.match(text) else LABEL_WORDS
    return word_count(text) <= longest and not is_figure(text) and text[:1] not in "(（"


@cache
def _data() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(Path(__file__).with_name("wording.toml").read_text(encoding="utf-8"))


@cache
def _starts(kind: str) -> re.Pattern[str]:
    """Compile how sentences of a kind begin, in all languages."""
    spaced = [pattern for code, patterns in _data()[kind].items() if code not in _SPACELESS for pattern in patterns]
    spaceless = [pattern for code in _SPACELESS for pattern in _data()[kind].get(code, ())]
    either = "|".join([rf"(?:{'|'.join(spaced)})(?!\w)", *spaceless])
    return re.compile(rf"[\W_]*(?:{either})", re.IGNORECASE)


@cache
def _negations() -> frozenset[str]:
    return frozenset(word for words in _data()["negation"].values() for word in words)
