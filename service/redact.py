"""Take secrets and personal data out of a text, so that they are never logged, stored or repeated."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from service.crypto_strings import broken_strings, hex_strings, private_blocks, strings
from service.found import Found
from service.personal import card_numbers, email_addresses, phone_numbers
from service.seed_phrases import seed_phrases
from service.told_secrets import issued_keys, told_secrets

__all__ = ["KINDS", "SECRETS", "Redacted", "redact"]

# Whoever has one of these has the money or the account: the asker is warned. The other kinds are personal data.
SECRETS = frozenset({"seed phrase", "private key", "API key", "password", "security code", "card number"})
KINDS = SECRETS | {"e-mail address", "phone number", "wallet address"}

# The order matters: what has a checksum before what has only a form, and what one finds is hidden from the next.
_FINDERS: tuple[Callable[[str], Iterable[Found]], ...] = (
    private_blocks,
    seed_phrases,
    issued_keys,
    hex_strings,
    strings,
    broken_strings,
    told_secrets,
    card_numbers,
    email_addresses,
    phone_numbers,
)
# Stands for what was found already; no finder reads across it.
_BARRIER = "\ufffc"
_PLACEHOLDER = re.compile(r"\[(?:" + "|".join(map(re.escape, sorted(KINDS))) + r")\]")
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
# A finding can take away the words by which another was passed over. Two rounds did for all texts that were tried.
_MOST_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text that may be kept.

    :ivar text: The text, with a placeholder such as ``[seed phrase]`` for everything that was found; the same text where
        nothing was.
    :ivar kinds: What was found, as ``KINDS`` names it.
    """

    text: str
    kinds: frozenset[str]

    @property
    def is_bare(self) -> bool:
        """Tell whether nothing is left but placeholders."""
        left = self.text
        for kind in self.kinds:
            left = left.replace(f"[{kind}]", "")
        return bool(self.kinds) and not any(character.isalnum() for character in left)


def redact(text: str) -> Redacted:
    """Replace secrets and personal data by placeholders.

    Characters that cannot be seen and other writings of digits and letters (full width, Arabic) hide nothing. Redacting
    the result again changes nothing. The time is linear in the length of the text.

    >>> redact("my 2fa code 123456 does not work, write to jo@example.org").text
    'my 2fa code [security code] does not work, write to [e-mail address]'
    """
    kinds: set[str] = set()
    for _ in range(_MOST_ROUNDS):
        found = _find(text)
        if not found:
            break
        kinds.update(str(one.kind) for one in found)
        text = _replaced(text, found)
    return Redacted(text, frozenset(kinds))


def _find(text: str) -> list[Found]:
    """Find everything that is to be replaced, in places of the text itself, in their order."""
    plain, places = _plain(text)
    plain = _hidden(plain, [Found(m.start(), m.end(), None) for m in _PLACEHOLDER.finditer(plain)])
    found: list[Found] = []
    for finder in _FINDERS:
        new = _apart(finder(plain))
        if new:
            plain = _hidden(plain, new)
            found += [one for one in new if one.kind is not None]
    found.sort()
    if places is None:
        return found
    return [Found(places[one.start], places[one.end - 1] + 1, one.kind) for one in found]


def _apart(found: Iterable[Found]) -> list[Found]:
    """Sort findings and leave out those that begin within another; the longer of two that begin together stays."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if kept and one.start < kept[-1].end:
            if one.end > kept[-1].end:
                kept[-1] = kept[-1]._replace(end=one.end)
            continue
        kept.append(one)
    return kept


def _hidden(text: str, found: Iterable[Found]) -> str:
    parts, end = [], 0
    for one in found:
        parts += [text[end : one.start], _BARRIER * (one.end - one.start)]
        end = one.end
    return "".join([*parts, text[end:]])


def _replaced(text: str, found: Iterable[Found]) -> str:
    parts, end = [], 0
    for one in found:
        parts += [text[end : one.start], f"[{one.kind}]"]
        end = one.end
    return "".join([*parts, text[end:]])


def _plain(text: str) -> tuple[str, list[int] | None]:
    """Write a text as the finders read it, and say where each character was; None where nothing moved."""
    forms = {char: _form(char) for char in set(text)}
    changed = {ord(char): form for char, form in forms.items() if form != char}
    if not changed:
        return text, None
    if all(len(form) == 1 for form in changed.values()):
        return text.translate(changed), None
    places = [place for place, char in enumerate(text) for _ in forms[char]]
    return text.translate(changed), places


@lru_cache(maxsize=4096)
def _form(char: str) -> str:
    """Give what a character looks like: nothing, a space, or letters and digits as ASCII has them."""
    category = unicodedata.category(char)
    if category == "Cf" or "\ufe00" <= char <= "\ufe0f" or char == "\u034f":
        return ""
    if category in ("Cc", "Cs", "Zs") and char not in "\n\r\t":
        return " "
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    return "-" if _DASHES.match(char) else unicodedata.normalize("NFKC", char)
