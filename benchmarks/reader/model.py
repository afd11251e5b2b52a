"""The trained part of `service.reader`, in torch: the same sums over the same names, for many questions at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.reader.states import WIDTH, Texts
from service.reader import NEAR, NEAR_SENTENCE

DIMENSION = 160
"""Of the space in which tokens are compared: holds .71 (layer 12) and .74 (layer 6) of the variance with 128."""
KIND, SMALL, HIDDEN = 64, 8, 48
SAMPLE = 12_000
"""Tokens that the whitening is measured on."""
FAR = -1e4


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions and the passages that all of them are read in.

    :ivar questions: For each layer (questions, tokens, width).
    :ivar own: 1 for a question's own tokens, 0 for marks, prompt and padding (questions, tokens).
    :ivar passages: For each layer (tokens, width), of all passages one after another.
    :ivar whole: 1 for all of a question's tokens, 0 for padding.
    :ivar passage: For each token of the passages the number of its passage.
    :ivar groups: For each sentence the numbers of its tokens, padded (sentences, tokens).
    :ivar within: For each sentence the number of its passage.
    :ivar real: True where `groups` is not padding.
    """

    questions: tuple[Tensor, ...]
    own: Tensor
    whole: Tensor
    passages: tuple[Tensor, ...]
    passage: Tensor
    groups: Tensor
    within: Tensor
    real: Tensor


class LateInteraction(nn.Module):
    """Score sentences by the best matches of the question's tokens, and tell whether one of them answers.

    :param whitening: For each layer its mean (width) and directions (dimension, width), see `whiten`: where the
        projections start, so that untrained it compares whitened token vectors.
    :param drop: Dropout.
    """

    def __init__(self, whitening: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], drop: float = 0.1) -> None:
        super().__init__()
        count = len(whitening)
        measures = 4 * count + 8
        self.q, self.p = (nn.ModuleList([_whitener(*one) for one in whitening]) for _ in range(2))
        self.imp = nn.Linear(WIDTH, 1)
        self.t, self.u = nn.Linear(WIDTH, KIND), nn.Linear(WIDTH, KIND)
        self.small = nn.Linear(WIDTH, SMALL)
        self.phi = nn.Sequential(
            nn.Linear(SMALL + 1 + 3 * count, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU()
        )
        self.out = nn.Sequential(
            nn.Linear(2 * HIDDEN + measures, HIDDEN), nn.GELU(), nn.Dropout(drop), nn.Linear(HIDDEN, 1)
        )
        self.lin = nn.Linear(measures, 1)
        self.scale = nn.Parameter(torch.tensor([6.0] * count + [6.0, 0.2, 10.0]))
        self.drop = nn.Dropout(drop)
        for start in (self.imp, self.out[-1], self.lin):
            nn.init.zeros_(start.get_parameter("weight"))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give (questions) logits that a sentence answers, and (questions, sentences) scores."""
        last, own = batch.questions[-1], batch.own
        weights = functional.softplus(self.imp(last).squeeze(-1)) * own
        weights = weights / (weights.sum(1, keepdim=True) + 1e-6)
        asked = [project(vectors) for project, vectors in zip(self.q, batch.questions, strict=True)]
        there = [project(vectors) for project, vectors in zip(self.p, batch.passages, strict=True)]
        best = [_best(*pair, batch) for pair in zip(asked, there, strict=True)]
        covers = [(weights[..., None] * matches).sum(1) for matches in best]
        alike = _alike(asked[-1], there[-1], batch)
        kind = self._kind(last, batch)
        scores = sum(factor * cover for factor, cover in zip(self.scale, covers, strict=False))
        scores = scores + self.scale[-3] * alike + self.scale[-2] * kind
        near, nearest = _cosines(batch)
        scores = scores + self.scale[-1] * (near[:, batch.within] - NEAR)
        scores = scores.masked_fill(~batch.real.any(1), FAR)
        raw = [10 * (near.amax(1) - NEAR), 10 * (nearest.amax(1) - NEAR_SENTENCE)]
        return self._logit(weights, batch, best, covers, raw, alike, kind, scores), scores

    def _kind(self, last: Tensor, batch: Batch) -> Tensor:
        mean = (last * batch.own[..., None]).sum(1) / batch.own.sum(1, keepdim=True)
        fit = self.t(mean) @ self.u(batch.passages[-1]).T / 8.0
        made: Tensor = fit[:, batch.groups].masked_fill(~batch.real, -30.0).amax(-1)
        return made

    def _logit(
        self,
        weights: Tensor,
        batch: Batch,
        best: list[Tensor],
        covers: list[Tensor],
        raw: list[Tensor],
        alike: Tensor,
        kind: Tensor,
        scores: Tensor,
    ) -> Tensor:
        last, own = batch.questions[-1], batch.own
        share = scores.softmax(-1)
        empty = scores <= FAR
        by_token, measures = [self.drop(self.small(last)), 5 * weights[..., None]], []
        for matches, cover in zip(best, covers, strict=True):
            page, led = matches.amax(-1), (matches * share[:, None]).sum(-1)
            by_token.append(torch.stack([page, led, page - led], -1))
            measures += [(weights * page).sum(1), (weights * led).sum(1)]
            measures += [cover.masked_fill(empty, -1.0).amax(1), (page + 1 - own).amin(1)]
        top = scores.amax(1)
        mean = scores.masked_fill(empty, 0.0).sum(1) / (~empty).sum(1)
        measures += [*raw, alike.amax(1), 0.2 * kind.amax(1), 0.2 * (share * kind).sum(1), share.amax(1)]
        measures += [0.1 * top - 0.5, 0.3 * (top - mean)]
        hidden = self.phi(torch.cat(by_token, -1))
        given = torch.stack(measures, -1)
        largest = hidden.masked_fill(own[..., None] == 0, -9.0).amax(1)
        pooled = torch.cat([(hidden * weights[..., None]).sum(1), largest, given], -1)
        logit: Tensor = (self.out(pooled) + self.lin(given)).squeeze(-1)
        return logit


def whiten(texts: Texts, layer: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure the mean of a layer's token vectors and the main directions of what is left, each coordinate scaled.

    Token vectors of one encoder are all alike (a few coordinates are large everywhere); only what differs tells.
    """
    count = int(texts.starts[-1])
    rows = np.random.default_rng(seed).choice(count, min(count, SAMPLE), replace=False)
    sample = texts.vectors[layer][np.sort(rows)].astype(np.float32)
    mean, deviation = sample.mean(axis=0), sample.std(axis=0) + 1e-3
    directions = np.linalg.svd((sample - mean) / deviation, full_matrices=False)[2]
    return mean, directions[:DIMENSION] / deviation


def _whitener(mean: NDArray[np.float32], directions: NDArray[np.float32]) -> nn.Linear:
    layer = nn.Linear(WIDTH, len(directions))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(directions))
        layer.bias.copy_(torch.from_numpy(-directions @ mean))
    return layer


def _best(asked: Tensor, there: Tensor, batch: Batch) -> Tensor:
    """Give the best cosine of each token of each question in each sentence (questions, tokens, sentences)."""
    cosines = functional.normalize(asked, dim=-1) @ functional.normalize(there, dim=-1).T
    return cosines[:, :, batch.groups].masked_fill(~batch.real, -1.0).amax(-1)


def _cosines(batch: Batch) -> tuple[Tensor, Tensor]:
    """Give the cosines of the encoder's own vectors: question with passages, and with sentences in their context."""
    vectors = batch.passages[-1]
    sums = torch.zeros(int(batch.passage.max()) + 1, vectors.shape[1]).index_add(0, batch.passage, vectors)
    sentences = (vectors[batch.groups] * batch.real[..., None].float()).sum(1)
    asked = functional.normalize((batch.questions[-1] * batch.whole[..., None]).sum(1), dim=-1)
    return asked @ functional.normalize(sums, dim=-1).T, asked @ functional.normalize(sentences, dim=-1).T


def _alike(asked: Tensor, there: Tensor, batch: Batch) -> Tensor:
    real = batch.real[..., None].float()
    sentences = (there[batch.groups] * real).sum(1) / (real.sum(1) + 1e-6)
    questions = (asked * batch.own[..., None]).sum(1) / batch.own.sum(1, keepdim=True)
    return functional.normalize(questions, dim=-1) @ functional.normalize(sentences, dim=-1).T
