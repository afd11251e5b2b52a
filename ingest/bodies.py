"""Whether an answer is a page: its bytes decide, for what a server declares is often wrong."""

import re

HTML, TEXT, MARKDOWN, PDF = "text/html", "text/plain", "text/markdown", "application/pdf"
#: What is declared so is a page of that kind, unless its first bytes say otherwise.
_DECLARED = {
    "text/html": HTML, "application/xhtml+xml": HTML, "text/plain": TEXT, "text/markdown": MARKDOWN,
    "text/x-markdown": MARKDOWN, "application/pdf": PDF,
}  # fmt: skip
# First bytes of what is no page (and of PDF), by the kind that the message names.
_SIGNATURES = (
    (b"%PDF-", PDF), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"), (b"\0\0\1\0", "image/x-icon"), (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"), (b"\x7fELF", "application/octet-stream"), (b"MZ\x90", "application/octet-stream"),
    (b"ID3", "audio/mpeg"), (b"OggS", "audio/ogg"), (b"wOFF", "font/woff"), (b"wOF2", "font/woff2"),
    (b"\0asm", "application/wasm"), (b"Rar!", "application/vnd.rar"), (b"7z\xbc\xaf", "application/x-7z-compressed"),
)  # fmt: skip
_LOOKED_AT = 2048
_TAG = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|title|meta|main|article|section|div|h[1-6]|p|table|ul|ol|dl)[\s/>]", re.IGNORECASE
)  # fmt: skip
_XML = re.compile(rb"(?:<\?xml[^>]*\?>|<!--.*?-->|<!DOCTYPE[^>]*>|\s)*<([a-z][\w:.-]*)", re.IGNORECASE | re.DOTALL)
_XML_LISTS = (b"urlset", b"sitemapindex", b"rss", b"feed", b"rdf:rdf", b"svg")


def page_type(declared: str | None, body: bytes) -> tuple[str | None, str]:
    """Give what kind of page a body is, and what it is to be called where it is none.

    :param declared: The Content-Type header.
    :return: (`HTML`, `TEXT`, `MARKDOWN`, `PDF` or None, the media type).

    >>> page_type("text/html", b"GIF89a..."), page_type("image/png", b"<!DOCTYPE html><p>Hi")
    ((None, 'image/gif'), ('text/html', 'text/html'))
    """
    named = (declared or "").split(";")[0].strip().lower()
    start = body[:_LOOKED_AT]
    for signature, kind in _SIGNATURES:
        if start.startswith(signature):
            return (PDF if kind == PDF else None), kind
    if b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")) and not _is_utf16(start):
        start = start.replace(b"\0", b"")
        if not _TAG.search(start):
            return None, "application/octet-stream"
    root = _XML.match(start)
    if root and root[1].lower() in _XML_LISTS:
        return None, f"XML with <{root[1].decode().lower()}>"
    known = _DECLARED.get(named)
    if known == PDF:
        return None, "application/pdf without its first bytes"
    if known:
        return known, named
    if _TAG.search(_as_bytes(start)):
        return HTML, HTML
    return None, named or "application/octet-stream"


def _is_utf16(start: bytes) -> bool:
    """Tell Latin text in UTF-16 without a byte order mark: every other byte is NUL."""
    return len(start) > 3 and (start[1::2].count(0) > len(start) // 3 or start[::2].count(0) > len(start) // 3)


def _as_bytes(start: bytes) -> bytes:
    return start.replace(b"\0", b"") if b"\0" in start else start
