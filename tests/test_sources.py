"""What is read: files, folders, a sources.toml and JSONL, and how what is wrong in them is named."""

import json
import re
from pathlib import Path

import pytest

from ingest.article import IngestError
from ingest.sources import Document, Source, documents, find_sources

PAGE = "<html><body><main><h1>Fees</h1><p>Kelpex takes 0.1 % of each trade.</p></main></body></html>"
ROW = {"url": "https://help.kelpex.example/fees", "title": "Fees", "text": "Kelpex takes 0.1 % of each trade."}


def names(source: Source) -> list[str]:
    return [document.path.relative_to(source.path).as_posix() for document in documents(source)]


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


@pytest.fixture
def rows(tmp_path):
    """Write a JSONL file of raw lines or of rows, and read it: its documents, and what is said of the others."""

    def read(*lines: bytes | dict[str, object]) -> tuple[list[Document], list[str]]:
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
        found = [document for source in find_sources(str(path)) for document in documents(source)]
        problems = [str(found) for found in found if isinstance(found, IngestError)]
        return [document for document in found if isinstance(document, Document)], problems

    return read


@pytest.mark.parametrize(
    ("name", "kind"), [("a.html", "html"), ("a.HTM", "html"), ("a.txt", "text"), ("a.md", "markdown")]
)
def test_a_file_is_one_document_of_its_kind(tmp_path, name, kind):
    path = tmp_path / name
    path.write_bytes(b"\xff\x00 raw")
    (source,) = find_sources(str(path))
    assert list(documents(source)) == [Document(kind, b"\xff\x00 raw", str(path), path, source, {})]


def test_a_folder_gives_its_pages_sorted_and_leaves_out_what_is_no_page(folder):
    (source,) = find_sources(str(folder))
    assert names(source) == ["a.txt", "b.html", "deep/A.HTM", "deep/c.md"]


def test_an_empty_folder_gives_nothing(tmp_path):
    (source,) = find_sources(str(tmp_path))
    assert names(source) == []


def test_a_folder_is_narrowed_by_patterns(folder):
    assert names(Source(folder, include=("*.html", "*.md"))) == ["b.html", "deep/c.md"]
    assert names(Source(folder, exclude=("deep/*",))) == ["a.txt", "b.html"]
    assert names(Source(folder, include=("*.html", "*.HTM"), exclude=("b.*",))) == ["deep/A.HTM"]


def test_what_cannot_be_opened_comes_as_an_error_and_the_others_go_on(folder):
    (source,) = find_sources(str(folder))
    walk = documents(source)
    assert isinstance(next(walk), Document)
    (folder / "deep" / "A.HTM").unlink()
    rest = list(walk)
    assert [type(found) for found in rest] == [Document, IngestError, Document]
    assert re.search(r"A\.HTM: cannot be read \(No such file", str(rest[1]))


def test_a_sources_toml_names_folders_relative_to_itself(settings, folder):
    path = settings(
        '[[source]]\npath = "pages"\ninclude = ["*.html"]\nexclude = ["x*"]\nbase_url = "https://x.example"\n'
        'exchange = "Kelpex"\nmax_age_days = 30\n\n[[source]]\npath = "pages/a.txt"\n'
    )
    assert find_sources(str(path)) == [
        Source(folder, ("*.html",), ("x*",), "https://x.example", "Kelpex", 30),
        Source(folder / "a.txt"),
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("colour = 'red'\npath = 'pages'", "unknown setting 'colour'; known are base_url, exchange, exclude, include"),
        ("exchange = 'Kelpex'", "'path' is missing; give a file or folder, relative to the file"),
        ("path = ''", "'path' is missing; give a file or folder, relative to the file"),
        ("path = 7", "path is 7; a text is expected"),
        ("path = 'nowhere'", "nowhere: no such file or folder"),
        ("path = 'pages/logo.png'", "unknown kind of file; known are .html"),
        ("path = 'https://x.example/fees'", "web addresses cannot be read yet; save the page"),
        ("path = 'pages'\ninclude = '*.html'", "include is '*.html'; a list of texts is expected"),
        ("path = 'pages'\nexclude = [1]", "exclude is [1]; a list of texts is expected"),
        ("path = 'pages'\nbase_url = 5", "base_url is 5; a text is expected"),
        ("path = 'pages'\nexchange = ['Kelpex']", "exchange is ['Kelpex']; a text is expected"),
        ("path = 'pages'\nmax_age_days = 0", "max_age_days is 0; a number of days from 1 is expected"),
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


@pytest.mark.parametrize("address", ["https://help.kelpex.example/fees", "http://x.example", "HTTPS://X.EXAMPLE/"])
def test_a_web_address_is_refused_with_a_way_out(address):
    assert refused(address) == (
        f"{address}: web addresses cannot be read yet; save the page and give the file or its folder"
    )


def test_an_unknown_kind_of_file_is_refused_with_the_known_ones(folder):
    assert re.search(r"logo\.png: unknown kind of file; known are \.html, .*\.jsonl$", refused(folder / "logo.png"))
    assert "notes: unknown kind of file" in refused(folder / "notes")


def test_a_missing_path_and_an_empty_one_are_refused(tmp_path):
    assert refused(tmp_path / "nowhere.html").endswith("nowhere.html: no such file or folder")
    assert refused(tmp_path / "nowhere.toml").endswith("nowhere.toml: no such file or folder")
    assert refused(" ") == "a SOURCE is empty; give a file or a folder, `.` for the folder that you are in"


def test_a_row_carries_its_fields_and_its_line(rows, tmp_path):
    (document,), problems = rows({**ROW, "id": "fees", "exchange": "Kelpex", "other": {"is": "ignored"}})
    assert problems == []
    assert (document.kind, document.name) == ("row", f"{tmp_path / 'rows.jsonl'}:1")
    assert document.data == ROW["text"].encode()
    assert document.row["id"] == "fees"
    assert document.row["html"] is None


def test_html_of_a_row_goes_before_its_text(rows):
    (document,), _ = rows({**ROW, "html": PAGE})
    assert document.data == PAGE.encode()


def test_html_needs_no_title_and_null_is_as_good_as_absent(rows):
    found, problems = rows({"html": PAGE, "title": None, "text": None, "updated": None})
    assert len(found) == 1
    assert problems == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{not json", "not a JSON object ("),
        (b'{"title": "Cut off", "te', "not a JSON object ("),
        (b"[" * 100_000, "not a JSON object ("),
        (b'["a", "list"]', "not a JSON object but list"),
        (b'"text"', "not a JSON object but str"),
        (b"null", "not a JSON object but NoneType"),
        (b'{"title": "\xff\xfe", "text": "x"}', "not a JSON object ('utf-8' codec can't decode"),
        ({"text": "Words."}, "'title' is missing"),
        ({"title": "", "text": "Words."}, "'title' is missing"),
        ({"title": "Fees"}, "neither 'text' nor 'html' in it"),
        ({"title": "Fees", "text": "", "html": None}, "neither 'text' nor 'html' in it"),
        ({**ROW, "title": 5}, "'title' is int, a string is expected"),
        ({**ROW, "text": ["a", "b"]}, "'text' is list, a string is expected"),
        ({**ROW, "url": {}}, "'url' is dict, a string is expected"),
        ({**ROW, "id": 17}, "'id' is int, a string is expected"),
        ({**ROW, "title": "half \ud83d"}, "'title' holds half of a surrogate pair"),
        ({**ROW, "updated": "yesterday"}, "'updated' is 'yesterday', a date like 2026-05-01 is expected"),
        ({**ROW, "published": "05/06/2026"}, "'published' is '05/06/2026', a date like 2026-05-01 is expected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_row_is_named_with_its_line_and_the_others_go_on(rows, tmp_path, line, message):
    found, problems = rows({**ROW, "id": "before"}, line, {**ROW, "id": "after"})
    assert [document.row["id"] for document in found] == ["before", "after"]
    (said,) = problems
    assert said.startswith(f"{tmp_path / 'rows.jsonl'}:2: {message}")
    assert said.endswith("; the line is left out")


def test_blank_lines_are_passed_over_and_counted(rows):
    found, problems = rows(b"", ROW, b"   \t", b"\r", {**ROW, "id": "last"}, b"")
    assert [document.name.rsplit(":", 1)[1] for document in found] == ["2", "5"]
    assert problems == []


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROW).encode() + b"\r\n" + json.dumps(ROW).encode() + b"\r\n")
    assert [type(found) for found in documents(Source(path))] == [Document, Document]


def test_a_line_separator_inside_a_text_does_not_part_the_row(rows):
    found, problems = rows(json.dumps({**ROW, "text": "one\u2028two\u0085three"}, ensure_ascii=False).encode())
    assert (len(found), problems) == (1, [])
