"""What the reader makes of a snapshot's passages, made when the snapshot is built instead of when somebody asks.

A passage's token vectors take the encoder as long as all the rest of an answer, and six passages are read for a question.
They are kept as the reader has them, in half precision, so that it reads the same with them and without: some 55 KB a
passage, and as much time to build as the passage's own vector. So this is for corpora of up to `settings.READ_AHEAD`
passages; in larger ones a passage is encoded when it is first read. A byte a component takes 35 KB, and one of the 275 starter
questions then gets another answer; 2026-11.
"""

import hashlib
import logging
from contextlib import ExitStack
from functools import cache
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from index.encoder import Card, OnnxEncoder
from index.snapshot import Snapshot
from service.reader import PARAMETERS, Head, LateInteractionReader, ProjectedPassage, Readable, Reader, TokenStates
from service.settings import READ_AHEAD

if TYPE_CHECKING:
    from index.build import Addition
    from index.passages import PassageList, Progress

FOLDER, MADE_BY = "reader", "made_by.txt"
STAGE = "read ahead"
# The encoder whose layers the reader was fitted on.
READS_WITH = "e5"
BATCH = 64

_log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
# The files' names. What there are several of in a passage stands in its file one passage after another; where those of the
# i-th passage start is number i of the bounds.
KEYS, COUNTS, VECTORS, TOKEN_BOUNDS, SENTENCE_BOUNDS = "keys", "counts", "vectors", "token-bounds", "sentence-bounds"
TOKENS, KINDS = "tokens", "kinds"  # tokens: (tokens, layers, d)
SENTENCES, MEANS, STARTS, NUMBERS = "sentences", "means", "starts", "numbers"
# How each is written.
TYPES = {
    KEYS: "<u8", COUNTS: "<i4", VECTORS: "<f4", TOKEN_BOUNDS: "<i8", SENTENCE_BOUNDS: "<i8",
    TOKENS: "<f2", KINDS: "<f2", SENTENCES: "<f4", MEANS: "<f4", STARTS: "<i8", NUMBERS: "<i8",
}  # fmt: skip


class ReadAhead:
    """What was written, mapped; a passage's arrays are views of the files.

    :param arrays: By the names of their files.
    :raises ValueError: They do not fit together.
    :raises KeyError: One is missing.
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        """Take the arrays."""
        self._of = arrays
        of_tokens = (arrays[TOKENS], arrays[KINDS])
        of_sentences = (arrays[SENTENCES], arrays[MEANS], arrays[STARTS], arrays[NUMBERS])
        passages = len(arrays[KEYS])
        fits = (
            passages == len(arrays[COUNTS]) == len(arrays[VECTORS])
            and passages + 1 == len(arrays[TOKEN_BOUNDS]) == len(arrays[SENTENCE_BOUNDS])
            and {len(one) for one in of_tokens} == {int(arrays[TOKEN_BOUNDS][-1])}
            and {len(one) for one in of_sentences} == {int(arrays[SENTENCE_BOUNDS][-1])}
        )
        if not fits:
            raise ValueError("the files are not of the same passages")
        self._rows = dict(zip(arrays[KEYS].tolist(), range(passages), strict=True))

    def __len__(self) -> int:
        """Count the passages."""
        return len(self._rows)

    @classmethod
    def open(cls, snapshot: Path) -> Self | None:
        """Open that of a snapshot's folder without reading it.

        :return: None where there is none, or another reader's, or it is damaged; the last is logged. The passages are then
            encoded as they are read.
        """
        folder = snapshot / FOLDER
        if not folder.is_dir():
            return None
        try:
            if (folder / MADE_BY).read_text(encoding="ascii") != fingerprint():
                return None
            # As plain arrays: those of numpy's class for mapped files are slower to cut.
            arrays = {
                path.stem: np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)) for path in folder.glob("*.npy")
            }
            return cls(arrays)
        except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
            _log.warning("%s: damaged (%s), so each question takes longer; run `citedesk build`", folder, error)
            return None

    def of(self, passage: Readable) -> ProjectedPassage | None:
        """Give a passage as the reader wants it; None for one that was not there."""
        row = self._rows.get(_key(passage))
        if row is None:
            return None
        of = self._of
        tokens, sentences = slice(*of[TOKEN_BOUNDS][row : row + 2]), slice(*of[SENTENCE_BOUNDS][row : row + 2])
        return ProjectedPassage(
            tuple(of[TOKENS][tokens, layer] for layer in range(of[TOKENS].shape[1])),
            of[VECTORS][row],
            of[SENTENCES][sentences],
            of[MEANS][sentences],
            of[KINDS][tokens],
            of[STARTS][sentences],
            of[NUMBERS][sentences],
            int(of[COUNTS][row]),
        )


def open_reader(snapshot: Snapshot) -> Reader | None:
    """Open the reader that fits a snapshot's encoder; None where there is none for it."""
    if snapshot.encoder.card.name != READS_WITH:
        return None
    ahead = ReadAhead.open(snapshot.folder)
    return LateInteractionReader(snapshot.encoder, ahead=ahead.of if ahead else None)


@cache
def fingerprint() -> str:
    """Name what decides what is written, besides the passages and the encoder: the reader's parameters and code.

    It changes with a comment as well, and then passages are read ahead anew, where they need not be, but never wrongly.
    """
    here = Path(__file__)
    digest = hashlib.sha256()
    for name in (PARAMETERS, "reader.py", here.name):
        digest.update(here.with_name(name).read_bytes())
    return digest.hexdigest()


def addition(encoder_folder: Path, most: int = READ_AHEAD) -> "Addition | None":
    """Give what adds this to a snapshot that is built with an encoder; None where there is no reader for it.

    :param most: Of a snapshot with more passages nothing is read ahead.
    """
    from index.build import Addition  # not needed to answer

    if Card.read(encoder_folder).name != READS_WITH:
        return None

    def write(work: Path, listed: "PassageList", before: Path | None, progress: "Progress") -> None:
        total = listed.count()
        if total > most:
            return
        head = Head.open(Path(__file__).with_name(PARAMETERS))
        earlier = ReadAhead.open(before) if before else None

        @cache
        def states() -> TokenStates:
            # Copied from where it was verified; not opened where no passage is new.
            return TokenStates(OnnxEncoder(work / "encoder", verify=False), head.layers)

        def projected(batch: list[Readable]) -> dict[int, ProjectedPassage]:
            known = {_key(one): there for one in batch if earlier and (there := earlier.of(one))}
            if new := [one for one in batch if _key(one) not in known]:
                cut = [states().cut_passage(one) for one in new]
                for one, tokens, found in zip(new, cut, states().passages(cut), strict=True):
                    known[_key(one)] = head.passage(found, tokens.sentence, len(one.sentences))
            return known

        readables = (Readable(*given) for given in listed.readings())
        done = 0
        with _Writer(work / FOLDER) as writer:
            while batch := list(islice(readables, BATCH)):
                writer.add(projected(batch))
                done += len(batch)
                progress(STAGE, done, total)

    return Addition(f"read ahead {most} {fingerprint()}", write)


class _Writer:
    """Writes passages one after another, so that they need never be in memory together; the same text twice once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _Growing] = {}
        self._stack = ExitStack()
        self._written: set[int] = set()
        self._bounds = {TOKEN_BOUNDS: 0, SENTENCE_BOUNDS: 0}

    def __enter__(self) -> Self:
        self._folder.mkdir()
        for name, kind in TYPES.items():
            self._files[name] = self._stack.enter_context(_Growing(self._folder / f"{name}.npy", kind))
        self._bound(0, 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if not error:
            (self._folder / MADE_BY).write_text(fingerprint(), encoding="ascii")

    def add(self, passages: dict[int, ProjectedPassage]) -> None:
        """Write passages by their keys."""
        for key, one in passages.items():
            if key in self._written:
                continue
            self._written.add(key)
            self._put(KEYS, np.array([key], np.uint64))
            self._put(COUNTS, np.array([one.count]))
            self._put(VECTORS, one.vector[None])
            self._bound(len(one.kind), len(one.starts))
            self._put(SENTENCES, one.sentences)
            self._put(MEANS, one.means)
            self._put(STARTS, one.starts)
            self._put(NUMBERS, one.numbers)
            self._put(KINDS, one.kind)
            self._put(TOKENS, np.stack(one.tokens, axis=1))

    def _bound(self, tokens: int, sentences: int) -> None:
        for name, more in ((TOKEN_BOUNDS, tokens), (SENTENCE_BOUNDS, sentences)):
            self._bounds[name] += more
            self._put(name, np.array([self._bounds[name]]))

    def _put(self, name: str, rows: Array) -> None:
        self._files[name].add(rows)


class _Growing:
    """A numpy file that rows are added to. Its header, which numpy makes as long for any number of rows, is written last."""

    def __init__(self, path: Path, kind: str) -> None:
        self._kind = kind
        self._shape: tuple[int, ...] = ()
        self._file = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            self._file.seek(0)
            self._header()

    def add(self, rows: Array) -> None:
        if not self._shape:
            self._shape = (0, *rows.shape[1:])
            self._header()
        self._file.write(np.ascontiguousarray(rows, self._kind).tobytes())
        self._shape = (self._shape[0] + len(rows), *self._shape[1:])

    def _header(self) -> None:
        about = {"descr": self._kind, "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._file, about)


def _key(passage: Readable) -> int:
    text = "\0".join((passage.title, *passage.heading_path[-1:], "", passage.text, repr(passage.sentences)))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")
