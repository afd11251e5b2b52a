"""A page saved as plain text or Markdown → Page.

A plain dump has lost its elements, so what a line is has to be told from its shape and its neighbours: see
``shapes`` for prices, dates and teasers. Here: which line is the title, which lines are headings, where lists run,
and where the disclaimer and the boxes at the end begin.
"""

import re
from collections.abc import Sequence
from html import escape

from markdown_it import MarkdownIt

from ingest.article import Page, PageError
from ingest.clean import read_html
from ingest.dates import labelled_day
from ingest.decode import decode
from ingest.flags import flags_of, marked, prints_broken_date, without_unfilled
from ingest.labels import DISCLAIMER_LABEL, FAQ_LABEL, FURNITURE_LABEL, RELATED_LABEL
from ingest.pagemeta import site_of
from ingest.pairs import pair_up
from ingest.sections import Block, build_sections
from ingest.shapes import bare, ends_sentence, fits, is_dated, is_furniture, is_question, noise_lines, word_count

#: Words up to which a line without a final stop may be a heading, and a question may be one.
LONGEST_HEADING = 14
LONGEST_QUESTION_HEADING = 28
#: Words that tell a title from the entries of a menu.
SHORTEST_TITLE = 4
#: Words from which a line that ends a sentence is text, so that the title has to stand before it.
PROSE = 8

#: Fields of front matter, and the meta elements that say the same.
_FRONT_MATTER = {
    "title": "og:title",
    "date": "article:published_time",
    "published": "article:published_time",
    "updated": "article:modified_time",
    "lastmod": "article:modified_time",
    "lang": "language",
    "language": "language",
}
_ITEM = re.compile(r"(\s*)(?:([-*•·▪◦‣–])|(\d{1,3})[.)、])\s+(?=\S)")
_LABELLED = re.compile(r"\s*(?:Q|A|Question|Answer)\s*\d{0,2}\s*[:：.)]", re.IGNORECASE)


def parse_text(data: bytes | str, *, name: str) -> Page:
    """Read a page that was saved as plain text.

    :param name: The file's name, for messages.
    :raises PageError: If the data is empty or not text, or if no main text is found.
    """
    lines = _unwrapped(decode(data, declared=None, where=name).expandtabs(4).splitlines())
    dropped = noise_lines(lines)
    disclaimer, disclaimed = _disclaimers(lines, dropped)
    dropped |= disclaimed | _boxes(lines, dropped | disclaimed)
    body = [marked(line.rstrip()) for index, line in enumerate(lines) if index not in dropped]
    flags = flags_of(body, dates_are_broken=any(map(prints_broken_date, lines)))
    body = [filled for line in body if (filled := without_unfilled(line)) or not line]
    title, body = _take_title(body)
    published, updated = _dates(body)
    body = [line for line in body if not line.strip() or not is_furniture(line)]
    sections = build_sections(pair_up(_blocks(body), {}), title, headings_are_marked=False)
    if not sections:
        raise PageError(f"{name}: no main text in it; give the text of the article itself")
    return Page(title, None, published, updated, None, site_of(disclaimer), disclaimer, sections, flags=flags)


def parse_body(data: bytes | str, *, name: str, title: str) -> Page:
    """Read a text that is an article's main text already, without the page around it: nothing of it is left out.

    Its placeholders are flagged, but stay: without markup, those of a code sample cannot be told from forgotten ones.

    :raises PageError: If the data is empty or not text.
    """
    lines = [line.rstrip() for line in decode(data, declared=None, where=name).expandtabs(4).splitlines()]
    sections = build_sections(pair_up(_blocks(lines), {}), title, headings_are_marked=False)
    if not sections:
        raise PageError(f"{name}: the text is empty; give the article's text")
    flags = flags_of(map(marked, lines), dates_are_broken=any(map(prints_broken_date, lines)))
    return Page(title, None, None, None, None, None, "", sections, flags=flags)


def parse_markdown(data: bytes | str, *, name: str) -> Page:
    """Read a Markdown page: it is turned into HTML (CommonMark with tables), then read as such.

    Of YAML front matter, the one-line fields that name a title, a date or a language are read.

    :param name: The file's name, for messages.
    :raises PageError: If the data is empty or not text, or if no main text is found.
    """
    text = "\n".join(decode(data, declared=None, where=name).splitlines())
    front = re.match(r"---\n(.*?\n)---\n", text, re.DOTALL)
    body = MarkdownIt("commonmark").enable("table").render(text[front.end() :] if front else text)
    fields = dict(re.findall(r"(?m)^(\w+):[ \t]*[\"']?(.+?)[\"']?[ \t]*$", front[1])) if front else {}
    head = "".join(
        f'<meta name="{meta}" content="{escape(fields[field])}">'
        for field, meta in _FRONT_MATTER.items()
        if field in fields
    )
    html = f"<html><head>{head}</head><body><main>{body}</main></body></html>"
    return read_html(html, url=None, where=name)


def _unwrapped(lines: Sequence[str]) -> list[str]:
    """Join lines that were wrapped at a width: a line goes on if the next begins with a small letter."""
    out: list[str] = []
    for line in lines:
        goes_on = out and out[-1].strip() and line[:1].islower() and not ends_sentence(out[-1]) and len(out[-1]) >= 50
        if goes_on:
            out[-1] = f"{out[-1].rstrip()} {line.strip()}"
        else:
            out.append(line)
    return out


def _disclaimers(lines: Sequence[str], dropped: set[int]) -> tuple[str, set[int]]:
    """Find disclaimers: a line that is labelled so and the lines below it, up to a gap, an item or noise."""
    taken: set[int] = set()
    for index, line in enumerate(lines):
        label = re.match(r"[^:：]{3,60}(?:[:：]|$)", bare(line))
        if index in dropped | taken or not label or not fits(DISCLAIMER_LABEL, label[0]):
            continue
        taken.add(index)
        below = index + 1
        while below < len(lines) and not lines[below].strip():
            below += 1
        while below < len(lines) and lines[below].strip() and below not in dropped and not _ITEM.match(lines[below]):
            if not ends_sentence(lines[below]):
                break
            taken.add(below)
            below += 1
    return "\n".join(lines[index].strip() for index in sorted(taken)), taken


def _boxes(lines: Sequence[str], dropped: set[int]) -> set[int]:
    """Find labels of boxes, such as "Related articles", and the headlines below them."""
    found: set[int] = set()
    for index, line in enumerate(lines):
        is_related, is_site = fits(RELATED_LABEL, line), fits(FURNITURE_LABEL, line)
        if index in dropped or not (is_related or is_site):
            continue
        found.add(index)
        below = index + 1
        while below < len(lines):
            text = bare(lines[below])
            is_text = (
                text
                and below not in dropped
                and not is_furniture(text)
                and (_LABELLED.match(text) or FAQ_LABEL.search(text) or (ends_sentence(text) and not is_question(text)))
            )
            if is_text:
                break
            below += 1
        end = below if below == len(lines) else _next_heading(lines, index, below, needs_headline=is_related)
        found |= set(range(index, end))
    return found - dropped


def _next_heading(lines: Sequence[str], label: int, text: int, *, needs_headline: bool) -> int:
    """Find where a box that a paragraph ended stops: the line above the paragraph is the article's next heading."""
    above = text - 1
    while above > label and not lines[above].strip():
        above -= 1
    is_headline = needs_headline and above == label + 1
    return text if above == label or is_headline else above


def _take_title(lines: Sequence[str]) -> tuple[str, list[str]]:
    """Take the title, and drop what stands before it.

    It is the first line of some words before the first sentence or date; if all are shorter, the last of them,
    since menus come first.
    """
    candidates: list[int] = []
    for index, line in enumerate(lines):
        text = line.strip()
        if not text:
            continue
        if is_dated(text) and candidates:
            break
        if ends_sentence(text) and not is_question(text) and word_count(text) >= PROSE:
            break
        if candidates and _ITEM.match(line):
            break
        if not is_furniture(text) and not re.search(r"\s[>›»/|]\s.*\s[>›»/|]\s", text):
            candidates.append(index)
        if text.startswith("# "):
            candidates = [index]
            break
    if not candidates:
        return "", list(lines)
    titles = [index for index in candidates if word_count(lines[index]) >= SHORTEST_TITLE]
    best = titles[0] if titles else candidates[-1]
    return lines[best].strip().lstrip("# "), list(lines[best + 1 :])


def _dates(lines: Sequence[str]) -> tuple[str | None, str | None]:
    found: dict[str, str] = {}
    for line in lines:
        day = labelled_day(line.strip())
        if day:
            found.setdefault(*day)
    return found.get("published"), found.get("updated")


def _blocks(lines: Sequence[str]) -> list[Block]:
    blocks: list[Block] = []
    for index, line in enumerate(lines):
        item = _ITEM.match(line)
        last = blocks[-1] if blocks else None
        if not line.strip():
            continue
        if item:
            _add_item(blocks, line, item, follows=index > 0 and _nearest(lines, index) is not None)
        elif (
            last
            and line.startswith("  ")
            and last.kind in ("steps", "prose")
            and _ITEM.match(last.text.split("\n")[-1])
        ):
            blocks[-1] = Block(last.kind, f"{last.text}\n  {line.strip()}", first=last.first)
        elif _is_heading(lines, index):
            blocks.append(Block("heading", line.strip().strip("#*_ "), level=_level(line, blocks)))
        else:
            blocks.append(Block("prose", " ".join(line.split())))
    return blocks


def _add_item(blocks: list[Block], line: str, item: re.Match[str], *, follows: bool) -> None:
    indent = "  " if item[1] and len(item[1]) > 1 else ""
    text = f"{indent}{item[3]}. " if item[3] else f"{indent}- "
    text += " ".join(line[item.end() :].split())
    last = blocks[-1] if blocks else None
    numbered = bool(item[3]) and not indent
    if last and follows and (indent or (last.kind == "steps") == numbered) and _ITEM.match(last.text.split("\n")[0]):
        first = last.first
        blocks[-1] = Block(last.kind, f"{last.text}\n{text}", first=first)
    else:
        blocks.append(Block("steps" if numbered else "prose", text, first=int(item[3]) if numbered else 1))


def _nearest(lines: Sequence[str], index: int) -> str | None:
    return next((line for line in reversed(lines[:index]) if line.strip()), None)


def _is_heading(lines: Sequence[str], index: int) -> bool:
    """Tell whether a line is a heading: short, without a final stop or a question, and followed by text."""
    text = lines[index].strip()
    if re.match(r"#{1,6}\s", text):
        return True
    if _LABELLED.match(text) or text[-1] in ":：;；,，":
        return False
    if ends_sentence(text) and not is_question(text):
        return False
    if word_count(text) > (LONGEST_QUESTION_HEADING if is_question(text) else LONGEST_HEADING):
        return False
    below = next((line for line in lines[index + 1 :] if line.strip()), None)
    if below is None:
        return False
    is_text = _ITEM.match(below) or _LABELLED.match(below) or ends_sentence(below) or below.rstrip()[-1] in ":："
    return bool(is_text) or word_count(below) > LONGEST_HEADING or bool(FAQ_LABEL.search(text))


def _level(line: str, blocks: Sequence[Block]) -> int:
    """Give a heading's level: a question under a FAQ heading is deeper than it, all others are alike."""
    marked = re.match(r"\s*(#{1,6})\s", line)
    if marked:
        return len(marked[1])
    faq = next((block for block in reversed(blocks) if block.kind == "heading" and block.level == 2), None)
    return 3 if faq and FAQ_LABEL.search(faq.text) and is_question(line) else 2
