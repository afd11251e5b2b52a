"""Slang and typing errors."""

import pytest

from index.vocabulary import Vocabulary
from service.spelling import correct
from service.synonyms import expand

PASSAGES = [
    "A withdrawal to a new address waits for verification.", "The withdrawal fee depends on the network.",
    "Liquidation happens at the liquidation price.", "Staking rewards are paid weekly, deposits are free.",
]  # fmt: skip
WORDS = Vocabulary.of([(text, "en") for text in PASSAGES])
COMMON = {"shaking", "charge", "landlord"}


def spelt(text: str, language: str = "en") -> str:
    return correct(text, language, WORDS, names={"binance", "kelpex"}, is_word=COMMON.__contains__)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("my withdrawl is late", "my withdrawal is late"), ("Verificaton?", "verification?"), ("liqudiation, again", "liquidation, again"),
        ("the ntework", "the network"), ("wihtdrawal adress", "withdrawal address"), ("(deposist)", "(deposits)"), ("WITHDRAWL STUCK", "withdrawal STUCK"),
    ],
)  # fmt: skip
def test_a_misspelt_word_becomes_the_word_of_the_corpus(typed, meant):
    assert spelt(typed) == meant


@pytest.mark.parametrize(
    "text",
    [
        "shaking hands", "charge", "the landlord", "binance", "kelpex kelpx2", "NETWROK is a ticker", "0xwithdrawl", "bc1qwithdrawl9", "deposit@netwrok.com",
        "https://netwrok.com/adress", "24h", "fee", "netwrk-x", "一个地址", "completely different",
    ],
)  # fmt: skip
def test_names_tickers_numbers_addresses_and_words_stay(text):
    assert spelt(text) == text


def test_another_language_is_left_alone():
    assert spelt("die adresse und das netzwork", "de") == "die adresse und das netzwork"


def test_the_words_survive_being_written(tmp_path):
    WORDS.write(tmp_path)
    again = Vocabulary.open(tmp_path)
    assert again.counts == {"en": dict(WORDS.counts["en"])}
    assert again.nearest("withdrawl", "en") == "withdrawal"
    assert "withdrawal" in again
    assert Vocabulary.open(tmp_path / "none").counts == {}


def test_of_two_words_as_near_the_commoner_one_is_meant():
    words = Vocabulary.of([("stake", "en"), ("stage", "en"), ("stage again", "en")])
    assert words.nearest("stase", "en") == "stage"


@pytest.mark.parametrize(
    ("language", "typed", "written_out"),
    [
        ("en", "why the fuck is my wd stuck", "why is my withdrawal stuck"), ("en", "TP n SL on both", "take profit and stop loss on both"),
        ("en", "liq price of my iso perp", "liquidation price of my isolated margin perpetual contract"), ("en", "i'm kyc'd, w/ 2fa", "i'm identity verified KYC, with two-factor authentication 2FA"),
        ("en", "don’t", "don’t"), ("en", "a/sl", "a/sl"), ("en", "slow", "slow"), ("de", "w/o 2fa", "w/o 2fa"), ("en", "wtf", "wtf"),
        ("ru", "меня ликвиднуло", "меня ликвидировало позицию"), ("zh", "爆仓了怎么办", "爆仓强平清算了怎么办"), ("xx", "tp", "tp"),
    ],
)  # fmt: skip
def test_slang_is_written_out_in_its_own_language(language, typed, written_out):
    assert expand(typed, language) == written_out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("hw much do i get", "how much do i get"),
        ("wen unlock", "when unlock"),
        ("where do i get wiped", "where do i get liquidated"),
    ],
)
def test_short_question_words_of_traders_are_written_out(typed, meant):
    assert expand(typed) == meant
