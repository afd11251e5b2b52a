import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from desk import QUESTIONS, REPLIES, Desk, question

from benchmarks import gate
from benchmarks.quality import ablation, plots, tables
from benchmarks.quality.__main__ import main as command
from benchmarks.quality.baselines import CHUNK_WORDS, Baseline, Baselines, Chunks, cut
from benchmarks.quality.datasets import half_of, load, sampled
from benchmarks.reader.data import load as questions_of_the_reader
from index.encoder import OnnxEncoder
from index.filters import Filters
from index.search import HybridRetriever
from index.snapshot import SnapshotShelf
from index.weights import exported
from ingest.article import Article, Passage, Section
from service.assistant import Assistant
from service.evaluation.calibration import CurvePoint
from service.evaluation.intervals import Measure
from service.evaluation.run import evaluate
from service.settings import read_settings

WAIT = "A withdrawal to a new address waits for 24 hours on Kelpex."
ASKED = [
    question("wait", question="how long does a withdrawal to a new address wait", gold=[("kelpex-withdrawals", WAIT)]),
    question("recipe", "abstain", kind="unanswerable", question="how do i bake sourdough bread"),
]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def snapshot(small_home):
    return SnapshotShelf(small_home).open()


@pytest.fixture
def minilm():
    return OnnxEncoder(exported("minilm", read_settings().cache))


@pytest.fixture
def baselines(minilm, tmp_path):
    with Baselines(minilm, tmp_path / "work") as opened:
        yield opened


@pytest.fixture
def result():
    desk = Desk(REPLIES)
    return evaluate(desk, QUESTIONS, clock=desk.clock)


def article(text: str) -> Article:
    return Article(
        "a", "https://a.example", "T", None, (), "en", "unknown", None, None, None, (Section((), "", "prose", text),)
    )


def scored(scores: dict[str, float]) -> Baseline:
    """Make a baseline over one chunk that each question finds with a score of its own."""
    chunk = Passage("a#0", "a", (), None, WAIT, 0, len(WAIT))
    corpus = Chunks({"a": article(WAIT)}, (chunk,), {"a#0": WAIT})
    return Baseline("s", corpus, lambda asked: [(0, scores[asked])])


def test_chunks_are_verbatim_and_leave_no_word_out():
    page = article(" ".join(f"word{number}\n" for number in range(450)))
    chunks = cut(page)
    assert [len(chunk.text.split()) for chunk in chunks] == [CHUNK_WORDS, CHUNK_WORDS, 50]
    assert " ".join(chunk.text for chunk in chunks).split() == page.text.split()
    assert all(page.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 3


@pytest.mark.parametrize("name", ["chunks", "bm25"])
def test_a_baseline_cites_its_best_chunk_verbatim_and_refuses_what_is_far(name, snapshot, baselines):
    measures = evaluate(baselines.over(snapshot, ASKED)[name], ASKED).measures
    assert {key: measures[key].value for key in ("answered_right", "verbatim", "refused_right", "auroc")} == {
        "answered_right": 1.0, "verbatim": 1.0, "refused_right": 1.0, "auroc": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["chunks", "bm25"])
def test_a_baseline_without_a_threshold_answers_even_what_is_far(name, snapshot, baselines):
    careless = replace(baselines.over(snapshot, ASKED)[name], threshold=0.0)
    answer = careless.trace("where is the withdrawal of sourdough bread").answer
    assert answer.status == "answered"
    assert 0 < answer.confidence < 1


def test_a_threshold_refuses_one_in_twenty_of_the_answerable_and_no_more():
    scores = {f"q{number}": number / 100 for number in range(1, 41)}
    asked = [question(name, gold=[("a", WAIT)]) for name in scores]
    tuned = scored(scores).tuned([*asked, question("far", "abstain")])
    assert tuned.threshold == 0.03
    assert [name for name in scores if tuned.trace(name).answer.status == "not_covered"] == ["q1", "q2"]
    assert tuned.trace("q1").answer.related[0].article_id == "a"


def test_a_baseline_uses_nothing_but_the_question(snapshot, baselines):
    asked = ASKED[0].question
    for baseline in baselines.over(snapshot, ASKED).values():
        alone = baseline.trace(asked)
        assert baseline.trace(asked, exchange="Mirador", page_url="https://x.example", history=("and fees?",)) == alone


def test_chunks_are_encoded_once(snapshot, baselines, minilm, tmp_path):
    baselines.over(snapshot, ASKED)
    (kept,) = (tmp_path / "work").glob("chunks-*.npy")
    vectors = np.load(kept)
    np.save(kept, -vectors)
    with Baselines(minilm, tmp_path / "work") as again:
        assert again.over(snapshot, ASKED)["chunks"].trace(ASKED[0].question).answer.confidence == 0.0


def test_bm25_taken_out_finds_no_word_and_leaves_the_snapshot_as_it_was(snapshot):
    lexical = ablation._NothingFound(snapshot.lexical)
    without = HybridRetriever(ablation.Replaced(snapshot, lexical=lexical))
    assert {hit.lexical_score for hit in without.search("withdrawal", Filters(), 5)} == {0.0}
    assert max(hit.lexical_score for hit in HybridRetriever(snapshot).search("withdrawal", Filters(), 5)) > 0
    assert lexical.document_frequency("withdraw") == snapshot.lexical.document_frequency("withdraw") > 0


def test_without_sentence_vectors_every_sentence_is_as_near_as_its_passage(snapshot):
    retriever = HybridRetriever(ablation._PassageAsSentences(snapshot))
    hits = retriever.search("withdrawal", Filters(), 5)
    for hit, scores in zip(hits, retriever.sentence_scores("withdrawal", [h.passage for h in hits]), strict=True):
        assert len(scores) > 1
        assert scores == pytest.approx([hit.dense_score] * len(scores), abs=1e-3)


def test_an_untold_assistant_is_not_told_the_exchange(snapshot):
    assistant = Assistant(snapshot)
    asked = "how long does a withdrawal to a new address wait"
    assert assistant.trace(asked, exchange="Mirador").question.exchanges == ("Mirador",)
    assert ablation.Untold(assistant, exchange=False).trace(asked, exchange="Mirador").question.exchanges == ()


def test_every_part_is_taken_out_and_told(snapshot):
    scoped = question(
        "scoped", exchange="Kelpex", question=f"{ASKED[0].question} on kelpex", gold=[("kelpex-withdrawals", WAIT)]
    )
    changes = list(ablation.ablate(snapshot, [scoped, *ASKED]))
    assert [change.part for change in changes] == [part.name for part in ablation.PARTS]
    assert all(set(change.differences) == set(ablation.KEYS) for change in changes)


def test_tables_are_put_in_their_places_and_nothing_else_is_touched(tmp_path):
    page = tmp_path / "quality.md"
    page.write_text(
        "A\n<!-- table: one -->\nold\n<!-- end -->\nB\n<!-- table: two -->\n<!-- end -->\nC\n", encoding="utf-8"
    )
    assert tables.refresh(page, {"one": "| 1 |", "three": "| 3 |"}) == ["three"]
    wanted = "A\n<!-- table: one -->\n| 1 |\n<!-- end -->\nB\n<!-- table: two -->\n<!-- end -->\nC\n"
    assert page.read_text(encoding="utf-8") == wanted
    tables.refresh(page, {"one": "| 1 |"})
    assert page.read_text(encoding="utf-8") == wanted


def test_a_table_has_every_measure_that_was_measured_with_its_interval(result):
    lines = tables.measures_table({"citedesk": result, "bm25": result}).splitlines()
    assert lines[0] == "| measure | citedesk | chunks, BM25 | n |"
    answered = next(line for line in lines if line.startswith("| answered right"))
    measured = result.measures["answered_right"]
    assert (
        answered.split(" | ")[1]
        == f".{round(measured.value * 1000)} [.{round(measured.low * 1000)}–.{round(measured.high * 1000)}]"
    )
    assert any(line.startswith("| expected calibration error | .") for line in lines)
    assert {line.count(" | ") for line in lines} == {3}


def test_the_drop_compares_the_sets_fitted_on_with_the_others(result):
    desk = Desk({**REPLIES, "q2": replace(REPLIES["q2"], status="not_covered", cited=())})
    other = evaluate(desk, QUESTIONS, clock=desk.clock)
    told = tables.drop({"a": {"citedesk": result}, "b": {"citedesk": other}}, ["a"])
    assert "answered right .500 → .250 (−.250)" in told
    assert "no drop can be told" in tables.drop({"a": {"citedesk": result}}, ["a"])


@pytest.mark.parametrize(
    ("difference", "written"), [(-0.0321, "−.032"), (0.5, "+.500"), (1.0, "+1.000"), (0.0004, "0"), (None, "–")]
)
def test_a_difference_is_written_with_its_sign(difference, written):
    assert tables.signed(difference) == written


def test_every_plot_is_a_file_of_its_own_that_says_what_it_shows(result, tmp_path):
    change = tables.Change("BM25", dict.fromkeys(ablation.KEYS, -0.1), 0, 1, 1.0)
    written = plots.write_plots(tmp_path / "new", {"desk": {"citedesk": result, "bm25": result}}, {"desk": [change]})
    assert {path.name for path in written} == {
        "span-recall.svg",
        "risk-desk.svg",
        "reliability-desk.svg",
        "ablation-desk.svg",
    }
    for path in written:
        root = ElementTree.parse(path).getroot()
        assert root.tag == f"{SVG}svg"
        assert root.find(f"{SVG}desc").text.strip(". ")
        assert "prefers-color-scheme:dark" in root.find(f"{SVG}style").text
        left, top, width, height = map(float, root.get("viewBox").split())
        for text in root.iter(f"{SVG}text"):
            if text.get("x"):
                assert left <= float(text.get("x")) <= width
                assert top <= float(text.get("y")) <= height


def test_a_curve_ends_where_the_system_answers_no_more():
    points = [CurvePoint(0.9, 0.25, 0.0), CurvePoint(0.5, 0.5, 0.1)]
    drawn = ElementTree.fromstring(plots.standalone(plots.risk_plot("desk", {"citedesk": points, "chunks": []})))
    (end,) = drawn.iter(f"{SVG}circle")
    line = next(
        path for path in drawn.iter(f"{SVG}path") if path.get("class") == "citedesk line" and "L" in path.get("d")
    )
    assert line.get("d").endswith(f"L{end.get('cx')} {end.get('cy')}")


def test_a_loss_goes_to_the_left_and_a_gain_to_the_right():
    changes = [
        tables.Change(name, dict.fromkeys(ablation.KEYS, by), 0, 0, None) for name, by in (("a", -0.2), ("b", 0.1))
    ]
    drawn = ElementTree.fromstring(plots.standalone(plots.ablation_plot("desk", changes)))
    bars = [bar for bar in drawn.iter(f"{SVG}rect") if bar.get("class") in {"good", "bad"}]
    loss, gain = (next(bar for bar in bars if bar.get("class") == css) for css in ("bad", "good"))
    assert float(loss.get("width")) == pytest.approx(2 * float(gain.get("width")), abs=0.2)
    assert float(loss.get("x")) + float(loss.get("width")) == pytest.approx(float(gain.get("x")), abs=0.2)


@pytest.fixture
def folder(tmp_path):
    """A folder of data with four pages, each with two questions, one of them answered there."""
    pages = [{"id": f"crypto_help:nami/{n}", "title": f"T{n}", "text": f"Page {n} waits {n} days."} for n in range(4)]
    rows = [
        {"id": f"h{n}-{answerable}", "article_id": page["id"], "question": f"how many days does page {n} {'wait' if answerable else 'cost'}", "language": "en", "history": None,
         "answerable": answerable, "span": page["text"] if answerable else None, "split": "report"}
        for n, page in enumerate(pages)
        for answerable in (True, False)
    ]  # fmt: skip
    (tmp_path / "help_questions").mkdir()
    for name, lines in (("pages", pages), ("questions", rows)):
        text = "\n".join(json.dumps(line) for line in lines)
        (tmp_path / "help_questions" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_one_data_set_tells_the_owner_one_the_page_and_one_nothing(folder):
    told = {
        name: {(bool(asked.ask_exchange), bool(asked.page_url)) for asked in load(name, folder).questions["report"]}
        for name in ("help_questions", "help_questions_page", "help_questions_whole")
    }
    assert list(told.values()) == [{(True, False)}, {(False, True)}, {(False, False)}]
    assert load("help_questions", folder).questions["report"][0].ask_exchange == "Nami"


def test_a_sample_is_always_the_same_and_asks_only_of_its_articles(folder):
    whole = load("help_questions_page", folder)
    part = sampled(whole, articles=2, questions=3)
    assert part == sampled(whole, articles=2, questions=3)
    kept = {row["id"] for row in part.articles}
    assert len(kept) == 2
    assert len(part.questions["report"]) == 3
    assert {asked.page_url.removeprefix("https://quality.example/") for asked in part.questions["report"]} <= kept
    assert part.questions["fit"] == ()
    assert part.digest() != whole.digest()


def test_one_command_measures_and_writes_tables_plots_and_json(folder, tmp_path, capsys):
    page = tmp_path / "quality.md"
    page.write_text("<!-- table: help_questions -->\n<!-- end -->\n", encoding="utf-8")
    wanted = ["--home", "unused", "--data", str(folder), "--sets", "help_questions", "--ablate", "help_questions"]
    written = [
        "--work",
        str(tmp_path / "work"),
        "--json",
        str(tmp_path / "all.json"),
        "--plots",
        str(tmp_path / "plots"),
    ]
    assert command([*wanted, *written, "--document", str(page)]) == 0
    table = page.read_text(encoding="utf-8").splitlines()[1:-1]
    assert table[0].split(" | ")[1:4] == ["citedesk", "chunks, MiniLM", "chunks, BM25"]
    assert "\n".join(table) in capsys.readouterr().out
    systems = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["sets"]["help_questions"]
    assert {name: system["measures"]["verbatim"]["value"] for name, system in systems.items()} == {
        "citedesk": 1.0, "chunks": 1.0, "bm25": 1.0,
    }  # fmt: skip
    assert all(system["counts"]["questions"] == 8 for system in systems.values())
    assert (tmp_path / "plots" / "ablation-help_questions.svg").exists()


def test_questions_other_than_the_starter_need_their_folder(capsys):
    with pytest.raises(SystemExit):
        command(["--home", "unused", "--sets", "clapnq"])
    assert "--data DIR" in capsys.readouterr().err


def test_the_gate_passes_over_what_is_not_there_and_says_so(tmp_path, capsys):
    floors = tmp_path / "floors.toml"
    floors.write_text("[sets.clapnq]\narticles = 1\nquestions = 1", encoding="utf-8")
    assert gate.main(["--home", "unused", "--floors", str(floors), "--data", str(tmp_path / "absent")]) == 0
    assert "clapnq: skipped" in capsys.readouterr().out


@pytest.mark.parametrize(("most_wrong", "code"), [(1.0, 0), (0.0, 1)])
def test_the_gate_measures_a_sample_and_fails_where_a_floor_is_missed(most_wrong, code, folder, tmp_path, capsys):
    floors = tmp_path / "floors.toml"
    # Nobody knows of these questions which page they are about, so some answer or refusal is sure to be wrong.
    limits = f"at_least = {{verbatim = 1.0, refused_right = {1 - most_wrong}, answered_right = {1 - most_wrong}}}"
    floors.write_text(f"[sets.help_questions_whole]\narticles = 4\nquestions = 8\n{limits}", encoding="utf-8")
    told = ["--home", "unused", "--floors", str(floors), "--data", str(folder), "--work", str(tmp_path / "work")]
    assert gate.main(told) == code
    assert "8 questions over 4 articles" in capsys.readouterr().out


def test_the_words_of_an_answer_are_counted(result):
    said = {outcome.question.id: outcome.said_words for outcome in result.outcomes}
    assert (said["q1"], said["q5"]) == (5, 0)


def test_the_halves_of_the_starter_questions_share_no_article():
    halves = load("starter", Path()).questions
    fit, report = ({span.article_id for asked in half for span in asked.gold[:1]} for half in halves.values())
    assert len(fit) > 10
    assert len(report) > 10
    assert not fit & report
    assert half_of("binance-liquidation-owe-money") in halves


def test_no_question_of_a_half_that_is_reported_was_read_in_fitting_the_reader(tmp_path):
    texts = [f"Song {n} was sung by singer {n}." for n in range(20)]
    pages = [{"id": f"p{n}", "title": f"Song {n}", "text": text} for n, text in enumerate(texts)]
    asked = [
        {"id": f"{n * n}", "title": f"Song {n}", "question": f"who sang song {n}", "context": text, "answerable": True, "answers": [{"support": [text]}]}
        for n, text in enumerate(texts)
    ]  # fmt: skip
    (tmp_path / "clapnq_dev").mkdir()
    for name, lines in (("corpus", pages), ("qa", asked)):
        (tmp_path / "clapnq_dev" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    of_the_reader = {question.name: question.half for question in questions_of_the_reader(tmp_path)}
    halves = load("clapnq", tmp_path).questions
    assert {question.id: half for half in halves for question in halves[half]} == of_the_reader
    assert set(of_the_reader.values()) == {"fit", "report"}


def test_the_floors_are_of_known_measures_and_the_starter_questions_have_the_most():
    floors = gate.read_floors(gate.FLOORS)
    assert floors[0].name == "starter"
    assert {floor.key for floor in floors[0].floors} >= {
        "answered_right",
        "refused_right",
        "wrong_exchange",
        "verbatim",
    }


@pytest.mark.parametrize(
    "text",
    [
        "[sets.strater]\narticles = 1\nquestions = 1",
        "[sets.starter]\nat_least = {latency_p50_ms = 0.5}",
        "[sets.starter]\nat_least = {auroc = 80}",
        "[sets.clapnq]\nat_least = {auroc = 0.8}",
    ],
)
def test_a_floor_that_could_never_fail_is_refused(text, tmp_path):
    path = tmp_path / "floors.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"floors\.toml"):
        gate.read_floors(path)


def test_floors_that_are_missed_are_told(result, capsys):
    right = gate.Floor("answered_right", ">=", 0.5)
    lead = gate.Floor("lead_right", ">=", 0.9)
    wrong = gate.Floor("wrong_exchange", "<=", 0.0)
    floors = gate.Floors("starter", 1, 1, (right, lead, wrong))
    assert list(gate.missed(floors, result)) == [lead, wrong]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["ok", "MISS", "MISS"]
    assert "expected calibration error" in lines[3]


@pytest.mark.parametrize(
    ("sign", "value", "holds"),
    [
        (">=", 0.81, True),
        (">=", 0.8096, True),
        (">=", 0.809, False),
        (">=", None, False),
        ("<=", 0.81, True),
        ("<=", 0.82, False),
        ("<=", None, False),
    ],
)
def test_a_floor_holds_by_what_is_printed_and_never_where_nothing_was_measured(sign, value, holds):
    assert gate.Floor("auroc", sign, 0.81).holds(Measure(value, 10)) == holds
