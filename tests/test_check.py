"""The checker of a model's sentences: what a quote proves, and what it does not."""

import pytest

from ingest.exchanges import load_directory
from service.llm.check import Cited, faults

QUOTES = (
    "The maker fee is 0.1% and the taker fee is 0.2%.",
    "You cannot cancel a withdrawal once it is sent.",
    "Withdrawals of up to 5,000 USDT take 24 hours on Kraken, except on 3 May 2024.",
    "No, cross margin is not open to new accounts.",
)
SHOWN = (
    *QUOTES,
    "The maker fee is 0.1 percent.",
    "You can't cancel a withdrawal once it is sent.",
    "The taker fee is 0.2%, the maker fee 0.1%.",
    "Up to 5000 USDT take 24h on Kraken, except on May 3, 2024.",
)
REFUSED = {
    "The maker fee is 0.3%.": "figure",
    "The taker fee is 0.2 BTC.": "figure",
    "Withdrawals of at least 5,000 USDT take 24 hours on Kraken, except on 3 May 2024.": "figure",
    "Withdrawals of up to 5,000 USDT take 24 hours on Kraken, except on 4 May 2024.": "date",
    "Withdrawals of up to 5,000 USDT take 24 hours on Kraken, except on 3 June 2024.": "date",
    "Withdrawals of up to 5,000 USDT take 24 hours on Binance, except on 3 May 2024.": "exchange",
    "You can cancel a withdrawal once it is sent.": "negation",
    "You cannot cancel a deposit once it is sent.": "opposite",
    "You cannot cancel a withdrawal once it is sent, see help.example.com.": "link",
    "You cannot cancel a withdrawal of DOGE once it is sent.": "name",
    "Yes, cross margin is not open to new accounts.": "yes_no",
    "": "citation",
}


@pytest.fixture(scope="module")
def directory():
    return load_directory()


@pytest.mark.parametrize("said", SHOWN)
def test_what_a_quote_says_in_its_own_or_in_other_writing_is_shown(said, directory):
    assert faults(said, [Cited(QUOTES, exchange="Kraken")], directory) == ()


@pytest.mark.parametrize(("said", "fault"), REFUSED.items())
def test_what_no_quote_says_is_refused(said, fault, directory):
    assert fault in faults(said, [Cited(QUOTES, exchange="Kraken")], directory)


def test_nothing_is_proved_by_no_quote(directory):
    assert faults(QUOTES[0], [], directory) == ("citation",)


def test_a_title_may_lend_a_name_and_no_figure(directory):
    cited = [Cited(("It takes 24 hours.",), about="How long a PayPal deposit of 500 USD takes")]
    assert faults("A PayPal deposit takes 24 hours.", cited, directory) == ()
    assert "figure" in faults("It takes 24 hours for 500 USD.", cited, directory)


def test_what_is_far_from_the_quote_is_refused_whatever_else_it_says(directory):
    quote = [Cited((QUOTES[1],))]
    assert faults("you cannot cancel a withdrawal", quote, directory, lambda *_: 1.0) == ()
    assert faults("you cannot cancel a withdrawal", quote, directory, lambda *_: 0.7) == ("far",)
