"""Have texts encoded on the workers of a cluster, by the very files that encode here, into the cache of vectors.

A worker that has not met an encoder is given its files once, into a folder of its own, and then shows what it makes of a
few texts: processors of another kind may calculate otherwise, and an encoder of eight bits may give vectors there that
are not to be compared with those of here.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from index.dense import Vectors
from index.encoder import Encoder, OnnxEncoder
from index.vectors import VectorCache
from ingest.cluster import Cluster, ClusterError, Jobs, here

#: Texts that are sent together: on one thread a second or two of work, of which sending takes a few milliseconds.
BATCH = 64
#: The cosine that a worker's vectors have with those of here at least; those of another text have .9 (e5).
LEAST = 0.999
#: What a worker shows that it encodes as here: short, long, and in another script.
SAMPLES = ("Withdrawals", "How long does a withdrawal of 0.5 BTC to a new address take? " * 20, "提现需要多长时间？")

Texts = tuple[str, ...]
Files = dict[str, bytes]
Told = tuple[Callable[[int, int], None], int]
"""What is called with (done, total), and the total."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts for an encoder, by its fingerprint."""

    encoder: str
    texts: Texts


@dataclass(frozen=True, slots=True)
class Unknown:
    """What a worker says that has not been given the encoder."""

    worker: str


def fill(cache: VectorCache, folder: Path, texts: Iterable[str], cluster: Cluster, told: Told) -> None:
    """Put the vectors of all texts into a cache, encoding on a cluster those that are not there.

    Each batch is one transaction of the cache, so that a build that is killed loses only what is on its way, and the next
    one goes on from there.

    :param folder: The exported encoder that the cache is of.
    :param told: What is called with (done, total), and the total: how many texts there are.
    :raises ClusterError: The workers cannot go on, or one of them encodes otherwise than this machine.
    """
    progress, total = told
    done = 0
    for count in cache.fill(texts, partial(_encoded, cache.encoder, folder, cluster), BATCH):
        done += count
        progress(done, total)


def _encoded(
    encoder: Encoder, folder: Path, cluster: Cluster, batches: Iterable[Texts]
) -> Iterator[tuple[Texts, Vectors]]:
    """Have batches of texts encoded; give them with their vectors, in the order in which they are done."""
    giver = _Giver(encoder, folder, cluster)
    jobs: Jobs[Batch, Vectors | Unknown] = cluster.jobs(encode)
    for texts in batches:
        jobs.submit(Batch(encoder.fingerprint, texts))
        while not jobs.room:
            yield from _results(jobs, giver)
    while jobs.busy:
        yield from _results(jobs, giver)


def _results(jobs: Jobs[Batch, Vectors | Unknown], giver: "_Giver") -> Iterator[tuple[Texts, Vectors]]:
    for batch, result in jobs.results():
        if isinstance(result, Unknown):
            giver.give(result.worker)
            jobs.submit(batch)
        else:
            yield batch.texts, result


class _Giver:
    """Gives an encoder to workers."""

    def __init__(self, encoder: Encoder, folder: Path, cluster: Cluster) -> None:
        self._fingerprint = encoder.fingerprint
        self._folder = folder
        self._cluster = cluster
        self._expected = encoder.encode_document(SAMPLES)

    def give(self, worker: str) -> None:
        """Give it to one, unless it has got it meanwhile, and look at what that makes of the samples.

        :raises ClusterError: It has no space for it, or encodes otherwise.
        """
        shown = self._cluster.run_on(worker, show, self._fingerprint)
        if shown is None:
            files = {path.name: path.read_bytes() for path in self._folder.iterdir() if path.is_file()}
            if not self._cluster.run_on(worker, receive, self._fingerprint, files):
                return  # it has ended
            shown = self._cluster.run_on(worker, show, self._fingerprint)
        if shown is None or np.array_equal(shown, self._expected):
            return
        nearest = float(np.einsum("ij,ij->i", shown, self._expected).min())
        if not nearest >= LEAST:
            raise ClusterError(
                f"{worker}: its vectors have a cosine of {nearest:.4f} with those of this machine (at least {LEAST} is needed): "
                "its processor calculates otherwise; end this worker and run `citedesk build` again: what was done is kept"
            )
        self._cluster.say(f"{worker} rounds otherwise than this machine (cosine {nearest:.6f}); its vectors are taken")


_encoders: dict[str, OnnxEncoder] = {}
_lock = Lock()


def encode(batch: Batch) -> Vectors | Unknown:
    """Encode texts on a worker, on one thread: the worker has as many jobs at once as it has threads."""
    encoder = _encoders.get(batch.encoder)
    return encoder.encode_document(batch.texts) if encoder else Unknown(here())


def show(fingerprint: str) -> Vectors | None:
    """Encode the samples on a worker; give None where it has not been given the encoder."""
    encoder = _encoders.get(fingerprint)
    return encoder.encode_document(SAMPLES) if encoder else None


def receive(fingerprint: str, files: Files, dask_worker: Any) -> bool:  # noqa: ANN401  (distributed.Worker)
    """Take an encoder on a worker: write its files aside, rename the folder, open and verify it.

    :param dask_worker: The worker, whose folder it is written into; Dask removes that when the worker ends.
    :raises ValueError: They cannot be written; the message names the folder.
    """
    folder = Path(dask_worker.local_directory) / fingerprint
    with _lock:
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(dir=folder.parent))
            try:
                for name, data in files.items():
                    (aside / name).write_bytes(data)
                aside.replace(folder)
            except OSError as error:
                shutil.rmtree(aside, ignore_errors=True)
                size = sum(map(len, files.values())) / 1e6
                raise ValueError(
                    f"{folder}: the encoder's {size:.0f} MB cannot be written ({error.strerror}); free space there, or give the worker "
                    "another --local-directory"
                ) from error
        _encoders[fingerprint] = OnnxEncoder(folder, threads=1)
    return True
