"""How evidence is ranked again when it was read."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from index.search import Hit
from ingest.article import Article, Passage
from service.evidence import Evidence, ReadSentence, read_closely
from service.question import Question
from service.reader import Readable, Reading

FEE, AGAIN = "No fee is charged for that close.", "You can enter the market again at once."


class Sure:
    """A reader that finds an answer where a passage has a word of the question, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, question: str, passages: Sequence[Readable]) -> list[Reading]:
        self.asked.append(question)
        likely = [0.9 if set(question.split()) & set(passage.text.split()) else 0.1 for passage in passages]
        return [Reading(share, (10 * share,)) for share in likely]


def evidence(text: str, score: float) -> Evidence:
    passage = Passage(f"{text}#0", text, (), None, text, 0, len(text))
    page = Article(text, "https://x/", "T", "Kelpex", (), "en", "official", None, None, None, ())
    return Evidence(Hit(passage, 1.0, 1.0, 1.0), page, score, score, 1.0, (ReadSentence(0, len(text), score),))


@pytest.fixture
def follow_up() -> Question:
    context = "closed by Kelpex can i enter"
    return Question(
        "can i enter", context, context, "can i enter", "is there a fee", "en", (), "none", (), None, "question"
    )


def test_a_follow_up_is_read_alone_and_what_answers_the_question_before_is_put_back(follow_up: Question) -> None:
    reader, found = Sure(), [evidence(FEE, 5.0), evidence(AGAIN, 4.0)]
    ranked = read_closely(follow_up, found, reader)
    assert reader.asked == ["can i enter", "is there a fee"]
    assert [piece.hit.passage.text for piece in ranked] == [AGAIN, FEE]
    kept = read_closely(replace(follow_up, before=""), found, Sure())
    fees = [next(piece.score for piece in pieces if piece.hit.passage.text == FEE) for pieces in (ranked, kept)]
    assert fees[0] < fees[1]


def test_a_question_without_another_before_it_is_read_once(follow_up: Question) -> None:
    reader = Sure()
    read_closely(replace(follow_up, before=""), [evidence(FEE, 5.0)], reader)
    assert reader.asked == ["can i enter"]


def test_nothing_found_is_nothing_read(follow_up: Question) -> None:
    assert read_closely(follow_up, [], Sure()) == []


def test_what_was_not_read_closely_stays_behind_the_worst_that_was(follow_up: Question) -> None:
    found = [evidence(f"{n} {FEE}", 9.0 - n) for n in range(8)]
    ranked = read_closely(follow_up, found, Sure())
    assert [piece.answers is None for piece in ranked] == [False] * 6 + [True] * 2
