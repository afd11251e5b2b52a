"""Raw captures as WARC files, so that cleaning can be done again without fetching.

A capture is kept with its body decoded, so that reading it again needs no decoding and no bound can be passed: the
headers `Content-Encoding` and `Transfer-Encoding` are left out, and `Content-Length` is the kept body's. Request
headers and `Set-Cookie` are not kept, since they hold secrets. Each record is a gzip member of its own, as WARC asks for,
so that one capture can be read without those before it, and other WARC tools read the files.
"""

import fcntl
import os
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from ingest.article import IngestError
from ingest.warc import DROPPED_HEADERS, LARGEST_BODY, LARGEST_HEADERS, Capture, read_record, read_warc

__all__ = ["Archive", "Capture", "Location", "read_warc"]

#: Bytes after which the next file is begun.
LARGEST_FILE = 1024**3
#: zlib's level. On 246 help pages cut to 20 KB, one core: level 1 packs a page to 5,664 bytes (3,960 captures written a
#: second), 4 to 5,211 (3,390), 6 to 5,080 (2,720), 9 to 5,063 (2,210).
LEVEL = 4
#: Characters of an address; browsers and servers end far below.
LONGEST_URL = 16 * 1024
_NAME = re.compile(r"[A-Za-z0-9_-]+-\d{5}\.warc\.gz")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a capture stands: the bytes [offset, offset + length) of a file of the archive are one gzip member."""

    file: str
    offset: int
    length: int


class Archive:
    """A folder of WARC files, named ``pages-00000.warc.gz`` and on; one process at a time writes it.

    Who writes keeps each `Location` himself, and after a run that was killed calls `cut` before he goes on. Without a
    `cut`, the first `write` begins a new file, since the last one may end in half a record.
    """

    def __init__(self, folder: Path, *, name: str = "pages", largest: int = LARGEST_FILE) -> None:
        """Open an archive; its folder is made when the first capture is written.

        :param name: What file names begin with: letters, digits, ``-`` and ``_``.
        :param largest: Bytes after which the next file is begun.
        """
        self._folder = folder
        self._name = name
        self._largest = largest
        self._open: int | None = None  # descriptor of the file that is written
        self._path = folder
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def files(self) -> list[Path]:
        """Give the archive's files in the order in which they were begun."""
        return sorted(path for path in self._folder.glob(f"{self._name}-*.warc.gz") if _NAME.fullmatch(path.name))

    def write(self, capture: Capture) -> Location:
        """Append a capture.

        It is on the disk only after `settle`. If it cannot be written whole, the file is as it was before.

        :raises IngestError: If the disk is full, another process writes the archive, or the capture is too large.
        """
        if len(capture.url) > LONGEST_URL:
            raise IngestError(f"{capture.url[:200]}…: an address of {len(capture.url):,} characters; left out")
        if len(capture.body) > LARGEST_BODY:
            raise IngestError(
                f"{capture.url[:200]}: larger than {LARGEST_BODY:,} bytes, which no help page is; left out"
            )
        member = _member(capture)
        if self._open is None or self._end >= self._largest:
            self._begin()
        offset = self._end
        self._append(member)
        return Location(self._path.name, offset, len(member))

    def settle(self) -> None:
        """Put on the disk what was written.

        :raises IngestError: If the disk does not take it.
        """
        if self._open is not None:
            try:
                os.fsync(self._open)
                _settle_folder(self._folder)
            except OSError as error:
                raise self._failed(error) from error

    def cut(self, file: str, length: int) -> None:
        """Drop what a killed run left behind the last capture that was recorded; the next `write` goes on there.

        :param file: The file of that capture; later ones are deleted.
        :param length: The end of that capture, ``offset + length``; 0 to empty the file.
        :raises IngestError: If the file is shorter than that, or missing: recorded captures are lost.
        """
        path = self._located(file)
        self.close()
        size = path.stat().st_size if path.is_file() else 0
        if size < length:
            raise IngestError(
                f"{path}: has {size} bytes where {length} were recorded; restore it from a copy, or fetch its pages again"
            )
        try:
            if path.is_file():
                self._open_for_writing(path)
                os.ftruncate(self._descriptor(), length)
                self._end = length
            for later in self.files():
                if later.name > file:
                    later.unlink()
            if not length:
                path.unlink(missing_ok=True)
                self.close()
        except OSError as error:
            raise self._failed(error) from error

    def read(self, location: Location) -> Capture:
        """Read one capture.

        :raises IngestError: If it is missing or damaged; the message names the file and the byte.
        """
        path = self._located(location.file)
        where = f"{path}: byte {location.offset}"
        advice = "restore the file from a copy, or fetch the page again"
        try:
            with path.open("rb") as file:
                file.seek(location.offset)
                member = file.read(location.length)
        except (OSError, ValueError) as error:
            raise IngestError(f"{where}: cannot be read ({error}); {advice}") from error
        if len(member) < location.length:
            raise IngestError(f"{where}: the capture of {location.length} bytes is cut short; {advice}")
        try:
            return read_record(BytesIO(member), where)
        except IngestError as error:
            raise IngestError(f"{error}; {advice}") from error

    def close(self) -> None:
        """Let the file that is written go; the archive can still be used."""
        if self._open is not None:
            os.close(self._open)
            self._open = None

    def _located(self, file: str) -> Path:
        if not _NAME.fullmatch(file):
            raise IngestError(f"{self._folder}: {file!r} is no file of an archive; fetch the page again")
        return self._folder / file

    def next_file(self) -> str:
        """Give the name of the file that will be begun next."""
        files = self.files()
        number = int(files[-1].name[-13:-8]) + 1 if files else 0
        return f"{self._name}-{number:05}.warc.gz"

    def _begin(self) -> None:
        """Begin the next file with the record that says what wrote it."""
        self.close()
        path = self._folder / self.next_file()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._open_for_writing(path)
        except OSError as error:
            raise self._failed(error) from error
        self._end = 0
        try:
            self._append(_warcinfo(path.name))
        except IngestError:
            self.close()
            path.unlink(missing_ok=True)
            raise

    def _open_for_writing(self, path: Path) -> None:
        self._path = path
        self._open = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._open, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise IngestError(f"{path}: another ingest writes it; wait until it is done") from error

    def _append(self, member: bytes) -> None:
        """Write a member behind the last one, whole or not at all."""
        descriptor = self._descriptor()
        rest = memoryview(member)
        try:
            os.lseek(descriptor, self._end, os.SEEK_SET)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            os.ftruncate(descriptor, self._end)
            raise self._failed(error) from error
        self._end += len(member)

    def _descriptor(self) -> int:
        if self._open is None:
            raise IngestError(f"{self._path}: is not open for writing")
        return self._open

    def _failed(self, error: OSError) -> IngestError:
        return IngestError(
            f"{self._path}: cannot be written ({error.strerror}); make room or choose another --home, and run again: "
            "what was ingested so far is kept"
        )


def _settle_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _member(capture: Capture) -> bytes:
    """Pack a capture as one gzip member."""
    url = re.sub(r"[\x00-\x20\x7f\ud800-\udfff]", lambda found: quote(found[0], errors="replace"), capture.url)
    day = datetime.fromisoformat(capture.fetched)
    date = (day.astimezone(UTC) if day.tzinfo else day).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        phrase = HTTPStatus(capture.status).phrase
    except ValueError:
        phrase = "Unknown"
    head = StatusAndHeaders(f"{capture.status} {phrase}", _kept(capture), protocol="HTTP/1.1")
    records = WARCWriter(BytesIO(), gzip=False, warc_version="1.1")
    record = records.create_warc_record(
        url,
        "response",
        payload=BytesIO(capture.body),
        length=len(capture.body),
        warc_headers_dict={"WARC-Date": date},
        http_headers=head,
    )
    return _packed(records, record)


def _kept(capture: Capture) -> list[tuple[str, str]]:
    """Give the headers that are kept, each on one line, up to half of what reading allows."""
    kept: list[tuple[str, str]] = []
    room = LARGEST_HEADERS // 2
    for name, value in capture.headers:
        line = _UNPRINTABLE.sub(" ", value).strip().encode("utf-8", "replace").decode()
        room -= 3 * len(line.encode()) + len(name)  # a byte that is not ASCII is written as three
        if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) and name.lower() not in DROPPED_HEADERS and room > 0:
            kept.append((name, line))
    return [*kept, ("Content-Length", str(len(capture.body)))]


def _warcinfo(file: str) -> bytes:
    records = WARCWriter(BytesIO(), gzip=False, warc_version="1.1")
    info = {"software": f"citedesk/{version('citedesk')}", "format": "WARC File Format 1.1"}
    return _packed(records, records.create_warcinfo_record(file, info))


def _packed(records: WARCWriter, record: object) -> bytes:
    records.write_record(record)
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS + 16)
    return packer.compress(records.out.getvalue()) + packer.flush()
