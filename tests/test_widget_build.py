"""The widget's built files: made from the source and nothing else, small, whole in each language, and served to every page."""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from argparse import ArgumentParser
from pathlib import Path

import brotli
import pytest
from conftest import ROOT, make_home
from desk_client import client_of

from benchmarks.widget import LIMIT, Visit, sizes, times
from service.api.widget import STATIC, widget_file
from service.settings import Settings, SettingsError
from service.widget_cli import add_widget, snippet

SOURCE = ROOT / "service" / "widget"
LARGEST = 20_000
LANGUAGES = ["ar", "de", "es", "fr", "hi", "id", "it", "ja", "ko", "pt", "ru", "tr", "uk", "vi", "zh"]
KEY = "cdw_" + "a" * 43


def words(language: str) -> dict[str, str]:
    return json.loads((SOURCE / "words" / f"{language}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with client_of(tmp_path_factory.mktemp("home"), kind=None) as client:
        yield client


def test_the_built_files_are_made_from_the_source(tmp_path):
    npm = shutil.which("npm")
    if npm is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("npm is missing: apt-get install nodejs npm")
    copy = tmp_path / "widget"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("node_modules"))
    installed = SOURCE / "node_modules"
    if (installed / "vite").is_dir() and not os.environ.get("CI"):
        (copy / "node_modules").symlink_to(installed)
    else:
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], copy)
    run([npm, "run", "check"], copy)
    run([npm, "run", "build"], copy, WIDGET_OUT=str(tmp_path / "built"))
    built = {path.name: path.read_bytes() for path in (tmp_path / "built").iterdir()}
    shipped = {path.name: path.read_bytes() for path in STATIC.glob("widget*")}
    assert built.keys() == shipped.keys()
    assert [name for name in built if built[name] != shipped[name]] == [], "`make widget` builds them anew"


def run(command: list[str], folder: Path, **environment: str) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_script_is_small_and_names_no_map_and_no_other_address():
    script = (STATIC / "widget.js").read_bytes()
    assert len(gzip.compress(script, 9)) <= LARGEST
    assert b"sourceMappingURL" not in script
    addresses = set(re.findall(rb"https?://[\w./-]+", script))
    assert addresses <= {b"http://www.w3.org/2000/svg"}
    assert not re.search(
        rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.cookie\b", script
    )


def test_the_table_of_sizes_and_times_says_what_was_measured():
    rows = dict(sizes())
    packed = len(gzip.compress((STATIC / "widget.js").read_bytes(), 9))
    assert rows["the script, gzip −9"].startswith(f"{packed:,} bytes")
    assert LIMIT == LARGEST
    visits = [Visit(1, 20, 90, 50, 0, ()), Visit(1, 40, 100, 60, 0.01, (70.2,)), Visit(2, 30, 80, 70, 0, ())]
    rows = dict(times(visits[:2], visits[2:]))
    assert rows["requests before it is opened"] == "1 to 2"
    assert rows["layout shift"] == "0.01"
    assert rows["from the press on the button to the first line"] == "30 ms; 20 to 40"
    assert rows["from sending the next question to its first sentence"] == "60 ms; 50 to 70"
    assert rows["tasks of 50 ms and more"] == "1, the longest 70 ms"


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_every_word_with_the_values_that_are_put_into_it(language):
    english, other = words("en"), words(language)
    assert other.keys() == english.keys()
    assert json.loads((STATIC / f"widget-{language}.json").read_text(encoding="utf-8")) == other
    for name, text in english.items():
        assert other[name].strip() == other[name] != ""
        assert sorted(re.findall(r"\{\w+\}", other[name])) == sorted(re.findall(r"\{\w+\}", text))
        assert other[name].count("*") == text.count("*")
    assert sum(other[name] == english[name] for name in english) <= 2


def test_the_button_has_its_words_in_each_language():
    source = (SOURCE / "src" / "words.ts").read_text(encoding="utf-8")
    table = re.search(r"LAUNCH: Record<string, string> = \{(.*?)\};", source, re.DOTALL)[1]
    assert sorted(re.findall(r"\b([a-z]{2}): \"", table)) == sorted([*LANGUAGES, "en"])


@pytest.mark.parametrize(
    ("accepted", "coding", "unpack"),
    [("gzip, deflate, br, zstd", "br", brotli.decompress), ("gzip", "gzip", gzip.decompress), ("br;q=0, gzip;q=0", None, bytes), ("", None, bytes)],
)  # fmt: skip
def test_any_page_gets_the_script_packed_as_it_can_unpack_it_and_may_check_it(client, accepted, coding, unpack):
    headers = {"Origin": "https://anybody.example", "Accept-Encoding": accepted}
    with client.stream("GET", "/widget.js", headers=headers) as response:
        raw = b"".join(response.iter_raw())
    assert response.status_code == 200
    assert response.headers.get("content-encoding") == coding
    assert unpack(raw) == (STATIC / "widget.js").read_bytes()
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "Accept-Encoding" in response.headers["vary"]


def test_what_a_snippet_names_is_kept_for_good_and_anything_else_is_asked_for_again(client):
    version = widget_file().version
    pinned, bare, other = (client.get(f"/widget.js{query}") for query in (f"?v={version}", "", "?v=0123"))
    assert "immutable" in pinned.headers["cache-control"]
    assert bare.headers["cache-control"] == other.headers["cache-control"] == "public, no-cache"
    again = client.get("/widget.js", headers={"If-None-Match": f'W/{bare.headers["etag"]}, "x"'})
    assert (again.status_code, again.content) == (304, b"")
    assert client.head("/widget.js").status_code == 200
    assert client.post("/widget.js").status_code == 405


def test_words_are_served_by_language_and_nothing_else_by_their_path(client):
    response = client.get("/widget/ar.json?v=1", headers={"Origin": "https://anybody.example"})
    assert response.json() == words("ar")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cache-control"] == "public, max-age=86400"
    for path in ("xx", "..%2Fwidget", "AR", "en", "widget"):
        assert client.get(f"/widget/{path}.json").status_code == 404


def test_the_snippet_pins_the_very_file_that_is_served(client):
    tag = snippet("https://help.example/", KEY)
    served = client.get("/widget.js").content
    assert f'integrity="sha384-{base64.b64encode(hashlib.sha384(served).digest()).decode()}"' in tag
    assert f'src="https://help.example/widget.js?v={widget_file().version}"' in tag
    assert 'crossorigin="anonymous"' in tag
    assert tag.endswith(f'data-key="{KEY}" async></script>')
    assert snippet("https://help.example", KEY, pinned=False) == (
        f'<script src="https://help.example/widget.js" data-key="{KEY}" async></script>'
    )


@pytest.mark.parametrize(
    ("service", "key", "words"),
    [("help.example", KEY, "no address"), ("javascript:x", KEY, "no address"), ("https://h.example", "cds_secret", "only a widget key")],
)  # fmt: skip
def test_a_snippet_that_could_not_work_or_would_give_a_secret_away_is_refused(service, key, words):
    with pytest.raises(SettingsError, match=words) as refused:
        snippet(service, key)
    assert "cds_secret" not in str(refused.value)


def test_the_command_prints_the_snippet(capsys, tmp_path):
    parser = ArgumentParser()

    def common(sub: ArgumentParser, run) -> None:
        sub.add_argument("--json", action="store_true")
        sub.set_defaults(run=run)

    add_widget(parser.add_subparsers(), common)
    given = ["widget", "snippet", "--service", "https://h.example", "--key", KEY]
    for more in ([], ["--unpinned"], ["--json"]):
        arguments = parser.parse_args([*given, *more])
        assert arguments.run(arguments, Settings(home=tmp_path, cache=tmp_path)) == 0
    whole, unpinned, as_json = capsys.readouterr().out.splitlines()
    assert whole == snippet("https://h.example", KEY) == json.loads(as_json)["snippet"]
    assert unpinned == snippet("https://h.example", KEY, pinned=False)


def test_the_demo_shows_articles_as_help_pages_with_the_widget_on_them_and_nothing_of_them_is_markup(tmp_path):
    row = {
        "id": "fees", "url": "https://help.kelpex.example/a?b=1&c=2", "title": "Fees & <b>more</b>", "exchange": "Kelpex",
        "html": "<h1>Fees</h1><p>Kelpex takes 3 USDT for a transfer &lt;script&gt;alert(1)&lt;/script&gt; between accounts.</p>"
        "<h2>How to pay</h2><ol><li>Open the wallet of Kelpex.</li><li>Press the button.</li></ol>",
    }  # fmt: skip
    source = tmp_path / "articles.jsonl"
    source.write_text(json.dumps(row), encoding="utf-8")
    home = make_home(tmp_path / "home", source, "minilm")
    with client_of(home, kind=None, demo=True) as client:
        page = client.get("/help")
        assert client.get("/help/fees").text == page.text
        assert client.get("/help/none").status_code == 404
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "&lt;script&gt;alert(1)" in page.text
    assert "<b>more</b>" not in page.text
    assert "<li>Open the wallet of Kelpex.</li>" in page.text
    assert 'data-page-url="https://help.kelpex.example/a?b=1&amp;c=2"' in page.text
    assert re.search(r'<script src="/widget.js" data-key="cdw_[\w-]+"', page.text)
    with client_of(home, kind=None) as client:
        assert client.get("/help").status_code == 404
