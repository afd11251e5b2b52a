"""The settings, read once at the edge from the command line and the environment."""

import os
from dataclasses import dataclass
from pathlib import Path

# The risk of a wrong refusal that is accepted unless the operator says otherwise.
DEFAULT_RISK = 0.05
# Passages up to which they are read ahead: with 55 KB each 0.55 GB, which is compared with its checksum when it is opened.
READ_AHEAD = 10_000


class SettingsError(ValueError):
    """A setting that cannot be used; the message says which, and what to give."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set.

    :ivar home: Where the corpus and the snapshots are; ``--home``, CITEDESK_HOME, or the platform's data folder.
    :ivar risk: The share of the answerable questions that may be refused so that more of the others are; CITEDESK_RISK.
    :ivar cache: Where exported encoders are kept, shared by all homes; CITEDESK_CACHE, or the platform's cache folder.
    :ivar milvus: The Milvus that passages are looked for in and builds send them to; CITEDESK_MILVUS. None: the snapshot's
        own indexes.
    :ivar read_ahead: Passages up to which a snapshot carries what the reader makes of them, see `service.read_ahead`;
        CITEDESK_READ_AHEAD, 0 for never.
    """

    home: Path
    cache: Path
    risk: float = DEFAULT_RISK
    milvus: str | None = None
    read_ahead: int = READ_AHEAD


def read_settings(home: str | None = None, risk: float | None = None) -> Settings:
    """Read the settings; what is given by the caller wins over the environment.

    :raises SettingsError: CITEDESK_RISK is not a share, CITEDESK_MILVUS no address, or CITEDESK_READ_AHEAD not a number.
    """
    if risk is None:
        try:
            risk = parse_risk(os.environ.get("CITEDESK_RISK") or str(DEFAULT_RISK))
        except ValueError as error:
            raise SettingsError(f"CITEDESK_RISK: {error}") from error
    return Settings(
        Path(home or os.environ.get("CITEDESK_HOME") or _platform("data")),
        Path(os.environ.get("CITEDESK_CACHE") or _platform("cache")),
        risk,
        _milvus(os.environ.get("CITEDESK_MILVUS")),
        _read_ahead(os.environ.get("CITEDESK_READ_AHEAD") or str(READ_AHEAD)),
    )


def _milvus(text: str | None) -> str | None:
    if text and not (text.startswith(("http://", "https://", "unix:")) or text.endswith(".db")):
        raise SettingsError(
            "CITEDESK_MILVUS: this is no address of a Milvus; give http://HOST:PORT, https://USER:PASSWORD@HOST/DATABASE, "
            "unix:PATH, or PATH.db for milvus-lite"
        )
    return text or None


def parse_risk(text: str) -> float:
    """Read a risk from text.

    :raises ValueError: It is no share.

    >>> parse_risk("0.05")
    0.05
    """
    try:
        risk = float(text)
    except ValueError:
        risk = -1.0
    if not 0.0 <= risk <= 1.0:
        raise ValueError(f"{text!r} is not a share; give a number from 0 to 1, such as {DEFAULT_RISK}")
    return risk


def _read_ahead(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise SettingsError(f"CITEDESK_READ_AHEAD: {text!r} is no number of passages; give one such as {READ_AHEAD}")
    return int(text)


def _platform(kind: str) -> str:
    import platformdirs

    find = platformdirs.user_data_dir if kind == "data" else platformdirs.user_cache_dir
    return find("citedesk", appauthor=False)
