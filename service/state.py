"""What requests share: rate limits, conversations, idempotency; in memory, or in Redis for several processes.

The errors of it::

    StateError      Redis is away or refuses
"""

import hashlib
import heapq
import math
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar, cast

T = TypeVar("T")

#: A call to Redis that takes longer than this is given up, in seconds; so is connecting: a call takes twice this at most.
PATIENCE = 0.25
#: After Redis did not answer, calls fail at once for so many seconds: a thread that waits for it answers nobody else.
REST = 0.5
#: What `MemoryState` keeps at most of buckets, and of values; a bucket takes about 400 bytes.
MOST_KEYS = 100_000
#: The bytes of all values that `MemoryState` keeps at most, and of all lists.
MOST_BYTES = 256 * 1024 * 1024
# What is due is dropped in such portions, so that no call pays for a whole flood. A call adds one key at most.
_SWEPT = 64
# Rounding must not refuse a call that comes exactly when it was told to.
_TOLERANCE = 1e-9
# Lua has no integers, and this still is one (ten years in milliseconds).
_LONGEST = 315_360_000_000


class StateError(Exception):
    """The shared state cannot be reached or refuses; the message says what to do. The caller decides whether to go on."""


class State(Protocol):
    """What requests share. Every method is safe for many threads, and takes and gives bytes as they are.

    Names may hold text from outside, such as an address or an idempotency key. Buckets and values do not share names.
    Seconds are above 0; a value is gone when they are over, and renewed by being put again.
    """

    def take(self, bucket: str, *, capacity: int, per_second: float, cost: int = 1) -> float:
        """Take tokens out of a bucket, if it has so many; a bucket that was never named is full.

        :param capacity: Tokens that the bucket holds, which is what may pass at once.
        :param per_second: Tokens that come back a second, above 0. Both may change from call to call: more room is there
            at once, and what is missing comes back at the new rate.
        :param cost: Tokens that this call takes, from 1 to the capacity.
        :returns: 0.0 if it may pass, else the seconds after which it may.
        :raises ValueError: The figures are no limit.
        :raises StateError: Nobody can say.
        """

    def get(self, key: str) -> bytes | None:
        """Give the value of a key, if there is one.

        :raises StateError: Nobody can say; so it is for all that follow.
        """

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Put a value in the place of what was there."""

    def renew(self, key: str, seconds: float) -> bool:
        """Give a value new time if it is there; False if it is not, and then it is not made."""

    def claim(self, key: str, value: bytes, seconds: float) -> bytes | None:
        """Put a value if nothing is there, else give what is there; of many who try at once, exactly one gets None."""

    def append(self, key: str, value: bytes, seconds: float, *, most: int) -> int:
        """Append to the list of a key, keep its last `most` items, and renew its time. Lists and values do not meet.

        :returns: How long the list is now.
        """

    def items(self, key: str) -> list[bytes]:
        """Give the list of a key, oldest first; empty if there is none."""

    def delete(self, *keys: str) -> int:
        """Delete the values and lists of these keys; give how many there were."""

    def ping(self) -> None:
        """Find out whether the state can be reached.

        :raises StateError: It cannot.
        """

    def close(self) -> None:
        """Let go of connections."""


class MemoryState:
    """The state of one process. It is bounded: the least recently used goes first, buckets apart from values.

    :param most_keys: Buckets that are kept at most; values and lists likewise.
    :param most_bytes: Bytes of all values; of all lists likewise.
    :param clock: Seconds that never go back.
    """

    def __init__(
        self, *, most_keys: int = MOST_KEYS, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._buckets = _Shelf[tuple[float, float]](most_keys, sys.maxsize)
        self._values = _Shelf[bytes](most_keys, most_bytes)
        self._lists = _Shelf[tuple[bytes, ...]](most_keys, most_bytes)
        self._clock = clock
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Count the buckets and values that are kept."""
        return len(self._buckets) + len(self._values) + len(self._lists)

    def take(self, bucket: str, *, capacity: int, per_second: float, cost: int = 1) -> float:
        """See `State`."""
        _check_limit(capacity, per_second, cost)
        with self._lock:
            now = self._clock()
            # What is missing is kept rather than what is there: a bucket that is full again is nothing, and is dropped.
            missing, at = self._buckets.get(bucket, now) or (0.0, now)
            missing = min(max(0.0, missing - (now - at) * per_second), float(capacity))
            over = missing + cost - capacity
            passes = over <= _TOLERANCE
            missing += cost if passes else 0
            self._buckets.put(bucket, (missing, now), now, now + missing / per_second)
        return 0.0 if passes else over / per_second

    def get(self, key: str) -> bytes | None:
        """See `State`."""
        with self._lock:
            return self._values.get(key, self._clock())

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """See `State`."""
        _check_seconds(seconds)
        with self._lock:
            now = self._clock()
            self._values.put(key, value, now, now + seconds, size=len(value))

    def renew(self, key: str, seconds: float) -> bool:
        """See `State`."""
        _check_seconds(seconds)
        with self._lock:
            now = self._clock()
            value = self._values.get(key, now)
            if value is not None:
                self._values.put(key, value, now, now + seconds, size=len(value))
            return value is not None

    def claim(self, key: str, value: bytes, seconds: float) -> bytes | None:
        """See `State`."""
        _check_seconds(seconds)
        with self._lock:
            now = self._clock()
            there = self._values.get(key, now)
            if there is None:
                self._values.put(key, value, now, now + seconds, size=len(value))
            return there

    def append(self, key: str, value: bytes, seconds: float, *, most: int) -> int:
        """See `State`."""
        _check_seconds(seconds)
        _check_most(most)
        with self._lock:
            now = self._clock()
            kept = (*(self._lists.get(key, now) or ()), value)[-most:]
            self._lists.put(key, kept, now, now + seconds, size=sum(map(len, kept)))
        return len(kept)

    def items(self, key: str) -> list[bytes]:
        """See `State`."""
        with self._lock:
            return list(self._lists.get(key, self._clock()) or ())

    def delete(self, *keys: str) -> int:
        """See `State`."""
        with self._lock:
            now = self._clock()
            return sum(shelf.delete(key, now) for shelf in (self._values, self._lists) for key in set(keys))

    def ping(self) -> None:
        """See `State`; memory is always there."""

    def close(self) -> None:
        """See `State`."""


class _Shelf(Generic[T]):
    """Values that expire, at most so many and so large. Not safe for many threads."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes, self._bytes = most, most_bytes, 0
        self._kept: OrderedDict[str, tuple[T, float, int]] = OrderedDict()  # value, expiry, size
        self._due: list[tuple[float, str]] = []  # a heap; each key stands in it once, or seldom twice

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str, now: float) -> T | None:
        self._sweep(now)
        kept = self._kept.get(key)
        if kept is None or kept[1] <= now:
            return None
        self._kept.move_to_end(key)
        return kept[0]

    def put(self, key: str, value: T, now: float, expires: float, size: int = 0) -> None:
        self._sweep(now)
        before = self._kept.get(key)
        if before is None or expires < before[1]:
            heapq.heappush(self._due, (expires, key))
        self._bytes += size - (before[2] if before else 0)
        self._kept[key] = (value, expires, size)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._kept.popitem(last=False)[1][2]
        # Keys that were evicted, deleted or shortened leave their place in the heap behind.
        if len(self._due) > 2 * len(self._kept) + _SWEPT:
            self._due = [(kept[1], key) for key, kept in self._kept.items()]
            heapq.heapify(self._due)

    def delete(self, key: str, now: float) -> bool:
        kept = self._kept.pop(key, None)
        if kept is None:
            return False
        self._bytes -= kept[2]
        return kept[1] > now

    def _sweep(self, now: float) -> None:
        for _ in range(_SWEPT):
            if not self._due or self._due[0][0] > now:
                return
            _, key = heapq.heappop(self._due)
            kept = self._kept.get(key)
            if kept is None:
                continue
            if kept[1] <= now:
                self.delete(key, now)
            else:
                heapq.heappush(self._due, (kept[1], key))


# The same reckoning as in MemoryState.take, with Redis' own clock in microseconds: the clocks of several machines do not
# matter, and one that was set back stops the refill for no longer than to the next call.
_TAKE = """
local capacity, rate, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local missing, at = 0, now
local kept = redis.call('GET', KEYS[1])
if kept then missing, at = struct.unpack('<dd', kept) end
missing = math.min(math.max(0, missing - math.max(0, now - at) / 1000000 * rate), capacity)
local over = missing + cost - capacity
local wait = 0
if over <= tonumber(ARGV[4]) then missing = missing + cost else wait = math.ceil(over / rate * 1000000) end
local expiry = math.min(math.ceil(missing / rate * 1000) + 1, tonumber(ARGV[5]))
redis.call('SET', KEYS[1], struct.pack('<dd', missing, now), 'PX', string.format('%.0f', expiry))
return wait
"""


class RedisState:
    """The state that several processes share, in Redis 7 or newer (or Valkey).

    Keys are called ``citedesk:<what>:<kind>:<hash>``. What comes from outside, such as an address, is in the hash alone;
    the kind is what stands before the first colon of a name, if it is a plain word.

    :param url: redis://, rediss:// or unix://.
    :raises ValueError: The address is none, or the redis package is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise ValueError("the state cannot be shared through Redis: install the redis package") from None
        pool = redis.ConnectionPool(
            **_address(url)
            | {
                "socket_timeout": PATIENCE,
                "socket_connect_timeout": PATIENCE,
                "retry": Retry(NoBackoff(), 0),  # an append that is tried again may be there twice
                "retry_on_error": [],
                "retry_on_timeout": False,
                "decode_responses": False,
                "protocol": 2,  # no question at connecting that would have to be waited for
                "driver_info": None,
            }
        )
        try:
            pool.connection_class(**pool.connection_kwargs)  # not connected yet, but an option that is none is noticed
        except (TypeError, redis.RedisError) as error:
            raise ValueError(
                f"the address of Redis has an option that does not exist or does not fit ({error})"
            ) from None
        self._redis = redis.Redis(connection_pool=pool)
        self._away = (redis.ConnectionError, redis.TimeoutError)
        self._refused = redis.RedisError
        self._take = self._redis.register_script(_TAKE)
        self._rest_until = -math.inf

    def take(self, bucket: str, *, capacity: int, per_second: float, cost: int = 1) -> float:
        """See `State`."""
        _check_limit(capacity, per_second, cost)
        with self._asking():
            wait = self._take(keys=[_name("bucket", bucket)], args=[capacity, per_second, cost, _TOLERANCE, _LONGEST])
        return cast(int, wait) / 1_000_000

    def get(self, key: str) -> bytes | None:
        """See `State`."""
        with self._asking():
            return cast("bytes | None", self._redis.get(_name("value", key)))

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """See `State`."""
        with self._asking():
            self._redis.set(_name("value", key), value, px=_milliseconds(seconds))

    def renew(self, key: str, seconds: float) -> bool:
        """See `State`."""
        with self._asking():
            return bool(self._redis.pexpire(_name("value", key), _milliseconds(seconds)))

    def claim(self, key: str, value: bytes, seconds: float) -> bytes | None:
        """See `State`."""
        with self._asking():
            there = self._redis.set(_name("value", key), value, px=_milliseconds(seconds), nx=True, get=True)
        return cast("bytes | None", there)

    def append(self, key: str, value: bytes, seconds: float, *, most: int) -> int:
        """See `State`."""
        _check_most(most)
        name, expiry = _name("list", key), _milliseconds(seconds)
        with self._asking(), self._redis.pipeline(transaction=True) as steps:
            steps.rpush(name, value)
            steps.ltrim(name, -most, -1)
            steps.pexpire(name, expiry)
            length: int = steps.execute()[0]
        return min(length, most)

    def items(self, key: str) -> list[bytes]:
        """See `State`."""
        with self._asking():
            return cast("list[bytes]", self._redis.lrange(_name("list", key), 0, -1))

    def delete(self, *keys: str) -> int:
        """See `State`."""
        if not keys:
            return 0
        with self._asking():
            return self._redis.delete(*(_name(what, key) for what in ("value", "list") for key in keys))

    def ping(self) -> None:
        """See `State`. It asks even while other calls rest, and ends their rest."""
        self._rest_until = -math.inf
        with self._asking():
            self._redis.ping()

    def close(self) -> None:
        """See `State`."""
        self._redis.close()
        self._redis.connection_pool.disconnect()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        if time.monotonic() < self._rest_until:
            raise StateError("Redis did not answer a moment ago; check that it runs and can be reached")
        try:
            yield
        except self._away as error:
            self._rest_until = time.monotonic() + REST
            raise StateError(f"Redis does not answer ({error}); check that it runs and can be reached") from error
        except self._refused as error:
            raise StateError(
                f"Redis refuses ({error}); it has to be of version 7 or newer, writable, and not full"
            ) from error


def open_state(url: str | None) -> State:
    """Open the state: in memory without an address, else in Redis. Redis need not be there yet; `State.ping` tells.

    :param url: redis://[user:password@]host[:port][/database], rediss:// for TLS, or unix:///path/of/the.socket.
    :raises ValueError: The address is none; a password in it is not repeated.
    """
    return RedisState(url) if url else MemoryState()


def _address(url: str) -> dict[str, Any]:
    from urllib.parse import urlsplit

    from redis.connection import parse_url

    form = "give one such as redis://localhost:6379/0, rediss://host:6379/0 or unix:///run/redis.sock"
    try:
        parts = urlsplit(url)
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        raise ValueError(f"the address of Redis cannot be read; {form}") from None  # the cause may repeat a password
    if parts.scheme == "unix":
        if "path" not in options:
            raise ValueError(f"the address of Redis has no path of a socket; {form}")
    elif not parts.hostname or not re.fullmatch(r"(?:/\d{0,4})?", parts.path):
        raise ValueError(f"the address of Redis has no host, or no number as its database; {form}")
    return options


def _name(what: str, key: str) -> str:
    kind, colon, _ = key.partition(":")
    kind = kind if colon and re.fullmatch("[a-z_-]{1,32}", kind) else "other"
    return f"citedesk:{what}:{kind}:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


def _milliseconds(seconds: float) -> int:
    _check_seconds(seconds)
    return min(math.ceil(seconds * 1000), _LONGEST) if math.isfinite(seconds) else _LONGEST


def _check_limit(capacity: int, per_second: float, cost: int) -> None:
    if not (1 <= cost <= capacity and 0 < per_second < math.inf):
        raise ValueError(
            f"no limit: cost {cost} of {capacity}, {per_second} a second; "
            "the cost is from 1 to the capacity, and the rate is above 0"
        )


def _check_seconds(seconds: float) -> None:
    if not seconds > 0:
        raise ValueError(f"{seconds} seconds: a time above 0 is expected")


def _check_most(most: int) -> None:
    if most < 1:
        raise ValueError(f"a list of at most {most} items: 1 or more are expected")
