"""Addresses: the form under which a page is known, the links of a page, and which addresses an operator wants."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

from lxml import etree

#: No address is longer, in characters. Browsers and servers differ above it, and session junk begins there.
LONGEST = 2_000
#: So many times the wanted number of links are looked at before a page is given up: a page may hold a million.
_TRIED = 4
_PIECE = 65_536
_PORTS = {"http": 80, "https": 443}

_UNRESERVED = r"A-Za-z0-9._~\-"
_ODD = re.compile(rf"%([0-9A-Fa-f]{{2}})|[^{_UNRESERVED}/:@!$&'()*+,;=?]")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_SKIPPED = re.compile(r"\s*(?:#|$|(?:javascript|mailto|tel|sms|data|about|blob|whatsapp):)", re.IGNORECASE)
#: A session in the path: Java's and PHP's parameter, ASP.NET's segment.
_SESSION_IN_PATH = re.compile(
    r"(?:;|%3B)(?:jsessionid|phpsessid|session_?id|sid)=[^/;]*|(?<=/)\(S\([a-z0-9]{24}\)\)(?:/|$)", re.IGNORECASE
)
#: Parameters that say who asks, or where they came from, never what they ask for. `id`, `page`, `code`, `key`, `hash`
#: and `state` stay: on some sites they name the page.
_PERSONAL = re.compile(
    r"""
    utm_.* | pk_(?:campaign|kwd|source|medium|content) | mtm_.* | matomo_.* | hsa_.* | _hs(?:enc|mi) | hsctatracking
    | gclid | gclsrc | gad_(?:source|campaignid) | dclid | gbraid | wbraid | fbclid | msclkid | yclid | ysclid | twclid
    | ttclid | li_fat_id | igsh(?:id)? | mc_[ce]id | mkt_tok | vero_id | oly_(?:anon|enc)_id | wickedid | s_cid | _ga
    | _gl | _openstat | spm | _branch_match_id | ref(?:_?(?:id|src|url|code))? | referr(?:er|al)(?:_?(?:id|code))?
    | aff(?:iliate)?_?id | invite(?:_?code)?
    | .*phpsessid | jsessionid | aspsessionid.* | asp\.net_sessionid | cfid | cftoken | sid | sess(?:id|key)?
    | session.* | sso_?token | nonce | (?:csrf|xsrf)[_-]?(?:token)? | _csrf | authenticity_token
    | .*[_-]token | (?:access|auth|id|refresh|user|login|csrf)token | auth | auth_?key | authorization | oauth_.*
    | api_?key | access_?key(?:_?id)? | awsaccesskeyid | secret | client_secret | passw(?:or)?d | pwd | jwt
    | sig | signature | x-(?:amz|goog)-.* | return_to
    """,
    re.VERBOSE,
)
#: `token=BTC` names a coin on the pages of an exchange; every other value of `token` is taken for a secret.
_TICKER = re.compile(r"[A-Z]{2,6}")

_DEEPEST_PATH = 12
_MOST_REPEATED = 3
_MOST_PARAMETERS = 12
_CALENDAR_PATH = re.compile(
    r"/(?:calendar|kalender|calendario|calendrier|agenda|events?|day|week|month)(?:/[^/]+)*?"
    r"/(?:19|2\d)\d\d(?:[/-]\d{1,2}){0,2}/?$",
    re.IGNORECASE,
)
_CALENDAR_DATE = re.compile(r"(?:.*[_-])?(?:date|day|week|month)", re.IGNORECASE)
_CALENDAR_PART = frozenset({"year", "month", "day", "week", "yyyy", "mm", "dd", "yr", "mo"})


def normal(url: str, base: str | None = None) -> str | None:
    """Give the address under which a page is known, so that two spellings of one address are one page.

    Scheme and host are in lower case, the host in punycode; default port, fragment, dot segments, session ids,
    tokens and tracking parameters are gone; percent-encoding is as RFC 3986 (6.2.2) has it. The parameters that
    remain keep their order, for some sites read them by it. (``w3lib.canonicalize_url`` sorts them and decodes
    reserved characters, so it serves to compare requests, not to name pages.)

    :param base: The page on which the address stands, for a relative one.
    :return: None where it is no http or https address, has a user name in it, or is longer than `LONGEST`.

    >>> normal("HTTPS://Help.Example:443/a/../b%7ec?utm_source=x&id=2#top")
    'https://help.example/b~c?id=2'
    """
    if len(url) > 4 * LONGEST:
        return None
    try:
        found = _normal(url, base)
    except ValueError:  # a port out of range, a host that is none, half of a surrogate pair
        return None
    return found if found and len(found) <= LONGEST else None


def is_trap(url: str) -> bool:
    """Tell addresses that a site can make without end: repeated or very many segments, calendars, filters.

    >>> is_trap("https://help.example/a/b/a/b/a/b")
    True
    """
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return True
    segments = [segment for segment in parts.path.split("/") if segment]
    if len(segments) > _DEEPEST_PATH or len(pairs) > _MOST_PARAMETERS:
        return True
    if any(count >= _MOST_REPEATED for count in Counter(segments).values()):
        return True
    return bool(_CALENDAR_PATH.search(parts.path)) or _asks_for_a_day(pairs)


def links_of(data: bytes, url: str, *, most: int = 5_000) -> tuple[list[str], bool]:
    """Give the addresses that an HTML page links to, in order and without duplicates.

    ``<base href>`` is honoured, links with ``rel=nofollow`` are left out, and all of them if the page's robots
    meta says ``nofollow``. The page is read as a stream, without a tree: 10 MB of the worst HTML tried (a million
    links, a million levels) take under two seconds and no memory to speak of.

    :param url: Where the page was read from.
    :return: The addresses as `normal` gives them, at most `most`, and whether there were more.
    """
    page = _read(data, _TRIED * most)
    if page.robots & {"nofollow", "none"}:
        return [], False
    base = (normal(page.base, url) if page.base else None) or url
    found: dict[str, None] = {}
    for href in page.hrefs:
        address = normal(href, base)
        if address is None or address in found:
            continue
        if len(found) == most:
            return list(found), True
        found[address] = None
    return list(found), page.is_cut


def noindex(data: bytes) -> bool:
    """Tell whether an HTML page asks, by its robots meta, not to be kept."""
    if b"robots" not in data.lower():
        return False
    return bool(_read(data, 0).robots & {"noindex", "none"})


def wanted(url: str, include: Sequence[str], exclude: Sequence[str] = ()) -> bool:
    """Tell whether an operator wants an address: included by some pattern, or none is given, and not excluded.

    In a pattern, ``*`` stands for any run of characters, also for ``/`` and for none (``**`` is the same); every
    other character stands for itself. A pattern fits the whole of what it speaks of:

    * ``https://help.example/hc/*`` speaks of the address,
    * ``/hc/*/articles/*`` of its path,
    * ``help.example/hc/*`` and ``*/articles/*`` of host and path.

    Only a pattern with ``?`` in it speaks of the query too.

    :param url: As `normal` gives it.

    >>> wanted("https://help.example/hc/de/articles/1?page=2", ["/hc/*/articles/*"], ["*/hc/fr/*"])
    True
    """
    if any(_pattern(text).fits(url) for text in exclude):
        return False
    return not include or any(_pattern(text).fits(url) for text in include)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A glob as the literal pieces between its stars; matching takes time in proportion to the address."""

    pieces: tuple[str, ...]
    has_scheme: bool
    has_host: bool
    has_query: bool

    def fits(self, url: str) -> bool:
        scheme, _, rest = url.partition("://")
        if not self.has_query:
            rest = rest.partition("?")[0]
        if not self.has_host:
            rest = rest[rest.find("/") :]
        text = f"{scheme}://{rest}" if self.has_scheme else rest
        first, *middle = self.pieces
        if not middle:
            return text == first
        last = middle.pop()
        if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
            return False
        start, end = len(first), len(text) - len(last)
        for piece in middle:
            at = text.find(piece, start, end)
            if at < 0:
                return False
            start = at + len(piece)
        return True


@lru_cache(maxsize=1_024)
def _pattern(text: str) -> _Pattern:
    text = text.strip()
    scheme, mark, rest = text.rpartition("://")
    host, slash, path = rest.partition("/")
    if host and host.isascii():
        host = host.lower()
    elif host and "*" not in host and (known := normal(f"https://{host}/")):
        host = urlsplit(known).netloc
    glob = f"{scheme.lower()}{mark}{host}{slash}{_encoded(path)}"
    return _Pattern(tuple(glob.split("*")), bool(mark), not text.startswith("/"), "?" in glob)


def _normal(url: str, base: str | None) -> str | None:
    url = re.sub(r"[\t\r\n]", "", url).strip("\x00\x0c ")
    end = min((at for at in (url.find("?"), url.find("#")) if at >= 0), default=len(url))
    url = url[:end].replace("\\", "/") + url[end:]  # as browsers read it; else host and user name could be swapped
    parts = urlsplit(urljoin(base, url) if base else url)
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or parts.port == 0:
        return None
    host = _host(parts.hostname)
    if host is None:
        return None
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    query = "&".join(piece for piece in _encoded(parts.query).split("&") if piece and not _is_personal(piece))
    return f"{parts.scheme}://{host}{port}{_path(parts.path)}{'?' if query else ''}{query}"


def _host(name: str) -> str | None:
    if ":" in name:
        return None if "%" in name else f"[{IPv6Address(name).compressed}]"
    if len(name) > 253:
        return None
    host = name.encode("idna").decode("ascii").lower().removesuffix(".")
    return host if _HOST.fullmatch(host) else None


def _path(path: str) -> str:
    path = _encoded(path) or "/"
    while (shorter := _SESSION_IN_PATH.sub("", path)) != path:
        path = shorter
    if "/." not in path:
        return path if path.startswith("/") else f"/{path}"
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if segments[-1] in (".", "..") and kept else "")


def _encoded(text: str) -> str:
    """Percent-encode what must be, decode what need not be, and leave the rest with digits in upper case."""
    return _ODD.sub(_encode, text)


def _encode(match: re.Match[str]) -> str:
    if match[1] is None:
        return quote(match[0], safe="")
    character = chr(int(match[1], 16))
    return character if re.fullmatch(f"[{_UNRESERVED}]", character) else match[0].upper()


def _is_personal(piece: str) -> bool:
    name, _, value = piece.partition("=")
    name = unquote(name).lower()
    return not _TICKER.fullmatch(value) if name == "token" else bool(_PERSONAL.fullmatch(name))


def _asks_for_a_day(pairs: list[tuple[str, str]]) -> bool:
    parts = {name.lower() for name, value in pairs if value.isdigit()}
    dated = any(_CALENDAR_DATE.fullmatch(name) and re.match(r"\d{4}-?\d\d", value) for name, value in pairs)
    return dated or len(parts & _CALENDAR_PART) >= 2


class _EnoughError(Exception):
    """As many links as are looked at."""


class _Page:
    """What a stream of HTML tags says about links: a target of lxml's parser."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.base: str | None = None
        self.hrefs: dict[str, None] = {}
        self.robots: set[str] = set()
        self.is_cut = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in ("a", "area"):
            self._link(attributes)
        elif tag == "base" and self.base is None:
            self.base = attributes.get("href")
        elif tag == "meta" and (attributes.get("name") or "").strip().lower() == "robots":
            self.robots.update(re.findall(r"[a-z]+", (attributes.get("content") or "").lower()))

    def close(self) -> None:
        """Nothing is open: the parser asks for it."""

    def _link(self, attributes: Mapping[str, str]) -> None:
        href = attributes.get("href")
        if not self.most or not href or len(href) > 4 * LONGEST or href in self.hrefs or _SKIPPED.match(href):
            return
        if "nofollow" in (attributes.get("rel") or "").lower().split():
            return
        if len(self.hrefs) == self.most:
            self.is_cut = True
            raise _EnoughError
        self.hrefs[href] = None


def _read(data: bytes, most: int) -> _Page:
    page = _Page(most)
    # What is UTF-8 is read as such; else libxml2 goes by byte order mark and meta, as it does by itself.
    parser = etree.HTMLParser(target=page, encoding="utf-8" if _is_utf8(data) else None, no_network=True)
    try:
        for start in range(0, len(data), _PIECE):
            parser.feed(data[start : start + _PIECE])
        if data:
            parser.close()
    except (_EnoughError, etree.LxmlError):
        pass  # what was read until then counts
    return page


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not data.startswith((b"\xff\xfe", b"\xfe\xff"))
