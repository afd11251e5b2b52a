"""Nearest neighbours among vectors, exactly, by FAISS."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class DenseIndex:
    """Passage vectors in a flat FAISS index: exact, and the fastest there is for a help centre's size."""

    def __init__(self, index: Any) -> None:  # noqa: ANN401  (FAISS has no types)
        self._index = index

    @classmethod
    def build(cls, vectors: Vectors) -> "DenseIndex":
        """Index unit rows of shape (n, d); row numbers are the ids."""
        import faiss

        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return cls(index)

    @classmethod
    def open(cls, path: Path) -> "DenseIndex":
        """Open a written index without reading it: pages are mapped as they are needed."""
        import faiss

        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY))

    @classmethod
    def write_rows(cls, path: Path, batches: Iterable[Vectors], dimension: int) -> None:
        """Write an index of unit rows batch by batch, so that they need never be in memory together.

        The file is what `build` and `write` would make: FAISS's header of a flat index and then the rows. In the header
        of an empty one only the number of rows (its bytes 8 to 16) and of their components (its last 8) are to be set.

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

    def write(self, path: Path) -> None:
        """Write the index to a file."""
        import faiss

        # Not by FAISS itself, which names neither the file nor the cause where the disk is full.
        path.write_bytes(faiss.serialize_index(self._index).data)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return int(self._index.d)

    def vector(self, row: int) -> Vectors:
        """Give the vector of a row, shape (d,)."""
        vector: Vectors = self._index.reconstruct(row)
        return vector

    def search(self, query: Vectors, k: int, among: Rows | None = None) -> list[tuple[int, float]]:
        """Give up to ``k`` (row, cosine) pairs, best first.

        :param query: One unit vector of shape (d,).
        :param among: The only rows that may be found; None for all.
        """
        if k <= 0 or not len(self) or (among is not None and not len(among)):
            return []
        import faiss

        parameters = None
        if among is not None:
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(among))  # type: ignore[call-arg]
        scores, rows = self._index.search(query.reshape(1, -1), min(k, len(self)), params=parameters)
        return [(int(row), float(score)) for row, score in zip(rows[0], scores[0], strict=True) if row >= 0]
