import numpy as np
import pytest

from index.spread import EVEN, Spread, SpreadMeasure


def unit_rows(count, dimension=8):
    # Near one another, as an encoder's are: the covariance is small beside the mean.
    rows = np.random.default_rng(4).normal(3, 0.3, size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def measured(vectors, languages, batch):
    measure = SpreadMeasure(vectors.shape[1])
    for at in range(0, len(vectors), batch):
        measure.add(vectors[at : at + batch], languages[at : at + batch])
    return measure.spread()


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_the_spread_does_not_depend_on_the_batches(batch):
    vectors = unit_rows(60)
    languages = ["en"] * 35 + ["de"] * 24 + ["tr"]
    spread = measured(vectors, languages, batch)
    exact = vectors.astype(np.float64)
    assert spread.languages == ("de", "en", "tr")
    means = [exact[35:59].mean(axis=0), exact[:35].mean(axis=0), exact[59], exact.mean(axis=0)]
    np.testing.assert_allclose(spread.means, means, atol=1e-7)
    seen = np.cov(exact.T, bias=True)
    mixed = (60 * seen + EVEN * np.eye(8) * np.trace(seen) / 8) / (60 + EVEN)
    np.testing.assert_allclose(spread.covariance, mixed, atol=1e-8)


def test_it_foretells_the_mean_and_the_deviation_of_a_querys_cosines():
    vectors = unit_rows(5000)
    spread, query = measured(vectors, ["en"] * 5000, 64), unit_rows(3)[2]
    cosines = vectors @ query
    assert spread.expected(query) == pytest.approx(cosines.mean(), abs=1e-6)
    assert spread.deviation(query) == pytest.approx(cosines.std(), rel=0.1)


def test_two_passages_do_not_make_every_question_stand_out():
    vectors = unit_rows(2, 64)
    spread, queries = measured(vectors, ["en", "en"], 1), unit_rows(30, 64)[2:]
    nearest = [((vectors @ query).max() - spread.expected(query)) / spread.deviation(query) for query in queries]
    assert max(nearest) < 3


def test_what_is_written_is_what_is_opened(tmp_path):
    spread = measured(unit_rows(9), ["en"] * 4 + ["de"] * 5, 4)
    spread.write(tmp_path)
    opened = Spread.open(tmp_path)
    assert opened.languages == spread.languages
    np.testing.assert_array_equal(opened.means, spread.means)
    np.testing.assert_array_equal(opened.covariance, spread.covariance)
