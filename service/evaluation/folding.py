"""Tell whether one text holds another when white space, markup and typography are not counted.

The evaluation compares quotes of the snapshot with spans that a person copied from a page, and the two differ in
line breaks, list marks, kinds of quotation marks and letter case, never in words. Everything here is lossy on
purpose, and the same loss is applied to both sides.
"""

import html
import re
import unicodedata
from functools import lru_cache

# Scripts written without spaces between words: each character counts as a word. Hangul has spaces.
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
    "\u2e80-\u2fff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # radicals, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_TOKEN = re.compile(f"[{_SPACELESS}]|[^\\s{_SPACELESS}]+")
_LETTER = f"[^\\W{_SPACELESS}]"  # a letter or digit of a script that has spaces

_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
# Only names that are tags: "<mark price and >index price" is text.
_TEXT_TAG = re.compile(r"</?(?:a|b|i|u|em|strong|span|code|sup|sub)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_BLOCK_TAG = re.compile(
    r"</?(?:p|br|hr|div|li|ul|ol|t[dhr]|table|tbody|thead|h[1-6]|pre|img)(?:\s[^<>]*)?/?>", re.IGNORECASE
)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_LINE_MARK = re.compile(r"^[ \t]*(?:[-*+•◦▪‣]|#{1,6}|>|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_ENUMERATOR = re.compile(r"(?<!\S)\d{1,2}[.)](?=\s|$)")
_EMPHASIS = re.compile(r"\*\*+|`+|~~+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-")
    | dict.fromkeys("\u2014\u2015|", " ")  # long dashes part words; pipes part table cells
)
_EDGES = "\"'.,;:!?()[]{}<>*_#·•→-…。、「」『』【】《》〈〉"


def fold(text: str) -> str:
    r"""Give the text in one line and in one case, without markup, list marks and typographic variants.

    >>> fold("1. Open **Assets** — then\n2. tap <b>Withdraw</b>,  “Crypto”")
    'open assets then tap withdraw, "crypto"'
    """
    text = _BLOCK_TAG.sub(" ", _TEXT_TAG.sub("", _LINK.sub(r"\1", text)))
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", html.unescape(text))).translate(_TYPOGRAPHY)
    text = _EMPHASIS.sub("", _LINE_MARK.sub(" ", text))
    text = _THOUSANDS.sub("", " ".join(text.split()))
    return text.replace(" %", "%").casefold()


@lru_cache(maxsize=8192)
def words(text: str, *, enumerated: bool = True) -> tuple[str, ...]:
    """Split the folded text into words without the punctuation around them.

    :param enumerated: Keep numbers such as ``2.`` inside a line; they may be the marks of a list whose line
        breaks were lost, or the end of a sentence.

    >>> words("Fees are 0.1% (taker).")
    ('fees', 'are', '0.1%', 'taker')
    >>> words("提现需要 24 小时。")
    ('提', '现', '需', '要', '24', '小', '时')
    """
    folded = fold(text)
    if not enumerated:
        folded = _ENUMERATOR.sub(" ", folded)
    stripped = (token.strip(_EDGES) for token in _TOKEN.findall(folded))
    return tuple(word for word in stripped if word)


def citation_hits(quote: str, span: str) -> bool:
    """Tell whether the quote holds the span, or at least half of the span's words in one run.

    A span without a word is never hit.

    >>> citation_hits("You can withdraw after 24 hours.", "withdraw after 24 hours")
    True
    >>> citation_hits("You can withdraw at any time.", "withdraw after 24 hours")
    False
    """
    return any(
        _share_run(words(quote, enumerated=kept), words(span, enumerated=kept), half=True) for kept in (True, False)
    )


def holds(text: str, part: str) -> bool:
    """Tell whether the words of the part stand in the text, all of them in one run."""
    return any(
        _share_run(words(text, enumerated=kept), words(part, enumerated=kept), half=False) for kept in (True, False)
    )


def has_term(text: str, term: str) -> bool:
    """Tell whether the text has a term or number that an answer must include.

    A number is not found inside a longer one. A word is found where a word begins, and may be inflected,
    unless it has three letters or fewer (``no`` is not in ``not``).

    >>> has_term("The fee is 0.15% for makers", "0.1"), has_term("Withdrawals take 24 hours", "withdrawal")
    (False, True)
    """
    folded = fold(term)
    if not folded:
        return False
    before = after = ""
    if folded[0].isdigit():
        before = r"(?<!\d)(?<!\d[.,])"
    elif re.match(_LETTER, folded[0]):
        before = f"(?<!{_LETTER})"
    if folded[-1].isdigit():
        after = r"(?!\d)(?![.,]\d)"
    elif len(folded) <= 3 and re.match(_LETTER, folded[-1]):
        after = f"(?!{_LETTER})"
    return re.search(before + re.escape(folded) + after, fold(text)) is not None


def _share_run(text: tuple[str, ...], span: tuple[str, ...], *, half: bool) -> bool:
    if not span:
        return False
    length = (len(span) + 1) // 2 if half else len(span)
    # Tokens hold no spaces, so a run of words is a substring between spaces; ``in`` is many times a loop's speed.
    line = f" {' '.join(text)} "
    return any(f" {' '.join(span[i : i + length])} " in line for i in range(len(span) - length + 1))
