"""Ways in which a page breaks: each takes a page's bytes and a draw, and gives them broken."""

import re
from collections.abc import Callable
from random import Random

Mutation = Callable[[bytes, Random], bytes]

#: Bytes that a broken page has at most; a longer one is cut.
LONGEST = 4_000_000
_TAG = re.compile(rb"</?[a-zA-Z][^<>]{0,400}>")
_OPEN = re.compile(rb"<([a-zA-Z][a-zA-Z0-9]*)(?=[\s>])")
_CLOSE = re.compile(rb"</[a-zA-Z][a-zA-Z0-9]*\s*>")
_JSON = re.compile(rb"(<script[^>]*ld\+json[^>]*>)(.*?)(</script>)", re.DOTALL | re.IGNORECASE)
_VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"|\b\d+\b|\[|\]|\{|\}')

_ENTITIES = (b"&#0;", b"&#xD800;", b"&#xDFFF;&#xD800;", b"&#x110000;", b"&#99999999999999999999;", b"&amp;amp;lt;", b"&nbsp", b"&#xFFFF;",
             b"&nosuchentity;", b"&#x80;", b"&#x202E;", b"&#", b"&", b"&lt;script&gt;", b"&#13;", b"&ZeroWidthSpace;")  # fmt: skip
_MARKS = tuple(mark.encode("utf-8", "surrogatepass") for mark in (
    "\u202e", "\u202d", "\u2066", "\u2069", "\u200f", "\u200b", "\ufeff", "\u00ad", "\u0301" * 500, "\u2028", "\x85", "\x0c", "\x1b[31m",
    "\ud800", "\udfff", "\U0010ffff", "\ufffe", "\U000e0041", "\u0130", "ﷺ" * 50, "\u0600", "\x7f",
))  # fmt: skip
_NUMBERS = (
    b"1000000000",
    b"-1",
    b"0",
    b"999999999999999999999999999999",
    b"x",
    b"",
    b"1e9",
    b"\xc2\xb2",
    b"\xd9\xa3",
    b"65536",
    b"2147483648",
)
_UNCLOSED = (b"<!--", b"<script>", b"<style>", b"<textarea>", b"<title>", b"<![CDATA[", b"<svg><style>", b"<template>", b"<noscript>",
             b"<plaintext>", b"<select><option>", b"<iframe>", b"<xmp>", b"<math><mtext>", b"<frameset>", b"<?php ", b"<a href='",
             b"<table><tr><td><select>", b"<button><a><button>", b"</html></body>")  # fmt: skip
_NESTED = (b"div", b"span", b"b", b"ul><li", b"ol><li", b"table><tr><td", b"blockquote", b"details", b"dl><dd", b"font", b"section",
           b"a", b"p", b"h2", b"pre", b"details><summary", b"article", b"q7-x")  # fmt: skip
_ADDRESSES = (b"http://[", b"http://[::1", b"javascript:1", b"http://a:99999999/", b"//", b"http:///x", b"data:,", b"http://\x00/", b"%",
              b"http://xn--a.example/", b"https://" + b"a" * 5000 + b".example/", b"http://exa mple/", b"\xe2\x84\xa1.example",
              b"http://user:pw@host:port/", b"http://a..b/", b"file:///etc/passwd", b"http://1.2.3/%ff%fe", b"?#")  # fmt: skip
_DATES = (b"0000-00-00", b"9999-99-99T99:99:99Z", b"Invalid Date", b"-1", b"99999999999999999999", b"2026-02-30", b"31/31/31", b"now",
          b"\xd9\xa2\xd9\xa0\xd9\xa2\xd9\xa6", b"1e400", b"NaN", b"2026-01-01T00:00:00+99:99", b"0001-01-01T00:00:00+14:00",
          b"10000-01-01", b"January", b"20260101T250000")  # fmt: skip
_VALUES = (b"null", b"7", b"-1e999", b"true", b"[]", b"{}", b'""', b"[[[[]]]]", b'"\\ud800"', b'"\\u0000"', b'{"@type": ["FAQPage", 7, null]}',
           b"NaN", b'"http://["', b"9" * 5000, b'{"@type": {"@type": {}}}', b'["a", 1, null, {"name": 2}]')  # fmt: skip
_HOSTILE_DATA = (
    b"[" * 5000, b'{"a":' * 5000, b'{"@graph": ' + b"[" * 900 + b"]" * 900 + b"}", b'{"@type": "FAQPage", "mainEntity": 5}',
    b'{"@type": "FAQPage", "mainEntity": [null, 1, "x", {"name": 3, "acceptedAnswer": [1]}, {"@type": "Question", "name": null}]}',
    b'{"@type": "QAPage", "mainEntity": {"@type": "Question", "name": ["a"], "acceptedAnswer": {"text": {"@value": 1}}}}',
    b'{"@type": "Article", "headline": {"x": 1}, "datePublished": 20260101, "dateModified": [], "inLanguage": 9}',
    b'{"@type": "BreadcrumbList", "itemListElement": [{"position": "x", "name": 5}, {"position": {}, "item": [1]}, 7]}',
    b'{"@type": "BreadcrumbList", "itemListElement": {"position": 1e999, "item": {"name": null}}}',
    b'{"@type": ["Article", {}], "url": "http://[", "mainEntityOfPage": {"@id": 7}, "headline": "\\ud83d"}',
    b'{"@context": "x", "@graph": "@graph"}', b"\xff\xfe{}", b"", b"null", b"<!-- {} -->", b'{"@type":"FAQPage"}{"@type":"FAQPage"}',
)  # fmt: skip


def broken(data: bytes, draw: Random) -> tuple[bytes, tuple[str, ...]]:
    """Break a page in one to four ways.

    :return: The page, of `LONGEST` bytes at most, and the names of the ways.
    """
    chosen = [draw.choice(MUTATIONS) for _ in range(draw.choice((1, 1, 2, 3, 4)))]
    for mutation in chosen:
        data = mutation(data, draw)[:LONGEST]
    return data, tuple(mutation.__name__ for mutation in chosen)


def _place(data: bytes, draw: Random) -> int:
    """Choose where to insert: mostly between tags, sometimes anywhere."""
    at = draw.randint(0, len(data))
    if draw.random() < 0.2:
        return at
    after = data.find(b">", at)
    return after + 1 if after >= 0 else at


def _insert(data: bytes, draw: Random, piece: bytes, times: int = 1) -> bytes:
    for _ in range(times):
        at = _place(data, draw)
        data = data[:at] + piece + data[at:]
    return data


def _span(data: bytes, draw: Random, longest: int = 20_000) -> tuple[int, int]:
    start = draw.randint(0, len(data))
    return start, min(len(data), start + draw.randint(0, longest))


def _some(pattern: re.Pattern[bytes], data: bytes, draw: Random, share: float) -> list[re.Match[bytes]]:
    return [found for found in pattern.finditer(data) if draw.random() < share]


def _replace(data: bytes, found: list[re.Match[bytes]], new: Callable[[re.Match[bytes]], bytes]) -> bytes:
    pieces, at = [], 0
    for match in found:
        pieces += [data[at : match.start()], new(match)]
        at = match.end()
    return b"".join([*pieces, data[at:]])


def flip_bytes(data: bytes, draw: Random) -> bytes:
    """Change bytes here and there."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 10, 100, 1000)) if data else 0):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def truncate(data: bytes, draw: Random) -> bytes:
    """Cut the page off."""
    return data[: draw.randint(0, len(data))]


def cut_span(data: bytes, draw: Random) -> bytes:
    """Take a span out."""
    start, end = _span(data, draw)
    return data[:start] + data[end:]


def double_span(data: bytes, draw: Random) -> bytes:
    """Repeat a span, or many times a short one."""
    start, end = _span(data, draw, draw.choice((100, 2000, 20_000)))
    return data[:end] + data[start:end] * draw.choice((1, 1, 3, 50)) + data[end:]


def swap_tags(data: bytes, draw: Random) -> bytes:
    """Exchange tags with each other."""
    tags = [match[0] for match in _TAG.finditer(data)]
    share = draw.choice((0.005, 0.05, 0.5))
    return _replace(data, _some(_TAG, data, draw, share), lambda _: draw.choice(tags))


def rename_tags(data: bytes, draw: Random) -> bytes:
    """Make other elements of elements."""
    names = (
        b"table",
        b"td",
        b"li",
        b"dt",
        b"h2",
        b"summary",
        b"details",
        b"script",
        b"p",
        b"form",
        b"svg",
        b"caption",
        b"select",
        b"html",
    )
    return _replace(data, _some(_OPEN, data, draw, draw.choice((0.01, 0.2))), lambda _: b"<" + draw.choice(names))


def unclose_tags(data: bytes, draw: Random) -> bytes:
    """Leave closing tags out."""
    return _replace(data, _some(_CLOSE, data, draw, draw.choice((0.01, 0.2, 1.0))), lambda _: b"")


def drop_opening_tags(data: bytes, draw: Random) -> bytes:
    """Leave opening tags out."""
    return _replace(data, _some(_TAG, data, draw, draw.choice((0.01, 0.2))), lambda _: b"")


def nest(data: bytes, draw: Random) -> bytes:
    """Put a span, or all that follows, very many elements deep."""
    name = draw.choice(_NESTED)
    levels = draw.choice((50, 300, 1500, 6000, 30_000))
    start = _place(data, draw)
    end = _place(data, draw) if draw.random() < 0.5 else start
    last = name.rpartition(b"<")[2]
    closing = b"".join(b"</" + part + b">" for part in reversed(name.split(b"><"))) if draw.random() < 0.7 else b""
    start, end = min(start, end), max(start, end)
    text = b"Deep." if start == end else data[start:end]
    assert last
    return data[:start] + (b"<" + name + b">") * levels + text + closing * levels + data[end:]


def blow_up_attribute(data: bytes, draw: Random) -> bytes:
    """Give an element an attribute of up to a megabyte, or thousands of attributes."""
    name = draw.choice(
        (
            b"class",
            b"id",
            b"href",
            b"style",
            b"alt",
            b"title",
            b"lang",
            b"data-x",
            b"content",
            b"datetime",
            b"aria-label",
        )
    )
    size = draw.choice((1000, 100_000, 1_000_000))
    piece = draw.choice((b"x", b"a ", b"-", b"faq-", b"&amp;", b"\xe2\x80\xae", b"(", b"1"))
    attribute = b" " + name + b'="' + piece * (size // len(piece)) + b'"'
    if draw.random() < 0.2:
        attribute = b"".join(b' a%d="x"' % number for number in range(3000))
    found = _some(_OPEN, data, draw, 0.05)[:1]
    return _replace(data, found, lambda match: match[0] + attribute)


def add_entities(data: bytes, draw: Random) -> bytes:
    """Strew character references that mean nothing, or something that must not be."""
    return _insert(data, draw, draw.choice(_ENTITIES) * draw.choice((1, 3, 1000)), draw.choice((1, 5, 30)))


def add_marks(data: bytes, draw: Random) -> bytes:
    """Strew marks of direction, zero-width and control characters, and half surrogates."""
    for _ in range(draw.choice((1, 5, 30))):
        data = _insert(data, draw, draw.choice(_MARKS) * draw.choice((1, 2, 100)))
    return data


def add_invalid_utf8(data: bytes, draw: Random) -> bytes:
    """Strew bytes that are no UTF-8."""
    pieces = (
        b"\xff",
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\x80" * 50,
        b"\xf8\x88\x80\x80\x80",
        b"\x81\x8d",
    )
    for _ in range(draw.choice((1, 10, 100))):
        at = draw.randint(0, len(data))
        data = data[:at] + draw.choice(pieces) + data[at:]
    return data


def mix_encodings(data: bytes, draw: Random) -> bytes:
    """Write a span, or all, in another encoding."""
    start, end = _span(data, draw) if draw.random() < 0.6 else (0, len(data))
    text = data[start:end].decode("utf-8", "replace")
    name = draw.choice(
        ("utf-16", "utf-16-le", "utf-32", "latin-1", "shift_jis", "gb18030", "koi8-r", "utf-7", "cp037", "big5")
    )
    return data[:start] + text.encode(name, "replace") + data[end:]


def lie_about_charset(data: bytes, draw: Random) -> bytes:
    """Declare another charset, or none that there is."""
    names = (b"utf-16", b"latin-1", b"x-user-defined", b"nosuch", b"utf-7", b"base64", b"idna", b"punycode", b"zlib", b"rot13", b"\xff", b"undefined",
             b"unicode_escape", b"raw_unicode_escape", b"hex", b"mbcs", b"cp65001", b"iso-2022-jp", b"utf-32", b"gb2312")  # fmt: skip
    return b'<meta charset="' + draw.choice(names) + b'">' + data


def add_nuls(data: bytes, draw: Random) -> bytes:
    """Strew NUL bytes, in tags too."""
    for _ in range(draw.choice((1, 20, 200))):
        at = draw.randint(0, len(data))
        data = data[:at] + b"\0" * draw.choice((1, 1, 50)) + data[at:]
    return data


def damage_json_ld(data: bytes, draw: Random) -> bytes:
    """Put other values into the page's JSON-LD."""
    share = draw.choice((0.02, 0.2))

    def damage(found: re.Match[bytes]) -> bytes:
        return (
            found[1]
            + _replace(found[2], _some(_VALUE, found[2], draw, share), lambda _: draw.choice(_VALUES))
            + found[3]
        )

    return _replace(data, list(_JSON.finditer(data)), damage)


def add_json_ld(data: bytes, draw: Random) -> bytes:
    """Add JSON-LD of the wrong shape."""
    block = b'<script type="application/ld+json">' + draw.choice(_HOSTILE_DATA) + b"</script>"
    return _insert(data, draw, block, draw.choice((1, 1, 200)))


def blow_up_spans(data: bytes, draw: Random) -> bytes:
    """Give cells spans, and lists numbers, that nobody can count."""
    names = {b"td": (b"colspan", b"rowspan"), b"th": (b"colspan", b"rowspan"), b"ol": (b"start", b"reversed"), b"li": (b"value",),
             b"col": (b"span",), b"h2": (b"aria-level",)}  # fmt: skip

    def widen(found: re.Match[bytes]) -> bytes:
        name = draw.choice(names.get(found[1].lower(), (b"tabindex",)))
        return found[0] + b" " + name + b'="' + draw.choice(_NUMBERS) + b'"'

    cells = [match for match in _OPEN.finditer(data) if match[1].lower() in names and draw.random() < 0.3]
    table = b"<table><tr><th>A<th>B</tr><tr><td colspan=1000000000 rowspan=1000000000>x</td><td>y</table><ol start=999999999999><li>One<li>Two</ol>"
    return _insert(_replace(data, cells, widen), draw, table)


def leave_open(data: bytes, draw: Random) -> bytes:
    """Open what is never closed: comments, scripts, styles, attributes."""
    return _insert(data, draw, draw.choice(_UNCLOSED), draw.choice((1, 1, 5, 300)))


def double_ids(data: bytes, draw: Random) -> bytes:
    """Give every element the same id."""
    return _OPEN.sub(lambda found: found[0] + b' id="same"', data, count=draw.choice((5, 500)))


def add_mass(data: bytes, draw: Random) -> bytes:
    """Add very much of one thing."""
    piece, times = draw.choice((
        (b"x", 500_000), (b"<a href='/p'>Link</a> ", 10_000), (b"<tr><td>a</td><td>b</td></tr>", 3000), (b"<h2>Heading?</h2>", 3000),
        (b"<dt>Q?</dt><dd>A.</dd>", 2000), (b"<details><summary>Q?</summary>A.</details>", 1500), (b"<li>Item</li>", 5000), (b"<br>", 10_000),
        (b"<p></p>", 10_000), (b"<i>", 3000), (b"a.", 100_000), (b"Q: why?<br>A: so.<br>", 2000), (b"<p>1. Step</p>", 3000), (b"? ", 50_000),
        (b"<p>$1.00 +1%</p>", 3000), (b"{{ x }} ", 5000), (b"{", 50_000), (b"[[", 30_000), (b"<!-- -->", 10_000), (b"\n \t", 100_000),
        (b"<td>", 3000), (b"http://a.b/c ", 20_000), (b"1.1.1.", 30_000), (b"- ", 50_000), (b"<pre>\n</pre>", 3000), (b"<b>a</b>", 10_000),
    ))  # fmt: skip
    return _insert(data, draw, piece * draw.choice((times // 10, times)))


def damage_head(data: bytes, draw: Random) -> bytes:
    """Give the page addresses, dates and languages that are none."""
    address, day = draw.choice(_ADDRESSES), draw.choice(_DATES)
    language = draw.choice(
        (b"", b"x", b"e" * 3000, b"en-\xff", b"123", b"zh-Hant-TW-x-y", b"\xe2\x80\xae", b"en_US.UTF-8")
    )
    pieces = (
        b'<link rel="canonical" href="' + address + b'">', b'<base href="' + address + b'">', b'<html lang="' + language + b'">',
        b'<meta property="og:url" content="' + address + b'">', b'<meta property="article:published_time" content="' + day + b'">',
        b'<meta name="date" content="' + day + b'"><time datetime="' + day + b'">' + day + b"</time>", b"<p>Updated on " + day + b"</p>",
        b'<link rel="alternate" hreflang="' + language + b'" href="' + address + b'">', b"<title></title><h1></h1>", b"<title>\xe2\x80\x8b</title>",
        b'<meta property="og:title" content="' + b"T" * 100_000 + b'">', b"<h1>" + b"H " * 20_000 + b"</h1>",
    )  # fmt: skip
    return (
        b"".join(draw.sample(pieces, draw.randint(1, 4))) + data
        if draw.random() < 0.6
        else _insert(data, draw, draw.choice(pieces))
    )


MUTATIONS: tuple[Mutation, ...] = (
    flip_bytes, truncate, cut_span, double_span, swap_tags, rename_tags, unclose_tags, drop_opening_tags, nest, blow_up_attribute, add_entities,
    add_marks, add_invalid_utf8, mix_encodings, lie_about_charset, add_nuls, damage_json_ld, add_json_ld, blow_up_spans, leave_open, double_ids,
    add_mass, damage_head,
)  # fmt: skip
