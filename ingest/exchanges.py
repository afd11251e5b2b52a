"""Which exchange and product a page or a question speaks of, and how near a web site is to an exchange.

The data is corpus/exchanges.toml; an operator's own file in the same format replaces it.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rapidfuzz.distance import DamerauLevenshtein

from ingest.article import IngestError, Trust

# One typing error in a name of five letters or more. Shorter names (OKX, HTX) have too many neighbours among words.
FUZZY_FROM = 5
# "krakende", "binanceta", "кракеном": case endings that languages glue to a name.
LONGEST_ENDING = 3

_WORD = re.compile(r"[^\W_]+(?:[.'’-][^\W_]+)*")
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
        domain = registered_domain(url)
        return next((e.name for e in self.exchanges if domain and domain in e.domains), None)

    def trust(self, url: str) -> Trust:
        """Say how near a site is to an exchange, by the registered domain of its address."""
        domain = registered_domain(url)
        if not domain:
            return "unknown"
        if any(domain in exchange.domains for exchange in self.exchanges):
            return "official"
        if any(domain in exchange.partners for exchange in self.exchanges):
            return "partner"
        return "aggregator" if domain in self.aggregators else "unknown"

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


def registered_domain(url: str) -> str | None:
    """Give the registered domain of a web address or host name by the public suffix list, or None."""
    if "://" in url and not url.startswith(("http://", "https://")):
        return None
    try:
        host = urlsplit(url).hostname if "://" in url else url.split("/")[0]
    except ValueError:
        return None
    if not host or "." not in host:
        return None
    domain: str | None = _suffixes().privatesuffix(host.lower())
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


def _occurrences(folded: str, alias: str, ending: int) -> list[tuple[int, int]]:
    """Find an alias as a word of its own, or with a short ending glued to it, as (start, end) offsets."""
    return [match.span() for match in _pattern(alias, ending).finditer(folded)]


@cache
def _pattern(alias: str, ending: int) -> re.Pattern[str]:
    if _UNSPACED.search(alias):
        return re.compile(re.escape(alias))
    tail = rf"[^\W\d_]{{0,{ending}}}" if ending and len(alias) >= FUZZY_FROM else ""
    return re.compile(rf"(?<!\w){re.escape(alias)}{tail}(?!\w)")


@cache
def _suffixes() -> Any:  # noqa: ANN401  (the library has no types)
    from publicsuffixlist import PublicSuffixList  # reads a list of 10,000 rows: only where a domain is asked for

    return PublicSuffixList()


def shipped_path() -> Path:
    """Give the path of the exchanges.toml that comes with citedesk."""
    packaged = Path(__file__).with_name("exchanges.toml")
    return packaged if packaged.exists() else Path(__file__).parents[1] / "corpus" / "exchanges.toml"
