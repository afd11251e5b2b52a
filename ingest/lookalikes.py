"""Web sites that look like an exchange's own and are not: phishing mostly, so nothing of theirs is to be ingested unasked.

What counts is the host; a path may name whom it likes. Sites that exchanges.toml lists are never look-alikes.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from rapidfuzz.distance import DamerauLevenshtein

from ingest.exchanges import Directory, fold, host_name

# Names shorter than this have too many neighbours among words and other names: "ok", "htc" and "box" are no typing errors.
TYPO_FROM = 5
# From here on a name with one letter more or less, or under another ending, is still a typing error: "bing", "toro" and
# "bank" are not ones of BingX, eToro and LBank.
LONG_FROM = 7
# From here on two errors are one of a look-alike, where the host also lures.
VERY_LONG_FROM = 8


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a site that asks for a login or a seed phrase calls itself beside the exchange's name.
LURES = _words(
    """access account accounts airdrop alert announcement announcements
    app apps appeal assist assistance auth authentication aide ayuda ajuda bonus
    care cash center centre chat claim claims client connect contact crypto customer destek desk download earn event
    exchange finance free fund funds gift giris global help helpcenter helpcentre helpdesk helpline hilfe hotline id info
    kefu kyc live login log logon market markets mobile my myaccount official online page pay phone portal pro promo
    promotion recover recovery refund register reset restore reward rewards safe safety secure secured security service
    services session sign signin signup site soporte staking support suporte suspended team ticket token top trade trader
    traders trading unlock update user validate validation verification verified verify vip vhod wallet wallets web
    withdraw withdrawal вход поддержка помощь кошелек 客服 登录 钱包"""
)  # fmt: skip
# Alone these are too common in names; after a hyphen they lure: "kraken-us.com".
REGIONS = _words("asia br cn com de en es eu fr hk in intl io it jp kr net ng org ru tr uk us usa")
# Endings that only schools, governments and the like get, or one company: nobody registers a look-alike there.
CLOSED_SUFFIXES = frozenset(("ac", "edu", "gov", "int", "mil", "google"))

# Letters that pass for ASCII ones and that Unicode's own table of confusables gives to other letters or to none.
_ALSO_SEEN_AS = {
    "đ": "d", "ħ": "h", "ł": "l", "ø": "o", "þ": "p", "ı": "i", "ĸ": "k", "κ": "k", "к": "k", "т": "t", "τ": "t",
    "п": "n", "η": "n", "м": "m", "н": "h", "в": "b", "ь": "b", "β": "b", "ν": "v", "υ": "u", "ц": "u", "и": "u",
    "ε": "e", "г": "r", "я": "r", "ш": "w", "ω": "w", "χ": "x", "ß": "b", "æ": "ae", "œ": "oe",
}  # fmt: skip
_SEEN_ALIKE = str.maketrans("01i3458", "olleasb")
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_AUTHORITY = re.compile(r"\s*https?:[/\\]*([^/?#]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Brand:
    """A name that a look-alike may take.

    :ivar seen: The name as `_seen` folds it; ``spelled`` is the name itself.
    :ivar domain: The exchange's first domain, for the message.
    :ivar suffixes: What stands after the name in the exchange's domains.
    :ivar typos: Typing errors in it can be told from other names.
    """

    seen: str
    spelled: str
    exchange: str
    domain: str
    suffixes: frozenset[str]
    typos: bool


@dataclass(frozen=True, slots=True)
class _Host:
    """A host taken apart.

    :ivar name: The label that was registered; ``below`` are the labels in front of it, ``suffix`` what follows.
    :ivar parts: The words of the name, split at its hyphens, as `_seen` folds them.
    """

    host: str
    name: str
    suffix: str
    below: tuple[str, ...]
    parts: tuple[str, ...]

    @property
    def domain(self) -> str:
        """The registered domain."""
        return f"{self.name}.{self.suffix}"


def lookalike(url: str, directory: Directory) -> str | None:
    """Say in one sentence why an address's site looks like an exchange's and is not its own, or give None.

    :param url: The address as it was found; what is no web address, or has numbers for a host, is no look-alike.
    """
    judge, host = _judge(directory), host_name(url)
    if host and "@" not in url:
        return judge.reason(host)
    # People read the name in front of an "@", programs the one behind it; where programs differ, there is no host at all.
    match = _AUTHORITY.match(url)
    shown = judge.official_in(match[1].rpartition("@")[0] if host else match[1]) if match else None
    if shown:
        return f"{url[:100]!r} shows {shown} where it is not the name of the site"
    return judge.reason(host) if host else None


@lru_cache(maxsize=8)
def _judge(directory: Directory) -> "_Judge":
    return _Judge(directory)


class _Judge:
    """The names of one directory, and what was found out about hosts."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._domains = {d: e.name for e in directory.exchanges for d in e.domains}
        self._brands = {brand.seen: brand for brand in reversed(list(_brands(directory)))}
        self._typo_brands = tuple(brand for brand in self._brands.values() if brand.typos)
        full = (f"{re.escape(d).replace(chr(92) + '.', '[.-]')}" for d in sorted(self._domains, key=len, reverse=True))
        self._full = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(full)})(?![a-z0-9])") if self._domains else None
        self.reason = lru_cache(maxsize=65536)(self._reason)

    def official_in(self, text: str) -> str | None:
        """Give the official domain that stands in a text, its dots written as dots or hyphens."""
        match = self._full.search(text.lower()) if self._full else None
        return match.group() if match else None

    def _reason(self, host: str) -> str | None:
        if self._directory.trust(host) != "unknown":
            return None
        taken = _taken_apart(host)
        if taken is None:
            return None
        return self._named_in_full(taken) or self._named(taken) or self._named_below(taken) or self._misspelt(taken)

    def _named_in_full(self, host: _Host) -> str | None:
        """Look for a whole official domain: ``kraken.com.evil.example``, ``kraken-com.example``."""
        shown = self.official_in(".".join((*host.below, host.name)))
        return (
            f"{host.host} carries {shown} in its name and belongs to whoever has registered {host.domain}"
            if shown
            else None
        )

    def _named(self, host: _Host) -> str | None:
        """Look for an exchange's name in the registered one, also in other letters: ``kraken.help``, ``b1nance-support``."""
        brand = self._brands.get("".join(host.parts))
        if brand and not _is_closed(host):
            same = brand.spelled == host.name
            how = "has the name of" if same else "is written to look like"
            return f"{host.domain} {how} {brand.domain} ({brand.exchange}), which is another site"
        for part in host.parts:
            named = self._named_in(part)
            if named and (named[1] or _lures(host, without=part)):
                return f"{host.domain} has the name of {named[0].domain} ({named[0].exchange}) in its own, and is another site"
        return None

    def _named_below(self, host: _Host) -> str | None:
        """Look for a name below a foreign domain, with words that lure around it: ``login.coinbase.help-desk.example``."""
        for label in host.below:
            parts = _parts(label)
            for part in parts:
                named = self._named_in(part)
                others = [p for other in host.below for p in _parts(other) if p != part]
                if named and (named[1] or any(map(_is_made_of_lures, (*others, *host.parts, _seen(host.suffix))))):
                    return f"{host.host} names {named[0].exchange} and is a host of {host.domain}, not of {named[0].domain}"
        return None

    def _misspelt(self, host: _Host) -> str | None:
        word = "".join(host.parts)
        if fold(host.name) in self._directory.lookalikes:
            return None
        for brand in self._typo_brands:
            if _is_typo(word, brand, near=host.suffix in brand.suffixes, lured=_lures(host, without=word)):
                return f"{host.domain} is nearly {brand.domain} ({brand.exchange}), and is another site"
            for part in host.parts:
                if part != word and _is_typo(part, brand, near=True, lured=True) and _lures(host, without=part):
                    return (
                        f"{host.domain} has nearly the name of {brand.domain} ({brand.exchange}), and is another site"
                    )
        return None

    def _named_in(self, part: str) -> tuple[_Brand, bool] | None:
        """Give the brand that a word is or holds, and whether all the rest of the word lures: ``krakenlogin``."""
        if part in self._brands:
            return self._brands[part], False
        for brand in self._brands.values():
            if part.startswith(brand.seen):
                rest = part[len(brand.seen) :]
            elif part.endswith(brand.seen):
                rest = part[: -len(brand.seen)]
            else:
                continue
            if _is_made_of_lures(rest):
                return brand, True
        return None


def _brands(directory: Directory) -> Iterator[_Brand]:
    for exchange in directory.exchanges:
        domains = [d for d in exchange.domains if "." in d]
        if not domains:
            continue
        suffixes = frozenset(d.partition(".")[2] for d in domains)
        names = [re.sub(r"[^\w]", "", fold(exchange.name))]
        if not exchange.exact:
            # An ordinary word is no brand: "crypto" and "gate" are in thousands of names.
            names += [label for d in domains if (label := _label_of(d))]
            names += [
                alias
                for alias in exchange.aliases
                if alias.isalnum() and (len(alias) >= TYPO_FROM or not alias.isascii())
            ]
        for name in dict.fromkeys(names):
            seen = _seen(name)
            typos = (
                name.isascii() and len(name) >= TYPO_FROM and not exchange.exact and name not in exchange.aliases[1:]
            )
            yield _Brand(seen, name, exchange.name, domains[0], suffixes, typos)


def _label_of(domain: str) -> str | None:
    taken = _taken_apart(domain)
    return taken.name if taken else None


def _taken_apart(host: str) -> _Host | None:
    # Here ``binance.github.io`` is a name below GitHub's: whoever took it has registered no domain.
    domain = _suffixes().privatesuffix(host)
    if not domain:
        return None
    name, _, suffix = domain.partition(".")
    name = _shown(name)
    below = tuple(map(_shown, host.removesuffix(domain).rstrip(".").split("."))) if host != domain else ()
    return _Host(host, name, _shown(suffix), below, _parts(name))


def _shown(label: str) -> str:
    """Give a label as a browser would show it, were it not suspicious."""
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode").lower()
    except UnicodeError:
        return label


def _parts(label: str) -> tuple[str, ...]:
    return tuple(_seen(part) for part in label.split("-") if part)


@lru_cache(maxsize=65536)
def _seen(word: str) -> str:
    """Fold what looks alike into one letter: other scripts' letters, accents, digits for letters, ``rn`` for ``m``.

    >>> _seen("kraken") == _seen("krаkеn") == _seen("kråken"), _seen("b1nance") == _seen("blnance") == _seen("binance")
    (True, True)
    """
    if not word.isascii():
        plain = "".join(_ascii(char) for char in unicodedata.normalize("NFKD", word) if not unicodedata.combining(char))
        # A word that keeps a letter of another script is a word of that script: "пример" is not "npumep".
        word = plain if plain.isascii() else word
    word = word.translate(_SEEN_ALIKE)
    for pair, letter in _PAIRS:
        word = word.replace(pair, letter)
    return word


def _ascii(char: str) -> str:
    return char if char.isascii() else _ALSO_SEEN_AS.get(char) or _confusables().get(char, char)


def _is_typo(word: str, brand: _Brand, *, near: bool, lured: bool) -> bool:
    """Say whether a word is a brand with a typing error.

    :param near: It stands under an ending that the exchange uses.
    :param lured: The host has words that lure.
    """
    name = brand.seen
    if not word or word[0] != name[0] or word == name:
        return False
    most = 2 if lured and len(name) >= VERY_LONG_FROM else 1
    distance = DamerauLevenshtein.distance(word, name, score_cutoff=most)
    if distance > most:
        return False
    if len(name) >= VERY_LONG_FROM or lured:
        return True
    # A short name with a letter more or less is often another name, but for a letter written twice.
    alike = len(word) == len(name) or len(name) >= LONG_FROM or _once(word) == _once(name)
    return near and alike


def _once(word: str) -> str:
    return re.sub(r"(.)\1+", r"\1", word)


def _is_closed(host: _Host) -> bool:
    return not CLOSED_SUFFIXES.isdisjoint(host.suffix.split("."))


def _lures(host: _Host, *, without: str) -> bool:
    others = [part for part in host.parts if part != without]
    below = [part for label in host.below for part in _parts(label)]
    return any(map(_is_made_of_lures, (*others, *below, _seen(host.suffix)))) or any(
        part in _seen_regions() for part in others
    )


@lru_cache(maxsize=65536)
def _is_made_of_lures(word: str) -> bool:
    """Say whether a word is one or two words that lure."""
    lures = _seen_lures()
    if word in lures:
        return True
    return any(word[:cut] in lures and word[cut:] in lures for cut in range(2, len(word) - 1))


@cache
def _seen_lures() -> frozenset[str]:
    return frozenset(map(_seen, LURES))


@cache
def _seen_regions() -> frozenset[str]:
    return frozenset(map(_seen, REGIONS))


@cache
def _confusables() -> dict[str, str]:
    """Map characters of any script to the ASCII letter or digit that they look like, by Unicode's table of confusables."""
    from confusable_homoglyphs.confusables import confusables_data  # a megabyte: only where a host is not ASCII

    table: dict[str, str] = {}
    for char, rows in confusables_data.items():
        letters = sorted(
            row["c"].lower() for row in rows if len(row["c"]) == 1 and row["c"].isascii() and row["c"].isalnum()
        )
        if letters and not char.isascii():
            table[char] = letters[0]
    return table


@cache
def _suffixes() -> Any:  # noqa: ANN401  (the library has no types)
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=True)
