import gzip
import io
import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc
import zlib
from functools import partial
from pathlib import Path

import brotli
import pytest
from warcio.checker import Checker
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from ingest import warc
from ingest.archive import Archive, Capture, Location, read_warc
from ingest.article import IngestError

# Without the time of day, so that what a test is called does not change with it: pytest-xdist's processes compare that.
gzipped = partial(gzip.compress, mtime=0)
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DAY = "2026-05-01T12:00:00Z"
PAGE = b"<html><title>Withdrawals</title><p>A withdrawal takes ten minutes.</p></html>"


def capture(number: int = 0, body: bytes = PAGE, **fields) -> Capture:
    headers = (("Content-Type", "text/html; charset=UTF-8"), ("ETag", '"7"'))
    return Capture(
        **{"url": f"https://help.example/{number}", "status": 200, "headers": headers, "body": body, "fetched": DAY}
        | fields
    )


def noise(length: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(length)


def errors(results):
    return [str(result) for result in results if isinstance(result, IngestError)]


def pages(results):
    return [result for result in results if isinstance(result, Capture)]


def is_valid(path: Path) -> bool:
    """Check a file as `warcio check` does."""
    command = type("Command", (), {"inputs": [str(path)], "verbose": False})
    return Checker(command).process_all() == 0


# The archive


def test_a_capture_is_read_back_as_it_was_written(tmp_path):
    captures = [
        capture(1),
        capture(2, body=noise(70_000), status=404),
        capture(3, body=b"", headers=()),
        capture(4, url="https://help.example/手数料?a=1&b=ü#x", body="é漢字".encode("utf-16")),
    ]
    with Archive(tmp_path) as archive:
        places = [archive.write(one) for one in captures]
        assert [archive.read(place) for place in reversed(places)] == captures[::-1]
    assert [Archive(tmp_path).read(place) for place in places] == captures


def test_other_tools_take_the_files_for_valid(tmp_path):
    with Archive(tmp_path) as archive:
        places = [archive.write(capture(n, body=noise(n * 900))) for n in range(30)]
    path = tmp_path / places[0].file
    done = subprocess.run(
        [sys.executable, "-m", "warcio.cli", "check", "-v", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.count("digest pass") == 31
    data = path.read_bytes()
    assert b"WARC-Type: warcinfo" in gzip.decompress(data[: places[0].offset])
    for place in places:
        assert gzip.decompress(data[place.offset : place.offset + place.length]).startswith(b"WARC/1.1\r\n")


def test_cookies_and_what_speaks_of_codings_are_not_kept(tmp_path):
    headers = (
        ("Set-Cookie", "session=s3cret"), ("set-cookie2", "s3cret"), ("Content-Encoding", "gzip"),
        ("Transfer-Encoding", "chunked"), ("Content-Length", "3"), ("Last-Modified", "Fri, 01 May 2026 12:00:00 GMT"),
    )  # fmt: skip
    with Archive(tmp_path) as archive:
        place = archive.write(capture(headers=headers))
        assert archive.read(place).headers == headers[-1:]
    member = gzip.decompress((tmp_path / place.file).read_bytes()[place.offset :])
    assert b"s3cret" not in member
    assert f"Content-Length: {len(PAGE)}\r\n".encode() in member


def test_headers_and_addresses_cannot_add_lines_to_a_record(tmp_path):
    hostile = capture(
        url="https://help.example/a\r\nWARC-Type: resource\r\n\r\nb",
        headers=(
            ("X-A", "1\r\nX-B: 2\r\n\r\n<p>"),
            ("Bad\nName", "3"),
            ("", "4"),
            ("X-C", "half \ud800 ü" + "€" * 90_000),
        ),
    )
    with Archive(tmp_path) as archive:
        place = archive.write(hostile)
        kept = archive.read(place)
    assert kept.url == "https://help.example/a%0D%0AWARC-Type:%20resource%0D%0A%0D%0Ab"
    assert kept.headers == (("X-A", "1 X-B: 2 <p>"),)
    assert kept.body == PAGE
    assert is_valid(tmp_path / place.file)


@pytest.mark.parametrize(
    ("header", "kind", "charset"),
    [
        ("text/html; charset=UTF-8", "text/html", "utf-8"),
        ("Application/PDF", "application/pdf", None),
        ('text/html;boundary=x; Charset = "Shift_JIS"', "text/html", "shift_jis"),
        ("", "", None),
    ],
)
def test_media_type_and_charset_are_read_from_the_header(header, kind, charset):
    one = capture(headers=(("content-type", header),))
    assert (one.content_type, one.charset) == (kind, charset)


def test_a_new_file_is_begun_when_one_is_full(tmp_path):
    with Archive(tmp_path, largest=20_000) as archive:
        places = [archive.write(capture(n, body=noise(6_000, n))) for n in range(12)]
        assert [path.name for path in archive.files()] == sorted({place.file for place in places})
        assert len(archive.files()) == 3
        assert [archive.read(place).url for place in places] == [f"https://help.example/{n}" for n in range(12)]
    assert all(is_valid(path) for path in tmp_path.iterdir())


def test_without_a_cut_a_new_file_is_begun(tmp_path):
    with Archive(tmp_path) as archive:
        first = archive.write(capture(1))
    with Archive(tmp_path) as archive:
        second = archive.write(capture(2))
    assert (first.file, second.file) == ("pages-00000.warc.gz", "pages-00001.warc.gz")


WRITER = """
import random, sys
from pathlib import Path
from ingest.archive import Archive, Capture
with Archive(Path(sys.argv[1]), largest=300_000) as archive:
    for number in range(10**9):
        body = random.Random(number).randbytes(40_000)
        place = archive.write(Capture(f"https://help.example/{number}", 200, (), body, "2026-05-01T12:00:00Z"))
        print(place.file, place.offset, place.length, flush=True)
"""


@pytest.mark.parametrize("seconds", [0.0, 0.013, 0.037, 0.081])
def test_nothing_recorded_is_lost_and_nothing_else_kept_when_it_is_killed(tmp_path, seconds):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        lines = [child.stdout.readline()]
        time.sleep(seconds)
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
    places = [Location(f, int(o), int(n)) for f, o, n in (line.split() for line in lines if line.endswith("\n"))]
    places = places[: max(1, len(places) * 2 // 3)]  # the rest was written, but its recording was not
    with Archive(tmp_path) as archive:
        archive.cut(places[-1].file, places[-1].offset + places[-1].length)
        places.append(archive.write(capture(10**6)))
        urls = [archive.read(place).url for place in places]
    assert urls == [f"https://help.example/{n}" for n in (*range(len(places) - 1), 10**6)]
    assert places[-1].offset == places[-2].offset + places[-2].length
    assert [one.url for path in archive.files() for one in read_warc(path)] == urls
    assert all(is_valid(path) for path in archive.files())


def test_half_a_record_left_by_a_killed_run_is_cut_away(tmp_path):
    with Archive(tmp_path) as archive:
        first = archive.write(capture(1))
        second = archive.write(capture(2))
    path = tmp_path / first.file
    path.write_bytes(path.read_bytes()[: second.offset + second.length // 2])
    with Archive(tmp_path) as archive:
        archive.cut(first.file, first.offset + first.length)
        third = archive.write(capture(3))
        archive.settle()
        assert third.offset == second.offset
    assert [one.url for one in read_warc(path)] == ["https://help.example/1", "https://help.example/3"]
    assert is_valid(path)


def test_a_cut_to_nothing_empties_the_archive(tmp_path):
    with Archive(tmp_path, largest=1) as archive:
        places = [archive.write(capture(n)) for n in range(3)]
        archive.cut(places[0].file, 0)
        assert archive.files() == []
        assert archive.write(capture(7)).file == places[0].file


@pytest.mark.parametrize("left", [0, 5])
def test_an_archive_that_lost_recorded_captures_is_named(tmp_path, left):
    with Archive(tmp_path) as archive:
        place = archive.write(capture())
        path = tmp_path / place.file
        if left:
            os.truncate(path, left)
        else:
            path.unlink()
        with pytest.raises(IngestError, match=rf"pages-00000.warc.gz: has {left} bytes where \d+ were recorded"):
            archive.cut(place.file, place.offset + place.length)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path, place: path.unlink(), "No such file"),
        (lambda path, place: os.truncate(path, place.offset + 40), "cut short"),
        (lambda path, place: path.write_bytes(bytes(place.offset + place.length)), "damaged"),
        (lambda path, place: flip(path, place.offset + place.length // 2), "damaged"),
        (lambda path, place: flip(path, place.offset + place.length - 6), "damaged"),
    ],
)
def test_a_damaged_or_missing_capture_is_named_with_file_and_byte(tmp_path, harm, message):
    with Archive(tmp_path) as archive:
        archive.write(capture(1))
        place = archive.write(capture(2, body=noise(3000)))
        harm(tmp_path / place.file, place)
        with pytest.raises(IngestError, match=rf"{place.file}: byte {place.offset}: .*{message}"):
            archive.read(place)


def flip(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 0x55
    path.write_bytes(data)


def test_a_place_that_is_no_capture_is_named(tmp_path):
    with Archive(tmp_path) as archive:
        place = archive.write(capture())
        with pytest.raises(IngestError, match="no record of a page"):
            archive.read(Location(place.file, 0, place.offset))
        with pytest.raises(IngestError, match="no file of an archive"):
            archive.read(Location("../../etc/passwd", 0, 9))


def test_a_second_writer_is_refused(tmp_path):
    with Archive(tmp_path) as first, Archive(tmp_path) as second:
        place = first.write(capture())
        with pytest.raises(IngestError, match="another ingest writes it"):
            second.cut(place.file, place.offset)
        assert first.read(place) == capture()


def test_a_body_or_an_address_that_could_not_be_read_back_is_refused(tmp_path):
    with Archive(tmp_path) as archive:
        with pytest.raises(IngestError, match="larger than 20,971,520 bytes"):
            archive.write(capture(body=bytes(warc.LARGEST_BODY + 1)))
        with pytest.raises(IngestError, match="an address of 100,020 characters"):
            archive.write(capture(url="https://help.example" + "/" * 100_000))
        assert archive.files() == []


FULL = """
import resource, sys
from pathlib import Path
from ingest.archive import Archive, Capture
from ingest.article import IngestError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
import random
with Archive(Path(sys.argv[1])) as archive:
    try:
        for number in range(9):
            body = random.Random(number).randbytes(30_000)
            archive.write(Capture(f"https://help.example/{number}", 200, (), body, "2026-05-01T12:00:00Z"))
    except IngestError as error:
        print(error)
        archive.write(Capture("https://help.example/small", 200, (), b"small", "2026-05-01T12:00:00Z"))
        archive.settle()
"""


def test_a_full_disk_is_named_and_leaves_whole_records(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "pages-00000.warc.gz: cannot be written (File too large); make room" in done.stdout
    (path,) = tmp_path.iterdir()
    assert [one.url[21:] for one in read_warc(path)] == ["0", "1", "2", "small"]
    assert is_valid(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "pages").write_text("a file")
    with Archive(tmp_path / "pages") as archive, pytest.raises(IngestError, match="cannot be written"):
        archive.write(capture())


# WARC files of others


def response(
    url: str, body: bytes, *headers: tuple[str, str], status="200 OK", kind="response", warc_headers=None, **fields
):
    """One record, as a member's bytes before packing."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=False)
    head = None if kind == "resource" else StatusAndHeaders(status, list(headers), protocol="HTTP/1.1")
    record = writer.create_warc_record(
        url, kind, io.BytesIO(body), len(body), http_headers=head,
        warc_headers_dict={"WARC-Date": "2025-01-02T03:04:05.678Z"} | (warc_headers or {}), **fields,
    )  # fmt: skip
    writer.write_record(record)
    return out.getvalue()


def packed(*records: bytes) -> bytes:
    return b"".join(gzipped(record) for record in records)


def saved(tmp_path: Path, data: bytes, name: str = "a.warc.gz") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def simple(number: int, body: bytes = PAGE) -> bytes:
    return response(f"https://help.example/{number}", body, ("Content-Type", "text/html"))


@pytest.mark.parametrize(
    "pack",
    [packed, lambda *records: b"".join(records), lambda *records: gzipped(b"".join(records))],
    ids=["a member a record", "not packed", "one member"],
)
def test_pages_are_read_however_the_file_is_packed(tmp_path, pack):
    bodies = [noise(n * 40_000, n) for n in range(4)] + [b"WARC/1.0\r\nWARC-Type: response\r\n\r\n"]
    path = saved(tmp_path, pack(*(simple(n, body) for n, body in enumerate(bodies))))
    found = list(read_warc(path))
    assert [one.body for one in found] == bodies
    assert found[1] == Capture(
        "https://help.example/1", 200, (("Content-Type", "text/html"),), bodies[1], "2025-01-02T03:04:05Z"
    )


def test_only_pages_that_were_found_are_given(tmp_path):
    path = saved(
        tmp_path,
        packed(
            response("https://help.example/gone", PAGE, status="404 Not Found"),
            response("https://help.example/moved", b"", ("Location", "/x"), status="301 Moved Permanently"),
            response("dns:help.example", b"20250101\nhelp.example", kind="resource", warc_content_type="text/dns"),
            response("https://help.example/r", PAGE, kind="resource", warc_content_type="text/html; charset=utf-8"),
            response("metadata:x", b"a: b", kind="metadata"),
            response("https://help.example/page", PAGE),
        ),
    )
    found = list(read_warc(path))
    assert [one.url for one in found] == ["dns:help.example", "https://help.example/r", "https://help.example/page"]
    assert (found[1].content_type, found[1].charset, found[1].status, found[1].body) == (
        "text/html",
        "utf-8",
        200,
        PAGE,
    )


def chunks(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;q=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def bare_deflate(body: bytes) -> bytes:
    one = zlib.compressobj(6, zlib.DEFLATED, -15)
    return one.compress(body) + one.flush()


BIG = PAGE * 2000


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzipped(BIG)), ("x-gzip", gzipped(BIG[:5000]) + gzipped(BIG[5000:])),
        ("GZIP", gzipped(BIG) + b"\0\0\0"), ("deflate", zlib.compress(BIG)), ("deflate", bare_deflate(BIG)),
        ("br", brotli.compress(BIG)), ("zstd", zstd.compress(BIG)), ("gzip, br", brotli.compress(gzipped(BIG))),
        ("identity", BIG), ("gzip", BIG), ("br", BIG), ("deflate", BIG), ("zstd", BIG), ("", BIG),
    ],
)  # fmt: skip
def test_bodies_are_decoded(tmp_path, coding, body, is_chunked):
    headers = [("Content-Encoding", coding), ("X-Kept", "1")]
    if is_chunked:
        body = chunks(body, 3000)
        headers.append(("Transfer-Encoding", "chunked"))
    found = list(read_warc(saved(tmp_path, packed(response("https://help.example/", body, *headers)))))
    assert [one.body for one in found] == [BIG]
    assert found[0].headers == (("X-Kept", "1"),)


def test_a_body_that_was_joined_already_is_taken_as_it_is(tmp_path):
    record = response("https://help.example/", PAGE, ("Transfer-Encoding", "chunked"))
    assert next(read_warc(saved(tmp_path, packed(record)))).body == PAGE


ZEROS = bytes(64 * 1024 * 1024)


@pytest.mark.parametrize(
    ("coding", "body", "message"),
    [
        ("gzip", gzipped(ZEROS), "gzip bomb"),
        ("deflate", zlib.compress(ZEROS), "deflate bomb"),
        ("br", brotli.compress(ZEROS, quality=1), "br bomb"),
        ("zstd", zstd.compress(ZEROS), "zstd bomb"),
        ("gzip, gzip", gzipped(gzipped(ZEROS)), "gzip bomb"),
        ("gzip", gzipped(b"") * 100_000, "more than 100 parts"),
        ("gzip", gzipped(BIG)[:-20], "damaged or cut short"),
        ("deflate", zlib.compress(BIG)[:-20], "damaged or cut short"),
        ("br", brotli.compress(BIG)[:-5], "damaged or cut short"),
        ("br", b"\xff" + noise(999), "damaged or cut short"),
        ("zstd", zstd.compress(BIG)[:-5], "damaged or cut short"),
        ("zstd", zstd.compress(noise(20_000_000), options={zstd.CompressionParameter.window_log: 27}), "damaged"),
        ("gzip", gzipped(BIG)[:60] + b"\0" * 99, "damaged or cut short"),
        ("sdch", PAGE, "unknown coding 'sdch'"),
        (", ".join(["gzip"] * 9), PAGE, "9 codings"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_named_and_the_rest_is_read(tmp_path, coding, body, message):
    hostile = response("https://help.example/bad", body, ("Content-Encoding", coding))
    path = saved(tmp_path, packed(hostile, simple(1)))
    del body, hostile
    started = time.perf_counter()
    tracemalloc.start()
    found = list(read_warc(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 2
    assert errors(found)[0].startswith(f"{path}: byte 0: https://help.example/bad: ")
    assert message in errors(found)[0]
    assert pages(found)[0].body == PAGE
    assert peak < 4 * warc.LARGEST_BODY
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("body", [b"5\r\nabcde\r\n5\r\nabc", b"5\r\nabcde\r\nxyz"])
def test_a_chunked_body_that_breaks_off_is_named(tmp_path, body):
    found = list(
        read_warc(saved(tmp_path, packed(response("https://a.example/", body, ("Transfer-Encoding", "chunked")))))
    )
    assert "chunked body is damaged or cut short" in errors(found)[0]


def test_a_body_over_the_bound_is_named_and_skipped_without_holding_it(tmp_path):
    huge = response("https://help.example/huge", bytes(warc.LARGEST_BODY * 2))
    path = saved(tmp_path, packed(simple(1), huge, simple(2)))
    del huge
    tracemalloc.start()
    found = list(read_warc(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert errors(found)[0].endswith(
        "https://help.example/huge: larger than 20,971,520 bytes, which no help page is; left out"
    )
    assert [one.url for one in pages(found)] == ["https://help.example/1", "https://help.example/2"]
    assert peak < 2 * warc.LARGEST_BODY


@pytest.mark.parametrize("name", ["WARC-Truncated", "WARC-Segment-Number"])
def test_a_page_that_was_captured_in_part_is_named(tmp_path, name):
    record = response("https://help.example/", PAGE, warc_headers={name: "1"})
    assert "only a part of the page was captured" in errors(read_warc(saved(tmp_path, packed(record))))[0]


# What points back


def revisit(url: str, digest: str, **more: str) -> bytes:
    headers = {"WARC-Payload-Digest": digest, "WARC-Date": "2026-02-03T04:05:06Z"} | {
        name.replace("_", "-"): value for name, value in more.items()
    }
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=False)
    writer.write_record(writer.create_warc_record(url, "revisit", warc_headers_dict=headers))
    return out.getvalue()


def digest_of(record: bytes, name: str = "WARC-Payload-Digest") -> str:
    return record.split(name.encode() + b": ")[1].split(b"\r\n")[0].decode()


@pytest.mark.parametrize("pack", [packed, lambda *records: b"".join(records)])
def test_a_revisit_gives_the_page_that_it_points_back_to(tmp_path, pack):
    other, original = simple(1, b"other"), simple(2)
    by_id = revisit("https://help.example/4", "sha1:X", WARC_Refers_To=digest_of(original, "WARC-Record-ID"))
    path = saved(
        tmp_path, pack(other, original, revisit("https://help.example/3", digest_of(original)), by_id, simple(5))
    )
    found = list(read_warc(path))
    assert [(one.url[21:], one.body) for one in found] == [
        ("1", b"other"), ("2", PAGE), ("3", PAGE), ("4", PAGE), ("5", PAGE),
    ]  # fmt: skip
    assert found[2].fetched == "2026-02-03T04:05:06Z"


def test_a_revisit_of_a_page_in_another_file_is_skipped(tmp_path):
    path = saved(tmp_path, packed(revisit("https://help.example/1", "sha1:ELSEWHERE"), simple(2)))
    assert [one.url[21:] for one in read_warc(path)] == ["2"]


# Damage


def test_a_truncated_tail_is_named_and_all_before_it_is_read(tmp_path):
    for pack in (packed, lambda *records: b"".join(records)):
        whole = pack(simple(1), simple(2), simple(3, noise(5000)))
        found = list(read_warc(saved(tmp_path, whole[:-2500])))
        assert [one.url[21:] for one in pages(found)] == ["1", "2"]
        assert "cut short" in errors(found)[0]


@pytest.mark.parametrize(
    "garbage", [b"garbage\r\n", noise(70_000), b"\x1f\x8b\x08" * 50, b"\n\n\n<html>", b"WARC/1.0\r\n"]
)
@pytest.mark.parametrize("is_gzip", [False, True])
def test_garbage_between_records_is_named_and_the_rest_is_read(tmp_path, garbage, is_gzip):
    one, two = simple(1), simple(2)
    data = gzipped(one) + garbage + gzipped(two) if is_gzip else one + garbage + b"\n" + two
    found = list(read_warc(saved(tmp_path, data)))
    assert "https://help.example/2" in [one.url for one in pages(found)]
    assert errors(found)
    assert "damaged" in errors(found)[0]


def test_a_damaged_record_is_left_out_even_if_only_its_checksum_tells(tmp_path):
    one, two, three = (gzipped(simple(n)) for n in (1, 2, 3))
    wrong = two[:-6] + bytes([two[-6] ^ 1]) + two[-5:]
    found = list(read_warc(saved(tmp_path, one + wrong + three)))
    assert [one.url[21:] for one in pages(found)] == ["1", "3"]
    assert f"the record at byte {len(one)} is damaged" in errors(found)[0]


@pytest.mark.parametrize("length", ["5", "99999999999", "-3", "x", ""])
@pytest.mark.parametrize("pack", [packed, lambda *records: b"".join(records)])
def test_a_wrong_content_length_costs_its_own_record_only(tmp_path, length, pack):
    one, two, three = simple(1), simple(2), simple(3)
    head, _, body = two.partition(b"\r\n\r\n")
    lines = [
        f"Content-Length: {length}".encode() if line.startswith(b"Content-Length") else line
        for line in head.split(b"\r\n")
    ]
    found = list(read_warc(saved(tmp_path, pack(one, b"\r\n".join(lines) + b"\r\n\r\n" + body, three))))
    assert [one.url[21:] for one in pages(found)] == ["1", "3"]
    assert errors(found)


@pytest.mark.parametrize("missing", [b"WARC-Target-URI", b"WARC-Date", b"WARC-Type", b"HTTP/1.1 200"])
def test_a_record_without_what_it_must_have_is_never_a_page(tmp_path, missing):
    record = simple(1).replace(missing, b"X-" + missing)
    found = list(read_warc(saved(tmp_path, packed(record, simple(2)))))
    assert [one.url[21:] for one in pages(found)] == ["2"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"<html>" + PAGE, "does not begin as a WARC file does"),
        (gzipped(PAGE), "does not begin as a WARC file does"),
        (noise(100_000), "does not begin as a WARC file does"),
        (b"filedesc://x 0.0.0.0 20060919 text/plain 9\n1 0 A\n\n", "does not begin as a WARC file does"),
        (zstd.compress(simple(1)), "packed with zstd"),
        (b"WARC/1.0\r\n" + b"X: y\r\n" * 100_000, "headers are longer"),
        (b"WARC/1.0\r\nX: " + b"y" * 1_000_000, "headers are longer"),
        (gzipped(b"WARC/1.0\r\nX: " + bytes(200_000_000)), "headers are longer"),
    ],
)
def test_what_is_no_warc_file_is_named(tmp_path, data, message):
    path = saved(tmp_path, data)
    (error,) = errors(read_warc(path))
    assert error.startswith(str(path))
    assert message in error
    assert len(error) < 600


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "No such file" in errors(read_warc(tmp_path / "x.warc"))[0]


def test_a_member_that_unpacks_without_end_is_named_and_the_rest_is_read(tmp_path):
    head = simple(1).split(b"\r\n\r\n")[0].replace(b"Content-Length", b"Content-Length: 99999999999\r\nX")
    one = zlib.compressobj(9, zlib.DEFLATED, 31)
    hostile = one.compress(head + b"\r\n\r\nHTTP/1.1 404 No\r\n\r\n")
    hostile += b"".join(one.compress(bytes(1 << 24)) for _ in range(30)) + one.flush()
    found = list(read_warc(saved(tmp_path, hostile + gzipped(simple(2)))))
    assert "gzip bomb" in errors(found)[0]
    assert [one.url[21:] for one in pages(found)] == ["2"]


def test_a_file_damaged_everywhere_is_given_up(tmp_path):
    found = list(read_warc(saved(tmp_path, packed(simple(1)) + b"\x1f\x8b\x08\x00 broken " * 5000)))
    assert len(found) == 1 + warc.MOST_DAMAGE + 1
    assert "damaged in 1000 places" in str(found[-1])


def test_mutated_files_are_read_without_a_crash(tmp_path):
    records = [simple(n, noise(n * 700, n)) for n in range(6)]
    chance = random.Random(7)
    for data in (packed(*records), b"".join(records)):
        for _ in range(150):
            mutated = bytearray(data)
            for _ in range(chance.choice((1, 3, 20))):
                at = chance.randrange(len(mutated))
                if chance.random() < 0.5:
                    mutated[at] = chance.randrange(256)
                else:
                    del mutated[at : at + chance.randrange(1, 400)]
            found = list(read_warc(saved(tmp_path, bytes(mutated))))
            assert all(isinstance(result, Capture | IngestError) for result in found)
