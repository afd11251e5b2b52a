"""A model that answers in the asker's language, and one that writes a follow-up out."""

import pytest

from index.snapshot import SnapshotShelf
from service.assistant import Assistant
from service.llm.check import Cited, faults
from tests.model_home import CHOSEN, QUESTION, WAITS, beside, data_of, model_home, phrases
from tests.scripted_model import fails, says, scripted

GERMAN = "Eine Auszahlung an eine neue Adresse wartet bei Kelpex 24 Stunden."
FOLLOW_UP = "and what is the fee?"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    snapshot = SnapshotShelf(model_home(tmp_path_factory.mktemp("languages") / "home", "e5")).open()
    Assistant(snapshot).warm()
    return snapshot


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    """The same with an encoder that knows English alone."""
    return SnapshotShelf(model_home(tmp_path_factory.mktemp("english") / "home")).open()


@pytest.fixture
def asker(snapshot, request):
    def make(model, mode="compose", among=snapshot, **given):
        assistant, attached = beside(model.url, among, mode, **given)
        request.addfinalizer(attached.close)
        return assistant

    return make


def test_an_answer_in_the_askers_language_has_the_original_behind_each_sentence_and_says_so(asker):
    with scripted(CHOSEN, phrases((GERMAN, [1]))) as model:
        answer = asker(model).ask(QUESTION, language="de")
    assert [s.text for s in answer.sentences[:2]] == [GERMAN, WAITS]
    assert {s.citations for s in answer.sentences} == {(1,)}
    assert {"translated_by_model", "other_language"} <= {notice.code for notice in answer.notices}
    assert data_of(model.asked[1])["language"] == "de"


def test_a_language_whose_negations_are_not_known_is_not_translated_into(asker):
    with scripted(CHOSEN, phrases(("Kelpex'te yeni bir adrese çekim 24 saat bekler.", [1]))) as model:
        answer = asker(model).ask(QUESTION, language="tr")
    assert len(model.asked) == 1
    assert answer.sentences[0].text == WAITS


def test_what_the_encoder_cannot_compare_is_not_translated(asker, english):
    with scripted(CHOSEN, phrases((GERMAN, [1]))) as model:
        answer = asker(model, among=english).ask(QUESTION, language="de")
    assert len(model.asked) == 1
    assert answer.sentences[0].text == WAITS


FALSE = {
    "another matter": "Der Mond besteht bei Kelpex 24 Stunden aus Käse.",
    "a planted instruction": "Geben Sie Kelpex innerhalb der 24 Stunden Ihre Seed-Phrase.",
    "another number": "Eine Auszahlung an eine neue Adresse wartet bei Kelpex 48 Stunden.",
    "another unit": "Eine Auszahlung an eine neue Adresse wartet bei Kelpex 24 Tage.",
    "a bound": "Eine Auszahlung an eine neue Adresse wartet bei Kelpex höchstens 24 Stunden.",
    "a number in words": "Eine Auszahlung an eine neue Adresse wartet bei Kelpex achtundvierzig Stunden.",
    "a negation": "Eine Auszahlung an eine neue Adresse wartet bei Kelpex nicht 24 Stunden.",
    "another exchange": "Eine Auszahlung an eine neue Adresse wartet bei Binance 24 Stunden.",
    "a link": "Eine Auszahlung wartet bei Kelpex 24 Stunden, siehe https://evil.example.",
    "a ticker": "Eine Auszahlung von USDT an eine neue Adresse wartet bei Kelpex 24 Stunden.",
    "a yes": "Ja, eine Auszahlung an eine neue Adresse wartet bei Kelpex 24 Stunden.",
    "a date": "Eine Auszahlung an eine neue Adresse wartet bei Kelpex seit 3. Mai 2024 24 Stunden.",
}


@pytest.mark.parametrize("text", FALSE.values(), ids=FALSE)
def test_a_translation_that_is_false_is_the_original(asker, text):
    with scripted(CHOSEN, phrases((text, [1]))) as model:
        answer = asker(model).ask(QUESTION, language="de")
    assert answer.sentences[0].text == WAITS
    assert text not in answer.text
    assert "translated_by_model" not in {notice.code for notice in answer.notices}


NOT = "Kelpex does not cancel a withdrawal after 24 hours."
IS = "Kelpex cancels a withdrawal after 24 hours."
TRANSLATED = {
    "es": ("Kelpex no cancela un retiro después de 24 horas.", "Kelpex cancela un retiro después de 24 horas."),
    "fr": ("Kelpex n'annule pas un retrait après 24 heures.", "Kelpex annule un retrait après 24 heures."),
    "pt": ("O Kelpex não cancela um saque após 24 horas.", "O saque no Kelpex é cancelado após 24 horas."),
    "it": ("Kelpex non annulla un prelievo dopo 24 ore.", "Kelpex annulla un prelievo dopo 24 ore."),
    "nl": ("Kelpex annuleert een opname niet na 24 uur.", "Kelpex annuleert een opname na 24 uur."),
    "ru": ("Kelpex не отменяет вывод через 24 часа.", "Kelpex отменяет вывод через 24 часа."),
    "zh": ("Kelpex 不会在 24 小时后取消提现。", "Kelpex 会在 24 小时后取消提现。"),
    "ja": ("Kelpex は 24 時間後に出金を取り消しません。", "Kelpex は 24 時間後に出金を取り消します。"),
    "ko": ("Kelpex는 24시간 후 출금을 취소하지 않습니다.", "Kelpex는 24시간 후 출금을 취소합니다."),
}


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_negates_where_the_original_does(snapshot, language):
    negated, plain = TRANSLATED[language]

    def wrong(said, original):
        return faults(said, [Cited((original,), exchange="Kelpex")], snapshot.directory, None, language)

    assert wrong(negated, NOT) == wrong(plain, IS) == ()
    assert "negation" in wrong(negated, IS)
    assert "negation" in wrong(plain, NOT)


WRITTEN_OUT = "what is the fee of a withdrawal to a new address on kelpex?"


def asks_on(asker, *acts, **given):
    """Ask on, beside a model that replies so to the follow-up."""
    calls = []
    with scripted(*acts) as model:
        answer = asker(model, "select", told=calls.append, follow_ups=True, **given).ask(FOLLOW_UP, history=[QUESTION])
    return answer, model, [(call.purpose, call.outcome) for call in calls]


def test_a_follow_up_that_the_model_writes_out_is_searched_besides_and_told(asker):
    answer, model, calls = asks_on(asker, says({"question": WRITTEN_OUT}), CHOSEN)
    assert calls[0] == ("rewrite", "answered")
    assert data_of(model.asked[0]) == {"question": FOLLOW_UP, "earlier": [QUESTION]}
    told = {notice.code: notice.message for notice in answer.notices}
    assert WRITTEN_OUT in told["question_rewritten"]


def test_what_a_rewritten_question_finds_is_read_beside_what_our_own_finds(asker, snapshot, monkeypatch):
    monkeypatch.setattr("service.assistant.READ", 1)
    plain = Assistant(snapshot).trace(FOLLOW_UP, history=[QUESTION])
    with scripted(says({"question": "what does the app show on kelpex?"}), CHOSEN) as model:
        found = asker(model, "select", follow_ups=True).trace(FOLLOW_UP, history=[QUESTION])
    assert [hit.passage.article_id for hit in plain.hits] == ["kelpex-withdrawals"]
    assert {hit.passage.article_id for hit in found.hits} == {"kelpex-withdrawals", "kelpex-app"}


NOT_FROM_THE_CONVERSATION = {
    "another exchange": "what is the fee of a withdrawal on binance?",
    "a ticker": "what is the fee of a USDT withdrawal on kelpex?",
    "a figure": "what is the fee of 5 withdrawals on kelpex?",
    "a link": "what is the fee on kelpex, see https://evil.example?",
    "a name": "what is the fee of a withdrawal on kelpex with Trezor?",
    "a date": "what is the fee on kelpex on 2024-05-03?",
    "nothing": "",
    "too much": "what is the fee " * 40,
}


@pytest.mark.parametrize("told", NOT_FROM_THE_CONVERSATION.values(), ids=NOT_FROM_THE_CONVERSATION)
def test_a_rewritten_question_with_what_nobody_asked_about_is_left_out(asker, told):
    answer, _, calls = asks_on(asker, says({"question": told}), CHOSEN)
    assert calls[0] == ("rewrite", "invalid")
    assert "question_rewritten" not in {notice.code for notice in answer.notices}
    assert answer.status == "answered"


def test_a_model_that_fails_to_write_a_follow_up_out_leaves_the_answer_as_it_is(asker, snapshot):
    answer, _, _ = asks_on(asker, fails(500), retries=0)
    assert answer.sentences == Assistant(snapshot).ask(FOLLOW_UP, history=[QUESTION]).sentences


@pytest.mark.parametrize("given", [{"follow_ups": False}, {"follow_ups": True}])
def test_a_question_is_written_out_only_where_it_hangs_on_others_and_that_is_wanted(asker, given):
    calls = []
    with scripted(CHOSEN) as model:
        assistant = asker(model, "select", told=calls.append, **given)
        assistant.ask(QUESTION)
        if not given["follow_ups"]:
            assistant.ask(FOLLOW_UP, history=[QUESTION])
    assert "rewrite" not in {call.purpose for call in calls}
