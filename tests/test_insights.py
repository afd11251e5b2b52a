import io
import json
import random
import re
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import CORPUS, ROOT
from homes import OTHERS, article, home_of
from rich.console import Console

from index.snapshot import SnapshotShelf
from service.insights import page, plots
from service.insights.report import POLICY, render
from service.insights.summary import insights, trend
from service.insights.tally import Span, tally
from service.insights.terminal import print_insights
from service.insights.topics import topics
from service.question_log import FILE, Entry, Logged, QuestionLog, Vote, stamp

NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
STATUS = {"answer": "answered", "abstain": "not_covered", "ask_or_list_by_exchange": "clarify"}
# What the starter corpus does not cover, and how it is asked.
UNCOVERED = (
    ("Can I buy gift cards on {}?", "does {} sell gift cards", "how do i redeem a {} gift card", "gift card code not accepted {}"),
    ("Is there a {} debit card?", "when does the {} visa card come to my country", "order a physical card from {}"),
    ("How do I file taxes for my {} trades?", "{} tax report for 2025", "where is my tax form on {}"),
)  # fmt: skip


def entry(number=0, **fields):
    """An entry; what is not given does not matter."""
    values = {
        "answer_id": f"a{number:06}", "at": stamp(NOW), "door": "api", "key_id": "k1", "conversation": None,
        "question": f"question {number}", "language": "en", "exchanges": (), "page": None, "status": "answered",
        "confidence": 0.7, "snapshot_id": "s1", "articles": (), "notices": (), "related": (), "milliseconds": 40.0,
    }  # fmt: skip
    return Entry(**{**values, **fields})


def log_of(count=200, days=30, seed=7, now=NOW):
    """A log made of the starter questions, and of some that come again and are not covered: the last topic of late."""
    luck = random.Random(seed)
    questions = [json.loads(line) for line in (CORPUS / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = []
    for number in range(count):
        part = luck.random()
        at = now - timedelta(days=(days - 0.7) * part, hours=luck.choice([0, 1, 2]))
        status, exchange, articles = "not_covered", luck.choice(["Binance", "Kraken", "OKX", "Bybit"]), ()
        asked, language = luck.choice(UNCOVERED[: 2 + (part < 0.4)]), "en"
        question = luck.choice(asked).format(exchange)
        if luck.random() < 0.72:
            row = luck.choice(questions)
            question, exchange, language = row["question"], row["exchange"], row["language"]
            status = STATUS.get(row["expected"], "declined")
            articles = tuple(dict.fromkeys(span["article_id"] for span in row["gold"])) if status == "answered" else ()
        notices = ("sources_disagree",) if len(articles) > 1 and number % 2 else ()
        one = entry(
            number, at=stamp(at), question=question, exchanges=(exchange,) if exchange else (), language=language,
            status=status, articles=articles, notices=notices, milliseconds=luck.lognormvariate(4, 0.5),
            door=luck.choice(["widget", "widget", "api", "openai"]), snapshot_id="s1" if part > 0.5 else "s2",
        )  # fmt: skip
        vote = luck.random()
        reason = luck.choice(["", "that is not what I asked", "the page says otherwise now"])
        rows.append(
            Logged(one, Vote(one.answer_id, one.at, "down" if vote < 0.08 else "up", reason) if vote < 0.2 else None)
        )
    return sorted(rows, key=lambda logged: logged.entry.at)


@pytest.fixture(scope="module")
def snapshot(starter_home):
    return SnapshotShelf(starter_home).open()


def told_of(rows, snapshot, *, days=30, most=50_000, now=NOW):
    return insights(rows, snapshot, Span.of_days(days, now), most=most)


@pytest.fixture(scope="module")
def told(snapshot):
    return told_of(log_of(), snapshot)


# ---- counting


@pytest.mark.parametrize(
    ("days", "unit", "first", "count"),
    [
        (1, "hour", datetime(2026, 11, 23, tzinfo=UTC), 16),
        (2, "hour", datetime(2026, 11, 22, tzinfo=UTC), 40),
        (3, "day", datetime(2026, 11, 21, tzinfo=UTC), 3),
        (69, "day", datetime(2026, 9, 16, tzinfo=UTC), 69),
        (70, "week", datetime(2026, 9, 14, tzinfo=UTC), 11),
        (365, "week", datetime(2025, 11, 24, tzinfo=UTC), 53),
    ],
)
def test_days_are_cut_into_periods_of_utc_that_end_today(days, unit, first, count):
    span = Span.of_days(days, NOW)
    assert (span.unit, span.starts[0], len(span.starts)) == (unit, first, count)
    assert span.starts[-1] <= NOW < span.starts[-1] + span.step


def test_a_period_is_of_utc_wherever_the_clock_stands():
    elsewhere = datetime.fromisoformat("2026-11-24T01:30:00+10:00")
    assert Span.of_days(1, elsewhere).since == datetime(2026, 11, 23, tzinfo=UTC)


def test_everything_is_counted_once(told):
    entries = [logged.entry for logged in log_of()]
    assert told.n == len(entries) == sum(period.n for period in told.periods) == sum(told.hours)
    for status, share in told.shares.items():
        assert round((share.value or 0) * share.n) == sum(entry.status == status for entry in entries)
    votes = [logged.vote for logged in log_of() if logged.vote]
    assert (told.votes.n, told.down.n) == (len(entries), len(votes))
    assert sum(period.down for period in told.periods) == sum(vote.verdict == "down" for vote in votes)
    assert sum(topic.count for topic in told.topics) + told.alone == told.uncovered
    assert all(sum(topic.periods) == topic.count for topic in told.topics)
    for group in told.groups["language"]:
        assert group.n == sum(entry.language == group.name for entry in entries)


def test_latency_is_what_the_answers_took(told):
    taken = [logged.entry.milliseconds for logged in log_of()]
    assert told.latency == pytest.approx(
        dict(zip(("p50", "p95", "p99"), np.quantile(taken, [0.5, 0.95, 0.99]), strict=True)), abs=0.01
    )


def test_only_the_latest_texts_are_remembered_and_what_is_left_out_is_counted(snapshot):
    rows = [Logged(entry(n, status="not_covered", question=f"Question {n // 2}?"), None) for n in range(40)]
    counted = tally(rows, Span.of_days(30, NOW), most_texts=15)
    assert (counted.uncovered.count, counted.uncovered.left_out) == (40, 10)
    assert [asked.text for asked in counted.uncovered.latest()] == [f"Question {n}?" for n in range(19, 4, -1)]


def test_case_and_white_space_do_not_make_another_question(snapshot):
    texts = ("Is there a card?", "is  there a CARD?", "IS THERE A CARD? ")
    rows = [Logged(entry(n, status="not_covered", question=text), None) for n, text in enumerate(texts)]
    [topic] = told_of(rows, snapshot).topics
    assert (topic.count, topic.different, topic.question) == (3, 1, "IS THERE A CARD? ")


# ---- topics


def topic_of(told, text):
    [found] = [topic for topic in told.topics if text in (topic.question, *topic.examples)]
    return found


def test_the_same_question_about_several_exchanges_is_one_topic(snapshot):
    names = ("Binance", "Kraken", "OKX", "Bybit")
    rows = [
        Logged(entry(n, status="not_covered", question=text.format(names[n % 4]), exchanges=(names[n % 4],)), None)
        for n, text in enumerate(
            ["Can I buy a gift card on {}?"] * 4 + ["How do I report my {} trades to the tax office?"] * 4
        )
    ]
    gifts, taxes = sorted(told_of(rows, snapshot).topics, key=lambda topic: topic.question)
    assert {gifts.count, taxes.count} == {4}
    assert gifts.exchanges == tuple((name, 1) for name in sorted(names))


def test_questions_are_grouped_by_what_they_ask_and_not_by_how(told):
    gifts = topic_of(told, "Can I buy gift cards on OKX?")
    asked = {gifts.question, *gifts.examples}
    assert len(asked) > 2
    assert all("gift" in question for question in asked)


def test_a_question_like_no_other_is_no_topic(snapshot):
    rows = [
        Logged(entry(n, status="not_covered", question=text), None)
        for n, text in enumerate(
            ("Can I buy a gift card?", "how do I get a gift card", "Which wifi does your office have?")
        )
    ]
    told = told_of(rows, snapshot)
    assert [topic.count for topic in told.topics] == [2]
    assert told.alone == 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_vectors_are_no_trouble(count):
    rows = np.eye(8, dtype=np.float32)[:count]
    assert topics(rows, [1] * count, np.zeros(8, np.float32)).tolist() == list(range(count))


def test_known_groups_are_found_among_thousands():
    luck = np.random.default_rng(3)
    centres = luck.normal(size=(40, 64)).astype(np.float32)
    truth = luck.integers(40, size=4000)
    rows = centres[truth] + 0.35 * luck.normal(size=(4000, 64)).astype(np.float32)
    labels = topics(rows / np.linalg.norm(rows, axis=1, keepdims=True), [1] * 4000, np.zeros(64, np.float32))
    assert len(set(zip(labels.tolist(), truth.tolist(), strict=True))) == len(set(labels.tolist())) == 40


@pytest.mark.parametrize(
    ("periods", "everything", "expected"),
    [
        ([0, 3], [100, 100], None),  # too few
        ([0, 9], [100, 100], None),
        ([0, 10], [100, 100], "rising"),
        ([10, 0], [100, 100], "falling"),
        ([5, 9], [100, 100], None),
        ([2, 30], [100, 1500], None),  # all is asked more
        ([0, 40], [0, 900], None),  # the log begins in the second half
        ([12], [50], None),
    ],
)
def test_a_trend_is_told_only_where_chance_is_unlikely(periods, everything, expected):
    assert trend(periods, everything) == expected


def test_vectors_are_encoded_once_in_a_process(snapshot):
    rows = log_of(60, seed=11)
    calls = []
    span = Span.of_days(30, NOW)
    insights(rows, snapshot, span, most=100, progress=lambda done, of: calls.append((done, of)))
    insights(rows, snapshot, span, most=100, progress=lambda done, of: calls.append("again"))
    assert calls
    assert "again" not in calls
    assert calls[-1][0] == calls[-1][1]


# ---- articles


def test_articles_are_told_by_how_often_they_were_cited(told, snapshot):
    entries = [logged.entry for logged in log_of()]
    for one in told.cited:
        assert one.cited == sum(one.id in entry.articles for entry in entries)
        assert one.title == snapshot.article(one.id).title
    assert [one.cited for one in told.cited] == sorted((one.cited for one in told.cited), reverse=True)
    assert told.article_count == snapshot.manifest.counts["articles"]
    assert told.never_cited_count == told.article_count - told.cited_count


def test_old_articles_and_those_that_left_are_flagged(tmp_path):
    old = article("old", "Kelpex sends withdrawals once an hour.", updated="2019-01-01", title="Old")
    new = article("new", "Kelpex takes a fee of 0.1%.", updated=f"{datetime.now(UTC):%Y-%m-%d}", title="New")
    snapshot = SnapshotShelf(home_of(tmp_path / "home", [old, new, *OTHERS], max_age_days=365)).open()
    rows = [
        Logged(entry(n, articles=ids), None) for n, ids in enumerate([("old",), ("new", "old"), ("left-long-ago",)])
    ]
    told = told_of(rows, snapshot)
    assert [(a.id, a.cited, a.stale, a.gone) for a in told.cited] == [
        ("old", 2, True, False), ("left-long-ago", 1, False, True), ("new", 1, False, False),
    ]  # fmt: skip
    assert [article.id for article in told.stale] == ["old"]
    assert told.never_cited_count == len(OTHERS)
    shown = render(told)
    assert "out of date" in shown
    assert "not in the snapshot" in shown


def test_disagreeing_articles_are_told_together_with_a_question(snapshot):
    ids = ("kraken-spot-margin-call-liquidation", "kraken-derivatives-liquidation")
    rows = [
        Logged(entry(n, articles=order, notices=("sources_disagree",), question=f"Will I owe money {n}?"), None)
        for n, order in enumerate((ids, ids[::-1], ids[:1]))
    ]
    told = told_of(rows, snapshot)
    assert [({a.id for a in found.articles}, found.count) for found in told.disagreements] == [
        (set(ids), 2),
        ({ids[0]}, 1),
    ]
    assert told.disagreements[0].question == "Will I owe money 1?"
    assert told.notices == {"sources_disagree": 3}


# ---- the page

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)> $\\frac{1}{0}$ {few} \u202e\x1b[2J &amp;'


class Checked(HTMLParser):
    """Collects what a page is made of."""

    VOID = frozenset({"meta", "link", "img", "br", "path", "use", "rect", "circle"})

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.ids, self.references, self.links, self.open, self.style = [], [], [], [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open += [tag] if tag not in self.VOID else []
        self._attributes(dict(attributes))

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self._attributes(dict(attributes))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def _attributes(self, attributes):
        assert not [name for name in attributes if name.startswith("on")]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.references += (attributes.get("aria-labelledby") or "").split()
        for name, value in attributes.items():
            if name in ("href", "xlink:href", "src", "action"):
                self.links.append(value)
            self.references += re.findall(r"url\(#([^)]+)\)", value or "")


def checked(html):
    parser = Checked()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


@pytest.fixture(scope="module")
def shown(told):
    return render(told)


def test_the_page_needs_nothing_but_itself_and_runs_nothing(shown):
    parsed = checked(shown)
    assert f'content="{POLICY}"' in shown
    assert not {"script", "img", "iframe", "object", "link", "form"} & set(parsed.tags)
    assert all(link.startswith(("https://", "http://", "#")) for link in parsed.links)
    assert "@import" not in shown
    assert "url(h" not in shown


def test_ids_are_the_pages_own_and_what_is_referred_to_is_there(shown):
    parsed = checked(shown)
    assert len(parsed.ids) == len(set(parsed.ids))
    inner = [link[1:] for link in parsed.links if link.startswith("#")]
    assert set(parsed.references) | set(inner) <= set(parsed.ids)


def test_every_plot_says_what_it_shows_and_takes_the_pages_colours(shown):
    drawn = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg xmlns.*?</svg>", shown, re.S)]
    plain = "{http://www.w3.org/2000/svg}"
    told_plots = [svg for svg in drawn if svg.get("role") == "img"]
    assert len(told_plots) == 4
    for svg in told_plots:
        assert len(svg.findtext(f"{plain}title")) > 5
        assert len(svg.findtext(f"{plain}desc")) > 20
    assert all(svg.get("aria-hidden") == "true" for svg in drawn if svg not in told_plots)
    colours = {colour for svg in drawn for colour in re.findall(r"#[0-9a-f]{6}", ElementTree.tostring(svg, "unicode"))}
    assert colours <= {"#000000"}
    assert "var(--not-covered)" in shown


def test_each_table_has_a_caption_and_headings(shown):
    for table in re.findall(r"<table.*?</table>", shown, re.S):
        assert "<caption>" in table
        assert '<th scope="col"' in table
        assert '<th scope="row"' in table


def test_text_of_askers_and_articles_is_shown_and_never_obeyed(snapshot):
    rows = [
        Logged(
            entry(n, question=f"{HOSTILE} {n % 3} \ud83e", status=status, language=HOSTILE, exchanges=(HOSTILE,), door=HOSTILE,
                  snapshot_id=HOSTILE, articles=(HOSTILE,), notices=("sources_disagree", HOSTILE)),
            Vote(f"a{n:06}", stamp(NOW), "down", HOSTILE),
        )
        for n, status in enumerate(["answered", "not_covered"] * 6)
    ]  # fmt: skip
    html = render(told_of(rows, snapshot))
    html.encode("utf-8", errors="replace")
    parsed = checked(html)
    assert not {"script", "img"} & set(parsed.tags)
    assert html.count("&lt;script&gt;") > 8


def test_a_link_is_one_of_the_web_or_none(snapshot, told):
    bad = replace(told.cited[0], url="javascript:alert(1)")
    few = replace(told, topics=(), down_voted=(), disagreements=())
    assert "javascript:" not in render(replace(few, cited=(bad,), stale=(bad,)))


def test_without_matplotlib_the_page_has_its_tables_and_says_what_is_missing(told, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    html = render(told)
    assert "<svg xmlns" not in html
    assert html.count("the plots need matplotlib") == 4
    assert html.count("<table") >= 6
    with pytest.raises(plots.PlotsMissingError):
        plots.over_time(told)


def test_pages_can_be_made_at_once(told):
    small = replace(told, topics=told.topics[:2])
    pages = {}
    threads = [threading.Thread(target=lambda n=n: pages.update({n: render(small)})) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pages[0] == pages[1] == render(small)


@pytest.mark.parametrize(("count", "days"), [(0, 30), (1, 1), (1, 30), (3, 400)])
def test_a_page_is_made_of_few_questions_as_well(snapshot, count, days):
    told = told_of([Logged(entry(n, status="not_covered"), None) for n in range(count)], snapshot, days=days)
    html = render(told)
    checked(html)
    assert ("Nothing was asked" in html) == (count == 0)
    assert "asked more than before" not in html


def test_the_page_shows_what_the_log_holds_up_to_this_moment(tmp_path, snapshot):
    log = QuestionLog(tmp_path / FILE, days=30)
    log.record(entry(1, at=stamp(datetime.now(UTC)), status="not_covered", question="Do you sell umbrellas?"))
    log.record(entry(2, at=stamp(datetime.now(UTC)), status="not_covered", question="do you sell umbrellas"))
    assert "umbrellas" in page(log, snapshot, 1)
    log.close()


# ---- the command


@pytest.fixture
def logged_home(tmp_path, starter_home):
    (tmp_path / "snapshots").symlink_to(starter_home / "snapshots")
    log = QuestionLog(tmp_path / FILE, days=400)
    for logged in log_of(60, now=datetime.now(UTC)):
        log.record(logged.entry)
    log.close()
    return tmp_path


COMMAND = """
import argparse, sys
from service.cli import _common
from service.insights_cli import add_insights
from service.settings import read_settings
parser = argparse.ArgumentParser()
add_insights(parser.add_subparsers(), _common)
arguments = parser.parse_args(sys.argv[1:])
sys.exit(arguments.run(arguments, read_settings(arguments.home)))
"""


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "insights", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_json_and_writes_the_page(logged_home):
    done = command("--home", logged_home, "--json", "--report", logged_home / "page.html")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["n"] == 60
    assert told["shares"]["answered"]["low"] <= told["shares"]["answered"]["value"]
    assert len(told["periods"]) == 30
    assert "milliseconds" not in told
    checked((logged_home / "page.html").read_text(encoding="utf-8"))


def test_the_command_prints_a_summary(logged_home):
    done = command("--home", logged_home)
    assert done.returncode == 0, done.stderr
    for text in ("60 questions", "Asked and not covered", "The most cited articles", "UTC", "n = 60"):
        assert text in done.stdout


def test_nothing_asked_is_a_negative_outcome_that_says_so(tmp_path, starter_home):
    (tmp_path / "snapshots").symlink_to(starter_home / "snapshots")
    done = command("--home", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no question was recorded yet" in done.stderr
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5", "99999", "²"])
def test_days_that_are_none_are_refused(days):
    done = command("--days", days)
    assert done.returncode == 2
    assert "is not a number of days" in done.stderr


def test_the_summary_cannot_command_the_terminal(snapshot):
    rows = [
        Logged(entry(n, status="not_covered", question=f"{HOSTILE}{n}", exchanges=(HOSTILE,)), None) for n in range(4)
    ]
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, color_system=None, width=120)
        print_insights(told_of(rows, snapshot), console)
        assert not {"\x1b", "\u202e"} & set(console.file.getvalue())
        assert "alert" in console.file.getvalue()
