"""Document → Article: the page cleaned, and what it is about: exchange, products, language, trust."""

import re
import unicodedata
from datetime import date
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from ingest.article import Article, Page, Trust
from ingest.clean import parse_html
from ingest.dates import iso_day
from ingest.exchanges import Directory
from ingest.files import Document
from ingest.hints import Sites
from ingest.language import detect
from ingest.textdump import parse_body, parse_markdown, parse_text

# An exchange that the title does not name is taken from the text where it has this many times the mentions of the next.
DOMINANCE = 3
# A product must have this share of the mentions of the most mentioned one to be among the article's products.
PRODUCT_SHARE = 0.3
LONGEST_ID = 80


def to_article(document: Document, directory: Directory, sites: Sites | None = None) -> Article:
    """Clean a document and find out what it is about.

    :param sites: Hints on the markup of sites; those that come with citedesk where it is None.
    :raises IngestError: It is empty, no text, or has no main text.
    """
    page = _page(document, sites)
    row = document.row
    url = row.get("url") or _named(page) or document.url or document.address
    # What a page says of itself proves nothing: the site is the one that it was fetched from.
    site = document.url or url
    title = row.get("title") or page.title
    text = "\n".join(section.text for section in page.sections)
    return Article(
        id=row.get("id") or slug(url, document),
        url=url,
        title=title,
        exchange=_exchange(document, title, site, page, text, directory),
        products=_products(title, page, text, directory),
        language=row.get("language") or detect(f"{title}\n{text}"),
        trust=_trust(site, page, directory, fetched=document.url is not None),
        published=iso_day(row.get("published") or "") or page.published,
        updated=iso_day(row.get("updated") or "") or page.updated,
        fetched=document.fetched or date.today().isoformat(),
        sections=page.sections,
        disclaimer=page.disclaimer,
        flags=page.flags,
    )


def slug(url: str, document: Document) -> str:
    """Make a readable id from the last part of an address.

    A row without an address is named after its file and line.
    """
    parts = urlsplit(url)
    path = PurePosixPath(unquote(parts.path))
    name = path.stem if path.suffix.lower() in {".html", ".htm", ".txt", ".md", ".xhtml", ".php"} else path.name
    if document.kind == "row" and parts.scheme == "file":
        name = f"{document.path.stem} {parts.fragment}"
    folded = unicodedata.normalize("NFKC", name or document.path.stem).casefold()
    return re.sub(r"[\W_]+", "-", folded).strip("-")[:LONGEST_ID] or "article"


def _page(document: Document, sites: Sites | None) -> Page:
    match document.kind:
        case "html":
            where = document.url or document.name
            return parse_html(document.data, url=where, declared_encoding=document.encoding, sites=sites)
        case "text":
            return parse_text(document.data, name=document.name)
        case "markdown":
            return parse_markdown(document.data, name=document.name)
        case "pdf":
            from ingest.pdf import parse_pdf  # a large library, and most sources have no PDF

            return parse_pdf(document.data, name=document.name)
        case "row":
            if document.row["html"]:
                return parse_html(document.data, url=document.row["url"] or document.name, sites=sites)
            return parse_body(document.data, name=document.name, title=document.row["title"] or "")


def _named(page: Page) -> str | None:
    return page.url if page.url and page.url.startswith(("http://", "https://")) else None


def _exchange(document: Document, title: str, url: str, page: Page, text: str, directory: Directory) -> str | None:
    """Find the exchange that a page is about: what the operator or the row says, the site's owner, the title, the text."""
    said = " ".join((document.row.get("exchange") or document.source.exchange or "").split())
    if said:
        return directory.canonical(said) or said
    owner = directory.owner(url)
    if owner:
        return owner
    named = directory.mentioned(title)
    if len(named) == 1:
        return named[0]
    in_trail = directory.mentioned("\n".join(page.breadcrumbs))
    if len(in_trail) == 1:
        return in_trail[0]
    in_path = directory.mentioned(re.sub(r"[-_/]+", " ", urlsplit(url).path)) if url.startswith("http") else ()
    if len(in_path) == 1:
        return in_path[0]
    return _dominant(title, page, text, directory)


def _dominant(title: str, page: Page, text: str, directory: Directory) -> str | None:
    headings = "\n".join(dict.fromkeys(name for section in page.sections for name in section.heading_path))
    counts: dict[str, int] = {}
    for line in f"{title}\n{headings}\n{text}".split("\n"):
        for name in directory.mentioned(line):
            counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    if not ranked or (len(ranked) > 1 and ranked[0][1] < DOMINANCE * ranked[1][1]):
        return None
    # A single passing mention does not make a page one about an exchange.
    return ranked[0][0] if ranked[0][1] >= DOMINANCE else None


def _products(title: str, page: Page, text: str, directory: Directory) -> tuple[str, ...]:
    named = directory.products_in("\n".join((title, *page.breadcrumbs)))
    headings = "\n".join(name for section in page.sections for name in section.heading_path)
    counts = directory.products_in(f"{headings}\n{text}")
    least = PRODUCT_SHARE * max(counts.values(), default=0)
    return tuple(dict.fromkeys([*named, *(name for name, count in counts.items() if count >= least)]))


def _trust(url: str, page: Page, directory: Directory, *, fetched: bool) -> Trust:
    """Judge by the address; of a saved page that has none, by the site that its text names as its own."""
    trust = directory.trust(url)
    return directory.trust(page.site) if trust == "unknown" and page.site and not fetched else trust
