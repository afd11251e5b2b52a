"""What a line of text looks like: a price, a date, a label of the site, a teaser, a placeholder.

Pages are told apart from the boxes around them by such shapes, in HTML and in plain text alike; no site is
named here. Labels are known in the languages in which exchanges run their help centres.
"""

import itertools
import re
from collections.abc import Sequence

from ingest.labels import PUBLISHED_LABEL, RELATED_LABEL, UPDATED_LABEL

_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|ene|abr|mai|juin|juil|août|aout|ago|set|out|dez|déc|dic|"
    r"fév|avr|gen|mag|giu|lug|ott|mär|okt|янв|фев|мар|апр|мая|май|июн|июл|авг|сен|окт|ноя|дек|"
    r"oca|şub|nis|haz|tem|ağu|eyl|eki|kas|ara)\w*"
)
_DAY = (
    r"(?:(?:19|20)\d\d[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d"
    rf"|{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\s*,?\s*(?:19|20)\d\d"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:de\s+)?{_MONTH}\.?,?\s+(?:de\s+|del\s+)?(?:19|20)\d\d(?:\s*г\.?)?"
    r"|(?:19|20)\d\d\s*[年년]\s*\d{1,2}\s*[月월]\s*\d{1,2}\s*[日일])"
)
_TIME = r"\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?\s*(?:[ap]\.?m\.?)?\s*(?:Z|UTC|GMT|[A-Z]{3,4})?(?:[+-]\d{1,2}:?\d{0,2})?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
DATE = re.compile(rf"{_WEEKDAY}{_DAY}(?:\s*(?:,|T|@|\||-|–|·|at|um|à|a las|às|в|alle)?\s*{_TIME})?", re.IGNORECASE)
_AGO = re.compile(
    r"(?:about |vor |hace |il y a |há )?\d+\s*(?:s|min|mins|minutes?|h|hrs?|hours?|days?|d|weeks?|months?|"
    r"minutos?|horas?|días?|dias?|heures?|jours?|tagen?|stunden|minuten|分钟|分鐘|小时|小時|天|分|時間|"
    r"日)\s*(?:ago|atrás|前)?",
    re.IGNORECASE,
)

# Each part takes what it can and gives nothing back, or a long line of prices that ends otherwise takes for ever.
_PRICE = r"(?:US)?[$€£¥₿₹₩]\s?\d[\d,.…]*(?:\.\.\.\d+)?(?:\s?[KMBT])?"
_PERCENT = r"[+\-−▲▼↑↓(]*+\s?\d+(?:[.,]\d+)?\s?%\)?"
_QUOTE = re.compile(rf"(?>{_PRICE}|{_PERCENT})(?:\s*+(?>{_PRICE}|{_PERCENT}|[-–▲▼↑↓|]))*+\s*")
_NAMED_QUOTE = re.compile(rf"(?:[-•*]\s+)?(?:\S+\s+){{1,4}}(?:{_PRICE}|\d[\d,.]*)\s+{_PERCENT}\s*-?")
_MARK = re.compile(r"^(?:[-•·*▪◦‣–—]|\(?\d{1,2}[.)、])\s+")

#: A whole line that only a user interface says.
_UI_LINE = re.compile(
    r"(?:see|view|show|read|load|browse|back to)\s+(?:all|more|less|top)(?: (?:articles?|news|posts?|comments?|"
    r"guides?))?\W*|skip to (?:main )?content|back to (?:top|home|help.{0,12})|copy(?: link| url)?|copied!?|"
    r"print(?: this page)?|share|tweet|advertisement|sponsored|(?:\d+|one|a few) ?-?min(?:ute)?s? read|"
    r"reading time.{0,20}|log ?in|sign ?(?:in|up)|register|accept(?: all)?(?: cookies)?|yes\s*[|/]?\s*no|"
    r"(?:yes|no)(?: \(\d+\))|\d+ (?:out )?of \d+ found this (?:helpful|useful)|submit(?: a request)?|"
    r"(?:share|follow us|share this)(?: (?:on|via|article|page|with).{0,24})?:?|"
    r"(?:twitter|facebook|linkedin|telegram|reddit|whatsapp)(?:\W+(?:twitter|facebook|linkedin|telegram|reddit|"
    r"whatsapp|x|e?mail|copy link))*|(?:leer|ver) (?:todo|todos|más)(?: los artículos)?|volver arriba|ver tudo|"
    r"ver todos|leia mais|tout voir|alle anzeigen|查看全部|查看更多|阅读更多|もっと見る|all rights reserved\W*",
    re.IGNORECASE,
)
_BROKEN = re.compile(
    r"invalid date|\[object object\]|\bNaN\b|^(?:[\w ]{0,24}[:：]\s*)?(?:undefined|null)$",
    re.IGNORECASE,
)
#: A variable that a template was to fill: ``{{ user.name }}``, ``${name}``, ``<%= name %>``, ``%{name}``.
PLACEHOLDER = re.compile(
    r"\{\{[^{}]{0,80}\}\}|\{%[^{}]{0,80}%\}|[$%#]\{[^{}]{0,80}\}|<%[^%]{0,80}%>|%%[A-Za-z_]{2,40}%%"
)
# A name, so that "By default, fees are paid in USDT" is none; a small letter only where a date or the like follows.
_BYLINE = re.compile(
    r"(?i:(?:written |posted |reviewed )?(?:by|por|par|von|автор|作者))[:：]?\s+"
    r"(?:[^\W\d_a-zа-яё]\S*(?: \S+){0,3}(?:\s*[|·•,–-].*)?|\S+(?: \S+)?\s*[|·•–-]\s.*)"
)
# How long something takes is an answer; what was so long ago is a date.
_DURATION = re.compile(
    r"\d+\s*(?:minutes?|hours?|days?|weeks?|months?|minutos?|horas?|días?|dias?|heures?|jours?|tagen?|stunden|"
    r"minuten|分钟|分鐘|小时|小時|天|時間|日)",
    re.IGNORECASE,
)
_CHANGED = re.compile(
    rf"(?:this|the) (?:page|article|document|post|content) (?:was|has been) {UPDATED_LABEL.pattern}\s*{DATE.pattern}.{{0,40}}",
    re.IGNORECASE,
)
_COPYRIGHT = re.compile(r"(?:©|\(c\)|copyright\b).{0,120}", re.IGNORECASE)
_QUESTION_MARKS = "?？؟;՞"  # Latin, full width, Arabic, Greek, Armenian
_SENTENCE_END = ".!。！．।…" + _QUESTION_MARKS


_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
_SPACED = re.compile(r"[^\W_]+(?:['’.,\-][^\W_]+)*")
_SPACED_ASCII = re.compile(r"[A-Za-z0-9]++(?:['.,\-][A-Za-z0-9]++)*+")  # finds the same there, in half the time


def bare(line: str) -> str:
    """Give the line without its list mark and outer white space."""
    return _MARK.sub("", line.strip(), count=1)


def word_count(text: str) -> int:
    """Count words; in scripts without spaces, two characters count as one word."""
    if text.isascii():  # most text is, and every line of a page is counted more than once
        return len(_SPACED_ASCII.findall(text))
    spaced, unspaced = _UNSPACED.subn(" ", text)
    return len(_SPACED.findall(spaced)) + (unspaced + 1) // 2


def is_question(text: str) -> bool:
    """Tell whether the text ends in a question mark, in any of the scripts that have one."""
    stripped = text.rstrip(" \t\"'»”’)]」』")
    return bool(stripped) and stripped[-1] in _QUESTION_MARKS


def ends_sentence(text: str) -> bool:
    """Tell whether the text ends as a sentence does."""
    stripped = text.rstrip(" \t\"'»”’)]」』")
    return bool(stripped) and stripped[-1] in _SENTENCE_END


#: Characters of a line that can be a date and a label, and of one that can be so without a year ("3 days ago").
LONGEST_DATED = 200
LONGEST_AGO = 60
_DIGIT, _YEAR = re.compile(r"\d"), re.compile(r"(?:19|20)\d\d")


def is_dated(line: str) -> bool:
    """Tell whether the line is a date and nothing more, save a label such as "Updated on" or a reading time."""
    # Nearly all lines are none, and looking for labels takes long.
    if len(line) > LONGEST_DATED or not (_YEAR if len(line) > LONGEST_AGO else _DIGIT).search(line):
        return False
    rest = UPDATED_LABEL.sub("", bare(line), count=1)
    rest = PUBLISHED_LABEL.sub("", rest, count=1)
    rest = re.sub(r"\d+ ?-?min(?:ute)?s? read", "", rest, flags=re.IGNORECASE).strip(" \t|·•,-–—()")
    return bool(rest) and len(rest) < 60 and bool(DATE.fullmatch(rest) or _AGO.fullmatch(rest))


def is_quote(line: str) -> bool:
    """Tell whether the line holds prices and percentages only, as in a ticker."""
    return bool(_QUOTE.fullmatch(bare(line)))


def is_named_quote(line: str) -> bool:
    """Tell whether the line is an instrument with its price and change, as in a ticker."""
    return "%" in line and bool(_NAMED_QUOTE.fullmatch(line.strip()))


def says_when_changed(line: str) -> bool:
    """Tell whether the line is a sentence on when the page was changed last, and by whom."""
    return bool(_CHANGED.fullmatch(line.strip()))


def is_furniture(line: str) -> bool:
    """Tell whether the line is the site's, not the article's: a button, a byline, a broken date, a copyright."""
    text = bare(line)
    if not re.search(r"[^\W_]", text):
        return True
    if word_count(text) <= 8 and _BROKEN.search(text):
        return True
    if any(shape.fullmatch(text) for shape in (_UI_LINE, _BYLINE, _COPYRIGHT)):
        return True
    return is_dated(text) and not _DURATION.fullmatch(text)


def is_cut_off(line: str) -> bool:
    """Tell whether the line is a teaser's text: long, and cut off with dots."""
    text = line.rstrip()
    return text.endswith(("...", "…")) and word_count(text) >= 8


def fits(label: re.Pattern[str], line: str) -> bool:
    """Tell whether the whole line is such a label, whatever marks stand around it."""
    text = bare(line).strip(" \t:：#>*|-–—!？?[]【】")
    return bool(text) and len(text) < 80 and bool(label.fullmatch(text))


def noise_lines(lines: Sequence[str]) -> set[int]:
    """Find the lines that belong to a ticker, a news list or teasers, by the runs that they form.

    :return: Indices into ``lines``.
    """
    return _ticker(lines) | _news(lines) | _teasers(lines)


def _ticker(lines: Sequence[str]) -> set[int]:
    """Find runs of three or more instruments: prices and changes, each with a short line above."""
    found: set[int] = set()
    run: list[int] = []
    quotes = 0
    alone = [*map(is_quote, lines), False, False]
    for index in range(len(lines) + 1):
        line = lines[index] if index < len(lines) else ""
        quote = alone[index] or is_named_quote(line)
        named = alone[index + 1] and word_count(line) <= 4
        if index < len(lines) and (quote or named or not re.search(r"\w", line)):
            run.append(index)
            quotes += quote
            continue
        if quotes >= 3:
            found.update(run)
        run, quotes = [], 0
    return found


def _news(lines: Sequence[str]) -> set[int]:
    """Find two or more headlines that are each followed by a line that is only a date."""
    dates = [index for index, line in enumerate(lines) if index and is_dated(line) and not is_dated(lines[index - 1])]
    found: set[int] = set()
    for before, after in itertools.pairwise(dates):
        if after - before == 2:
            found |= {before - 1, before, after - 1, after}
    return found


def _teasers(lines: Sequence[str]) -> set[int]:
    """Find cut-off texts, with the headline and the date above each, and the label above the first.

    One alone that nothing else tells may be the author's own, who leaves something out.
    """
    found: set[int] = set()
    alone: list[set[int]] = []
    for index, line in enumerate(lines):
        if not is_cut_off(line):
            continue
        above = index - 1
        dated = above >= 0 and is_dated(lines[above])
        above -= dated
        has_headline = above >= 0 and above not in found and word_count(lines[above]) <= 30
        headline = has_headline and (is_question(lines[above]) or not ends_sentence(lines[above]))
        if not (dated or headline):
            continue
        teaser = set(range(above + (not headline), index + 1))
        label = above - headline
        labelled = label >= 0 and fits(RELATED_LABEL, lines[label])
        if dated or labelled or found:
            found |= teaser | ({label} if labelled else set())
        else:
            alone.append(teaser)
    return found.union(*alone) if found or len(alone) > 1 else set()
