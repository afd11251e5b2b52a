"""Which questions ask the same: clusters of their vectors, by the snapshot's own encoder.

Leader clustering, then rounds as k-means has them: a question joins the nearest leader that is near enough, or becomes
one; then the clusters' means are the leaders, means that are close to one another are made one, and all questions
choose again. Time grows with questions times clusters, memory with the questions: 50,000 of 384 numbers are 77 MB,
compared in 3 s where there are 575 topics and in 34 s where no two are alike (one core).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

# Cosines, once the mean of the questions is taken off (e5 gives any two texts .8). Chosen with e5 on banking77, the
# 3,080 test questions about one bank, and on clinc150, 3,000 about anything. Of two questions that are put together .40
# and .64 have the same intent, of two with the same intent .37 and .53 are put together; among 300 questions of 15
# intents .84 and .97, .43 and .59. Lower bounds join more and are wrong more often: a topic should be what its name
# says, and may be told in two parts.
NEAR, SAME = 0.35, 0.7
ROUNDS = 4
# Questions that the corpus's mean weighs as much as: the mean of a few questions is their topic, not what all share.
EVEN = 20
# Questions that are compared with all clusters at once: 50 MB with 50,000 clusters.
BLOCK = 256


def topics(vectors: Vectors, weights: Sequence[int], corpus_mean: Vectors) -> Labels:
    """Give each question the number of its topic, from 0; a question that is like no other has one to itself.

    :param vectors: Unit rows, one a question.
    :param weights: How often each was asked.
    :param corpus_mean: The mean vector of the corpus, shape (d,).
    """
    if not len(vectors):
        return np.zeros(0, np.int64)
    rows = centred(vectors, corpus_mean)
    weight = np.asarray(weights, np.float32)
    order = np.argsort(-weight, kind="stable")  # what is asked most leads
    labels = np.empty(len(rows), np.int64)
    labels[order] = _by_leaders(rows[order], NEAR)
    for _ in range(ROUNDS):
        means, sizes = _means(rows, weight, labels)
        if not len(means):
            break
        nearest, cosine = _nearest(rows, _merged(means, sizes))
        alone = np.flatnonzero(cosine < NEAR)
        labels = nearest
        labels[alone] = nearest.max() + 1 + np.arange(len(alone))
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def medoid(vectors: Vectors, weights: Sequence[int]) -> int:
    """Give the row that is nearest to the mean of all: the typical question of a topic."""
    mean = np.asarray(weights, np.float32) @ vectors
    return int((vectors @ mean).argmax())


def centred(vectors: Vectors, corpus_mean: Vectors) -> Vectors:
    """Take off what all questions share, and make unit rows of the rest."""
    mean = (vectors.sum(axis=0) + EVEN * corpus_mean) / (len(vectors) + EVEN)
    return _units(vectors - mean)


def _by_leaders(rows: Vectors, near: float) -> Labels:
    """Let each row join the nearest row before it that leads, if that is near enough, or lead itself."""
    leaders = np.empty_like(rows)
    labels = np.empty(len(rows), np.int64)
    count = 0
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        known = count
        nearest, cosine = _nearest(block, leaders[:known])
        for offset, row in enumerate(block):
            label, best = nearest[offset], cosine[offset]
            if best < near and count > known:  # those that came to lead within this block
                cosines = leaders[known:count] @ row
                label, best = known + cosines.argmax(), cosines.max()
            if best < near:
                leaders[count] = row
                label, count = count, count + 1
            labels[start + offset] = label
    return labels


def _nearest(rows: Vectors, leaders: Vectors) -> tuple[Labels, Vectors]:
    """Give the nearest leader of each row, and its cosine; -1 where there is none."""
    nearest = np.zeros(len(rows), np.int64)
    cosine = np.full(len(rows), -1.0, np.float32)
    if len(leaders):
        for start in range(0, len(rows), BLOCK):
            cosines = rows[start : start + BLOCK] @ leaders.T
            nearest[start : start + BLOCK] = cosines.argmax(axis=1)
            cosine[start : start + BLOCK] = cosines.max(axis=1)
    return nearest, cosine


def _means(rows: Vectors, weight: Vectors, labels: Labels) -> tuple[Vectors, Labels]:
    """Give the mean of each cluster of two questions or more, the largest first, and their sizes."""
    sizes = np.bincount(labels)
    large = np.flatnonzero(sizes >= 2)
    large = large[np.argsort(-sizes[large], kind="stable")]
    place = np.full(len(sizes), -1)
    place[large] = np.arange(len(large))
    sums = np.zeros((len(large), rows.shape[1]), np.float32)
    among = place[labels] >= 0
    np.add.at(sums, place[labels[among]], rows[among] * weight[among, None])
    return _units(sums), sizes[large]


def _merged(means: Vectors, sizes: Labels) -> Vectors:
    """Make one of means that are nearly the same."""
    labels = _by_leaders(means, SAME)
    sums = np.zeros((labels.max() + 1, means.shape[1]), np.float32)
    np.add.at(sums, labels, means * sizes[:, None].astype(np.float32))
    return _units(sums)


def _units(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: Vectors = (rows / np.maximum(lengths, 1e-9)).astype(np.float32)
    return units
