import pytest

from ingest.language import detect


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("will i owe money?", "en"),
        ("how do i reset my 2fa", "en"),
        ("¿Cuánto tarda una retirada?", "es"),
        ("wie lange dauert eine auszahlung bei kraken", "de"),
        ("сколько идет вывод", "ru"),
        ("提币需要多久", "zh"),
        ("出金にはどのくらいかかりますか", "ja"),
        ("출금은 얼마나 걸려요", "ko"),
        ("para çekme işlemi ne kadar sürer", "tr"),
        ("كم يستغرق السحب", "ar"),
        ("rút tiền mất bao lâu", "vi"),
    ],
)
def test_the_language_of_a_short_question_is_told(text, language):
    assert detect(text) == language


def test_a_text_without_letters_has_the_default_language():
    assert detect("0.05% ???") == "en"
    assert detect("", default="de") == "de"
