"""Put an answer together: sentences, citations, scope, notices, and the text around them."""

from collections.abc import Iterator, Sequence

from index.search import Hit
from index.snapshot import Snapshot
from service.answer import Answer, Citation, Notice, Related, Scope, Sentence
from service.contacts import may_be_quoted
from service.decide import Decision
from service.evidence import Evidence
from service.fragments import text_fragment
from service.intents import (
    asks_for_a_person,
    asks_for_nothing_else,
    orders_assistants_about,
    tells_whom_to_reach,
)
from service.notices import dated_of, disagree, notices_of, standing
from service.question import Question
from service.quotes import EACH_OF_SEVERAL, MOST_SENTENCES, Quote, choose
from service.replies import no_person, reply_to
from service.scope import without_names
from service.stance import is_yes_no

MOST_RELATED = 3


def answered(question: Question, decision: Decision, snapshot: Snapshot) -> Answer:
    """Answer with the chosen evidence, its exchanges one after another.

    Where nothing of it may be quoted (only pointers to other pages, or contacts on a page that is not official), the answer
    is `not_covered`.
    """
    quotes = [quote for group in _by_exchange(question, decision) for quote in _quotes(question, *group, snapshot)]
    if not quotes:
        return not_covered(question, decision, [evidence.hit for evidence in decision.evidence], snapshot)
    citations = tuple(_citation(number, quote) for number, quote in enumerate(quotes, 1))
    said = (
        Sentence(quote.evidence.text(sentence), (citation.number,))
        for citation, quote in zip(citations, quotes, strict=True)
        for sentence in quote.shown
    )
    # A page that says something twice within a quote is quoted as it stands, and shown saying it once.
    sentences = tuple(dict.fromkeys(said))
    scope = _scope(question, [quote.evidence for quote in quotes])
    return Answer(
        "answered",
        text_of(sentences, citations, several=len(scope.exchanges) > 1),
        sentences,
        citations,
        scope,
        (*_without_articles(question), *notices_of(question, quotes, snapshot)),
        (),
        decision.confidence,
        snapshot.id,
    )


def clarify(question: Question, decision: Decision, snapshot: Snapshot) -> Answer:
    """Ask which exchange is meant."""
    names = [name for name in decision.exchanges if name]
    text = f"Which exchange do you mean? There are answers for {', '.join(names[:-1])} and {names[-1]}."
    scope = Scope(tuple(names), (), question.source)
    return Answer("clarify", text, (), (), scope, (), (), decision.confidence, snapshot.id)


def not_covered(question: Question, decision: Decision, nearest: Sequence[Hit], snapshot: Snapshot) -> Answer:
    """Say that the articles do not answer the question, and name the nearest ones."""
    notices: list[Notice] = []
    text = "The help articles do not answer this."
    if question.exchanges:
        names = " and ".join(question.exchanges)
        text = f"The help articles do not answer this for {names}."
        if question.uncovered == question.exchanges:
            text = f"There are no help articles about {names}."
            notices.append(Notice("other_exchange", "The articles named here are about other exchanges."))
    if asks_for_a_person(question.text):
        text += f" {no_person(question.language)}"
    text += " Please ask the exchange's own support."
    scope = Scope(question.exchanges, (), question.source)
    return Answer(
        "not_covered",
        text,
        (),
        (),
        scope,
        tuple(notices),
        _related(nearest, snapshot),
        decision.confidence,
        snapshot.id,
    )


def declined(question: Question, hits: Sequence[Hit], snapshot: Snapshot) -> Answer:
    """Decline a request that is no question for the help articles."""
    scope = Scope(question.exchanges, (), question.source)
    notices = (Notice("not_advice", "Nothing here is investment advice."),) if question.intent == "advice" else ()
    text = reply_to(question.intent, question.language)
    return Answer("declined", text, (), (), scope, notices, _related(hits, snapshot), 0.0, snapshot.id)


def _without_articles(question: Question) -> Iterator[Notice]:
    """Say so where the answer is silent on an exchange that was asked about beside others."""
    if question.uncovered:
        yield Notice("other_exchange", f"There are no help articles about {' and '.join(question.uncovered)}.")


def _by_exchange(question: Question, decision: Decision) -> Iterator[tuple[list[Evidence], int]]:
    """Give the evidence of each exchange that answers, and how many sentences it gets."""
    # A passage of an article about no exchange answers for the one that is asked about only where it names it.
    asked = question.exchanges[0] if len(question.exchanges) == 1 else None
    groups: dict[str | None, list[Evidence]] = {}
    for evidence in decision.evidence:
        groups.setdefault(evidence.article.exchange or asked, []).append(evidence)
    if len(groups) > 2:
        # Among several exchanges, what is said of none of them has no name to stand under.
        groups.pop(None, None)
    for group in groups.values():
        yield group, MOST_SENTENCES if len(groups) == 1 else EACH_OF_SEVERAL


def _quotes(question: Question, found: Sequence[Evidence], most: int, snapshot: Snapshot) -> list[Quote]:
    """Choose what is shown of one exchange; where it disagrees, the official first."""
    # Whoever only wants a person is answered with how one is reached, and with nothing that only happens to be near.
    only_a_person = asks_for_nothing_else(without_names(question.text, snapshot.directory))

    def allowed(evidence: Evidence, text: str) -> bool:
        if only_a_person and not tells_whom_to_reach(text):
            return False
        return may_be_quoted(text, evidence.article.trust, snapshot.directory) and not orders_assistants_about(text)

    quotes = choose(found, most, allowed, yes_no=is_yes_no(question.text))
    return sorted(quotes, key=standing) if disagree(quotes) else quotes


def _citation(number: int, chosen: Quote) -> Citation:
    article, passage = chosen.evidence.article, chosen.evidence.hit.passage
    url = article.url.split("#")[0] + text_fragment(chosen.evidence.text(chosen.shown[0]))
    return Citation(
        number, passage.id, article.id, url, article.title, article.exchange, article.trust, dated_of(article),
        passage.text[chosen.start : chosen.end], chosen.start, chosen.end,
    )  # fmt: skip


def _scope(question: Question, evidence: Sequence[Evidence]) -> Scope:
    exchanges = tuple(dict.fromkeys(e.article.exchange for e in evidence if e.article.exchange))
    products = tuple(dict.fromkeys(product for e in evidence for product in e.article.products[:3]))
    return Scope(exchanges, products[:5], question.source if question.exchanges else "corpus")


def text_of(sentences: Sequence[Sentence], citations: Sequence[Citation], *, several: bool) -> str:
    """Write sentences with their marks, a line each; where there are several exchanges, each under its name."""
    parts: list[str] = []
    exchange: str | None = None
    for sentence in sentences:
        marks = "".join(f"[{number}]" for number in sentence.citations)
        about = citations[sentence.citations[0] - 1].exchange
        label = f"{about}: " if several and about and about != exchange else ""
        exchange = about
        parts.append(f"{label}{sentence.text} {marks}")
    return "\n".join(parts)


def _related(hits: Sequence[Hit], snapshot: Snapshot) -> tuple[Related, ...]:
    articles = [snapshot.article(i) for i in dict.fromkeys(hit.passage.article_id for hit in hits)]
    return tuple(Related(a.id, a.url, a.title, a.exchange) for a in articles[:MOST_RELATED] if a)
