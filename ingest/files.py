"""The documents of a file or folder, opened one at a time; what cannot be read comes as a note, and the rest goes on."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from typing import Literal

from ingest.archive import Capture, read_warc
from ingest.article import IngestError
from ingest.dates import iso_day
from ingest.sources import FILE_SUFFIXES, FileSource, Source

DocumentKind = Literal["html", "text", "markdown", "pdf", "row"]
_KINDS: dict[str, DocumentKind] = {
    ".html": "html", ".htm": "html", ".xhtml": "html", ".txt": "text", ".text": "text", ".md": "markdown",
    ".markdown": "markdown", ".pdf": "pdf",
}  # fmt: skip
_TYPES: dict[str, DocumentKind] = {
    "text/html": "html", "application/xhtml+xml": "html", "text/plain": "text", "text/markdown": "markdown",
    "application/pdf": "pdf",
}  # fmt: skip
_ROW_FIELDS = {
    "url": str, "title": str, "text": str, "html": str, "id": str, "exchange": str, "language": str, "updated": str,
    "published": str,
}  # fmt: skip
_DATES = ("updated", "published")
_HALF = re.compile("[\ud800-\udfff]")
#: Size up to which a file of a page, or a line of a JSONL file, is read; larger ones are no help page.
LARGEST_FILE = 50_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """One page or row as it was read, not yet cleaned.

    :ivar key: Under which its source knows it from run to run: its address, or its path.
    :ivar name: Where it is from, for messages and for the store: a path, for a row with ``:line``, or an address.
    :ivar path: The file that it stands in; for a page from the web its address's.
    :ivar url: The address that it was fetched from, if it was.
    :ivar address: Of a file or row: the address that it gets where it names none itself.
    :ivar encoding: The character encoding that the server declared.
    :ivar fetched: ISO 8601 time of fetching; None for a file.
    :ivar row: The fields of a JSONL row; empty for a page.
    """

    kind: DocumentKind
    data: bytes
    key: str
    name: str
    path: Path
    source: Source
    url: str | None = None
    encoding: str | None = None
    fetched: str | None = None
    address: str = ""
    row: dict[str, str | None] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The sha256 of what is cleaned: the body, for a row with its other fields."""
        total = sha256(self.data)
        if self.row:
            total.update(json.dumps(self.row, sort_keys=True).encode("utf-8", "replace"))
        return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that is there and cannot be read.

    :ivar key: Which document it would be; None where that cannot be told.
    """

    problem: str
    key: str | None = None


def documents(source: FileSource) -> Iterator[Document | Unreadable]:
    """Give the documents of a file or folder in the order of their names."""
    for path in _files(source):
        suffix = _suffix(path)
        try:
            if suffix == ".jsonl":
                yield from _rows(path, source)
            elif suffix in (".warc", ".warc.gz"):
                yield from _captures(path, source)
            else:
                yield _document(path, source, _KINDS[suffix])
        except OSError as error:
            yield Unreadable(f"{path}: cannot be read ({error.strerror})", _key(path))


def from_capture(capture: Capture, source: Source) -> Document | Unreadable:
    """Make a document of a capture, from the archive or from a WARC file."""
    kind = _TYPES.get(capture.content_type) or _sniffed(capture.body)
    if kind is None:
        return Unreadable(
            f"{capture.url}: is {capture.content_type or 'of no known type'}, not a page; it is left out", capture.url
        )
    return Document(
        kind, capture.body, capture.url, capture.url, Path(capture.url), source, capture.url, capture.charset,
        capture.fetched,
    )  # fmt: skip


def _document(path: Path, source: FileSource, kind: DocumentKind) -> Document | Unreadable:
    if path.stat().st_size > LARGEST_FILE:
        return Unreadable(
            f"{path}: larger than {LARGEST_FILE // 1_000_000} MB, which no help page is; split it, or leave it out",
            _key(path),
        )
    return Document(kind, path.read_bytes(), _key(path), str(path), path, source, address=_address(path, source))


def _address(path: Path, source: FileSource) -> str:
    base = source.base_url
    if base and source.path.is_dir():
        return f"{base.rstrip('/')}/{path.relative_to(source.path).with_suffix('').as_posix()}"
    return base or path.resolve().as_uri()


def _key(path: Path) -> str:
    return str(path.resolve())


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return next((suffix for suffix in sorted(FILE_SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), "")


def _files(source: FileSource) -> list[Path]:
    """Give the files to read; of a folder the pages, and a JSONL or WARC file in it where a pattern asks for it."""
    if source.path.is_file():
        return [source.path]
    kinds = FILE_SUFFIXES if source.include else tuple(_KINDS)
    known = [path for path in sorted(source.path.rglob("*")) if _suffix(path) in kinds and path.is_file()]
    return [path for path in known if _wanted(path.relative_to(source.path).as_posix(), source)]


def _wanted(name: str, source: Source) -> bool:
    included = not source.include or any(fnmatch(name, pattern) for pattern in source.include)
    return included and not any(fnmatch(name, pattern) for pattern in source.exclude)


def _sniffed(body: bytes) -> DocumentKind | None:
    """Tell a page whose type was not declared, or wrongly, by its first bytes."""
    head = body[:1024].lstrip().lower()
    if head.startswith(b"%pdf-"):
        return "pdf"
    return "html" if head.startswith((b"<!doctype html", b"<html")) or b"<html" in head else None


def _captures(path: Path, source: FileSource) -> Iterator[Document | Unreadable]:
    for capture in read_warc(path):
        if isinstance(capture, IngestError):
            yield Unreadable(str(capture))
        elif _wanted(capture.url, source) and (_TYPES.get(capture.content_type) or _sniffed(capture.body)):
            # Pictures, scripts and styles stand in every WARC; they are no pages and no problem.
            yield from_capture(capture, source)


def _rows(path: Path, source: FileSource) -> Iterator[Document | Unreadable]:
    known = _key(path)
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LARGEST_FILE + 1):
            number += 1
            where = f"{path}:{number}"
            if len(line) > LARGEST_FILE:
                yield Unreadable(f"{where}: longer than {LARGEST_FILE // 1_000_000} MB; the line is left out")
                while line and not line.endswith(b"\n"):
                    line = file.readline(LARGEST_FILE)
            elif line.strip():
                yield _row(line, where, path, known, source)


def _row(line: bytes, where: str, path: Path, known: str, source: FileSource) -> Document | Unreadable:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:  # also 100,000 brackets
        return Unreadable(f"{where}: not a JSON object ({error}); the line is left out")
    if not isinstance(data, dict):
        return Unreadable(f"{where}: not a JSON object but {type(data).__name__}; the line is left out")
    row = {key: data.get(key) for key in _ROW_FIELDS}
    wrong = _wrong_type(row) or _wrong_text(row) or _missing(row)
    if wrong:
        return Unreadable(f"{where}: {wrong}; the line is left out")
    body = row["html"] or row["text"] or ""
    named = row["url"] or row["id"]
    key = f"{known}#{named}" if named else f"{known}:{where.rsplit(':', 1)[-1]}"
    fields = {name: value for name, value in row.items() if name not in ("html", "text")}
    fields["html"] = "yes" if row["html"] else None
    address = f"{Path(known).as_uri()}#line-{where.rsplit(':', 1)[-1]}"
    return Document("row", body.encode("utf-8", "replace"), key, where, path, source, address=address, row=fields)


def _wrong_type(row: dict[str, object]) -> str | None:
    for key, value in row.items():
        if value is not None and not isinstance(value, _ROW_FIELDS[key]):
            return f"{key!r} is {type(value).__name__}, a string is expected"
    return None


def _wrong_text(row: dict[str, str | None]) -> str | None:
    """Say which field cannot be stored: half a character, which JSON can spell and UTF-8 cannot, or no date."""
    for key, value in row.items():
        if value and _HALF.search(value):
            return f"{key!r} holds half of a surrogate pair, a string of whole characters is expected"
        if value and key in _DATES and not iso_day(value):
            return f"{key!r} is {value!r}, a date like 2026-05-01 is expected"
    return None


def _missing(row: dict[str, str | None]) -> str | None:
    if not row["html"] and not row["text"]:
        return "neither 'text' nor 'html' in it"
    return None if row["title"] or row["html"] else "'title' is missing"
