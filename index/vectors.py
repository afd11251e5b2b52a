"""The cache of vectors, by encoder and text, so that a rebuild encodes only what changed."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from index.dense import Vectors
from index.encoder import Encoder
from index.snapshot import SnapshotError

# What a new file's rows are laid out in: ten vectors of 384 dimensions fill a page; of SQLite's own 4096 bytes two
# leave a quarter of it empty.
PAGE_BYTES = 16_384

Encoded = Callable[[Iterable[tuple[str, ...]]], Iterator[tuple[tuple[str, ...], Vectors]]]
"""What encodes batches elsewhere: gives each batch with its vectors, in any order."""


class VectorCache:
    """Vectors by (encoder fingerprint, sha256 of the text).

    Every call of `encode` is one transaction: what a killed build loses is the batch that it was at.

    :ivar encoded: How many texts were encoded, because they were not there.
    :raises SnapshotError: The file is no cache, or damaged.
    """

    def __init__(self, path: Path, encoder: Encoder) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.encoder = encoder
        self.encoded = 0
        self._path = path
        self._db = sqlite3.connect(path)
        with self._damage_named():
            self._db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS vectors (encoder TEXT, text BLOB, vector BLOB, PRIMARY KEY (encoder, text)) "
                "STRICT"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Give documents' vectors, (n, dimension) float32, from the cache where they are there.

        :param texts: A batch, some hundreds at most.
        """
        keys = [_key(text) for text in texts]
        with self._damage_named():
            known = self._known(keys)
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            if missing:
                known.update(zip(missing, self.encoder.encode_document(list(missing.values())), strict=True))
                self._put({key: known[key] for key in missing})
        vectors: Vectors = np.stack([known[key] for key in keys])
        return vectors

    def fill(self, texts: Iterable[str], encoded: Encoded, size: int) -> Iterator[int]:
        """Put in the vectors of texts that are not there, encoded elsewhere; yield how many more texts have theirs.

        :param encoded: Called with batches of texts, gives them with their vectors, in any order.
        :param size: Texts of a batch; no more of the texts are held than are asked for.
        """
        there = 0
        asked: dict[bytes, int] = {}  # how often each text on its way was met

        def missing() -> Iterator[str]:
            nonlocal there
            rest = iter(texts)
            while batch := list(islice(rest, size)):
                keyed = [(_key(text), text) for text in batch]
                known = self._known([key for key, _ in keyed])
                for key, text in keyed:
                    if key in known:
                        there += 1
                        continue
                    asked[key] = asked.get(key, 0) + 1
                    if asked[key] == 1:
                        yield text

        def batches() -> Iterator[tuple[str, ...]]:
            rest = missing()
            while batch := tuple(islice(rest, size)):
                yield batch

        with self._damage_named():
            for batch, vectors in encoded(batches()):
                found = dict(zip(map(_key, batch), vectors, strict=True))
                self._put(found)
                arrived, there = there + sum(asked.pop(key) for key in found), 0
                yield arrived
        yield there

    def _put(self, vectors: Mapping[bytes, Vectors]) -> None:
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                [(self.encoder.fingerprint, key, vector.tobytes()) for key, vector in vectors.items()],
            )
        self.encoded += len(vectors)

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        rows = self._db.execute(
            f"SELECT text, vector FROM vectors WHERE encoder = ? AND text IN ({','.join('?' * len(keys))})",
            (self.encoder.fingerprint, *keys),
        )
        return {key: np.frombuffer(vector, dtype=np.float32) for key, vector in rows}

    def __len__(self) -> int:
        """Count the vectors, those of other encoders too."""
        return int(self._db.execute("SELECT count(*) FROM vectors").fetchone()[0])

    def keep_only(self, texts: Iterable[str]) -> None:
        """Drop the vectors of all other texts and of other encoders; their space is used for new ones."""
        with self._db:
            self._db.execute("CREATE TEMP TABLE used (text BLOB PRIMARY KEY) STRICT, WITHOUT ROWID")
            self._db.executemany("INSERT OR IGNORE INTO used VALUES (?)", ((_key(text),) for text in texts))
            self._db.execute(
                "DELETE FROM vectors WHERE encoder != ? OR text NOT IN (SELECT text FROM used)",
                (self.encoder.fingerprint,),
            )
            self._db.execute("DROP TABLE used")

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Say what to do with a file that is none of SQLite's or damaged; what passes, a full disk, is the caller's."""
        try:
            yield
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise SnapshotError(
                f"{self._path}: no cache of vectors ({error}); delete it and run `citedesk build` again"
            ) from error


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
