from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from benchmarks.fit_decision import READ, Table, fitted
from index.search import Hit
from ingest.article import Article, Passage
from service.decide import Features, confidence, decide, features, least_confidence
from service.evidence import Evidence

USUAL = 3.0


def evidence(nearness, *, answers=None, exchange="Kelpex", score=4.0):
    fetched = datetime(2026, 11, 1, tzinfo=UTC)
    about = Article(
        f"{exchange}-fees", "https://help.example/fees", "Fees", exchange, (), "en", "unknown", None, None, fetched, ()
    )
    hit = Hit(Passage(f"{about.id}#0", about.id, (), None, "The fee is 0.2%.", 0, 16), 0.1, 0.8, 5.0)
    return Evidence(hit, about, score, nearness, 0.5, (), answers)


def decided(found, *, bound=True, usual=USUAL):
    return decide(found, bound=bound, ahead=0.0, usual=usual, words=6)


def test_nothing_found_is_not_covered():
    assert decided([]).status == "not_covered"


@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize("answers", [None, 0.0])
def test_what_is_as_near_as_other_topics_usually_are_is_worth_less_than_what_is_nearer(bound, answers):
    usual, nearer = (decided([evidence(USUAL + above, answers=answers)], bound=bound) for above in (0, 3))
    assert usual.confidence < nearer.confidence
    assert nearer.status == "answered"


@pytest.mark.parametrize("answers", [None, -2.0])
def test_evidence_that_is_no_nearer_than_usual_is_refused_whether_an_exchange_is_named_or_not(answers):
    for bound in (True, False):
        assert decided([evidence(USUAL - 2, answers=answers)], bound=bound).status == "not_covered"


def test_the_same_evidence_means_less_in_a_corpus_where_all_is_near():
    found = [evidence(5.0, answers=0.0)]
    assert decided(found, usual=4.5).confidence < decided(found, usual=2.0).confidence


def test_the_nearest_counts_wherever_it_is_ranked():
    found = [evidence(2.0), evidence(4.0, score=1.0)]
    assert features(found, ahead=0.0, usual=USUAL).nearness == 1.0


@pytest.mark.parametrize("read", [True, False])
def test_whoever_accepts_more_risk_has_to_be_surer(read):
    least = [least_confidence(risk, read=read) for risk in (0, 0.03, 0.05, 0.5, 1)]
    assert least == sorted(least)
    assert least[-1] == 1.0


@pytest.mark.parametrize("answers", [None, 0.3])
def test_every_feature_that_has_a_weight_speaks_for_an_answer(answers):
    base = Features(0.5, 0.0, answers)
    for name in ("nearness", "ahead", *(["answers"] if answers is not None else [])):
        assert confidence(replace(base, **{name: getattr(base, name) + 1})) > confidence(base)


def table(seed, shift):
    """Covered questions that score higher in all features, a copy of each without its article, and as many uncovered ones."""
    draw = np.random.default_rng(seed)
    ids = np.array([f"{seed}-{number}" for number in range(60)] * 2 + [f"{seed}-u{number}" for number in range(30)])
    covered = np.arange(150) < 60
    values = draw.normal(0, 1, (150, 3)) + shift + 2.0 * covered[:, None]
    return Table(ids, values, covered, (np.arange(150) >= 60) & (np.arange(150) < 120))


def test_the_fit_is_cross_validated_and_gives_a_table_that_the_service_reads():
    lines = list(fitted(table(1, 0.0), [table(2, 0.5), table(3, -0.5)], READ, "with_reader"))
    assert lines[0].startswith("# 90 questions, 60 covered; AUROC 0.9")
    weights = dict(line.split(" = ") for line in lines[2:5])
    assert tuple(weights) == READ
    assert all(float(weight) > 0.5 for weight in weights.values())
    least = [float(line.split(" = ")[1].split()[0]) for line in lines if line.startswith('"')]
    assert least == sorted(least)
