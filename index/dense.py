"""Nearest neighbours among vectors, by FAISS: exactly where these are few, over a graph where they are many.

The flat file of all vectors is there in any case: it gives exact cosines. Beside that of a large corpus lies a graph
(HNSW over vectors of a byte a component), which says which vectors to compare.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

# Vectors up to which all are compared, of an index or of what a filter leaves of one. Comparing 20,000 takes 1.2 ms and 100,000
# 8.9 ms; the graph finds .996 of the ten nearest of 20,000 in 0.7 ms, so that for fewer there is nothing to gain. Measured
# on 11,398 vectors of help pages by e5, made more as `benchmarks.scale` does; one thread on two busy cores, 2026-11.
EXACT = 50_000
# The graph. An IVF index of 1,024 lists, likewise a byte a component, has to look into 128 of them for .96 of the ten nearest
# of 20,000, and into 256 for .99: questions lie aside from the passages, so the nearest are spread over many lists.
# Built by 200 instead of 100 candidates, 512 find .98 of the ten nearest of 200,000 instead of .94, and 1,024 .999 instead of .983,
# for 125 seconds of processor time instead of 59: little beside what encoding takes.
LINKS, BUILT_BY = 32, 200
# Candidates that the walk keeps (efSearch) for each 100,000 vectors, and at most. In a graph built by 100, of the ten nearest of
# 100,000, 128 find .93, 256 find .96 to .98, and 512 find .99; of 200,000, 512 find .950, 1,024 find .988, 2,048 find .994 and
# 4,096 find .999, in 2, 3.5, 7.5 and 16 ms of processor time. Beyond 600,000 it stays at the most: of a million, in a graph built by
# 200, 2,048 find .967 to .976 under three filters and without, 3,072 find .981 to .984, 4,096 find .985.
WALK, WALK_FOR, LONGEST_WALK = 512, 100_000, 3072
# How many times as many rows as are asked for are taken from the walk and compared exactly, and how many at least. Of a
# filter so many have to be let through among the nearest that the walk meets: where the nearest are just those that are not let
# through (all but a third of 200,000 that lies together), a walk that only leaves these out finds .85 of the ten nearest.
AGAIN, LEAST = 2, 100
# Vectors that are added to the graph at once.
ADDED = 20_000
GRAPH = ".graph"


class DenseIndex:
    """Passage vectors, of which the nearest to a question are wanted.

    :param flat: FAISS's flat index of all of them.
    :param graph: FAISS's graph of them, row by row the same; None where all are compared.
    """

    def __init__(self, flat: Any, graph: Any = None) -> None:  # noqa: ANN401  (FAISS has no types)
        self._flat = flat
        self._graph = graph

    @classmethod
    def build(cls, vectors: Vectors) -> "DenseIndex":
        """Index unit rows of shape (n, d) in memory; row numbers are the ids. All are compared, however many."""
        import faiss

        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return cls(index)

    @classmethod
    def open(cls, path: Path) -> "DenseIndex":
        """Open a written index without reading it: pages are mapped as they are needed, and shared by processes."""
        graph = graph_of(path)
        return cls(_mapped(path), _mapped(graph) if graph.exists() else None)

    @classmethod
    def write_rows(cls, path: Path, batches: Iterable[Vectors], dimension: int, *, exact: int = EXACT) -> None:
        """Write an index of unit rows batch by batch, so that they need never be in memory together.

        The file is what `build` and `write` would make: FAISS's header of a flat index and then the rows. In the header
        of an empty one only the number of rows (its bytes 8 to 16) and of their components (its last 8) are to be set.
        Where there are many rows, the graph is written beside it; while it is made it is in memory, 0.7 KB a row.

        :param exact: How many rows are searched without a graph.
        :raises OSError: The file cannot be written.
        """
        import faiss

        header = faiss.serialize_index(faiss.IndexFlatIP(dimension)).tobytes()
        rows = 0
        with path.open("wb") as file:
            file.write(header)
            for vectors in batches:
                file.write(vectors.astype("<f4", copy=False).tobytes())
                rows += len(vectors)
            for at, number in ((8, rows), (len(header) - 8, rows * dimension)):
                file.seek(at)
                file.write(number.to_bytes(8, "little"))
        if rows > exact:
            written = cls.open(path)  # has to live as long as what is read of it
            _write(graph_of(path), _graph(written._vectors))

    def write(self, path: Path) -> None:
        """Write the vectors to a file."""
        _write(path, self._flat)

    def __len__(self) -> int:
        return int(self._flat.ntotal)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return int(self._flat.d)

    @property
    def has_graph(self) -> bool:
        """Whether the nearest are looked for over a graph."""
        return self._graph is not None

    def vector(self, row: int) -> Vectors:
        """Give the vector of a row, shape (d,)."""
        vector: Vectors = self._flat.reconstruct(row)
        return vector

    def vectors(self, rows: Rows) -> Vectors:
        """Give the vectors of rows, shape (len(rows), d)."""
        found: Vectors = self._vectors[rows]
        return found

    def search(self, query: Vectors, k: int, among: Rows | None = None) -> list[tuple[int, float]]:
        """Give up to ``k`` (row, cosine) pairs, best first; the cosines are exact.

        :param query: One unit vector of shape (d,).
        :param among: The only rows that may be found, each once; None for all.
        """
        if k <= 0 or not len(self) or (among is not None and not len(among)):
            return []
        import faiss

        # One question is shared out among threads too, of which each waits for the last: 10,000 vectors then take 22.9 ms on
        # two busy cores instead of 0.3 ms. What is set here holds for the calling thread alone.
        faiss.omp_set_num_threads(1)
        left = len(self) if among is None else len(among)
        if self._graph is None or left <= EXACT:
            return self._compared(query, k, among)
        rows = self._walked(query, max(AGAIN * k, LEAST), among, left / len(self))
        if rows is None:  # what is let through lies where the walk did not come
            return self._compared(query, k, among)
        cosines = self._vectors[rows] @ query
        order = np.argsort(-cosines, kind="stable")[:k]
        return [(int(rows[at]), float(cosines[at])) for at in order]

    def _compared(self, query: Vectors, k: int, among: Rows | None) -> list[tuple[int, float]]:
        import faiss

        chosen = None if among is None else faiss.SearchParameters(sel=self._selector(among))  # type: ignore[call-arg]
        scores, rows = self._flat.search(query.reshape(1, -1), min(k, len(self)), params=chosen)
        return [(int(row), float(score)) for row, score in zip(rows[0], scores[0], strict=True) if row >= 0]

    def _walked(self, query: Vectors, wanted: int, among: Rows | None, share: float) -> Rows | None:
        """Give rows near to a query that are let through, ascending; None where even a long walk meets fewer than wanted."""
        import faiss

        allowed = None if among is None else self._allowed(among)
        walk: Any = faiss.SearchParametersHNSW()  # type: ignore[attr-defined]
        shortest = max(WALK, WALK * len(self) // WALK_FOR, round(AGAIN * wanted / share))
        for kept in dict.fromkeys((min(shortest, LONGEST_WALK), LONGEST_WALK)):
            walk.efSearch = max(kept, wanted)
            _, found = self._graph.search(
                query.reshape(1, -1), wanted if allowed is None else walk.efSearch, params=walk
            )
            rows: Rows = found[0][found[0] >= 0]
            near = rows if allowed is None else rows[allowed[rows]][:wanted]
            if len(near) == wanted:
                return np.sort(near)
        return None

    def _selector(self, among: Rows) -> Any:  # noqa: ANN401
        """Give what tells FAISS which rows may be found: a bit a row, the quickest to ask."""
        import faiss

        make: Any = faiss.IDSelectorBitmap
        return make(np.packbits(self._allowed(among), bitorder="little"))

    def _allowed(self, among: Rows) -> npt.NDArray[np.bool_]:
        allowed = np.zeros(len(self), dtype=bool)
        allowed[among[among < len(self)]] = True
        return allowed

    @property
    def _vectors(self) -> Vectors:
        """All vectors as they lie in the file, shape (n, d)."""
        import faiss

        vectors: Vectors = faiss.rev_swig_ptr(self._flat.get_xb(), len(self) * self.dimension)
        return vectors.reshape(len(self), self.dimension)


def graph_of(path: Path) -> Path:
    """Give where the graph of an index's file lies, if it has one."""
    return path.with_name(path.name + GRAPH)


def _graph(vectors: Vectors) -> Any:  # noqa: ANN401
    """Make the graph. With more than one core the links are not the same each time, since threads add side by side."""
    import faiss

    faiss.omp_set_num_threads(os.cpu_count() or 1)
    make: Any = faiss.IndexHNSWSQ
    graph = make(vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BUILT_BY
    step = max(1, len(vectors) // ADDED)
    graph.train(np.ascontiguousarray(vectors[::step]))  # the least and the greatest of each component
    for start in range(0, len(vectors), ADDED):
        graph.add(vectors[start : start + ADDED])
    return graph


def _mapped(path: Path) -> Any:  # noqa: ANN401
    import faiss

    # Not IO_FLAG_MMAP, which maps the lists of an IVF index alone and reads everything else.
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def _write(path: Path, index: Any) -> None:  # noqa: ANN401
    import faiss

    # Not by FAISS itself, which names neither the file nor the cause where the disk is full.
    path.write_bytes(faiss.serialize_index(index).data)
