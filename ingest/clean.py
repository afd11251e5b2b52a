"""HTML page → Page: its title, dates and address, and its main content as sections."""

from bs4 import BeautifulSoup, Tag

from ingest.article import Page, PageError, Section
from ingest.blocks import PAIR, blocks_of
from ingest.decode import decode
from ingest.faq import mark_pairs
from ingest.measure import Measures
from ingest.noise import strip_noise
from ingest.pagemeta import choose_title, read_meta, site_of, visible_dates
from ingest.pairs import pair_up
from ingest.sections import Block, build_sections
from ingest.tidy import tidy

#: Share of the page's own text that the main content has at least; the tree is followed down while one child has it.
#: Measured on 91 documentation pages of the WCXB set.
MAIN_SHARE = 0.85
#: Levels of elements inside each other that are kept; the deepest of the 255 pages of the set has 48.
DEEPEST = 120
_FEWEST_LETTERS = 10
_PARTS = ["h2", "h3", "h4", "h5", "h6", PAIR]
_LEAVES = frozenset({"h1", "p", "table", "ul", "ol", "dl", "pre", *_PARTS})


def parse_html(data: bytes | str, *, url: str | None, declared_encoding: str | None = None) -> Page:
    """Read an HTML page.

    :param url: Where the page was read from; the address that it names itself goes first.
    :param declared_encoding: What the server declared; tried after UTF-8.
    :raises PageError: If the data is empty or not text, or if no main text is found.
    """
    where = url or "page"
    return read_html(decode(data, declared=declared_encoding, where=where), url=url, where=where)


def read_html(html: str, *, url: str | None, where: str) -> Page:
    """Read an HTML page that is decoded already; ``where`` names it in messages.

    :raises PageError: If no main text is found.
    """
    soup = BeautifulSoup(html, "lxml")
    _flatten(soup)
    meta = read_meta(soup, url)
    mark_pairs(soup)
    disclaimer = strip_noise(soup)
    title = choose_title(soup, meta)
    visible_dates(soup, meta)
    blocks = pair_up(tidy(blocks_of(_main(soup))), meta.questions)
    sections = build_sections(_without_title(blocks, title), title)
    _refuse_empty(sections, where)
    return Page(
        title=title or sections[0].text.split("\n")[0],
        url=meta.url,
        published=meta.published,
        updated=meta.updated,
        language_hint=meta.language,
        site=site_of(meta.url) or site_of(disclaimer),
        disclaimer=disclaimer,
        sections=sections,
    )


def _flatten(soup: BeautifulSoup) -> None:
    """Unwrap what is nested deeper than any page needs, so that nothing that walks the tree can go too deep."""
    for element in soup.find_all(True):
        if sum(1 for _ in element.parents) > DEEPEST:
            element.unwrap()


def _main(soup: BeautifulSoup) -> Tag:
    """Follow the tree down to the smallest element that holds nearly all of the page's own text."""
    page = Measures(soup)
    node: Tag = soup.body or soup
    while True:
        children = [child for child in node.children if isinstance(child, Tag) and child.name not in _LEAVES]
        best = max(children, key=page.own, default=None)
        if best is None or page.share(best) < MAIN_SHARE:
            return node
        rest = [child for child in children if child is not best]
        if any(child.name in _PARTS or child.find(_PARTS) for child in rest):
            return node
        node = best


def _without_title(blocks: list[Block], title: str) -> list[Block]:
    """Drop what stands before the title, if little does: it is the site's, not the article's."""
    for index, block in enumerate(blocks):
        if block.kind == "heading" and block.level == 1 and block.text == title:
            before = sum(len(other.text) for other in blocks[:index])
            after = sum(len(other.text) for other in blocks[index:])
            return blocks[index:] if before < 0.1 * after else blocks
    return blocks


def _refuse_empty(sections: tuple[Section, ...], where: str) -> None:
    texts = [text for section in sections for text in (*section.heading_path, section.text)]
    if sum(character.isalnum() for character in "".join(texts)) < _FEWEST_LETTERS:
        raise PageError(
            f"{where}: no main text in it; if JavaScript builds the page, give it as a browser saves it, or as text"
        )
