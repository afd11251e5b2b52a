"""Questions that the corpus answers, as one types: the articles' own FAQ questions, and titles that are questions."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from index.snapshot import Snapshot
from ingest.exchanges import fold
from ingest.mentions import words_of

# Words that are looked up; who types more has said what is meant.
MOST_WORDS = 12
# Questions that are remembered of one snapshot: 100,000 take some 60 MB.
MOST_QUESTIONS = 100_000


@dataclass(frozen=True, slots=True)
class SuggestedQuestion:
    """A question, and the article that answers it."""

    question: str
    exchange: str | None
    article_id: str


class Suggestions:
    """The questions of one snapshot, found by the words that they hold, the last one as far as it is typed."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._questions = [SuggestedQuestion(*row) for row in snapshot.questions(MOST_QUESTIONS)]
        words: dict[str, list[int]] = {}
        for number, question in enumerate(self._questions):
            for word in dict.fromkeys(_words(question.question)):
                words.setdefault(word, []).append(number)
        self._words = sorted(words)
        self._holding = [frozenset(words[word]) for word in self._words]
        self._begins = lru_cache(maxsize=1024)(self._beginning)

    def find(
        self, typed: str, *, exchange: str | None = None, page_url: str | None = None, limit: int = 6
    ) -> list[SuggestedQuestion]:
        """Give questions that hold every word typed, those of the asker's page first, then those that begin so.

        With nothing typed, the questions of the page; of no page, of the exchange; of none, one of each article.
        """
        page = self._snapshot.article_by_url(page_url) if page_url else None
        bound = self._snapshot.directory.canonical(exchange) if exchange else page.exchange if page else None
        words = _words(typed)[:MOST_WORDS]
        start = " ".join(words)

        def rank(number: int) -> tuple[bool, bool, int]:
            question = self._questions[number]
            here = page is not None and question.article_id == page.id
            return not here, not fold(question.question).startswith(start), number

        found = self._holding_all(words) if words else range(len(self._questions))
        fitting = (n for n in found if not bound or self._questions[n].exchange in {bound, None})
        chosen: dict[str, SuggestedQuestion] = {}
        for number in sorted(fitting, key=rank):
            question = self._questions[number]
            chosen.setdefault(fold(question.question), question)
            if len(chosen) == limit:
                break
        return list(chosen.values())

    def _holding_all(self, words: Sequence[str]) -> frozenset[int]:
        *whole, last = words
        found = self._begins(last)
        for word in whole:
            at = bisect_left(self._words, word)
            exact = self._holding[at] if at < len(self._words) and self._words[at] == word else frozenset()
            found &= exact
        return found

    def _beginning(self, start: str) -> frozenset[int]:
        at = bisect_left(self._words, start)
        found: set[int] = set()
        while at < len(self._words) and self._words[at].startswith(start):
            found |= self._holding[at]
            at += 1
        return frozenset(found)


def _words(text: str) -> tuple[str, ...]:
    return words_of(fold(text))
