"""Who may call what: the one table of the server's paths. What is not in it is not there for anybody."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from service.keys import Kind

ANYONE: frozenset[Kind] = frozenset({"widget", "secret", "admin"})
COMPANY: frozenset[Kind] = frozenset({"secret", "admin"})
ADMIN: frozenset[Kind] = frozenset({"admin"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call a path.

    :ivar route: The path as a pattern, as the log and the metrics name it.
    :ivar kinds: The kinds of keys that may call it, by method; None: nobody needs a key.
    :ivar asks: Methods that answer a question, and so take their turn and count as one.
    :ivar page: A page for people, who are asked for their key by the browser.
    """

    route: str
    kinds: Mapping[str, frozenset[Kind] | None]
    asks: frozenset[str] = frozenset()
    page: bool = False
    _pattern: re.Pattern[str] = re.compile("")

    def fits(self, path: str) -> bool:
        """Tell whether a path is of this pattern."""
        return self._pattern.fullmatch(path) is not None


def _rule(route: str, kinds: Mapping[str, frozenset[Kind] | None], *, asks: bool = False, page: bool = False) -> Rule:
    pattern = re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(route))
    return Rule(route, kinds, frozenset({"POST"}) if asks else frozenset(), page, re.compile(pattern))


_FILE = {"GET": None, "HEAD": None}
RULES = (
    _rule("/healthz", _FILE),
    _rule("/readyz", {"GET": ADMIN}),
    _rule("/metrics", {"GET": ADMIN}),
    _rule("/insights", {"GET": ADMIN}, page=True),
    _rule("/openapi.json", {"GET": COMPANY}),
    _rule("/v1/query", {"POST": ANYONE}, asks=True),
    _rule("/v1/conversations", {"POST": ANYONE}),
    _rule("/v1/conversations/{id}", {"GET": ANYONE, "DELETE": ANYONE}),
    _rule("/v1/conversations/{id}/questions", {"POST": ANYONE}, asks=True),
    _rule("/v1/feedback", {"POST": ANYONE}),
    _rule("/v1/suggest", {"GET": ANYONE}),
    _rule("/v1/articles", {"GET": ANYONE}),
    _rule("/v1/articles/{id}", {"GET": ANYONE}),
    _rule("/v1/passages/{id}", {"GET": ANYONE}),
    _rule("/v1/snapshot", {"GET": ANYONE, "PUT": ADMIN}),
    _rule("/v1/chat/completions", {"POST": COMPANY}, asks=True),
    _rule("/v1/models", {"GET": COMPANY}),
    _rule("/v1/models/{id}", {"GET": COMPANY}),
    _rule("/mcp", {"POST": COMPANY, "GET": COMPANY, "DELETE": COMPANY}, asks=True),
)
# The chat widget's files, which hold no data: any page may load them.
WIDGET_RULES = (_rule("/widget.js", _FILE), _rule("/widget/{language}.json", _FILE))
# The demo page and its files, which hold nothing of the corpus; only where the operator asks for them.
DEMO_RULES = (_rule("/", _FILE), _rule("/help", _FILE), _rule("/help/{id}", _FILE), _rule("/static/{name}", _FILE))


def rule_for(path: str, *, demo: bool) -> Rule | None:
    """Give the rule of a path, or None where there is no such path."""
    rules = (*RULES, *WIDGET_RULES, *(DEMO_RULES if demo else ()))
    return next((rule for rule in rules if rule.fits(path)), None)
