"""The command line as people and scripts use it: each command in a process of its own."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import PAGES, ROOT

from service import cli
from service.answer import Answer, Citation, Notice, Related, Scope, Sentence

COMMANDS = (
    "ingest",
    "build",
    "ask",
    "chat",
    "serve",
    "eval",
    "snapshots",
    "articles",
    "sources",
    "keys",
    "insights",
    "mcp",
    "widget",
)
FEE = "What is the Kelpex network fee for bitcoin?"
UNKNOWN = "How do I reset my Kelpex password?"
ADVICE = "Should I buy bitcoin now?"
FEE_SPAN = "The Kelpex network fee for bitcoin is 0.0002 BTC."
ANSWERED = {
    "id": "fee", "question": FEE, "language": "en", "exchange": "Kelpex", "kind": "scoped", "expected": "answer",
    "gold": [{"article_id": "kelpex-withdrawals", "answer_span": FEE_SPAN}], "gold_mode": "any",
}  # fmt: skip
ABSTAINED = {"id": "password", "question": UNKNOWN, "language": "en", "kind": "unanswerable", "expected": "abstain"}


def citedesk(
    *arguments: object, home: Path | None = None, stdin: str | bytes = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command; whatever it is given, it may never end in a traceback."""
    command = [sys.executable, "-m", "service.cli", *map(os.fspath, arguments)]
    command += ["--home", os.fspath(home)] if home else []
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    done = subprocess.run(
        command, input=data, capture_output=True, check=False, cwd=ROOT, timeout=300, env={**os.environ, **environment}
    )
    out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(command, done.returncode, out, err)


def says(done: subprocess.CompletedProcess[str], code: int, pattern: str) -> bool:
    """Tell whether it ended with the code and said on standard error what fits the pattern, on one line."""
    lines = [line for line in done.stderr.split("\n") if line.startswith("citedesk: ") and not line.endswith(" …")]
    return done.returncode == code and len(lines) == 1 and re.search(pattern, lines[0]) is not None


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    rows = [
        {"id": f"{name}-withdrawals", "url": f"https://help.{name}.example/withdrawals", "title": title, "text": text,
         "exchange": name.capitalize(), "updated": "2026-05-01"}
        for name, (title, text) in PAGES.items()
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("source") / "articles.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ready(tmp_path_factory, source) -> Path:
    """A home that the command line made; tests that change one make a copy."""
    home = tmp_path_factory.mktemp("ready") / "home"
    assert citedesk("ingest", source, home=home).stdout == "2 new, 0 changed, 0 unchanged, 0 not read\n"
    built = citedesk("build", "--encoder", "minilm", home=home)
    assert built.returncode == 0, built.stderr
    assert re.fullmatch(r"published \S+: 2 articles, 2 passages, \d sentences; \d texts encoded anew\n", built.stdout)
    return home


@pytest.fixture
def copy(ready, tmp_path) -> Path:
    return Path(shutil.copytree(ready, tmp_path / "home"))


@pytest.fixture
def asked(tmp_path):
    """Write an evaluation file."""

    def write(*rows: dict[str, object]) -> Path:
        path = tmp_path / "questions.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        return path

    return write


def current(home: Path) -> Path:
    return home / "snapshots" / (home / "snapshots" / "CURRENT").read_text().strip()


def names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


# What there is


def test_help_names_all_commands():
    done = citedesk("--help")
    assert done.returncode == 0
    listed = re.findall(r"^    (\w+)(?:$| +\S)", done.stdout, re.MULTILINE)
    assert tuple(sorted(listed)) == tuple(sorted(COMMANDS))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_what_it_takes(command):
    action = {
        "snapshots": ["verify"],
        "articles": ["show"],
        "sources": ["remove"],
        "keys": ["list"],
        "widget": ["snippet"],
    }.get(command, [])
    done = citedesk(command, *action, "--help")
    assert done.returncode == 0
    assert "--home DIR" in done.stdout
    assert "--json" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [[], ["nosuch"], ["ask"], ["ingest"], ["articles"], ["articles", "show"], ["ask", "--nosuch", "x"]],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_wrong_use_is_told_with_the_usage(arguments):
    done = citedesk(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: citedesk")


def test_a_port_that_is_none_is_refused(ready):
    done = citedesk("serve", "--port", "99999", home=ready)
    assert done.returncode == 2
    assert "'99999' is no port; a number from 0 to 65535 is expected" in done.stderr


def test_the_installed_script_is_the_same_program(ready):
    script = Path(sys.executable).with_name("citedesk")
    if not script.exists():
        pytest.skip("citedesk is not installed beside this Python")
    done = subprocess.run([script, "articles", "list", "--home", ready], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, citedesk("articles", "list", home=ready).stdout)


def test_the_home_can_be_named_by_the_environment(ready):
    assert citedesk("articles", "list", CITEDESK_HOME=os.fspath(ready)).returncode == 0


# ingest and build


def test_ingest_tells_what_changed_as_data(copy, source):
    done = citedesk("ingest", "--json", source, home=copy)
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told.pop("seconds") > 0
    assert told == {
        "new": 0, "changed": 0, "unchanged": 2, "moved": 0, "gone": 0, "cleaned": 0, "duplicates": 0, "suspects": 0, "problems": [],
        "problem_count": 0, "broken_files": 0, "broken_crawls": 0, "held": {}, "outcomes": {}, "notes": [],
    }  # fmt: skip


def test_ingest_names_what_it_could_not_read_and_keeps_the_rest(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"title": "How orders are filled", "text": "Orders wait in a book."}\n{broken\n', encoding="utf-8")
    done = citedesk("ingest", rows, home=tmp_path / "home")
    assert says(done, 2, r"rows\.jsonl:2: not a JSON object .*; the line is left out")
    assert done.stdout == "1 new, 0 changed, 0 unchanged, 1 not read\n"
    assert citedesk("articles", "list", home=tmp_path / "home").stdout.count("\n") == 1


def test_ingesting_nothing_is_a_negative_outcome(tmp_path):
    (tmp_path / "empty").mkdir()
    done = citedesk("ingest", tmp_path / "empty", home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (1, "0 new, 0 changed, 0 unchanged, 0 not read\n")


@pytest.mark.parametrize(
    ("given", "pattern"),
    [
        ("https:///nowhere", "https:///nowhere: not a web address that can be read"),
        ("nowhere.html", "nowhere.html: no such file or folder"),
        ("pyproject.toml", "pyproject.toml: names no source; add a"),
        ("Makefile", "Makefile: unknown kind of file; known are"),
        ("", "a SOURCE is empty; give a file or a folder"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_before_anything_is_made(tmp_path, given, pattern):
    assert says(citedesk("ingest", given, home=tmp_path / "home"), 2, pattern)
    assert not (tmp_path / "home").exists()


def test_building_twice_says_that_nothing_changed(copy):
    done = citedesk("build", "--encoder", "minilm", home=copy)
    assert done.returncode == 0
    assert re.fullmatch(rf"unchanged: {current(copy).name} already holds this corpus \(2 articles, .*\)\n", done.stdout)


def test_a_change_is_built_and_can_be_rolled_back(copy, source, tmp_path):
    before = current(copy).name
    changed = tmp_path / "articles.jsonl"
    changed.write_text(source.read_text(encoding="utf-8").replace("0.0002 BTC", "0.0003 BTC"), encoding="utf-8")
    assert citedesk("ingest", changed, home=copy).stdout.startswith("0 new, 1 changed, 1 unchanged")
    assert citedesk("build", "--encoder", "minilm", home=copy).stdout.startswith("published ")
    assert "0.0003 BTC" in citedesk("ask", FEE, home=copy).stdout
    listed = json.loads(citedesk("snapshots", "list", "--json", home=copy).stdout)
    assert [row["published"] for row in listed] == [False, True]
    done = citedesk("snapshots", "rollback", home=copy)
    assert done.returncode == 0
    assert done.stdout == f"{before} is published now; before it was {listed[1]['id']}\n"
    assert "0.0002 BTC" in citedesk("ask", FEE, home=copy).stdout


def test_building_without_a_corpus_says_which_command_comes_first(tmp_path):
    done = citedesk("build", "--encoder", "minilm", home=tmp_path / "home")
    assert says(done, 2, "no articles to build from; run `citedesk ingest SOURCE` with this --home")


def test_building_with_an_encoder_that_is_not_there_names_it(copy, tmp_path):
    done = citedesk("build", "--encoder", tmp_path / "nowhere", home=copy, HF_HUB_OFFLINE="1")
    assert says(done, 2, "nowhere' is neither e5 nor minilm")


@pytest.mark.parametrize(
    ("exchanges", "pattern"),
    [
        (b"[[", r"exchanges\.toml: not valid TOML"),
        (b"\xff\xfe", r"exchanges\.toml: cannot read the list of exchanges"),
        (b"[[exchange]]\nname = 5", r"exchanges\.toml: .*; names are texts, all else is a list of texts"),
        (b"[[exchange]]\nname = 'Kelpex'\naliases = 'kp'", r"exchanges\.toml: aliases is 'kp'; names are texts"),
        (b"[[exchange]]\naliases = ['kp']", r"exchanges\.toml: .* lacks 'name'; add it"),
    ],
    ids=["no TOML", "no text", "a number", "one text for a list", "no name"],
)
def test_a_damaged_list_of_exchanges_never_comes_into_a_snapshot(copy, source, exchanges, pattern):
    (copy / "exchanges.toml").write_bytes(exchanges)
    assert says(citedesk("ingest", source, home=copy), 2, pattern)
    assert says(citedesk("build", "--encoder", "minilm", home=copy), 2, pattern)


# ask


def test_an_answer_shows_its_proof(ready):
    done = citedesk("ask", FEE, home=ready)
    assert done.returncode == 0
    assert done.stderr == ""
    assert f"{FEE_SPAN} [1]" in done.stdout
    assert re.search(r"^  How Kelpex withdrawals work · Kelpex · not an official page · 2026-05-01$", done.stdout, re.M)
    assert "  [1] https://help.kelpex.example/withdrawals#:~:text=" in done.stdout


def test_output_is_plain_where_it_is_no_terminal(ready):
    for arguments in (["ask", FEE], ["ask", ADVICE], ["articles", "show", "kelpex-withdrawals"], ["snapshots", "list"]):
        done = citedesk(*arguments, home=ready)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)


def test_an_answer_as_data_has_the_fields_of_the_answer(ready):
    done = citedesk("ask", "--json", FEE, home=ready)
    told = json.loads(done.stdout)
    assert list(told) == names(Answer)
    assert told["status"] == "answered"
    assert told["snapshot_id"] == current(ready).name
    assert list(told["sentences"][0]) == names(Sentence)
    assert list(told["citations"][0]) == names(Citation)
    assert list(told["scope"]) == names(Scope)
    assert [list(notice) for notice in told["notices"]] == [names(Notice)] * len(told["notices"])
    assert {number for sentence in told["sentences"] for number in sentence["citations"]} == {
        citation["number"] for citation in told["citations"]
    }


@pytest.mark.parametrize(
    ("question", "status", "said"), [(UNKNOWN, "not_covered", "Not covered  "), (ADVICE, "declined", "Declined  ")]
)
def test_what_is_not_answered_is_a_negative_outcome(ready, question, status, said):
    told = citedesk("ask", "--json", "--risk", "0.5", question, home=ready)
    assert told.returncode == 1
    assert json.loads(told.stdout)["status"] == status
    assert [list(related) for related in json.loads(told.stdout)["related"]][:1] == [names(Related)]
    shown = citedesk("ask", "--risk", "0.5", question, home=ready)
    assert shown.returncode == 1
    assert shown.stdout.lstrip().startswith(said)
    assert "Nearest articles" in shown.stdout


def test_who_accepts_no_wrong_refusal_gets_an_answer_where_another_gets_none(ready):
    assert citedesk("ask", UNKNOWN, "--risk", "0", home=ready).returncode == 0
    assert citedesk("ask", UNKNOWN, "--risk", "0.5", home=ready).returncode == 1


@pytest.mark.parametrize("risk", ["2", "-0.1", "nan", "much"])
def test_a_risk_that_is_no_share_is_wrong_use(ready, risk, monkeypatch):
    done = citedesk("ask", UNKNOWN, f"--risk={risk}", home=ready)
    assert done.returncode == 2
    assert "is not a share; give a number from 0 to 1" in done.stderr
    monkeypatch.setenv("CITEDESK_RISK", risk)
    done = citedesk("ask", UNKNOWN, home=ready)
    assert done.returncode == 2
    assert "CITEDESK_RISK" in done.stderr


@pytest.mark.parametrize(
    "given",
    [
        ["--exchange", "mirador"],
        ["--page-url", "https://help.mirador.example/withdrawals"],
        ["--history", "Fees on Mirador?"],
    ],
    ids=lambda given: given[0],
)
def test_an_answer_is_bound_by_what_is_given_with_the_question(ready, given):
    done = citedesk("ask", "--json", "What is the network fee for bitcoin?", *given, home=ready)
    told = json.loads(done.stdout)
    assert told["scope"]["exchanges"] == ["Mirador"]
    assert {citation["exchange"] for citation in told["citations"]} <= {"Mirador"}


@pytest.mark.parametrize(
    ("question", "pattern"),
    [
        ("", "the question is empty"),
        (" \n\t ", "the question is empty"),
        ("?!…", "the question is empty"),
        ("a" * 10_000, "10,000 characters; at most 2,000 can be asked at once"),
    ],
    ids=["empty", "blank", "only marks", "too long"],
)
def test_a_question_that_cannot_be_asked_says_why(ready, question, pattern):
    done = citedesk("ask", question, home=ready)
    assert says(done, 2, pattern)
    assert done.stdout == ""
    assert len(done.stderr) < 300


def test_control_characters_do_no_harm(ready):
    done = citedesk("ask", "What is\x01 the\x1b[31m Kelpex\x07 network\x7f fee\r\nfor bitcoin?", home=ready)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


def test_bytes_that_are_no_text_do_no_harm(ready):
    broken = os.fsdecode(b"\xff\xfe")
    for arguments in (["ask", broken + FEE], ["ask", "--exchange", broken, "fee?"], ["articles", "show", broken]):
        assert citedesk(*arguments, home=ready).returncode in (0, 1, 2)
    assert citedesk("chat", home=ready, stdin=FEE.encode() + b"\xff\n", PYTHONUTF8="1").returncode == 0


def test_an_unusable_language_is_named(ready):
    assert says(citedesk("ask", "--language", "12", FEE, home=ready), 2, "'12' is not a language code")


def test_an_output_of_another_encoding_gets_what_it_can_show(ready):
    shown = citedesk("ask", FEE, home=ready, PYTHONIOENCODING="ascii")
    assert (shown.returncode, FEE_SPAN in shown.stdout) == (0, True)
    told = citedesk("articles", "show", "--json", "kelpex-withdrawals", home=ready, PYTHONIOENCODING="ascii")
    assert json.loads(told.stdout)["id"] == "kelpex-withdrawals"


@pytest.mark.parametrize(
    "arguments", [["articles", "list"], ["ask", "--json", FEE], ["snapshots", "list"]], ids=" ".join
)
def test_a_reader_that_has_gone_is_no_error(ready, arguments):
    end, begin = os.pipe()
    os.close(end)
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments, "--home", ready],
        stdout=begin, stderr=subprocess.PIPE, check=False, cwd=ROOT,
    )  # fmt: skip
    os.close(begin)
    assert (done.returncode, done.stderr) == (0, b"")


# chat


def test_a_chat_answers_one_question_after_another(ready):
    done = citedesk("chat", home=ready, stdin=f"{FEE}\n{ADVICE}\n\nnever asked\n")
    assert done.returncode == 0
    assert done.stdout.count("confidence ") == 2
    assert FEE_SPAN in done.stdout
    assert "Declined" in done.stdout


def test_a_chat_remembers_what_was_asked(ready):
    done = citedesk("chat", "--json", home=ready, stdin="Tell me about withdrawals on Mirador\nand the fee?\n")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 2
    assert told[1]["scope"] == {**told[1]["scope"], "exchanges": ["Mirador"], "source": "history"}


def test_a_chat_goes_on_after_a_question_that_cannot_be_asked(ready):
    done = citedesk("chat", home=ready, stdin=f"{'a' * 3000}\n{FEE}\n")
    assert says(done, 0, "3,000 characters")
    assert FEE_SPAN in done.stdout


# eval


def test_an_evaluation_prints_its_table_and_keeps_its_result(copy, asked):
    done = citedesk("eval", asked(ANSWERED, ABSTAINED), home=copy)
    assert done.returncode == 0
    assert "answered right" in done.stdout
    assert "\x1b" not in done.stdout
    kept = (copy / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(kept[0])["snapshot_id"] == current(copy).name


def test_an_evaluation_as_data_has_the_measures_and_can_be_compared(copy, asked, tmp_path):
    questions, log, report = asked(ANSWERED, ABSTAINED), tmp_path / "deep" / "log.jsonl", tmp_path / "report.html"
    done = citedesk("eval", questions, "--json", "--log", log, "--report", report, home=copy)
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert {"snapshot_id", "counts", "measures", "by_kind", "by_language", "misses"} <= set(told)
    assert told["measures"]["answered_right"]["value"] == told["measures"]["verbatim"]["value"] == 1
    assert json.loads(log.read_text(encoding="utf-8"))["measures"] == told["measures"]
    assert report.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html")
    assert citedesk("eval", questions, "--compare", log, home=copy).returncode == 0


def test_a_question_that_ask_refuses_is_a_negative_outcome(copy, asked):
    assert citedesk("eval", asked(ANSWERED, {**ABSTAINED, "question": ""}), home=copy).returncode == 1


def test_a_damaged_evaluation_file_is_named_line_by_line(ready, asked, tmp_path):
    done = citedesk("eval", asked(ANSWERED, {**ABSTAINED, "kind": "odd"}), home=ready)
    assert says(done, 2, r"questions\.jsonl:2: kind: expected one of")
    assert says(citedesk("eval", tmp_path / "none.jsonl", home=ready), 2, r"none\.jsonl: cannot be read")
    assert says(citedesk("eval", asked(ANSWERED), "--compare", tmp_path / "no", home=ready), 2, "no: cannot be read")


def test_a_report_that_cannot_be_written_is_named(copy, asked, tmp_path):
    done = citedesk("eval", asked(ANSWERED), "--report", tmp_path / "nowhere" / "report.html", home=copy)
    assert says(done, 2, r"nowhere/report\.html.*; check the path, its rights and the disk's space")


# articles and snapshots


def test_articles_are_listed_one_object_a_line(ready, source):
    done = citedesk("articles", "list", "--json", home=ready)
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"id": f"{name}-withdrawals", "url": f"https://help.{name}.example/withdrawals", "source": f"{source}:{number}",
         "title": title, "exchange": name.capitalize(), "trust": "unknown", "status": "active", "origin": str(source.resolve()), "language": "en"}
        for number, (name, (title, _)) in enumerate(PAGES.items(), 1)
    ]  # fmt: skip
    shown = citedesk("articles", "list", home=ready).stdout.splitlines()
    assert shown[0] == "kelpex-withdrawals  [Kelpex]  How Kelpex withdrawals work"


def test_an_article_is_shown_whole(ready):
    told = json.loads(citedesk("articles", "show", "--json", "kelpex-withdrawals", home=ready).stdout)
    assert told["text"] == PAGES["kelpex"][1]
    assert told["sections"] == [{"heading_path": [], "anchor": "", "kind": "prose", "text": PAGES["kelpex"][1]}]
    assert (told["id"], told["status"], told["updated"]) == ("kelpex-withdrawals", "active", "2026-05-01")
    shown = citedesk("articles", "show", "kelpex-withdrawals", home=ready).stdout
    assert PAGES["kelpex"][1] in shown


def test_an_unknown_article_says_where_the_known_ones_are(ready):
    done = citedesk("articles", "show", "nosuch", home=ready)
    assert says(done, 2, r"nosuch: no such article; `citedesk articles list` shows those")


def test_the_published_snapshot_is_marked_and_verified(ready):
    name = current(ready).name
    assert citedesk("snapshots", "list", home=ready).stdout.startswith(f"* {name}  2 articles, 2 passages")
    done = citedesk("snapshots", "verify", home=ready)
    assert (done.returncode, done.stdout.split(":")[0]) == (0, name)
    told = json.loads(citedesk("snapshots", "verify", name, "--json", home=ready).stdout)
    assert (told["snapshot_id"], told["ok"]) == (name, True)


def test_the_starter_corpus_answers_from_the_command_line(starter_home):
    assert len(citedesk("articles", "list", "--json", home=starter_home).stdout.splitlines()) == 44
    done = citedesk(
        "ask", "--json", "Do I owe Binance money after my futures position is liquidated?", home=starter_home
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"]) == (0, "answered")
    assert told["citations"][0]["exchange"] == "Binance"


# What is missing or damaged


@pytest.mark.parametrize(
    ("arguments", "code", "pattern"),
    [
        (["ask", FEE], 2, "no snapshot yet; run `citedesk ingest SOURCE` and `citedesk build`"),
        (["chat"], 2, "no snapshot yet; run `citedesk ingest SOURCE` and `citedesk build`"),
        (["snapshots", "verify"], 2, "no snapshot yet; run `citedesk ingest SOURCE` and `citedesk build`"),
        (["snapshots", "rollback"], 2, "no snapshot before"),
        (["articles", "list"], 2, "no corpus yet; run `citedesk ingest SOURCE` with this --home"),
        (["articles", "show", "x"], 2, "no corpus yet; run `citedesk ingest SOURCE` with this --home"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_an_empty_home_says_which_command_fills_it(tmp_path, arguments, code, pattern):
    assert says(citedesk(*arguments, home=tmp_path / "home"), code, pattern)
    assert not (tmp_path / "home").exists()


def test_no_snapshots_are_a_negative_outcome(tmp_path):
    done = citedesk("snapshots", "list", home=tmp_path / "home")
    assert done.returncode == 1
    assert "`citedesk build` makes one" in done.stdout


def test_a_corpus_without_articles_says_which_command_fills_it(tmp_path):
    (tmp_path / "empty").mkdir()
    citedesk("ingest", tmp_path / "empty", home=tmp_path / "home")
    assert says(
        citedesk("articles", "list", home=tmp_path / "home"), 1, "no articles yet; run `citedesk ingest SOURCE`"
    )


@pytest.mark.parametrize(
    "arguments",
    [["ingest", "corpus/sources.toml"], ["build", "--encoder", "minilm"], ["ask", FEE], ["articles", "list"]],
)
def test_a_file_in_the_place_of_the_home_is_named(tmp_path, arguments):
    (tmp_path / "home").write_text("no folder")
    done = citedesk(*arguments, home=tmp_path / "home")
    assert done.returncode == 2
    assert os.fspath(tmp_path / "home") in done.stderr


@pytest.mark.parametrize("arguments", [["articles", "list"], ["build", "--encoder", "minilm"], ["ingest", "README.md"]])
def test_a_damaged_corpus_says_which_command_mends_it(copy, arguments):
    (copy / "corpus.sqlite").write_bytes(b"no articles here\n" * 100)
    assert says(citedesk(*arguments, home=copy), 2, r"corpus\.sqlite: not a readable .*; .*run `citedesk ingest` again")
    assert citedesk("ask", FEE, home=copy).returncode == 0


def damaged(folder: Path, name: str, data: bytes | None) -> None:
    (folder / name).unlink() if data is None else (folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("manifest.json", b"{"),
        ("manifest.json", b'{"format": 99}'),
        ("manifest.json", b"[]"),
        ("passages.sqlite", b"short"),
        ("vectors.faiss", None),
        ("sentences.npy", b""),
        ("exchanges.toml", b"[["),
    ],
)
def test_a_damaged_snapshot_says_which_command_mends_it(copy, name, data):
    damaged(current(copy), name, data)
    mends = rf"{re.escape(name)}: .*run `citedesk (?:snapshots rollback|build)`"
    assert says(citedesk("ask", FEE, home=copy), 2, mends)
    assert says(citedesk("snapshots", "verify", home=copy), 2, mends)


def test_building_again_mends_a_damaged_snapshot(copy):
    damaged(current(copy), "passages.sqlite", b"short")
    told = json.loads(citedesk("build", "--encoder", "minilm", "--json", home=copy).stdout)
    assert told["snapshot_id"] == current(copy).name
    assert (told["built"], told["encoded"], told["counts"]["articles"]) == (True, 0, 2)
    assert citedesk("ask", FEE, home=copy).returncode == 0


@pytest.mark.parametrize(
    "content", [b"nosuch\n", b"../../etc\n", b"\xff\xfe", b""], ids=["unknown", "away", "no text", "empty"]
)
def test_a_damaged_pointer_says_which_command_mends_it(copy, content):
    (copy / "snapshots" / "CURRENT").write_bytes(content)
    assert says(citedesk("ask", FEE, home=copy), 2, "`citedesk (?:build|snapshots rollback)`")
    assert citedesk("snapshots", "rollback", home=copy).returncode == 0
    assert citedesk("ask", FEE, home=copy).returncode == 0


# What the README promises


def promised() -> list[list[str]]:
    """Give the commands in the README's code blocks, as lists of words."""
    blocks = re.findall(r"```(?:sh|bash|console|shell)?\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").split("\n")]
    commands = [shlex.split(line, comments=True) for line in lines if re.match(r"(?:\S*/)?(?:citedesk|make) ", line)]
    return [[Path(words[0]).name, *words[1:]] for words in commands]


def of(program: str) -> Sequence[list[str]]:
    found = [words[1:] for words in promised() if words[0] == program]
    if not found:
        pytest.skip(f"the README has no {program} command in a code block")
    return found


def test_the_readmes_commands_are_understood():
    for words in of("citedesk"):
        assert cli._parser().parse_args(words).command in COMMANDS


def test_the_readmes_questions_run(starter_home):
    for words in of("citedesk"):
        if words[0] == "ask":
            assert citedesk(*words, home=starter_home).returncode in (0, 1)


def test_the_readmes_targets_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in of("make"):
        targets = [word for word in words if re.fullmatch(r"[a-z-]+", word)]
        assert [target for target in targets if not re.search(rf"(?m)^{target}:", makefile)] == []
