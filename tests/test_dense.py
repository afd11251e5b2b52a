from pathlib import Path

import numpy as np
import pytest

from index.dense import DenseIndex


def unit_rows(count, dimension=16, seed=1):
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def by_numpy(vectors, query, k, among=None):
    """The rows with the highest cosines, best first, and these cosines."""
    rows = np.arange(len(vectors)) if among is None else np.asarray(among)
    scores = vectors[rows] @ query
    order = np.argsort(-scores, kind="stable")[:k]
    return rows[order].tolist(), scores[order]


def agrees(found, expected):
    rows, scores = expected
    assert [row for row, _ in found] == rows
    np.testing.assert_allclose([score for _, score in found], scores, atol=1e-6)


@pytest.mark.parametrize("k", [1, 10, 300])
def test_the_nearest_are_those_that_numpy_finds(k):
    vectors, index = unit_rows(300), DenseIndex.build(unit_rows(300))
    for query in unit_rows(20, seed=2):
        agrees(index.search(query, k), by_numpy(vectors, query, k))


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1, 0.9])
def test_a_filter_finds_all_of_its_rows_however_few(share):
    vectors = unit_rows(2000)
    index = DenseIndex.build(vectors)
    for seed, query in enumerate(unit_rows(10, seed=3)):
        among = np.random.default_rng(seed).choice(2000, size=int(2000 * share), replace=False).astype(np.int64)
        agrees(index.search(query, 10, among), by_numpy(vectors, query, 10, among))


def test_a_filter_on_the_farthest_row_finds_it():
    vectors = unit_rows(2000)
    query = vectors[0]
    farthest = int(np.argmin(vectors @ query))
    assert [row for row, _ in DenseIndex.build(vectors).search(query, 5, np.array([farthest]))] == [farthest]


def test_there_are_never_more_than_there_are():
    index = DenseIndex.build(unit_rows(3))
    assert len(index.search(unit_rows(1)[0], 50)) == 3
    assert len(index.search(unit_rows(1)[0], 50, np.array([0, 2]))) == 2


def test_nothing_is_found_in_nothing():
    query = unit_rows(1)[0]
    assert DenseIndex.build(unit_rows(0)).search(query, 5) == []
    assert DenseIndex.build(unit_rows(3)).search(query, 5, np.array([], dtype=np.int64)) == []
    assert DenseIndex.build(unit_rows(3)).search(query, 0) == []
    assert DenseIndex.build(unit_rows(3)).search(query, -1) == []


def test_a_row_that_is_not_there_is_not_found():
    assert [row for row, _ in DenseIndex.build(unit_rows(3)).search(unit_rows(1)[0], 5, np.array([1, 99]))] == [1]


def test_what_is_written_is_what_is_opened(tmp_path):
    vectors = unit_rows(40)
    DenseIndex.build(vectors).write(tmp_path / "vectors.faiss")
    index = DenseIndex.open(tmp_path / "vectors.faiss")
    assert (len(index), index.dimension) == vectors.shape
    np.testing.assert_array_equal(np.stack([index.vector(row) for row in range(len(index))]), vectors)
    agrees(index.search(vectors[7], 5), by_numpy(vectors, vectors[7], 5))


def test_an_empty_index_can_be_written_and_opened(tmp_path):
    DenseIndex.build(unit_rows(0)).write(tmp_path / "vectors.faiss")
    assert len(DenseIndex.open(tmp_path / "vectors.faiss")) == 0


@pytest.mark.parametrize("cuts", [[], [1], [40], [7, 8, 39]])
def test_what_is_written_in_batches_is_what_is_written_at_once(tmp_path, cuts):
    vectors = unit_rows(max(cuts, default=0))
    DenseIndex.build(vectors).write(tmp_path / "at-once")
    DenseIndex.write_rows(tmp_path / "in-batches", np.split(vectors, cuts[:-1]), vectors.shape[1])
    assert (tmp_path / "in-batches").read_bytes() == (tmp_path / "at-once").read_bytes()
    assert len(DenseIndex.open(tmp_path / "in-batches")) == len(vectors)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """An index over which a graph was laid: of vectors that lie in groups, as those of texts do."""
    middles = unit_rows(60, seed=5)
    vectors = middles[np.random.default_rng(6).integers(0, 60, 6000)] + 0.6 * unit_rows(6000, seed=7)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    path = tmp_path_factory.mktemp("large") / "vectors.faiss"
    DenseIndex.write_rows(path, np.split(vectors, [1000, 4000]), 16, exact=5000)
    return DenseIndex.open(path), vectors


def test_a_graph_is_laid_where_there_are_more_rows_than_are_compared(large, tmp_path):
    assert large[0].has_graph
    DenseIndex.write_rows(tmp_path / "few.faiss", [unit_rows(50)], 16, exact=50)
    assert not DenseIndex.open(tmp_path / "few.faiss").has_graph


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.03, 0.002])
@pytest.mark.parametrize("exact", [0, 1000])
def test_what_the_graph_finds_is_nearly_all_that_is_nearest(large, monkeypatch, share, exact):
    index, vectors = large
    monkeypatch.setattr("index.dense.EXACT", exact)
    found = 0
    for seed, query in enumerate(unit_rows(40, seed=8)):
        among = np.random.default_rng(seed).choice(6000, size=int(6000 * share), replace=False).astype(np.int64)
        expected, _ = by_numpy(vectors, query, 10, among)
        hits = index.search(query, 10, None if share == 1.0 else among)
        assert [row for row, _ in hits] == sorted((row for row, _ in hits), key=lambda row: -(vectors[row] @ query))
        np.testing.assert_allclose([score for _, score in hits], [vectors[row] @ query for row, _ in hits], atol=1e-6)
        assert {row for row, _ in hits} <= set(among.tolist())
        found += len(set(expected) & {row for row, _ in hits}) / len(expected)
    assert found / 40 >= 0.97


@pytest.mark.parametrize("longest", [64, 512, 4096])
def test_where_the_nearest_are_just_those_that_are_not_let_through_the_others_are_found(large, monkeypatch, longest):
    index, vectors = large
    monkeypatch.setattr("index.dense.EXACT", 0)
    monkeypatch.setattr("index.dense.WALK", 64)
    monkeypatch.setattr("index.dense.LONGEST_WALK", longest)
    found = []
    for query in unit_rows(20, seed=9):
        among = np.sort(np.argsort(-(vectors @ query))[2000:])
        expected, _ = by_numpy(vectors, query, 10, among)
        found.append(len(set(expected) & {row for row, _ in index.search(query, 10, among)}) / 10)
    assert np.mean(found) >= 0.97


def test_an_index_is_mapped_not_read(large):
    with Path("/proc/self/maps").open(encoding="ascii") as maps:
        assert {name for name in ("vectors.faiss\n", "vectors.faiss.graph\n") if any(name in line for line in maps)}
