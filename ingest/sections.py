"""Blocks in reading order → sections: the heading tree, runs of one kind, and which questions are FAQ pairs.

A block is what both HTML and plain text are first turned into, so that one set of rules makes the sections.

Which headings are questions of a FAQ: a heading that ends in a question mark,

- and stands under a heading that says FAQ (in any of the languages of ``FAQ_LABEL``): everything below it, up to
  the next heading that is not deeper, is its answer;
- or whose own body is at most ``SHORT_ANSWER`` words of prose and has nothing below it: likewise. This second rule
  is for pages whose headings are marked as such, and is left out where headings had to be guessed.

Elsewhere a question is a heading like any other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from ingest.article import Section, SectionKind
from ingest.labels import FAQ_LABEL
from ingest.shapes import is_question, word_count

#: Words of prose up to which what follows a question heading is taken for its answer.
SHORT_ANSWER = 150
#: Headings one after the other with nothing below them that are taken for a list of what they name, such as tiles are.
FEWEST_BARE = 3

BlockKind = Literal["heading", "end", "prose", "steps", "table", "faq"]


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph, a list, a table or a FAQ pair.

    :ivar text: Lines as in ``Section.text``; for a heading, the heading.
    :ivar level: Of a heading, 1 to 7. An ``end`` closes every open heading of its level or deeper.
    :ivar question: Of a ``faq`` block, its question; ``text`` is the answer.
    :ivar first: Of ``steps``, the number of the first step.
    """

    kind: BlockKind
    text: str
    level: int = 0
    anchor: str = ""
    question: str = ""
    first: int = 1


@dataclass(slots=True)
class _Run:
    """Blocks of one kind that become one section; joined once, since a page can have tens of thousands of them."""

    first: Section
    texts: list[str]

    def takes(self, block: Block, kind: SectionKind) -> bool:
        """Tell whether a block goes on with the run: prose with prose, steps where the list before them stopped."""
        if self.first.kind != kind:
            return False
        if kind == "prose":
            return True
        if kind != "steps" or block.first <= 1:
            return False
        numbers = [line.split(". ", 1)[0] for line in self.texts[-1].split("\n") if line[:1].isdigit()]
        return bool(numbers) and numbers[-1] == str(block.first - 1)


@dataclass(slots=True)
class _Node:
    """A heading and what stands right under it."""

    heading: str
    level: int
    anchor: str
    runs: list[_Run]
    children: list["_Node"]

    @property
    def sections(self) -> list[Section]:
        """The sections right under the heading."""
        return [replace(run.first, text="\n".join(run.texts)) for run in self.runs]


def build_sections(blocks: Iterable[Block], title: str, *, headings_are_marked: bool = True) -> tuple[Section, ...]:
    """Turn blocks in reading order into sections.

    :param title: The page's title; a heading that repeats it opens no level of its own.
    :param headings_are_marked: Whether a short question heading may count as a FAQ pair outside a FAQ.
    """
    root = _Node(heading="", level=0, anchor="", runs=[], children=[])
    stack = [root]
    for block in blocks:
        if block.kind in ("heading", "end"):
            while stack[-1].level >= block.level:
                stack.pop()
            if block.kind == "heading" and _folded(block.text) != _folded(title):
                node = _Node(block.text, block.level, block.anchor, [], [])
                stack[-1].children.append(node)
                stack.append(node)
            continue
        _append(stack, block)
    return tuple(_sections(root, in_faq=bool(FAQ_LABEL.search(title)), short_pairs=headings_are_marked))


def _append(stack: list[_Node], block: Block) -> None:
    node = stack[-1]
    if not block.text.strip():
        return
    if node.children:  # text after a closed deeper level, such as a panel: keep it in reading order
        if node.children[-1].heading:
            node.children.append(_Node("", node.level, node.anchor, [], []))
        node = node.children[-1]
    if block.kind == "faq":
        section = Section((block.question,), block.anchor or node.anchor, "faq", block.text)
    else:
        kind: SectionKind = block.kind if block.kind in ("steps", "table") else "prose"
        section = Section((), block.anchor or node.anchor, kind, block.text)
    if node.runs and node.runs[-1].takes(block, section.kind):
        node.runs[-1].texts.append(section.text)
    else:
        node.runs.append(_Run(section, [section.text]))


def _sections(node: _Node, *, in_faq: bool, short_pairs: bool) -> list[Section]:
    own = [_under(node, section) for section in node.sections]
    in_faq = in_faq or bool(FAQ_LABEL.search(node.heading))
    children: list[Section] = []
    for is_bare, group in groupby(node.children, key=_is_bare):
        below = list(group)
        if is_bare and short_pairs and len(below) >= FEWEST_BARE:
            listed = "\n".join(f"- {child.heading}" for child in below)
            children.append(_under(node, Section((), below[0].anchor, "prose", listed)))
            continue
        children.extend(section for child in below for section in _sections_below(node, child, in_faq, short_pairs))
    return own + children


def _is_bare(node: _Node) -> bool:
    """Tell whether a heading has nothing below it. Several of them are a list; a question without an answer tells nothing."""
    return bool(node.heading) and not node.runs and not node.children and not is_question(node.heading)


def _sections_below(node: _Node, child: _Node, in_faq: bool, short_pairs: bool) -> list[Section]:
    if is_question(child.heading) and (in_faq or (short_pairs and _is_short_answer(child))):
        return [_under(node, section) for section in _pair(child)]
    return [_under(node, section) for section in _sections(child, in_faq=in_faq, short_pairs=short_pairs)]


def _is_short_answer(node: _Node) -> bool:
    words = sum(word_count(text) for run in node.runs for text in run.texts)
    return not node.children and words <= SHORT_ANSWER and all(run.first.kind == "prose" for run in node.runs)


def _pair(node: _Node) -> list[Section]:
    """Make a pair of a question heading and what is below it; pairs that follow there stand beside it."""
    sections = node.sections
    kinds = [section.kind for section in sections]
    end = kinds.index("faq") if "faq" in kinds else len(kinds)
    answer = "\n".join(_answer_lines(node, sections[:end]))
    return [*([Section((node.heading,), node.anchor, "faq", answer)] if answer else []), *sections[end:]]


def _answer_lines(node: _Node, sections: list[Section]) -> list[str]:
    lines = [line for section in sections for line in (*section.heading_path, section.text)]
    for child in node.children:
        below = _answer_lines(child, child.sections)
        if below:
            lines.extend([child.heading, *below] if child.heading else below)
    return lines


def _under(node: _Node, section: Section) -> Section:
    return replace(section, heading_path=(node.heading, *section.heading_path)) if node.heading else section


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .:")
