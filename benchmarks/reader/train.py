"""Fit the late interaction on the `fit` halves.

What is read at once is a part of a page, its whole, or passages of other pages near to the question; and now and then a
sentence is taken out: the one that answers, which makes the same question an unanswered one, or any other, so that a
hole tells nothing. Without this, a classifier learns from help_questions how unanswered questions are worded (bag of
words over the question alone: AUROC .73) and nothing else.
"""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.reader.data import Asked
from benchmarks.reader.model import Batch, LateInteraction, whiten
from benchmarks.reader.states import WIDTH, States
from service.reader import LONGEST_SENTENCE, PROMPT

Sentence = tuple[int, int]
"""(passage, sentence) numbers; passages are counted over all pages."""

QUESTIONS_AT_ONCE = 12
MOST_TOKENS = 900
STEP = 32
"""Questions that the weights are changed after."""
PART, NEAR, BARED, HOLED = 0.40, 0.15, 0.15, 0.15
"""Shares of the readings: of a part of the page, of near passages of others, without the answer, without another sentence."""
POINTER = 0.5
"""Weight of the loss of the sentences' scores."""
PROJECTION_RATE = 0.3
"""Of the learning rate, for the projections, which start where they are useful."""
WARM_UP = 0.06


@dataclass(frozen=True, slots=True)
class Settings:
    """How it is fitted.

    :ivar epochs: Times that each page is read, those of help_questions twice as often.
    :ivar minutes: Of processor time, after which it stops in any case.
    """

    layers: tuple[int, ...] = (6, 12)
    epochs: int = 6
    minutes: float = 30.0
    rate: float = 2e-3
    decay: float = 0.02
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Example:
    questions: list[int]
    passages: list[int]
    hidden: frozenset[Sentence]


def fit(asked: Sequence[Asked], states: States, settings: Settings, say: Callable[[str], None]) -> LateInteraction:
    """Fit on the questions of the `fit` half.

    :param say: Called with a line now and then.
    """
    torch.manual_seed(settings.seed)
    model = LateInteraction([whiten(states.passages, layer) for layer in settings.layers])
    projections = [*model.q.parameters(), *model.p.parameters()]
    others = [each for each in model.parameters() if all(each is not one for one in projections)]
    rates = (settings.rate, PROJECTION_RATE * settings.rate)
    optimizer = torch.optim.AdamW(
        [{"params": others}, {"params": projections}], lr=settings.rate, weight_decay=settings.decay
    )
    reading = _Pages(asked, states, settings)
    order = [page for _ in range(settings.epochs) for page in reading.epoch()]
    begun, waiting, losses = time.process_time(), 0, []
    for done, page in enumerate(order):
        share = max(done / len(order), (time.process_time() - begun) / 60 / settings.minutes)
        if share >= 1:
            break
        pace = min(1.0, done / (WARM_UP * len(order))) * (0.03 + 0.97 * (0.5 + 0.5 * math.cos(math.pi * share)))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * pace
        example = reading.example(page)
        loss = _loss(model, reading, example)
        (loss / STEP).backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()) / len(example.questions))
        waiting += len(example.questions)
        if waiting >= STEP:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            waiting = 0
        if done % 200 == 199:
            say(f"{done + 1} of {len(order)} readings, loss {np.mean(losses[-200:]):.3f}")
    return model.eval()


def _loss(model: LateInteraction, reading: "_Pages", example: _Example) -> Tensor:
    batch, sentences = reading.batch(example)
    with torch.autocast("cpu", torch.bfloat16):
        logits, scores = model(batch)
    gold = torch.tensor(
        [[name in reading.gold(number) - example.hidden for name in sentences] for number in example.questions]
    )
    answered = gold.any(1)
    loss = functional.binary_cross_entropy_with_logits(logits.float(), answered.float(), reduction="sum")
    if answered.any():
        found, right = scores.float()[answered], gold[answered]
        pointer = torch.logsumexp(found, 1) - torch.logsumexp(found.masked_fill(~right, -1e9), 1)
        loss = loss + POINTER * pointer.sum()
    return loss


class _Pages:
    """Draws what is read at once."""

    def __init__(self, asked: Sequence[Asked], states: States, settings: Settings) -> None:
        self._asked, self._states, self._layers = asked, states, settings.layers
        self._random = random.Random(settings.seed)
        self._by_page: dict[int, list[int]] = {}
        for number, one in enumerate(asked):
            if one.half == "fit":
                self._by_page.setdefault(states.first[number], []).append(number)
        self._means = self._passage_means()

    def epoch(self) -> list[int]:
        """Give the pages, by their first passage, in the order in which they are read."""
        order = []
        for page, questions in self._by_page.items():
            often = 2 if self._asked[questions[0]].source == "help_questions" else 1
            order += [page] * (often * max(1, round(len(questions) / QUESTIONS_AT_ONCE)))
        self._random.shuffle(order)
        return order

    def gold(self, number: int) -> frozenset[Sentence]:
        """Give the sentences that answer a question."""
        first = self._states.first[number]
        return frozenset((first + passage, sentence) for passage, sentence in self._asked[number].gold)

    def example(self, page: int) -> _Example:
        """Draw questions of a page, and what they are read in."""
        questions = self._by_page[page]
        if len(questions) > QUESTIONS_AT_ONCE:
            questions = self._random.sample(questions, QUESTIONS_AT_ONCE)
        count = len(self._asked[questions[0]].page.passages)
        passages, hidden = list(range(page, page + count)), frozenset[Sentence]()
        self._random.shuffle(passages)
        drawn = self._random.random()
        if drawn < PART:
            if count > 1:
                passages = passages[: self._random.randint(1, min(4, count - 1))]
        elif drawn < PART + NEAR:
            near = self._near(self._random.choice(questions), page)
            passages = near + passages[: self._random.randint(0 if near else 1, 2)]
            self._random.shuffle(passages)
        elif drawn < PART + NEAR + BARED:
            hidden = self.gold(self._random.choice(questions))
        elif drawn < PART + NEAR + BARED + HOLED:
            passage = self._random.choice(passages)
            sentences = len(self._asked[questions[0]].page.passages[passage - page].sentences)
            hidden = frozenset({(passage, self._random.randrange(sentences))})
        taken = self._that_fit(passages)
        return _Example(questions, taken, hidden if self._leaves_some(taken, hidden) else frozenset())

    def batch(self, example: _Example) -> tuple[Batch, list[Sentence]]:
        """Gather the vectors; also the names of the sentences, in the order of the scores."""
        own, whole, questions = self._padded(example.questions)
        rows, passage, groups, sentences = self._rows(example)
        longest = max([1, *map(len, groups)])
        padded = np.zeros((len(groups), longest), np.int64)
        real = np.zeros((len(groups), longest), bool)
        for number, group in enumerate(groups):
            padded[number, : len(group)], real[number, : len(group)] = group, True
        texts = self._states.passages.vectors
        vectors = tuple(torch.from_numpy(texts[layer][rows].astype(np.float32)) for layer in self._layers)
        places = {name: place for place, name in enumerate(example.passages)}
        within = torch.tensor([places[name] for name, _ in sentences])
        filled = torch.from_numpy(padded), within, torch.from_numpy(real)
        return Batch(questions, own, whole, vectors, torch.tensor(passage), *filled), sentences

    def _rows(self, example: _Example) -> tuple[np.ndarray, list[int], list[list[int]], list[Sentence]]:
        texts = self._states.passages
        rows, places = list[int](), list[int]()
        groups: dict[Sentence, list[int]] = {}
        for place, passage in enumerate(example.passages):
            start, end = texts.starts[passage : passage + 2]
            for row, sentence in enumerate(texts.sentence[start:end], start):
                name = (passage, int(sentence))
                if name not in example.hidden:
                    if sentence >= 0:
                        groups.setdefault(name, []).append(len(rows))
                    rows.append(row)
                    places.append(place)
        return np.array(rows), places, [group[:LONGEST_SENTENCE] for group in groups.values()], list(groups)

    def _padded(self, questions: Sequence[int]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        texts = self._states.questions
        lengths = [int(texts.starts[number + 1] - texts.starts[number]) for number in questions]
        own = np.zeros((len(questions), max(lengths)), np.float32)
        whole = np.zeros_like(own)
        vectors = [np.zeros((*own.shape, WIDTH), np.float32) for _ in self._layers]
        for row, (number, length) in enumerate(zip(questions, lengths, strict=True)):
            own[row, PROMPT : length - 1] = whole[row, :length] = 1
            for layer, there in zip(self._layers, vectors, strict=True):
                there[row, :length] = texts.of(number, layer)
        return torch.from_numpy(own), torch.from_numpy(whole), tuple(torch.from_numpy(one) for one in vectors)

    def _leaves_some(self, passages: Sequence[int], hidden: frozenset[Sentence]) -> bool:
        texts = self._states.passages
        return any(
            sentence >= 0 and (passage, int(sentence)) not in hidden
            for passage in passages
            for sentence in texts.sentence[texts.starts[passage] : texts.starts[passage + 1]]
        )

    def _that_fit(self, passages: Sequence[int]) -> list[int]:
        starts, taken, tokens = self._states.passages.starts, list[int](), 0
        for passage in passages:
            tokens += int(starts[passage + 1] - starts[passage])
            if taken and tokens > MOST_TOKENS:
                break
            taken.append(passage)
        return taken

    def _near(self, question: int, page: int) -> list[int]:
        """Give six passages of other pages of the same kind that come nearest to a question."""
        source = self._asked[question].source
        mean = _unit(self._states.questions.of(question, self._layers[-1]).astype(np.float32).mean(axis=0))
        found = np.argsort(-(self._means[source][1] @ mean))
        numbers = self._means[source][0][found]
        count = len(self._asked[question].page.passages)
        return [int(number) for number in numbers if not page <= number < page + count][:6]

    def _passage_means(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        by_source: dict[str, list[int]] = {}
        for page, questions in self._by_page.items():
            one = self._asked[questions[0]]
            by_source.setdefault(one.source, []).extend(range(page, page + len(one.page.passages)))
        texts, layer = self._states.passages, self._layers[-1]
        return {
            source: (
                np.array(numbers),
                np.stack([_unit(texts.of(number, layer).astype(np.float32).mean(axis=0)) for number in numbers]),
            )
            for source, numbers in by_source.items()
        }


def _unit(vector: np.ndarray) -> np.ndarray:
    made: np.ndarray = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return made
