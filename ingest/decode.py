"""Bytes of a page → text, whatever encoding they are declared to be in."""

import codecs
import re

import charset_normalizer

from ingest.article import PageError

_MAGIC = {
    b"%PDF": "a PDF file", b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image",
    b"RIFF": "a media file", b"PK\x03\x04": "a ZIP archive or an Office file", b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program", b"\xd0\xcf\x11\xe0": "an Office file", b"\x00\x00\x01\x00": "an icon", b"wOF": "a font",
    b"SQLite format 3": "a database",
}  # fmt: skip
_META = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")
#: Share of bytes that may be no UTF-8 in a page that is UTF-8 otherwise: a damaged or truncated character.
DAMAGED = 0.001


# Python's codecs that no page is written in; the time of some grows with the square of the length.
_NO_CHARSETS = frozenset(("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"))


def decode(data: bytes | str, *, declared: str | None, where: str) -> str:
    """Decode a page.

    UTF-8 is tried first, since other encodings hardly ever look like it; then what the page or its server
    declares, if the text then holds no control characters; then charset-normalizer's judgement.

    :raises PageError: If the data is empty, or not text.
    """
    if isinstance(data, str):
        text = data
    else:
        _refuse_binary(data, where)
        text = _decode(data, declared)
    if not text.strip():
        raise PageError(f"{where}: the page is empty; fetch it again, or leave it out")
    if len(_CONTROL.findall(text[:20_000])) > 0.1 * len(text[:20_000]):
        raise PageError(f"{where}: not text; give HTML, Markdown or plain text")
    return text.replace("\x00", "")


def _refuse_binary(data: bytes, where: str) -> None:
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            raise PageError(f"{where}: {kind}, not text; give the page as HTML, Markdown or plain text")


def _decode(data: bytes, declared: str | None) -> str:
    for bom, name in _BOMS.items():
        if data.startswith(bom):
            return data.decode(name, errors="replace")
    text = data.decode("utf-8", errors="replace")
    if text.count("\ufffd") <= max(1, DAMAGED * len(data)) and (
        text.count("\ufffd") == 0 or re.search(r"[^\x00-\x7f\ufffd]", text)
    ):
        return text.replace("\ufffd", "")
    found = _META.search(data[:4096])
    for encoding in (declared, found[1].decode("ascii") if found else None):
        decoded = _strictly(data, encoding)
        if decoded is not None:
            return decoded
    best = charset_normalizer.from_bytes(data).best()
    return str(best) if best else text


def _strictly(data: bytes, encoding: str | None) -> str | None:
    """Decode as HTML means the name (ISO 8859-1 is windows-1252), or give None if the text is then not clean."""
    if not encoding:
        return None
    try:
        name = codecs.lookup(encoding.strip()).name
        if name in _NO_CHARSETS:
            return None
        decoded = data.decode("cp1252" if name in ("iso8859-1", "ascii") else name)
    except (LookupError, UnicodeError):
        return None
    return None if _CONTROL.search(decoded) else decoded
