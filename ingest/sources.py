"""What to read: a file, a folder, or the sources that a sources.toml names, opened as documents one at a time."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from ingest.article import IngestError
from ingest.dates import iso_day

DocumentKind = Literal["html", "text", "markdown", "row"]
_KINDS: dict[str, DocumentKind] = {
    ".html": "html", ".htm": "html", ".xhtml": "html", ".txt": "text", ".text": "text", ".md": "markdown",
    ".markdown": "markdown",
}  # fmt: skip
_ROW_FIELDS = {
    "url": str, "title": str, "text": str, "html": str, "id": str, "exchange": str, "language": str, "updated": str,
    "published": str,
}  # fmt: skip
_DATES = ("updated", "published")
_SETTINGS = {"path": str, "include": list, "exclude": list, "base_url": str, "exchange": str, "max_age_days": int}
_EXPECTED = {str: "a text", list: "a list of texts", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder to read, and what the operator says of it.

    :ivar include: File name patterns of a folder that are read; all known kinds where empty.
    :ivar base_url: The address under which the folder's pages are published, for those that name none themselves.
    :ivar exchange: The exchange that every page is about, where the pages do not say it.
    :ivar max_age_days: After how many days without an update an answer gets the notice ``may_be_outdated``.
    """

    path: Path
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    base_url: str | None = None
    exchange: str | None = None
    max_age_days: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One page or row as it was read, not yet cleaned.

    :ivar name: Where it is from, for messages and for the store: a path, for a row with ``:line``.
    :ivar row: The fields of a JSONL row; empty for a file.
    """

    kind: DocumentKind
    data: bytes
    name: str
    path: Path
    source: Source
    row: dict[str, str | None]


def find_sources(argument: str) -> list[Source]:
    """Understand a SOURCE of the command line.

    :raises IngestError: It does not exist, is a web address, or is a sources.toml with something wrong in it.
    """
    if not argument.strip():
        raise IngestError("a SOURCE is empty; give a file or a folder, `.` for the folder that you are in")
    path = Path(argument)
    if path.suffix == ".toml" and path.is_file():
        return _read_sources(path)
    _refuse_unreadable(argument, path, argument)
    return [Source(path)]


def documents(source: Source) -> Iterator[Document | IngestError]:
    """Give the documents of a source in the order of their names; what cannot be read comes as an error."""
    for path in _files(source):
        if path.suffix.lower() == ".jsonl":
            yield from _rows(path, source)
            continue
        try:
            yield Document(_KINDS[path.suffix.lower()], path.read_bytes(), str(path), path, source, {})
        except OSError as error:
            yield IngestError(f"{path}: cannot be read ({error.strerror})")


def _refuse_unreadable(named: str, path: Path, where: str) -> None:
    """Refuse what is named if it cannot be read, before anything is read."""
    if named.lower().startswith(("http://", "https://")):
        raise IngestError(f"{where}: web addresses cannot be read yet; save the page and give the file or its folder")
    if not path.exists():
        raise IngestError(f"{where}: no such file or folder")
    if path.is_file() and path.suffix.lower() not in (*_KINDS, ".jsonl"):
        raise IngestError(f"{where}: unknown kind of file; known are {', '.join((*_KINDS, '.jsonl'))}")


def _files(source: Source) -> list[Path]:
    if source.path.is_file():
        return [source.path]
    known = [p for p in sorted(source.path.rglob("*")) if p.is_file() and p.suffix.lower() in _KINDS]
    return [p for p in known if _wanted(p.relative_to(source.path).as_posix(), source)]


def _wanted(name: str, source: Source) -> bool:
    included = not source.include or any(fnmatch(name, pattern) for pattern in source.include)
    return included and not any(fnmatch(name, pattern) for pattern in source.exclude)


def _rows(path: Path, source: Source) -> Iterator[Document | IngestError]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _row(line, f"{path}:{number}", path, source)
    except OSError as error:
        yield IngestError(f"{path}: cannot be read ({error.strerror})")


def _row(line: bytes, name: str, path: Path, source: Source) -> Document | IngestError:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:  # also 100,000 brackets
        return IngestError(f"{name}: not a JSON object ({error}); the line is left out")
    if not isinstance(data, dict):
        return IngestError(f"{name}: not a JSON object but {type(data).__name__}; the line is left out")
    for key, kind in _ROW_FIELDS.items():
        if data.get(key) is not None and not isinstance(data[key], kind):
            return IngestError(
                f"{name}: {key!r} is {type(data[key]).__name__}, a string is expected; the line is left out"
            )
    row = {key: data.get(key) for key in _ROW_FIELDS}
    wrong = _wrong_text(row)
    if wrong:
        return IngestError(f"{name}: {wrong}; the line is left out")
    if not row["html"] and not row["text"]:
        return IngestError(f"{name}: neither 'text' nor 'html' in it; the line is left out")
    if not row["title"] and not row["html"]:
        return IngestError(f"{name}: 'title' is missing; the line is left out")
    body = row["html"] or row["text"] or ""
    return Document("row", body.encode("utf-8", "replace"), name, path, source, row)


def _wrong_text(row: dict[str, str | None]) -> str | None:
    """Say which field cannot be stored: half a character, which JSON can spell and UTF-8 cannot, or no date."""
    for key, value in row.items():
        if value and any("\ud800" <= character <= "\udfff" for character in value):
            return f"{key!r} holds half of a surrogate pair, a string of whole characters is expected"
        if value and key in _DATES and not iso_day(value):
            return f"{key!r} is {value!r}, a date like 2026-05-01 is expected"
    return None


def _read_sources(path: Path) -> list[Source]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise IngestError(f"{path}: cannot be read as TOML: {error}") from error
    rows = data.get("source")
    if not isinstance(rows, list) or not rows:
        raise IngestError(f"{path}: names no source; add a [[source]] with a path")
    return [_source(row, number, path) for number, row in enumerate(rows, 1)]


def _source(row: Any, number: int, file: Path) -> Source:  # noqa: ANN401  (whatever stands in the file)
    where = f"{file}: [[source]] number {number}"
    if not isinstance(row, dict):
        raise IngestError(f"{where}: is {row!r}; give a [[source]] with a path")
    unknown = sorted(set(row) - set(_SETTINGS))
    if unknown:
        raise IngestError(f"{where}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(_SETTINGS))}")
    for key, value in row.items():
        items = value if isinstance(value, list) else []
        if type(value) is not _SETTINGS[key] or not all(isinstance(item, str) for item in items):
            raise IngestError(f"{where}: {key} is {value!r}; {_EXPECTED[_SETTINGS[key]]} is expected")
    if not row.get("path"):
        raise IngestError(f"{where}: 'path' is missing; give a file or folder, relative to the file")
    age = row.get("max_age_days")
    if age is not None and age < 1:
        raise IngestError(f"{where}: max_age_days is {age}; a number of days from 1 is expected")
    path = file.parent / row["path"]
    _refuse_unreadable(row["path"], path, f"{where}: {row['path']}")
    return Source(
        path,
        tuple(row.get("include", ())),
        tuple(row.get("exclude", ())),
        row.get("base_url"),
        row.get("exchange"),
        age,
    )
