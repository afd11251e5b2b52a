"""The settings, read once at the edge from the command line and the environment."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set.

    :ivar home: Where the corpus and the snapshots are; ``--home``, CITEDESK_HOME, or the platform's data folder.
    :ivar cache: Where exported encoders are kept, shared by all homes; CITEDESK_CACHE, or the platform's cache folder.
    """

    home: Path
    cache: Path


def read_settings(home: str | None = None) -> Settings:
    """Read the settings; what is given by the caller wins over the environment."""
    return Settings(
        Path(home or os.environ.get("CITEDESK_HOME") or _platform("data")),
        Path(os.environ.get("CITEDESK_CACHE") or _platform("cache")),
    )


def _platform(kind: str) -> str:
    import platformdirs

    find = platformdirs.user_data_dir if kind == "data" else platformdirs.user_cache_dir
    return find("citedesk", appauthor=False)
