"""Passages and sentences: nothing is cut in two, nothing is lost, every slice is verbatim."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.article import Article, Section
from ingest.passages import LONGEST_LIST, LONGEST_PROSE, sentences, split
from ingest.shapes import word_count

SENTENCE = "Tidewater keeps every order of this kind in a book of its own. "  # 13 words


def article(*sections: Section) -> Article:
    return Article("a", "https://a.example", "T", None, (), "en", "unknown", None, None, None, sections)


def section(text: str, kind: str = "prose", *path: str) -> Section:
    return Section(path, "", kind, text)


def texts(*sections: Section) -> list[str]:
    return [passage.text for passage in split(article(*sections))]


def cut(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in sentences(text, language)]


@pytest.mark.parametrize(
    ("language", "marked"),
    [
        ("en", "Fees are 1.5x for U.S. users. ‖See No. 5, e.g. BTC."),
        ("en", "Go to https://a.example/fees.html. ‖Then wait."),
        ("en", "Binance.US is not Binance.com. ‖It differs."),
        ("en", "It ends at 3 p.m. UTC (approx. 5 h later). ‖Yes!"),
        ("en", "The fee is 0.0001 BTC. ‖BTC/USDT costs 0.1%."),
        ("en", "Really?! ‖Yes... it is."),
        ("es", "¿Puedo retirar? ‖Sí. ‖¡Claro! ‖Cuesta aprox. 1.000,50 €."),
        ("de", "Das kostet z. B. 5 €. ‖Am 3. Mai endet es."),
        ("ru", "Комиссия 0.1%, т.е. мало. ‖Да!"),
        ("zh", "可以提现吗？‖可以！‖手续费为0.1%。"),
        ("ja", "出金できますか？‖はい。‖無料です。"),
        ("ar", "هل يمكنني السحب؟ ‖نعم. ‖الرسوم ٠٫١٪."),
        ("hi", "क्या यह मुफ़्त है? ‖हाँ। ‖शुल्क 0.1% है।"),
        ("xx", "One is here. ‖Two is there."),
        ("en", "😀 One is here. ‖漢字 😀 is there. ‖Go on."),
    ],
)
def test_a_sentence_ends_where_its_language_ends_it(language, marked):
    assert cut(marked.replace("‖", ""), language) == [part.strip() for part in marked.split("‖")]


def test_items_rows_and_lines_are_never_run_together():
    assert cut("no full stop\n- an item\n  1. a step. It has two parts.\nTier: 1 | Note: Low. Really. | Fee: 2 %") == [
        "no full stop",
        "- an item",
        "1. a step. It has two parts.",
        "Tier: 1 | Note: Low. Really. | Fee: 2 %",
    ]


def test_a_long_item_is_cut_into_its_sentences():
    found = cut("- " + SENTENCE * 4)
    assert len(found) == 4
    assert found[0].startswith("- Tidewater")


@settings(deadline=None, max_examples=300)
@given(
    st.text(
        alphabet=st.sampled_from(" \n\t.!?。？؟।¿¡…:;|-\"'()0123456789aBcÉжщ漢字هैก\u00a0\u200d1.") | st.characters(),
        max_size=200,
    ),
    st.sampled_from(["en", "es", "zh", "ja", "ar", "hi", "ru", "tr", "th", "xx", ""]),
)
def test_every_character_is_in_exactly_one_sentence(text, language):
    spans = sentences(text, language)
    covered = [index for start, end in spans for index in range(start, end)]
    assert len(covered) == len(set(covered))
    assert covered == sorted(covered)
    assert {index for index, character in enumerate(text) if not character.isspace()} <= set(covered)
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
    assert not any("\n" in text[start:end] for start, end in spans)


def test_a_faq_pair_is_one_passage_however_long_and_knows_its_question():
    answer = SENTENCE * 40
    passages = split(article(section("Short."), section(answer.strip(), "faq", "FAQ", "Why?")))
    assert [passage.question for passage in passages] == [None, "Why?"]
    assert passages[1].text == answer.strip()
    assert passages[1].heading_path == ("FAQ", "Why?")
    assert [passage.id for passage in passages] == ["a#0", "a#1"]


def test_long_prose_is_cut_between_sentences_into_pieces_of_like_length():
    found = texts(section((SENTENCE * 14).strip()))
    assert len(found) == 2
    assert all(text.endswith("of its own.") and word_count(text) <= LONGEST_PROSE for text in found)
    assert abs(word_count(found[0]) - word_count(found[1])) <= 26


def test_a_sentence_over_the_limit_is_one_passage():
    endless = " ".join(["tide"] * 200)
    assert texts(section(f"{SENTENCE * 3}\n{endless}\n{SENTENCE * 3}"))[1] == endless


def test_a_sentence_that_leads_in_goes_with_its_steps():
    steps = f"1. {SENTENCE.strip()}\n2. {SENTENCE.strip()}"
    found = texts(section(f"{SENTENCE * 4}The steps are these:"), section(steps, "steps"))
    assert found == [(SENTENCE * 4).strip(), f"The steps are these:\n\n{steps}"]


def test_a_lead_in_goes_with_the_first_items_of_a_long_list():
    found = texts(section(f"{SENTENCE * 7}\nThese are the cases:\n" + "\n".join(f"- {SENTENCE * 2}" for _ in range(4))))
    assert found[1].startswith("These are the cases:\n- Tidewater")


def test_short_neighbours_under_one_heading_are_joined_but_not_across_headings():
    found = texts(
        section("It is free.", "prose", "Fees"),
        section("1. Open it.\n2. Close it.", "steps", "Fees"),
        section("That is all.", "prose", "Fees"),
        section("It is slow.", "prose", "Speed"),
    )
    assert found == ["It is free.\n\n1. Open it.\n2. Close it.\n\nThat is all.", "It is slow."]


def test_a_long_table_is_cut_between_rows():
    rows = [f"Tier: {number} | Maker: 0.1 % | Note: {SENTENCE.strip()}" for number in range(40)]
    found = texts(section("\n".join(rows), "table"))
    assert len(found) == 4  # 720 words
    assert max(map(word_count, found)) <= LONGEST_LIST
    assert "\n".join(found).split("\n") == rows


def test_a_step_stays_with_what_is_nested_in_it():
    steps = [f"{number}. {SENTENCE}\n  - {SENTENCE}\n  - {SENTENCE}" for number in range(1, 12)]
    for text in texts(section("\n".join(steps), "steps")):
        assert text.split(". ")[0].isdigit()
        assert text.rstrip().endswith("of its own.")


WORDS = st.lists(
    st.sampled_from(["tide", "No. 5", "0.1 %", "fee.", "Why?", "so:", "漢字。"]), min_size=1, max_size=60
).map(" ".join)
KINDS = st.sampled_from(["prose", "steps", "table", "faq"])


@st.composite
def sections_of_an_article(draw):
    found = []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(KINDS)
        lines = draw(st.lists(WORDS, min_size=1, max_size=8))
        mark = {"prose": draw(st.sampled_from(["", "- "])), "steps": "1. ", "table": "A: b | ", "faq": ""}[kind]
        path = (draw(st.sampled_from(["Fees", "Speed"])), *(["Why?"] if kind == "faq" else []))
        found.append(Section(path, "", kind, "\n".join(mark + line for line in lines)))
    return tuple(found)


@settings(deadline=None, max_examples=150)
@given(sections_of_an_article())
def test_passages_are_verbatim_in_order_and_lose_nothing(found):
    whole = article(*found)
    passages = split(whole)
    assert all(whole.text[passage.start : passage.end] == passage.text for passage in passages)
    assert all(before.end <= after.start for before, after in itertools.pairwise(passages))
    covered = {index for passage in passages for index in range(passage.start, passage.end)}
    for start, part in zip(whole.section_starts(), whole.sections, strict=True):
        for left, right in sentences(part.text, "en"):
            inside = {index in covered for index in range(start + left, start + right)}
            holders = {passage.id for passage in passages if passage.start <= start + left < passage.end}
            assert inside == {True}
            assert len(holders) == 1
            assert all(passage.end >= start + right for passage in passages if passage.id in holders)


def test_a_section_of_ten_thousand_sentences_is_cut_in_time_that_grows_with_it():
    text = " ".join(f"Desk {number} answers letter {number} on the same day." for number in range(10_000))
    began = time.process_time()
    passages = split(article(Section((), "", "prose", text)))
    assert time.process_time() - began < 20  # it was minutes
    assert all(word_count(passage.text) <= 1.5 * LONGEST_PROSE for passage in passages)
    assert "".join(passage.text for passage in passages).replace(" ", "") == text.replace(" ", "")
