"""Who may do what, and what happens to those who may not: keys, origins, limits, bodies, repeats, the log."""

import asyncio
import logging
import threading
import time

import pytest
from desk_client import ORIGIN, client_of, key_while_running, with_key
from homes import OTHERS, article, home_of

from service.api.access import RULES, rule_for
from service.api.gate import client_of as client_address
from service.api.problems import Problem
from service.api.turnstile import Turnstile
from service.assistant import Assistant
from service.keys import LOOK_AGAIN, KeysError, KeyStore
from service.metrics import Metrics

QUESTION = "how long does a withdrawal to a new address wait on kelpex"
PROBLEM = "application/problem+json"
OPEN = {"/healthz"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    waits = article("waits", "A withdrawal to a new address waits for 24 hours on Kelpex.")
    return home_of(tmp_path_factory.mktemp("gate") / "home", [*OTHERS, waits])


@pytest.fixture(scope="module")
def client(home):
    with client_of(home, None) as client:
        yield client


@pytest.fixture(scope="module")
def keys(home):
    return {kind: with_key(key_while_running(home, kind)) for kind in ("widget", "secret", "admin")}


def ask(client, headers, **kwargs):
    return client.post("/v1/query", json={"question": QUESTION}, headers=headers, **kwargs)


def is_problem(response, status, said=""):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    assert said in response.json()["detail"]
    assert response.headers["x-request-id"]


# ---- keys

CALLS = sorted(
    (rule.route.format(id="x", name="x"), method, kinds) for rule in RULES for method, kinds in rule.kinds.items()
)


@pytest.mark.parametrize(("path", "method", "kinds"), CALLS)
def test_nothing_is_open_but_the_health_of_the_server(client, path, method, kinds):
    response = client.request(method, path)
    if path in OPEN:
        assert response.status_code == 200
    else:
        assert response.status_code == 401
        assert response.headers["www-authenticate"]


@pytest.mark.parametrize("kind", ["widget", "secret", "admin"])
@pytest.mark.parametrize(("path", "method", "kinds"), CALLS)
def test_a_key_opens_what_it_is_for_and_nothing_else(client, keys, path, method, kinds, kind):
    headers = {**keys[kind], **({"Origin": ORIGIN} if kind == "widget" else {})}
    status = client.request(method, path, headers=headers).status_code
    if kinds is not None and kind not in kinds:
        assert status == 403
    else:
        assert status not in {401, 403}


def test_every_route_of_the_application_has_a_rule(client):
    for path, operations in client.app.openapi()["paths"].items():
        rule = rule_for(path.replace("{", "").replace("}", ""), demo=False)
        assert rule is not None, path
        assert {method.upper() for method in operations} <= set(rule.kinds)


@pytest.mark.parametrize(
    "given",
    ["Bearer", "Bearer ", "Bearer nonsense", "Bearer cds_" + "A" * 43, "Basic !!!", "Token x", "Bearer ключ".encode()],
)
def test_what_is_no_key_opens_nothing(client, given):
    is_problem(client.get("/v1/snapshot", headers={"Authorization": given}), 401)


def test_a_revoked_key_holds_no_more(client, home):
    store = KeyStore(home / "keys.sqlite")
    key, text = store.create("secret", "short")
    time.sleep(1.5 * LOOK_AGAIN)
    assert ask(client, with_key(text)).status_code == 200
    store.revoke(key.id)
    end = time.monotonic() + 5
    while ask(client, with_key(text)).status_code == 200:
        assert time.monotonic() < end, "the key still holds"
        time.sleep(0.1)
    is_problem(ask(client, with_key(text)), 401, "revoked")


# ---- origins


@pytest.mark.parametrize(
    "origin",
    [None, "null", "https://evil.example", "http://help.kelpex.example", f"{ORIGIN}.evil.example", ORIGIN + ":8443"],
)
def test_a_widget_key_holds_on_its_own_pages_only(client, keys, origin):
    response = ask(client, {**keys["widget"], **({"Origin": origin} if origin else {})})
    is_problem(response, 403, "does not hold for")
    assert response.headers.get("access-control-allow-origin") == (None if origin is None else "*")


def test_a_page_may_read_what_its_key_brings(client, keys):
    response = ask(client, {**keys["widget"], "Origin": ORIGIN})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in response.headers["vary"]
    assert "access-control-allow-credentials" not in response.headers


def test_a_page_may_read_why_it_was_refused(client, keys):
    response = client.post("/v1/query", json={"question": " "}, headers={**keys["widget"], "Origin": ORIGIN})
    is_problem(response, 422)
    assert response.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    ("key", "status", "said"),
    [(None, 401, "needs a key"), ("cdw_" + "A" * 43, 401, "not known here"), ("widget", 403, "does not hold for https://evil.example")],
)  # fmt: skip
def test_any_page_may_read_why_it_is_refused_and_nothing_else(client, keys, key, status, said):
    headers = {None: {}, "widget": keys["widget"]}.get(key, with_key(key or ""))
    for path in ("/v1/suggest", "/v1/snapshot"):
        response = client.get(path, headers={**headers, "Origin": "https://evil.example"})
        is_problem(response, status, said)
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers
        assert response.json().keys() == {"type", "title", "status", "detail"}


def test_a_page_may_read_when_to_come_back(home):
    with client_of(home, "widget", client_per_minute=1) as client:
        refused = [client.post("/v1/query", json={"question": "hello"}) for _ in range(2)][1]
        is_problem(refused, 429)
        assert refused.headers["access-control-allow-origin"] == ORIGIN
        assert "Retry-After" in refused.headers["access-control-expose-headers"]


def test_keys_that_cannot_be_read_are_said_to_a_page_too(home, client, keys, monkeypatch):
    def broken(store, text):
        raise KeysError("damaged")

    monkeypatch.setattr(KeyStore, "find", broken)
    response = ask(client, {**keys["widget"], "Origin": ORIGIN})
    is_problem(response, 503, "cannot be read")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["retry-after"]


def test_a_secret_key_is_refused_in_a_page(client, keys):
    is_problem(ask(client, {**keys["secret"], "Origin": ORIGIN}), 403, "widget key")


@pytest.mark.parametrize("origin", [ORIGIN, "https://evil.example", "null"])
def test_a_browser_is_told_before_what_it_may_send(client, origin):
    wanted = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    response = client.options("/v1/query", headers=wanted)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "Authorization" in response.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in response.headers
    assert client.options("/v1/snapshot", headers=wanted).headers["access-control-allow-methods"] == "GET"
    is_problem(client.options("/v1/query"), 405)


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/insights", "/openapi.json", "/mcp", "/healthz"])
def test_what_no_widget_key_is_for_a_page_may_not_even_send(client, path):
    response = client.options(path, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "GET"})
    is_problem(response, 403, "No web page")


# ---- limits


def test_one_client_too_many_is_told_when_to_come_back(home):
    with client_of(home, "widget", client_per_minute=3) as client:
        codes = [client.post("/v1/query", json={"question": "hello"}).status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        refused = client.post("/v1/query", json={"question": "hello"})
        is_problem(refused, 429, "try again in")
        assert 1 <= int(refused.headers["retry-after"]) <= 21
        assert client.get("/v1/suggest").status_code == 200  # cheap calls have a limit of their own


def test_a_key_has_a_limit_however_many_clients_use_it(home):
    with client_of(home, "secret", key_per_minute=2) as client:
        assert [ask(client, {}).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    ("address", "known_as"),
    [("203.0.113.9", "203.0.113.9"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("testclient", "testclient")],
)
def test_clients_are_told_apart_by_address_or_by_their_network(address, known_as):
    assert client_address({"client": (address, 5)}) == known_as


def test_who_comes_when_all_are_busy_is_sent_away_at_once():
    turnstile = Turnstile(running=2, waiting=1, metrics=Metrics())
    busy, done = 0, 0

    async def one(release):
        nonlocal busy, done
        try:
            async with turnstile.turn():
                await release.wait()
                done += 1
        except Problem as problem:
            busy += problem.status == 503 and "Retry-After" in problem.headers

    async def several():
        release = asyncio.Event()
        tasks = [asyncio.create_task(one(release)) for _ in range(6)]
        await asyncio.sleep(0.05)
        assert busy == 3
        release.set()
        await asyncio.gather(*tasks)

    asyncio.run(several())
    assert (busy, done) == (3, 3)


def test_a_turn_is_given_back_whatever_happens_in_it():
    turnstile = Turnstile(running=1, waiting=0, metrics=Metrics())

    async def fails():
        async with turnstile.turn():
            raise ValueError

    async def many():
        for _ in range(3):
            with pytest.raises(ValueError):  # noqa: PT011
                await fails()

    asyncio.run(many())


def test_more_at_once_than_can_be_answered_are_shed_and_the_others_answered(home, monkeypatch):
    trace = Assistant.trace

    def slowly(*arguments, **named):
        time.sleep(0.2)
        return trace(*arguments, **named)

    with client_of(home, running=1, waiting=1) as client:
        monkeypatch.setattr(Assistant, "trace", slowly)
        codes = []
        askers = [threading.Thread(target=lambda: codes.append(ask(client, {}).status_code)) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    assert set(codes) == {200, 503}
    assert codes.count(200) >= 2


# ---- bodies


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client, keys):
    response = client.post("/v1/query", content=b"x" * 300_000, headers=keys["secret"])
    is_problem(response, 413, "262,144")


def test_a_body_of_unknown_length_is_refused_where_it_becomes_too_large(client, keys):
    response = client.post("/v1/query", content=(b"x" * 1000 for _ in range(300)), headers=keys["secret"])
    is_problem(response, 413)


# ---- repeats


def repeated(client, headers, key, **body):
    return client.post("/v1/query", json={"question": QUESTION, **body}, headers={**headers, "Idempotency-Key": key})


def test_a_request_that_is_sent_twice_is_carried_out_once(client, keys):
    first = repeated(client, keys["secret"], "one")
    second = repeated(client, keys["secret"], "one")
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_conversations_are_not_begun_twice(client, keys):
    headers = {**keys["secret"], "Idempotency-Key": "begin"}
    ids = {client.post("/v1/conversations", json={}, headers=headers).json()["id"] for _ in range(3)}
    assert len(ids) == 1


def test_a_key_for_repeats_is_for_one_request_of_one_caller(client, keys):
    first = repeated(client, keys["secret"], "two")
    is_problem(repeated(client, keys["secret"], "two", exchange="Mirador"), 422, "another request")
    assert repeated(client, keys["admin"], "two").json()["id"] != first.json()["id"]
    is_problem(repeated(client, keys["secret"], "k" * 256), 400)


def test_what_was_refused_for_now_may_be_repeated(home):
    with client_of(home, "secret", running=1, waiting=0) as client:
        held = client.app.state.desk
        assert held
        headers = {"Idempotency-Key": "again"}
        assert client.post("/v1/query", json={"question": " "}, headers=headers).status_code == 422
        assert (
            client.post("/v1/query", json={"question": " "}, headers=headers).headers["idempotency-replayed"] == "true"
        )


# ---- ids and the log


def test_a_request_keeps_the_id_that_it_came_with(client):
    assert client.get("/healthz", headers={"X-Request-Id": "trace-7"}).headers["x-request-id"] == "trace-7"
    for strange in ("a b", "x" * 65, "é".encode(), ""):
        given = client.get("/healthz", headers={"X-Request-Id": strange}).headers["x-request-id"]
        assert len(given) == 32


def test_the_log_names_the_route_and_the_key_but_never_what_was_typed(client, keys, caplog, home):
    with caplog.at_level(logging.INFO, "citedesk.requests"):
        client.get("/v1/suggest", params={"q": "zanzibarquux"}, headers=keys["secret"])
        client.get("/v1/articles/zanzibarquux", headers=keys["secret"])
        client.post("/v1/query", json={"question": "zanzibarquux on kelpex"}, headers=keys["secret"])
    lines = [record.__dict__ for record in caplog.records if record.name == "citedesk.requests"]
    assert [line["route"] for line in lines] == ["/v1/suggest", "/v1/articles/{id}", "/v1/query"]
    assert all(line["request_id"] and line["key"] and line["ms"] > 0 for line in lines)
    assert "zanzibarquux" not in caplog.text
    assert keys["secret"]["Authorization"] not in caplog.text


def test_what_is_kept_for_repeats_goes_with_its_conversation(client, keys):
    place = client.post("/v1/conversations", json={}, headers=keys["secret"]).headers["location"]
    asking = {"json": {"question": QUESTION}, "headers": {**keys["secret"], "Idempotency-Key": "kept with it"}}
    first = client.post(f"{place}/questions", **asking)
    assert client.post(f"{place}/questions", **asking).json() == first.json()
    assert client.delete(place, headers=keys["secret"]).status_code == 204
    assert client.post(f"{place}/questions", **asking).status_code == 404
