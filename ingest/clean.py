"""HTML page → Page: its title, dates and address, and its main content as sections."""

from itertools import islice

from bs4 import BeautifulSoup, Tag

from ingest.article import Page, PageError, Section
from ingest.blocks import PAIR, blocks_of
from ingest.breadcrumbs import without_page
from ingest.decode import decode
from ingest.faq import mark_pairs
from ingest.flags import flags_of, mark_unfilled
from ingest.hints import Sites, apply_hints, choose_main, shipped_sites
from ingest.measure import Measures
from ingest.noise import FEWEST_TOLD, MOST_LINKED, strip_noise
from ingest.pagemeta import PageMeta, choose_title, own_site, read_meta, visible_dates
from ingest.pairs import pair_up
from ingest.rescue import FEWEST_WORDS, is_lost, rescue
from ingest.sections import Block, build_sections
from ingest.shapes import word_count
from ingest.tidy import tidy
from ingest.tree import parse_tree, tags_of

#: Share of the page's own text that the main content has at least; the tree is followed down while one child has it.
#: Measured on 91 documentation pages of the WCXB set.
MAIN_SHARE = 0.85
#: Share of the page's own text from which an element that is marked as the main one is believed to be.
MARKED_SHARE = 0.5
#: Characters of a title. The longest title or main heading of 310 pages, most of them of the WCXB set, has 175; one that
#: is never closed goes on to the end of the page.
LONGEST_TITLE = 500
_FEWEST_LETTERS = 10
_PARTS = frozenset({"h2", "h3", "h4", "h5", "h6", PAIR})
_LEAVES = frozenset({"h1", "p", "table", "ul", "ol", "dl", "pre", *_PARTS})


def parse_html(
    data: bytes | str, *, url: str | None, declared_encoding: str | None = None, sites: Sites | None = None
) -> Page:
    """Read an HTML page.

    :param url: Where the page was read from: an http(s) address if it was fetched, which bounds what the page can say
        of its own address; a path or a name for a file.
    :param declared_encoding: What the server declared; tried after UTF-8.
    :param sites: Hints on single sites' pages; those that come with citedesk where it is None.
    :raises PageError: If the data is empty or not text, or if no main text is found.
    """
    where = url or "page"
    return read_html(decode(data, declared=declared_encoding, where=where), url=url, where=where, sites=sites)


def read_html(html: str, *, url: str | None, where: str, sites: Sites | None = None) -> Page:
    """Read an HTML page that is decoded already; ``where`` names it in messages.

    :raises PageError: If no main text is found.
    """
    soup = parse_tree(html, where=where)
    meta = read_meta(soup, url)
    hinted = apply_hints(soup, meta, sites or shipped_sites())
    mark_pairs(soup)
    disclaimer = strip_noise(soup)
    mark_unfilled(soup)
    title = _cut(choose_title(soup, meta))
    visible_dates(soup, meta)
    found = blocks_of(choose_main(hinted, _main(soup)))
    sections = _sections(found, meta, title)
    rescued = rescue(html, where=where) if is_lost(_words(sections), html, where=where) else None
    if rescued:
        mark_pairs(rescued)
        mark_unfilled(rescued)
        found = blocks_of(_main(rescued))
        sections = _sections(found, meta, title)
    _refuse_empty(sections, where)
    flags = flags_of((f"{block.question}\n{block.text}" for block in found), dates_are_broken=meta.dates_are_broken)
    return Page(
        title=title or _cut(sections[0].text.split("\n")[0]),
        url=meta.url,
        published=meta.published,
        updated=meta.updated,
        language_hint=meta.language,
        site=own_site(meta, url, disclaimer),
        disclaimer=disclaimer,
        sections=sections,
        breadcrumbs=without_page(meta.breadcrumbs, title),
        flags=(*flags, "rescued") if rescued else flags,
    )


def _main(soup: BeautifulSoup) -> Tag:
    """Follow the tree down to the smallest element that holds nearly all of the page's own text."""
    page = Measures(soup)
    marked = [tag for tag in page.tags() if tag.name == "main" or tag.get("role") == "main"]
    node: Tag = next((tag for tag in marked if page.share(tag) >= MARKED_SHARE), soup.body or soup)
    while True:
        children = [child for child in node.children if isinstance(child, Tag) and child.name not in _LEAVES]
        best = max(children, key=page.own, default=None)
        if best is None or page.share(best) < MAIN_SHARE:
            return node
        if any(_is_part(page, child) for child in node.children if isinstance(child, Tag) and child is not best):
            return node
        node = best


def _is_part(page: Measures, element: Tag) -> bool:
    """Tell whether an element beside the main one is of the article too: it has headings of its own, or it tells something.

    An introduction often stands beside the rest, in the header.
    """
    for inner in (element, *tags_of(element)):
        if inner.name in _PARTS:
            return True
        if inner.name == "p" and page.own(inner) >= FEWEST_TOLD and page.link_density(inner) < MOST_LINKED:
            return True
    return False


def _sections(found: list[Block], meta: PageMeta, title: str) -> tuple[Section, ...]:
    blocks = pair_up(tidy(found), meta.questions)
    return build_sections(_without_title(blocks, title), title)


def _words(sections: tuple[Section, ...]) -> int:
    """Count the words of a page's sections, until there are enough of them for a page that was not lost."""
    words = 0
    for section in sections:
        words += sum(map(word_count, (*section.heading_path, section.text)))
        if words >= FEWEST_WORDS:
            break
    return words


def _without_title(blocks: list[Block], title: str) -> list[Block]:
    """Drop what stands before the title, if little does: it is the site's, not the article's."""
    for index, block in enumerate(blocks):
        if block.kind == "heading" and block.level == 1 and block.text == title:
            before = sum(len(other.text) for other in blocks[:index])
            after = sum(len(other.text) for other in blocks[index:])
            return blocks[index:] if before < 0.1 * after else blocks
    return blocks


def _cut(title: str) -> str:
    """Cut a title that is too long to be one off after a word."""
    if len(title) <= LONGEST_TITLE:
        return title
    return f"{title[: LONGEST_TITLE - 1].rsplit(None, 1)[0]}…"


def _refuse_empty(sections: tuple[Section, ...], where: str) -> None:
    texts = (text for section in sections for text in (*section.heading_path, section.text))
    letters = (character for text in texts for character in text if character.isalnum())
    if sum(1 for _ in islice(letters, _FEWEST_LETTERS)) < _FEWEST_LETTERS:
        raise PageError(
            f"{where}: no main text in it; if JavaScript builds the page, give it as a browser saves it, or as text"
        )
