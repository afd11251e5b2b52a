"""Keys: what is kept of them, who finds them, which pages may use them, and the commands over them."""

import json
import os
import random
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ROOT

from service.keys import KINDS, LOOK_AGAIN, PATIENCE, KeysError, KeyStore, parse_origin
from service.keys_cli import add_keys
from service.settings import Settings

PAGE = "https://help.example.com"


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "home" / "keys.sqlite"


@pytest.fixture
def store(path) -> KeyStore:
    return KeyStore(path)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fill(path: Path, count: int) -> None:
    """Add many keys at once, whose texts nobody knows."""
    rows = [(f"{number}", "secret", "n", "", os.urandom(32), "2026-05-01", None) for number in range(count)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO keys (id, kind, name, origins, digest, created, revoked) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        )


def origins(kind: str) -> list[str]:
    return [PAGE] if kind == "widget" else []


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_found_by_its_text_and_by_nothing_else(store, kind):
    key, text = store.create(kind, " Help centre ", origins(kind))
    assert re.fullmatch(rf"cd{kind[0]}_[0-9A-Za-z]{{43}}", text)
    assert store.find(text) == key
    assert (key.kind, key.name, key.revoked) == (kind, "Help centre", None)
    other = next(letter for letter in "wsa" if letter != kind[0])
    for wrong in (
        text[:-1],
        text + "x",
        text[:-1] + ("a" if text[-1] != "a" else "b"),
        f"cd{other}{text[3:]}",
        text.upper(),
        f" {text}",
        f"{text}\n",
        key.id,
    ):
        assert store.find(wrong) is None


@pytest.mark.parametrize(
    "text",
    ["", "cds_", "cds_" + "ä" * 43, "cds_" + "\ud800" * 43, "cds_" + "0" * 1_000_000, "\0", "cds_" + "٣" * 43, "cdx_" + "0" * 43],
)  # fmt: skip
def test_any_text_may_be_asked(store, text):
    store.create("secret", "n")
    assert store.find(text) is None


def test_the_text_of_a_key_is_in_no_file_and_no_error(store, path):
    _, text = store.create("secret", "n")
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"SQLite" in kept
    for part in (text, text[4:], text[4:20]):
        assert part.encode() not in kept


def test_the_file_is_readable_by_its_owner_alone(store, path):
    before = os.umask(0)
    try:
        store.create("secret", "n")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    store.create("secret", "n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_home_without_keys_is_left_as_it_is(path):
    store = KeyStore(path)
    assert store.list() == []
    assert store.find("cds_" + "0" * 43) is None
    assert not store.revoke("1")
    assert not path.parent.exists()


def test_a_revoked_key_is_listed_and_not_found(store):
    (first, text), (second, other) = store.create("secret", "a"), store.create("admin", "a")
    assert store.revoke(first.id)
    assert not store.revoke(first.id)
    assert not store.revoke("\ud800")
    assert store.find(text) is None
    assert store.find(other) == second
    assert [(key.id, key.revoked is None) for key in store.list()] == [(first.id, False), (second.id, True)]


def test_what_another_process_does_counts_within_a_second(store, path):
    key, text = store.create("secret", "n")
    assert store.find(text)
    code = (
        "import sys; from pathlib import Path; from service.keys import KeyStore; store = KeyStore(Path(sys.argv[1])); "
        "print(store.revoke(sys.argv[2])); print(store.create('secret', 'new')[1])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(path), key.id], capture_output=True, text=True, check=True, cwd=ROOT
    )
    revoked, new = out.stdout.split()
    assert revoked == "True"
    deadline = time.monotonic() + 1
    while store.find(text):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert store.find(new)


def test_many_changes_in_one_tick_of_the_clock_are_all_noticed(path):
    clock = Clock()
    key, text = KeyStore(path).create("secret", "n")
    reader = KeyStore(path, clock=clock)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # so fast that the time of the file stays the same
        for _ in range(100):
            for revoked, found in (("2026-05-01", None), (None, key)):
                connection.execute("UPDATE keys SET revoked = ?", (revoked,))
                clock.now += LOOK_AGAIN
                assert reader.find(text) == found


def test_a_file_is_read_again_while_its_time_is_unsure_and_no_more_then(path):
    clock = Clock()
    key, text = KeyStore(path).create("secret", "n")
    store = KeyStore(path, clock=clock)

    def read_again() -> bool:
        before = store._keys
        clock.now += LOOK_AGAIN
        assert store.find(text) == key
        return store._keys is not before

    assert read_again()  # a second change in the same tick of the file system's clock would not show
    time.sleep(2.1)
    assert read_again()
    assert not read_again()


def test_a_file_that_was_put_in_the_place_of_another_is_read(path, tmp_path):
    clock = Clock()
    store = KeyStore(path, clock=clock)
    _, text = store.create("secret", "n")
    shutil.copy(path, tmp_path / "backup")
    _, later = store.create("secret", "later")
    assert store.find(later)
    (tmp_path / "backup").replace(path)
    clock.now += LOOK_AGAIN
    assert store.find(text)
    assert store.find(later) is None
    path.unlink()
    clock.now += LOOK_AGAIN
    assert store.find(text) is None


def test_keys_that_are_known_go_on_for_a_while_when_the_file_breaks_and_no_longer(path):
    clock = Clock()
    store = KeyStore(path, clock=clock)
    _, text = store.create("secret", "n")
    assert store.find(text)
    good = path.read_bytes()
    path.write_bytes(b"no database " * 1000)
    clock.now += LOOK_AGAIN
    assert store.find(text)
    clock.now += PATIENCE
    for _ in range(2):
        with pytest.raises(KeysError, match=r"not a readable file of keys .*backup"):
            store.find(text)
    path.write_bytes(good)
    clock.now += LOOK_AGAIN
    assert store.find(text)


def test_a_file_in_use_does_not_stop_the_keys_that_are_known(path):
    clock = Clock()
    store = KeyStore(path, clock=clock)
    _, text = store.create("secret", "n")
    assert store.find(text)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        clock.now += LOOK_AGAIN
        began = time.monotonic()
        assert store.find(text)
        assert time.monotonic() - began < 0.4
    finally:
        holder.close()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no database " * 1000, "not a readable file of keys"),
        (b"SQLite format 3\0" + bytes(4000), "not a readable file of keys"),
    ],
)
def test_a_damaged_file_is_told_with_what_to_do(path, content, problem):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(KeysError, match=rf"keys\.sqlite: {problem} .*move it away"):
        KeyStore(path)


def test_a_page_that_was_overwritten_is_told(store, path):
    store.create("secret", "n")
    fill(path, 200)
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 64] = random.Random(1).randbytes(64)
    path.write_bytes(data)
    with pytest.raises(KeysError, match="not a readable file of keys"):
        KeyStore(path)


def test_a_database_of_something_else_is_not_touched(path):
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE articles (id)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(KeysError, match="not a file of keys"):
        KeyStore(path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KeysError, match="check its rights"):
        KeyStore(tmp_path / "file" / "keys.sqlite").create("secret", "n")


def test_an_empty_file_holds_no_keys_and_takes_some(path):
    path.parent.mkdir()
    path.touch()
    store = KeyStore(path)
    assert store.list() == []
    _, text = store.create("secret", "n")
    assert store.find(text)


def test_several_processes_make_keys_at_once(path):
    code = (
        "import sys; from pathlib import Path; from service.keys import KeyStore; store = KeyStore(Path(sys.argv[1]))\n"
        "for n in range(25): print(store.create('secret', 'n')[1])"
    )
    command = [sys.executable, "-c", code, str(path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)]
    texts = [text for process in processes for text in process.communicate(timeout=60)[0].split()]
    assert len(set(texts)) == 100
    store = KeyStore(path)
    assert len(store.list()) == 100
    assert all(store.find(text) for text in texts)


def test_a_writer_that_was_killed_leaves_keys_that_can_be_read(store, path):
    _, text = store.create("secret", "before")
    code = (
        "import sys, os, signal, sqlite3; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA cache_size = 1'); c.execute('PRAGMA cache_spill = 1'); c.execute('BEGIN IMMEDIATE'); "
        "c.execute('DELETE FROM keys'); "
        "[c.execute(\"INSERT INTO keys VALUES (?, 'secret', 'n', '', ?, '', NULL)\", (str(n), os.urandom(32))) for n in range(3000)]; "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -9
    assert (path.parent / "keys.sqlite-journal").exists()  # what was half written is in the file
    again = KeyStore(path)
    assert [key.name for key in again.list()] == ["before"]
    assert again.find(text)


def test_ten_thousand_keys_are_found_in_microseconds_by_many_threads(path):
    store = KeyStore(path)
    _, text = store.create("secret", "one")
    fill(path, 10_000)
    store = KeyStore(path)
    assert len(store.list()) == 10_001
    stop = threading.Event()

    def ask() -> int:
        count = 0
        while not stop.is_set():
            assert store.find(text)
            assert store.find("cds_" + "0" * 43) is None
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        time.sleep(0.7)  # long enough for the file to be looked at again
        stop.set()
        assert all(future.result() > 100 for future in asking)
    began = time.perf_counter()
    for _ in range(2000):
        store.find(text)
    assert (time.perf_counter() - began) / 2000 < 100e-6  # about 2 µs; the rest is for a busy machine


@pytest.mark.parametrize("name", ["", "  ", "\n", "a\nb", "a\x1b[31mb", "a\u202eb", "\ud800", "n" * 101])
def test_a_name_that_cannot_be_printed_is_refused(store, path, name):
    with pytest.raises(KeysError, match="name"):
        store.create("secret", name)
    assert not path.exists()


def test_the_kind_decides_whether_there_are_origins(store):
    with pytest.raises(KeysError, match="give the origins"):
        store.create("widget", "n")
    for kind in ("secret", "admin"):
        with pytest.raises(KeysError, match="bound to no origin"):
            store.create(kind, "n", [PAGE])
    with pytest.raises(KeysError, match="100 at most"):
        store.create("widget", "n", [f"https://h{number}.example" for number in range(101)])
    with pytest.raises(KeysError, match="no kind of key; give widget, secret, admin"):
        store.create("root", "n")
    assert store.list() == []


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://help.example.com", "https://help.example.com"),
        (" HTTPS://Help.Example.COM/ ", "https://help.example.com"),
        ("https://help.example.com:443", "https://help.example.com"),
        ("http://help.example.com:80", "http://help.example.com"),
        ("https://help.example.com:8443", "https://help.example.com:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[2001:DB8:0::1]:3000", "http://[2001:db8::1]:3000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://my_shop.example", "https://my_shop.example"),
        ("https://*.example.com", "https://*.example.com"),
        ("https://*.example.co.uk:8443", "https://*.example.co.uk:8443"),
        ("https://*.bücher.example", "https://*.xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(text, origin):
    assert parse_origin(text) == origin
    assert parse_origin(origin) == origin


@pytest.mark.parametrize(
    "text",
    ["", "*", "null", "help.example.com", "https://", "//help.example.com", "ftp://help.example.com", "file:///etc", "javascript://a.example",
     "https://help.example.com/page", "https://help.example.com?q", "https://help.example.com#a?b", "https://user@help.example.com",
     "https://help.example.com:port", "https://help.example.com:99999", "https://a b.example", "https://-a.example", "https://a..example",
     "https://a.*.example", "https://**.example.com", "https://*example.com", "https://a.example\\b", "https://[::1", "https://[zz::1]",
     "https://1.2.3", "https://" + "a" * 64 + ".example", "https://" + "a." * 130 + "example", "https://\ud800.example", "https://a,https://b",
     "https://a.example\0"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(KeysError, match="no origin; give scheme"):
        parse_origin(text)


@pytest.mark.parametrize(
    "text", ["https://*.com", "https://*.co.uk", "https://*.github.io", "https://*.localhost", "https://*.127.0.0.1"]
)
def test_an_origin_that_lets_strangers_in_is_refused(text):
    with pytest.raises(KeysError, match="strangers"):
        parse_origin(text)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://help.example.com", True),
        ("https://a.shop.example.com", True),
        ("https://b.a.shop.example.com", True),
        ("http://localhost:3000", True),
        ("https://shop.example.com", False),
        ("https://*.shop.example.com", False),
        ("https://.shop.example.com", False),
        ("https://evilshop.example.com", False),
        ("https://evil.example/.shop.example.com", False),
        ("https://evil.example#.shop.example.com", False),
        ("https://evil.example:1@a.shop.example.com", False),
        ("https://a.shop.example.com:8443", False),
        ("https://a.shop.example.com.evil.example", False),
        ("https://help.example.com.evil.example", False),
        ("http://help.example.com", False),
        ("http://a.shop.example.com", False),
        ("http://localhost", False),
        ("https://help.example.com/", False),
        ("null", False),
        ("*", False),
        ("", False),
        ("https://" + "a" * 100_000 + ".shop.example.com", False),
        ("https://\ud800.shop.example.com", False),
    ],
)
def test_a_widget_key_allows_its_origins_and_no_other(store, origin, allowed):
    key, text = store.create(
        "widget", "n", ["https://help.example.com/", "https://*.shop.example.com", "http://localhost:3000", PAGE]
    )
    assert key.origins == ("https://help.example.com", "https://*.shop.example.com", "http://localhost:3000")
    assert store.find(text) == key
    assert key.allows(origin) is allowed


@pytest.mark.parametrize("kind", ["secret", "admin"])
def test_a_key_for_servers_allows_no_page(store, kind):
    assert not store.create(kind, "n")[0].allows(PAGE)


# The commands.


@pytest.fixture
def keys(tmp_path, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        parser = ArgumentParser()

        def common(sub, called):
            sub.add_argument("--home")
            sub.add_argument("--json", action="store_true")
            sub.set_defaults(run=called)

        add_keys(parser.add_subparsers(), common)
        given = parser.parse_args(["keys", *arguments])
        code = given.run(given, Settings(home=tmp_path, cache=tmp_path))
        return code, *capsys.readouterr()

    return run


def test_a_key_is_shown_once_with_what_it_may_do_and_how_it_is_used(keys, tmp_path):
    code, out, err = keys(
        "create", "--kind", "widget", "--name", "Help [bold]", "--origin", "https://*.example.com", PAGE
    )
    text = out.split("\n")[0]
    assert (code, err) == (0, "")
    key = KeyStore(tmp_path / "keys.sqlite").find(text)
    assert key.name == "Help [bold]"
    assert out.count(text) == 1
    assert "Help [bold]" in out
    assert f"citedesk keys revoke {key.id}" in out
    assert re.search(r"^ +try +curl .*\$KEY.* -H 'Origin: https://www\.example\.com' .*/v1/query$", out, re.MULTILINE)


@pytest.mark.parametrize(("kind", "address"), [("secret", "/v1/query"), ("admin", "/insights")])
def test_each_kind_is_explained(keys, kind, address):
    _, out, _ = keys("create", "--kind", kind, "--name", "n", "--home", "my desk")
    assert re.search(rf"^ +try +curl .*{address}$", out, re.MULTILINE)
    assert re.search(r"^ +revoke +citedesk keys revoke \w+ --home 'my desk'$", out, re.MULTILINE)


def test_a_program_gets_json(keys, tmp_path):
    made = json.loads(keys("create", "--kind", "secret", "--name", "n", "--json")[1])
    assert KeyStore(tmp_path / "keys.sqlite").find(made.pop("key")).id == made["id"]
    code, out, _ = keys("list", "--json")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [made]
    assert json.loads(keys("revoke", made["id"], "--json")[1]) == {"id": made["id"], "revoked": True}
    assert json.loads(keys("list", "--json")[1])["revoked"]


def test_the_list_names_keys_and_never_their_text(keys):
    assert keys("list")[0] == 1
    text = keys("create", "--kind", "secret", "--name", "Support [desk]")[1].split("\n")[0]
    code, out, err = keys("list")
    assert (code, err) == (0, "")
    assert "Support [desk]" in out
    assert text not in out


def test_a_key_is_revoked_by_its_id_or_by_the_text_that_leaked(keys, tmp_path):
    made = [json.loads(keys("create", "--kind", "secret", "--name", "n", "--json")[1]) for _ in range(2)]
    for given, key in zip(("id", "key"), made, strict=True):
        code, out, _ = keys("revoke", key[given])
        assert code == 0
        assert out.startswith(f"{key['id']}: revoked")
        assert key["key"] not in out
        code, out, err = keys("revoke", key[given])
        assert (code, out) == (1, "")
        assert key["key"] not in err
    assert all(key.revoked for key in KeyStore(tmp_path / "keys.sqlite").list())
