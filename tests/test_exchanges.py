import pytest

from ingest.article import IngestError
from ingest.exchanges import host_name, load_directory, parse_directory, registered_domain

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


@pytest.mark.parametrize(
    "url",
    [
        "https://KRAKEN.com/x",
        "HTTPS://www.Kraken.COM",
        "https://kraken.com./x",
        "https://kraken.com:443/x",
        "https://kraken.com?x",
        "https://kraken.com#x",
        "https://user:word@kraken.com/x",
        "https://ｋｒａｋｅｎ.com/",
        "https://kraken。com/",
        "https://kraken.com/a path\\with\tanything@evil.example",
        "kraken.com",
        "support.kraken.com/hc",
    ],
)
def test_an_address_of_an_exchange_is_known_however_it_is_written(url):
    assert (DIRECTORY.trust(url), DIRECTORY.owner(url)) == ("official", "Kraken")


@pytest.mark.parametrize(
    "url",
    [
        "https://kraken.com@evil.example/",
        "https://kraken.com:443@evil.example/",
        "https://evil.example/@kraken.com",
        "https://evil.example?@kraken.com/",
        "https://evil.example#@kraken.com/",
        r"https://evil.example\@kraken.com/",
        r"https://kraken.com\@evil.example/",
        r"https://evil.example\.kraken.com/",
        r"https:/\kraken.com/",
        r"https:\\kraken.com/",
        "https:/kraken.com/",
        "https:///kraken.com/",
        "https:kraken.com",
        "https://evil.example\t@kraken.com/",
        "https://kra\nken.com/",
        "https://kraken.com\x00.evil.example/",
        " https://kraken.com/",
        "https://a@b@kraken.com/",
        "https://kraken.com:x/",
        "https://kraken.com..evil.example/",
        "https://kraken.com../",
        "https://.kraken.com/",
        "https://%6braken.com/",
        "https://kraken%2ecom/",
        "https://[kraken.com]/",
        "https://kra\u200dken.com/",
        "https://xn--krken-5qa.com/",
        "https://kr\u0430ken.com/",
        "https://xn--kraken.com-.example/",
        "https://notkraken.com/",
        "https://com/",
        "ftp://kraken.com/",
        "javascript://kraken.com/%0a",
        "file://kraken.com/x",
        "mailto:help@kraken.com",
        "help@kraken.com",
        "",
        "https://",
        "https://" + "a" * 64 + ".kraken.com/",
        "https://" + "a." * 130 + "kraken.com/",
    ],
)
def test_an_address_that_is_no_exchanges_for_every_program_is_not_trusted(url):
    assert (DIRECTORY.trust(url), DIRECTORY.owner(url)) == ("unknown", None)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0x1/",
        "http://1.2.3.0x4/",
        "http://[::1]/",
        "http://[::ffff:1.2.3.4]/",
        "http://localhost:8000/",
        "http://10.0.0.1./",
    ],
)
def test_a_number_or_a_local_name_is_no_registered_domain(url):
    assert host_name(url) is None
    assert registered_domain(url) is None


HOSTED = """
aggregators = ["zendesk.com", "github.io"]

[[exchange]]
name = "Kelpex"
domains = ["Kelpex.zendesk.com", "kelpex.github.io", "BÜCHER.example"]
"""


@pytest.mark.parametrize(
    ("url", "trust"),
    [
        ("https://kelpex.zendesk.com/hc/en-us", "official"),
        ("https://eu.kelpex.zendesk.com/", "official"),
        ("https://other.zendesk.com/", "aggregator"),
        ("https://notkelpex.zendesk.com/", "aggregator"),
        ("https://kelpex.zendesk.com.evil.example/", "unknown"),
        ("https://kelpex.github.io/help", "official"),
        # Whoever lists a public suffix has listed nobody's site.
        ("https://other.github.io/", "unknown"),
        ("https://www.bücher.example/", "official"),
        ("https://www.xn--bcher-kva.example/", "official"),
    ],
)
def test_a_hosted_help_centre_is_listed_by_its_whole_host(url, trust):
    assert parse_directory(HOSTED, where="own.toml").trust(url) == trust


def test_every_listed_site_is_one_that_can_be_registered():
    listed = [d for e in DIRECTORY.exchanges for d in (*e.domains, *e.partners)] + list(DIRECTORY.aggregators)
    assert [domain for domain in listed if registered_domain(domain) != domain] == []


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
