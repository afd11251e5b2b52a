"""Who may call: keys, kept as hashes in the file keys.sqlite, and the origins that public ones are bound to."""

import hashlib
import ipaddress
import os
import re
import secrets
import sqlite3
import string
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

Kind = Literal["widget", "secret", "admin"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FORMAT = 1
#: Seconds after which the file is looked at again; with what reading it takes, a revocation counts within a second.
LOOK_AGAIN = 0.5
#: Seconds for which the keys that are known go on to count while the file cannot be read; then nobody is let in.
PATIENCE = 10.0
LONGEST_NAME = 100
MOST_ORIGINS = 100

# Seconds to wait for another process that writes: for whoever asks for the list or makes a key, and for a caller.
_WAIT, _BRIEF = 10.0, 0.1
_LETTERS = string.ascii_letters + string.digits
# 43 of 62 letters are 256 bits: nobody tries these out, so one round of SHA-256 keeps them as well as a slow hash.
_LENGTH = 43
_TEXT = re.compile(rf"cd[{''.join(kind[0] for kind in KINDS)}]_[0-9A-Za-z]{{{_LENGTH}}}")
# A file that changed so lately may change once more without its time telling: file systems count in ticks.
_UNSURE = 2.0
_HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_PORTS = {"http": 80, "https": 443}

_SCHEMA = f"""
CREATE TABLE keys (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN {KINDS}), name TEXT NOT NULL, origins TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE, created TEXT NOT NULL, revoked TEXT
) STRICT
"""
_COLUMNS = "id, kind, name, origins, created, revoked"


class KeysError(Exception):
    """A key cannot be made, or the file of keys cannot be used; the message says what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; its text is not.

    :ivar id: What it is called by in lists and logs; no secret.
    :ivar kind: ``widget`` is public, for browsers; ``secret`` is for a server; ``admin`` is for whoever runs the desk.
    :ivar name: What the operator calls it.
    :ivar origins: Where a widget key may be used, such as ``https://help.example.com`` or ``https://*.example.com``;
        empty for the other kinds.
    :ivar created: UTC, ISO 8601; ``revoked`` likewise, or None while it is in force.
    """

    id: str
    kind: Kind
    name: str
    origins: tuple[str, ...]
    created: str
    revoked: str | None

    def allows(self, origin: str) -> bool:
        """Tell whether a page of this origin may use the key, given as browsers send it in ``Origin``.

        Only widget keys allow any: a page that has another key has given it to everybody who reads it.

        >>> key = Key("1", "widget", "Help", ("https://*.example.com",), "2026-05-01T00:00:00+00:00", None)
        >>> key.allows("https://help.example.com"), key.allows("https://example.com"), key.allows("null")
        (True, False, False)
        """
        return any(_is_of(origin, allowed) for allowed in self.origins)


class KeyStore:
    """The keys of one home. Safe for many threads and processes; nothing stays open between two calls.

    A file that is not there holds no keys; it is made with the first one, readable by its owner alone.

    :param path: The file, HOME/keys.sqlite.
    :param clock: Seconds that never go back.
    :raises KeysError: The file is damaged or cannot be read.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[bytes, Key] = {}
        self._seen: tuple[int, ...] | None = None
        self._failure: str | None = None
        self._refresh(_WAIT)
        self._known = self._due = clock()

    def create(self, kind: Kind, name: str, origins: Sequence[str] = ()) -> tuple[Key, str]:
        """Make a key.

        :param name: 1 to `LONGEST_NAME` characters that can be printed; several keys may have the same.
        :param origins: For a widget key one or more, see `parse_origin`; for other kinds none.
        :returns: The key and its text, which cannot be had again.
        :raises KeysError: Something of it cannot be used, or the file cannot be written.
        """
        if kind not in KINDS:
            raise KeysError(f"{_shown(kind)} is no kind of key; give {', '.join(KINDS)}")
        text = f"cd{kind[0]}_" + "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
        key = Key(secrets.token_hex(6), kind, _checked_name(name), _checked_origins(kind, origins), _now(), None)
        with self._writing() as connection:
            connection.execute(
                f"INSERT INTO keys (digest, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (_digest(text), key.id, key.kind, key.name, " ".join(key.origins), key.created, None),
            )
        return key, text

    def list(self) -> list[Key]:
        """Give all keys, those that were revoked among them, oldest first.

        :raises KeysError: The file cannot be read.
        """
        return [key for _, key in self._read(_WAIT)]

    def revoke(self, id: str) -> bool:
        """Take a key out of force; there is no way back. Processes that serve notice it within a second.

        :returns: False if no key in force has this id.
        :raises KeysError: The file cannot be written.
        """
        if not self.path.exists():
            return False
        with self._writing() as connection:
            done = connection.execute(
                "UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (_now(), _text(id))
            )
            return done.rowcount > 0

    def find(self, text: str) -> Key | None:
        """Give the key in force that has this text, if there is one; any text may be asked.

        What is looked up is the text's hash, so that the time it takes tells nothing about the keys that there are.

        :raises KeysError: The file could not be read for `PATIENCE` seconds, so that nobody knows what was revoked.
        """
        self._look()
        return self._keys.get(_digest(text)) if _TEXT.fullmatch(text) else None

    def _look(self) -> None:
        """Look at the file again if it is time to."""
        if self._clock() >= self._due:
            with self._lock:
                if self._clock() >= self._due:
                    self._look_again()
        if self._failure is not None:
            raise KeysError(self._failure)

    def _look_again(self) -> None:
        now = self._clock()
        try:
            self._refresh(_BRIEF)
        except KeysError as error:
            self._failure = str(error) if now - self._known > PATIENCE else None
        else:
            self._known, self._failure = now, None
        self._due = now + LOOK_AGAIN

    def _refresh(self, timeout: float) -> None:
        """Read the file again if it is not the one that was read; only its time and size are asked as a rule."""
        seen = self._state()
        if seen is None or seen != self._seen:
            self._keys = {digest: key for digest, key in self._read(timeout) if key.revoked is None}
            self._seen = seen

    def _state(self) -> tuple[int, ...] | None:
        """Tell the file from others and from itself before a change; None while that is unsure."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise KeysError(f"{self.path}: cannot be read ({error.strerror}); check its rights") from error
        if abs(time.time() - stat.st_ctime) < _UNSURE:
            return None
        return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns

    def _read(self, timeout: float) -> Sequence[tuple[bytes, Key]]:
        if not self.path.exists():
            return []
        with self._opened(timeout) as connection:
            if not _is_begun(connection, self.path):
                return []
            rows = connection.execute(f"SELECT digest, {_COLUMNS} FROM keys ORDER BY created, rowid").fetchall()
        return [(row[0], Key(row[1], row[2], row[3], tuple(row[4].split()), row[5], row[6])) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing; make the file where there is none."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # made here, as SQLite would make it readable for others
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with suppress(PermissionError):  # it may be another's, and be written nevertheless
                self.path.chmod(0o600)
        except OSError as error:
            raise KeysError(f"{self.path}: cannot be written ({error.strerror}); check its rights") from error
        with self._opened(_WAIT) as connection:
            connection.execute("BEGIN IMMEDIATE")  # whoever closes without COMMIT has changed nothing
            if not _is_begun(connection, self.path):
                connection.execute(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {FORMAT}")
            yield connection
            connection.execute("COMMIT")
        self._due = -1.0

    @contextmanager
    def _opened(self, timeout: float) -> Iterator[sqlite3.Connection]:
        """Open the file, and say what to do where SQLite cannot go on."""
        try:
            # "rw" reads as well where the file or its disk cannot be written.
            address = f"file:{quote(os.fspath(self.path.absolute()))}?mode=rw"
            with closing(sqlite3.connect(address, uri=True, timeout=timeout, isolation_level=None)) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise KeysError(
                f"{self.path}: cannot be used ({error}); wait for another citedesk to end, or check the disk's space and rights"
            ) from error
        except sqlite3.DatabaseError as error:
            raise KeysError(
                f"{self.path}: not a readable file of keys ({error}); put a backup in its place, or move it away and make "
                "new keys with `citedesk keys create`"
            ) from error


def parse_origin(text: str) -> str:
    """Bring an origin to the form in which browsers send it.

    :param text: ``scheme://host[:port]`` with http or https; ``*.`` before the host stands for all below it, however
        deep, and not for itself.
    :raises KeysError: It is none, or so wide that strangers would be let in.

    >>> parse_origin("HTTPS://Bücher.example:443/"), parse_origin("https://*.example.com")
    ('https://xn--bcher-kva.example', 'https://*.example.com')
    """
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise _no_origin(text) from None
    if (
        parts.scheme not in _PORTS
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise _no_origin(text)
    wide, host = host.startswith("*."), host.removeprefix("*.")
    host = _checked_host(host, text)
    if wide and ("." not in host or _is_address(host) or _suffixes().publicsuffix(host) == host):
        raise KeysError(f"{_shown(text)} would let strangers in; name your own domain, such as https://*.example.com")
    ending = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{'*.' if wide else ''}{host}{ending}"


def _checked_host(host: str, text: str) -> str:
    import idna

    if ":" in host:
        try:
            return f"[{ipaddress.IPv6Address(host).compressed}]"
        except ValueError:
            raise _no_origin(text) from None
    try:
        host = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise _no_origin(text) from None
    if not _HOST.fullmatch(host) or (host.rpartition(".")[2].isdigit() and not _is_address(host)):
        raise _no_origin(text)
    return host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _is_of(origin: str, allowed: str) -> bool:
    before, wide, after = allowed.partition("*")
    if not wide:
        return origin == allowed
    if not origin.startswith(before) or not origin.endswith(after):
        return False
    return _HOST.fullmatch(origin[len(before) : len(origin) - len(after)]) is not None


def _no_origin(text: str) -> KeysError:
    return KeysError(
        f"{_shown(text)} is no origin; give scheme://host[:port] without a path, such as https://help.example.com"
    )


@cache
def _suffixes() -> "PublicSuffixList":
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise KeysError("a key needs a name, by which you know it again: where it is used, or who has it")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise KeysError(
            f"{_shown(name)} is no name for a key; give up to {LONGEST_NAME} characters that can be printed"
        )
    return name


def _checked_origins(kind: Kind, origins: Sequence[str]) -> tuple[str, ...]:
    if kind != "widget" and origins:
        raise KeysError(f"a key of kind {kind} belongs on a server, not on a page: it is bound to no origin")
    if kind == "widget" and not origins:
        raise KeysError(
            "a widget key is public: give the origins of the pages that may use it, such as https://help.example.com"
        )
    if len(origins) > MOST_ORIGINS:
        raise KeysError(
            f"{len(origins)} origins: a key has {MOST_ORIGINS} at most; make several keys, or use https://*.example.com"
        )
    return tuple(dict.fromkeys(map(parse_origin, origins)))


def _is_begun(connection: sqlite3.Connection, path: Path) -> bool:
    """Tell whether the file has its table; an empty one has not.

    :raises KeysError: It is of another format, or no file of keys.
    """
    version, tables = connection.execute(
        "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version"
    ).fetchone()
    if version == 0 and tables == 0:
        return False
    if version != FORMAT:
        raise KeysError(
            f"{path}: not a file of keys of format {FORMAT}; use the citedesk that wrote it, or move it away and make new keys "
            "with `citedesk keys create`"
        )
    return True


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("ascii")).digest()


def _text(argument: str) -> str:
    return argument.encode("utf-8", "replace").decode()


def _shown(text: object) -> str:
    return repr(text)[:LONGEST_NAME]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
