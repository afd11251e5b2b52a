"""Whether a passage answers a question, and in which of its sentences.

A question and a passage are compared token by token: every token of the question looks for its best match among the
tokens of each sentence, in two layers of the encoder that runs anyway. A small trained head turns the matches into a score
for each sentence and into the probability that the passage answers. benchmarks/reader fits it; docs/quality.md says
what it is worth.

Errors: `ReaderError`, where the encoder's folder or the parameters cannot be used.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from index.encoder import Layers, OnnxEncoder
from index.snapshot import SnapshotError
from index.unigram import Unigram

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]

PARAMETERS = "reader.npz"
LONGEST_PASSAGE, LONGEST_CONTEXT, LONGEST_SENTENCE, LONGEST_QUESTION = 384, 48, 64, 64
"""Tokens; what is longer is cut, a question at its start, since what is asked comes last."""
PROMPT = 3
"""Tokens before a question's own: the start mark, and "query:"."""
NEAR, NEAR_SENTENCE = 0.85, 0.82
"""Usual cosines of a question with a passage and with a sentence in its context, which are taken off."""
NOT_READ = -1e4
"""Score of a sentence that was cut off."""
REMEMBERED = 512
"""Passages whose projected tokens are kept, some 60 MB; they take most of the time of a reading."""


class ReaderError(SnapshotError):
    """A reader cannot be opened; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Readable:
    """A passage as it is read.

    :ivar heading_path: The headings above it, outermost first.
    :ivar sentences: (start, end) of each sentence, offsets in `text`.
    """

    title: str
    heading_path: tuple[str, ...]
    text: str
    sentences: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader makes of one passage.

    :ivar answers: How likely it is that the passage answers the question, in [0, 1].
    :ivar sentences: A score for each sentence, in order; they compare across the passages of one question.
    """

    answers: float
    sentences: tuple[float, ...]


class Reader(Protocol):
    """What reads."""

    def read(self, question: str, passages: Sequence[Readable]) -> list[Reading]:
        """Read passages for one question, each for itself; one reading a passage, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text as the encoder sees it.

    :ivar sentence: For each token the number of its sentence; -1 for marks and context.
    """

    ids: tuple[int, ...]
    sentence: tuple[int, ...]


class TokenStates:
    """Gives the vectors of single tokens, where an encoder itself gives one vector a text.

    :param encoder: Of e5, which was opened with these layers.
    :param layers: Which layers' vectors are wanted.
    :param threads: How many texts are encoded at once.
    :raises ReaderError: It is another kind of encoder, or does not give these layers.
    """

    def __init__(self, encoder: OnnxEncoder, layers: Sequence[int], *, threads: int = 2) -> None:
        """Take the encoder."""
        self.card = encoder.card
        if "<s>" not in self.card.marks:
            raise ReaderError(
                f"{encoder.folder} holds the encoder {self.card.name}, and the reader reads with e5 alone"
            )
        if absent := set(layers) - set(encoder.layers):
            raise ReaderError(
                f"{encoder.folder} was opened without layer {min(absent)}: give the reader's to its opening"
            )
        self._layers = tuple(layers)
        self._threads = threads
        self._encoder = encoder
        self._unigram = Unigram(encoder.folder, self.card.marks["<unk>"])

    def question(self, text: str) -> Layers:
        """Encode a question."""
        return self._encoder.question_tokens(self.cut_question(text).ids)

    def passages(self, passages: Sequence[Tokens]) -> list[Layers]:
        """Encode passages that were cut into tokens, in order."""
        if not passages:
            return []
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(lambda tokens: self._encoder.tokens(tokens.ids), passages))

    def cut_question(self, text: str) -> Tokens:
        """Cut a question into tokens."""
        ids = self._unigram.encode(self.card.query_prompt + text, 10 * LONGEST_QUESTION)
        if len(ids) > LONGEST_QUESTION - 2:
            ids = ids[: PROMPT - 1] + ids[-(LONGEST_QUESTION - 1 - PROMPT) :]
        return Tokens(self._marked(ids), (-1,) * (len(ids) + 2))

    def cut_passage(self, passage: Readable) -> Tokens:
        """Cut a passage into tokens, sentence by sentence, so that it is known whose each token is."""
        context = "\n".join((passage.title, *passage.heading_path[-1:], ""))
        ids = self._unigram.encode(self.card.document_prompt + context, LONGEST_CONTEXT)
        sentence = [-1] * len(ids)
        for number, (start, end) in enumerate(passage.sentences):
            own = self._unigram.encode(passage.text[start:end], LONGEST_PASSAGE)
            ids += own
            sentence += [number] * len(own)
        most = LONGEST_PASSAGE - 2
        return Tokens(self._marked(ids[:most]), (-1, *sentence[:most], -1))

    def _marked(self, ids: Sequence[int]) -> tuple[int, ...]:
        return (self.card.marks["<s>"], *ids, self.card.marks["</s>"])


@dataclass(frozen=True, slots=True)
class ProjectedQuestion:
    """A question, projected: its own tokens only, without marks and prompt.

    :ivar tokens: For each layer (tokens, d) unit rows.
    :ivar weights: How much each token matters; they sum to 1.
    :ivar mean: Unit vector of the question, projected.
    :ivar vector: Unit vector of the question, as the encoder itself gives it.
    :ivar kind: What kind of answer is asked for.
    :ivar small: A few numbers about each token.
    """

    tokens: tuple[Floats, ...]
    weights: Floats
    mean: Floats
    vector: Floats
    kind: Floats
    small: Floats


@dataclass(frozen=True, slots=True)
class ProjectedPassage:
    """A passage, projected, in half precision: some 0.1 MB.

    :ivar tokens: For each layer (tokens, d) unit rows, those of one sentence after another.
    :ivar vector: Unit vector of the passage, as the encoder itself gives it.
    :ivar sentences: For each sentence the unit vector of its tokens, as the encoder itself gives them.
    :ivar means: The same, projected.
    :ivar kind: For each token what kind of answer it could be.
    :ivar starts: Where each sentence starts among the tokens.
    :ivar numbers: The numbers of those sentences; one that was cut off is not there.
    :ivar count: How many sentences the passage has.
    """

    tokens: tuple[Halves, ...]
    vector: Floats
    sentences: Floats
    means: Floats
    kind: Halves
    starts: NDArray[np.int64]
    numbers: NDArray[np.int64]
    count: int


class Head:
    """The trained part: what the matches of tokens say.

    :param arrays: The parameters by name, as benchmarks/reader/model.py names them, and `layers`.
    """

    def __init__(self, arrays: Mapping[str, Floats]) -> None:
        """Take the parameters."""
        self.arrays = self._of = arrays
        self.layers: tuple[int, ...] = tuple(int(layer) for layer in arrays["layers"])

    @classmethod
    def open(cls, path: Path) -> "Head":
        """Load the parameters.

        :raises ReaderError: The file is missing or damaged.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return cls({name: file[name].astype(np.float32) for name in file.files})
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise ReaderError(f"{path} cannot be read ({error}): install citedesk again") from error

    def question(self, states: Layers) -> ProjectedQuestion:
        """Project the token vectors of a question."""
        own = [states[layer][PROMPT:-1] for layer in self.layers]
        last = own[-1]
        weights = np.logaddexp(0.0, self._linear("imp", last)[:, 0])
        projected = [self._linear(f"q.{number}", vectors) for number, vectors in enumerate(own)]
        return ProjectedQuestion(
            tuple(_unit(vectors) for vectors in projected),
            weights / (weights.sum() + 1e-6),
            _unit(projected[-1].mean(axis=0)),
            _unit(states[self.layers[-1]].mean(axis=0)),
            self._linear("t", last.mean(axis=0)) / 8.0,
            self._linear("small", last),
        )

    def passage(self, states: Layers, sentence: Sequence[int], sentences: int) -> ProjectedPassage:
        """Project the token vectors of a passage.

        :param sentence: For each token the number of its sentence.
        :param sentences: How many there are; the last ones have no token where the passage was cut.
        """
        marks = np.array(sentence)
        groups = [np.flatnonzero(marks == number)[:LONGEST_SENTENCE] for number in range(sentences)]
        numbers = np.flatnonzero([len(group) for group in groups])
        order = np.concatenate([np.empty(0, np.int64), *groups])
        starts = np.cumsum([0, *(len(groups[number]) for number in numbers)])[:-1]
        last = states[self.layers[-1]]
        projected = [self._linear(f"p.{number}", states[layer][order]) for number, layer in enumerate(self.layers)]
        return ProjectedPassage(
            tuple(_unit(vectors).astype(np.float16) for vectors in projected),
            _unit(last.mean(axis=0)),
            _means(last[order], starts),
            _means(projected[-1], starts),
            self._linear("u", last[order]).astype(np.float16),
            starts,
            numbers,
            sentences,
        )

    def reading(self, asked: ProjectedQuestion, passage: ProjectedPassage) -> Reading:
        """Judge one passage, of one sentence at least."""
        every = np.full(passage.count, NOT_READ)
        if not len(passage.numbers) or not len(asked.weights):
            return Reading(0.0, tuple(every.tolist()))
        best = [
            np.maximum.reduceat(own @ tokens.astype(np.float32).T, passage.starts, axis=1)
            for own, tokens in zip(asked.tokens, passage.tokens, strict=True)
        ]
        kind = np.maximum.reduceat(passage.kind.astype(np.float32) @ asked.kind, passage.starts)
        alike = passage.means @ asked.mean
        covers = [asked.weights @ matches for matches in best]
        scale = self._of["scale"]
        scores = sum(factor * cover for factor, cover in zip(scale, covers, strict=False))
        near = float(asked.vector @ passage.vector) - NEAR
        scores = scores + scale[-3] * alike + scale[-2] * kind + scale[-1] * near
        nearest = float((passage.sentences @ asked.vector).max()) - NEAR_SENTENCE
        logit = self._logit(asked, best, covers, [10 * near, 10 * nearest], alike, kind, scores)
        if not np.isfinite(logit):
            raise ReaderError(f"the reading of a passage is no number ({logit}): install citedesk again")
        every[passage.numbers] = scores
        return Reading(float(1.0 / (1.0 + np.exp(-logit))), tuple(every.tolist()))

    def _logit(
        self,
        asked: ProjectedQuestion,
        best: list[Floats],
        covers: list[Floats],
        raw: list[float],
        alike: Floats,
        kind: Floats,
        scores: Floats,
    ) -> float:
        share = np.exp(scores - scores.max())
        share /= share.sum()
        by_token, measures = [asked.small, 5 * asked.weights[:, None]], []
        for matches, cover in zip(best, covers, strict=True):
            page, led = matches.max(axis=1), matches @ share
            by_token.append(np.stack([page, led, page - led], axis=1))
            measures += [asked.weights @ page, asked.weights @ led, cover.max(), page.min()]
        top = scores.max()
        measures += [*raw, alike.max(), 0.2 * kind.max(), 0.2 * (share @ kind), share.max()]
        measures += [0.1 * top - 0.5, 0.3 * (top - scores.mean())]
        hidden = _gelu(self._linear("phi.2", _gelu(self._linear("phi.0", np.concatenate(by_token, axis=1)))))
        given = np.array(measures, np.float32)
        pooled = np.concatenate([asked.weights @ hidden, hidden.max(axis=0), given])
        deep = self._linear("out.3", _gelu(self._linear("out.0", pooled)))
        return float((deep + self._linear("lin", given))[0])

    def _linear(self, name: str, given: Floats) -> Floats:
        made: Floats = given @ self._of[f"{name}.weight"].T + self._of[f"{name}.bias"]
        return made


class LateInteractionReader:
    """Reads by the best match of each of the question's tokens.

    :param encoder: The one that made the snapshot's vectors.
    :param parameters: What `python -m benchmarks.reader` wrote.
    :param threads: How many passages are encoded at once.
    :param ahead: Gives passages that were read ahead; None for others.
    :raises ReaderError: The parameters are missing or damaged, or the encoder is not the one they are for.
    """

    def __init__(
        self,
        encoder: OnnxEncoder,
        parameters: Path | None = None,
        *,
        threads: int = 2,
        ahead: Callable[[Readable], ProjectedPassage | None] | None = None,
    ) -> None:
        """Load the parameters."""
        self._head = Head.open(parameters or Path(__file__).with_name(PARAMETERS))
        self._states = TokenStates(encoder, self._head.layers, threads=threads)
        self._ahead = ahead
        self._remembered: OrderedDict[Readable, ProjectedPassage] = OrderedDict()
        self._lock = Lock()  # of what is remembered: a server reads for several askers at once

    def read(self, question: str, passages: Sequence[Readable]) -> list[Reading]:
        """Read passages for one question, each for itself; one reading a passage, in order."""
        projected = self._projected(passages)
        # Matrix products of few rows now and then raise the flag for an invalid number out of lanes that they do not use.
        with np.errstate(invalid="ignore"):
            asked = self._head.question(self._states.question(question))
            return [self._head.reading(asked, passage) for passage in projected]

    def _projected(self, passages: Sequence[Readable]) -> list[ProjectedPassage]:
        there = {passage: found for passage in set(passages) if self._ahead and (found := self._ahead(passage))}
        rest = [passage for passage in passages if passage not in there]
        made = self._made(rest) if rest else {}
        return [there.get(passage) or made[passage] for passage in passages]

    def _made(self, passages: Sequence[Readable]) -> dict[Readable, ProjectedPassage]:
        with self._lock:
            known = {passage: self._remembered[passage] for passage in set(passages) if passage in self._remembered}
        new = list(dict.fromkeys(passage for passage in passages if passage not in known))
        cut = [self._states.cut_passage(passage) for passage in new]
        for passage, tokens, states in zip(new, cut, self._states.passages(cut), strict=True):
            known[passage] = self._head.passage(states, tokens.sentence, len(passage.sentences))
        with self._lock:
            for passage, projected in known.items():
                self._remembered[passage] = projected
                self._remembered.move_to_end(passage)
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return known


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    made: Floats = rows / np.maximum(length, 1e-12)
    return made


def _means(vectors: Floats, starts: NDArray[np.int64]) -> Floats:
    """Give the unit vector of each run of rows."""
    return _unit(np.add.reduceat(vectors, starts, axis=0)) if len(starts) else vectors


def _gelu(given: Floats) -> Floats:
    """Compute x·Φ(x), with Abramowitz and Stegun's formula 7.1.26 for erf (error below 2e-7)."""
    size = np.abs(given) / np.sqrt(2.0)
    t = 1.0 / (1.0 + 0.3275911 * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.sign(given) * (1.0 - series * np.exp(-size * size))
    made: Floats = (0.5 * given * (1.0 + erf)).astype(np.float32)
    return made
