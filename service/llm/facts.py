"""What a sentence states that can be looked up: figures with their units, dates, links, tickers, and which way it turns."""

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from index.lexical import terms

_NUMBER = re.compile(
    r"(?P<before>US\$|[$€£¥])?\s?(?<!\d)(?<!\d[.,])(?P<value>\.?\d+(?:[.,]\d+)*)"
    r"(?:[-\s\u00a0]?(?P<after>[%％×]|[^\W\d_]+(?: (?:points?|days?|cent|ciento|cento|дней|hábiles|laborables|úteis|ouvrables|ouvrés|lavorativi|kerja))?))?"
)
_MARK = re.compile(r"^\s*(?:[-•*–]|\d{1,3}[.)])\s+")
_CITED = re.compile(r"\[\d+\]")
_ISO = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_CLOCK = re.compile(
    r"(?<![\d:])(\d{1,2}):(\d{2})(?::\d{2})?(?![\d:])(?:\s?(?P<zone>[A-Z]{2,5}\b|[ap]\.?m\b|[^\W\d_]+))?"
)
_LINK = re.compile(
    r"(?:https?://|www\.)[^\s<>()\[\]]+|[\w.+-]+@(?:[\w-]+\.)+[^\W\d_]{2,}"
    r"|(?<![\w@.])(?:[a-z0-9-]+\.)+(?:com|org|net|io|eu|us|app|me|info|help|support|xyz|co|gg)(?![\w-])(?:/[^\s<>()\[\]]*)?",
    re.IGNORECASE,
)
_TICKER = re.compile(r"(?<![\w$])[A-Z][A-Z0-9]{1,9}(?![\w])")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NAME = re.compile(r"(?<=[\w,;:] )[A-Z][\w-]*[a-z][\w-]*")
_CLAUSE = re.compile(
    r"[.!?;:,()|\n。！？；：，、]+(?:\s|$|(?<=[^\x00-\x7f]))|\s(?:but|if|because|while|whereas|so|aber|pero|mais|но)\s"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_APOSTROPHES = re.compile("['’`]")
# Words before a figure in which its bound is looked for.
_BOUND_REACH = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a text gives.

    :ivar value: A version or another row of digits that is no number as it is written.
    :ivar unit: What it counts, as facts.toml names it, or the ticker behind it; none where the word behind it is no unit.
    :ivar bound: ``most`` or ``least``, where the text bounds it so.
    :ivar start: Where it stands in the text.
    """

    value: Decimal | str
    unit: str | None
    bound: str | None
    start: int


def bare(text: str) -> str:
    """Take out the mark of a list and marks of citations; other writings of digits and letters become the usual ones."""
    plain = _CITED.sub("", _MARK.sub("", unicodedata.normalize("NFKC", text), count=1))
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in plain)


def figures(text: str) -> list[Figure]:
    """Give the figures of a text in their order, dates, clock times and what stands in links left out.

    >>> [(float(f.value), f.unit, f.bound) for f in figures("Up to 24h, $1,000.50 or twelve days for 2k USDT")]
    [(24.0, 'hour', 'most'), (1000.5, 'dollar', None), (2000.0, 'usdt', None), (12.0, 'day', None)]
    """
    hidden = text
    for pattern in (_LINK, _ISO, _CLOCK):
        hidden = pattern.sub(lambda match: " " * len(match[0]), hidden)
    found = [_figure(match, hidden) for match in _NUMBER.finditer(hidden)]
    return found + list(_worded(hidden))


def dates(text: str) -> set[tuple[int, int, int]]:
    """Give the dates of a text as year, month and day; 0 stands for what it does not say.

    A month alone is the date ``(0, month, 0)``; each date with a named month has that beside it.

    >>> sorted(dates("on 3 May 2024, and until May 5")), dates("since 2024-05-03"), dates("you may 5 times")
    ([(0, 5, 0), (0, 5, 5), (2024, 5, 3)], {(2024, 5, 3)}, set())
    """
    found = {(int(year), int(month), int(day)) for year, month, day in _ISO.findall(text)}
    named = (word.casefold() for word in _WORD.findall(text) if word[0].isupper())
    found |= {(0, _months()[word], 0) for word in named if word in _months()}
    for match in _named_dates().finditer(text):
        name = (match["m1"] or match["m2"] or match["m3"]).rstrip(".")
        if not name[0].isupper() and name.casefold() in ("may", "mar", "mars"):
            continue
        day = match["d1"] or match["d2"] or "0"
        year = match["y1"] or match["y2"] or match["y3"] or "0"
        found.add((int(year), _months()[name.casefold()], int(day)))
    return found


def clocks(text: str) -> set[str]:
    """Give the times of day, as hours and minutes, with the zone, the half of the day or the unit behind them.

    >>> sorted(clocks("from 08:00 UTC to 9:30"))
    ['8:00 utc', '9:30']
    """
    return {f"{int(m[1])}:{m[2]} {_zone(m['zone'] or '')}".rstrip() for m in _CLOCK.finditer(text)}


def _zone(word: str) -> str:
    told = _unit(word) or (word if word.isupper() or len(word.replace(".", "")) == 2 else "")
    return "" if told in ("to", "on", "in", "at", "is", "or", "by") else told.casefold()


def links(text: str) -> set[str]:
    """Give the web and e-mail addresses of a text, folded and without what ends a sentence."""
    return {match.rstrip(".,;:!?'\"»”").casefold().removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/") for match in _LINK.findall(text)}  # fmt: skip


def tickers(text: str) -> set[str]:
    """Give the words in capitals: tickers, networks, short forms."""
    return {word for word in _TICKER.findall(_LINK.sub(" ", text)) if word.casefold() not in negations()}


def names(text: str) -> set[str]:
    """Give the words with a capital inside a sentence, folded: names, and the labels of buttons."""
    return {word.casefold() for word in _NAME.findall(_LINK.sub(" ", text))}


def words(text: str) -> list[str]:
    """Give the words of a text, folded, apostrophes taken out."""
    return [_APOSTROPHES.sub("", word).casefold() for word in _WORD.findall(text)]


def content(text: str, language: str = "en") -> frozenset[str]:
    """Give the stems of the words that say what a text is about."""
    return frozenset(term for term in terms(text, language) if term not in _empty() and not term.isdigit())


def clauses(text: str) -> list[str]:
    """Cut a sentence where it could be taken apart."""
    return [part for part in _CLAUSE.split(text) if part and part.strip()]


def is_negated(text: str) -> bool:
    """Tell whether a clause says that something is not so; two negations are none.

    >>> is_negated("you can't withdraw"), is_negated("you can withdraw"), is_negated("not impossible without it")
    (True, False, False)
    """
    count = sum(word in negations() for word in words(text)) + sum(text.count(part) for part in _unspaced())
    return count % 2 == 1


def has_negation(text: str, language: str = "en") -> bool:
    """Tell whether a text negates anything, in whichever of the languages of `translated`.

    >>> has_negation("você não pode sacar", "pt"), has_negation("você pode sacar no aplicativo", "pt")
    (True, False)
    """
    others = _data()["negation"]["something_else"].get(language, ())
    said = set(words(text)) & negations() - set(others)
    return bool(said) or any(part in text for part in _unspaced())


def translated() -> frozenset[str]:
    """Give the languages whose negations are known, so that a translation into them can be checked."""
    return frozenset(_data()["negation"]["languages"])


def is_narrowed(text: str) -> bool:
    """Tell whether a clause holds for some cases alone."""
    return any(word in _narrowing() for word in words(text))


def sides(text: str) -> dict[int, set[int]]:
    """Give, by pair of opposites, the sides of it that a text speaks of.

    >>> sides("the maker fee") != sides("the taker fee")
    True
    """
    found: dict[int, set[int]] = {}
    for word in words(text):
        for number, side in _sides().get(word, ()):
            found.setdefault(number, set()).add(side)
    return found


@cache
def negations() -> frozenset[str]:
    """Give the words that negate."""
    return frozenset(_data()["negation"]["words"])


def _figure(match: re.Match[str], text: str) -> Figure:
    after = match["after"] or ""
    first, _, rest = after.partition(" ")
    glued = match.end("value") == match.start("after")
    scale = _data()["scales"].get(first.casefold()) if len(first) > 1 or glued else None
    value: Decimal | str | None = _decimal(match["value"])
    if value is not None and scale:
        value = (Decimal(value) * scale).normalize()
    if scale:
        behind = re.match(r"\s?([^\W\d_]+)", text[match.start("after") + len(first) :])
        after, first, rest = (behind[1], behind[1], "") if behind else ("", "", "")
    unit = _unit(after) or (_unit(first) if rest else None) or _ticker(first)
    if match["before"]:
        currency = _unit(match["before"])
        unit = currency if unit in (None, currency) else f"{currency} {unit}"
    return Figure(match["value"] if value is None else value, unit, _bound(text[: match.start()]), match.start("value"))


def _worded(text: str) -> Iterator[Figure]:
    for match in re.finditer(r"[^\W\d_]+(?:-[^\W\d_]+)?", text):
        value = _data()["numbers"].get(match[0].casefold())
        head, dash, tail = match[0].partition("-")
        if value is None and dash and _unit(tail):
            value = _data()["numbers"].get(head.casefold())
        if value is not None:
            behind = re.match(r"[\s-]([^\W\d_]+(?: (?:days?|points?))?)", text[match.end() :])
            unit = _unit(tail) if dash and _unit(tail) else _unit_of_words(behind[1]) if behind else None
            yield Figure(Decimal(str(value)).normalize(), unit, _bound(text[: match.start()]), match.start())


def _unit_of_words(text: str) -> str | None:
    return _unit(text) or _unit(text.split(" ")[0]) or _ticker(text.split(" ")[0])


def _decimal(text: str) -> Decimal | None:
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "")
    elif re.fullmatch(r"\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|\d{1,3}(?:\.\d{3})+,\d+", text):
        text = text.replace(".", "").replace(",", ".")
    try:
        return Decimal(text.replace(",", ".")).normalize()
    except InvalidOperation:
        return None


def _bound(before: str) -> str | None:
    tail = " ".join(words(before.rsplit(".", 1)[-1])[-_BOUND_REACH:])
    return next(
        (kind for kind, said in _data()["bounds"].items() for phrase in said if _ends_with(tail, phrase)),
        None,
    )


def _ends_with(tail: str, phrase: str) -> bool:
    # What is written without spaces stands behind other words without one.
    return tail.endswith(phrase) if phrase >= "\u2e80" else f" {tail}".endswith(f" {phrase}")


def _unit(text: str) -> str | None:
    folded = text.casefold()
    if folded < "\u2e80" or folded in _units():
        return _units().get(folded)
    # What is written without spaces goes on behind the unit.
    return next((_units()[folded[:n]] for n in range(min(len(folded), 3), 0, -1) if folded[:n] in _units()), None)


def _ticker(word: str) -> str | None:
    return word.casefold() if len(word) > 1 and word.isupper() else None


@cache
def _units() -> dict[str, str]:
    return {word: unit for unit, said in _data()["units"].items() for word in said}


@cache
def _months() -> dict[str, int]:
    return {name: int(number) for number, said in _data()["months"].items() for name in said}


@cache
def _named_dates() -> re.Pattern[str]:
    month = "|".join(sorted(_months(), key=len, reverse=True))
    year = _YEAR.pattern
    return re.compile(
        rf"\b(?P<d1>\d{{1,2}})(?:st|nd|rd|th|\.)?\s(?:de\s)?(?P<m1>{month})\b\.?(?:,?\s(?:de\s)?(?P<y1>{year}))?"
        rf"|\b(?P<m2>{month})\b\.?\s(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s(?P<y2>{year}))?"
        rf"|\b(?P<m3>{month})\b\.?,?\s(?:de\s)?(?P<y3>{year})",
        re.IGNORECASE,
    )


@cache
def _sides() -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for number, pair in enumerate(_data()["sides"]["pairs"]):
        for side, said in enumerate(pair):
            for word in said:
                found.setdefault(word, []).append((number, side))
    return found


@cache
def _unspaced() -> tuple[str, ...]:
    return tuple(_data()["negation"]["unspaced"])


@cache
def _narrowing() -> frozenset[str]:
    return frozenset(_data()["narrowing"]["words"])


@cache
def _empty() -> frozenset[str]:
    said = (
        "a an the this that these those it its is are was were be been being am do does did doing have has had having can "
        "could may might must shall should will would of in on at to from for by with about into as and or but if then than "
        "so such there here when where which who whom what how why you your yours we our they their them i me my he she his "
        "her also s t re ve ll d not no"
    )
    said = f"{said} {' '.join(negations())}"
    return frozenset(terms(said)) | frozenset(said.split())


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))
