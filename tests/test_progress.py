import os
import pty
import sys
import threading

import pytest

from ingest.pipeline import Step
from service import progress as module
from service.progress import LONGEST_NAME, Progress


def test_without_a_terminal_a_stage_of_known_length_is_named_once(capsys):
    with Progress() as progress:
        for done in range(1, 4):
            progress.stage("encode", done, 3)
        progress.say("encoder e5")
    assert capsys.readouterr().err.splitlines() == ["citedesk: encode: 1/3 …", "citedesk: encoder e5 …"]


def test_without_a_terminal_the_time_left_is_told_at_the_speed_since_the_last_line(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with Progress() as progress:
        for seconds, done in ((0, 1_000), (module.EVERY, 1_300), (2 * module.EVERY, 1_360), (3 * module.EVERY, 2_000)):
            now[0] = float(seconds)
            progress.stage("encode", done, 2_000)
    assert capsys.readouterr().err.splitlines() == [
        "citedesk: encode: 1000/2000 …", "citedesk: encode: 1300/2000, 1:10 left …",
        "citedesk: encode: 1360/2000, 5:20 left …", "citedesk: encode: 2000/2000 …",
    ]  # fmt: skip


def test_without_a_terminal_what_has_no_known_end_is_told_after_a_while(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with Progress() as progress:
        progress.count("asked")
        progress.ingest(Step("s" * 60, 3, 2, 1, 0))
        assert capsys.readouterr().err == ""
        now[0] = module.EVERY
        progress.count("asked")
        progress.ingest(Step("s" * 60, 4, 1, 2, 1))
    name = "…" + "s" * (LONGEST_NAME - 1)
    told = ["citedesk: asked: 2 …", f"citedesk: {name}: 4 fetched, 1 waiting, 2 cleaned, 1 errors …"]
    assert capsys.readouterr().err.splitlines() == told


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_each_thing_has_a_line_with_its_counts(monkeypatch):
    master, slave = pty.openpty()
    read: list[bytes] = []

    def drain():
        while True:
            try:
                read.append(os.read(master, 4096))
            except OSError:
                return

    reader = threading.Thread(target=drain)
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setenv("TERM", "xterm")
        with Progress() as progress:
            progress.stage("encode", 2, 3)
            progress.count("asked")
            progress.say("encoder")
            progress.ingest(Step("kraken", 0, 0, 7, 1))
        terminal.flush()
    reader.join(5)
    os.close(master)
    text = b"".join(read).decode()
    assert all(part in text for part in ("encode", "2/3", "asked", "encoder", "kraken", "7 cleaned, 1 errors"))
