"""How near a corpus comes to a question that it does not answer: what nearness has to exceed to mean anything here.

The more passages there are and the more alike they are, the nearer the nearest of them is to any question. The corpus's own
headings, titles and FAQ questions tell how near, without anybody's labels: each is asked with its own article left out. In
five corpora the means so found were at most 0.7 off those of real questions whose article was left out, and these means
were from 2.0 to 4.1; 2026-11.
"""

import hashlib
import heapq
import json
import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from index.dense import DenseIndex, Rows, Vectors
from index.encoder import Encoder
from index.second import SecondEncoder, SecondOpinion
from index.spread import Spread
from ingest.exchanges import Directory

FILE = "calibration.json"
# To be raised with any change of what is measured: an unchanged corpus is then built again.
VERSION = 1
# Questions that are asked; a mean is then known to 0.1, and the build of any of these corpora takes 1 to 2 seconds longer.
MOST = 120
# Passages whose sentences are looked at, by either encoder.
DEPTH = 20
# What is foretold from the number of passages alone weighs as so many questions.
FORETOLD = 10
# Of an exchange with a passage or two normal deviates would foretell next to nothing, but even a passage that does not answer is about
# trading: the starter questions come this near, in the mean, within an exchange whose answering article is left out.
LEAST = 2.0
# The share of a query's lean to a language that is taken back, as service/evidence.py takes it back.
LEAN_WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The mean nearness of what is nearest to a question that is not answered.

    In standard deviations of the question's cosines with the corpus, the mean of both encoders, as `service.evidence` counts.

    :ivar anywhere: Among all passages.
    :ivar within: Among the passages of one exchange.
    :ivar asked: How many questions ``anywhere`` was measured with; ``asked_within`` likewise.
    """

    anywhere: float
    within: float
    asked: int = 0
    asked_within: int = 0

    def usual(self, *, bound: bool) -> float:
        """Give the one that a question is to be compared with.

        :param bound: The question is bound to an exchange.
        """
        return self.within if bound else self.anywhere

    @classmethod
    def foretold(cls, passages: int, exchanges: int) -> "Calibration":
        """Give what is to be expected of so many passages if cosines were spread as normal deviates are: √(2 ln n), but `LEAST`."""
        return cls(max(_highest_of(passages), LEAST), max(_highest_of(passages / max(exchanges, 1)), LEAST))

    def write(self, folder: Path) -> None:
        """Write it into a snapshot."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1), encoding="ascii")

    @classmethod
    def open(cls, folder: Path) -> "Calibration | None":
        """Open what was written; None where a snapshot was built before this was measured."""
        path = folder / FILE
        return cls(**json.loads(path.read_text(encoding="ascii"))) if path.exists() else None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question in the corpus's own words, and the article that it is about."""

    text: str
    article: str


def measure(folder: Path, encoder: Encoder, directory: Directory) -> Calibration:
    """Ask a snapshot's folder its own headings, titles and FAQ questions.

    :param folder: Has all files of a snapshot but this one's and the manifest.
    :param encoder: The one that made its vectors.
    """
    with closing(sqlite3.connect(folder / "passages.sqlite")) as db:
        corpus = _Corpus(db, folder, encoder)
        found = [corpus.nearest(asked) for asked in _questions(db, directory)]
    anywhere = [near for near, _ in found if near is not None]
    within = [near for _, near in found if near is not None]
    foretold = Calibration.foretold(corpus.passages, corpus.exchanges)
    return Calibration(
        _shrunk(anywhere, foretold.anywhere), _shrunk(within, foretold.within), len(anywhere), len(within)
    )


def _questions(db: sqlite3.Connection, directory: Directory) -> list[_Asked]:
    """Choose texts that one article alone has: always the same of a corpus, in an order that has nothing to do with them.

    The names of exchanges are left out of what is searched, so texts that name one are left out here.
    """
    texts = db.execute(
        "SELECT text, min(article) FROM ("
        " SELECT title AS text, id AS article FROM articles"
        " UNION ALL SELECT json_extract(heading_path, '$[#-1]'), article_id FROM passages"
        " UNION ALL SELECT question, article_id FROM passages"
        ") WHERE text LIKE '_% _%' GROUP BY text HAVING count(DISTINCT article) = 1"
    )
    drawn = heapq.nsmallest(4 * MOST, texts, key=lambda row: hashlib.sha256(row[0].encode()).digest())
    return [_Asked(text, article) for text, article in drawn if not directory.mentioned(text, fuzzy=True)][:MOST]


class _Corpus:
    """The vectors of a snapshot's folder, and whose they are.

    :ivar passages: How many there are; ``exchanges`` how many exchanges they are about.
    """

    def __init__(self, db: sqlite3.Connection, folder: Path, encoder: Encoder) -> None:
        rows = db.execute("SELECT id, exchange, language FROM articles").fetchall()
        self._about = {id_: (number, exchange, language) for number, (id_, exchange, language) in enumerate(rows)}
        owners = db.execute("SELECT article_id FROM passages ORDER BY row")
        self._articles: Rows = np.fromiter((self._about[id_][0] for (id_,) in owners), dtype=np.int64)
        self._languages = [language for _, _, language in rows]
        self._exchanges = np.array([exchange for _, exchange, _ in rows])[self._articles]
        sentences = db.execute("SELECT passage FROM sentences ORDER BY row")
        self._passages: Rows = np.fromiter((row for (row,) in sentences), dtype=np.int64)
        self._encoder, self._spread = encoder, Spread.open(folder)
        self._dense, self._second = DenseIndex.open(folder / "vectors.faiss"), SecondEncoder.open(folder)
        self._vectors = np.load(folder / "sentences.npy", mmap_mode="r", allow_pickle=False)
        self.passages = len(self._articles)
        self.exchanges = len({exchange for _, exchange, _ in rows if exchange})

    def nearest(self, asked: _Asked) -> tuple[float | None, float | None]:
        """Say how near the nearest passage of another article is: of any, and of one about the same exchange."""
        number, exchange, language = self._about[asked.article]
        query = self._encoder.encode_query([asked.text])[0]
        known = self._second is not None and language in self._second.languages
        opinion = self._second.asked(asked.text) if self._second and known else None
        within = np.flatnonzero(self._exchanges == exchange) if exchange else np.empty(0, dtype=np.int64)
        return self._nearness(number, query, opinion, None), self._nearness(number, query, opinion, within)

    def _nearness(
        self, article: int, query: Vectors, opinion: SecondOpinion | None, among: Rows | None
    ) -> float | None:
        deep = DEPTH + int((self._articles == article).sum())
        rows = [row for row, _ in self._dense.search(query, deep, among)]
        rows += opinion.search(deep, among) if opinion else []
        others = [row for row in set(rows) if self._articles[row] != article]
        return max((self._of_passage(row, query, opinion) for row in others), default=None)

    def _of_passage(self, row: int, query: Vectors, opinion: SecondOpinion | None) -> float:
        """Give the nearness of a passage or of its best sentence, as `service.evidence` does."""
        sentences = np.arange(*np.searchsorted(self._passages, [row, row + 1]))
        cosines = np.append(self._vectors[sentences].astype(np.float32) @ query, self._dense.vector(row) @ query)
        lean = self._spread.lean(query).get(self._languages[self._articles[row]], 0.0)
        expected = self._spread.expected(query) + LEAN_WEIGHT * lean
        near = (float(cosines.max()) - expected) / self._spread.deviation(query)
        if opinion is None:
            return near
        second = np.append(opinion.sentence_nearness(sentences.tolist()), opinion.nearness([row]))
        return near if np.isnan(second).all() else (near + float(np.nanmax(second))) / 2


def _shrunk(measured: Sequence[float], foretold: float) -> float:
    return round((sum(measured) + FORETOLD * foretold) / (len(measured) + FORETOLD), 3)


def _highest_of(count: float) -> float:
    return math.sqrt(2 * math.log(max(count, 1.0)))
