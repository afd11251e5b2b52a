import pytest

from ingest.article import IngestError
from ingest.exchanges import load_directory, parse_directory, registered_domain

DIRECTORY = load_directory()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("do i owe binance money", ("Binance",)),
        ("BINANCE.US tax form", ("Binance.US",)),
        ("binance us withdrawals", ("Binance.US",)),
        ("krakken staking", ("Kraken",)),
        ("krkn staking", ("Kraken",)),
        ("bybt hedge mode", ("Bybit",)),
        ("how does okex pick", ("OKX",)),
        ("欧易的资金费率", ("OKX",)),
        ("на бинансе вывод", ("Binance",)),
        ("Krakende stop emri", ("Kraken",)),
        ("coin base account locked", ("Coinbase",)),
        ("sent from coinbase to kraken, not there", ("Coinbase", "Kraken")),
        ("gate.io api key", ("Gate.io",)),
        ("open the gate", ()),
        ("finance fees", ()),
        ("a balance of zero", ()),
        ("will i owe money?", ()),
    ],
)
def test_a_question_names_its_exchanges(question, expected):
    assert DIRECTORY.mentioned(question, fuzzy=True) == expected


def test_a_page_is_not_searched_for_typing_errors():
    assert DIRECTORY.mentioned("krakin is a word here, brake kraaken") == ("Kraken",)


@pytest.mark.parametrize(
    ("url", "trust"),
    [
        ("https://support.kraken.com/hc/en-us/articles/1", "official"),
        ("https://www.binance.com/en/support", "official"),
        ("https://kraken.com.evil.example/", "unknown"),
        ("https://notkraken.com/", "unknown"),
        ("https://docs.traderwagon.com/faq", "partner"),
        ("https://www.kdj.com/x", "aggregator"),
        ("file:///home/kraken.com/page.html", "unknown"),
        ("not an address", "unknown"),
    ],
)
def test_trust_goes_by_the_registered_domain(url, trust):
    assert DIRECTORY.trust(url) == trust


def test_a_domain_is_the_part_that_is_registered():
    assert registered_domain("https://a.b.example.co.uk/x") == "example.co.uk"


def test_an_exchange_that_only_an_article_names_is_known():
    assert DIRECTORY.with_names(["Kelpex"]).mentioned("fees on KELPEX?") == ("Kelpex",)


def test_the_longest_product_name_wins():
    assert list(DIRECTORY.products_in("Portfolio Margin and margin trading")) == ["Portfolio Margin", "Margin"]


def test_a_row_without_a_name_is_named():
    with pytest.raises(IngestError, match=r"mine\.toml: .*lacks 'name'"):
        parse_directory("[[exchange]]\naliases = ['x']", where="mine.toml")


def test_broken_toml_is_named():
    with pytest.raises(IngestError, match=r"mine\.toml: not valid TOML"):
        parse_directory("[[exchange", where="mine.toml")
