"""HTTP codings of a body undone: chunked transfer, gzip, deflate, br and zstd, within bounds of memory and time."""

import re
import sys
import zlib
from collections.abc import Callable

import brotli

from ingest.article import PageError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Gzip members or zstd frames in one body; a server sends one. Each costs a copy of what follows it.
MOST_FRAMES = 100
#: Codings named for one body, such as ``gzip, br``; a server names one.
MOST_CODINGS = 4
#: log2 of the largest zstd window, in bytes, that HTTP allows (RFC 9659): 8 MiB.
_ZSTD_WINDOW = 23
_CHUNK_SIZE = re.compile(rb"\s{0,8}([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,1000})?\r?\n")
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_ALIASES = {"x-gzip": "gzip"}


def dechunked(body: bytes, *, where: str) -> bytes:
    """Join the chunks of a chunked body.

    Many tools store a body joined already and leave the header in place: one that does not begin with the size of a
    chunk is given back as it is.

    :param where: What to call the body in messages.
    :raises PageError: If it breaks off.
    """
    pieces: list[bytes] = []
    position = 0
    while size := _CHUNK_SIZE.match(body, position):
        length = int(size[1], 16)
        if length == 0:
            return b"".join(pieces)
        pieces.append(body[size.end() : size.end() + length])
        position = size.end() + length
        position += 2 if body[position : position + 2] == b"\r\n" else 1
    if not pieces:
        return body
    if position < len(body) or position > len(body) + 1:
        raise PageError(f"{where}: its chunked body is damaged or cut short; fetch it again")
    return b"".join(pieces)


def decoded(body: bytes, codings: str, *, limit: int, where: str) -> bytes:
    """Undo the codings that a ``Content-Encoding`` header names, last one first.

    A body that does not begin as its coding does is taken for one that was decoded already, and given back as it is.

    :param limit: Bytes that the decoded body may have.
    :param where: What to call the body in messages.
    :raises PageError: If it decodes to more than that, is damaged or cut short, or is in an unknown coding.
    """
    names = [name.strip().lower() for name in codings.split(",") if name.strip()]
    if len(names) > MOST_CODINGS:
        raise PageError(f"{where}: {len(names)} codings of one body, at most {MOST_CODINGS} are undone; left out")
    for name in reversed(names):
        name = _ALIASES.get(name, name)
        if name in ("identity", "none"):
            continue
        if name not in _DECODERS:
            raise PageError(f"{where}: in the unknown coding {name[:40]!r}; ask for gzip, deflate, br or zstd")
        if not body or not body.startswith(_MAGIC.get(name, b"")):
            continue
        try:
            body = _DECODERS[name](body, limit)
        except (zlib.error, brotli.error, zstd.ZstdError, EOFError) as error:
            raise PageError(f"{where}: its {name} body is damaged or cut short ({error}); fetch it again") from error
        if len(body) > limit:
            raise PageError(f"{where}: decodes to more than {limit:,} bytes, {name} bomb or not a page; left out")
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    def step(data: bytes, most: int) -> tuple[bytes, bool, bytes]:
        one = zlib.decompressobj(zlib.MAX_WBITS + 16)
        return one.decompress(data, most), one.eof, one.unused_data

    return _frames(body, limit, _MAGIC["gzip"], step)


def _zstd(body: bytes, limit: int) -> bytes:
    def step(data: bytes, most: int) -> tuple[bytes, bool, bytes]:
        one = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW})
        return one.decompress(data, most), one.eof, one.unused_data

    return _frames(body, limit, _MAGIC["zstd"], step)


def _frames(body: bytes, limit: int, magic: bytes, step: Callable[[bytes, int], tuple[bytes, bool, bytes]]) -> bytes:
    """Decode frame after frame, up to one byte over the limit; what follows the last frame is no part of the body."""
    pieces: list[bytes] = []
    left = limit + 1
    for _ in range(MOST_FRAMES):
        piece, whole, body = step(body, left)
        pieces.append(piece)
        left -= len(piece)
        if left <= 0:
            break
        if not whole:
            raise EOFError("it breaks off")
        if not body.startswith(magic):
            break
    else:
        raise EOFError(f"more than {MOST_FRAMES} parts")
    return b"".join(pieces)


def _deflate(body: bytes, limit: int) -> bytes:
    """Decode zlib's form, or the bare form that some servers send under the same name."""
    for bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        one = zlib.decompressobj(bits)
        try:
            text = one.decompress(body, limit + 1)
        except zlib.error:
            continue
        if not one.eof and len(text) <= limit:
            raise EOFError("it breaks off")
        return text
    return _plain_or_fail(body)


def _brotli(body: bytes, limit: int) -> bytes:
    one = brotli.Decompressor()
    pieces: list[bytes] = []
    left = limit + 1
    data = body
    try:
        while left > 0 and not one.is_finished():
            piece = one.process(data, output_buffer_limit=left)
            data = b""
            pieces.append(piece)
            left -= len(piece)
            if not piece and one.can_accept_more_data() and not one.is_finished():
                raise EOFError("it breaks off")
    except brotli.error:
        if pieces:
            raise
        return _plain_or_fail(body)
    return b"".join(pieces)[: limit + 1]


def _plain_or_fail(body: bytes) -> bytes:
    """Give back a body that was decoded already: deflate and br have no mark to tell it by, but a page begins so."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{", b"["):
        return body
    raise EOFError("it does not begin as its coding does")


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd,
}  # fmt: skip
