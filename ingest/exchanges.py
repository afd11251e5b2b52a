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

from ingest.article import IngestError, Trust
from ingest.mentions import Mention, Names, Spelling, words_of

# An exchange that only the articles name is found with endings and typing errors from so many letters on: nobody has
# said which ordinary words its name resembles.
LOOSE_FROM = 6

# An address that every program reads alike: no blank, control character, backslash or second "@" up to the host's end.
# Of any other, one program could fetch the page of one host and another judge it by a second host.
_ADDRESS = re.compile(
    r"https?://(?:[^\s/?#@\\\x00-\x1f\x7f]*@)?(?P<host>[^\s/?#@:\\\[\]%\x00-\x1f\x7f]+)(?::\d{0,5})?(?:[/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
# The dotless i, and the dot that the lower case of the dotted capital keeps.
_TURKISH = {0x131: "i", 0x307: None}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
LONGEST_HOST = 253


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
        new = [
            Exchange(name, (fold(name),), exact=" " in fold(name) or len(name) < LOOSE_FROM)
            for name in dict.fromkeys(names)
            if fold(name) not in known
        ]
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

        :param fuzzy: As in `mentions`; an exchange's own product terms then name it too, as fits a question.
        """
        found = self.mentions(text, fuzzy=fuzzy)
        if fuzzy:
            found = sorted([*found, *self._terms.find(fold(text))], key=lambda mention: mention.start)
        return tuple(dict.fromkeys(mention.name for mention in found))

    def mentions(self, text: str, *, fuzzy: bool = False) -> list[Mention]:
        """Find the names of exchanges in a text, in order; the offsets are those of ``fold(text)``.

        :param fuzzy: Forgive one typing error and understand names that are glued to other words; a page spells
            the names right.
        """
        return (self._fuzzy_names if fuzzy else self._names).find(fold(text), fuzzy=fuzzy)

    def products_in(self, text: str) -> dict[str, int]:
        """Count the mentions of each product in a text, most mentioned first."""
        counts: dict[str, int] = {}
        for mention in self._product_names.find(fold(text)):
            counts[mention.name] = counts.get(mention.name, 0) + 1
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
    def name_words(self) -> frozenset[str]:
        """The folded words that the names of exchanges are made of."""
        return frozenset(word for spelling in self._spellings() for word in words_of(spelling.text))

    @cached_property
    def _names(self) -> Names:
        return Names(self._spellings())

    @cached_property
    def _fuzzy_names(self) -> Names:
        return Names(self._spellings(), self.lookalikes)

    @cached_property
    def _terms(self) -> Names:
        return Names(Spelling(term, exchange.name) for exchange in self.exchanges for term in exchange.terms)

    def _spellings(self) -> list[Spelling]:
        return [Spelling(alias, e.name, loose=not e.exact) for e in self.exchanges for alias in e.aliases]

    @cached_property
    def _product_names(self) -> Names:
        return Names(Spelling(alias, product.name) for product in self.products for alias in product.aliases)


def fold(text: str) -> str:
    """Fold case, width and white space, as names are compared.

    >>> fold("ＢＩＮＡＮＣＥ  Us")
    'binance us'
    >>> fold("BİNANCE"), fold("BINANCE".replace("I", "ı"))
    ('binance', 'binance')
    """
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_TURKISH)
    return " ".join(folded.split())


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


@cache
def _suffixes() -> Any:  # noqa: ANN401  (the library has no types)
    from publicsuffixlist import PublicSuffixList  # reads a list of 10,000 rows: only where a domain is asked for

    return PublicSuffixList()


def shipped_path() -> Path:
    """Give the path of the exchanges.toml that comes with citedesk."""
    packaged = Path(__file__).with_name("exchanges.toml")
    return packaged if packaged.exists() else Path(__file__).parents[1] / "corpus" / "exchanges.toml"
