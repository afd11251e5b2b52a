"""From hits to evidence: how well each passage answers, and in which sentences."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from index.dense import Vectors
from index.lexical import terms
from index.search import Hit, Retriever
from index.snapshot import Snapshot
from ingest.article import Article
from service.question import Question
from service.reader import Readable, Reader
from service.stance import is_yes_no, stance

# What ranks a passage, in standard deviations of the question's cosines with the whole corpus (see index/spread.py):
# its own cosine, half its best sentence's, both by the second encoder as well (by the first one where that has no opinion),
# and the question's words that it holds. What each brings: `python -m benchmarks.retrieval`. Weights that were fitted on
# three data sets are not better on the fourth than these.
SENTENCE_WEIGHT, SECOND_WEIGHT, SECOND_SENTENCE_WEIGHT, WORDS_WEIGHT = 0.5, 0.7, 0.5, 3.0
# The sum is divided by what makes its spread that of one encoder's passages and sentences, so that differences of scores
# mean the same with one encoder and with two.
SCORE_UNIT = 1.8
# Short questions ("how long does it take") suppose the page that the asker stands on. Of 231 questions of help_questions (half
# report) the right passage is first for .26 without this, .52 with 1.5, .61 with 2.5, .65 with 3.5 and .69 with 4.5; where the
# asker stands on another page of the same owner, .26, .23, .22, .22 and .20 (among the first four .46, .44, .41, .36 and .30).
PAGE_BONUS = 3.5
# The encoder leans to passages in the question's own language; all of that is taken back. Of the 31 starter questions that
# an article in another language answers, .84 are answered right so, and .77 where half is.
LEAN_WEIGHT = 1.0
# What ranks a sentence among those of several passages: the passage's score, and how far it is behind the best there.
WITHIN_PASSAGE = 0.5
# A sentence that begins with yes or no answers a yes/no question before its equals do.
YES_NO_BONUS = 0.4
# Passages of either side that are compared when it is asked which exchange is nearer.
CONTRASTED = 5
# Passages that the reader reads, and what its word weighs: the log-odds that a passage answers, and how far a sentence is
# behind the best of its passage. Of the 154 covered starter questions, on which it was not trained, the right passage is first
# for .708 without and .734 with it, among the first three for .896 and .903; the right sentence is first for .604 and .623.
READ_CLOSELY = 6
ANSWERS_WEIGHT, READER_SENTENCE_WEIGHT, LOWEST = 0.5, 0.3, 10.0
# A follow-up is found with the question that opened the topic, but read alone, and what answers the question before it is put
# back by this share of what the reader makes of it. Before, it was found and read behind both, and twice itself: of 20
# starter and 110 help_questions follow-ups the right sentence leads for .50 and .59 that way, and for .65 and .64 this way.
ANSWERED_BEFORE, OF_ITSELF = 0.3, 1.2
# A word in more than this share of the passages tells nothing.
COMMON = 0.1

Scores = tuple[float, ...]
"""What a reader makes of the sentences of a passage, in order."""


@dataclass(frozen=True, slots=True)
class ReadSentence:
    """A sentence of a passage and how well it answers; scores compare across the passages of one question."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage that was read.

    :ivar score: How well it answers, in standard deviations above the mean of the corpus.
    :ivar nearness: The cosine of the passage or of its best sentence, whichever is higher, in the same unit; the mean of
        both encoders'.
    :ivar words: The share of the question's words that the passage holds, weighted by their rarity, in [0, 1].
    :ivar sentences: All of its sentences, in order.
    :ivar answers: How likely it answers, as the reader sees it, as log-odds; None where it was not read closely.
    """

    hit: Hit
    article: Article
    score: float
    nearness: float
    words: float
    sentences: tuple[ReadSentence, ...]
    answers: float | None = None

    def text(self, sentence: ReadSentence) -> str:
        """Give a sentence's text."""
        return self.hit.passage.text[sentence.start : sentence.end]


def read(question: Question, hits: Sequence[Hit], retriever: Retriever, snapshot: Snapshot) -> list[Evidence]:
    """Read the passages that were found, best first.

    The names of exchanges are left out of the question: they bind the search, and would pull it to passages that name them.
    """
    passages = [hit.passage for hit in hits]
    cosines = retriever.sentence_scores(question.neutral, passages)
    seconds = retriever.second_nearness(question.neutral, passages, language=question.language)
    scale = _Scale(snapshot, retriever.query_vector(question.neutral))
    rarities = word_rarities(question, snapshot)
    yes_no = is_yes_no(question.text)
    found = []
    for hit, sentence_cosines, second in zip(hits, cosines, seconds, strict=True):
        article = snapshot.article(hit.passage.article_id)
        if article is None or not sentence_cosines:
            continue
        context = "\n".join((article.title, *hit.passage.heading_path, hit.passage.text))
        words = _share_of_words(rarities, set(terms(context, article.language)))
        near = scale(hit.dense_score, article.language)
        sentences_near = [scale(cosine, article.language) for cosine in sentence_cosines]
        best = max(sentences_near)
        near_too = near if hit.second_nearness is None else hit.second_nearness
        best_too = max(second) if second else best
        nearnesses = near + SENTENCE_WEIGHT * best + SECOND_WEIGHT * near_too + SECOND_SENTENCE_WEIGHT * best_too
        score = (nearnesses + WORDS_WEIGHT * words) / SCORE_UNIT
        if question.page and article.id == question.page.id:
            score += PAGE_BONUS
        sentences = []
        for stored, own in zip(snapshot.sentences(hit.passage.id), sentences_near, strict=True):
            bonus = YES_NO_BONUS if yes_no and stance(hit.passage.text[stored.start :]) is not None else 0.0
            sentences.append(ReadSentence(stored.start, stored.end, score + WITHIN_PASSAGE * (own - best) + bonus))
        found.append(
            Evidence(hit, article, score, (max(near, best) + max(near_too, best_too)) / 2, words, tuple(sentences))
        )
    return sorted(found, key=lambda evidence: -evidence.score)


def read_closely(question: Question, found: Sequence[Evidence], reader: Reader) -> list[Evidence]:
    """Let a reader read the best of what was found, and rank it again, best first."""
    best, rest = found[:READ_CLOSELY], found[READ_CLOSELY:]
    readable = [
        Readable(
            e.article.title, e.hit.passage.heading_path, e.hit.passage.text, tuple((s.start, s.end) for s in e.sentences)
        )
        for e in best
    ]  # fmt: skip
    readings = reader.read(question.wanted, readable)
    judged = [(_log_odds(reading.answers), reading.sentences) for reading in readings]
    if question.before:
        known = [(_log_odds(reading.answers), reading.sentences) for reading in reader.read(question.before, readable)]
        judged = [_beside(*own, *before) for own, before in zip(judged, known, strict=True)]
    again = [
        replace(_reread(e, odds, scores), answers=_log_odds(reading.answers))
        for e, reading, (odds, scores) in zip(best, readings, judged, strict=True)
    ]
    # What was not read is worth no more than the worst of what was.
    least = min((odds for odds, _ in judged), default=0.0)
    again += [_shifted(e, ANSWERS_WEIGHT * least) for e in rest]
    return sorted(again, key=lambda evidence: -evidence.score)


def _beside(odds: float, scores: Scores, odds_before: float, scores_before: Scores) -> tuple[float, Scores]:
    """Put back what answers the question before a follow-up."""
    pairs = [(odds, odds_before), *zip(scores, scores_before, strict=True)]
    first, *rest = (OF_ITSELF * own - ANSWERED_BEFORE * before for own, before in pairs)
    return first, tuple(rest)


def _reread(evidence: Evidence, odds: float, scores: Scores) -> Evidence:
    shift = ANSWERS_WEIGHT * odds
    top = max(scores, default=0.0)
    sentences = tuple(
        ReadSentence(s.start, s.end, s.score + shift + READER_SENTENCE_WEIGHT * max(score - top, -LOWEST))
        for s, score in zip(evidence.sentences, scores, strict=True)
    )
    return replace(evidence, score=evidence.score + shift, sentences=sentences)


def _shifted(evidence: Evidence, by: float) -> Evidence:
    sentences = tuple(ReadSentence(s.start, s.end, s.score + by) for s in evidence.sentences)
    return replace(evidence, score=evidence.score + by, sentences=sentences)


def _log_odds(share: float) -> float:
    kept = min(max(share, 0.001), 0.999)
    return math.log(kept / (1 - kept))


def ahead(question: Question, retriever: Retriever, snapshot: Snapshot) -> float:
    """Say how much nearer to the question the exchanges asked about come than all others do; 0 where none is named.

    Where another exchange's articles are much nearer, the question is likely one that only they answer.
    In standard deviations of the question's cosines; the names of exchanges are left out of the question.
    """
    inside = frozenset(question.exchanges) & frozenset(snapshot.exchanges)
    outside = frozenset(snapshot.exchanges) - inside
    if not inside or not outside:
        return 0.0
    scale = _Scale(snapshot, retriever.query_vector(question.neutral))

    def best(exchanges: frozenset[str]) -> float:
        hits = retriever.nearest(question.neutral, exchanges, CONTRASTED)
        articles = [snapshot.article(hit.passage.article_id) for hit in hits]
        return max(
            scale(hit.dense_score, article.language if article else "")
            for hit, article in zip(hits, articles, strict=True)
        )

    return best(inside) - best(outside)


class _Scale:
    """Turns cosines with one question into standard deviations above the mean, the lean to a language taken back."""

    def __init__(self, snapshot: Snapshot, query: Vectors) -> None:
        self._mean = snapshot.spread.expected(query)
        self._deviation = snapshot.spread.deviation(query)
        self._lean = snapshot.spread.lean(query)

    def __call__(self, cosine: float, language: str) -> float:
        return (cosine - self._mean - LEAN_WEIGHT * self._lean.get(language, 0.0)) / self._deviation


def word_rarities(question: Question, snapshot: Snapshot) -> dict[str, float]:
    """Weigh the question's words by how rare they are in the corpus, in [0, 1]; exchanges' names do not count."""
    text = question.query
    for name in snapshot.directory.mentioned(text, fuzzy=True):
        text = re.sub(re.escape(name), " ", text, flags=re.IGNORECASE)
    most = COMMON * snapshot.manifest.counts["passages"] + 1
    return {
        term: max(0.0, 1.0 - snapshot.lexical.document_frequency(term) / most)
        for term in dict.fromkeys(terms(text, question.language))
    }


def _share_of_words(rarities: dict[str, float], there: set[str]) -> float:
    total = sum(rarities.values())
    return sum(weight for term, weight in rarities.items() if term in there) / total if total else 0.0
