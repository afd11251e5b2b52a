"""The token vectors of all questions and passages, computed once and kept in a folder of memory-mapped files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.reader.data import Asked
from index.encoder import Layers
from service.reader import Tokens, TokenStates

WIDTH = 384


@dataclass(frozen=True, slots=True)
class Texts:
    """Token vectors of many texts, in one array a layer.

    :ivar starts: Row i of the vectors is of text t where starts[t] <= i < starts[t + 1].
    :ivar sentence: For each row the number of its sentence; -1 for marks and context.
    """

    starts: NDArray[np.int64]
    sentence: NDArray[np.int64]
    vectors: dict[int, NDArray[np.float16]]

    def of(self, text: int, layer: int) -> NDArray[np.float16]:
        """Give the vectors of a text's tokens."""
        return self.vectors[layer][self.starts[text] : self.starts[text + 1]]


@dataclass(frozen=True, slots=True)
class States:
    """Everything that was encoded.

    :ivar first: For each question the number of its page's first passage.
    """

    questions: Texts
    passages: Texts
    first: tuple[int, ...]


def encode(asked: Sequence[Asked], reader: TokenStates, layers: Sequence[int], work: Path) -> States:
    """Encode the questions and the passages of their pages; what an earlier run left in the folder is used.

    :param work: A folder for some gigabytes; give another one for other data or another encoder.
    """
    work.mkdir(parents=True, exist_ok=True)
    pages = list({id(one.page): one.page for one in asked}.values())
    numbers = dict(
        zip((id(page) for page in pages), np.cumsum([0, *(len(page.passages) for page in pages)]), strict=False)
    )
    questions = [reader.cut_question(one.text) for one in asked]
    passages = [reader.cut_passage(passage) for page in pages for passage in page.passages]
    return States(
        _encoded("questions", questions, reader, layers, work),
        _encoded("passages", passages, reader, layers, work),
        tuple(int(numbers[id(one.page)]) for one in asked),
    )


def _encoded(name: str, texts: Sequence[Tokens], reader: TokenStates, layers: Sequence[int], work: Path) -> Texts:
    starts = np.cumsum([0, *(len(tokens.ids) for tokens in texts)])
    sentence = np.concatenate([np.array(tokens.sentence) for tokens in texts])
    paths = {layer: work / f"{name}.{layer}.npy" for layer in layers}
    if not all(path.exists() for path in paths.values()):
        shape = (int(starts[-1]), WIDTH)
        parts = {
            layer: np.lib.format.open_memmap(path.with_suffix(".part"), "w+", np.dtype(np.float16), shape)
            for layer, path in paths.items()
        }
        for number, tokens in enumerate(texts):
            found: Layers = reader.passages([tokens])[0]
            for layer, part in parts.items():
                part[starts[number] : starts[number + 1]] = found[layer]
        for layer, path in paths.items():
            parts[layer].flush()
            path.with_suffix(".part").rename(path)
    return Texts(starts, sentence, {layer: np.load(path, mmap_mode="r") for layer, path in paths.items()})
