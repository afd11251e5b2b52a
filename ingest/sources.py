"""What to read: files and folders, and help centres on the web, as a sources.toml or the command line names them."""

import re
import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ingest.article import IngestError

#: page: these addresses alone; site: what can be reached from a start page by links; sitemap, feed: what the list
#: names; zendesk: a help centre's public API; intercom: a help centre's sitemap.
WebKind = Literal["page", "site", "sitemap", "feed", "zendesk", "intercom"]
#: The setting that names where a source of each kind begins.
WEB_KINDS: dict[str, WebKind] = {
    "urls": "page", "site": "site", "sitemap": "sitemap", "feed": "feed", "zendesk": "zendesk", "intercom": "intercom",
}  # fmt: skip
FILE_SUFFIXES = (
    ".html", ".htm", ".xhtml", ".txt", ".text", ".md", ".markdown", ".pdf", ".jsonl", ".warc", ".warc.gz",
)  # fmt: skip

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something to read, and what the operator says of it.

    :ivar name: Under which its pages are followed from run to run; two sources never share one.
    :ivar include: Patterns of the names or addresses that are read (``*`` stands for anything); all where empty.
    :ivar exclude: Patterns of those that are not; they go first.
    :ivar exchange: The exchange that every page is about, where the pages do not say it.
    :ivar max_age_days: After how many days without an update an answer gets the notice ``may_be_outdated``.
    :ivar grace: Runs in a row that a page may fail to be read before its article is taken out.
    :ivar most_lost: Share of its articles, 0 to 1, that a run may lose; above it nothing is taken out or built.
    :ivar allow_lookalikes: Let in pages from domains that look like an official one and are not.
    """

    name: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exchange: str | None = None
    max_age_days: int | None = None
    grace: int = 3
    most_lost: float = 0.3
    allow_lookalikes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource(Source):
    """A file or a folder.

    :ivar base_url: The address under which the folder's pages are published, for those that name none themselves.
    """

    path: Path
    base_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSource(Source):
    """Pages on the web.

    :ivar start: Where to begin: the page addresses, the start pages, the lists, or the help centre.
    :ivar locales: Of a Zendesk help centre: the locales that are read; all where empty.
    :ivar max_pages: Pages that are fetched at most; ``max_bytes`` likewise in bytes over all of them.
    :ivar max_page_bytes: Size up to which one page is read, unpacked; 20 MB at most.
    :ivar max_depth: Links from the start page, or lists inside lists, that are followed at most.
    :ivar delay: Seconds between two requests to a host at least; AutoThrottle and robots.txt only add to it.
    :ivar concurrency: Requests to a host at the same time at most.
    :ivar recheck_days: Days after which a page is asked for again although its list says that it did not change.
    :ivar javascript: Let a browser build the pages before they are read.
    :ivar allow_private: Allow private, loopback and link-local addresses.
    :ivar contact: What the user agent names as the operator's address, such as ``https://example.org/bot``.
    """

    kind: WebKind
    start: tuple[str, ...]
    locales: tuple[str, ...] = ()
    max_pages: int = 50_000
    max_bytes: int = 20_000 * MEGABYTE
    max_page_bytes: int = 10 * MEGABYTE
    max_depth: int = 20
    delay: float = 0.25
    concurrency: int = 4
    recheck_days: int = 7
    javascript: bool = False
    allow_private: bool = False
    contact: str | None = None

    def scope(self) -> dict[str, object]:
        """Give the settings that decide what a run reads: a run that was killed goes on only with the same ones."""
        fields = asdict(self)
        return {
            key: fields[key] for key in ("kind", "start", "include", "exclude", "locales", "max_depth", "javascript")
        }


# What a [[source]] may say: the setting, its type, and for a number the least and the most.
_TEXT, _TEXTS, _FLAG = "a text", "a list of texts", "true or false"
_SETTINGS: dict[str, str | tuple[type, float, float]] = {
    "name": _TEXT, "path": _TEXT, "base_url": _TEXT, "exchange": _TEXT, "contact": _TEXT,
    "include": _TEXTS, "exclude": _TEXTS, "locales": _TEXTS,
    "javascript": _FLAG, "allow_private": _FLAG, "allow_lookalikes": _FLAG,
    "max_age_days": (int, 1, 100_000), "grace": (int, 0, 1_000), "most_lost": (float, 0, 1),
    "max_pages": (int, 1, 10_000_000), "max_bytes": (int, 1, 10**15), "max_page_bytes": (int, 1_000, 20 * MEGABYTE),
    "max_depth": (int, 0, 1_000), "delay": (float, 0, 3_600), "concurrency": (int, 1, 64), "recheck_days": (int, 0, 3_650),
}  # fmt: skip
_ONLY_FILES = {"base_url"}
_ONLY_WEB = {
    "locales", "javascript", "allow_private", "contact", "max_pages", "max_bytes", "max_page_bytes", "max_depth", "delay",
    "concurrency", "recheck_days",
}  # fmt: skip
_WEB = re.compile(r"https?://", re.IGNORECASE)


def find_sources(argument: str, *, kind: WebKind | None = None, **settings: object) -> list[Source]:
    """Understand a SOURCE of the command line.

    :param kind: What a web address is; guessed from its path where it is not given.
    :param settings: Settings of `Source`, `FileSource` or `WebSource` that were given beside it.
    :raises IngestError: It does not exist, or a sources.toml has something wrong in it.
    """
    if not argument.strip():
        raise IngestError("a SOURCE is empty; give a file or a folder, `.` for the folder that you are in")
    if _WEB.match(argument):
        return [_web_source(argument, kind, settings)]
    path = Path(argument)
    if path.suffix == ".toml" and path.is_file():
        return [replace(source, **_fitting(settings, source)) for source in _read_sources(path)]
    _refuse_unreadable(path, argument)
    listed = _listed_addresses(path)
    if listed:
        return [_built(WebSource, argument, name=str(path.resolve()), kind="page", start=listed, **settings)]
    return [_built(FileSource, argument, name=str(path.resolve()), path=path, **_without(settings, _ONLY_WEB))]


def guess_kind(url: str) -> WebKind:
    """Guess from an address what it is; a plain one is taken as one page.

    >>> guess_kind("https://help.example/sitemap.xml"), guess_kind("https://help.example/hc/en-us")
    ('sitemap', 'zendesk')
    """
    parts = urlsplit(url)
    path, host = parts.path.lower(), parts.hostname or ""
    if "sitemap" in path and path.endswith((".xml", ".xml.gz", ".txt")):
        return "sitemap"
    if path.endswith((".rss", ".atom")) or re.search(r"/(?:feed|rss|atom)(?:\.xml)?/?$", path):
        return "feed"
    if "/articles/" not in path:
        if host.endswith(".zendesk.com") or re.fullmatch(r"/hc(?:/[a-z]{2}(?:-[a-z0-9]+)?)?/?", path):
            return "zendesk"
        if host.endswith(".intercom.help") or host == "intercom.help":
            return "intercom"
    return "page"


def _web_source(address: str, kind: WebKind | None, settings: dict[str, object]) -> WebSource:
    _refuse_address(address, address)
    settings = _without(settings, _ONLY_FILES)
    source: WebSource = _built(
        WebSource, address, **{"name": address, "kind": kind or guess_kind(address), "start": (address,), **settings}
    )
    return source


def _built(maker: type[Any], where: str, /, **fields: Any) -> Any:  # noqa: ANN401  (the fields of the type)
    try:
        return maker(**fields)
    except TypeError as error:
        raise IngestError(f"{where}: a setting does not fit this kind of source ({error})") from error


def _without(settings: dict[str, object], names: set[str]) -> dict[str, object]:
    return {key: value for key, value in settings.items() if key not in names}


def _fitting(settings: dict[str, object], source: Source) -> dict[str, Any]:
    return _without(settings, _ONLY_WEB if isinstance(source, FileSource) else _ONLY_FILES)


def _refuse_address(address: str, where: str) -> None:
    try:
        parts = urlsplit(address)
        usable = bool(_WEB.match(address) and parts.hostname and not parts.username) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in address):
        raise IngestError(f"{where}: not a web address that can be read; give one like https://help.example/articles")


def _refuse_unreadable(path: Path, where: str) -> None:
    """Refuse a path that cannot be read, before anything is read."""
    if not path.exists():
        raise IngestError(f"{where}: no such file or folder")
    if path.is_file() and not path.name.lower().endswith(FILE_SUFFIXES):
        raise IngestError(f"{where}: unknown kind of file; known are {', '.join(FILE_SUFFIXES)}")


def _listed_addresses(path: Path) -> tuple[str, ...]:
    """Give the addresses of a text file that holds nothing else, one a line; ``#`` begins a comment."""
    if path.suffix.lower() not in (".txt", ".text") or not path.is_file():
        return ()
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError):
        return ()
    addresses = tuple(line for line in lines if line and not line.startswith("#"))
    if not addresses or not all(_WEB.match(address) for address in addresses):
        return ()
    for number, line in enumerate(lines, 1):
        if line in addresses:
            _refuse_address(line, f"{path}:{number}")
    return addresses


def _read_sources(path: Path) -> list[Source]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise IngestError(f"{path}: cannot be read as TOML: {error}") from error
    rows = data.get("source")
    if not isinstance(rows, list) or not rows:
        raise IngestError(f"{path}: names no source; add a [[source]] with a path or a web address")
    sources = [_source(row, number, path) for number, row in enumerate(rows, 1)]
    names: dict[str, int] = {}
    for number, source in enumerate(sources, 1):
        if source.name in names:
            raise IngestError(
                f"{path}: [[source]] number {number} has the name {source.name!r} as number {names[source.name]} has; "
                "give each its own `name`"
            )
        names[source.name] = number
    return sources


def _source(row: Any, number: int, file: Path) -> Source:  # noqa: ANN401  (whatever stands in the file)
    where = f"{file}: [[source]] number {number}"
    if not isinstance(row, dict):
        raise IngestError(f"{where}: is {row!r}; give a [[source]] with a path or a web address")
    begins = [key for key in ("path", *WEB_KINDS) if key in row]
    if len(begins) > 1:
        raise IngestError(f"{where}: has {begins[0]!r} and {begins[1]!r}; give each its own [[source]]")
    fields = {key: _setting(key, value, where) for key, value in row.items() if key not in WEB_KINDS}
    if not begins or not row[begins[0]]:
        raise IngestError(
            f"{where}: 'path' is missing; give a file or folder, relative to the file, or one of {', '.join(WEB_KINDS)}"
        )
    begin = begins[0]
    misplaced = sorted(set(fields) & (_ONLY_WEB if begin == "path" else _ONLY_FILES))
    if misplaced:
        raise IngestError(f"{where}: {misplaced[0]!r} does not fit a source with {begin!r}; take it out")
    if begin == "path":
        path = file.parent / row["path"]
        _refuse_unreadable(path, f"{where}: {row['path']}")
        fields.pop("path")
        return FileSource(**{"name": str(path.resolve()), **fields, "path": path})
    start = _start(begin, row[begin], file, where)
    if len(start) > 1 and "name" not in fields:
        raise IngestError(f"{where}: has {len(start)} addresses; give it a `name` under which it is followed")
    return WebSource(**{"name": start[0], **fields, "kind": WEB_KINDS[begin], "start": start})


def _start(key: str, value: Any, file: Path, where: str) -> tuple[str, ...]:  # noqa: ANN401
    """Read where a web source begins: an address, a list of them, or for ``urls`` a file that lists them."""
    if key == "urls" and isinstance(value, str) and not _WEB.match(value):
        path = file.parent / value
        _refuse_unreadable(path, f"{where}: {value}")
        listed = _listed_addresses(path)
        if not listed:
            raise IngestError(f"{where}: {value}: holds other lines than web addresses; give one address a line")
        return listed
    addresses = [value] if isinstance(value, str) else value
    if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
        raise IngestError(f"{where}: {key} is {value!r}; a web address or a list of them is expected")
    for address in addresses:
        _refuse_address(address, f"{where}: {address}")
    return tuple(addresses)


def _setting(key: str, value: Any, where: str) -> Any:  # noqa: ANN401
    """Check one setting of a source.

    :raises IngestError: It is unknown, or its value is not of its type or out of its range.
    """
    expected = _SETTINGS.get(key)
    if expected is None:
        known = ", ".join(sorted((*_SETTINGS, *WEB_KINDS)))
        raise IngestError(f"{where}: unknown setting {key!r}; known are {known}")
    if isinstance(expected, tuple):
        return _number(key, value, where, *expected)
    fits = {
        _TEXT: isinstance(value, str),
        _TEXTS: isinstance(value, list) and all(isinstance(item, str) for item in value),
        _FLAG: isinstance(value, bool),
    }[expected]
    if not fits:
        raise IngestError(f"{where}: {key} is {value!r}; {expected} is expected")
    return tuple(value) if expected == _TEXTS else value


def _number(key: str, value: Any, where: str, kind: type, least: float, most: float) -> float:  # noqa: ANN401
    name = "a whole number" if kind is int else "a number"
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        raise IngestError(f"{where}: {key} is {value!r}; {name} is expected")
    if not least <= value <= most:
        raise IngestError(f"{where}: {key} is {value}; {name} from {least} to {most} is expected")
    return value
