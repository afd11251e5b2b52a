"""How names are found in a question."""

import time

import pytest

from ingest.exchanges import Directory, fold, load_directory
from ingest.mentions import Names, Spelling

DIRECTORY = load_directory()


@pytest.mark.parametrize(
    ("text", "exchanges"),
    [
        # Marks, endings, possessives
        ("fees @binance", ["Binance"]), ("#kraken down?", ["Kraken"]), ("binance's fee", ["Binance"]), ("Binance’s fee", ["Binance"]), ("krakens app", ["Kraken"]),
        ("binance'te komisyon", ["Binance"]), ("BİNANCE komisyon", ["Binance"]), ("okxte komisyon ne kadar", ["OKX"]), ("mexcde çekim", ["MEXC"]),
        ("z binance na krakena", ["Binance", "Kraken"]), ("support@kraken.com wrote me", ["Kraken"]), ("https://www.kraken.com/features says", ["Kraken"]),
        # Other scripts
        ("币安提币多久", ["Binance"]), ("在欧易怎么提现", ["OKX"]), ("Бинанс комиссия", ["Binance"]), ("на байбите", ["Bybit"]), ("バイナンスの手数料", ["Binance"]),
        ("바이낸스 수수료", ["Binance"]), ("كم رسوم بينانس", ["Binance"]), ("رسوم السحب ببينانس", ["Binance"]), ("बाइनेंस पर शुल्क", ["Binance"]), ("ביננס", ["Binance"]),
        # Glued and parted
        ("binancewithdrawal stuck", ["Binance"]), ("krakenfees", ["Kraken"]), ("#binancesupport help", ["Binance"]), ("mybinance acc", ["Binance"]),
        ("binance_support", ["Binance"]), ("kraken-pro fees", ["Kraken"]), ("hyper liquid fees", ["Hyperliquid"]), ("coin base", ["Coinbase"]),
        # Typing errors
        ("ibnance", ["Binance"]), ("binacne", ["Binance"]), ("coinbsae fee", ["Coinbase"]), ("krakne", ["Kraken"]), ("bybti", ["Bybit"]), ("kucion", ["KuCoin"]),
        # Several
        ("kraken or bybit lower fees?", ["Kraken", "Bybit"]), ("kraken/bybit/okx", ["Kraken", "Bybit", "OKX"]), ("binance.us or binance", ["Binance.US", "Binance"]),
        ("is it on binance. us residents", ["Binance"]), ("binance-us fees", ["Binance.US"]), ("binance_us", ["Binance.US"]),
        # Names that are words
        ("on gate how do i withdraw", ["Gate.io"]), ("gateio", ["Gate.io"]), ("crypto.com card", ["Crypto.com"]), ("gemini fees", ["Gemini"]),
        ("open the gate", []), ("i am at gate 5", []), ("crypto community", []), ("bit by bit i learn", []), ("a bit gets lost", []), ("by bits", []),
        ("financing my house", []), ("the balances", []), ("a blank page", []), ("revolution", []), ("a bitmap image", []), ("ok x is fine", []), ("crackers", []),
    ],
)  # fmt: skip
def test_a_question_names_exchanges(text, exchanges):
    assert list(DIRECTORY.mentioned(text, fuzzy=True)) == exchanges


@pytest.mark.parametrize("text", ["kelpexx fees", "kelpexs fees", "is kelpex ok", "keplex", "kelpexsupport"])
def test_a_long_name_that_only_the_articles_have_forgives_an_error(text):
    assert Directory(()).with_names(["Kelpex"]).mentioned(text, fuzzy=True) == ("Kelpex",)


@pytest.mark.parametrize("text", ["fops fees", "foxs", "foo", "fox"])
def test_a_short_or_spaced_name_that_only_the_articles_have_is_taken_as_it_is(text):
    assert Directory(()).with_names(["Fops Exchange", "Foxx"]).mentioned(text, fuzzy=True) == ()


def test_the_longer_name_counts():
    names = Names([Spelling("margin", "Margin"), Spelling("portfolio margin", "Portfolio Margin")])
    assert [mention.name for mention in names.find("portfolio margin and margin")] == ["Portfolio Margin", "Margin"]


def test_a_mention_says_where_it_is():
    text = fold("Fees on  KRAKEN'S app")
    (mention,) = DIRECTORY.mentions(text)
    assert text[mention.start : mention.end] == "kraken"


def test_an_exchanges_own_term_is_no_mention_but_names_it():
    assert DIRECTORY.mentions("what is unimmr", fuzzy=True) == []
    assert DIRECTORY.mentioned("what is unimmr", fuzzy=True) == ("Binance",)
    assert DIRECTORY.mentioned("what is unimmr") == ()


def test_names_are_found_in_well_under_a_millisecond():
    text = "wat happens w my iso perp on binnance if im liqd, can i get the margin bak or is it gone for good"
    DIRECTORY.mentioned(text, fuzzy=True)
    begun = time.perf_counter()
    for _ in range(100):
        DIRECTORY.mentioned(text, fuzzy=True)
    assert time.perf_counter() - begun < 0.3


class Looked:
    """Counts how often endings are looked for, which is done for a word of the text."""

    def __init__(self, monkeypatch):
        self.words = 0
        stem = Names._stem

        def counted(names, word):
            self.words += 1
            return stem(names, word)

        monkeypatch.setattr(Names, "_stem", counted)


def test_a_word_is_looked_at_once_however_often_it_stands_in_a_text(monkeypatch):
    looked = Looked(monkeypatch)
    assert len(DIRECTORY.mentions("a krakens " * 2000)) == 2000
    assert looked.words <= 4


@pytest.mark.parametrize("unit", ["kraken ", "币安", "binance us kraken "])
def test_four_times_the_names_take_nowhere_near_sixteen_times_the_time(unit):
    def seconds(times):
        text = unit * times
        taken = []
        for _ in range(3):
            begun = time.process_time()
            found = DIRECTORY.mentions(text)
            taken.append(time.process_time() - begun)
            assert len(found) >= times
        return min(taken)

    assert seconds(8000) < 8 * seconds(2000)  # by the square of their number it was 16 times


@pytest.mark.parametrize("fuzzy", [False, True])
def test_of_overlapping_names_the_longest_counts_wherever_it_begins(fuzzy):
    names = Names([Spelling("a b", "AB"), Spelling("b c d", "BCD"), Spelling("d e", "DE"), Spelling("e", "E")])
    assert [(m.name, m.start, m.end) for m in names.find("a b c d e", fuzzy=fuzzy)] == [("BCD", 2, 7), ("E", 8, 9)]
