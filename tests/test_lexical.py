import pytest

from index.lexical import LexicalIndex, terms


def test_rare_words_rank_first(tmp_path):
    LexicalIndex.build(tmp_path / "lexical", [("fee fee deposit", ["A"]), ("fee withdrawal", ["B"]), ("fee", [])])
    index = LexicalIndex.open(tmp_path / "lexical")
    assert index.search(["withdrawal", "fee"], 3)[0][0] == 1
    assert index.document_frequency("fee") == 3


def test_only_what_bears_one_of_each_of_the_marks_asked_for_is_found(tmp_path):
    marks = [["Crypto.com", "en"], ["Kraken", "en"], ["Kraken", "de"], []]
    LexicalIndex.build(tmp_path / "lexical", [("fee", own) for own in marks])
    index = LexicalIndex.open(tmp_path / "lexical")

    def found(*marks: set[str]) -> set[int]:
        return {row for row, _ in index.search(["fee"], 9, map(frozenset, marks))}

    assert found() == {0, 1, 2, 3}
    assert found({"Crypto.com"}) == {0}
    assert found({"Kraken"}, {"en"}) == {1}
    assert found({"Kraken", "Crypto.com"}, {"en", "de"}) == {0, 1, 2}
    assert found({"Kraken"}, set()) == set()
    assert found({"fee"}) == set()


def test_the_filter_does_not_change_a_score(tmp_path):
    LexicalIndex.build(tmp_path / "lexical", [("fee swap", ["A"]), ("fee", ["B"])])
    index = LexicalIndex.open(tmp_path / "lexical")
    assert dict(index.search(["fee"], 9))[1] == dict(index.search(["fee"], 9, [frozenset({"B"})]))[1]


def test_query_syntax_is_only_text(tmp_path):
    LexicalIndex.build(tmp_path / "lexical", [("fee", ["A"])])
    assert LexicalIndex.open(tmp_path / "lexical").search(terms('group:"A" AND *:* fee)) OR (('), 5) != []


def test_chinese_is_cut_into_pairs():
    assert terms("资金费率是0.01%", "zh") == ["资金", "金费", "费率", "率是", "0", "01"]


@pytest.mark.parametrize("text", ["Bybit's withdrawals_and fees: 0.01% — waiting", "Überweisungen, ½ №5", ""])
def test_a_text_has_the_same_terms_whether_or_not_chinese_follows(text):
    assert terms(f"{text} 提现", "de") == [*terms(text, "de"), "提现"]
