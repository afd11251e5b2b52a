"""Work on a Dask cluster: real schedulers and workers on loopback, killed in the middle, compared with work done here."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dask_cluster import DaskCluster
from homes import article, build_fast, copy_home, fast_encoder, put
from test_build import on_a_full_disk

import ingest.cluster
from index.cluster_encoding import SAMPLES, _Giver
from index.encoder import OnnxEncoder
from index.snapshot import SnapshotShelf
from index.vectors import VectorCache
from ingest.cluster import Cluster, ClusterError
from ingest.store import CorpusStore

ROOT = Path(__file__).parents[1]
COINS = 220
TEXTS = 3 * COINS  # of each a passage and two sentences
MAY_MOUNT = os.getuid() == 0 and shutil.which("unshare") and not subprocess.run(["unshare", "-m", "true"]).returncode


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler with two workers, one of them as Dask starts it unless told otherwise: under a nanny."""
    with DaskCluster(tmp_path_factory.mktemp("dask")) as running:
        running.worker("--nanny")
        running.second = running.worker()
        yield running


@pytest.fixture(scope="module")
def coins(tmp_path_factory):
    """A corpus of some hundred passages of which nothing is encoded yet."""
    home = tmp_path_factory.mktemp("coins") / "home"
    put(
        home,
        [article(f"n{n}", f"Kelpex lists coin {n} since May. Its withdrawal fee is {n} coins.") for n in range(COINS)],
    )
    fast_encoder()
    return home


@pytest.fixture(scope="module")
def alone(coins, tmp_path_factory):
    """What a build without a cluster makes of it: the checksums of the snapshot's files."""
    home = copy_home(coins, tmp_path_factory.mktemp("alone") / "home")
    build_fast(home)
    return files(home)


@pytest.fixture
def home(coins, tmp_path):
    return copy_home(coins, tmp_path / "home")


def files(home):
    """The checksums of the published snapshot's files, but those of the BM25 index, which names its files by chance."""
    manifest = SnapshotShelf(home).open().manifest
    return {name: file for name, file in manifest.files.items() if not name.startswith("lexical/")}


def command(name, home, address, *more):
    return [sys.executable, "-m", "service.cli", name, "--home", str(home), "--cluster", address, *more]


def run(name, home, address, *more, **environment):
    return subprocess.run(
        command(name, home, address, *more), cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def build(home, address, **environment):
    return run("build", home, address, "--encoder", "minilm", **environment)


def build_until_encoding(home, address):
    """Start a build and give it when the first texts have been encoded."""
    process = subprocess.Popen(
        command("build", home, address, "--encoder", "minilm"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "encode on the cluster" in line:
            return process
    raise AssertionError("".join(seen))


def cached(home):
    with closing(sqlite3.connect(home / "cache" / "vectors.sqlite")) as db:
        return db.execute("SELECT count(*) FROM vectors").fetchone()[0]


def test_a_snapshot_built_on_a_cluster_is_byte_for_byte_the_one_built_here(cluster, home, alone):
    done = build(home, cluster.address)
    assert done.returncode == 0, done.stderr
    assert f"{TEXTS} texts encoded anew" in done.stdout
    assert files(home) == alone


def test_a_worker_killed_in_the_middle_loses_nothing_and_nothing_comes_twice(cluster, home, alone):
    process = build_until_encoding(home, cluster.address)
    cluster.kill(cluster.second)
    out, err = process.communicate()
    cluster.second = cluster.worker()
    assert process.returncode == 0, err
    assert f"{TEXTS} texts encoded anew" in out
    assert cached(home) == TEXTS
    assert files(home) == alone


def test_a_build_that_is_killed_goes_on_from_what_was_encoded(cluster, home, alone):
    process = build_until_encoding(home, cluster.address)
    process.kill()
    process.communicate()
    kept = cached(home)
    assert 0 < kept < TEXTS
    assert not SnapshotShelf(home).ids()
    done = build(home, cluster.address)
    assert f"{TEXTS - kept} texts encoded anew" in done.stdout, done.stderr
    assert files(home) == alone


def test_a_scheduler_that_is_killed_is_named_and_a_build_without_one_goes_on(home, alone, tmp_path):
    with DaskCluster(tmp_path) as own:
        own.worker()
        process = build_until_encoding(home, own.address)
        own.kill(own.scheduler)
        _, err = process.communicate()
        assert process.returncode == 2
        assert f"{own.address}: the scheduler is gone; start it and its workers again" in err
        assert "Traceback" not in err, err
    kept = cached(home)
    assert kept > 0
    assert build_fast(home).encoded == TEXTS - kept
    assert files(home) == alone


def pages(folder, count):
    """HTML pages that name no address of their own, so that they get that of their file."""
    folder.mkdir()
    for n in range(count):
        text = f"<p>Kelpex lists coin {n} since May. Its withdrawal fee is {n} coins.</p>" * 3
        page = f"<html><head><title>Coin {n} on Kelpex</title></head><body><h1>Coin {n}</h1>{text}</body></html>"
        (folder / f"coin-{n}.html").write_text(page, encoding="utf-8")
    (folder / "broken.html").write_text("", encoding="utf-8")
    return folder


def test_pages_cleaned_on_a_cluster_give_the_corpus_that_they_give_here(cluster, tmp_path):
    source = str(pages(tmp_path / "pages", 70))
    here, there = tmp_path / "here", tmp_path / "there"
    at_home = [sys.executable, "-m", "service.cli", "ingest", source, "--home", str(here)]
    alone = subprocess.run(at_home, cwd=ROOT, capture_output=True, text=True, check=False)
    done = run("ingest", there, cluster.address, source)
    assert (
        (done.stdout, done.returncode)
        == (alone.stdout, alone.returncode)
        == ("70 new, 0 changed, 0 unchanged, 1 not read\n", 2)
    )
    assert "broken.html" in done.stderr
    with CorpusStore(here / "corpus.sqlite") as one, CorpusStore(there / "corpus.sqlite") as other:
        assert one.digest() == other.digest()
        assert {s.article.url for s in other.articles()} == {p.as_uri() for p in Path(source).glob("coin-*")}
    again = run("ingest", there, cluster.address, source)
    assert "0 new, 0 changed, 70 unchanged" in again.stdout


def test_a_worker_killed_while_it_cleans_loses_no_page(cluster, tmp_path):
    source = str(pages(tmp_path / "pages", 200))
    home = tmp_path / "home"
    process = subprocess.Popen(
        command("ingest", home, cluster.address, source),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (home / "corpus.sqlite").exists() or not articles(home):
        assert process.poll() is None, process.communicate()
    cluster.kill(cluster.second)
    out, err = process.communicate()
    cluster.second = cluster.worker()
    assert "200 new, 0 changed, 0 unchanged, 1 not read" in out, err
    assert articles(home) == 200


def articles(home):
    try:
        with closing(sqlite3.connect(f"{(home / 'corpus.sqlite').as_uri()}?mode=ro", uri=True)) as db:
            return db.execute("SELECT count(*) FROM articles").fetchone()[0]
    except sqlite3.OperationalError:  # the table is still to be made
        return 0


def test_a_worker_of_another_version_is_named_and_does_nothing(home, tmp_path):
    other = tmp_path / "other"
    for layer in ("ingest", "index"):
        shutil.copytree(ROOT / layer, other / layer, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "index" / "encoder.py").open("a", encoding="utf-8") as file:
        file.write("# Another version.\n")
    with DaskCluster(tmp_path) as own:
        own.worker(path=other)
        done = build(home, own.address)
    assert done.returncode == 2
    assert "tcp://127.0.0.1:" in done.stderr
    assert "with code " in done.stderr
    assert "install there what is here, or end this worker" in done.stderr
    assert "numpy" not in done.stderr
    assert cached(home) == 0


def test_workers_without_citedesk_are_told_apart(home, tmp_path):
    with DaskCluster(tmp_path) as own:
        earlier = tmp_path / "earlier" / "ingest"
        earlier.mkdir(parents=True)
        (earlier / "__init__.py").write_text("", encoding="utf-8")
        own.worker(path=earlier.parent)
        done = build(home, own.address)
    assert done.returncode == 2
    assert "has no citedesk" in done.stderr
    assert "No module named 'ingest.cluster'" in done.stderr
    assert "install it there with its extra `cluster`" in done.stderr


@pytest.mark.skipif(not MAY_MOUNT, reason="only root may mount a small disk")
def test_a_worker_whose_disk_is_full_is_named(home, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'
    with DaskCluster(tmp_path) as own:
        own.worker("--no-nanny", "--local-directory", str(disk), before=["unshare", "-m", "sh", "-c", mount, str(disk)])
        done = build(home, own.address)
    assert done.returncode == 2
    assert re.search(r"the encoder's \d\d MB cannot be written \(No space left on device\)", done.stderr)
    assert "another --local-directory" in done.stderr


@pytest.mark.skipif(not MAY_MOUNT, reason="only root may mount a small disk")
def test_a_disk_that_fills_here_is_named_and_what_was_encoded_stays(cluster, home):
    target = home.parent / "disk" / "home"
    done, back = on_a_full_disk(home, 500, *command("build", target, cluster.address, "--encoder", "minilm"))
    assert "exit 2" in done.stdout
    assert "free space there and run `citedesk build` again" in done.stderr
    assert "Traceback" not in done.stderr
    kept = cached(back)
    assert 0 < kept < TEXTS
    assert build_fast(back).encoded == TEXTS - kept


def test_a_cluster_without_workers_is_not_waited_for_for_ever(tmp_path):
    with (
        DaskCluster(tmp_path) as own,
        Cluster(own.address, patience=0.5) as cluster,
        pytest.raises(ClusterError, match=rf"there was no worker for 0 s; start some with `dask worker {own.address}`"),
    ):
        list(cluster.map(abs, [-1]))


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(ingest.cluster, "REACH", 0.3)
    with pytest.raises(
        ClusterError, match=r"tcp://127\.0\.0\.1:1: no scheduler answers .*start one with `dask scheduler"
    ):
        Cluster("127.0.0.1:1")


@pytest.mark.parametrize("address", ["", "127.0.0.1", "tcp://127.0.0.1:x", "http://127.0.0.1:8786", "tcp://:8786"])
def test_what_is_no_address_of_a_scheduler_is_refused(address):
    with pytest.raises(ClusterError, match="no address of a scheduler; give one like tcp://127"):
        Cluster(address)


def test_an_address_in_the_clear_that_others_can_reach_is_refused(home):
    done = build(home, "tcp://192.0.2.1:8786")
    assert done.returncode == 2
    assert "whoever reaches this port can run code on every worker" in done.stderr
    assert "--plain-cluster" in done.stderr


def certificates(folder):
    """An authority, and a certificate and key for 127.0.0.1, as files."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "citedesk test")])
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(private)
    return {"ca-file": folder / "cert.pem", "cert": folder / "cert.pem", "key": folder / "key.pem"}


def test_a_cluster_speaks_tls_with_the_certificates_of_dasks_own_settings(home, alone, tmp_path):
    tls = certificates(tmp_path)
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    settings = {
        f"{prefix}CA_FILE": str(tls["ca-file"]), f"{prefix}CLIENT__CERT": str(tls["cert"]),
        f"{prefix}CLIENT__KEY": str(tls["key"]),
    }  # fmt: skip
    with DaskCluster(tmp_path, tls=tls) as own:
        own.worker()
        without = build(home, own.address)
        done = build(home, own.address, **settings)
    assert own.address.startswith("tls://")
    assert without.returncode == 2
    assert "TLS needs certificates, and Dask's settings name none" in without.stderr
    assert done.returncode == 0, done.stderr
    assert files(home) == alone


class OneWorker:
    """Stands for a cluster of one worker that gives an encoder's vectors of the samples after some change."""

    def __init__(self, change):
        self.said = []
        self.say = self.said.append
        self._vectors = change(OnnxEncoder(fast_encoder()).encode_document(SAMPLES))

    def run_on(self, worker, function, *given):
        return self._vectors


def test_a_worker_that_encodes_otherwise_is_refused_and_one_that_rounds_otherwise_is_told():
    encoder = OnnxEncoder(fast_encoder())
    turned = OneWorker(lambda vectors: np.roll(vectors, 1, axis=1))
    with pytest.raises(
        ClusterError, match=r"tcp://w:1: its vectors have a cosine of .*its processor calculates otherwise"
    ):
        _Giver(encoder, fast_encoder(), turned).give("tcp://w:1")
    broken = OneWorker(lambda vectors: vectors * np.nan)
    with pytest.raises(ClusterError, match="calculates otherwise"):
        _Giver(encoder, fast_encoder(), broken).give("tcp://w:1")
    rounded = OneWorker(lambda vectors: vectors + np.float32(1e-6))
    _Giver(encoder, fast_encoder(), rounded).give("tcp://w:1")
    assert ["rounds otherwise" in line for line in rounded.said] == [True]
    same = OneWorker(lambda vectors: vectors)
    _Giver(encoder, fast_encoder(), same).give("tcp://w:1")
    assert not same.said


def test_a_cache_has_each_missing_text_encoded_once_whatever_the_order(tmp_path):
    encoder = OnnxEncoder(fast_encoder())
    texts = ["a", "b", "a", "c", "d", "b", "e", "a"]
    asked = []

    def backwards(batches):
        held = list(batches)
        asked.extend(held)
        for batch in reversed(held):
            yield batch, encoder.encode_document(batch)

    with VectorCache(tmp_path / "vectors.sqlite", encoder) as cache:
        cache.encode(["d"])
        counts = list(cache.fill(texts, backwards, 2))
        assert asked == [("a", "b"), ("c", "e")]
        assert sum(counts) == len(texts)
        assert cache.encoded == 5
        before = cache.encode(texts)
        assert cache.encoded == 5
    np.testing.assert_array_equal(before, encoder.encode_document(texts))


def test_no_more_jobs_are_taken_than_keep_the_workers_busy(cluster):
    taken = []

    def jobs():
        for n in range(40):
            taken.append(n)
            yield -n

    with Cluster(cluster.address) as running:
        ahead = [len(taken) - len(given) for given in accumulated(running.map(abs, jobs()))]
    assert max(ahead) <= 2 * ingest.cluster.AHEAD + 1


def accumulated(results):
    given = []
    for job, result in results:
        assert result == -job
        given.append(job)
        yield given
    assert sorted(given) == [-n for n in reversed(range(40))]


def test_what_a_job_raises_names_the_worker(cluster):
    with (
        Cluster(cluster.address) as running,
        pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:\d+: ValueError: .*run the same"),
    ):
        list(running.map(int, ["no number"]))


def test_without_a_cluster_dask_is_not_loaded(home):
    code = (
        "import sys; from service.cli import main; main(sys.argv[1:]); "
        "print(json.dumps(sorted({'dask', 'distributed', 'tornado'} & set(sys.modules))), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}", "build", "--home", str(home), "--encoder", "minilm"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stderr.splitlines()[-1]) == []


def test_ctrl_c_ends_a_build_on_a_cluster_and_what_was_encoded_stays(cluster, coins, tmp_path):
    for number in range(3):
        home = copy_home(coins, tmp_path / f"home {number}")
        process = build_until_encoding(home, cluster.address)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        if process.returncode:
            break
        # A build that was done before the signal tells nothing; one that goes on after it fails here.
        assert (home / "snapshots" / "CURRENT").stat().st_mtime <= sent
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert cached(home) > 0
