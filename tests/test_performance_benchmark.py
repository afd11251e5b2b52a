"""The benchmark of performance: it counts what it says, asks what it says, and writes its report from what was measured."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.performance import building, environments, systems
from benchmarks.performance.__main__ import main as command
from benchmarks.performance.environments import Environment, NotInstalledError
from benchmarks.performance.plots import plots
from benchmarks.performance.products import MultiplyAdds, ProductCounter, Speed
from benchmarks.performance.systems import Kind, PeerError, System, Systems, memory
from benchmarks.performance.tables import tables
from index.encoder import MODEL, OnnxEncoder
from index.weights import exported
from service.settings import read_settings

WIDTH, INNER = 8, 32
SPREAD = {"p50": 20.0, "p95": 30.0, "p99": 40.0, "mean": 21.0}
MEMORY = {"pss": 200.0, "uss": 150.0}


def weights(name, *shape, kind=np.float32):
    return numpy_helper.from_array(np.ones(shape, kind), name)


@pytest.fixture
def graph(tmp_path):
    """A text's tokens through a table, two products in float, one in 8 bits, attention, and a product of the pooled vector."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("MatMul", ["words", "widen"], ["wide"]),
        helper.make_node("DynamicQuantizeMatMul", ["wide", "narrow", "scale"], ["states"], domain="com.microsoft"),
        helper.make_node("MultiHeadAttention", ["states"] * 3, ["mixed"], domain="com.microsoft", num_heads=2),
        helper.make_node("ReduceMean", ["mixed", "axis"], ["pooled"], keepdims=0),
        helper.make_node("Gemm", ["pooled", "out"], ["vectors"], transB=1),
    ]
    made = helper.make_graph(
        nodes, "encoder",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ("n", "tokens"))],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ("n", 4))],
        [
            weights("table", 10, WIDTH), weights("widen", WIDTH, INNER), weights("narrow", INNER, WIDTH, kind=np.int8),
            weights("scale", WIDTH), weights("out", 4, WIDTH), numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.mark.parametrize("tokens", [1, 5])
def test_the_multiply_adds_of_a_graph_are_counted_by_hand(graph, tokens):
    widened = tokens * WIDTH * INNER
    attended = 2 * tokens * tokens * WIDTH
    pooled = WIDTH * 4
    assert ProductCounter(graph).count(tokens) == MultiplyAdds(int8=widened, float32=widened + attended + pooled)


def test_an_encoder_of_ours_multiplies_what_its_layers_say():
    folder = exported("minilm", read_settings().cache)
    layers, width, inner, tokens = 6, OnnxEncoder(folder).dimension, 1536, 50
    counted = ProductCounter(folder / MODEL).count(tokens)
    assert counted.int8 == layers * tokens * (4 * width * width + 2 * width * inner)
    # Of the pooling, the mean over tokens may be written as a product as well.
    assert counted.float32 == pytest.approx(layers * 2 * tokens * tokens * width, rel=0.02)


def test_a_floor_is_the_time_of_both_kinds_of_products():
    work = MultiplyAdds(int8=300, float32=100) + MultiplyAdds(int8=100)
    assert Speed(int8=200.0, float32=50.0).seconds(work) == 4.0


def test_varied_passages_are_none_twice():
    real = ["one two three four five six", "seven eight nine ten", "eleven twelve thirteen"]
    made = list(building.varied(real, 50))
    assert len(made) == len(set(made)) == 50
    assert made[:3] == real
    assert made == list(building.varied(real, 50))


def test_embedding_is_measured_in_a_process_of_its_own():
    folder = exported("minilm", read_settings().cache)
    taken = building._apart(building._memory, folder, ["Kelpex sends withdrawals every ten minutes."] * 3, 20)
    assert taken["peak_mb"] >= taken["before_mb"] > 10


def test_citedesk_is_asked_by_lines_as_the_peers_are(small_home, tmp_path):
    system = Systems(small_home, tmp_path, tmp_path).start(Kind("citedesk", "citedesk", "own"))
    try:
        found = system.ask("How long does a withdrawal to a new address wait on Kelpex?")
        taken = system.memory()
    finally:
        system.stop()
    assert found["hits"][0] == "kelpex-withdrawals"
    assert found["ms"] >= found["stages"]["total"] > 0
    assert taken.pss >= taken.uss > 20


def test_a_peer_that_ends_is_said_with_its_last_words(tmp_path):
    with pytest.raises(PeerError, match="no such model"):
        System([sys.executable, "-c", "raise SystemExit('no such model')"], tmp_path / "log", {})


def test_what_cannot_be_installed_is_skipped_and_said(small_home, tmp_path, monkeypatch):
    def refused(command, **_):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(environments.subprocess, "run", refused)
    nowhere = Environment("nowhere", ("nothing==0",))
    with pytest.raises(NotInstalledError, match="nowhere cannot be installed"):
        nowhere.python(tmp_path)
    found = Systems(small_home, tmp_path, tmp_path)
    assert found.start(Kind("peer", "a peer", "own", nowhere)) is None
    assert found.skipped["peer"].startswith("nowhere cannot be installed")
    left_out = Systems(small_home, tmp_path, tmp_path, ("peer",))
    assert left_out.start(Kind("peer", "a peer", "own")) is None
    assert left_out.skipped == {"peer": "was left out"}


def test_the_memory_of_a_process_is_that_of_its_children_too():
    child = "a = bytearray(60_000_000); print(flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        taken = memory(process.pid)
        process.communicate(b"\n")
    assert taken.uss > 57


def measured():
    stages = dict.fromkeys(("question", "search", "read", "decide", "answer", "total"), SPREAD)
    own = {
        "what": "citedesk, with its reader",
        **SPREAD,
        "first": 90.0,
        "found": 0.9,
        "memory": MEMORY,
        "stages": stages,
    }
    peer = {**own, "what": "LangChain", "p50": 50.0, "stages": {}}
    when = {"date": "2026-11-23 06:00 UTC", "machine": "2 cores", "load": 0.1, "took_s": 60.0}
    starts = {"citedesk": {"seconds": 0.5, "memory": MEMORY}, "langchain": {"seconds": 6.0}}
    speed = {
        "sentence_transformers": {"per_second": 10.0, "cpu_ms": 200.0}, "citedesk": {"per_second": 50.0, "cpu_ms": 40.0},
        "ratio": 5.0, "cpu_ratio": 5.0, "cosine": 0.9995, "tokens": 90.0,
    }  # fmt: skip
    level = {
        "answers_per_second": 30.0, "cpu_ms": 40.0, **SPREAD, "tokens": 45.0, "floor_ms": 4.0, "floor_per_second": 250.0,
        "share": 0.1,
    }  # fmt: skip
    size = {
        "vectors_s": 1.0,
        "lexical_s": 2.0,
        "vectors_mb": 3.0,
        "graph_mb": 0.0,
        "lexical_mb": 4.0,
        "own_mb": 5.0,
        "mapped_mb": 6.0,
    }
    found = {"filter": "none", "recall": 0.981, "p50": 1.0, "p95": 2.0, "lexical_p50": 3.0, "lexical_p95": 4.0}
    return {
        "question": {
            **when, "systems": {"citedesk": own, "no_reader": own, "langchain": peer}, "starts": starts,
            "skipped": {"haiku": "ended: no network"},
            "server": {"seconds": 0.9, "ready": MEMORY, "memory": MEMORY, "served": 20},
        },
        "build": {
            **when, "speed": {"e5": speed},
            "memory": [{"passages": 1000, "seconds": 3.0, "before_mb": 100.0, "peak_mb": 101.0}],
        },
        "throughput": {
            **when, "speed": {"int8": 2e11, "float32": 8e10},
            "levels": [{"reader": reader, "askers": askers, **level} for reader in ("on", "off") for askers in (1, 2)],
        },
        "growth": [{"passages": count, **size, "found": [found | {"passages": count}]} for count in (10_000, 1_000)],
    }  # fmt: skip


def test_the_tables_are_written_from_what_was_measured():
    made = tables(measured())
    assert "| LangChain | 50.0 | 30.0 | 40.0 | 2.50 |" in made["question"]
    assert "| `citedesk ask` | 0.50 | 1.0 | 200 / 150 |" in made["starts"]
    assert "haiku.rag 0.6.0, its search: it ended: no network" in made["skipped"]
    assert "| e5 | 90 | 10.0 | 50.0 | 5.0 |" in made["build"]
    assert "| as served | 2 | 30.0 | 20 / 30 | 40.0 | 45 | 4.0 | 250 | 0.10 |" in made["throughput"]
    rows = made["growth"].splitlines()[2:]
    assert rows[0] == "| 1,000 | 3.0 | 7 | 5 + 6 | none | 1,000 | 0.981 | 1.0 / 2.0 | 3.0 / 4.0 |"
    assert rows[1].startswith("| 10,000 |")


def test_each_part_has_a_plot_that_follows_the_page():
    drawn = plots(measured())
    assert list(drawn) == ["question", "stages", "build", "throughput", "growth"]
    for drawing in drawn.values():
        ElementTree.fromstring(drawing)
        assert "prefers-color-scheme:dark" in drawing
        assert "#040404" not in drawing


def test_the_report_is_put_in_its_places_and_a_part_of_an_earlier_run_stays(tmp_path):
    earlier, scale, document = tmp_path / "performance.json", tmp_path / "scale.json", tmp_path / "performance.md"
    all_of_it = measured()
    scale.write_text(json.dumps({"machine": "2 cores", "sizes": all_of_it.pop("growth")}), encoding="utf-8")
    earlier.write_text(json.dumps(all_of_it), encoding="utf-8")
    names = tables(measured())
    document.write_text("".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in names), encoding="utf-8")
    given = ["--home", "none", "--only", "none", "--scale", str(scale), "--json", str(earlier)]
    assert command([*given, "--plots", str(tmp_path / "plots"), "--document", str(document)]) == 0
    written = document.read_text(encoding="utf-8")
    assert "| LangChain | 50.0 |" in written
    assert "| 1,000 | 3.0 | 7 |" in written
    assert len(list((tmp_path / "plots").glob("*.svg"))) == 5
    assert json.loads(earlier.read_text(encoding="utf-8")).keys() == {"question", "build", "throughput", "growth"}


def test_every_peer_has_pinned_versions():
    pinned = [kind.environment for kind in systems.KINDS if kind.environment]
    assert len(pinned) == 3
    for environment in pinned:
        assert environments.TORCH in environment.requirements
        assert all("==" in requirement for requirement in environment.requirements)
