"""A help page with the chat widget on it: an article of the published snapshot, as an exchange's own site might show it."""

from html import escape
from itertools import groupby
from urllib.parse import quote

from index.snapshot import Snapshot
from ingest.article import Article, Section

MOST_LISTED = 100


def help_page(snapshot: Snapshot, key: str, id: str | None = None) -> str | None:
    """Write the page of an article, without an id of the first one; None where there is no such article.

    :param key: A widget key that holds for the page.
    """
    listed = snapshot.articles(limit=MOST_LISTED)
    article = snapshot.article(id) if id else (listed[0] if listed else None)
    if article is None:
        return None
    others = "".join(_entry(each, here=each.id == article.id) for each in listed)
    return (
        f'<!doctype html><html lang="{escape(article.language)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<title>{escape(article.title)}</title><link rel="icon" href="/static/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/static/help.css"></head>'
        f"<body><header><p>{escape(article.exchange or 'Help')}</p></header><main><h1>{escape(article.title)}</h1>"
        f'{_body(article)}</main><nav aria-label="Articles"><h2>Articles</h2><ul>{others}</ul></nav>'
        f'<script src="/widget.js" data-key="{escape(key)}" data-page-url="{escape(article.url)}" async></script></body></html>'
    )


def _entry(article: Article, *, here: bool) -> str:
    current = ' aria-current="page"' if here else ""
    path = quote(article.id, safe="")
    return f'<li><a href="/help/{path}"{current}>{escape(article.title)}</a></li>'


def _body(article: Article) -> str:
    parts = []
    for path, sections in groupby(article.sections, key=lambda section: section.heading_path):
        if path:
            level = min(len(path) + 1, 6)
            parts.append(f"<h{level}>{escape(path[-1])}</h{level}>")
        parts.extend(_section(section) for section in sections)
    return "".join(parts)


def _section(section: Section) -> str:
    if section.kind == "steps":
        items = (line.split(". ", 1)[-1] for line in section.text.splitlines())
        return f"<ol>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ol>"
    return "".join(f"<p>{escape(line)}</p>" for line in section.text.splitlines() if line.strip())
