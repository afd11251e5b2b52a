"""Addresses: one spelling a page, links of hostile pages, traps, and what an operator wants."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.links import LONGEST, is_trap, links_of, noindex, normal, wanted

PAGE = "https://help.example/hc/en-us/"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://Help.Example/A", "https://help.example/A"),
        ("https://help.example:443/a", "https://help.example/a"),
        ("http://help.example:80", "http://help.example/"),
        ("http://help.example:8080/a", "http://help.example:8080/a"),
        ("https://help.example./a", "https://help.example/a"),
        ("https://help.example/a#part", "https://help.example/a"),
        ("https://help.example/a?", "https://help.example/a"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://ｈelp.example/", "https://help.example/"),
        ("https://help。example/", "https://help.example/"),
        ("http://[::0:1]:80/a", "http://[::1]/a"),
        ("https://help.example/a/./b/../c/", "https://help.example/a/c/"),
        ("https://help.example/../../a", "https://help.example/a"),
        ("https://help.example/a/..", "https://help.example/"),
        ("https://help.example/%2e%2e/a", "https://help.example/a"),
        ("https://help.example/%7ea/%e2%82%ac/%2f", "https://help.example/~a/%E2%82%AC/%2F"),
        ("https://help.example/100%/a b", "https://help.example/100%25/a%20b"),
        ("https://help.example/%2541", "https://help.example/%2541"),
        (" https://help.example/a\n\tb ", "https://help.example/ab"),
        ("https://help.example\\a\\b?c=\\", "https://help.example/a/b?c=%5C"),
        ("//other.example/a", "https://other.example/a"),
        ("../b?z=1&a=2", "https://help.example/hc/b?z=1&a=2"),
        ("?page=2", "https://help.example/hc/en-us/?page=2"),
    ],
)
def test_two_spellings_of_one_address_are_one_page(url: str, expected: str) -> None:
    assert normal(url, PAGE) == expected


@pytest.mark.parametrize(
    "url",
    [
        "", "a/b", "ftp://help.example/", "javascript:alert(1)", "mailto:a@b.example", "data:text/html,x", "file:///etc",
        "https://user:secret@help.example/", "https://@help.example/", "https://help.example@evil.example/", "https://",
        "https:///a", "https://a..b/", "https://help.example:99999/", "https://help.example:0/", "https://help.example:x/",
        "https://[::1", "https://[fe80::1%25eth0]/", "https://a b.example/", "https://a%2fb.example/", "https://ab\x00c/",
        "https://help.example/\ud800", "https://" + "a" * 64 + ".example/", "https://help.example/" + "a" * LONGEST,
        "https://help.example/" + "é" * 400, "https://" + "a." * 200 + "example/",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_none(url: str) -> None:
    assert normal(url) is None


@pytest.mark.parametrize(
    "query",
    [
        "utm_source=x", "UTM_Campaign=x", "utm%5fmedium=x", "gclid=1", "fbclid=1", "mc_cid=1", "_ga=1", "PHPSESSID=1",
        "jsessionid=1", "ASP.NET_SessionId=1", "sid=1", "sessionid=1", "session_key=1", "token=a1b2c3", "token=",
        "access_token=1", "id_token=1", "auth=1", "authToken=1", "signature=1", "X-Amz-Signature=1", "api_key=1",
        "password=1", "csrf_token=1", "oauth_verifier=1", "ref=ABC", "referralCode=1", "return_to=x", "",
    ],
)  # fmt: skip
def test_sessions_tokens_and_tracking_leave_the_address(query: str) -> None:
    assert normal(f"https://help.example/a?id=7&{query}&page=2") == "https://help.example/a?id=7&page=2"


@pytest.mark.parametrize(
    "query",
    ["id=1", "page=2", "p=3", "code=x", "key=x", "hash=x", "state=NY", "lang=de", "z=1&a=2", "a=1&a=2", "a",
     "token=BTC", "tokens=1", "author=x", "inside=1", "possession=1", "author_id=3", "category=auth", "q=a+b%20c",
     "article_id=4", "order=asc", "preference=1", "step=2"],
)  # fmt: skip
def test_what_may_name_the_page_stays_and_in_order(query: str) -> None:
    assert normal(f"https://help.example/a?{query}") == f"https://help.example/a?{query}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a;jsessionid=1A2B", "a"),
        ("a;jsessionid=1/b", "a/b"),
        ("a%3BJSESSIONID=1/b", "a/b"),
        ("(S(lit3py55t21z5v55vlm25s55))/b", "b"),
        ("a;v=1", "a;v=1"),
        ("(S(short))/b", "(S(short))/b"),
    ],
)
def test_a_session_in_the_path_leaves_it(path: str, expected: str) -> None:
    assert normal(f"https://help.example/{path}") == f"https://help.example/{expected}"


_PARTS = st.lists(
    st.sampled_from(
        ["https://", "http:", "//", "/", "\\", ".", "..", "%", "%2", "%2e", "%3b", "%25", "?", "#", "&", "=", ";", ":", "@",
         "[", "]", "::1", "443", "help.example", "ü", "。", "ß", "İ", "\u200d", "\ud800", "jsessionid=", "(S(", "))",
         "lit3py55t21z5v55vlm25s55", "token", "utm_", "BTC", " ", "\n", "\x00", "a", "Z", "~", "+"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(st.one_of(st.text(), _PARTS, _PARTS.map("https://help.example/".__add__)))
@example("https://help.example/(S(lit3py55t21z5v55v(S(lit3py55t21z5v55vlm25s55))lm25s55))/")
@example("https://help.example/;jsessionid=;jsessionid=%3Bsid=")
@example("https://help.example/%%34%31")
def test_normalising_is_done_in_one_pass_and_never_raises(url: str) -> None:
    for found in (normal(url), normal(url, PAGE), normal(PAGE, url)):
        assert found is None or (normal(found) == found and len(found) <= LONGEST and found.isascii())


@pytest.mark.parametrize(
    "url",
    [
        "https://help.example/a/b/a/c/a/d",
        "https://help.example/en/en/en",
        "https://help.example/" + "/".join(map(str, range(13))),
        "https://help.example/calendar/2031/05",
        "https://help.example/events/month/2031-05-01/",
        "https://help.example/x?month=5&year=2031",
        "https://help.example/x?start_date=2031-05-01",
        "https://help.example/x?" + "&".join(f"filter{n}=1" for n in range(13)),
        "https://[",
    ],
)
def test_endless_addresses_are_traps(url: str) -> None:
    assert is_trap(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://help.example/",
        "https://help.example/hc/en-us/articles/360000/help/en-us",
        "https://help.example/announcements/2025/05/16/listing",
        "https://help.example/events/2025/05/summer-launch",
        "https://help.example/x?page=2&year=2025",
        "https://help.example/x?update=1&candidate=2025-05",
    ],
)
def test_ordinary_addresses_are_no_traps(url: str) -> None:
    assert not is_trap(url)


def test_links_come_in_order_once_resolved_and_without_those_not_to_follow() -> None:
    page = b"""<html><head><base href="/hc/de/"><base href="/other/"></head><body>
      <a href="b#x">b</a> <a href="a?utm_source=q">a</a> <a href="b">again</a> <a href="#top">top</a> <a>none</a>
      <a href="/n" rel="noopener NoFollow">n</a> <area href="map"> <a href="mailto:x@y.example">m</a> <a href="JavaScript:x">
      <!-- <a href="comment"> --><script>"<a href='script'>"</script><a href="https://user@evil.example/">e</a></body>"""
    assert links_of(page, PAGE) == (
        ["https://help.example/hc/de/b", "https://help.example/hc/de/a", "https://help.example/hc/de/map"],
        False,
    )


@pytest.mark.parametrize("base", ["javascript:x", "", "https://u@evil.example/"])
def test_a_base_that_is_no_address_does_not_count(base: str) -> None:
    assert links_of(f'<base href="{base}"><a href="b">'.encode(), PAGE)[0] == ["https://help.example/hc/en-us/b"]


@pytest.mark.parametrize(
    ("encoding", "declaration"),
    [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", ""), ("windows-1251", "<meta charset=windows-1251>")],
)
def test_links_are_read_in_the_page_s_encoding(encoding: str, declaration: str) -> None:
    page = f"<html><head>{declaration}</head><body><a href='/статья'>текст</a></body></html>".encode(encoding)
    assert links_of(page, PAGE)[0] == ["https://help.example/%D1%81%D1%82%D0%B0%D1%82%D1%8C%D1%8F"]


@pytest.mark.parametrize(
    ("content", "follows", "keeps"),
    [
        ("noindex", True, False),
        ("NOINDEX, nofollow", False, False),
        ("none", False, False),
        ("index,follow", True, True),
        ("max-image-preview:large", True, True),
    ],
)
def test_robots_metas_are_obeyed(content: str, follows: bool, keeps: bool) -> None:
    page = f'<meta name="Robots" content="{content}"><p>display: none</p><a href="/a">a</a>'.encode()
    assert (bool(links_of(page, PAGE)[0]), not noindex(page)) == (follows, keeps)


def test_a_page_that_only_talks_of_robots_is_kept() -> None:
    assert not noindex(b"<p>robots noindex</p><meta name=description content='noindex robots'>")


def test_more_links_than_wanted_are_cut_and_said_so() -> None:
    page = b"".join(b"<a href=/%d>" % number for number in range(20))
    assert links_of(page, PAGE, most=20) == ([f"https://help.example/{n}" for n in range(20)], False)
    assert links_of(page, PAGE, most=19) == ([f"https://help.example/{n}" for n in range(19)], True)


_MANY = 300_000


@pytest.mark.parametrize(
    "page",
    [
        b"<div>" * _MANY,
        b"<b>" * _MANY,
        b"<table><tr><td>" * _MANY,
        b"<" * _MANY,
        b"<!--" * _MANY,
        b"<a " + b"x " * _MANY,
        b"<a href='" + b"x" * _MANY,
        b"<a href=" + b"&lt" * _MANY,
        b"</div>" * _MANY,
        b"\x00" * _MANY,
        b"\xff\xfe" + b"<\x00" * _MANY,
        b"",
        b" ",
    ],
    ids=lambda page: str(page[:12]),
)
def test_hostile_html_gives_no_links_and_no_exception(page: bytes) -> None:
    assert links_of(page, PAGE) == ([], False)
    assert noindex(page + b"robots") is False


def test_a_million_links_are_looked_at_only_until_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def counted(url: str, base: str | None = None) -> str | None:
        nonlocal asked
        asked += 1
        return normal(url, base)

    monkeypatch.setattr("ingest.links.normal", counted)
    good = b"".join(b"<a href=/%d>" % number for number in range(_MANY))
    assert [len(part) if isinstance(part, list) else part for part in links_of(good, PAGE, most=100)] == [100, True]
    bad = b"".join(b"<a href=//u@evil.example/%d>" % number for number in range(_MANY))
    assert links_of(bad, PAGE, most=100) == ([], True)
    assert asked <= 101 + 4 * 100


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("https://help.example/hc/en-us/articles/*", True),
        ("http://help.example/hc/en-us/articles/*", False),
        ("HTTPS://Help.Example/hc/*", True),
        ("https://*.example/*", True),
        ("/hc/*/articles/*", True),
        ("/hc/*/articles/**", True),
        ("/hc/**", True),
        ("/*", True),
        ("*", True),
        ("/articles/*", False),
        ("*/articles/*", True),
        ("help.example/hc/*", True),
        ("help.example", False),
        ("/hc/en-us/articles/1-a", True),
        ("/hc/en-us/articles/1", False),
        ("/hc/EN-US/*", False),
        ("/hc/*?page=*", True),
        ("/hc/*?page=3", False),
        ("/hc/*a*a*", True),
        ("/hc/*a*a*a*", False),
        ("/hc/??-us/*", False),
        ("/hc/[e]n-us/*", False),
        ("", False),
    ],
)
def test_a_pattern_fits_the_whole_of_what_it_speaks_of(pattern: str, fits: bool) -> None:
    assert wanted("https://help.example/hc/en-us/articles/1-a?page=2", [pattern]) is fits


def test_exclude_wins_and_no_include_means_everything() -> None:
    assert wanted("https://help.example/a", [])
    assert not wanted("https://help.example/a", ["/b"])
    assert not wanted("https://help.example/a", ["/a"], ["/*"])
    assert wanted("https://help.example/a", ["/b", "/a"], ["/c"])


def test_a_pattern_may_be_written_in_the_page_s_own_letters() -> None:
    assert wanted(str(normal("https://bücher.example/статьи/1")), ["https://bücher.example/статьи/*"])


def test_a_pattern_of_many_stars_takes_no_longer_on_an_address_made_for_it() -> None:
    url = "https://help.example/" + "a" * 1_900
    assert not wanted(url, ["/" + "*a" * 500 + "*b*"])
    assert wanted(url, ["/" + "*a" * 500 + "*"])
