"""WARC files → captures, whoever wrote them: within bounds of memory, and past what is damaged."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO

from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord, ArcWarcRecordLoader
from warcio.statusandheaders import StatusAndHeaders, StatusAndHeadersParserException

from ingest.article import IngestError
from ingest.encodings import dechunked, decoded

#: Bytes of one body, packed or unpacked; the largest help page seen had 3 MB.
LARGEST_BODY = 20 * 1024 * 1024
#: Bytes of one record's headers, WARC's and HTTP's together.
LARGEST_HEADERS = 256 * 1024
#: Damaged spots in one file after which the rest of it is given up.
MOST_DAMAGE = 1000
#: Pages of one file that a later `revisit` record may point back to; a place takes about 100 bytes of memory.
MOST_ORIGINALS = 500_000
#: How often a gzip member may be larger unpacked than packed, from `_FREE` bytes on. HTML packs to a fifth; a bomb to
#: a thousandth.
_RATIO = 200
_FREE = 64 * 1024 * 1024
_BLOCK = 64 * 1024
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
#: What is damaged shows as one of these; warcio raises the last two.
_DAMAGE = (EOFError, zlib.error, ArchiveLoadFailed, StatusAndHeadersParserException)


@dataclass(frozen=True, slots=True)
class Capture:
    """One page as it was fetched.

    :ivar status: The HTTP status.
    :ivar headers: The response's headers, in their order, without what speaks of the body's codings.
    :ivar body: The body with its codings undone.
    :ivar fetched: When it was fetched: ISO 8601 in UTC, in whole seconds, such as ``2026-05-01T12:00:00Z``.
    """

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    fetched: str

    def header(self, name: str) -> str | None:
        """Give the first header of that name, whatever its case; None if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def content_type(self) -> str:
        """The media type in small letters, such as ``text/html``; an empty string if none is given."""
        return (self.header("Content-Type") or "").split(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The character encoding that the server declares, in small letters."""
        found = re.search(r";\s*charset\s*=\s*[\"']?\s*([^\s\"';,]+)", self.header("Content-Type") or "", re.IGNORECASE)
        return found[1].lower() if found else None


def read_warc(path: Path) -> Iterator[Capture | IngestError]:
    """Read the pages of a WARC file, gzipped or not: responses with status 200, and resources.

    A `revisit` record gives the page that it points back to, under its own address and date, if that page came before
    it in the file; else it is skipped. What is damaged, cut short, too large or no WARC at all comes as an
    `IngestError` that names the file and the byte, and the rest is read on.
    """
    try:
        with path.open("rb") as file:
            yield from _Reader(file, str(path)).captures()
    except OSError as error:
        yield IngestError(f"{path}: cannot be read ({error.strerror})")


def read_record(file: BinaryIO, where: str) -> Capture:
    """Read the one record at which a file stands, a response of any status or a resource.

    :raises IngestError: If there is none, or if it is damaged.
    """
    stream = Unpacked(file)
    try:
        capture = _Record(stream, where).capture(any_status=True) if stream.begin() else None
        stream.finish()
    except _DAMAGE as error:
        raise IngestError(f"{where}: the record is damaged ({error})") from error
    if capture is None:
        raise IngestError(f"{where}: no record of a page is there")
    return capture


class Unpacked:
    """A WARC file's bytes, unpacked a block at a time. No read goes past the end of a gzip member.

    :ivar start: Where the record begins, in bytes of the file; for a gzipped one, where its member does.
    :ivar is_alone: Whether nothing stands before the record in its member.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packed = b""
        self._buffer = b""
        self._position = 0
        self._headers_left = LARGEST_HEADERS
        self._in = self._out = 0
        self._broken = False
        self.start = file.tell()
        self.is_alone = True
        first = file.read(4)
        file.seek(self.start)
        self.is_gzip = first[:2] == _GZIP[:2]
        self.is_zstd = first == _ZSTD
        self._member: Any = zlib.decompressobj(zlib.MAX_WBITS + 16) if self.is_gzip else None

    def tell(self) -> int:
        """Give how many bytes of the file, not unpacked, have been read: for a plain file only."""
        return self._file.tell() - (len(self._buffer) - self._position)

    def left(self) -> int | None:
        """Give how many bytes the file still has; None for a gzipped one, where it cannot be known."""
        if self.is_gzip:
            return None
        here = self._file.tell()
        end = self._file.seek(0, SEEK_END)
        self._file.seek(here)
        return end - self.tell()

    def read(self, length: int) -> bytes:
        """Give up to so many bytes; none at the end of the member."""
        if self._position == len(self._buffer) and not self._fill():
            return b""
        piece = self._buffer[self._position : self._position + length]
        self._position += len(piece)
        return piece

    def readline(self, length: int | None = None) -> bytes:
        """Give a line of a record's headers.

        :raises EOFError: If the record's headers are longer than `LARGEST_HEADERS`.
        """
        pieces: list[bytes] = []
        most = self._headers_left if length is None else min(length, self._headers_left)
        while most > 0 and (self._position < len(self._buffer) or self._fill()):
            end = self._buffer.find(b"\n", self._position, self._position + most) + 1
            piece = self._buffer[self._position : end or self._position + most]
            self._position += len(piece)
            self._headers_left -= len(piece)
            most -= len(piece)
            pieces.append(piece)
            if end:
                break
        if self._headers_left <= 0:
            raise EOFError(f"its headers are longer than {LARGEST_HEADERS:,} bytes")
        return b"".join(pieces)

    def begin(self) -> bool:
        """Go to the next record, over blank lines and into the next member; False at the end of the file."""
        self._headers_left = LARGEST_HEADERS
        self.is_alone = self._out == 0 or not self.is_gzip
        while not self._skip_blank():
            if not self._next_member():
                return False
            self.is_alone = True
        if not self.is_gzip:
            self.start = self.tell()
        return True

    def finish(self) -> None:
        """Read the end of a record, with the checksum of its member.

        :raises EOFError: If the member or the record's blank lines are cut short, or if other bytes follow it.
        :raises zlib.error: If the member is damaged.
        """
        if not self._skip_blank():
            return
        if not self._starts(b"WARC/"):
            raise EOFError("it is longer than its Content-Length says, or other bytes follow it")

    def resume(self) -> bool:
        """After damage, go to the next place where a record may begin; False if there is none."""
        try:
            self._position = max(0, self._position - 1)  # the line that was read last may end where a record begins
            if not self._broken and self._find(b"\nWARC/"):
                return True
        except (zlib.error, EOFError):
            self._broken = True
        return self._next_member() or (self.is_gzip and self._next_magic())

    def _fill(self) -> bool:
        """Read the next block; False at the end of the member."""
        if self._member is None:
            self._buffer, self._position = self._file.read(_BLOCK), 0
            return bool(self._buffer)
        try:
            return self._unpack()
        except (zlib.error, EOFError):
            self._broken = True
            raise

    def _unpack(self) -> bool:
        while not self._member.eof:
            if not self._packed:
                self._packed = self._file.read(_BLOCK)
                if not self._packed and self._in:
                    raise EOFError("it is cut short")
                if not self._packed:
                    return False
            before = len(self._packed)
            self._buffer, self._position = self._member.decompress(self._packed, _BLOCK), 0
            self._packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._in += before - len(self._packed)
            self._out += len(self._buffer)
            if self._out > max(_FREE, _RATIO * self._in):
                raise EOFError(f"it unpacks to more than {_RATIO} times its size, a gzip bomb")
            if self._buffer:
                return True
        return False

    def _next_member(self) -> bool:
        if self._member is None or not self._member.eof:
            return False  # a plain file is one member
        self._packed = self._packed or self._file.read(_BLOCK)
        self.start = self._file.tell() - len(self._packed)
        self._open_member()
        return bool(self._packed)

    def _open_member(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS + 16)
        self._buffer, self._position = b"", 0
        self._in = self._out = 0
        self._broken = False

    def _next_magic(self) -> bool:
        """Find where the next gzip member may begin, behind the start of the damaged one."""
        at = self.start + 1
        self._file.seek(at)
        window = b""
        while block := self._file.read(_BLOCK):
            window = window[-2:] + block
            found = window.find(_GZIP)
            if found >= 0:
                self.start = self._file.tell() - len(window) + found
                self._packed = window[found:]
                self._open_member()
                return True
        return False

    def _skip_blank(self) -> bool:
        """Skip blank lines; False at the end of the member."""
        while True:
            rest = self._buffer[self._position :].lstrip(b"\r\n")
            if rest:
                self._position = len(self._buffer) - len(rest)
                return True
            self._position = len(self._buffer)
            if not self._fill():
                return False

    def _starts(self, mark: bytes) -> bool:
        while len(self._buffer) - self._position < len(mark):
            rest = self._buffer[self._position :]
            more = self._fill()
            self._buffer, self._position = rest + (self._buffer if more else b""), 0
            if not more:
                break
        return self._buffer.startswith(mark, self._position)

    def _find(self, mark: bytes) -> bool:
        """Go to the byte behind the first of a mark, in this member or the rest of a plain file."""
        while True:
            found = self._buffer.find(mark, self._position)
            if found >= 0:
                self._position = found + 1
                return True
            tail = self._buffer[max(self._position, len(self._buffer) - len(mark) + 1) :]
            if not self._fill():
                return False
            self._buffer, self._position = tail + self._buffer, 0


class _Record:
    """One record, read as a page."""

    def __init__(self, stream: Unpacked, where: str) -> None:
        self._stream = stream
        self._where = where
        self._loader = ArcWarcRecordLoader(verify_http=False)
        self.record: ArcWarcRecord = self._loader.parse_record_stream(stream, known_format="warc", no_record_parse=True)
        self.kind: str = self.record.rec_type or ""
        if not (self.warc("Content-Length") or "").isdigit():
            raise EOFError("its Content-Length is missing or no number")
        left = stream.left()
        if left is not None and self.record.length > left:
            raise EOFError("it is cut short, or its Content-Length is wrong")

    def warc(self, name: str) -> str | None:
        """Give a header of the record itself."""
        value: str | None = self.record.rec_headers.get_header(name)
        return value

    def capture(self, *, any_status: bool = False) -> Capture | None:
        """Read the page, and the record to its end; None if it holds no page that is wanted.

        :raises IngestError: If it is too large, was cut short by who captured it, or its body cannot be decoded.
        :raises EOFError: If the record is damaged.
        """
        try:
            return self._page(any_status=any_status)
        finally:
            self._drain()

    def address(self) -> tuple[str, str]:
        """Give the record's URL and date.

        :raises EOFError: If one is missing.
        """
        url = self.warc("WARC-Target-URI")
        date = _DATE.match(self.warc("WARC-Date") or "")
        if not url or not date:
            raise EOFError("it has no WARC-Target-URI, or no whole WARC-Date")
        return url, f"{date[0]}Z"

    def _page(self, *, any_status: bool) -> Capture | None:
        if self.kind not in ("response", "resource"):
            return None
        url, fetched = self.address()
        if self.kind == "resource":
            head = StatusAndHeaders("200 OK", [("Content-Type", self.warc("Content-Type") or "")], "HTTP/1.1")
        elif url.lower().startswith(("http:", "https:")):
            head = self._loader.http_parser.parse(self.record.raw_stream)
        else:
            return None
        status = head.get_statuscode()
        if not re.fullmatch(r"[1-5]\d\d", status):
            raise EOFError("it holds no HTTP response")
        if status != "200" and not any_status:
            return None
        where = f"{self._where}: {url[:200]}"
        if self.warc("WARC-Truncated") or self.warc("WARC-Segment-Number"):
            raise IngestError(f"{where}: only a part of the page was captured; fetch it again, or leave it out")
        body = self._decoded(head, where)
        headers = tuple((str(name), str(value)) for name, value in head.headers if name.lower() not in DROPPED_HEADERS)
        return Capture(url, int(status), headers, body, fetched)

    def _decoded(self, head: StatusAndHeaders, where: str) -> bytes:
        pieces: list[bytes] = []
        length = 0
        while piece := self.record.raw_stream.read(_BLOCK):
            pieces.append(piece)
            length += len(piece)
            if length > LARGEST_BODY:
                raise IngestError(f"{where}: larger than {LARGEST_BODY:,} bytes, which no help page is; left out")
        body = b"".join(pieces)
        if "chunked" in (head.get_header("Transfer-Encoding") or "").lower():
            body = dechunked(body, where=where)
        return decoded(body, head.get_header("Content-Encoding") or "", limit=LARGEST_BODY, where=where)

    def _drain(self) -> None:
        stream = self.record.raw_stream
        while stream.read(_BLOCK):
            pass
        if stream.limit > 0:
            raise EOFError("it is cut short, or its Content-Length is wrong")


#: Headers of a response that a capture leaves out: its body is decoded, its length is its own, and cookies are secrets.
DROPPED_HEADERS = frozenset({"content-encoding", "transfer-encoding", "content-length", "set-cookie", "set-cookie2"})


class _Reader:
    """Reads a file of captures in its order."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._stream = Unpacked(file)
        self._originals: dict[int, int] = {}  # hash of a digest or a record's id → where the record begins
        self._records = 0

    def captures(self) -> Iterator[Capture | IngestError]:
        if self._stream.is_zstd:
            yield IngestError(f"{self._name}: a WARC file packed with zstd; unpack it first with `zstd -d`")
            return
        damage = 0
        while damage < MOST_DAMAGE:
            try:
                if not self._stream.begin():
                    break
                found = self._next()
                self._stream.finish()
            except _DAMAGE as error:
                damage += 1
                yield from self._named(error, again=damage > 1)
                if not self._stream.resume():
                    return
                continue
            if found is not None:
                yield found
        if damage >= MOST_DAMAGE:
            yield IngestError(f"{self._name}: damaged in {MOST_DAMAGE} places; the rest of the file is not read")
        elif not self._records:
            yield IngestError(f"{self._name}: no WARC file, it is empty; give a .warc or .warc.gz file")

    def _named(self, error: Exception, *, again: bool) -> Iterator[IngestError]:
        what = " ".join(str(error).split())[:200] or "it is cut short"
        if self._records or again:
            yield IngestError(f"{self._name}: the record at byte {self._stream.start} is damaged: {what}; left out")
        else:
            yield IngestError(
                f"{self._name}: does not begin as a WARC file does ({what}); give a .warc or .warc.gz file"
            )

    def _next(self) -> Capture | IngestError | None:
        record = _Record(self._stream, f"{self._name}: byte {self._stream.start}")
        self._records += 1
        try:
            capture = record.capture()
        except IngestError as error:
            return error
        if record.kind == "revisit":
            return self._revisited(record)
        if capture is not None:
            self._remember(record)
        return capture

    def _remember(self, record: _Record) -> None:
        for key in (record.warc("WARC-Payload-Digest"), record.warc("WARC-Record-ID")):
            if key and self._stream.is_alone and len(self._originals) < MOST_ORIGINALS:
                self._originals.setdefault(hash(key), self._stream.start)

    def _revisited(self, record: _Record) -> Capture | None:
        """Give what a `revisit` points back to, under its own address and date."""
        keys = {record.warc("WARC-Refers-To"), record.warc("WARC-Payload-Digest")} - {None}
        place = next((self._originals[hash(key)] for key in keys if hash(key) in self._originals), None)
        if place is None:
            return None
        url, fetched = record.address()
        here = self._file.tell()
        self._file.seek(place)
        try:
            original = _Record(Unpacked(self._file), self._name)
            if not keys & {original.warc("WARC-Record-ID"), original.warc("WARC-Payload-Digest")}:
                return None
            capture = original.capture()
        except (IngestError, *_DAMAGE):
            return None
        finally:
            self._file.seek(here)
        return replace(capture, url=url, fetched=fetched) if capture else None
