"""What is read: files, folders, a sources.toml and JSONL, and how what is wrong in them is named."""

import re
from pathlib import Path

import pytest

from ingest.article import IngestError
from ingest.sources import FileSource, WebSource, find_sources, guess_kind

PAGE = "<html><body><main><h1>Fees</h1><p>Kelpex takes 0.1 % of each trade.</p></main></body></html>"


def refused(argument: object) -> str:
    with pytest.raises(IngestError) as caught:
        find_sources(str(argument))
    return str(caught.value)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("b.html", "a.txt", "deep/c.md", "deep/A.HTM", "logo.png", "rows.jsonl", "notes"):
        path = tmp_path / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE)
    return tmp_path / "pages"


@pytest.fixture
def settings(tmp_path, folder):
    """Write a sources.toml beside the folder."""

    def write(text: str) -> Path:
        path = tmp_path / "sources.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_sources_toml_names_folders_relative_to_itself(settings, folder):
    path = settings(
        '[[source]]\npath = "pages"\ninclude = ["*.html"]\nexclude = ["x*"]\nbase_url = "https://x.example"\n'
        'exchange = "Kelpex"\nmax_age_days = 30\n\n[[source]]\npath = "pages/a.txt"\n'
    )
    first, second = find_sources(str(path))
    assert first == FileSource(
        name=str(folder.resolve()), path=folder, include=("*.html",), exclude=("x*",), base_url="https://x.example",
        exchange="Kelpex", max_age_days=30,
    )  # fmt: skip
    assert second == FileSource(name=str((folder / "a.txt").resolve()), path=folder / "a.txt")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "colour = 'red'\npath = 'pages'",
            "unknown setting 'colour'; known are allow_lookalikes, allow_private, base_url",
        ),
        ("exchange = 'Kelpex'", "'path' is missing; give a file or folder, relative to the file"),
        ("path = ''", "'path' is missing; give a file or folder, relative to the file"),
        ("path = 7", "path is 7; a text is expected"),
        ("path = 'nowhere'", "nowhere: no such file or folder"),
        ("path = 'pages/logo.png'", "unknown kind of file; known are .html"),
        ("path = 'https://x.example/fees'", "https://x.example/fees: no such file or folder"),
        ("path = 'pages'\nsitemap = 'https://x.example/s.xml'", "has 'path' and 'sitemap'; give each its own"),
        ("path = 'pages'\ndelay = 1.0", "'delay' does not fit a source with 'path'; take it out"),
        (
            "sitemap = 'https://x.example/s.xml'\nbase_url = 'https://x.example'",
            "'base_url' does not fit a source with",
        ),
        ("sitemap = 'ftp://x.example/s.xml'", "not a web address that can be read"),
        ("site = 'https://user:secret@x.example/'", "not a web address that can be read"),
        ("urls = ['https://x.example/a', 'https://x.example/b']", "has 2 addresses; give it a `name`"),
        ("sitemap = 7", "sitemap is 7; a web address or a list of them is expected"),
        ("urls = 'nowhere.txt'", "nowhere.txt: no such file or folder"),
        ("urls = 'pages/a.txt'", "pages/a.txt: holds other lines than web addresses"),
        ("site = 'https://x.example'\nmax_pages = 0", "max_pages is 0; a whole number from 1 to 10000000 is expected"),
        ("site = 'https://x.example'\ndelay = -1", "delay is -1; a number from 0 to 3600 is expected"),
        ("site = 'https://x.example'\nmost_lost = 2", "most_lost is 2; a number from 0 to 1 is expected"),
        ("site = 'https://x.example'\njavascript = 1", "javascript is 1; true or false is expected"),
        ("path = 'pages'\ninclude = '*.html'", "include is '*.html'; a list of texts is expected"),
        ("path = 'pages'\nexclude = [1]", "exclude is [1]; a list of texts is expected"),
        ("path = 'pages'\nbase_url = 5", "base_url is 5; a text is expected"),
        ("path = 'pages'\nexchange = ['Kelpex']", "exchange is ['Kelpex']; a text is expected"),
        ("path = 'pages'\nmax_age_days = 0", "max_age_days is 0; a whole number from 1 to 100000 is expected"),
        ("path = 'pages'\nmax_age_days = '30'", "max_age_days is '30'; a whole number is expected"),
        ("path = 'pages'\nmax_age_days = true", "max_age_days is True; a whole number is expected"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file_and_number(settings, setting, message):
    path = settings(f'[[source]]\npath = "pages"\n\n[[source]]\n{setting}\n')
    said = refused(path)
    assert said.startswith(f"{path}: [[source]] number 2: ")
    assert message in said


@pytest.mark.parametrize("text", ["", "[source]\npath = 'pages'", "source = []", "source = 'pages'"])
def test_a_sources_toml_without_a_source_says_what_to_add(settings, text):
    assert "names no source; add a [[source]] with a path" in refused(settings(text))


def test_a_source_that_is_no_table_is_named(settings):
    assert "[[source]] number 1: is 'pages'; give a [[source]] with a path" in refused(settings("source = ['pages']"))


def test_broken_toml_is_named_with_its_place(settings):
    assert re.search(r"sources\.toml: cannot be read as TOML: .*line 1", refused(settings("[[source\npath = 'x'")))


def test_toml_that_is_no_utf8_is_named(tmp_path):
    path = tmp_path / "sources.toml"
    path.write_bytes(b"# \xff\xfe\n")
    assert "sources.toml: cannot be read as TOML" in refused(path)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("https://help.kelpex.example/fees", "page"),
        ("HTTPS://help.kelpex.example/en/articles/12-fees", "page"),
        ("https://help.kelpex.example/sitemap.xml", "sitemap"),
        ("https://help.kelpex.example/sitemaps/faq.xml.gz", "sitemap"),
        ("https://help.kelpex.example/feed", "feed"),
        ("https://help.kelpex.example/news/rss.xml", "feed"),
        ("https://kelpex.zendesk.com/", "zendesk"),
        ("https://support.kelpex.example/hc/en-us", "zendesk"),
        ("https://support.kelpex.example/hc/en-us/articles/36000-fees", "page"),
        ("https://kelpex.intercom.help/en/", "intercom"),
    ],
)
def test_a_web_address_is_read_as_what_it_looks_like(address, kind):
    (source,) = find_sources(address)
    assert isinstance(source, WebSource)
    assert (source.kind, source.start, source.name) == (kind, (address,), address)
    assert guess_kind(address) == kind


def test_what_an_address_is_can_be_said(tmp_path):
    (source,) = find_sources("https://help.kelpex.example/", kind="site", max_pages=7, exclude=("*/login*",))
    assert (source.kind, source.max_pages, source.exclude) == ("site", 7, ("*/login*",))


@pytest.mark.parametrize(
    "address", ["https://", "http:///x", "https://a b.example/", "https://u:p@x.example/", "http://[::1"]
)
def test_an_address_that_cannot_be_read_is_named(address):
    assert refused(address) == (
        f"{address}: not a web address that can be read; give one like https://help.example/articles"
    )


def test_a_text_file_of_addresses_is_a_list_of_pages(tmp_path):
    path = tmp_path / "pages.txt"
    path.write_text("# the help pages\nhttps://x.example/a\n\n  https://x.example/b  \n")
    (source,) = find_sources(str(path))
    assert (source.kind, source.start) == ("page", ("https://x.example/a", "https://x.example/b"))
    path.write_text("https://x.example/a\nhttps://u:p@x.example/b\n")
    assert refused(path).startswith(f"{path}:2: not a web address")
    path.write_text("Fees\n\nSee https://x.example/a\n")
    (source,) = find_sources(str(path))
    assert isinstance(source, FileSource)


def test_a_sources_toml_names_help_centres_on_the_web(settings, tmp_path):
    (tmp_path / "pages.txt").write_text("https://x.example/a\n")
    path = settings(
        '[[source]]\nname = "kelpex"\nsitemap = "https://x.example/sitemap.xml"\ninclude = ["/hc/en-us/*"]\n'
        "delay = 1\nmax_pages = 10\nallow_private = true\n\n"
        '[[source]]\nzendesk = "https://x.example/hc"\nlocales = ["en-us", "de"]\n\n'
        '[[source]]\nname = "listed"\nurls = ["https://x.example/b", "https://x.example/c"]\n\n[[source]]\nurls = "pages.txt"\n'
    )
    kelpex, zendesk, listed, file = find_sources(str(path))
    assert kelpex == WebSource(
        name="kelpex", kind="sitemap", start=("https://x.example/sitemap.xml",), include=("/hc/en-us/*",), delay=1,
        max_pages=10, allow_private=True,
    )  # fmt: skip
    assert (zendesk.kind, zendesk.locales) == ("zendesk", ("en-us", "de"))
    assert listed.start == ("https://x.example/b", "https://x.example/c")
    assert file.start == ("https://x.example/a",)


def test_two_sources_of_one_name_are_refused(settings):
    path = settings("[[source]]\npath = 'pages'\nname = 'a'\n\n[[source]]\npath = 'pages/a.txt'\nname = 'a'\n")
    assert "[[source]] number 2 has the name 'a' as number 1 has; give each its own `name`" in refused(path)


def test_an_unknown_kind_of_file_is_refused_with_the_known_ones(folder):
    assert re.search(r"logo\.png: unknown kind of file; known are \.html, .*\.warc\.gz$", refused(folder / "logo.png"))
    assert "notes: unknown kind of file" in refused(folder / "notes")


def test_a_missing_path_and_an_empty_one_are_refused(tmp_path):
    assert refused(tmp_path / "nowhere.html").endswith("nowhere.html: no such file or folder")
    assert refused(tmp_path / "nowhere.toml").endswith("nowhere.toml: no such file or folder")
    assert refused(" ") == "a SOURCE is empty; give a file or a folder, `.` for the folder that you are in"
