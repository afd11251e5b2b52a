"""What left a source leaves the answers: pages that are gone, moved or fail for too long, and losses that are too sudden."""

from collections.abc import Iterable
from dataclasses import dataclass

from ingest.article import IngestError
from ingest.groups import forget, group, remember
from ingest.sources import Source, WebSource
from ingest.state import PageState, Run
from ingest.store import CorpusStore

#: Articles that a run may lose whatever their share is: of three articles one is a third already.
FEW_LOST = 2
#: Redirects that are followed from where an article was to where it is.
LONGEST_CHAIN = 10
#: Articles that a run changed and that all say the same now: a site shows one text, such as "back soon", on all its pages.
SAME_NOW = 3


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of the pages of a source.

    :ivar gone: Articles that were taken out.
    :ivar moved: Articles that were found at another address as if they were new.
    :ivar held: Why nothing was taken out and nothing is to be built, if so.
    """

    gone: int
    moved: int = 0
    held: str | None = None


@dataclass(frozen=True, slots=True)
class _Leaving:
    page: PageState
    why: str


def follow(source: Source, run: Run, store: CorpusStore, *, complete: bool, accept_loss: bool = False) -> Followed:
    """Take out the articles whose pages left the source in a run.

    A page leaves when it answers 404 or 410, when a complete list no longer names it, when it redirects to a page that has
    an article already, and when it could not be read in more than ``source.grace`` runs in a row. Its article leaves
    when no other page stands for it. If that is more than ``source.most_lost`` of the source's articles, nothing leaves and
    the source is held back.

    :param complete: The run listed all that the source has.
    :param accept_loss: Take out whatever is lost, and let a source go that was held back.
    """
    state = store.state()
    leaving = list(_leaving(source, run, store, complete=complete))
    moved = _found_elsewhere(source, run, leaving, store)
    lost = _lost(leaving, store)
    before = store.active_of(source.name)
    same = 0 if accept_loss else store.say_the_same(source.name)
    held = None if accept_loss else _too_much(source, leaving, len(lost), same, before)
    with store.transaction():
        state.hold(source.name, held)
        if held:
            return Followed(0, moved, held)
        state.gone(source.name, [item.page.url for item in leaving])
        gone = sum(store.remove(article_id, why) for article_id, why in lost.items())
    return Followed(gone, moved)


def remove_source(name: str, store: CorpusStore) -> int:
    """Take a source out with all articles that no other source stands for; give how many those are.

    :raises IngestError: There is no such source.
    """
    state = store.state()
    names = [known for known, *_ in state.sources()]
    if name not in names:
        raise IngestError(f"{name}: no such source; `citedesk sources list` shows those that there are")
    with store.transaction():
        leaving = [_Leaving(page, f"its source {name} was removed") for page in state.pages(name) if not page.gone]
        lost = _lost(leaving, store)
        state.forget(name)
        removed = sum(store.remove(article_id, why) for article_id, why in lost.items())
        group(store)
    return removed


def follow_moves(page: PageState, url: str, store: CorpusStore) -> None:
    """Let the article of a page that redirects here take this address along, before what stands here is stored.

    :param url: The address of the article that was made from this page.
    """
    state = store.state()
    waiting, seen = [page], {page.url}
    while waiting and len(seen) <= LONGEST_CHAIN:
        for mover in state.moved_here(page.source, waiting.pop().url):
            if mover.url in seen:
                continue
            seen.add(mover.url)
            waiting.append(mover)
            if mover.article_id and not store.at(url) and len(state.pages_of(mover.article_id)) == 1:
                store.move(mover.article_id, url)


def _leaving(source: Source, run: Run, store: CorpusStore, *, complete: bool) -> Iterable[_Leaving]:
    state = store.state()
    for page in state.pages(source.name):
        if page.gone:
            continue
        if page.run != run.id:
            why = _unmet(source, page, store) if complete else None
        else:
            why = _failing(source, page) or _moved(page, store)
        if why:
            yield _Leaving(page, why)


def _unmet(source: Source, page: PageState, store: CorpusStore) -> str | None:
    if isinstance(source, WebSource) and source.kind == "feed":
        return None  # a feed names what is new, not all that there is
    if isinstance(source, WebSource) and source.kind == "site":
        failures = store.state().missed(page)  # a link may be missing for a day
        return f"no page links to it since {failures} runs" if failures > source.grace else None
    return "no longer listed"


def _failing(source: Source, page: PageState) -> str | None:
    if page.status in (404, 410):
        return f"HTTP {page.status}"
    if page.failures > source.grace:
        return f"could not be read in {page.failures} runs: {page.problem or page.error}"
    return None


def _moved(page: PageState, store: CorpusStore) -> str | None:
    """Say where a page moved whose article did not move along, because another article is there already."""
    state, at = store.state(), page
    for _ in range(LONGEST_CHAIN):
        if at.moved_to is None:
            break
        target = state.page(page.source, at.moved_to)
        if target is None:
            return None
        at = target
    if at is page or at.article_id is None or at.gone:
        return None
    return f"moved to {at.url}"


def _found_elsewhere(source: Source, run: Run, leaving: list[_Leaving], store: CorpusStore) -> int:
    """Let articles go on that the run found, word for word, at a new address: a list names only that one."""
    moved = 0
    with store.transaction():
        for article_id in _lost(leaving, store):
            new_id = store.added_with_text_of(article_id, source.name, run.events)
            if new_id is not None:
                forget(store, new_id)
                store.take_over(article_id, new_id)
                remember(store, article_id)
                moved += 1
    return moved


def _lost(leaving: list[_Leaving], store: CorpusStore) -> dict[str, str]:
    """Give the articles for which no page stands any more, with the reason."""
    state = store.state()
    urls = {(item.page.source, item.page.url) for item in leaving}
    lost: dict[str, str] = {}
    for item in leaving:
        article_id = item.page.article_id
        if article_id is None or article_id in lost:
            continue
        standing = [p for p in state.pages_of(article_id) if not p.gone and (p.source, p.url) not in urls]
        if not standing and store.present(article_id):
            lost[article_id] = item.why
    return lost


def _too_much(source: Source, leaving: list[_Leaving], lost: int, same: int, before: int) -> str | None:
    if same >= max(SAME_NOW, source.most_lost * before):
        return f"{same} of {before} articles changed to one and the same text; is the site down, or behind a log-in?"
    if lost <= max(FEW_LOST, source.most_lost * before) and not (lost == before > FEW_LOST):
        return None
    reasons: dict[str, int] = {}
    for item in leaving:
        if item.page.article_id:
            reason = item.why.split(" http")[0]
            reasons[reason] = reasons.get(reason, 0) + 1
    most = sorted(reasons.items(), key=lambda pair: -pair[1])[:3]
    named = "; ".join(f"{count} × {reason}" for reason, count in most)
    return f"{lost} of {before} articles would be lost at once ({named})"
