"""The chat widget's files: the script, and its words in each language. They hold no data, so nobody needs a key."""

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import brotli
from fastapi import APIRouter, Query, Request
from fastapi import Path as PathPart
from starlette.responses import Response

from service.api.problems import Problem

STATIC = Path(__file__).parents[1] / "static"
SCRIPT = "widget.js"
# The address of a snippet names the file's content, so a browser may keep what it got for good; without that it asks each
# time whether the file is still the same.
_FOR_GOOD, _ASK_AGAIN = "public, max-age=31536000, immutable", "public, no-cache"
# Words of another version do no harm: what is missing in them is said in English.
_WORDS_KEPT = "public, max-age=86400"
# Any page may load the files, also one that checks their integrity (which needs CORS) or is isolated from other origins.
_OPEN = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin", "Vary": "Accept-Encoding"}
_LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class WidgetFile:
    """A file as it is sent.

    :ivar bodies: The content by its encoding: ``br``, ``gzip`` and, as it is, ``identity``.
    :ivar media_type: What it is.
    :ivar integrity: The hash that a page can hold its copy against: ``sha384-…``.
    :ivar version: A short name of this content.
    """

    bodies: dict[str, bytes]
    media_type: str
    integrity: str
    version: str


@cache
def widget_file(name: str = SCRIPT) -> WidgetFile:
    """Read a file of the widget and pack it, once in the life of the process.

    :raises OSError: It is not there: `make widget` builds it.
    """
    content = (STATIC / name).read_bytes()
    digest = hashlib.sha384(content).digest()
    bodies = {
        "br": brotli.compress(content, mode=brotli.MODE_TEXT),
        "gzip": gzip.compress(content, 9, mtime=0),
        "identity": content,
    }
    kind = "text/javascript" if name.endswith(".js") else "application/json"
    integrity = f"sha384-{base64.b64encode(digest).decode('ascii')}"
    return WidgetFile(bodies, f"{kind}; charset=utf-8", integrity, digest.hex()[:12])


def router() -> APIRouter:
    """Make the routes."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/widget.js", methods=["GET", "HEAD"])
    def get_script(request: Request, v: Annotated[str, Query(max_length=100)] = "") -> Response:
        """Give the script; ``v`` is the version that a snippet names."""
        file = widget_file()
        return _sent(file, request, _FOR_GOOD if v == file.version else _ASK_AGAIN)

    @routes.api_route("/widget/{language}.json", methods=["GET", "HEAD"])
    def get_words(language: Annotated[str, PathPart(max_length=10)], request: Request) -> Response:
        """Give the words of a language."""
        path = f"widget-{language}.json"
        if not _LANGUAGE.fullmatch(language) or not (STATIC / path).is_file():
            raise Problem(404, "Not here", "The widget has no words in this language; it speaks English then.")
        return _sent(widget_file(path), request, _WORDS_KEPT)

    return routes


def _sent(file: WidgetFile, request: Request, kept: str) -> Response:
    accepted = request.headers.get("accept-encoding", "")
    coding = next(
        (name for name in ("br", "gzip") if re.search(rf"\b{name}\b(?!\s*;\s*q=0(?:\.0*)?\b)", accepted)), "identity"
    )
    tag = f'"{file.version}-{coding}"'
    headers = {**_OPEN, "ETag": tag, "Cache-Control": kept}
    known = {part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")}
    if tag in known:
        return Response(status_code=304, headers=headers)
    if coding != "identity":
        headers["Content-Encoding"] = coding
    return Response(file.bodies[coding], headers=headers, media_type=file.media_type)
