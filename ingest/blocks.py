"""HTML elements → blocks: headings, paragraphs, lists, tables and FAQ pairs, with their inline markup flattened."""

import re

from bs4 import Comment, Tag
from bs4.element import NavigableString, PageElement, PreformattedString

from ingest.sections import Block
from ingest.tables import is_layout, table_lines
from ingest.tree import is_gone, is_inside, tags_of

#: What ``faq.mark_pairs`` turns every FAQ pair into: its first child is the question, its second the answer.
PAIR = "citedesk-pair"

HEADINGS = {f"h{level}": level for level in range(1, 7)}
#: The level of what opens like a heading but is none: a panel's or a definition's title.
PANEL_LEVEL = 7
_INLINE = frozenset(
    re.findall(
        r"\w+",
        """
    a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark meter output q rp rt ruby s
    samp small span strike strong sub sup time tt u var wbr img picture source button
""",
    )
)
_SPACES = re.compile(r"[ \t\r\n\f\v\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
# Joiners are letters' business in Arabic and Indic scripts and in emoji; beside Latin letters they are litter.
_LITTER = re.compile(
    r"[\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069\x00-\x08]|(?<=[\x00-\u024f])[\u200c\u200d]"
)
# A terminal's colours, copied as markup that a script was to render.
_COLOUR = re.compile(r"</?(?:font|span|[bui])\b[^<>]{0,200}>")
_COLOURED = 3
_PERMALINK = re.compile(r"[#¶§🔗\s]*|(?:permalink|direct link|copy link|link to).{0,80}", re.IGNORECASE)


def clean_text(text: str) -> str:
    """Collapse white space as a browser does, and drop what is not seen: soft hyphens, zero-width characters."""
    return text if _is_clean(text) else _SPACES.sub(" ", _LITTER.sub("", text))


def _is_clean(text: str) -> bool:
    """Tell at a glance of most text that there is nothing to clean."""
    return text.isascii() and text.isprintable() and "  " not in text


def blocks_of(root: Tag) -> list[Block]:
    """Turn what stands in an element into blocks, in reading order."""
    walker = _Walker()
    walker.walk(root)
    walker.flush()
    return walker.blocks


def text_of(element: Tag) -> str:
    """Give an element's text in one line."""
    return " ".join(line for block in blocks_of(element) for line in _lines(block))


def answer_text(element: Tag) -> str:
    """Give an answer's text whole: its paragraphs, items and rows, one a line."""
    return "\n".join(line for block in blocks_of(element) for line in _lines(block))


def _lines(block: Block) -> list[str]:
    return [line for line in (*block.question.split("\n"), *block.text.split("\n")) if line.strip()]


class _Walker:
    """Walks the tree once; inline text gathers in ``_buffer`` until a block begins or ends."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._buffer: list[str] = []
        self._anchor = ""

    def walk(self, element: Tag) -> None:
        for child in element.children:
            if isinstance(child, Tag):
                self._tag(child)
            else:
                self._string(child)

    def flush(self) -> None:
        text = clean_lines("".join(self._buffer))
        self._buffer.clear()
        if text:
            self.blocks.append(Block("prose", text))

    def _string(self, node: PageElement) -> None:
        if isinstance(node, NavigableString) and not isinstance(node, (PreformattedString, Comment)):
            self._buffer.append(node if _is_clean(node) else _SPACES.sub(" ", node))

    def _tag(self, tag: Tag) -> None:
        name = tag.name
        if name in _INLINE:
            self._inline(tag)
            return
        if name == "br":
            self._buffer.append("\n")
            return
        self.flush()
        if name in HEADINGS:
            self._heading(tag)
        elif name in ("ul", "ol", "menu") and not _holds_headings(tag):
            self._list(tag)
        elif name == "table" and not is_layout(tag):
            self._table(tag)
        elif name == "pre":
            self._code(tag)
        elif name == PAIR:
            self._pair(tag)
        elif name == "details":
            self._details(tag)
        elif name == "dl":
            self._definitions(tag)
        else:
            self.walk(tag)
        self.flush()

    def _inline(self, tag: Tag) -> None:
        if tag.name in ("a", "span") and (anchor_of(tag) or tag.name == "a"):
            text = tag.get_text(strip=True)
            if not text:
                self._anchor = anchor_of(tag) or self._anchor
            if tag.name == "a" and text in ("#", "¶", "§", "🔗"):
                return
        if tag.name == "sup" and self._superscript(tag):
            return
        self.walk(tag)

    def _superscript(self, tag: Tag) -> bool:
        """Keep a footnote's number from running into the number before it, and a power readable."""
        if tag.find("a", href=re.compile("^#")) or (tag.parent and tag.parent.name == "a"):
            return True
        before = "".join(self._buffer[-1:])
        if before[-1:].isdigit() and tag.get_text(strip=True)[:1].isdigit():
            self._buffer.append("^")
        return False

    def _heading(self, tag: Tag) -> None:
        for link in list(tags_of(tag, ("a", "button"))):
            if not is_gone(link) and _PERMALINK.fullmatch(link.get_text(" ", strip=True)):
                self._anchor = anchor_of(link) or self._anchor
                link.decompose()
        text = text_of_inline(tag)
        if text:
            anchor = anchor_of(tag) or self._anchor or _anchor_inside_or_around(tag)
            self.blocks.append(Block("heading", text, level=HEADINGS[tag.name], anchor=anchor))
        self._anchor = ""

    def _list(self, tag: Tag) -> None:
        lines, first = list_lines(tag)
        if lines:
            self.blocks.append(Block("steps" if tag.name == "ol" else "prose", "\n".join(lines), first=first))

    def _table(self, tag: Tag) -> None:
        rows = table_lines(tag, text_of)
        caption = tag.find("caption")
        title = text_of(caption) if isinstance(caption, Tag) else ""
        if not rows:
            return
        if title:
            self.blocks.append(Block("heading", title, level=PANEL_LEVEL, anchor=anchor_of(tag)))
        self.blocks.append(Block("table", "\n".join(rows), anchor="" if title else anchor_of(tag)))
        if title:
            self.blocks.append(Block("end", "", level=PANEL_LEVEL))

    def _code(self, tag: Tag) -> None:
        text = _LITTER.sub("", tag.get_text()).replace("\u00a0", " ").expandtabs(4)
        if text.count("</font>") >= _COLOURED:
            text = _COLOUR.sub("", text)
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        if lines:
            self.blocks.append(Block("prose", "\n".join(lines)))

    def _pair(self, tag: Tag) -> None:
        parts = [child for child in tag.children if isinstance(child, Tag)]
        if len(parts) < 2:  # the other was taken out as noise
            self.walk(tag)
            return
        question, answer = parts[:2]
        text = answer_text(answer)
        if text:
            self.blocks.append(Block("faq", text, anchor=anchor_of(tag), question=text_of(question)))

    def _details(self, tag: Tag) -> None:
        summary = tag.find("summary", recursive=False)
        if not isinstance(summary, Tag):
            self.walk(tag)
            return
        title = text_of(summary)
        summary.extract()
        self._titled(title, anchor_of(tag) or anchor_of(summary), tag)

    def _titled(self, title: str, anchor: str, body: Tag) -> None:
        """Put what stands in a panel under the panel's title, and close that title behind it."""
        inside = blocks_of(body)
        if any(block.kind == "heading" for block in inside) or not title or not inside:
            self.blocks.extend([Block("prose", title), *inside] if title else inside)
            return
        self.blocks.append(Block("heading", title, level=PANEL_LEVEL, anchor=anchor))
        self.blocks.extend(inside)
        self.blocks.append(Block("end", "", level=PANEL_LEVEL))

    def _definitions(self, tag: Tag) -> None:
        """Give each term with its definition in one line; terms that share a definition are joined."""
        terms: list[str] = []
        for child in _definition_parts(tag):
            if child.name == "dt":
                terms.append(text_of(child))
            elif child.name == "dd":
                name = ", ".join(term.rstrip(":： ") for term in terms if term)
                definition = answer_text(child)
                terms = []
                self.blocks.append(
                    Block("prose", f"{name}: {definition}" if name and definition else name + definition)
                )
            else:
                self._tag(child)
        self.blocks.extend(Block("prose", term) for term in terms)


def _definition_parts(tag: Tag) -> list[Tag]:
    parts: list[Tag] = []
    for child in tag.children:
        if isinstance(child, Tag):
            parts.extend(_definition_parts(child) if child.name == "div" else [child])
    return parts


def clean_lines(text: str) -> str:
    """Clean text in which each line break stands for a ``<br>``."""
    lines = (clean_text(line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def text_of_inline(tag: Tag) -> str:
    """Give the text of an element that holds inline markup, in one line."""
    return " ".join(text_of(tag).split())


def list_lines(tag: Tag) -> tuple[list[str], int]:
    """Give a list's lines, nested items indented by two spaces.

    :return: The lines, and the number of the first item (1 for a bulleted list).
    """
    first = _number(tag.get("start"), 1)
    number = first
    lines: list[str] = []
    for item in tag.children:
        if not isinstance(item, Tag):
            continue
        if item.name in ("ul", "ol"):  # a list right inside a list, without an item of its own
            lines.extend("  " + line for line in list_lines(item)[0])
            continue
        inside = [line for block in blocks_of(item) for line in _lines(block)]
        if not inside:
            continue
        number = _number(item.get("value"), number)
        mark = f"{number}. " if tag.name == "ol" else "- "
        number += 1
        if _is_item(inside[0]) and item.find(["ul", "ol"]):
            lines.extend("  " + line for line in inside)
        else:
            lines.extend([mark + inside[0].strip(), *("  " + line for line in inside[1:])])
    return lines, first


def _is_item(line: str) -> bool:
    return bool(re.match(r"\s*(?:- |\d+\. )", line))


def _number(value: object, default: int) -> int:
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) else default


def _holds_headings(tag: Tag) -> bool:
    """Tell whether a list is layout: its items hold headings of the article."""
    return any(True for _ in tags_of(tag, ("h2", "h3", "h4", PAIR)))


def anchor_of(tag: Tag) -> str:
    """Give the fragment that opens the page at the element."""
    value = tag.get("id") or (tag.get("name") if tag.name == "a" else "")
    return value if isinstance(value, str) else ""


def _anchor_inside_or_around(tag: Tag) -> str:
    for inner in tags_of(tag, ("a", "span")):
        if anchor_of(inner):
            return anchor_of(inner)
    for outer in list(tag.parents)[:2]:
        first = next((child for child in outer.children if isinstance(child, Tag)), None)
        if outer.name not in ("section", "div", "header") or first is None:
            break
        if first is tag or is_inside(tag, first):
            if anchor_of(outer):
                return anchor_of(outer)
        else:
            break
    return ""
