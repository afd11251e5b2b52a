"""Which passages may be found, said once for every kind of index."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ingest.article import Trust


@dataclass(frozen=True, slots=True)
class Filters:
    """Which passages may be found: those that hold to all that is said. None says nothing, an empty set lets nothing through.

    :ivar exchanges: Only passages of articles about one of these; '' stands for articles about none.
    :ivar languages: Only passages of articles in one of these, as codes such as en.
    :ivar trusts: Only passages of articles whose site is as close to the exchange as one of these.
    :ivar products: Only passages of articles about one of these products, in any case.
    :ivar article: Only passages of the article of this id.
    """

    exchanges: frozenset[str] | None = None
    languages: frozenset[str] | None = None
    trusts: frozenset[Trust] | None = None
    products: frozenset[str] | None = None
    article: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether all passages may be found."""
        return self == Filters()

    @property
    def is_shut(self) -> bool:
        """Whether none may be found, whatever the corpus holds."""
        return any(values is not None and not values for values in self._sets())

    def marks(self) -> Iterator[frozenset[str]]:
        """Give, for each thing that is said but the article, the marks of which a passage has to bear one, see `marks_of`."""
        kinds = ("exchange", "language", "trust", "product")
        for kind, values in zip(kinds, self._sets(), strict=True):
            if values is not None:
                yield frozenset(_mark(kind, value) for value in values)

    def _sets(self) -> tuple[Collection[str] | None, ...]:
        return self.exchanges, self.languages, self.trusts, self.products


#: All passages may be found.
EVERYTHING = Filters()


def marks_of(exchange: str, language: str, trust: str, products: Collection[str]) -> tuple[str, ...]:
    """Give what an index writes down of a passage so that `Filters.marks` finds it.

    >>> marks_of("Kraken", "en", "official", ["Futures"])
    ('exchange=Kraken', 'language=en', 'trust=official', 'product=futures')
    """
    told = (("exchange", exchange), ("language", language), ("trust", trust))
    return (*(_mark(*one) for one in told), *(_mark("product", product) for product in products))


def _mark(kind: str, value: str) -> str:
    return f"{kind}={value.casefold() if kind == 'product' else value}"
