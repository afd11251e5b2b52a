"""The shared state: limits, values and lists, the same in memory and in Redis; and what happens when Redis is away."""

import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT
from redis_server import RedisServer

from service.state import MemoryState, RedisState, State, StateError, open_state

# So slow that nothing comes back during a test.
NEVER = 1e-6


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture(params=["memory", "redis", "socket"])
def state(request) -> Iterator[State]:
    urls = {"memory": lambda: None, "redis": lambda: running().url, "socket": lambda: running().unix_url}

    def running() -> RedisServer:
        return request.getfixturevalue("server")

    opened = open_state(urls[request.param]())
    if isinstance(opened, RedisState):
        opened._redis.flushdb()
    yield opened
    opened.close()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# What both have to do.


def test_a_bucket_lets_its_capacity_pass_and_then_says_how_long_to_wait(state):
    waits = [state.take("client:a", capacity=3, per_second=0.5) for _ in range(5)]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert 1.9 < waits[3] <= 2.0
    assert waits[4] <= waits[3]  # a refused call costs nothing
    assert state.take("client:b", capacity=3, per_second=0.5) == 0.0


def test_whoever_waits_as_told_passes(state):
    assert state.take("client:a", capacity=2, per_second=20, cost=2) == 0.0
    wait = state.take("client:a", capacity=2, per_second=20)
    assert 0 < wait <= 0.05
    time.sleep(wait + 0.001)
    assert state.take("client:a", capacity=2, per_second=20) == 0.0


def test_a_call_may_cost_several_tokens(state):
    assert state.take("client:a", capacity=10, per_second=NEVER, cost=7) == 0.0
    assert state.take("client:a", capacity=10, per_second=NEVER, cost=4) > 0
    assert state.take("client:a", capacity=10, per_second=NEVER, cost=3) == 0.0


def test_more_room_is_there_at_once_and_less_room_forgives_what_is_over(state):
    take = state.take
    assert [take("k", capacity=2, per_second=NEVER) > 0 for _ in range(3)] == [False, False, True]
    assert [take("k", capacity=5, per_second=NEVER) > 0 for _ in range(4)] == [False, False, False, True]
    assert 0.09 < take("k", capacity=1, per_second=10) <= 0.1  # not the four that are missing beyond the capacity


def test_a_faster_rate_counts_from_the_next_call(state):
    assert state.take("k", capacity=1, per_second=NEVER) == 0.0
    assert state.take("k", capacity=1, per_second=NEVER) > 1e5
    assert state.take("k", capacity=1, per_second=1000) < 0.01
    time.sleep(0.005)
    assert state.take("k", capacity=1, per_second=1000) == 0.0


@pytest.mark.parametrize(
    ("capacity", "per_second", "cost"), [(0, 1, 1), (1, 0, 1), (1, -1, 1), (1, 1, 2), (1, 1, 0), (1, float("inf"), 1), (1, float("nan"), 1)]
)  # fmt: skip
def test_figures_that_are_no_limit_are_refused(state, capacity, per_second, cost):
    with pytest.raises(ValueError, match="no limit"):
        state.take("k", capacity=capacity, per_second=per_second, cost=cost)


def test_of_many_threads_exactly_the_capacity_passes(state):
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: state.take("k", capacity=100, per_second=NEVER), range(1000)))
    assert waits.count(0.0) == 100


def test_a_value_is_there_until_its_time_is_over(state):
    assert state.get("k") is None
    state.put("k", b"\x00\xff first", 60)
    state.put("k", b"second", 0.05)
    assert state.get("k") == b"second"
    time.sleep(0.07)
    assert state.get("k") is None
    state.put("k", b"", 60)
    assert state.get("k") == b""


def test_of_many_claims_one_succeeds_and_the_others_see_it(state):
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda number: state.claim("k", b"%d" % number, 60), range(64)))
    winner = seen.index(None)
    assert seen.count(None) == 1
    assert set(seen) == {None, b"%d" % winner}


def test_what_was_claimed_can_be_claimed_again_when_its_time_is_over(state):
    assert state.claim("k", b"first", 0.05) is None
    assert state.claim("k", b"second", 60) == b"first"
    time.sleep(0.07)
    assert state.claim("k", b"third", 60) is None


def test_only_what_is_there_gets_new_time(state):
    assert not state.renew("k", 60)
    assert state.get("k") is None
    state.put("k", b"1", 0.1)
    assert state.renew("k", 60)
    state.put("gone", b"1", 0.05)
    time.sleep(0.12)
    assert state.get("k") == b"1"
    assert not state.renew("gone", 60)
    state.append("list", b"1", 60, most=1)
    assert not state.renew("list", 60)


def test_a_list_keeps_its_last_items_and_every_item_renews_its_time(state):
    assert state.items("k") == []
    assert [state.append("k", b"%d" % number, 0.15, most=3) for number in range(4)] == [1, 2, 3, 3]
    time.sleep(0.1)
    assert state.append("k", b"4", 0.15, most=3) == 3
    time.sleep(0.1)
    assert state.items("k") == [b"2", b"3", b"4"]
    time.sleep(0.07)
    assert state.items("k") == []


def test_no_item_is_lost_when_many_append(state):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: state.append("k", b"%d" % number, 60, most=500), range(400)))
    assert sorted(map(int, state.items("k"))) == list(range(400))


def test_deleting_takes_values_and_lists_and_nothing_else(state):
    state.put("a", b"1", 60)
    state.append("b", b"2", 60, most=9)
    state.put("c", b"3", 60)
    assert state.delete("a", "b", "never") == 2
    assert (state.get("a"), state.items("b"), state.get("c")) == (None, [], b"3")
    assert state.delete() == 0


def test_buckets_values_and_lists_do_not_share_names(state):
    state.put("k", b"1", 60)
    assert state.append("k", b"2", 60, most=9) == 1
    assert state.take("k", capacity=1, per_second=NEVER) == 0.0
    assert (state.get("k"), state.items("k")) == (b"1", [b"2"])
    assert state.delete("k") == 2
    assert state.take("k", capacity=1, per_second=NEVER) > 0


@pytest.mark.parametrize("name", ["", "client:2001:db8::1", "a b\n\0", "ключ", "\ud800", "k" * 100_000])
def test_any_text_is_a_name(state, name):
    state.put(name, b"1", 60)
    assert state.get(name) == b"1"
    assert state.take(name, capacity=1, per_second=NEVER) == 0.0
    assert state.get(name + ":") is None


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_that_is_none_is_refused(state, seconds):
    for call in (state.put, state.claim):
        with pytest.raises(ValueError, match="a time above 0"):
            call("k", b"1", seconds)
    with pytest.raises(ValueError, match="a time above 0"):
        state.renew("k", seconds)
    with pytest.raises(ValueError, match="a time above 0"):
        state.append("k", b"1", seconds, most=1)
    with pytest.raises(ValueError, match="1 or more"):
        state.append("k", b"1", 60, most=0)


def test_a_time_may_be_endless(state):
    state.put("k", b"1", float("inf"))
    assert state.get("k") == b"1"


# Memory: bounded.


def test_a_flood_of_addresses_does_not_grow_the_memory():
    state = MemoryState(most_keys=1000)
    for number in range(2000):
        state.take(f"client:{number}", capacity=10, per_second=0.01)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(2000, 32_000):
        state.take(f"client:{number}", capacity=10, per_second=0.01)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(state) == 1000
    assert grown < 500_000  # a thousand keys that were made after the measuring began, and nothing of the other 29,000


def test_the_least_recently_used_bucket_goes_first_and_no_value_goes_for_a_bucket():
    state = MemoryState(most_keys=3)
    state.put("conversation", b"1", 600)
    state.take("often", capacity=1, per_second=NEVER)
    for number in range(10):
        state.take(f"client:{number}", capacity=1, per_second=NEVER)
        assert state.take("often", capacity=1, per_second=NEVER) > 0
    assert state.take("client:0", capacity=1, per_second=NEVER) == 0.0
    assert state.get("conversation") == b"1"


def test_the_bytes_of_values_are_bounded():
    state = MemoryState(most_bytes=1000)
    for number in range(20):
        state.put(f"{number}", bytes(100), 600)
        state.append("list", bytes(100), 600, most=5)
    assert [state.get(f"{number}") is not None for number in range(20)] == [False] * 10 + [True] * 10
    state.put("19", bytes(900), 600)
    assert [state.get(f"{number}") is not None for number in (17, 18, 19)] == [False, True, True]
    assert len(state.items("list")) == 5


def test_full_buckets_and_expired_values_are_dropped_by_whatever_call_comes_next():
    clock = Clock()
    state = MemoryState(clock=clock)
    for number in range(50):
        state.take(f"client:{number}", capacity=10, per_second=1)
        state.put(f"value:{number}", b"1", 5)
    assert len(state) == 100
    clock.now += 4
    state.take("client:0", capacity=10, per_second=1)
    state.get("value:0")
    assert len(state) == 51  # the values are still there, and the one bucket that was just asked
    clock.now += 2
    state.get("value:0")
    state.take("client:0", capacity=10, per_second=1)
    assert len(state) == 1


def test_a_value_that_was_shortened_is_dropped_in_its_new_time():
    clock = Clock()
    state = MemoryState(clock=clock)
    state.put("k", b"1", 600)
    state.put("k", b"1", 5)
    clock.now += 5
    assert state.get("k") is None
    assert len(state) == 0


# Redis: several processes, and none at all.

TAKER = """
import sys
from service.state import open_state
state = open_state(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(sum(state.take("key:shared", capacity=100, per_second=1e-6) == 0.0 for _ in range(1000)))
state.close()
"""


def test_four_processes_share_a_limit_of_a_hundred(server):
    command = [sys.executable, "-c", TAKER, server.url]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    passed = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(passed) == 100
    assert all(process.returncode == 0 for process in processes)


def calls(state: State):
    return {
        "take": lambda: state.take("k", capacity=1, per_second=1),
        "get": lambda: state.get("k"),
        "put": lambda: state.put("k", b"1", 60),
        "renew": lambda: state.renew("k", 60),
        "claim": lambda: state.claim("k", b"1", 60),
        "append": lambda: state.append("l", b"1", 60, most=5),
        "items": lambda: state.items("l"),
        "delete": lambda: state.delete("k", "l"),
        "ping": state.ping,
    }


def test_killed_redis_is_told_within_half_a_second_and_used_again_when_it_is_back():
    with RedisServer() as server:
        state = open_state(server.url)
        assert state.take("k", capacity=1, per_second=NEVER) == 0.0
        server.kill()
        for name, call in calls(state).items():
            began = time.monotonic()
            with pytest.raises(StateError, match="Redis"):
                call()
            assert time.monotonic() - began < 0.5, name
        server.start()  # empty: it knows neither the bucket nor the script
        state.ping()
        assert state.take("k", capacity=1, per_second=NEVER) == 0.0
        assert state.take("k", capacity=1, per_second=NEVER) > 0
        server.kill()
        server.start()  # between two calls: the connection that was kept is dead, and nobody notices
        assert state.take("k", capacity=1, per_second=NEVER) == 0.0
        state.close()


def test_after_a_failure_calls_rest_and_then_try_again_by_themselves():
    with RedisServer() as server:
        state = open_state(server.url)
        server.kill()
        with pytest.raises(StateError, match="does not answer"):
            state.get("k")
        server.start()
        with pytest.raises(StateError, match="a moment ago"):
            state.get("k")
        time.sleep(0.6)
        assert state.get("k") is None
        state.close()


def test_hanging_redis_is_given_up_and_no_call_gets_the_answer_of_another():
    with RedisServer() as server:
        states = open_state(server.url), open_state(server.url)  # connected, and not yet
        for number in range(5):
            states[0].put(f"{number}", b"%d" % number, 60)
        server.signal(signal.SIGSTOP)
        for state in states:
            began = time.monotonic()
            with pytest.raises(StateError, match="does not answer"):
                state.get("0")
            assert time.monotonic() - began < 0.5
            began = time.monotonic()
            with pytest.raises(StateError, match="a moment ago"):
                state.get("1")
            assert time.monotonic() - began < 0.05
        server.signal(signal.SIGCONT)
        for state in states:
            state.ping()
            assert [state.get(f"{number}") for number in range(5)] == [b"%d" % number for number in range(5)]
            state.close()


def test_threads_that_are_cut_off_all_hear_of_it_and_the_limit_holds_after():
    with RedisServer() as server:
        state = open_state(server.url)
        outcomes: list[float | None] = []

        def ask() -> None:
            for _ in range(200):
                try:
                    outcomes.append(state.take("k", capacity=100_000, per_second=1))
                except StateError:
                    outcomes.append(None)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(outcomes) < 100:
            time.sleep(0.001)
        server.kill()
        for thread in threads:
            thread.join(10)
        assert len(outcomes) == 800
        assert None in outcomes
        assert outcomes[0] == 0.0
        state.close()


def test_a_redis_that_refuses_is_told_with_what_to_do(server):
    state = RedisState(server.url)
    state._redis.flushdb()
    state._redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(StateError, match=r"refuses .*not full"):
            state.put("k", b"1", 60)
        assert state.get("k") is None  # no rest: it answers
    finally:
        state._redis.config_set("maxmemory", "0")
        state.close()


def test_what_comes_from_outside_is_in_no_name_and_every_name_expires(server):
    state = RedisState(server.url)
    state._redis.flushdb()
    state.take("client:203.0.113.9", capacity=5, per_second=1)
    state.put("idempotency:alice@example.com", b"1", 60)
    state.append("Alice Smith", b"1", 60, most=5)
    names = sorted(name.decode() for name in state._redis.scan_iter())
    assert [name.rpartition(":")[0] for name in names] == [
        "citedesk:bucket:client", "citedesk:list:other", "citedesk:value:idempotency",
    ]  # fmt: skip
    assert all(len(name) < 100 and "203" not in name[:23] and "lice" not in name for name in names)
    assert all(0 < state._redis.pttl(name) <= 60_000 for name in names)
    state.close()


def test_a_bucket_that_is_full_again_leaves_redis(server):
    state = RedisState(server.url)
    state._redis.flushdb()
    state.take("k", capacity=5, per_second=50)
    (name,) = state._redis.keys()
    time.sleep(0.04)
    assert not state._redis.exists(name)
    state.close()


def test_without_an_address_the_state_is_in_memory():
    assert isinstance(open_state(None), MemoryState)
    assert isinstance(open_state(""), MemoryState)


@pytest.mark.parametrize(
    "url",
    ["localhost:6379", "http://localhost", "redis://", "redis://:hunter2@", "redis://u:hunter2@host:port", "redis://host/zero",
     "redis://h?wrong=1", "redis://h:6379?socket_timeout=soon", "unix://", "rediss://h?ssl_cert_reqs=perhaps", "redis://[::1"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_its_password(url):
    with pytest.raises(ValueError, match="address of Redis") as caught:
        open_state(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # the cause may repeat it


def test_an_address_cannot_make_the_service_wait_longer(server):
    state = RedisState(f"{server.url}?socket_timeout=30&decode_responses=yes&retry_on_timeout=yes&protocol=3")
    state.put("k", b"1", 60)
    assert state.get("k") == b"1"
    assert state._redis.connection_pool.connection_kwargs["socket_timeout"] < 1
    state.close()
