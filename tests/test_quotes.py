import pytest

from index.passages import answer_units
from index.search import Hit
from ingest.article import Article, Passage
from ingest.exchanges import load_directory
from ingest.sentences import sentences
from service.contacts import may_be_quoted
from service.evidence import Evidence, ReadSentence
from service.quotes import MOST_SENTENCES, choose


def evidence(text, best=0, *, id="a", score=10.0, question=None, trust="official", language="en"):
    """A passage that was read: the sentence ``best`` has its score, the others have less the farther they are."""
    bounds = answer_units(text, sentences(text, language))
    read = tuple(ReadSentence(*bound, score - 0.1 * abs(number - best)) for number, bound in enumerate(bounds))
    passage = Passage(f"{id}#0", id, (question,) if question else (), question, text, 0, len(text))
    page = Article(id, f"https://x/{id}", "T", "Kraken", (), language, trust, None, None, None, ())
    return Evidence(Hit(passage, 1.0, 1.0, 1.0), page, score, score, 1.0, read)


def shown(*found, **settings):
    return [[quote.evidence.text(sentence) for sentence in quote.shown] for quote in choose(found, **settings)]


def first(*found, **settings):
    return shown(*found, **settings)[0][0]


def test_the_sentence_that_answers_is_shown_first_and_the_quote_has_no_gap():
    found = evidence(
        "Funding is paid often. It is settled every 8 hours. The rate changes each time. Fees are low today.", best=2
    )
    quote = choose([found])[0]
    assert quote.evidence.text(quote.shown[0]) == "The rate changes each time."
    assert [found.text(s) for s in quote.sentences] == [found.text(s) for s in found.sentences]
    assert found.hit.passage.text[quote.start : quote.end] == found.hit.passage.text


@pytest.mark.parametrize(
    "leaning",
    ["In that case the coins are lost.", "The latter costs 2 USD more per trade.", "This also applies to futures and options.", "Note: fees apply to every order.",
     "(That is so for spot as well.)", "En ese caso las monedas se pierden.", "In diesem Fall sind die Coins verloren.", "此规则也适用于合约交易。", "For example, 2 BTC cost 1 USD."],
)  # fmt: skip
def test_a_sentence_that_hangs_on_the_one_before_brings_it_along(leaning):
    text = f"Deposits without a tag are not credited by Kraken. {leaning}"
    assert shown(evidence(text, best=1)) == [["Deposits without a tag are not credited by Kraken.", leaning]]


def test_a_sentence_that_hangs_on_one_left_out_gives_way_to_another_passage():
    hanging = evidence("This is why the coins are lost at once.", score=10.0)
    whole = evidence("Coins that are sent without a tag are lost.", id="a2", score=9.8)
    assert shown(hanging, whole) == [["Coins that are sent without a tag are lost."]]


def test_the_answer_of_a_faq_pair_may_hang_on_its_question():
    answer = "It takes three days from the request."
    assert first(evidence(answer, question="How long does unstaking take?")) == answer


@pytest.mark.parametrize("best", [0, 1, 2, 3])
def test_steps_are_whole_in_order_and_with_the_line_that_leads_in(best):
    lines = ["To unlock it, do this:", "1. Open the app.", "2. Tap Security.", "3. Tap Unlock."]
    assert shown(evidence("\n".join(lines), best=best)) == [lines]


def test_a_small_table_is_whole_and_of_a_long_one_the_row_is_shown():
    rows = [f"Tier: {n} | Fee: 0.{n}%" for n in range(1, 6)]
    assert shown(evidence("\n".join(rows), best=2)) == [rows]
    long = [f"Tier: {n} | Fee: 0.{n}%" for n in range(1, 30)]
    rows = shown(evidence("\n".join(long), best=12))
    assert len(rows) == 1
    assert long[12] in rows[0]
    assert rows[0] == [row for row in long if row in rows[0]]
    assert len(rows[0]) <= MOST_SENTENCES


def test_an_item_is_shown_with_its_list_and_its_lead_in():
    lines = ["You cannot withdraw while:", "- the account is locked", "- the hold lasts"]
    assert shown(evidence("\n".join(lines), best=2)) == [lines]


def test_an_item_of_a_long_list_is_shown_behind_its_lead_in_alone():
    lines = ["You cannot withdraw while:", *[f"- reason {n} holds" for n in range(20)]]
    assert shown(evidence("\n".join(lines), best=9), most=1) == [lines[:1], [lines[9]]]


def test_a_lead_in_without_what_it_leads_to_is_never_shown():
    assert shown(evidence("Kraken has two kinds of orders:")) == []


@pytest.mark.parametrize(
    "empty",
    ["Learn more in our guide to fees.", "See also: maker and taker fees.", "Click here to read the article.", "Is there a fee for this kind of order?", "Spot Trading Fees",
     "Más información en la página de comisiones.", "Weitere Informationen finden Sie hier im Artikel.", "了解更多关于手续费的信息。", "How to Send a Transaction with the App on Your Phone",
     "The fee is {{fee}} for each order.", "The fee is XX% for each order.", "The listing was on Invalid Date for all."],
)  # fmt: skip
def test_what_answers_nothing_is_never_shown(empty):
    text = f"Fees are taken from the order that is filled.\n{empty}"
    assert shown(evidence(text, best=1)) == [["Fees are taken from the order that is filled."]]
    assert shown(evidence(empty)) == []


def test_a_question_in_the_text_leads_to_the_sentence_behind_it():
    text = "Fees are low. Can the fee change? The fee changes with the volume of 30 days."
    assert first(evidence(text, best=1)) == "The fee changes with the volume of 30 days."


def test_a_reply_in_the_text_is_shown_with_its_question():
    assert shown(evidence("Can you cancel the order? Well, now you can.", best=1)) == [
        ["Can you cancel the order?", "Well, now you can."]
    ]


def test_a_faq_answer_is_whole_and_a_long_one_begins_with_its_yes_or_no():
    short = "No, it cannot be cancelled. Coins move on the chain. Kraken has no power over it."
    assert shown(evidence(short, best=2, question="Can I cancel?")) == [["No, it cannot be cancelled.", "Coins move on the chain.", "Kraken has no power over it."]]  # fmt: skip
    long = "No, it cannot be cancelled. " + " ".join(
        f"Reason {n} is that the {'very ' * 9}old rule stays." for n in range(9)
    )
    quotes = shown(evidence(long, best=6, question="Can I cancel?"))
    assert quotes[0][0] == "No, it cannot be cancelled."
    assert sum(map(len, quotes)) <= MOST_SENTENCES + 1


def test_a_yes_does_not_lead_where_none_is_asked_for():
    yes = evidence("Yes, Kraken liquidates the position near 40%.", score=10.0)
    plain = evidence("Kraken liquidates at a margin level of about 40%.", id="b", score=9.9)
    assert first(yes, plain, yes_no=False).startswith("Kraken")
    assert first(yes, plain, yes_no=True).startswith("Yes")


def test_a_yes_to_another_question_is_not_shown_behind_what_leads():
    plain = evidence("Kraken liquidates at a margin level of about 40%.", score=10.0)
    stray = evidence("No. Kraken pays no rewards in that time.", score=9.9, question="Do rewards go on?")
    assert len(shown(plain, stray, yes_no=False)) == 1
    depends = evidence("It depends on the coin how long it takes.", score=9.9)
    assert len(shown(plain, depends, yes_no=False)) == 2


def test_what_an_it_depends_depends_on_is_shown_before_other_passages():
    text = "It depends on the product. Futures are covered by a fund. Loans are not covered. Staking has no such risk."
    depends = evidence(text)
    others = [evidence(f"Withdrawals of kind {n} wait for a day.", score=9.95) for n in range(3)]
    assert shown(depends, *others)[0] == text.replace(". ", ".|").split("|")


def test_sentences_come_from_four_passages_at_most():
    texts = [
        "Makers pay 0.25%.",
        "Withdrawals wait for a day.",
        "Stakers wait longer than that.",
        "Codes change twice a minute.",
        "Bots need a key of their own.",
    ]
    found = [evidence(text, score=10 - 0.1 * n) for n, text in enumerate(texts)]
    assert [text for quote in shown(*found) for text in quote] == texts[:4]


def test_nothing_is_said_twice():
    one = evidence("A withdrawal to a new address waits for 24 hours.", score=10.0)
    again = evidence("- A withdrawal to a new address waits for 24 hours.", id="b", score=9.9)
    assert len(shown(one, again)) == 1


def test_what_differs_in_one_word_is_not_the_same():
    text = "A stop to sell follows the highest price of the coin. A stop to buy follows the lowest price of the coin."
    assert len(shown(evidence(text))[0]) == 2


def test_no_more_than_one_other_article_is_quoted_and_only_what_is_near():
    texts = ["Kraken charges 0.25% to makers.", "Stakers wait for three days.", "Withdrawals need a second code."]
    near = [evidence(text, id=str(n), score=10 - 0.1 * n) for n, text in enumerate(texts)]
    assert [quote.evidence.article.id for quote in choose(near)] == ["0", "1"]
    far = [evidence(text, id=str(n), score=10 - n) for n, text in enumerate(texts)]
    assert [quote.evidence.article.id for quote in choose(far)] == ["0"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Yes, you owe the loan after a liquidation.", "No, you owe no loan after a liquidation."),
     ("An account must hold at least 10 XRP.", "An account must hold at least 1 XRP.")],
)  # fmt: skip
def test_what_contradicts_the_lead_is_shown_however_far_behind_it_is(one, other):
    quotes = shown(
        evidence(one, score=10),
        evidence(other, id="b", score=5),
        evidence("Fees are low on Kraken.", id="c", score=9.9),
    )
    assert quotes[:2] == [[one], [other]]


def test_a_contact_is_quoted_from_official_pages_only():
    text = "Withdrawals take a day. If one is late, call Kraken at +1 888 555 0123."
    directory = load_directory()

    def allowed(piece, sentence):
        return may_be_quoted(sentence, piece.article.trust, directory)

    assert "+1 888 555 0123" in str(shown(evidence(text, best=1), allowed=allowed))
    for trust in ("unknown", "aggregator"):
        assert shown(evidence(text, best=1, trust=trust), allowed=allowed) == [["Withdrawals take a day."]]
    steps = "1. Open the app.\n2. Write to @kraken_help on Telegram @kraken_help."
    assert shown(evidence(steps, trust="unknown"), allowed=allowed) == []
