"""Asks an OpenAI-compatible endpoint, within a time, and gives up early where it does not answer."""

import hashlib
import json
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import openai

from service.llm.settings import ModelSettings
from service.redact import redact

Outcome = Literal[
    "answered", "remembered", "invalid", "slow", "unreachable", "limited", "refused", "cut", "failed", "resting", "busy"
]
Reply = TypeVar("Reply")
# Seconds before the first retry; each one after waits twice as long.
FIRST_WAIT = 0.25
# Characters of a token, where it counts for the budget: English has 4 to 5, Chinese 1 to 2.
TOKEN_CHARACTERS = 3
# The same where an endpoint does not say what it counted: English prompts.
COUNTED_CHARACTERS = 4
# Characters of the longest tokens that a reply is made of, in the mean; an endpoint may not know the limit that it is told.
MOST_CHARACTERS = 16
_log = logging.getLogger(__name__)


class ModelError(Exception):
    """The model gave nothing that can be used.

    :ivar outcome: Why not.
    """

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Call:
    """What asking the model came to, for the metrics.

    :ivar prompt_tokens: As the endpoint counts them; where it does not, an estimate by the characters that were sent.
    :ivar answer_tokens: The same; the pieces that came.
    """

    purpose: str
    outcome: Outcome
    seconds: float
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost: float = 0.0


@dataclass(slots=True)
class _Running:
    """A request under way; closing its stream from another thread ends it.

    :ivar is_heard: Its pieces are used as they come.
    """

    deadline: float
    is_heard: bool = False
    stream: Any = None
    abandoned: bool = False
    parts: list[str] = field(default_factory=list)
    pieces: "queue.SimpleQueue[str | None]" = field(default_factory=queue.SimpleQueue)
    prompt_tokens: int = 0
    answer_tokens: int = 0

    def left(self) -> float:
        """Seconds that are left."""
        return max(self.deadline - time.monotonic(), 0.0)

    def abandon(self) -> None:
        self.abandoned = True
        if self.stream is not None:
            self.stream.close()


class Model:
    """One model behind one endpoint; may be used from several threads."""

    def __init__(self, settings: ModelSettings, *, told: Callable[[Call], None] | None = None) -> None:
        """Prepare to ask; nothing is connected to yet.

        :param told: Called after each question to the model.
        """
        self.settings = settings
        self.told = told
        timeout = openai.Timeout(settings.seconds, connect=settings.connect_seconds)
        key = settings.key.get_secret_value()
        self._client = openai.OpenAI(base_url=settings.url, api_key=key, timeout=timeout, max_retries=0)
        self._pool = ThreadPoolExecutor(settings.at_once, thread_name_prefix="model")
        self._places = threading.BoundedSemaphore(settings.at_once)
        self._breaker = Breaker(settings.failures, settings.rest_seconds)
        self._known: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._way = 0

    def ask(
        self,
        purpose: str,
        messages: Sequence[dict[str, str]],
        schema: dict[str, Any],
        read: Callable[[str], Reply],
        *,
        until: float,
        key: Sequence[object] = (),
        heard: Callable[[str], None] | None = None,
    ) -> Reply:
        """Ask, and read the reply; one that was read for the same key is remembered.

        :param read: Reads the reply's text; raises ValueError where it is not what was asked for.
        :param until: Until when it is waited for, on the monotonic clock.
        :param key: What the messages were made from: snapshot, passages, version of the prompt.
        :param heard: Called with each piece of the reply as it comes, in the thread that asks; raises ValueError where it is
            not what was asked for. Not called for a reply that is remembered.
        :raises ModelError: There is no reply that can be read within the time.
        """
        name = _digest(self.settings.model, purpose, *key, json.dumps(messages))
        begun = time.monotonic()
        with self._lock:
            if name in self._known:
                self._known.move_to_end(name)
                remembered: Reply = self._known[name]
                self._tell(Call(purpose, "remembered", 0.0))
                return remembered
        running = _Running(until, heard is not None)
        try:
            reply = read(self._within_time(messages, schema, running, heard))
        except ModelError as error:
            if error.outcome not in ("resting", "busy"):
                self._breaker.failed()
            self._count(purpose, error.outcome, begun, messages, running)
            raise
        except (ValueError, RecursionError) as error:
            # It answers, in time, something else: nothing that a rest would mend.
            self._breaker.worked()
            self._count(purpose, "invalid", begun, messages, running)
            raise ModelError("invalid", str(error)) from error
        self._breaker.worked()
        self._count(purpose, "answered", begun, messages, running)
        self._remember(name, reply)
        return reply

    def close(self) -> None:
        """End the connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _within_time(
        self,
        messages: Sequence[dict[str, str]],
        schema: dict[str, Any],
        running: _Running,
        heard: Callable[[str], None] | None,
    ) -> str:
        if not self._breaker.lets_through():
            raise ModelError("resting", "the model failed several times in a row and is left alone for a while")
        if not self._places.acquire(blocking=False):
            raise ModelError("busy", f"{self.settings.at_once} questions wait for the model already")
        future = self._pool.submit(self._with_retries, messages, schema, running)
        future.add_done_callback(lambda _: self._ended(running))
        whole = False
        try:
            while heard and running.left() and (piece := running.pieces.get(timeout=running.left())) is not None:
                heard(piece)
            text = future.result(timeout=running.left())
            whole = True
            return text
        except (TimeoutError, queue.Empty) as error:
            raise ModelError("slow", "no whole reply in time") from error
        finally:
            if not whole and not future.done():
                threading.Thread(target=running.abandon, name="abandon", daemon=True).start()

    def _ended(self, running: _Running) -> None:
        self._places.release()
        running.pieces.put(None)

    def _with_retries(self, messages: Sequence[dict[str, str]], schema: dict[str, Any], running: _Running) -> str:
        wait = FIRST_WAIT
        for tries_left in range(self.settings.retries, -1, -1):
            try:
                return self._once(messages, schema, running)
            except (openai.RateLimitError, openai.APIConnectionError, openai.InternalServerError) as error:
                pause = max(wait, _retry_after(error))
                # What has begun may have been shown, and is not begun again.
                has_begun = running.is_heard and running.parts
                if not tries_left or has_begun or pause >= running.left() or running.abandoned:
                    raise ModelError(_outcome(error), str(error)) from error
                time.sleep(pause)
                wait *= 2
            except ModelError:
                raise
            except Exception as error:  # whatever an endpoint brings the client to, the asker is answered without it
                raise ModelError(_outcome(error), str(error)) from error
        raise AssertionError("unreachable")  # the last try returns or raises

    def _once(self, messages: Sequence[dict[str, str]], schema: dict[str, Any], running: _Running) -> str:
        running.parts.clear()
        asked: Any = {
            "model": self.settings.model, "messages": list(messages), "temperature": 0, "stream": True,
            "max_tokens": self.settings.answer_tokens, "stream_options": {"include_usage": True},
            "timeout": openai.Timeout(max(running.left(), 0.01), connect=self.settings.connect_seconds),
        }  # fmt: skip
        running.stream = self._begun(asked, schema)
        return self._read(running)

    def _begun(self, asked: Any, schema: dict[str, Any]) -> Any:  # noqa: ANN401  (the client has many types for one stream)
        """Ask for a reply under a schema, in the way that this endpoint knows."""
        create: Callable[..., Any] = self._client.chat.completions.create
        forms = _forms(schema)
        for way in range(self._way, len(forms)):
            try:
                stream = create(**asked, **forms[way])
            except openai.APIStatusError as error:
                if way == len(forms) - 1 or not _may_mean_the_form(error):
                    raise
            else:
                self._way = way
                return stream
        raise AssertionError("unreachable")  # the last way returns or raises

    def _read(self, running: _Running) -> str:
        finished, written = None, 0
        for chunk in running.stream:
            if time.monotonic() > running.deadline:
                raise ModelError("slow", "it writes on when the time is over")
            if written > self.settings.answer_tokens * MOST_CHARACTERS:
                raise ModelError("cut", "it writes more than it was told it may")
            if getattr(chunk, "usage", None):
                running.prompt_tokens, running.answer_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
            for choice in chunk.choices[:1]:
                if getattr(choice.delta, "refusal", None):
                    raise ModelError("refused", "the model refuses")
                if choice.delta.content:
                    running.parts.append(choice.delta.content)
                    running.pieces.put(choice.delta.content)
                    written += len(choice.delta.content)
                finished = choice.finish_reason or finished
        if finished != "stop":
            outcome: Outcome = "refused" if finished == "content_filter" else "cut"
            raise ModelError(outcome, f"the reply ends with {finished or 'nothing'} instead of stop")
        return "".join(running.parts)

    def _remember(self, name: str, reply: object) -> None:
        with self._lock:
            self._known[name] = reply
            while len(self._known) > self.settings.remembered:
                self._known.popitem(last=False)

    def _count(
        self,
        purpose: str,
        outcome: Outcome,
        begun: float,
        messages: Sequence[dict[str, str]],
        running: _Running,
    ) -> None:
        sent, came = running.prompt_tokens, running.answer_tokens
        if running.parts and not sent:
            sent, came = sum(len(message["content"]) for message in messages) // COUNTED_CHARACTERS, len(running.parts)
        cost = (sent * self.settings.prompt_price + came * self.settings.answer_price) / 1e6
        self._tell(Call(purpose, outcome, time.monotonic() - begun, sent, came, cost))
        if self.settings.log:
            self._write_log(purpose, outcome, messages, running)

    def _tell(self, call: Call) -> None:
        if self.told:
            self.told(call)

    def _write_log(self, purpose: str, outcome: str, messages: Sequence[dict[str, str]], running: _Running) -> None:
        sent = [{**message, "content": redact(message["content"]).text} for message in messages]
        reply = redact("".join(running.parts)).text
        told = {"purpose": purpose, "outcome": outcome, "sent": sent, "reply": reply}
        try:
            with self._lock, self.settings.log.open("a", encoding="utf-8") as file:  # type: ignore[union-attr]
                file.write(json.dumps(told, ensure_ascii=False) + "\n")
        except OSError as error:
            _log.warning("%s cannot be written: %s", self.settings.log, error)


class Breaker:
    """Lets nothing through for a while after several failures in a row, and then one question to try."""

    def __init__(self, failures: int, rest_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._rest, self._clock = failures, rest_seconds, clock
        self._failed = 0
        self._again = 0.0
        self._lock = threading.Lock()

    def lets_through(self) -> bool:
        """Tell whether the model may be asked now; after a rest, the first to ask is the one that tries."""
        with self._lock:
            if self._failed < self._most:
                return True
            if self._clock() < self._again:
                return False
            self._again = self._clock() + self._rest
            return True

    def failed(self) -> None:
        """Count a failure."""
        with self._lock:
            self._failed += 1
            if self._failed == self._most:
                self._again = self._clock() + self._rest

    def worked(self) -> None:
        """Forget the failures."""
        with self._lock:
            self._failed = 0


def _forms(schema: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Give the ways to ask for a reply under a schema: OpenAI's, that of llama-cpp-python, and none: what comes is read anyway."""
    strict = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": True}}
    return {"response_format": strict}, {"response_format": {"type": "json_object", "schema": schema}}, {}


def _may_mean_the_form(error: openai.APIStatusError) -> bool:
    """Tell whether an endpoint may have refused the way in which it was asked; some say so with a 500."""
    return error.status_code in (400, 422) or (error.status_code == 500 and "response_format" in str(error))


def _outcome(error: Exception) -> Outcome:
    match error:
        case openai.APITimeoutError():
            return "slow"
        case openai.RateLimitError():
            return "limited"
        case openai.APIConnectionError():
            return "unreachable"
        case openai.AuthenticationError() | openai.PermissionDeniedError() | openai.BadRequestError():
            return "refused"
        case _:
            # While a stream is read, errors are those of the library below, which differs by the client's version.
            return "slow" if "Timeout" in type(error).__name__ else "failed"


def _retry_after(error: Exception) -> float:
    response = getattr(error, "response", None)
    try:
        return float(response.headers.get("retry-after", 0)) if response is not None else 0.0
    except ValueError:
        return 0.0


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()
