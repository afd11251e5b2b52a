import pytest

from ingest.exchanges import load_directory
from service.conflicts import contradict
from service.contacts import contacts, may_be_quoted
from service.stance import is_yes_no, stance
from service.wording import leans, same, says_nothing


@pytest.mark.parametrize(
    "text",
    ["It depends on the product.", "It is possible to cancel the order.", "It takes up to 3 days.", "Both makers and takers pay a fee.", "Das Konto wird gesperrt.", "Not all coins need a memo.",
     "The first deposit is held for 72 hours.", "No, this is not so.", "提现需要一天。", "The following coins are supported."],
)  # fmt: skip
def test_what_stands_by_itself_does_not_lean(text):
    assert not leans(text)


@pytest.mark.parametrize(
    "text",
    ["However, fees apply.", "They are lost.", "Without one, the key expires.", "Spot margin has no such floor.", "此功能已关闭。", "このため、手数料がかかります。", "Это не так.", "Bu işlem geri alınamaz.",
     "이 경우 자금이 잠깁니다.", "Lưu ý: phí có thể thay đổi.", "Hinweis: Gebühren fallen an."],
)  # fmt: skip
def test_what_points_back_leans(text):
    assert leans(text)


@pytest.mark.parametrize(("text", "value"), [
    ("Yes, you can.", "yes"), ("Yes you can.", "yes"), ("是的，可以提现。", "yes"), ("はい、できます。", "yes"), ("네, 가능합니다.", "yes"), ("نعم، يمكنك ذلك.", "yes"), ("Sí, puedes.", "yes"),
    ("No. It is not.", "no"), ("不可以撤销。", "no"), ("いいえ、できません。", "no"), ("아니요, 불가능합니다.", "no"), ("Nein, das geht nicht.", "no"), ("Нет, нельзя.", "no"),
    ("It depends on the key.", "depends"), ("Not always.", "depends"), ("Зависит от продукта.", "depends"), ("Yes and no. It varies.", "depends"), ("A: Yes, you can.", "yes"), ("答：不可以撤销。", "no"), ("A: Write to us.", None),
    ("No page says so.", None), ("不同的交易所规则不同。", None), ("네트워크 수수료가 있습니다.", None), ("Yes or no: choose one.", None), ("SIM cards can be swapped.", None), ("否则会被拒绝。", None),
])  # fmt: skip
def test_a_stance_is_what_a_sentence_begins_with(text, value):
    assert stance(text) == value


@pytest.mark.parametrize(("question", "asked"), [
    ("can i cancel it", True), ("so is there a fee?", True), ("after it blows up do i owe you", True), ("能撤销吗", True), ("iptal edebilir miyim", True), ("kann ich das stornieren", True), ("можно ли отменить", True),
    ("how do i cancel it", False), ("what is the fee", False), ("wie lange dauert es", False), ("手续费是多少", False), ("min order size btc", False),
])  # fmt: skip
def test_a_yes_or_no_question_is_known_by_its_wording(question, asked):
    assert is_yes_no(question) == asked


@pytest.mark.parametrize(
    "text",
    [
        "For more information, see the fee page.",
        "Más detalles",
        "Подробнее о комиссиях читайте здесь.",
        "https://x.com/help",
        "[[toc]]",
        "---",
        "Let's begin!",
        "image (1).png",
    ],
)
def test_pointers_and_leftovers_say_nothing(text):
    assert says_nothing(text)


@pytest.mark.parametrize(
    "text",
    ["See the balance under Assets after the deposit is credited.", "More than 10 coins are supported.", "Fee: 0.1%"],
)
def test_what_only_begins_alike_says_something(text):
    assert not says_nothing(text)


@pytest.mark.parametrize(("one", "other", "equal"), [
    ("A new address waits for 24 hours.", "1. A new address waits for 24 hours", True),
    ("A new address on Kraken always waits for exactly 24 hours before use.", "A new address on Kraken waits for exactly 24 hours before use.", True),
    ("A new address waits for 24 hours.", "A new address waits for 48 hours.", False),
    ("Makers pay a fee of 1% on every single order there.", "Takers pay a fee of 1% on every single order there.", False),
    ("Yes, the order can be cancelled at any time.", "No, the order can be cancelled at any time.", False),
])  # fmt: skip
def test_sentences_are_the_same_only_if_nothing_is_turned_round(one, other, equal):
    assert same(one, other) == same(other, one) == equal


@pytest.mark.parametrize(("one", "other", "against"), [
    ("The reserve of an account is 10 XRP.", "The reserve of an account is 1 XRP.", True),
    ("The reserve of an account is 10 XRP.", "The reserve of an account is 10 XRP since 2024.", False),
    ("The fee was changed in the year 2024 there.", "The fee was changed in the year 2025 there.", False),
    ("No, coins cannot be recovered from a wrong chain.", "Yes, you can trade futures with a sub-account.", False),
    ("Maker orders cost 0.1% on the spot market.", "A withdrawal of BTC costs 0.2% of the amount.", False),
])  # fmt: skip
def test_sentences_contradict_each_other_only_about_the_same_matter(one, other, against):
    assert contradict(one, other) == contradict(other, one) == against


@pytest.mark.parametrize(
    "text",
    ["Call +44 20 7946 0958 for help.", "Our hotline is 1-800-555-0199.", "Phone: (888) 555-0100", "Write to support@kraken-help.example.", "Message us at https://t.me/kraken_support_desk today.",
     "Join WhatsApp support @kraken_help now", "客服电话：400-820-8820", "Звоните по телефону 8 800 555 35 35", "Rufen Sie uns an: 030 901820 55"],
)  # fmt: skip
def test_contacts_are_found_and_quoted_from_official_and_partner_pages_only(text):
    directory = load_directory()
    assert list(contacts(text))
    assert [may_be_quoted(text, trust, directory) for trust in ("official", "partner", "unknown", "aggregator")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "text",
    ["Since 14 April 2026 the limit is 6,000,000 USD.", "Order 0x12ab34cd56ef7890 has TxID 9876543210123.", "On 2026-01-01 10:00 it was 1.25.", "Up to 1,500 BTC at 125x, 0.0001 BTC at least.",
     "Call the endpoint /0/private/AddOrder with nonce 1616492376594.", "Kraken uses Telegram for news.", "100 - 200 - 300 USD", "Write to noreply@kraken.com."],
)  # fmt: skip
def test_figures_and_official_addresses_are_no_contacts_to_be_kept_back(text):
    assert may_be_quoted(text, "unknown", load_directory())
