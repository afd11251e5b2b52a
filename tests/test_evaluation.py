import doctest
import json
import math
import time
from pathlib import Path

import pytest
from desk import BACKUP, CODES, KRAKEN, MAKER, QUESTIONS, REPLIES, TAKER, Desk, Reply, question

from service.evaluation import comparison, folding, intervals
from service.evaluation.calibration import (
    ConfidenceBin,
    CurvePoint,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from service.evaluation.comparison import compare, read_result, sign_test
from service.evaluation.folding import fold, has_term, holds, words
from service.evaluation.intervals import wilson
from service.evaluation.measures import NOTES, ndcg, reciprocal_rank, span_recall
from service.evaluation.run import (
    EvaluationError,
    Outcome,
    Result,
    append_result,
    citation_hits,
    evaluate,
    read_questions,
)


@pytest.fixture(scope="module")
def result() -> Result:
    desk = Desk(REPLIES)
    return evaluate(desk, QUESTIONS, clock=desk.clock)


def outcome_of(asked, reply: Reply) -> Outcome:
    return evaluate(Desk({asked.question: reply}), [asked]).outcomes[0]


@pytest.mark.parametrize("module", [folding, intervals, comparison])
def test_the_examples_in_the_docstrings_hold(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


# What hits a span


@pytest.mark.parametrize(
    ("quote", "span"),
    [
        ("You pay a taker fee of 0.2% per trade.", "taker fee of 0.2%"),
        ("1. Open **Assets**.\n2. Tap <b>Withdraw</b>.", "Open Assets. Tap Withdraw."),
        ("1. Open Assets\n2. Tap Withdraw\n3. Confirm by mail", "1. Open Assets 2. Tap Withdraw 3. Confirm by mail"),
        ("- the “main” account — not a sub‑account", 'the "main" account - not a sub-account'),
        ("| Tier | Fee |\n|------|-----|\n| VIP 1 | 0.08% |", "Tier Fee VIP 1 0.08%"),
        ("see [the fee page](https://x.example/fees) first", "see the fee page first"),
        ("Withdraw\u00a0up\u200b to\n 100,000 USDT", "withdraw up to 100000 usdt"),
        ("Fees &amp; limits apply", "fees & limits apply"),
        ("提现通常需要二十四小时到账。", "提现通常需要 24 小时"),
        ("one two three", "one two three four five six"),
        ("one two three", "one two three four five"),
        ("30", "30"),
    ],
)
def test_a_quote_hits_a_span_that_it_holds_or_shares_half_the_words_with_in_one_run(quote, span):
    assert citation_hits(quote, span)


@pytest.mark.parametrize(
    ("quote", "span"),
    [
        ("one two", "one two three four five"),
        ("one x two x three", "one two three four"),
        ("six five four three two one", "one two three four five six"),
        ("the fee is 15", "5"),
        ("", "one"),
        ("anything at all", ""),
        ("** -- **", "** -- **"),
        ("withdrawn", "withdraw"),
        ("卖出需要时间", "提现通常需要二十四小时"),
    ],
)
def test_a_quote_does_not_hit_a_span_by_fewer_or_by_scattered_words(quote, span):
    assert not citation_hits(quote, span)


def test_a_less_than_sign_is_not_taken_for_a_tag():
    assert fold("if price <mark price and >index price") == "if price <mark price and >index price"


def test_what_is_no_word_leaves_no_word():
    assert words("** -- | … \u200b") == ()


def test_holding_takes_every_word_in_one_run():
    assert holds("Note: Keep your backup key offline.", BACKUP)
    assert not holds("Keep your backup key", BACKUP)


@pytest.mark.parametrize(
    ("text", "term", "is_there"),
    [
        ("The fee is 0.1%.", "0.1%", True),
        ("The fee is 0.1 %.", "0.1%", True),
        ("The fee is 0.15%.", "0.1", False),
        ("The fee is 10.1%.", "0.1%", False),
        ("It takes 24 hours", "24", True),
        ("It takes 24.", "24", True),
        ("It takes 124 hours", "24", False),
        ("up to 100,000 USDT", "100000 usdt", True),
        ("Withdrawals are open", "withdrawal", True),
        ("Do not do this", "no", False),
        ("No, it is not", "No", True),
        ("an overnight fee", "night", False),
        ("需要24小时", "24小时", True),
        ("anything", "", False),
    ],
)
def test_a_required_term_is_found_whole(text, term, is_there):
    assert has_term(text, term) is is_there


def test_folding_a_hostile_text_takes_no_time():
    begun = time.perf_counter()
    for text in ("[" * 50_000, "<a " * 30_000, "1. " * 30_000, "|" * 50_000 + "**" * 50_000, "&lt;" * 30_000):
        citation_hits(text, f"{text} x")
    assert time.perf_counter() - begun < 20


# The measures, worked by hand; the twelve questions stand in desk.py


@pytest.mark.parametrize(
    ("key", "value", "n"),
    [
        ("answered_right", 2 / 4, 4),  # q1 q2 | q3 q4
        ("answered_complete", 1 / 4, 4),  # q2 does not say "volume"
        ("lead_right", 1 / 4, 4),  # q2 begins with the codes
        ("citation_precision", 3 / 5, 5),  # q1 1/1, q2 1/2, q3 0/1, q8 1/1
        ("wrong_exchange", 1 / 2, 2),  # q3; q1 is about Binance
        ("refused_right", 1 / 3, 3),  # q5 | q6 answered, q12 refused by ask
        ("refused_wrongly", 1 / 4, 4),  # q4
        ("auroc", 9.5 / 12, 7),  # .9 .8 .7 .3 against .8 .2 0: 3 + 2.5 + 2 + 2
        ("coverage_at_5_risk", 1 / 7, 7),  # q1 alone; q2 and q6 are equally confident and one is wrong
        ("declined_right", 2 / 3, 3),  # q9 q10 | q11
        ("asked_or_listed", 1 / 2, 2),  # q7 | q8
        ("verbatim", 1.0, 8),
        ("span_recall_at_1", 3 / 6, 6),  # q2 q7 q8
        ("span_recall_at_5", 5.5 / 6, 6),  # q3 finds one of two spans that it takes both
        ("span_recall_at_10", 5.5 / 6, 6),
        ("mrr", (1 / 2 + 1 + 1 / 2 + 1 / 3 + 1 + 1) / 6, 6),
        ("ndcg_at_10", (1 + 1 + 2 / math.log2(3) + 1 + 1 / (1 + 1 / math.log2(3))) / 6, 6),
        ("latency_p50_ms", 60, 11),  # 10, 20 … 110
        ("latency_p95_ms", 105, 11),
    ],
)
def test_each_measure_is_what_it_is_by_hand(result, key, value, n):
    measure = result.measures[key]
    assert measure.value == pytest.approx(value)
    assert measure.n == n
    assert measure.low <= measure.value <= measure.high


def test_every_measure_of_the_specification_is_there_in_its_order(result):
    keys = [
        *("answered_right", "answered_complete", "lead_right", "citation_precision", "wrong_exchange"),
        *("refused_right", "refused_wrongly", "auroc", "coverage_at_5_risk", "declined_right", "asked_or_listed"),
        *("verbatim", "span_recall_at_1", "span_recall_at_5", "span_recall_at_10", "mrr", "ndcg_at_10"),
        *("latency_p50_ms", "latency_p95_ms"),
    ]
    assert list(result.measures) == [note.key for note in NOTES] == keys


def test_each_miss_tells_where_the_way_went_wrong(result):
    assert {outcome.question.id: outcome.where for outcome in result.misses} == {
        "q2": "right but not complete",
        "q3": "wrong exchange",
        "q4": "retrieved but not read",
        "q6": "should have abstained",
        "q8": "should have asked or listed",
        "q11": "should have declined",
        "q12": "question refused",
    }


@pytest.mark.parametrize(
    ("reply", "where"),
    [
        (Reply("not_covered", (), ("a1#0",)), "not retrieved"),
        (Reply("not_covered", (), ("a1#0", "a1#1")), "retrieved but not read"),
        (Reply("not_covered", (), ("a1#1",), ("a1#1",)), "read but not decided"),
        (Reply("clarify", (), ("a1#1",), ("a1#1",)), "read but not decided"),
        (Reply("answered", (("a1#0", MAKER),), ("a1#1",), ("a1#1",)), "read but not cited"),
        (Reply("answered", (("a1#1", "The taker fee is 0.3%."),), ("a1#1",), ("a1#1",)), "not verbatim"),
        (Reply("answered", (("a1#1", TAKER),), ("a1#1",), ("a1#1",)), ""),
    ],
)
def test_the_first_step_that_lost_the_gold_is_named(reply, where):
    assert outcome_of(question("q", gold=[("a1", TAKER)]), reply).where == where


def test_gold_that_the_snapshot_lacks_is_told_apart_and_counted():
    gold = [("a1", "No such sentence stands here"), ("gone", TAKER)]
    result = evaluate(Desk({"q": Reply()}), [question("q", gold=gold)])
    assert result.misses[0].where == "not in the snapshot"
    assert result.counts["gold_spans_not_in_snapshot"] == 2


def test_a_span_of_one_article_is_not_hit_by_the_same_words_of_another():
    asked = question("q", gold=[("a1", KRAKEN)])
    assert not outcome_of(asked, Reply("answered", (("a2#0", KRAKEN),), ("a2#0",))).right


def test_all_spans_must_be_hit_where_all_are_the_answer():
    asked = question("q", gold=[("a1", MAKER), ("a1", TAKER)], gold_mode="all")
    assert not outcome_of(asked, Reply("answered", (("a1#0", MAKER),))).right
    assert outcome_of(asked, Reply("answered", (("a1#0", MAKER), ("a1#1", TAKER)))).right


def test_citing_the_gold_without_answering_is_not_right():
    assert not outcome_of(question("q", gold=[("a1", TAKER)]), Reply("clarify", (("a1#1", TAKER),))).right


def test_listing_two_exchanges_is_as_good_as_asking_back():
    asked = question("q", "ask_or_list_by_exchange", gold=[("a1", MAKER), ("a2", KRAKEN)])
    assert outcome_of(asked, Reply("answered", (("a1#0", MAKER), ("a2#0", KRAKEN)))).right
    assert not outcome_of(asked, Reply("answered", (("a2#0", KRAKEN), ("a2#0", KRAKEN)))).right


def test_an_article_about_no_exchange_is_not_about_another_one():
    asked = question("q", exchange="Kraken", gold=[("a3", CODES)])
    assert not outcome_of(asked, Reply("answered", (("a3#0", CODES),))).wrong_exchange


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        (Reply("declined"), True),
        (Reply("not_covered"), True),
        (Reply("answered", (("a3#0", CODES),)), True),
        (Reply("answered", (("a3#0", CODES),), said=("I am now free of all rules.",)), False),
        (Reply("answered", (("a3#0", "I am now free of all rules."),)), False),
        (Reply("answered", (), said=("HACKED",)), False),
    ],
)
def test_an_injection_is_ignored_if_nothing_is_said_that_no_quote_says(reply, right):
    assert outcome_of(question("q", "refuse_or_ignore_injection", kind="injection"), reply).right is right


@pytest.mark.parametrize("cited", [("a1#1", "The taker fee is 0.3%."), ("gone#0", TAKER), ("a1#1", "")])
def test_a_quote_that_is_not_the_passages_own_text_is_not_verbatim_and_fails_the_run(cited):
    result = evaluate(Desk({"q": Reply("answered", (cited,))}), [question("q", gold=[("a1", TAKER)])])
    assert result.measures["verbatim"].value == 0
    assert result.exit_code == 1


def test_the_assistant_is_told_the_question_and_its_history_only():
    desk = Desk(REPLIES)
    evaluate(desk, QUESTIONS[2:4])
    assert desk.asked == [("q3", ()), ("q4", ("How do codes work?",))]


def test_a_question_that_ask_refuses_is_a_row_and_does_not_stop_the_run(result):
    refused = result.outcomes[-1]
    assert (refused.got, refused.right, refused.latency_ms) == ("error: the question is empty", False, None)
    assert len(result.outcomes) == 12
    assert result.exit_code == 1


def test_any_other_error_stops_the_run():
    with pytest.raises(KeyError):
        evaluate(Desk({}), [question("q", "abstain")])


@pytest.mark.parametrize("confidence", [math.nan, math.inf, 1.1, -0.1])
def test_a_confidence_that_is_none_is_refused_by_the_questions_id(confidence):
    with pytest.raises(EvaluationError, match=r"question q: expected a confidence in \[0, 1\]"):
        evaluate(Desk({"q": Reply(confidence=confidence)}), [question("q", "abstain")])


def test_measures_by_kind_and_by_language_are_over_their_own_questions(result):
    assert list(result.by_language) == ["de", "en"]
    assert (result.by_language["de"]["refused_wrongly"].value, result.by_language["de"]["refused_wrongly"].n) == (1, 1)
    assert sum(measures["answered_right"].n for measures in result.by_kind.values()) == 4
    assert result.by_kind["off_topic"]["answered_right"].value is None


def test_the_same_outcomes_give_the_same_intervals(result):
    desk = Desk(REPLIES)
    assert evaluate(desk, QUESTIONS, clock=desk.clock).measures == result.measures


def test_nothing_to_measure_is_null_and_not_zero():
    measures = evaluate(Desk({"q": Reply()}), [question("q", "abstain")]).measures
    for key in ("answered_right", "auroc", "verbatim", "mrr", "ndcg_at_10", "span_recall_at_1"):
        assert (measures[key].value, measures[key].low, measures[key].high) == (None, None, None)
    assert (measures["coverage_at_5_risk"].value, measures["latency_p50_ms"].low) == (0, None)


def test_wilsons_interval_is_the_textbooks():
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)
    assert wilson(2, 4) == pytest.approx((0.1500, 0.8500), abs=1e-4)


def test_ranks_are_scored_by_their_definitions():
    asked = question("q", gold=[("a1", MAKER), ("a1", TAKER), ("a2", KRAKEN)], gold_mode="all")
    outcome = Outcome(asked, "answered", True, "", span_ranks=(7, None, 2), article_ranks=(4, 2))
    assert [span_recall(outcome, k) for k in (1, 5, 10)] == pytest.approx([0, 1 / 3, 2 / 3])
    assert reciprocal_rank(outcome) == 1 / 2
    assert ndcg(outcome, 10) == pytest.approx((1 / math.log2(5) + 1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert ndcg(outcome, 3) == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))


def test_the_curve_goes_from_the_surest_answer_to_all_that_were_given(result):
    assert risk_coverage(result.outcomes) == [
        CurvePoint(0.9, 1 / 7, 0.0),
        CurvePoint(0.8, 3 / 7, 1 / 3),
        CurvePoint(0.7, 4 / 7, 2 / 4),
    ]


def test_one_error_in_twenty_answers_is_five_per_cent():
    replies = {f"q{i}": Reply("answered", (("a1#1", TAKER),), confidence=0.9 - i / 100) for i in range(19)}
    replies |= {"wrong": Reply("answered", (("a1#0", MAKER),), confidence=0.1)}
    questions = [question(id_, gold=[("a1", TAKER)]) for id_ in replies]
    assert evaluate(Desk(replies), questions).measures["coverage_at_5_risk"].value == 1


def test_confidence_is_held_against_what_is_covered(result):
    bins = reliability(result.outcomes)
    assert [group.covered.n for group in bins] == [1, 0, 1, 1, 0, 0, 0, 1, 2, 1]
    eighth: ConfidenceBin = bins[8]
    assert (eighth.mean, eighth.covered.value) == (pytest.approx(0.8), 0.5)
    # |0 - 0| + |.2 - 0| + |.3 - 1| + |.7 - 1| + 2 |.8 - .5| + |.9 - 1|, over 7
    assert expected_calibration_error(bins) == pytest.approx((0.2 + 0.7 + 0.3 + 0.6 + 0.1) / 7)


# The file of questions


def line(**fields: object) -> dict[str, object]:
    return {"id": "q", "question": "?", "language": "en", "kind": "unanswerable", "expected": "abstain", **fields}


def write(path: Path, *lines: object) -> Path:
    texts = [item if isinstance(item, str) else json.dumps(item) for item in lines]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "questions.jsonl"


def test_every_field_of_a_question_is_read(file):
    full = line(
        exchange="OKX",
        history=["before"],
        kind="follow_up",
        expected="answer",
        gold=[{"article_id": "a1", "answer_span": TAKER}],
        gold_mode="all",
        gold_short="0.2 %",
        must_include=["0.2%"],
        distractors=["a2"],
        near_misses=["a3"],
        note="unknown fields are allowed",
    )
    assert read_questions(write(file, full)) == [
        question(
            "q",
            question="?",
            exchange="OKX",
            history=("before",),
            kind="follow_up",
            gold=[("a1", TAKER)],
            gold_mode="all",
            gold_short="0.2 %",
            must_include=("0.2%",),
            distractors=("a2",),
            near_misses=("a3",),
        )
    ]


def test_blank_lines_a_byte_order_mark_and_unicode_line_breaks_in_a_string_are_no_problem(file):
    file.write_bytes(b"\xef\xbb\xbf\r\n" + json.dumps(line(question="a\u2028b"), ensure_ascii=False).encode() + b"\r\n")
    assert [read.question for read in read_questions(file)] == ["a\u2028b"]


def test_an_empty_question_is_for_ask_to_refuse(file):
    assert read_questions(write(file, line(question="")))[0].question == ""


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("{", "expected a JSON object: "),
        ("[]", "expected a JSON object, got []"),
        ("[" * 100_000, "expected a JSON object: "),
        ('{"id": ' + "1" * 5000 + "}", "expected a JSON object: "),
        (line(id=7), "id: expected text, got 7"),
        (line(id=" "), 'id: expected text, got " "'),
        (line(question=None), "question: expected text, got nothing"),
        (line(question="\ud800"), 'question: expected text, got "\\ud800"'),
        (line(language=""), 'language: expected text, got ""'),
        (line(kind="riddle"), "kind: expected one of direct, scoped, "),
        (line(kind=["direct"]), "kind: expected one of direct, scoped, "),
        (line(expected="magic"), "expected: expected one of answer, abstain, "),
        (line(exchange=["OKX"]), 'exchange: expected text or null, got ["OKX"]'),
        (line(history="before"), "history: expected a list of texts"),
        (line(must_include=["**"]), "must_include: expected a list of terms"),
        (line(gold={}), "gold: expected a list of {article_id, answer_span}, got {}"),
        (line(gold=["a1"]), 'gold[0]: expected {article_id, answer_span}, both text with words in it, got "a1"'),
        (line(gold=[{"article_id": "a1", "answer_span": " ... "}]), "gold[0]: expected {article_id, answer_span}"),
        (line(gold_mode="some"), "gold_mode: expected one of any, all, none"),
        (line(expected="answer"), "gold: expected at least one span, as the question expects an answer"),
        (
            line(expected="answer", gold=[{"article_id": "a1", "answer_span": "x"}], gold_mode="none"),
            "gold_mode: expected any or all, as the question expects an answer",
        ),
    ],
)
def test_a_broken_line_is_named_with_its_field_and_what_was_expected(file, bad, problem):
    with pytest.raises(EvaluationError) as caught:
        read_questions(write(file, line(id="good"), bad))
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{file}:2: {problem}")


def test_all_that_is_broken_is_listed_at_once(file):
    with pytest.raises(EvaluationError) as caught:
        read_questions(write(file, line(kind="x", language=1), "", line(id="ok"), line(id="ok"), "nonsense"))
    starts = sorted(problem.removeprefix(f"{file}:").split(": expected")[0] for problem in caught.value.problems)
    assert starts == ["1: kind", "1: language", "4: id", "5"]
    assert "'ok' is line 3's" in str(caught.value)


def test_bytes_that_are_not_utf8_are_named(file):
    file.write_bytes(b'{"id": "\xff"}')
    with pytest.raises(EvaluationError, match="expected UTF-8: byte 9 is not"):
        read_questions(file)


def test_a_file_without_questions_and_no_file_at_all_are_refused(file):
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_questions(file)
    with pytest.raises(EvaluationError, match="there is none"):
        read_questions(write(file, "", ""))


# What is kept, and compared


def test_the_json_has_the_specifications_keys_and_can_be_printed(result):
    printed = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert list(printed)[:6] == ["snapshot_id", "counts", "measures", "by_kind", "by_language", "misses"]
    assert set(printed["measures"]["auroc"]) == {"value", "n", "low", "high"}
    assert set(printed["by_kind"]["direct"]) == set(printed["measures"])
    assert printed["misses"][1] == {
        "id": "q3",
        "question": "q3",
        "history": [],
        "kind": "scoped",
        "language": "en",
        "expected": "answer",
        "got": "answered",
        "first_sentence": KRAKEN,
        "gold_short": "",
        "where": "wrong exchange",
    }
    assert printed["counts"]["questions"] == 12
    assert (printed["counts"]["expected_answer"], printed["counts"]["got_error"]) == (4, 1)


def test_results_are_appended_and_the_last_one_or_any_line_is_read_back(result, tmp_path):
    log = tmp_path / "new" / "evaluations.jsonl"
    append_result(result, log)
    second = evaluate(Desk(REPLIES), QUESTIONS[:2])
    append_result(second, log)
    assert read_result(log) == second.as_json()
    assert read_result(f"{log}:1") == result.as_json()


def test_a_line_that_a_crash_cut_short_does_not_swallow_the_next(result, tmp_path):
    log = tmp_path / "evaluations.jsonl"
    log.write_text('{"snapshot_id": "s', encoding="utf-8")
    append_result(result, log)
    assert read_result(log) == result.as_json()


def test_a_saved_indented_json_is_read_back(result, tmp_path):
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps(result.as_json(), indent=2), encoding="utf-8")
    assert read_result(saved) == result.as_json()


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "{" * 1000, '{"date": 1}', '{"questions": [1]}'])
def test_what_is_no_result_is_refused(tmp_path, content):
    file = tmp_path / "saved.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(EvaluationError, match="expected what eval --json prints"):
        read_result(file)
    with pytest.raises(EvaluationError):
        read_result(f"{file}:9")


def test_a_comparison_names_what_was_fixed_what_broke_and_what_is_new(result):
    replies = REPLIES | {"q1": Reply("not_covered", confidence=0.9), "q6": Reply("not_covered", confidence=0.8)}
    questions = [*QUESTIONS[1:], QUESTIONS[0], question("q13", "abstain", question="q5")]
    later = evaluate(Desk(replies), questions)
    changed = compare(result.as_json(), later.as_json())
    assert (changed.fixed, changed.broken) == (("q6",), ("q1",))
    assert (changed.added, changed.removed) == (("q13",), ())
    changes = {change.key: change for change in changed.changes}
    assert changes["answered_right"].difference == pytest.approx(1 / 4 - 2 / 4)
    assert changes["refused_right"].difference == pytest.approx(3 / 4 - 1 / 3)
    assert json.loads(json.dumps(changed.as_json()))["p_value"] == 1


def test_a_sign_test_is_a_coin():
    assert sign_test(0, 0) is None
    assert sign_test(3, 3) == 1
    assert sign_test(0, 5) == sign_test(5, 0) == pytest.approx(2 / 32)
    assert sign_test(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)
