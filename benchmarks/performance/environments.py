"""An environment of its own for each peer: made once by venv and pip, with pinned versions, and kept under a cache folder."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# The CPU build; another version drags in gigabytes of CUDA.
TORCH = "torch==2.13.0"
# Seconds for one environment: half a gigabyte to two, over a slow line.
PATIENCE = 1800


class NotInstalledError(Exception):
    """A peer's environment cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed for one peer."""

    name: str
    requirements: tuple[str, ...]

    def folder(self, cache: Path) -> Path:
        """Give the folder of these very versions."""
        return cache / f"{self.name}-{hashlib.sha256(' '.join(self.requirements).encode()).hexdigest()[:8]}"

    def python(self, cache: Path) -> Path:
        """Give its Python; the environment is made if it is not there.

        :raises NotInstalledError: pip could not install it.
        """
        folder = self.folder(cache)
        program, done = folder / "bin" / "python", folder / ".installed"
        if done.exists():
            return program
        commands: tuple[tuple[str | Path, ...], ...] = (
            (sys.executable, "-m", "venv", "--clear", folder),
            (program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.requirements),
        )
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "install.log").open("wb") as log:
            for command in commands:
                try:
                    subprocess.run(command, stdout=log, stderr=log, check=True, timeout=PATIENCE)
                except (OSError, subprocess.SubprocessError) as error:
                    raise NotInstalledError(f"{self.name} cannot be installed ({error}); see {log.name}") from error
        done.touch()
        return program


LANGCHAIN = Environment(
    "langchain",
    (
        TORCH, "sentence-transformers==6.2.0", "transformers==5.23.0", "langchain-huggingface==1.2.3",
        "langchain-community==0.4.2", "langchain-text-splitters==1.1.3", "faiss-cpu==1.15.1",
    ),
)  # fmt: skip
# The newest haiku.rag that runs on Python 3.11; later ones want 3.12.
HAIKU = Environment("haiku-rag", (TORCH, "haiku.rag==0.6.0", "pysqlite3-binary==0.5.4.post2"))
TXTAI = Environment("txtai", (TORCH, "transformers==5.23.0", "txtai==9.14.0"))
