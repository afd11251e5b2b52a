"""XML from strangers, read as a stream of flat records: no entity is expanded, nothing is fetched, no tree is built.

Sitemaps and feeds are both lists of records (``url``, ``item``) with simple fields. lxml's target parser reads them in
memory that does not grow with the file, goes on after an error and tells about it. Its own ``resolve_entities=False``
does not hold in that mode (tried: internal entities are expanded), so a file that declares entities is refused before;
that is defusedxml's rule too, whose own readers give up at the first error or build the whole tree.
"""

import re
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from lxml import etree

#: The sitemap protocol's limit for one unpacked file; nothing larger is read. In bytes.
LARGEST = 50 * 2**20
_LONGEST_TEXT = 8_000
_MOST_FIELDS = 1_000
_DEEPEST = 100
#: A sitemap of 50 MiB with every address in forty languages has half as many elements; reading so many takes 4 s.
_MOST_ELEMENTS = 1_000_000
_MOST_REPAIRS = 100_000
_PIECE = 65_536
_GZIP = b"\x1f\x8b"
_DECLARATION = re.compile(
    rb"""\s*<\?xml\b[^>]{0,200}?(?:encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["'][^>]{0,100})?\?>"""
)
# Not every codec of Python is a text encoding; these are what sites use.
_ENCODINGS = re.compile(r"(?:iso-?8859|windows-|cp|koi8|gb|big5|euc|shift|utf-(?:16|32)|latin|tis-?620|mac)", re.I)
_BARE_AMPERSAND = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)")
_CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\r")
_BASE = "{http://www.w3.org/XML/1998/namespace}base"
# Namespaces whose fields may stand among a record's own; those of images, videos and podcasts may not.
_SHARED = re.compile(r"$|http://www\.w3\.org/|http://purl\.org/(?:dc|rss|atom)|http://www\.rssboard\.org/")


@dataclass(frozen=True, slots=True)
class Field:
    """A child of a record.

    :ivar name: Its local name in lower case.
    :ivar text: Its text, with that of what is inside, at most 8,000 characters.
    :ivar attributes: By local name.
    :ivar base: What ``xml:base`` says around it; empty where nothing does.
    """

    name: str
    text: str
    attributes: Mapping[str, str]
    base: str


@dataclass(frozen=True, slots=True)
class Record:
    """An element of the list: its local name in lower case, and its children in order."""

    name: str
    fields: tuple[Field, ...]

    def first(self, name: str) -> str | None:
        """Give the text of the first field of that name, stripped; None where it is missing or empty."""
        return next((found for field in self.fields if field.name == name and (found := field.text.strip())), None)


@dataclass(frozen=True, slots=True)
class Reading:
    """How reading went.

    :ivar root: The local name of the outermost element in lower case; None where there is none.
    :ivar problem: What is wrong or was not read; None where everything was read.
    """

    root: str | None
    problem: str | None


class EnoughError(Exception):
    """Raised by who takes the records to end the reading."""


def unpacked(data: bytes) -> tuple[bytes, str | None]:
    """Unpack gzip, told by its first bytes; anything else is given back as it is.

    :return: At most `LARGEST` bytes, and what is wrong with them: more than that (a bomb), damaged, cut off.
    """
    problem = None
    if data.startswith(_GZIP):
        data, problem = _gunzip(data)
        if data.startswith(_GZIP):
            return b"", "gzip inside gzip; it is not unpacked twice"
    if len(data) > LARGEST:
        return data[:LARGEST], f"more than {LARGEST // 2**20} MiB; the rest is not read"
    return data, problem


def as_utf8(data: bytes) -> bytes:
    """Give the text as UTF-8, whatever encoding it is in or claims to be in, without the XML declaration."""
    declaration = _DECLARATION.match(data)
    declared = declaration[1].decode("ascii") if declaration and declaration[1] else ""
    decoded = _decoded(data, declared).translate(None, _CONTROL)
    declaration = _DECLARATION.match(decoded)
    return decoded[declaration.end() :].strip() if declaration else decoded.strip()


def read_records(
    text: bytes, *, roots: Collection[str], names: Collection[str], take: Callable[[Record], None]
) -> Reading:
    """Give the records of a list to `take`, one at a time; never an exception.

    :param text: As `as_utf8` gives it.
    :param roots: What the outermost element may be; nothing else is read any further.
    :param names: The records' names. A record inside another is none.
    """
    if b"<!ENTITY" in text:
        return Reading(None, "declares entities (an XML bomb, or files of the reader's); it is not read")
    if b"<![CDATA[" not in text:  # there, a bare & is right
        text, repairs = _BARE_AMPERSAND.subn(b"&amp;", text, count=_MOST_REPAIRS)
        if repairs == _MOST_REPAIRS:
            return Reading(None, f"{_MOST_REPAIRS:,} times & for &amp;; it is not read")
    reader = _Reader(roots, names, take)
    parser = etree.XMLParser(
        target=reader, encoding="utf-8", recover=True, resolve_entities=False, no_network=True, load_dtd=False,
        huge_tree=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        for start in range(0, len(text), _PIECE):
            parser.feed(text[start : start + _PIECE])
        parser.close()
    except EnoughError:
        return Reading(reader.root, reader.problem)
    except etree.LxmlError as error:
        return Reading(reader.root, reader.problem or f"no XML: {error}")
    return Reading(reader.root, reader.problem or _first_error(parser.feed_error_log))


def local(name: str) -> str:
    """Give a name without its namespace, in lower case."""
    return name.rpartition("}")[2].lower()


class _Reader:
    """Makes records of tags as they come: a target of lxml's parser."""

    def __init__(self, roots: Collection[str], names: Collection[str], take: Callable[[Record], None]) -> None:
        self.root: str | None = None
        self.problem: str | None = None
        self._roots, self._names, self._take = roots, names, take
        self._bases = [""]
        self._record: str | None = None
        self._namespace = ""
        self._depth = 0  # of the record
        self._fields: list[Field] = []
        self._field: tuple[str, dict[str, str]] | None = None
        self._text: list[str] = []
        self._left = 0
        self._left_elements = _MOST_ELEMENTS

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = local(tag)
        if self.root is None:
            self.root = name
            if name not in self._roots:
                raise EnoughError
        self._enter(attributes.get(_BASE))
        self._left_elements -= 1
        if not self._left_elements:
            self.problem = f"more than {_MOST_ELEMENTS:,} elements; the rest is not read"
            raise EnoughError
        depth = len(self._bases)
        if self._record is None and name in self._names:
            self._record, self._depth, self._fields = name, depth, []
            self._namespace = tag.rpartition("}")[0]
        elif self._record and depth == self._depth + 1 and self._is_own(tag):
            self._field = name, {local(key): value[:_LONGEST_TEXT] for key, value in attributes.items()}
            self._text, self._left = [], _LONGEST_TEXT

    def data(self, text: str) -> None:
        if self._field and self._left > 0:
            self._text.append(text[: self._left])
            self._left -= len(text)

    def end(self, tag: str) -> None:
        depth = len(self._bases)
        if self._field and depth == self._depth + 1:
            self._keep(Field(self._field[0], "".join(self._text), self._field[1], self._bases[-1]))
            self._field = None
        elif self._record and depth == self._depth:
            record = Record(self._record, tuple(self._fields))
            self._record = self._field = None
            self._take(record)
        if depth > 1:
            self._bases.pop()

    def close(self) -> None:
        """Nothing is open: the parser asks for it."""

    def _enter(self, base: str | None) -> None:
        if len(self._bases) > _DEEPEST:
            self.problem = f"more than {_DEEPEST} levels deep; the rest is not read"
            raise EnoughError
        try:
            self._bases.append(urljoin(self._bases[-1], base[:_LONGEST_TEXT]) if base else self._bases[-1])
        except ValueError:
            self._bases.append(self._bases[-1])

    def _is_own(self, tag: str) -> bool:
        namespace = tag.rpartition("}")[0]
        return namespace == self._namespace or bool(_SHARED.match(namespace[1:]))

    def _keep(self, field: Field) -> None:
        if len(self._fields) < _MOST_FIELDS:
            self._fields.append(field)
        else:
            self.problem = f"an entry with more than {_MOST_FIELDS:,} fields; the rest is not read"
            raise EnoughError


def _gunzip(data: bytes) -> tuple[bytes, str | None]:
    """Unpack the members of a gzip file one after another, until they are too much."""
    out, size, problem = [], 0, None
    while data.startswith(_GZIP) and size <= LARGEST:
        member = zlib.decompressobj(wbits=31)
        try:
            for start in range(0, len(data), _PIECE):
                out.append(member.decompress(data[start : start + _PIECE], LARGEST + 1 - size))
                size += len(out[-1])
                if member.eof or size > LARGEST:
                    break
        except zlib.error:
            problem = "the gzip data is damaged; the rest is not read"
            break
        if not member.eof and size <= LARGEST:
            problem = "the gzip data is cut off; the rest is missing"
            break
        data = member.unused_data + data[start + _PIECE :]
    return b"".join(out), problem


def _decoded(data: bytes, declared: str) -> bytes:
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").encode()
    for start, encoding in ((rb"<\x00[^\x00]\x00", "utf-16-le"), (rb"\x00<\x00[^\x00]", "utf-16-be")):
        if re.match(start, data):
            return data.decode(encoding, "replace").encode()
    for encoding in ("utf-8", declared):
        try:
            if encoding == "utf-8":
                data.decode("utf-8")
                return data
            if _ENCODINGS.match(encoding):
                return data.decode(encoding).encode()
        except (LookupError, UnicodeError):
            continue
    return data.decode("cp1252", "replace").encode()


def _first_error(log: etree._ListErrorLog) -> str | None:
    """Say the first error that lost something; a prefix that is not declared loses nothing."""
    for error in log:
        if error.domain != etree.ErrorDomains.NAMESPACE:
            return f"line {error.line}: {error.message}; what could be read was read"
    return None
