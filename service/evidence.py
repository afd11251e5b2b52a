"""From hits to evidence: which sentences of which passages answer the question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from index.lexical import terms
from index.search import Hit, HybridRetriever
from index.snapshot import Snapshot
from ingest.article import Article
from service.question import Question

# Sentences of one answer at most; a list of steps is never cut, so that it may be longer.
MOST_SENTENCES = 5
# Sentences shown after the one that answers, within its paragraph.
FOLLOWING = 2
# What makes a passage worth reading, found on the starter questions and half of help_questions (see
# docs/decisions.md): the passage's cosine, its best sentence's cosine, and the question's words that it holds.
PASSAGE_WEIGHT, SENTENCE_WEIGHT, WORDS_WEIGHT = 0.5, 0.5, 0.05
# A sentence that begins with yes or no answers a yes/no question before its equals do.
YES_NO_BONUS = 0.015

_STEP = re.compile(r"^\s*\d+[.)] ")
_ROW = re.compile(r" \| ")
# A sentence that begins so leans on the one before it.
_LEANING = re.compile(
    r"^(this|that|these|those|it|they|he|she|both|however|but|otherwise|instead|so|then|also|in (this|that|either|both|such) cases?|"
    r"the (same|former|latter)|esto|eso|das|dies|diese|dabei|dann|cela|ce|это|этот|тогда|这|此|その|これ|이)\b",
    re.IGNORECASE,
)
_YES_NO_QUESTION = re.compile(
    r"^\W*(so |and |but |hi |hey |ok |pls |please )*(can|could|do|does|did|is|are|am|was|were|will|would|has|have|had|may|must|should|cn|wil|"
    r"puedo|puede|hay|es|está|tengo|kann|muss|darf|ist|sind|gibt|wird|peut|puis|est-ce|dois|posso|pode|é|tem|"
    r"можно|могу|нужно|есть ли|можно ли)\b|吗|嗎|ますか|ですか|나요|까요|\b(mi|mı|mu|mü)(yim|yım|sin|dir)?\b|^هل|^क्या|không\??$|apakah|bisakah",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(
    r"^(yes|no|not always|not quite|not necessarily|only|it depends|that depends|sí|ja|nein|oui|non|sim|não|да|нет|是|不|可以|否|能)\b|^[是否不可能]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A run of sentences of one passage that answers a question.

    :ivar article: The passage's article.
    :ivar runs: The (start, end) offsets in the passage of each sentence; they follow one another.
    :ivar score: How well it answers, comparable between the passages of one question.
    :ivar sentence_score: Cosine of the question and the best sentence.
    :ivar words: The share of the question's words that the passage holds, weighted by their rarity, in [0, 1].
    """

    hit: Hit
    article: Article
    runs: tuple[tuple[int, int], ...]
    score: float
    sentence_score: float
    words: float

    @property
    def start(self) -> int:
        """Offset in the passage of the first sentence."""
        return self.runs[0][0]

    @property
    def end(self) -> int:
        """Offset in the passage behind the last sentence."""
        return self.runs[-1][1]


def gather(question: Question, hits: Sequence[Hit], retriever: HybridRetriever, snapshot: Snapshot) -> list[Evidence]:
    """Read the passages that were found; give the evidence in each, best first."""
    passages = [hit.passage for hit in hits]
    scores = retriever.sentence_scores(question.query, passages)
    wanted = _rarities(question, snapshot)
    yes_no = bool(_YES_NO_QUESTION.search(question.text))
    found = []
    for hit, cosines in zip(hits, scores, strict=True):
        article = snapshot.article(hit.passage.article_id)
        if article is None or not cosines:
            continue
        bounds = [(s.start, s.end) for s in snapshot.sentences(hit.passage.id)]
        texts = [hit.passage.text[start:end] for start, end in bounds]
        ranked = [
            cosine + (YES_NO_BONUS if yes_no and _YES_OR_NO.match(text) else 0.0)
            for cosine, text in zip(cosines, texts, strict=True)
        ]
        best = max(range(len(ranked)), key=ranked.__getitem__)
        words = _share_of_words(wanted, f"{article.title}\n{' '.join(hit.passage.heading_path)}\n{hit.passage.text}", article)
        score = PASSAGE_WEIGHT * hit.dense_score + SENTENCE_WEIGHT * ranked[best] + WORDS_WEIGHT * words
        run = _run(hit, texts, best)
        found.append(
            Evidence(hit, article, tuple(bounds[i] for i in range(*run)), score, cosines[best], words)
        )
    return sorted(found, key=lambda evidence: -evidence.score)


def _run(hit: Hit, texts: Sequence[str], best: int) -> tuple[int, int]:
    """Choose the sentences to show around the best one, as a range."""
    if hit.passage.question is not None:
        # The answer of a FAQ pair is read from its beginning, where the yes or the no stands.
        first = 0 if best < MOST_SENTENCES else best
        return first, min(len(texts), first + MOST_SENTENCES)
    if _STEP.match(texts[best]):
        return _around(texts, best, _STEP)
    if _ROW.search(texts[best]):
        return best, best + 1
    first = best
    while first > 0 and _LEANING.match(texts[first].lstrip("- ")):
        first -= 1
    return first, min(len(texts), max(best + 1, first + 1 + FOLLOWING))


def _around(texts: Sequence[str], best: int, shape: re.Pattern[str]) -> tuple[int, int]:
    first, last = best, best + 1
    while first > 0 and shape.match(texts[first - 1]):
        first -= 1
    while last < len(texts) and shape.match(texts[last]):
        last += 1
    return first, last


def _rarities(question: Question, snapshot: Snapshot) -> dict[str, float]:
    """Weigh the question's words by how rare they are in the corpus; the names of exchanges do not count."""
    text = question.query
    for name in snapshot.directory.mentioned(text, fuzzy=True):
        text = re.sub(re.escape(name), " ", text, flags=re.IGNORECASE)
    total = snapshot.manifest.counts["passages"]
    weights = {}
    for term in dict.fromkeys(terms(text, question.language)):
        frequency = snapshot.lexical.document_frequency(term)
        weights[term] = max(0.0, 1.0 - frequency / (0.1 * total + 1)) if frequency < 0.1 * total else 0.0
    return weights


def _share_of_words(wanted: dict[str, float], text: str, article: Article) -> float:
    total = sum(wanted.values())
    if not total:
        return 0.0
    there = set(terms(text, article.language))
    return sum(weight for term, weight in wanted.items() if term in there) / total
