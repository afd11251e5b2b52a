"""What a file or folder holds: its documents, and how what cannot be read is named."""

import json
import re
from pathlib import Path

import pytest

from ingest.files import Document, Unreadable, documents
from ingest.sources import FileSource, find_sources

PAGE = "<html><body><main><h1>Fees</h1><p>Kelpex takes 0.1 % of each trade.</p></main></body></html>"
ROW = {"url": "https://help.kelpex.example/fees", "title": "Fees", "text": "Kelpex takes 0.1 % of each trade."}


def names(source: FileSource) -> list[str]:
    return [document.path.relative_to(source.path).as_posix() for document in documents(source)]


def reading(path: Path, **settings: object) -> FileSource:
    return FileSource(name="pages", path=path, **settings)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("b.html", "a.txt", "deep/c.md", "deep/A.HTM", "logo.png", "rows.jsonl", "notes"):
        path = tmp_path / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE)
    return tmp_path / "pages"


@pytest.fixture
def rows(tmp_path):
    """Write a JSONL file of raw lines or of rows, and read it: its documents, and what is said of the others."""

    def read(*lines: bytes | dict[str, object]) -> tuple[list[Document], list[str]]:
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
        found = [document for source in find_sources(str(path)) for document in documents(source)]
        problems = [item.problem for item in found if isinstance(item, Unreadable)]
        return [document for document in found if isinstance(document, Document)], problems

    return read


@pytest.mark.parametrize(
    ("name", "kind"), [("a.html", "html"), ("a.HTM", "html"), ("a.txt", "text"), ("a.md", "markdown")]
)
def test_a_file_is_one_document_of_its_kind(tmp_path, name, kind):
    path = tmp_path / name
    path.write_bytes(b"\xff\x00 raw")
    (source,) = find_sources(str(path))
    assert list(documents(source)) == [
        Document(kind, b"\xff\x00 raw", str(path.resolve()), str(path), path, source, address=path.as_uri())
    ]


def test_a_folder_gives_its_pages_sorted_and_leaves_out_what_is_no_page(folder):
    (source,) = find_sources(str(folder))
    assert names(source) == ["a.txt", "b.html", "deep/A.HTM", "deep/c.md"]


def test_an_empty_folder_gives_nothing(tmp_path):
    (source,) = find_sources(str(tmp_path))
    assert names(source) == []


def test_a_folder_is_narrowed_by_patterns(folder):
    assert names(reading(folder, include=("*.html", "*.md"))) == ["b.html", "deep/c.md"]
    assert names(reading(folder, exclude=("deep/*",))) == ["a.txt", "b.html"]
    assert names(reading(folder, include=("*.html", "*.HTM"), exclude=("b.*",))) == ["deep/A.HTM"]


def test_rows_and_archives_in_a_folder_are_read_where_a_pattern_asks_for_them(folder):
    (folder / "rows.jsonl").write_text(json.dumps(ROW))
    assert names(reading(folder, include=("*.jsonl",))) == ["rows.jsonl"]


def test_what_cannot_be_opened_comes_as_an_error_and_the_others_go_on(folder):
    (source,) = find_sources(str(folder))
    walk = documents(source)
    assert isinstance(next(walk), Document)
    (folder / "deep" / "A.HTM").unlink()
    rest = list(walk)
    assert [type(found) for found in rest] == [Document, Unreadable, Document]
    assert re.search(r"A\.HTM: cannot be read \(No such file", rest[1].problem)


def test_a_row_carries_its_fields_and_its_line(rows, tmp_path):
    (document,), problems = rows({**ROW, "id": "fees", "exchange": "Kelpex", "other": {"is": "ignored"}})
    assert problems == []
    assert (document.kind, document.name) == ("row", f"{tmp_path / 'rows.jsonl'}:1")
    assert document.data == ROW["text"].encode()
    assert document.row["id"] == "fees"
    assert document.row["html"] is None
    assert document.key == f"{(tmp_path / 'rows.jsonl').resolve()}#{ROW['url']}"


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
    assert [type(found) for found in documents(reading(path))] == [Document, Document]


def test_a_line_separator_inside_a_text_does_not_part_the_row(rows):
    found, problems = rows(json.dumps({**ROW, "text": "one\u2028two\u0085three"}, ensure_ascii=False).encode())
    assert (len(found), problems) == (1, [])
