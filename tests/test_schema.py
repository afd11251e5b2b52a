"""The OpenAPI schema: that the whole API keeps to it, whatever it is sent, and that a stranger can work with it."""

import json
import uuid
from pathlib import Path

import jsonschema
import pytest
import schemathesis
from desk_client import LARGE, client_of, new_key, with_key
from homes import OTHERS, article, copy_home, home_of
from hypothesis import HealthCheck, settings
from live import live
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.api.access import RULES
from service.api.idempotency import LONGEST_KEY
from service.app import create_app
from service.server_settings import ServerSettings

# Random requests to each operation, besides those at the bounds of its parameters and bodies.
EXAMPLES = 15
NOTHING = Path("nowhere")

SCHEMA = create_app(NOTHING, ServerSettings(log_days=0)).openapi()
API = schemathesis.openapi.from_dict(SCHEMA)
# The key is given to every request: that there is no way in without it is another test's.
API.config.generation.update(with_security_parameters=False)
API.config.update(request_timeout=60)  # the longest span of /insights takes seconds


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home of this file alone, with a snapshot to go back to: what is sent here publishes snapshots."""
    home = home_of(tmp_path_factory.mktemp("schema") / "home", OTHERS)
    waits = article("waits", "A withdrawal to a new address waits for 24 hours on Kelpex.")
    return home_of(home, [*OTHERS, waits])


@pytest.fixture(scope="module")
def key(home):
    return with_key(new_key(home, "admin"))


@pytest.fixture(scope="module")
def address(home):
    with live(create_app(home, ServerSettings(**LARGE))) as address:
        yield address


@pytest.fixture(scope="module")
def quiet(home, tmp_path_factory):
    """The address of a desk that was asked nothing yet: the page of insights reads all that was."""
    home = copy_home(home, tmp_path_factory.mktemp("quiet") / "home")
    for log in home.glob("questions.sqlite*"):
        log.unlink()
    with live(create_app(home, ServerSettings(**LARGE))) as address:
        yield address


RANDOM = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)


@API.exclude(operation_id="show_insights").parametrize()
@RANDOM
def test_an_operation_answers_as_the_schema_says(case, address, key):
    repeat = case.headers.get("Idempotency-Key")
    if (
        isinstance(repeat, str) and 0 < len(repeat) <= LONGEST_KEY
    ):  # each request is another one, and so needs another key
        case.headers["Idempotency-Key"] = f"{repeat[:200]}{uuid.uuid4()}"
    # Whether words are a question, no schema can say.
    asks = isinstance(case.body, dict) and not {"question", "messages"}.isdisjoint(case.body)
    excluded = [positive_data_acceptance] if asks else []
    case.call_and_validate(address, headers={**key}, excluded_checks=excluded)
    if asks and case.operation.path != "/v1/chat/completions":
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
        case.call_and_validate(address, headers={**key, "Accept": "text/event-stream"}, excluded_checks=excluded)


@API.include(operation_id="show_insights").parametrize()
@RANDOM
def test_the_page_of_insights_answers_as_the_schema_says(case, quiet, key):
    case.call_and_validate(quiet, headers={**key})


# ---- as a stranger reads it


def _each_operation():
    for path, operations in SCHEMA["paths"].items():
        for method, operation in operations.items():
            yield pytest.param(path, method, operation, id=operation["operationId"])


EACH_OPERATION = list(_each_operation())


def resolved(part):
    """Follow the references of a part of the schema, all the way down."""
    if isinstance(part, list):
        return [resolved(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        found = SCHEMA
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return resolved(found)
    return {name: resolved(value) for name, value in part.items()}


@pytest.mark.parametrize(("path", "method", "operation"), EACH_OPERATION)
def test_an_operation_is_told_with_its_keys_its_errors_and_an_example(path, method, operation):
    assert operation["summary"]
    assert "**Keys:**" in operation["description"]
    assert set(operation["tags"]) <= {tag["name"] for tag in SCHEMA["tags"]}
    assert all(resolved(parameter)["description"] for parameter in operation.get("parameters", []))
    for code, response in resolved(operation["responses"]).items():
        assert response["description"]
        assert "X-Request-Id" in response["headers"]
        for media_type, content in response.get("content", {}).items():
            if media_type in ("application/json", "application/problem+json") and code != "default":
                assert "example" in content or code == "503", (code, media_type)
                jsonschema.validate(content.get("example", {"snapshot": "ok", "state": "ok"}), content["schema"])
    body = resolved(operation.get("requestBody"))
    for example in body["content"]["application/json"]["schema"]["examples"] if body else ():
        jsonschema.validate(example, body["content"]["application/json"]["schema"])


def test_every_call_that_needs_a_key_says_so_and_which():
    told = 0
    for rule in RULES:
        for method, kinds in rule.kinds.items():
            operation = SCHEMA["paths"].get(rule.route, {}).get(method.lower())
            if operation is not None:
                told += 1
                assert ({"key": []} in operation.get("security", SCHEMA["security"])) == (kinds is not None)
                named = operation["description"].rpartition("**Keys:** ")[2].rstrip(".").split(", ")
                assert set(named) == (set(kinds) if kinds else {"none is needed"})
    assert told == len(EACH_OPERATION)


def test_the_schema_keeps_to_openapi():
    API.validate()


def test_errors_have_one_shape():
    assert "HTTPValidationError" not in json.dumps(SCHEMA)
    for _, _, operation in (param.values for param in EACH_OPERATION):
        for code, response in resolved(operation["responses"]).items():
            if code.isdigit() and int(code) >= 400:
                assert "application/problem+json" in response["content"]
            if code == "429":
                assert "Retry-After" in response["headers"]


def test_the_example_of_a_stream_is_a_stream():
    content = SCHEMA["paths"]["/v1/query"]["post"]["responses"]["200"]["content"]
    blocks = [block.split("\n") for block in content["text/event-stream"]["example"].strip().split("\n\n")]
    told = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]
    assert [name for name, _ in told] == ["status", "status", "sentence", "related", "done"]
    assert told[-1][1]["text"] == content["application/json"]["example"]["text"]


def test_the_served_schema_is_this_one(home):
    with client_of(home) as client:
        assert client.get("/openapi.json").json() == SCHEMA
