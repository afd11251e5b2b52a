"""Whether a sentence that a model wrote says nothing but what the cited sentences say.

No rule here understands a sentence. Each looks for one way in which a phrasing can be false, and in doubt it is refused: then
the quote itself is shown, which costs the asker a smooth sentence and nothing else. What the rules catch and refuse:
`python -m benchmarks.checker`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ingest.exchanges import Directory
from service.contacts import contacts
from service.llm import facts
from service.stance import stance

# From this share of common words on (Dice) a clause of the quote is what a clause of the sentence was made from.
ALIGNED = 0.4
# From this on a sentence is one of the quote nearly word for word: then it has to have its negations and its figures.
NEARLY_VERBATIM = 0.75
# A clause of fewer telling words is aligned with anything.
FEWEST_WORDS = 2
# `support` from which on a sentence is near enough, and what it weighs: the nearness and the share of the sentence's telling
# words that stand in the quote. Logistic regression, both classes of the same weight, on the 771 claims of the half "fit" of
# expertqa_claims that cite a text. It tells little by itself, as short evidence does to any measure that does not read: AUROC
# .63 on the other half's 917 claims, .75 on the 213 answers of mtrag_human_eval (by each answer's worst sentence). A sentence
# word for word has 1.5.
LEAST_SUPPORT = 0.0
BIAS, NEAR_WEIGHT, COVERED_WEIGHT = -10.880, 11.751, 0.634

# Cosine by the encoder e5 from which on a translation is near enough to an original. Of 20 texts of the widget in 13 languages,
# 113 of 260 come as near to their own English, and 6 of the 4,940 pairs of two different ones; at 0.86 210 and 115, at 0.9 73 and
# none. Japanese, Korean and Chinese come less near than the others: nearly all that is written in them is refused.
LEAST_TRANSLATED = 0.89
# Languages in which every noun has a capital, so that one tells no name.
CAPITAL_NOUNS = frozenset({"de", "lb"})

Near = Callable[[str, Sequence[str]], float]
"""Gives the highest cosine of a text with several others."""


@dataclass(frozen=True)
class Cited:
    """What a sentence cites.

    :ivar sentences: As they stand in the passage.
    :ivar about: The title, the headings and the question above them, which may lend names and nothing else.
    :ivar exchange: What the article is about.
    """

    sentences: tuple[str, ...]
    about: str = ""
    exchange: str | None = None

    @cached_property
    def text(self) -> str:
        """All sentences, each on a line."""
        return "\n".join(facts.bare(sentence) for sentence in self.sentences)


def faults(
    said: str, cited: Sequence[Cited], directory: Directory, near: Near | None = None, language: str | None = None
) -> tuple[str, ...]:
    """Say what is wrong with a sentence, beginning with what is plainest; nothing where it may be shown.

    :param said: The sentence, with or without its marks.
    :param near: Measures nearness; none: it is not looked at.
    :param language: The sentence's, where it is a translation. Then words are not compared with words: it is held to its figures,
        dates, links, exchanges, tickers, names, to negating where the original does, and to its nearness.
    :return: Of ``citation``, ``figure``, ``date``, ``link``, ``exchange``, ``name``, ``yes_no``, ``negation``, ``opposite``
        and ``far``.
    """
    if not cited or not said.strip():
        return ("citation",)
    claim, source = facts.bare(said), _Source(cited)
    checks: dict[str, bool] = {
        "figure": _false_figures(claim, source) or bool(language and _leaves_figures_out(claim, source)),
        "date": _false_dates(claim, source),
        "link": _unknown_addresses(claim, source.text),
        "exchange": _other_exchanges(claim, source, directory),
        "name": _unknown_names(claim, source, language),
        "yes_no": stance(claim) is not None and stance(claim) not in {stance(s) for s in source.sentences},
        "negation": _negates_otherwise(claim, source, language) if language else _turned(claim, source),
        "opposite": _changes_sides(claim, source),
    }
    found = tuple(name for name, is_wrong in checks.items() if is_wrong)
    if found or near is None:
        return found
    if language:
        return () if near(claim, (*source.sentences, source.text)) >= LEAST_TRANSLATED else ("far",)
    return ("far",) if support(claim, source.sentences, near) < LEAST_SUPPORT else ()


def support(said: str, sentences: Sequence[str], near: Near) -> float:
    """Measure how near a sentence is in meaning to those that it cites: log-odds, above 0 where people would agree."""
    said = facts.bare(said)
    text = "\n".join(facts.bare(sentence) for sentence in sentences)
    own = facts.content(said)
    covered = len(own & facts.content(text)) / len(own) if own else 1.0
    return BIAS + NEAR_WEIGHT * near(said, (*sentences, text)) + COVERED_WEIGHT * covered


class _Source:
    """The cited sentences, taken apart once."""

    def __init__(self, cited: Sequence[Cited]) -> None:
        self.sentences = [facts.bare(sentence) for one in cited for sentence in one.sentences]
        self.text = "\n".join(self.sentences)
        self.about = "\n".join(one.about for one in cited)
        self.exchanges = {one.exchange for one in cited if one.exchange}

    @cached_property
    def clauses(self) -> list[tuple[str, frozenset[str]]]:
        return [(clause, facts.content(clause)) for sentence in self.sentences for clause in facts.clauses(sentence)]

    @cached_property
    def whole(self) -> list[tuple[str, frozenset[str]]]:
        return [(sentence, facts.content(sentence)) for sentence in self.sentences]


def _false_figures(claim: str, source: _Source) -> bool:
    there = facts.figures(source.text)
    for figure in facts.figures(claim):
        same = [f for f in there if f.value == figure.value and f.unit == figure.unit and f.bound == figure.bound]
        if not same:
            return True
    # A figure of the quote's next sentence is none of this one's, and each is said as often as the sentence says it.
    aligned = [facts.figures(sentence) for sentence, _ in _best(facts.content(claim), source.whole, NEARLY_VERBATIM)]
    return bool(aligned) and all(_says_other_figures(facts.figures(claim), own) for own in aligned)


def _says_other_figures(said: Sequence[facts.Figure], own: Sequence[facts.Figure]) -> bool:
    counted = Counter((figure.value, figure.unit) for figure in own)
    units = {figure.unit for figure in own}
    return any(
        (key[1] in units and count > counted[key])
        for key, count in Counter((figure.value, figure.unit) for figure in said).items()
    )


def _false_dates(claim: str, source: _Source) -> bool:
    said = facts.dates(claim)
    if said - _date_parts(source.text) or facts.clocks(claim) - facts.clocks(source.text):
        return True
    aligned = [sentence for sentence, _ in _best(facts.content(claim), source.whole, NEARLY_VERBATIM)]
    return bool(aligned) and all(said - _date_parts(sentence) for sentence in aligned)


def _date_parts(text: str) -> set[tuple[int, int, int]]:
    """Give the dates of a text, and what is left of each where less is said of it."""
    return {
        part
        for year, month, day in facts.dates(text)
        for part in ((year, month, day), (0, month, day), (year, month, 0), (0, month, 0))
    }


def _unknown_addresses(claim: str, text: str) -> bool:
    if facts.links(claim) - facts.links(text):
        return True
    digits = "".join(char for char in text if char.isdigit())
    return any("".join(char for char in contact if char.isdigit()) not in digits for contact in contacts(claim))


def _other_exchanges(claim: str, source: _Source, directory: Directory) -> bool:
    named = set(directory.mentioned(claim))
    if named - source.exchanges - set(directory.mentioned(f"{source.about}\n{source.text}")):
        return True
    best = _best(facts.content(claim), source.whole, NEARLY_VERBATIM)
    meant = [set(directory.mentioned(sentence)) for sentence, _ in best]
    return bool(meant) and all(there and named - there for there in meant)


def _unknown_names(claim: str, source: _Source, language: str | None) -> bool:
    known = f"{source.text}\n{source.about}\n{' '.join(source.exchanges)}"
    there = set(facts.words(known)) | facts.content(known)
    wanted = facts.tickers(claim) | (frozenset() if language in CAPITAL_NOUNS else facts.names(claim))
    return any(not (set(facts.words(name)) <= there or facts.content(name) <= there) for name in wanted)


def _turned(claim: str, source: _Source) -> bool:
    """Tell whether the sentence negates or narrows what the quote does not, or the other way round."""
    for sentence_or_clause, pieces, least in (
        ([claim], source.whole, NEARLY_VERBATIM),
        (facts.clauses(claim), source.clauses, ALIGNED),
    ):
        for part in sentence_or_clause:
            about = facts.content(part)
            aligned = [piece for piece, _ in _best(about, pieces, least)] if len(about) >= FEWEST_WORDS else []
            if aligned and all(_way(piece) != _way(part) for piece in aligned):
                return True
    return facts.is_negated(claim) and not any(facts.is_negated(piece) for piece, _ in source.clauses)


def _leaves_figures_out(claim: str, source: _Source) -> bool:
    """Tell whether a translation has no figure where each original has one: it may be written out in words."""
    return not facts.figures(claim) and all(facts.figures(sentence) for sentence in source.sentences)


def _negates_otherwise(claim: str, source: _Source, language: str) -> bool:
    """Tell whether a translation negates where no original does, or does not where each of them does."""
    there = {facts.has_negation(sentence) for sentence in source.sentences}
    return facts.has_negation(claim, language) not in there


def _way(text: str) -> tuple[bool, bool]:
    return facts.is_negated(text), facts.is_narrowed(text)


def _changes_sides(claim: str, source: _Source) -> bool:
    """Tell whether the sentence has one of two opposites where the quote has the other."""
    everywhere = facts.sides(source.text)
    for pair, said in facts.sides(claim).items():
        if pair in everywhere and said - everywhere[pair]:
            return True
    return any(_turns_round(clause, source) for clause in facts.clauses(claim))


def _turns_round(clause: str, source: _Source) -> bool:
    aligned = [facts.sides(piece) for piece, _ in _best(facts.content(clause), source.clauses, ALIGNED)]
    said = facts.sides(clause)
    return bool(aligned) and all(any(pair in there and said[pair] - there[pair] for pair in said) for there in aligned)


def _best(
    about: frozenset[str], pieces: Sequence[tuple[str, frozenset[str]]], least: float
) -> list[tuple[str, frozenset[str]]]:
    """Give the pieces that have most in common with some words, if it is enough; several where they have as much."""
    scored = list(_scored(about, pieces))
    top = max((score for score, _ in scored), default=0.0)
    return [piece for score, piece in scored if score >= max(top - 1e-9, least)] if top else []


def _scored(
    about: frozenset[str], pieces: Sequence[tuple[str, frozenset[str]]]
) -> Iterator[tuple[float, tuple[str, frozenset[str]]]]:
    for piece in pieces:
        total = len(about) + len(piece[1])
        yield (2 * len(about & piece[1]) / total if total else 0.0), piece
