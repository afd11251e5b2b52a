import gzip
import http.client
import itertools
import re
import socket
import threading
import time
import zlib
from urllib.parse import urlsplit

import httpx
import pytest

from benchmarks.site import HelpCentre, ServedSite, served
from ingest.clean import parse_html
from tests.site import (
    PNG,
    PRIVATE_TARGETS,
    START,
    Flaky,
    Request,
    Response,
    Site,
    article,
    broken_charset,
    brotli_bomb,
    endless_body,
    gz,
    gzip_bomb,
    hostile,
    large_page,
    nested_page,
    redirect,
    redirect_chain,
    session_links,
    sitemap,
    sitemap_index,
    slow_drip,
    slow_headers,
)


@pytest.fixture
def client():
    with httpx.Client(timeout=5) as client:
        yield client


def test_a_page_is_served_and_its_requests_are_counted(client):
    with Site({"/a": article("Fees & limits", "One.\n\nTwo.", links=["/b"])}) as site:
        page = client.get(f"{site.url}/a", headers={"User-Agent": "tester"})
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "<h1>Fees &amp; limits</h1>" in page.text
        assert page.text.count("<p>") == 2
        assert 'href="/b"' in page.text
        client.head(f"{site.url}/a?x=1")
        assert (site.count("/a"), site.count("/a?x=1"), site.count("/a", "HEAD"), site.count("/b")) == (2, 1, 1, 0)
        assert site.requests[0].headers["user-agent"] == "tester"
        assert site.requests[0].time <= site.requests[1].time


@pytest.mark.parametrize("path", ["/robots.txt", "/sitemap.xml", "/no/such/page"])
def test_what_is_absent_is_404(client, path):
    with Site() as site:
        assert client.get(site.url + path).status_code == 404


def test_pages_change_while_the_site_runs(client):
    with Site({"/a": "old"}) as site:
        assert client.get(f"{site.url}/a").text == "old"
        site.pages["/a"] = Response(410, "gone")
        site.pages["/b"] = lambda request: f"you asked {request.path}"
        assert client.get(f"{site.url}/a").status_code == 410
        assert client.get(f"{site.url}/b").text == "you asked /b"


def test_the_longest_key_that_fits_a_path_answers(client):
    with Site({"/x*": "stem", "/x/y*": "longer", "/x/yz": "exact", "/x/yz?q=1": "query"}) as site:
        texts = [client.get(site.url + path).text for path in ("/x/a", "/x/y1", "/x/yz", "/x/yz?q=2", "/x/yz?q=1")]
    assert texts == ["stem", "longer", "exact", "exact", "query"]


@pytest.mark.parametrize("header", ["etag", "last-modified"])
def test_an_unchanged_page_is_304_until_it_changes(client, header):
    with Site({"/a": "one"}, etag=header == "etag", last_modified=header != "etag") as site:
        asks = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}[header]
        first = client.get(f"{site.url}/a")
        again = client.get(f"{site.url}/a", headers={asks: first.headers[header]})
        assert (again.status_code, again.content, again.headers[header]) == (304, b"", first.headers[header])
        site.pages["/a"] = "two"
        assert client.get(f"{site.url}/a", headers={asks: first.headers[header]}).text == "two"


def test_the_validators_can_be_switched_off(client):
    with Site({"/a": "one"}, etag=False, last_modified=False) as site:
        assert not {"etag", "last-modified"} & set(client.get(f"{site.url}/a").headers)


def test_sitemaps_name_the_site_and_are_typed_by_their_ending(client):
    with Site({"/index.xml": sitemap_index(["{site}/s.xml"], ["2026-01-02"])}) as site:
        site.pages["/s.xml.gz"] = gz(sitemap([f"{site.url}/a?b&c"]))
        index = client.get(f"{site.url}/index.xml")
        packed = client.get(f"{site.url}/s.xml.gz")
        assert index.headers["content-type"] == "application/xml"
        assert f"<loc>{site.url}/s.xml</loc><lastmod>2026-01-02</lastmod>" in index.text
        assert f"<loc>{site.url}/a?b&amp;c</loc>" in gzip.decompress(packed.content).decode()


def test_redirects_name_their_target(client):
    with Site({"/a": redirect("{site}/b", 301), "/chain/*": redirect_chain}) as site:
        assert client.get(f"{site.url}/a").headers["location"] == f"{site.url}/b"
        end = client.get(f"{site.url}/chain/15", follow_redirects=True)
        assert (len(end.history), end.status_code) == (15, 200)


def test_a_flaky_page_fails_as_often_as_it_is_told(client):
    with Site({"/a": Flaky("fine", times=2, status=429, retry_after="1")}) as site:
        answers = [client.get(f"{site.url}/a") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "1"


def test_session_links_are_new_with_every_request(client):
    with Site({"/session/*": session_links}) as site:
        assert client.get(f"{site.url}/session/a").text != client.get(f"{site.url}/session/a").text


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gzip_bomb_is_a_proper_gzip_file_of_its_size(layers):
    data = gzip_bomb(64, layers).body
    assert len(data) < (100_000 if layers == 1 else 10_000)
    for _ in range(layers):
        data = gzip.decompress(data)  # checks the checksum and the length, too
    assert data == b" " * (64 << 20)


def test_a_brotli_bomb_is_proper_brotli():
    brotli = pytest.importorskip("brotli")
    data = brotli_bomb(64).body
    assert len(data) < 2000
    assert len(brotli.decompress(data)) == 64 << 20


@pytest.mark.parametrize("charset", ["latin-1", "utf-16"])
def test_a_broken_charset_is_declared_as_utf_8_and_is_none(client, charset):
    with Site({"/a": broken_charset(charset)}) as site:
        page = client.get(f"{site.url}/a")
    assert page.headers["content-type"].endswith("utf-8")
    assert "Löhne" in page.content.decode(charset)
    with pytest.raises(UnicodeDecodeError):
        page.content.decode("utf-8")


def test_a_large_page_has_its_length_and_is_sent_in_pieces(client):
    with Site({"/large": large_page(3)}) as site, client.stream("GET", f"{site.url}/large") as page:
        assert int(page.headers["content-length"]) == 3 << 20
        assert sum(len(piece) for piece in page.iter_bytes()) == 3 << 20


def test_a_nested_page_is_as_deep_as_told():
    assert str(nested_page(500).body).count("<div>") == 500


def read_some(site: Site, path: str, seconds: float = 0.4, most: int = 200_000) -> bytes:
    """Ask for a path and read for a moment."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=seconds) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        data, end = b"", time.monotonic() + seconds
        try:
            while len(data) < most and time.monotonic() < end and (piece := connection.recv(65_536)):
                data += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return data


def test_a_slow_page_drips():
    with Site({"/drip": slow_drip(0.05), "/headers": lambda _: slow_headers(0.05)}) as site:
        assert 0 < read_some(site, "/drip").count(b"\r\n1\r\n") < 12
        assert 0 < len(read_some(site, "/headers")) < 12


BROKEN = {
    "garbage": http.client.BadStatusLine, "empty": http.client.RemoteDisconnected, "reset": ConnectionResetError,
    "too-long": http.client.IncompleteRead, "huge-headers": http.client.LineTooLong,
}  # fmt: skip


@pytest.mark.parametrize(("name", "error"), BROKEN.items())
def test_broken_http_is_broken(name, error):
    with Site(hostile()) as site:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=5)
        try:
            connection.request("GET", f"/hostile/{name}")
            with pytest.raises(error):
                connection.getresponse().read()
        finally:
            connection.close()


def test_every_hostile_page_answers_something_and_the_site_still_stands():
    pages = {path: page for path, page in hostile().items() if "bomb" not in path}
    with Site(pages) as site:
        for path in START:
            if "bomb" in path:
                continue
            data = read_some(site, path, seconds=0.2)
            assert path == "/hostile/empty" or data or path in ("/hostile/drip", "/hostile/slow-headers"), path
            assert not data.startswith(b"HTTP/1.1 404"), path
        assert site.count("/hostile/nested") == 1
        assert read_some(site, "/hostile/image-as-html").endswith(PNG)


def test_every_private_target_has_its_redirect():
    with Site(hostile()) as site:
        for number, target in enumerate(PRIVATE_TARGETS):
            assert f"\r\nLocation: {target}\r\n".encode() in read_some(site, f"/hostile/private-{number}")


def test_closing_ends_the_threads_of_endless_answers():
    before = set(threading.enumerate())
    with Site({"/endless": endless_body(), "/drip": slow_drip(60)}) as site:
        connections = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(4)]
        for connection, path in zip(connections, ["/endless", "/drip"] * 2, strict=True):
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while len(site.requests) < 4:
            time.sleep(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert set(threading.enumerate()) == before
    for connection in connections:
        connection.close()


def test_a_page_that_fails_fails_the_test():
    def broken(request: Request) -> str:
        raise KeyError(request.path)

    with pytest.raises(AssertionError, match="KeyError"), Site({"/a": broken}) as site:
        read_some(site, "/a")


def test_the_bombs_compress_as_zlib_reads_them():
    reader = zlib.decompressobj(31)
    assert len(reader.decompress(gzip_bomb(8).body, 1 << 20)) == 1 << 20
    assert reader.unconsumed_tail


# The generated help centre of the benchmarks


@pytest.fixture(scope="module")
def centre():
    with served(HelpCentre(pages=60, seed=3)) as site:
        yield site


def paths_of(sitemap: bytes) -> set[str]:
    return {urlsplit(loc).path for loc in re.findall(r"<loc>(.*?)</loc>", gzip.decompress(sitemap).decode())}


def listed(client: httpx.Client, centre: ServedSite) -> set[str]:
    parts = re.findall(r"<loc>(.*?)</loc>", client.get(centre.sitemap).text)
    return set().union(*(paths_of(client.get(part).content) for part in parts))


def test_a_help_centre_is_the_same_for_the_same_seed():
    one, two, other = HelpCentre(pages=30, seed=1), HelpCentre(pages=30, seed=1), HelpCentre(pages=30, seed=2)
    for each in (one, two, other):
        each.prepare()
    assert one.resources() == two.resources()
    assert one.mutate(0.1, 0.1, 0.1, 0.1) == two.mutate(0.1, 0.1, 0.1, 0.1)
    assert one.resources() == two.resources()
    assert set(one.live()).isdisjoint(other.live())


def test_no_page_of_a_help_centre_is_like_another():
    centre = HelpCentre(pages=60, seed=1)
    centre.prepare()
    shingles = []
    for path in centre.live():
        page = parse_html(centre.resource(path).body, url=None)
        words = " ".join(section.text for section in page.sections).casefold().split()
        shingles.append({tuple(words[at : at + 3]) for at in range(len(words) - 2)})
    assert max(len(a & b) / len(a | b) for a, b in itertools.combinations(shingles, 2)) < 0.3


def test_a_help_centre_lists_its_pages_and_gives_304_for_what_is_known(client, centre):
    assert listed(client, centre) == set(centre.live())
    assert f"Sitemap: {centre.sitemap}" in client.get(f"{centre.url}/robots.txt").text
    centre.reset()
    path = centre.live()[0]
    first = client.get(centre.url + path)
    assert 10_000 < len(first.content) < 30_000
    assert f'<link rel="canonical" href="{centre.url}{path}">' in first.text
    for name, header in (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified")):
        assert client.get(centre.url + path, headers={name: first.headers[header]}).status_code == 304
    client.get(f"{centre.url}/hc/search?query=x")
    counters = centre.counters()
    assert counters.by_status == {"200": 1, "304": 2, "404": 1}
    assert counters.by_kind == {"article": 3, "disallowed": 1}
    assert counters.bytes > len(first.content)


def test_a_day_changes_deletes_moves_and_touches_pages(client, centre):
    before = {path: client.get(centre.url + path) for path in centre.live()}
    listed_before = client.get(f"{centre.url}/sitemap.xml").text
    day = centre.mutate(changed=0.1, deleted=0.1, moved=0.05, touched=0.05)
    assert [len(each) for each in (day.changed, day.deleted, day.moved, day.touched)] == [6, 6, 3, 3]
    for path in before:
        response = client.get(centre.url + path, headers={"If-None-Match": before[path].headers["etag"]})
        if path in day.deleted:
            assert response.status_code in (404, 410)
        elif path in day.moved:
            assert (response.status_code, response.headers["location"]) == (301, day.moved[path])
        else:
            assert response.status_code == (200 if path in (*day.changed, *day.touched) else 304)

    def sections(response):
        return parse_html(response.content, url=None).sections

    assert all(sections(client.get(centre.url + path)) != sections(before[path]) for path in day.changed)
    assert all(sections(client.get(centre.url + path)) == sections(before[path]) for path in day.touched)
    assert all(sections(client.get(centre.url + new)) == sections(before[old]) for old, new in day.moved.items())
    assert listed(client, centre) == set(before) - set(day.deleted) - set(day.moved) | set(day.moved.values())
    assert client.get(f"{centre.url}/sitemap.xml").text != listed_before


def test_the_server_of_a_help_centre_ends_with_its_context():
    with served(HelpCentre(pages=2)) as site:
        address = ("127.0.0.1", urlsplit(site.url).port)
        socket.create_connection(address).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
