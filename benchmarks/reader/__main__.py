"""Fit a reader, and judge it: `python -m benchmarks.reader --data DIR --encoder FOLDER --work FOLDER --out reader.npz`.

Prints a table of the `report` halves, the page known, beside what needs no training: similarity, words, token matches
before fitting. Two further rows tell reading from guessing by the question's wording. `wording` is a bag of words that
never sees the page. `bared` are the answered questions alone, against themselves with the answering sentences taken out
of the page: who only looks at the question has .50 there.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.reader.data import Asked, load
from benchmarks.reader.evaluate import Measures, by_kind, measure, table
from benchmarks.reader.model import LateInteraction, whiten
from benchmarks.reader.states import States, Texts, encode
from benchmarks.reader.train import Settings, fit
from index.encoder import OnnxEncoder
from index.lexical import terms
from service.reader import Floats, Head, ProjectedPassage, Reading, TokenStates

Readings = list[list[Reading]]
Judge = Callable[[int, frozenset[tuple[int, int]]], list[Reading]]
"""Reads a question's page, by its number, less some of the page's sentences."""


def main() -> None:
    """Fit, write and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the development data")
    parser.add_argument("--encoder", type=Path, required=True, help="the encoder's folder in a snapshot")
    parser.add_argument("--work", type=Path, required=True, help="folder for some 3 GB of token vectors, kept")
    parser.add_argument("--out", type=Path, help="where to write the parameters")
    parser.add_argument("--parameters", type=Path, help="judge these instead of fitting")
    parser.add_argument("--minutes", type=float, default=30.0, help="of processor time to fit in at most")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    asked = load(given.data)
    settings = Settings(minutes=given.minutes, seed=given.seed)
    states = encode(
        asked,
        TokenStates(OnnxEncoder(given.encoder, layers=settings.layers), settings.layers),
        settings.layers,
        given.work,
    )
    if given.parameters:
        head = Head.open(given.parameters)
    else:
        head = head_of(fit(asked, states, settings, lambda line: print(line, flush=True)), settings)
    if given.out:
        write(head, given.out)
    untrained = head_of(LateInteraction([whiten(states.passages, layer) for layer in settings.layers]).eval(), settings)
    numbers = [number for number, one in enumerate(asked) if one.half == "report"]
    print(report(asked, states, numbers, {"matches before fitting": untrained, "fitted": head}))


def head_of(model: LateInteraction, settings: Settings) -> Head:
    """Take the parameters out of the torch model, rounded as they are written."""
    arrays = {name: tensor.detach().numpy().astype(np.float16) for name, tensor in model.state_dict().items()}
    return Head({**arrays, "layers": np.array(settings.layers, np.float16)})


def write(head: Head, path: Path) -> None:
    """Write the parameters as half-precision arrays."""
    arrays: dict[str, Any] = {name: array.astype(np.float16) for name, array in head.arrays.items()}
    np.savez_compressed(path, **arrays)


def report(asked: Sequence[Asked], states: States, numbers: Sequence[int], heads: dict[str, Head]) -> str:
    """Judge heads and baselines by questions, given by their numbers, and lay out what was found."""
    judges: dict[str, Judge] = {name: _by_head(head, asked, states) for name, head in heads.items()}
    judges = {"cosine of the passage": _by_cosine(asked, states), "words, idf": _by_words(asked), **judges}
    measured: dict[str, dict[str, Measures]] = {"wording": _wording(asked)}
    for name, judge in judges.items():
        whole = {number: judge(number, frozenset()) for number in numbers}
        measured[name] = {
            kind: measure([asked[numbers[at]] for at in places], [whole[numbers[at]] for at in places])
            for kind, places in by_kind([asked[number] for number in numbers]).items()
        }
        measured[name] |= _bared(asked, numbers, judge)
    return table(measured)


def _bared(asked: Sequence[Asked], numbers: Sequence[int], judge: Judge) -> dict[str, Measures]:
    """Judge each answered question's page less its answer, against the page less as many other sentences."""
    pairs: dict[str, tuple[list[Asked], Readings]] = {}
    for number in numbers:
        one = asked[number]
        others = sorted(
            (passage, sentence)
            for passage, text in enumerate(one.page.passages)
            for sentence in range(len(text.sentences))
            if (passage, sentence) not in one.gold
        )
        if one.gold and len(others) > len(one.gold):
            drawn = np.random.default_rng(number).choice(len(others), len(one.gold), replace=False)
            questions, readings = pairs.setdefault(f"bared: {one.source}", ([], []))
            questions += [one, replace(one, gold=frozenset())]
            readings += [judge(number, frozenset(others[at] for at in drawn)), judge(number, one.gold)]
    return {name: measure(*pair) for name, pair in pairs.items()}


def _wording(asked: Sequence[Asked]) -> dict[str, Measures]:
    """Guess by the question alone, fitted on the fit half of the same kind."""
    found = {}
    for source in dict.fromkeys(one.source for one in asked):
        halves = [[one for one in asked if one.source == source and one.half == half] for half in ("fit", "report")]
        if len({bool(one.gold) for one in halves[0]}) < 2:
            continue
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        model = LogisticRegression(C=1.0, max_iter=500)
        model.fit(words.fit_transform([one.question for one in halves[0]]), [bool(one.gold) for one in halves[0]])
        guesses = model.predict_proba(words.transform([one.question for one in halves[1]]))[:, 1]
        readings = [
            [Reading(float(guess), (0.0,) * len(text.sentences)) for text in one.page.passages]
            for one, guess in zip(halves[1], guesses, strict=True)
        ]
        found[source] = {name: value for name, value in measure(halves[1], readings).items() if "@" not in name}
    return found


def _by_head(head: Head, asked: Sequence[Asked], states: States) -> Judge:
    @lru_cache(256)
    def projected(number: int, place: int, hidden: frozenset[tuple[int, int]]) -> ProjectedPassage:
        vectors, marks = _kept(states.passages, states.first[number] + place, place, hidden)
        by_layer = {layer: vectors[layer] for layer in head.layers}
        return head.passage(by_layer, marks.tolist(), len(asked[number].page.passages[place].sentences))

    def judge(number: int, hidden: frozenset[tuple[int, int]]) -> list[Reading]:
        question = head.question({layer: _floats(states.questions.of(number, layer)) for layer in head.layers})
        alike = states.first.index(states.first[number])  # the first question of the same page
        return [
            head.reading(question, projected(alike, place, hidden)) for place in range(len(asked[number].page.passages))
        ]

    return judge


def _kept(
    texts: Texts, passage: int, place: int, hidden: frozenset[tuple[int, int]]
) -> tuple[dict[int, Floats], NDArray[np.int64]]:
    """Give the vectors of a passage's tokens by layer, and whose they are, less the hidden sentences."""
    marks = texts.sentence[texts.starts[passage] : texts.starts[passage + 1]]
    kept = np.array([(place, int(mark)) not in hidden for mark in marks])
    return {layer: _floats(texts.of(passage, layer))[kept] for layer in texts.vectors}, marks[kept]


def _by_cosine(asked: Sequence[Asked], states: States) -> Judge:
    """Read by the cosine of the encoder's own vectors, of the passage and of its sentences in their context."""
    layer = max(states.passages.vectors)

    def judge(number: int, hidden: frozenset[tuple[int, int]]) -> list[Reading]:
        question = _unit(_floats(states.questions.of(number, layer)).mean(axis=0))
        readings = []
        for place, text in enumerate(asked[number].page.passages):
            by_layer, marks = _kept(states.passages, states.first[number] + place, place, hidden)
            vectors = by_layer[layer]
            own = [vectors[marks == sentence] for sentence in range(len(text.sentences))]
            scores = [float(_unit(rows.mean(axis=0)) @ question) if len(rows) else -1.0 for rows in own]
            readings.append(Reading(float(_unit(vectors.mean(axis=0)) @ question), tuple(scores)))
        return readings

    return judge


def _by_words(asked: Sequence[Asked]) -> Judge:
    """Read by the share of the question's words that are there, weighted by rarity in the pages of the same kind."""
    cut: dict[int, list[tuple[set[str], list[set[str]]]]] = {}
    common: dict[str, Counter[str]] = {}
    for one in asked:
        if id(one.page) not in cut:
            cut[id(one.page)] = [
                (set(terms(text.title)), [set(terms(text.text[start:end])) for start, end in text.sentences])
                for text in one.page.passages
            ]
            counts = common.setdefault(one.source, Counter())
            for title, sentences in cut[id(one.page)]:
                counts.update(title.union(*sentences))
                counts[""] += 1

    def judge(number: int, hidden: frozenset[tuple[int, int]]) -> list[Reading]:
        one = asked[number]
        counts = common[one.source]
        words = set(terms(one.text, one.language))
        weights = {word: float(np.log((counts[""] + 1) / (counts[word] + 0.5))) for word in words}
        total = sum(weights.values()) or 1.0

        def share(there: set[str]) -> float:
            return sum(weight for word, weight in weights.items() if word in there) / total

        readings = []
        for place, (title, sentences) in enumerate(cut[id(one.page)]):
            kept = [set() if (place, at) in hidden else words for at, words in enumerate(sentences)]
            readings.append(Reading(share(title.union(*kept)), tuple(map(share, kept))))
        return readings

    return judge


def _floats(vectors: NDArray[np.float16]) -> Floats:
    made: Floats = vectors.astype(np.float32)
    return made


def _unit(vector: Floats) -> Floats:
    made: Floats = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return made


if __name__ == "__main__":
    main()
