"""Which exchange and product a page or a question speaks of, and how near a web site is to an exchange.

The data is corpus/exchanges.toml; an operator's own file in the same format replaces it.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import idna
from rapidfuzz.distance import DamerauLevenshtein

from ingest.article import IngestError, Trust

# One typing error in a name of five letters or more. Shorter names (OKX, HTX) have too many neighbours among words.
FUZZY_FROM = 5
# "krakende", "binanceta", "кракеном": case endings that languages glue to a name.
LONGEST_ENDING = 3

_WORD = re.compile(r"[^\W_]+(?:[.'’-][^\W_]+)*")
# An address that every program reads alike: no blank, control character, backslash or second "@" up to the host's end.
# Of any other, one program could fetch the page of one host and another judge it by a second host.
_ADDRESS = re.compile(
    r"https?://(?:[^\s/?#@\\\x00-\x1f\x7f]*@)?(?P<host>[^\s/?#@:\\\[\]%\x00-\x1f\x7f]+)(?::\d{0,5})?(?:[/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
LONGEST_HOST = 253
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange as exchanges.toml lists it.

    :ivar aliases: Folded spellings, the name among them.
    :ivar terms: Folded words that name this exchange because only it uses them.
    :ivar exact: Its name is an ordinary word or a domain, so that typing errors are not forgiven.
    """

    name: str
    aliases: tuple[str, ...]
    domains: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """A product that exchanges offer, whatever each calls it."""

    name: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Directory:
    """The exchanges and products that are known."""

    exchanges: tuple[Exchange, ...]
    products: tuple[Product, ...] = ()
    aggregators: tuple[str, ...] = ()
    lookalikes: frozenset[str] = field(default_factory=frozenset)

    def with_names(self, names: Iterable[str]) -> "Directory":
        """Add the exchanges that a corpus's articles name and the file does not.

        >>> Directory(()).with_names(["Foo Exchange"]).mentioned("fees on foo exchange?")
        ('Foo Exchange',)
        """
        known = {alias for exchange in self.exchanges for alias in exchange.aliases}
        new = [Exchange(name, (fold(name),), exact=True) for name in dict.fromkeys(names) if fold(name) not in known]
        return Directory((*self.exchanges, *new), self.products, self.aggregators, self.lookalikes)

    def canonical(self, name: str) -> str | None:
        """Give the canonical name for a name or alias of one exchange, or None where it is not known."""
        folded = fold(name)
        for exchange in self.exchanges:
            if folded == fold(exchange.name) or folded in exchange.aliases:
                return exchange.name
        return None

    def mentioned(self, text: str, *, fuzzy: bool = False) -> tuple[str, ...]:
        """Name the exchanges that a text speaks of, in the order of their first mention.

        :param fuzzy: Forgive one typing error and understand an exchange's own product terms, as fits a
            question; a page spells the names right.
        """
        folded = fold(text)
        taken: list[tuple[int, int, str]] = []
        for alias, name, exact in self._aliases:
            ending = 0 if exact else LONGEST_ENDING
            for start, end in _occurrences(folded, alias, ending):
                if not any(start < old_end and old_start < end for old_start, old_end, _ in taken):
                    taken.append((start, end, name))
        if fuzzy:
            taken += self._misspelt(folded, taken)
            taken += [
                (position, position + len(term), exchange.name)
                for exchange in self.exchanges
                for term in exchange.terms
                for position, _ in _occurrences(folded, term, 0)
            ]
        return tuple(dict.fromkeys(name for _, _, name in sorted(taken)))

    def _misspelt(self, folded: str, taken: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
        found = []
        for match in _WORD.finditer(folded):
            word = match.group()
            if len(word) < FUZZY_FROM or word in self.lookalikes or any(s <= match.start() < e for s, e, _ in taken):
                continue
            for alias, name in self._fuzzy_names:
                if word[0] == alias[0] and DamerauLevenshtein.distance(word, alias, score_cutoff=1) == 1:
                    found.append((match.start(), match.end(), name))
                    break
        return found

    def products_in(self, text: str) -> dict[str, int]:
        """Count the mentions of each product in a text, most mentioned first."""
        folded = fold(text)
        taken: list[tuple[int, int]] = []
        counts: dict[str, int] = {}
        for alias, name in self._product_aliases:
            for start, end in _occurrences(folded, alias, 0):
                if not any(start < old_end and old_start < end for old_start, old_end in taken):
                    taken.append((start, end))
                    counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def owner(self, url: str) -> str | None:
        """Name the exchange that a web address belongs to by its registered domain, if it is one's own."""
        trust, name = self._site(url)
        return name if trust == "official" else None

    def trust(self, url: str) -> Trust:
        """Say how near a site is to an exchange, by the registered domain of its address.

        A row of the list that is longer than a registered domain, such as ``kelpex.zendesk.com``, counts for that host and
        the hosts below it alone. An address that programs read differently is of no site: its trust is unknown.

        :param url: The address that the page was fetched from; what a page says of itself proves nothing.
        """
        return self._site(url)[0]

    def _site(self, url: str) -> tuple[Trust, str | None]:
        host = host_name(url)
        domain = registered_domain(host) if host else None
        while host and domain:
            if host in self._sites:
                return self._sites[host]
            if host == domain:
                break
            host = host.partition(".")[2]
        return "unknown", None

    @cached_property
    def _sites(self) -> dict[str, tuple[Trust, str | None]]:
        sites: dict[str, tuple[Trust, str | None]] = {
            _listed(domain): ("aggregator", None) for domain in self.aggregators
        }
        sites |= {_listed(domain): ("partner", e.name) for e in self.exchanges for domain in e.partners}
        # Of two exchanges that list one domain the first is its owner.
        return sites | {_listed(domain): ("official", e.name) for e in reversed(self.exchanges) for domain in e.domains}

    @cached_property
    def _aliases(self) -> tuple[tuple[str, str, bool], ...]:
        # Longest first, so that "binance us" is not read as "binance".
        rows = [(alias, e.name, e.exact) for e in self.exchanges for alias in e.aliases]
        return tuple(sorted(rows, key=lambda row: -len(row[0])))

    @cached_property
    def _fuzzy_names(self) -> tuple[tuple[str, str], ...]:
        return tuple((fold(e.name), e.name) for e in self.exchanges if len(e.name) >= FUZZY_FROM and not e.exact)

    @cached_property
    def _product_aliases(self) -> tuple[tuple[str, str], ...]:
        rows = [(alias, product.name) for product in self.products for alias in product.aliases]
        return tuple(sorted(rows, key=lambda row: -len(row[0])))


def fold(text: str) -> str:
    """Fold case, width and white space, as names are compared.

    >>> fold("ＢＩＮＡＮＣＥ  Us")
    'binance us'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@lru_cache(maxsize=4096)
def host_name(url: str) -> str | None:
    r"""Give the host of a web address as it is looked up: lower case, international names in their ``xn--`` form.

    None for what has no name that was registered (numbers, ``localhost``, ``file:``), and for an address that is not
    written so that every program reads the same host in it.

    >>> host_name("https://Help.Kraken.com.:443/x"), host_name("https://kraken.com@evil.example/")
    ('help.kraken.com', 'evil.example')
    >>> host_name(r"https://evil.example\@kraken.com/"), host_name("http://127.0.0.1/")
    (None, None)
    """
    if "://" not in url:
        url = f"https://{url}" if "@" not in url else ""
    match = _ADDRESS.fullmatch(url)
    host = match["host"].lower().removesuffix(".") if match else ""
    if host and not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii").removesuffix(".")
        except idna.IDNAError:
            return None
    labels = host.split(".")
    if len(labels) < 2 or len(host) > LONGEST_HOST or _NUMBER.fullmatch(labels[-1]):
        return None
    return host if all(_LABEL.fullmatch(label) for label in labels) else None


def registered_domain(url: str) -> str | None:
    """Give the registered domain of a web address or host name by the public suffix list, or None.

    The list's private part counts: whoever has ``kelpex.github.io`` has registered that, not ``github.io``.
    """
    host = host_name(url)
    domain: str | None = _suffixes().privatesuffix(host) if host else None
    return domain


def load_directory(path: Path | None = None) -> Directory:
    """Read an exchanges.toml; without a path, the one that comes with citedesk.

    :raises IngestError: The file is missing, is no TOML, or a row lacks its name.
    """
    path = path or shipped_path()
    try:
        return parse_directory(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise IngestError(f"{path}: cannot read the list of exchanges ({error}); give it as a TOML file") from error


def parse_directory(text: str, *, where: str) -> Directory:
    """Parse the text of an exchanges.toml; see `load_directory`."""
    try:
        data = tomllib.loads(text)
        exchanges = tuple(_exchange(row) for row in data.get("exchange", []))
        products = tuple(Product(row["name"], _folded(row, "aliases")) for row in data.get("product", []))
    except tomllib.TOMLDecodeError as error:
        raise IngestError(f"{where}: not valid TOML: {error}") from error
    except KeyError as error:
        raise IngestError(f"{where}: an [[exchange]] or [[product]] lacks {error}; add it") from error
    except TypeError as error:
        raise IngestError(f"{where}: {error}; names are texts, all else is a list of texts") from error
    return Directory(
        exchanges, products, tuple(data.get("aggregators", [])), frozenset(fold(w) for w in data.get("lookalikes", []))
    )


def _exchange(row: dict[str, Any]) -> Exchange:
    return Exchange(
        row["name"],
        tuple(dict.fromkeys((fold(row["name"]), *_folded(row, "aliases")))),
        tuple(row.get("domains", [])),
        tuple(row.get("partners", [])),
        _folded(row, "terms"),
        bool(row.get("exact", False)),
    )


def _folded(row: dict[str, Any], key: str) -> tuple[str, ...]:
    if not isinstance(row.get(key, []), list):
        raise TypeError(f"{key} is {row[key]!r}")
    return tuple(fold(value) for value in row.get(key, []))


def _listed(domain: str) -> str:
    """Write a row's domain as `host_name` does, so that ``Kelpex.com`` and ``bücher.example`` are found."""
    return host_name(domain) or domain


def _occurrences(folded: str, alias: str, ending: int) -> list[tuple[int, int]]:
    """Find an alias as a word of its own, or with a short ending glued to it, as (start, end) offsets."""
    return [match.span() for match in _pattern(alias, ending).finditer(folded)]


@cache
def _pattern(alias: str, ending: int) -> re.Pattern[str]:
    if _UNSPACED.search(alias):
        return re.compile(re.escape(alias))
    tail = rf"[^\W\d_]{{0,{ending}}}" if ending and len(alias) >= FUZZY_FROM else ""
    # What stands before is looked at last: a pattern that begins with its letters is found 20 to 50 times as fast.
    name = re.escape(alias)
    return re.compile(rf"{name}(?<!\w{name}){tail}(?!\w)")


@cache
def _suffixes() -> Any:  # noqa: ANN401  (the library has no types)
    from publicsuffixlist import PublicSuffixList  # reads a list of 10,000 rows: only where a domain is asked for

    return PublicSuffixList()


def shipped_path() -> Path:
    """Give the path of the exchanges.toml that comes with citedesk."""
    packaged = Path(__file__).with_name("exchanges.toml")
    return packaged if packaged.exists() else Path(__file__).parents[1] / "corpus" / "exchanges.toml"
