"""The OpenAPI schema: what FastAPI finds in the routes, made into documentation that can be read by itself."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from service.answer import Answer
from service.api.access import Rule, rule_for
from service.api.events import MEDIA_TYPE as STREAM
from service.api.events import event, events_of
from service.api.idempotency import LONGEST_KEY
from service.api.models import ProblemView
from service.api.problems import MEDIA_TYPE

Json = dict[str, Any]
#: What the routes answer, by operation id: taken from a desk that runs, with articles made up for it.
EXAMPLES = Path(__file__).with_name("examples.json")

ABOUT = """\
Answers questions on how crypto exchanges and wallets work from their help articles. Each sentence of an answer stands
word for word in an article, and a citation says where; where the articles do not cover a question, the answer says so.

**Keys.** `Authorization: Bearer KEY`. A *widget* key is public: it may stand in a web page, and holds for pages of the
origins that it was made for. A *secret* key is for servers, an *admin* key for whoever runs the desk. Each operation names
the kinds that open it.

**Errors** are problems ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) of the media type `application/problem+json`;
`detail` says what to do. The OpenAI-compatible operations tell theirs as OpenAI does.

**Limits.** 429 is for a caller that asks too often, 503 for a server with too much to do; `Retry-After` says in how many
seconds to ask again.

**Repeats.** A POST with an `Idempotency-Key` is carried out once: whoever sends it again within 24 hours, with the same
body, gets the first response, marked `Idempotency-Replayed: true`.

**Streams.** With `Accept: text/event-stream`, answers come as Server-Sent Events: `status` at once, then a `sentence` each
with its citations, then `related` and `done`; or `error`, whose data is a problem.

**Request ids.** Every response has an `X-Request-Id`, which the server's log has too: yours, where the request brings one of
1 to 64 letters, digits, `_`, `.` and `-`.
"""
TAGS = {
    "questions": "Ask, one question or a conversation, and say whether an answer helped.",
    "corpus": "What is answered from: articles, passages, questions that they answer, the snapshot.",
    "operation": "For whoever runs the desk.",
    "OpenAI-compatible": "For clients that speak OpenAI's API; set their base URL to `/v1` here and the API key to a secret key.",
}
# Name of the shared response, what went wrong, and what a problem of this status says.
_PROBLEMS = {
    400: ("NotReadable", "The body is not JSON, or a header cannot be used.", "The request failed", "There was an error parsing the body"),
    401: ("NoKey", "There is no key, or one that is not known here.", "A key is needed", "This needs a key: send it as `Authorization: Bearer KEY`; `citedesk keys create` makes one."),
    403: ("NotWithThisKey", "The key is of another kind, or does not hold for this origin.", "Not from here", "This key does not hold for https://other.example."),
    404: ("NotThere", "There is no such thing, or it has expired.", "No such article", "There is no article of this id in the published snapshot."),
    408: ("TooSlow", "The request did not arrive in time.", "Too slow", "The request did not arrive within 10 seconds."),
    409: ("Conflict", "It cannot be done now: the same request is under way, or the snapshot cannot be published.", "Still under way", "The same request is being carried out."),
    413: ("TooLarge", "The body is too large.", "Too large", "The body may have 262,144 bytes at most."),
    422: ("NotAsExpected", "The request is not as described here, or cannot be asked.", "The request is not as expected", "question: Field required"),
    429: ("TooMany", "Too many requests of this client, or with this key.", "Too many", "Too many requests; try again in 3 s."),
    503: ("NotNow", "Too many questions at once, or something is away that the answer needs.", "Busy", "Too many questions at once; ask again in a second."),
}  # fmt: skip
_SECONDS = {"type": "integer", "minimum": 1, "example": 3}
_HEADERS: dict[str, Json] = {
    "X-Request-Id": {"description": "The request's id.", "required": True, "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before the next request.", "schema": _SECONDS},
    "WWW-Authenticate": {"description": "How to show a key.", "required": True, "schema": {"type": "string"}},
    "ETag": {"description": "Names this content, for If-None-Match.", "required": True, "schema": {"type": "string"}},
    "Location": {"description": "The path of what was made.", "required": True, "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "`true` where this is the response to an earlier request.",
        "schema": {"type": "string", "const": "true"},
    },
}
_HEADERS_OF = {401: ["WWW-Authenticate"], 409: ["Retry-After"], 429: ["Retry-After"], 503: ["Retry-After"]}
_PARAMETERS: dict[str, Json] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key", "in": "header", "description": "The same for each try of one request; a UUID will do.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
        "example": "0d5c1c8e-6d3c-4f5e-9a51-6f2b7b1f4d1e",
    },
    "If-None-Match": {
        "name": "If-None-Match", "in": "header", "schema": {"type": "string"},
        "description": "The `ETag` of what you have: where it is still the same, the response is 304, without a body.",
    },
}  # fmt: skip
_CITED: Json = {"type": "array", "items": {"$ref": "#/components/schemas/Citation"}}
_NEAR: Json = {"type": "array", "items": {"$ref": "#/components/schemas/Related"}}
# The data of each event of an answer; of `status` there are two, the first as soon as the question is understood.
_EVENTS: dict[str, Json] = {
    "status": {
        "id": {"type": "string"}, "status": {"enum": ["reading", "answered", "clarify", "not_covered", "declined"]},
        "exchanges": {"type": "array", "items": {"type": "string"}}, "language": {"type": "string"},
        "confidence": {"type": "number"}, "scope": {"$ref": "#/components/schemas/Scope"},
        "notices": {"type": "array", "items": {"$ref": "#/components/schemas/Notice"}},
        "snapshot_id": {"type": "string"}, "text": {"type": "string"},
    },
    "sentence": {"text": {"type": "string"}, "numbers": {"type": "array", "items": {"type": "integer"}}, "citations": _CITED},
    "related": {"related": _NEAR},
    "done": {
        "text": {"type": "string"},
        "notices": {"type": "array", "items": {"$ref": "#/components/schemas/Notice"}},
        "timings": {"type": "object", "additionalProperties": {"type": "number"}},
    },
    "error": {"title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}},
}  # fmt: skip
_FIELD = re.compile(r"^:ivar (\w+): (.*(?:\n(?!:).*)*)", re.MULTILINE)


def schema_of(app: FastAPI) -> Json:
    """Describe an application's API."""
    schema = get_openapi(
        title=app.title, version=app.version, summary=app.description, description=ABOUT, routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
    )  # fmt: skip
    components = schema["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["schemas"]["ProblemView"] = ProblemView.model_json_schema()
    for name, model in components["schemas"].items():
        _explain(name, model)
    for name in ("Answer", "Scope"):  # FastAPI takes what has a default for what may be left out
        model = components["schemas"][name]
        model["required"] = list(model["properties"])
    components |= {
        "responses": {name: _problem(code) for code, (name, *_) in _PROBLEMS.items()},
        "headers": _HEADERS,
        "parameters": _PARAMETERS,
        "securitySchemes": {
            "key": {"type": "http", "scheme": "bearer", "description": "A key that `citedesk keys create` made."},
            "password": {"type": "http", "scheme": "basic", "description": "For browsers: any name, an admin key as the password."},
        },
    }  # fmt: skip
    schema["security"] = [{"key": []}]
    for path, operations in schema["paths"].items():
        rule = rule_for(path.replace("{", "").replace("}", ""), demo=False)
        for method, operation in operations.items():
            _tell(operation, method.upper(), rule)
    return schema


def _tell(operation: Json, method: str, rule: Rule | None) -> None:
    """Make an operation readable: who may call it, its headers, its errors, an example."""
    kinds = rule.kinds[method] if rule else None
    first, _, rest = operation.get("description", "").partition("\n")
    operation["summary"] = first.rstrip(".")
    opened = ", ".join(kind for kind in ("widget", "secret", "admin") if kinds and kind in kinds)
    operation["description"] = "\n\n".join(filter(None, [rest.strip(), f"**Keys:** {opened or 'none is needed'}."]))
    for parameter in operation.get("parameters", []):
        _simplify(parameter)
    if kinds is None:
        operation["security"] = []
    elif rule and rule.page:
        operation["security"] = [{"key": []}, {"password": []}]
    responses = operation["responses"]
    if method == "POST":
        _add_parameter(operation, "Idempotency-Key")
    if "304" in responses:
        _add_parameter(operation, "If-None-Match")
    for code, response in list(responses.items()):
        responses[code] = _response(operation, code, response)
    operation["responses"] = {code: responses[code] for code in sorted(responses) if responses[code]}


def _simplify(parameter: Json) -> None:
    """Say of a parameter once what FastAPI says twice; what is absent from an address is absent, and not null."""
    schema = parameter["schema"]
    for name in ("title", "description"):
        schema.pop(name, None)
    if "examples" in schema:
        parameter["example"] = schema.pop("examples")[0]
    if "anyOf" in schema:
        parameter["schema"] = schema["anyOf"][0]


def _response(operation: Json, code: str, response: Json) -> Json | None:
    content = response.get("content", {})
    if "HTTPValidationError" in json.dumps(content):
        return None  # FastAPI's own shape, which is never sent; where a 422 may come, the route says so
    if code.isdigit() and int(code) in _PROBLEMS and not content:
        return {"$ref": f"#/components/responses/{_PROBLEMS[int(code)][0]}"}
    names = ["X-Request-Id"]
    names += ["Location"] if code == "201" else []
    names += ["ETag"] if code == "304" or (code == "200" and "304" in operation["responses"]) else []
    names += ["Idempotency-Replayed"] if code[0] == "2" and _takes(operation, "Idempotency-Key") else []
    response["headers"] = _referred("headers", names)
    if code[0] == "2":
        if response["description"] == "Successful Response":
            response["description"] = "Done." if code == "204" else "What was asked for."
        if STREAM in content:
            content[STREAM]["schema"] = _chunk() if "OpenAI-compatible" in operation["tags"] else _event()
        for media_type, example in _examples().get(operation["operationId"], {}).items():
            content[media_type]["example"] = example
    return response


def _event() -> Json:
    """Describe one event of an answer: before OpenAPI 3.2, the schema of a stream is that of its events."""
    kinds = [
        {
            "title": name,
            "properties": {
                "event": {"const": name},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {
                        "type": "object", "properties": properties, "additionalProperties": False,
                        "required": ["id", "status"] if name == "status" else list(properties),
                    },
                },
            },
            "required": ["event", "data"],
        }
        for name, properties in _EVENTS.items()
    ]  # fmt: skip
    return {"type": "object", "oneOf": kinds}


def _chunk() -> Json:
    text = "A `chat.completion.chunk`, an error, or at the end `[DONE]`."
    return {"type": "object", "properties": {"data": {"type": "string", "description": text}}, "required": ["data"]}


def _takes(operation: Json, parameter: str) -> bool:
    return {"$ref": f"#/components/parameters/{parameter}"} in operation.get("parameters", [])


def _add_parameter(operation: Json, name: str) -> None:
    operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{name}"})


def _referred(kind: str, names: list[str]) -> Json:
    return {name: {"$ref": f"#/components/{kind}/{name}"} for name in names}


def _problem(code: int) -> Json:
    _, description, title, detail = _PROBLEMS[code]
    example = {"type": "about:blank", "title": title, "status": code, "detail": detail}
    return {
        "description": description,
        "headers": _referred("headers", ["X-Request-Id", *_HEADERS_OF.get(code, [])]),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}, "example": example}},
    }


def _explain(name: str, model: Json) -> None:
    """Bring what the docstring of a class says of its fields to the fields."""
    text = model.get("description", "")
    properties = model.get("properties", {})
    for field, meaning in _FIELD.findall(text):
        if field in properties and "$ref" not in properties[field]:
            properties[field].setdefault("description", _plain(" ".join(meaning.split())))
    model["description"] = _plain(text.partition("\n:")[0].strip())
    model.setdefault("title", name)
    for told in properties.values():
        told.pop("title", None)  # FastAPI's: the name once more


def _plain(text: str) -> str:
    return text.replace("``", "`")


@cache
def _examples() -> dict[str, Json]:
    """Give an example of what each operation answers, by media type; of answers the stream too."""
    examples: dict[str, Any] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    answer = examples["ask"]
    examples["get_conversation"]["turns"][0]["answer"] = examples["chat_completions"]["citedesk"] = answer
    examples |= {"publish_snapshot": examples["get_snapshot"], "one_model": examples["models"]["data"][0]}
    given = {name: {_media_type(example): example} for name, example in examples.items()}
    reading = {"id": answer["id"], "status": "reading", "exchanges": answer["scope"]["exchanges"], "language": "en"}
    stream = b"".join([event("status", reading), *events_of(TypeAdapter(Answer).validate_python(answer))]).decode()
    for name in ("ask", "ask_in_conversation"):
        given[name] = {"application/json": answer, STREAM: stream}
    return given


def _media_type(example: object) -> str:
    return "text/plain" if isinstance(example, str) else "application/json"
