"""Which questions hang on the one before."""

import pytest

from service.follow_up import hangs_on, in_context, says_enough, thread


def never(_: str) -> bool:
    return False


@pytest.mark.parametrize(
    "text",
    ["and on isolated?", "how long does that take?", "what if i dont have it", "n if i never made one?", "why?", "ok got it, and where do i see how much was taken from me?",
     "does it send me a reminder when its ready", "is that also the case for orders that were placed before", "can i undo it if i change my mind later on", "那手续费呢？", "y en kraken?",
     "а если нет паспорта?", "それはいつ終わりますか", "그럼 수수료는 얼마예요?"],
)  # fmt: skip
def test_a_question_that_goes_on_or_points_back_hangs_on_the_one_before(text):
    assert hangs_on(text, named=False)


@pytest.mark.parametrize(
    "text",
    ["Where can I download a complete report of my trades for the tax office?", "how do i change the email address that belongs to my account",
     "what documents do you accept as a proof of address for germans", "我想知道如果我的账户被冻结了应该联系哪个部门以及需要多长时间才能解冻"],
)  # fmt: skip
def test_a_question_that_says_what_it_is_about_stands_alone(text):
    assert not hangs_on(text, named=False)


def test_one_that_names_an_exchange_stands_alone_from_fewer_words_on():
    assert hangs_on("on kraken?", named=True)
    assert hangs_on("and how much is it on kraken", named=True)
    assert not hangs_on("what are the fees on kraken", named=True)


def test_a_thread_goes_back_to_the_question_that_opened_the_topic():
    opening = "how do I move bitcoin from my account to a hardware wallet?"
    earlier = [
        "what documents do you accept as a proof of address for germans",
        opening,
        "how long does it take?",
        "and how much is it?",
    ]
    chain = thread("and on sundays?", earlier, never)
    assert chain == earlier[1:]
    assert in_context("and on sundays?", chain) == f"{opening} and on sundays?"


def test_a_question_that_stands_alone_has_no_thread():
    assert thread("how do i change the email address that belongs to my account", ["what is the fee?"], never) == []
    assert thread("and then?", [], never) == []


@pytest.mark.parametrize(("text", "enough"), [
    ("what if i dont have it", True), ("does it go back to 8h by itself later", True), ("那手续费是多少呢？", False),
    ("and on isolated?", False), ("why?", False), ("and on ?", False), ("", False), ("取消以后多久可以再申请一次？", True),
])  # fmt: skip
def test_a_follow_up_of_a_few_words_repeats_the_question_before(text, enough):
    assert says_enough(text) is enough
