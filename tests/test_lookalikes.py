"""Look-alikes, by tables of addresses.

`LOOKALIKES` and `INNOCENT` were written before the module was; `MORE_LOOKALIKES` and `MORE_INNOCENT` after it was finished on
those, and before it was changed again.
"""

import time

import pytest

from ingest.exchanges import load_directory, parse_directory
from ingest.lookalikes import lookalike

DIRECTORY = load_directory()


def _rows(table):
    return table.split()


LOOKALIKES = _rows("""
https://kraken.com.evil.example/hc/en-us
https://www.binance.com.security-check.net/login
https://support.kraken.com-help.info/
https://binance-support.com/
https://login.coinbase.help-desk.io/
https://support-okx.net/
https://kraken.help/
https://coinbase.support/
https://binance.exchange/
https://okx.vip/
https://bybit.cc/
https://krakken.com/
https://krakne.com/
https://kracken.com/
https://bimance.com/
https://binanc.com/
https://binnance.com/
https://coinbasse.com/
https://coinbas.com/
https://conbase.com/
https://b1nance.com/
https://blnance.com/
https://c0inbase.com/
https://0kx.com/
https://rnexc.com/
https://gernini.com/
https://krak3n.com/
https://kr\u0430ken.com/
https://www.b\u0456nance.com/en/support
https://\u0441oinbase.com/
https://\u043e\u043ax.com/
https://xn--krken-5qa.com/
https://bitstämp.net/
https://bybìt.com/
https://\u043akraken.com/
https://binancesupport.com/
https://kraken-login.com/
https://krakenwallet-verify.com/
https://loginkraken.com/
https://okxsupport.com/
https://htx-login.net/
https://verify-bybit.com/
https://coinbase-wallet.recovery-desk.com/
https://coinbase-login.web.app/
https://kraken-support.github.io/
https://binance-helpcenter.zendesk.com/
https://help.bitget.customer-care.org/
https://my-kucoin.account-verify.com/
https://secure-gemini.com/
https://gate-io.support/
https://gateio-login.com/
https://crypto-com-login.net/
https://bitfinex.pro/
https://bitsamp.net/
https://binance-us.support/
https://币安.com/
https://кракен-вход.рф/
https://kraken.com@evil.example/
https://coinbaseapp.net/
""")

INNOCENT = _rows("""
https://www.kraken.com/
https://support.kraken.com/hc/en-us/articles/1
https://futures.kraken.com/x
https://coinbase.com/
https://help.coinbase.com/en
https://login.coinbase.com/
https://www.binance.com/en/support
https://academy.binance.com/en
https://www.binance.us/
https://www.bybit.eu/
https://www.bybit.com.hk/
https://www.okx.com/help
https://www.okex.com/
https://www.gate.io/help
https://crypto.com/
https://docs.traderwagon.com/faq
https://www.kdj.com/binance
https://medium.com/binance-support
https://www.reddit.com/r/Kraken/
https://cointelegraph.com/news/binance-login-problem
https://www.coindesk.com/
https://bitcoin.org/
https://bitcoin.com/
https://ethereum.org/
https://en.wikipedia.org/wiki/Kraken_(cryptocurrency_exchange)
https://finance.yahoo.com/quote/COIN
https://ok.ru/
https://ok.com/
https://www.htc.com/
https://www.krakend.io/
https://krakenjs.com/
https://www.krakenrum.com/
https://kraken-riders.com/
https://gemini.google.com/app
https://support.google.com/gemini
https://www.gemini.edu/
https://binance.github.io/
https://github.com/binance/binance-spot-api-docs
https://www.bing.com/
https://www.toro.com/
https://bank.com/
https://www.ubank.com.au/
https://bitmark.com/
https://www.revolt.tv/
https://www.codebase.com/
https://www.budget.com/
https://www.bitwarden.com/
https://www.ledger.com/support
https://support.metamask.io/
https://www.trustpilot.com/review/kraken.com
https://web.archive.org/web/2024/https://www.kraken.com/
https://news.example.com/kraken.com/login
https://crypto.news/
https://crypto-support.org/
https://gate.org/
https://www.investopedia.com/binance-review
https://example.co.uk/
https://balance.com/
https://finance.com/
https://www.exchange.com/
https://help.com/
http://127.0.0.1:8000/kraken.com
http://localhost/kraken
http://[::1]/
file:///home/kraken-login.com/page.html
https://192.168.1.4/kraken-support
https://пример.рф/
https://münchen.de/
https://www.bitpay.com/
https://www.bitrefill.com/
https://www.upwork.com/
https://kraken.fandom.com/wiki/Kraken
https://coinbase.statuspage.io/
https://status.io/
https://www.hyperliquid.xyz/
https://www.dydx.exchange/
https://www.coinbasis.de/
https://xn--80ak6aa92e.com/
""")

MORE_LOOKALIKES = _rows("""
https://kucoin-id.com/
https://www.kucoln.com/
https://kuc0in.net/
https://bitgett.com/
https://bitqet.com/
https://mexc.support/
https://mexc-global.top/
https://mexcwallet.io/
https://bitmexlogin.com/
https://bltmex.com/
https://8inance.com/
https://8y8it.com/
https://deriblt.com/
https://deribit.com.trade-secure.io/
https://revolut-verification.com/
https://revoIut.com/
https://rev0lut.app/
https://robinhood-support-desk.com/
https://robinhod.com/
https://etoro.login-portal.net/
https://hyperliquid.fund/
https://hyperiiquid.xyz/
https://hyperliquid-airdrop.xyz/
https://dydx-claim.trade/
https://bitfiněx.com/
https://co\u03b9nbase.com/
https://support.coinbase-help-number.com/
https://coinbase.customer-service-number.us/
https://coinbaze.com/
https://phemex.app/
https://bitvav0.com/
https://huobi-vip.com/
https://okex.support/
https://bybit-announcement.com/
https://kraken-recovery.pages.dev/
https://binance.login-secure.com/
https://bianance.org/
https://upbit-kr.com/
https://wazirx-refund.in/
https://kraken.com-secure.help/
https://lbank.exchange-login.com/
https://xn--bbit-5ra.com/
""")

MORE_INNOCENT = _rows("""
https://www.bankofamerica.com/
https://www.bitdefender.com/
https://bitbucket.org/
https://www.bitwise.com/
https://coinmarketcap.com/exchanges/binance/
https://www.coingecko.com/en/exchanges/kraken
https://coinbureau.com/
https://coinbundle.com/
https://cointracker.io/
https://coindesk.com/
https://docs.ccxt.com/
https://www.tradingview.com/
https://support.apple.com/
https://help.uphold.com/
https://uphold.com/
https://www.bitso.com/
https://bitflyer.com/
https://bithumb.com/
https://www.bitmax.io/
https://exmo.com/
https://help.coincheck.com/
https://www.ubuntu.com/
https://orbit.com/
https://www.robin.com/
https://robinhoodradio.com/
https://www.revolve.com/
https://revolution.com/
https://www.etsy.com/
https://tor.com/
https://www.biggerpockets.com/
https://bingo.com/
https://geminiobservatory.org/
https://krakow.pl/
https://www.bitcoinbase.org/
https://okxo.com/
https://htx-lab.org/
https://support.ledger.com/
https://www.financemagnates.com/binance
https://support.binance.us/
https://wiki.archlinux.org/title/Kraken
https://paribas.com/
https://hyperfluid.com/
https://upbeat.com/
https://news.bitcoin.com/kraken-login
""")


@pytest.mark.parametrize("url", LOOKALIKES + MORE_LOOKALIKES)
def test_a_lookalike_is_flagged_and_never_official(url):
    assert lookalike(url, DIRECTORY)
    assert DIRECTORY.trust(url) == "unknown"


@pytest.mark.parametrize("url", INNOCENT + MORE_INNOCENT)
def test_an_innocent_site_is_not_flagged(url):
    assert lookalike(url, DIRECTORY) is None


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://kraken.help/x", "kraken.help has the name of kraken.com (Kraken), which is another site"),
        ("https://b1nance.com/", "b1nance.com is written to look like binance.com (Binance), which is another site"),
        ("https://coinbas.com/", "coinbas.com is nearly coinbase.com (Coinbase), and is another site"),
        (
            "https://login.coinbase.help-desk.io/",
            "login.coinbase.help-desk.io names Coinbase and is a host of help-desk.io, not of coinbase.com",
        ),
        (
            "https://kraken.com.evil.example/",
            "kraken.com.evil.example carries kraken.com in its name and belongs to whoever has registered evil.example",
        ),
        (
            "https://kraken.com@evil.example/",
            "'https://kraken.com@evil.example/' shows kraken.com where it is not the name of the site",
        ),
    ],
)
def test_the_sentence_names_both_sites(url, sentence):
    assert lookalike(url, DIRECTORY) == sentence


@pytest.mark.parametrize(
    "url",
    [
        r"https://evil.example\@kraken.com/",
        "https:/\\kraken.com@evil.example/",
        "https://kra\tken.com\\.evil.example@kraken.com",
    ],
)
def test_an_address_that_programs_read_differently_is_flagged_where_it_shows_an_exchange(url):
    assert lookalike(url, DIRECTORY)


OWN = """
[[exchange]]
name = "Kelpex"
domains = ["kelpex.com", "kelpex.zendesk.com"]
partners = ["kelpex-help.org"]
"""


@pytest.mark.parametrize(
    "url", ["https://kelpex.zendesk.com/hc", "https://a.kelpex.zendesk.com/", "https://kelpex-help.org/"]
)
def test_a_site_that_the_operator_lists_is_no_lookalike(url):
    assert lookalike(url, parse_directory(OWN, where="own.toml")) is None


@pytest.mark.parametrize(
    "url", ["https://kelpex-support.zendesk.com/hc", "https://kelpex.help/", "https://kelpex-login.org/"]
)
def test_a_site_that_the_operator_does_not_list_is_one(url):
    assert lookalike(url, parse_directory(OWN, where="own.toml"))


def test_a_directory_without_exchanges_has_no_lookalikes():
    assert lookalike("https://kraken.com.evil.example/", parse_directory("", where="none.toml")) is None


def test_many_addresses_of_few_hosts_are_judged_fast():
    urls = [f"https://help{host}.site{host % 97}.example/articles/{page}" for page in range(40) for host in range(200)]
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        for url in urls:
            lookalike(url, DIRECTORY)
        best = max(best, len(urls) / (time.perf_counter() - start))
    assert best > 2_000
