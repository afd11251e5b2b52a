"""The routes that show what is answered from: articles, passages, suggested questions, and the snapshot itself."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, Response

from index.snapshot import Snapshot, SnapshotError
from ingest.article import Article
from service.api.models import (
    ArticleList,
    ArticleView,
    PassageView,
    SnapshotRequest,
    SnapshotView,
    SuggestionList,
    problems,
)
from service.api.problems import Problem
from service.desk import Desk
from service.suggest import Suggestions

MOST_LISTED = 100
_LINE = ("id", "url", "title", "exchange", "language", "trust", "published", "updated")
Name = Annotated[
    str | None,
    Query(max_length=100, description="Only what is about this exchange, in any spelling.", examples=["Kraken"]),
]
ArticleId = Annotated[str, Path(description="As a citation's `article_id` and the list of articles give it.")]
PassageId = Annotated[
    str, Path(description="As a citation's `passage_id` gives it, its `#` written `%23`.", examples=["fees#2"])
]
_SAME: dict[int | str, dict[str, Any]] = {304: {"description": "What you have is still the same."}}


def router(desk: Desk) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["corpus"])
    # The suggestions of the snapshot that is served, and of the one before while requests still use it.
    suggestions: Callable[[Snapshot], Suggestions] = lru_cache(maxsize=2)(Suggestions)

    @routes.get("/v1/articles", response_model=ArticleList, responses={**_SAME, **problems(422)})
    def list_articles(
        request: Request,
        exchange: Name = None,
        language: Annotated[
            str | None, Query(max_length=35, description="Only articles in this language.", examples=["en"])
        ] = None,
        after: Annotated[str, Query(max_length=200, description="The `next` of the part before.")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED, description="How many at most.")] = MOST_LISTED,
    ) -> Response:
        """List the articles, without their text."""
        snapshot = desk.assistant().snapshot
        known = snapshot.directory.canonical(exchange) or exchange if exchange else None
        found = snapshot.articles(after=after, exchange=known, language=language, limit=limit + 1)
        more = found[limit - 1].id if len(found) > limit else None
        return _unless_known(request, snapshot, {"articles": [_line(one) for one in found[:limit]], "next": more})

    @routes.get("/v1/articles/{id}", response_model=ArticleView, responses={**_SAME, **problems(404)})
    def get_article(id: ArticleId, request: Request) -> Response:
        """Give a whole article."""
        snapshot = desk.assistant().snapshot
        found = _article(snapshot, id)
        sections = [asdict(section) for section in found.sections]
        whole = {
            "products": found.products,
            "fetched": found.fetched,
            "disclaimer": found.disclaimer,
            "text": found.text,
        }
        return _unless_known(request, snapshot, {**_line(found), **whole, "sections": sections})

    @routes.get("/v1/passages/{id}", response_model=PassageView, responses={**_SAME, **problems(404)})
    def get_passage(id: PassageId, request: Request) -> Response:
        """Give a passage, and the article that it stands in."""
        snapshot = desk.assistant().snapshot
        article_id = id.rpartition("#")[0]
        found = next((passage for passage in snapshot.passages_of(article_id) if passage.id == id), None)
        if found is None:
            raise Problem(404, "No such passage", "There is no passage of this id in the published snapshot.")
        told = {name: value for name, value in asdict(found).items() if name != "article_id"}
        return _unless_known(request, snapshot, {**told, "article": _line(_article(snapshot, article_id))})

    @routes.get("/v1/suggest", response_model=SuggestionList, responses=problems(422))
    def suggest(
        q: Annotated[
            str,
            Query(
                max_length=200,
                description="What was typed so far; nothing gives the questions of the page.",
                examples=["how long does a w"],
            ),
        ] = "",
        exchange: Name = None,
        page_url: Annotated[
            str | None,
            Query(max_length=2048, description="The page that the asker stands on; its questions come first."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=20, description="How many at most.")] = 6,
    ) -> Response:
        """Suggest questions that the articles answer."""
        found = suggestions(desk.assistant().snapshot).find(q, exchange=exchange, page_url=page_url, limit=limit)
        return JSONResponse({"suggestions": [asdict(one) for one in found]})

    @routes.get("/v1/snapshot", response_model=SnapshotView, responses={**_SAME, **problems()})
    def get_snapshot(request: Request) -> Response:
        """Tell what is answered from."""
        served = desk.assistant().snapshot
        return _unless_known(request, served, _snapshot(served))

    @routes.put("/v1/snapshot", response_model=SnapshotView, responses=problems(400, 404, 409, 413, 422))
    def publish_snapshot(body: SnapshotRequest) -> Response:
        """Publish a snapshot that is there already: a rollback.

        It is served as soon as it is open; until then, the one before.
        """
        if body.id is not None and body.id not in desk.shelf.ids():
            raise Problem(
                404, "No such snapshot", "There is no snapshot of this id; `citedesk snapshots list` shows them."
            )
        try:
            published = desk.shelf.rollback(body.id, before_publishing=desk.retriever)
        except SnapshotError as error:
            raise Problem(
                409,
                "Not published",
                "That snapshot is damaged, the search engine does not hold it, or there is none before this one.",
            ) from error
        return JSONResponse(_snapshot(desk.shelf.open(published)))

    return routes


def _article(snapshot: Snapshot, id: str) -> Article:
    found = snapshot.article(id)
    if found is None:
        raise Problem(404, "No such article", "There is no article of this id in the published snapshot.")
    return found


def _line(article: Article) -> dict[str, Any]:
    return {name: getattr(article, name) for name in _LINE}


def _snapshot(snapshot: Snapshot) -> dict[str, Any]:
    manifest = snapshot.manifest
    names = {"languages": snapshot.languages, "exchanges": snapshot.exchanges}
    return {
        "id": snapshot.id,
        "created": manifest.created,
        "counts": manifest.counts,
        "encoder": manifest.encoder,
        **names,
    }


def _unless_known(request: Request, snapshot: Snapshot, body: dict[str, Any]) -> Response:
    """Send what a snapshot holds, or 304 where the client has it: within one snapshot nothing changes."""
    of = f"{snapshot.id} {request.url.path}?{request.url.query}"
    tag = f'"{hashlib.sha256(of.encode("utf-8", "replace")).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = {part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return JSONResponse(body, headers=headers)
