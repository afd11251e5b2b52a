"""Conversations that the server remembers, so that a follow-up needs no history from the client."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from service.state import State

# Turns that are kept; a follow-up reaches back over fewer.
MOST_TURNS = 50


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, redacted, and the answer that it got, as its JSON object."""

    at: str
    question: str
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said so far.

    :ivar id: Whoever knows it and has the key that it was created with may read it.
    :ivar exchange: What every answer is bound to unless its question says otherwise; likewise language and page_url.
    """

    id: str
    created: str
    exchange: str | None
    language: str | None
    page_url: str | None
    turns: tuple[Turn, ...] = ()

    @property
    def questions(self) -> list[str]:
        """The questions so far, oldest first."""
        return [turn.question for turn in self.turns]


class UnknownConversation(LookupError):
    """There is no such conversation: it never was, has expired, was deleted, or belongs to another key."""


class Conversations:
    """The conversations, kept in a state under what nobody can guess."""

    def __init__(self, state: State, *, hours: float) -> None:
        self._state = state
        self._seconds = hours * 3600

    @property
    def seconds(self) -> float:
        """How long a conversation is kept after its last question."""
        return self._seconds

    def create(
        self, owner: str, *, created: str, exchange: str | None, language: str | None, page_url: str | None
    ) -> Conversation:
        """Begin a conversation that belongs to a key.

        :raises StateError: The state is away.
        """
        made = Conversation(f"c_{secrets.token_urlsafe(18)}", created, exchange, language, page_url)
        self._put_head(made.id, {"owner": owner, **{k: v for k, v in asdict(made).items() if k not in {"id", "turns"}}})
        return made

    def read(self, conversation: str, owner: str) -> Conversation:
        """Give a conversation.

        :raises UnknownConversation: There is none of that id for this owner.
        """
        head = self._head(conversation, owner)
        turns = [Turn(**json.loads(item)) for item in self._state.items(_turns(conversation))]
        return Conversation(conversation, **{k: v for k, v in head.items() if k != "owner"}, turns=tuple(turns))

    def add(self, conversation: str, turn: Turn) -> bool:
        """Add a turn; False where the conversation was deleted meanwhile: then nothing is kept."""
        self._state.append(_turns(conversation), json.dumps(asdict(turn)).encode(), self._seconds, most=MOST_TURNS)
        if not self._state.renew(_name(conversation), self._seconds):
            self._state.delete(_turns(conversation))
            return False
        return True

    def delete(self, conversation: str, owner: str) -> None:
        """Delete a conversation with everything that was said in it.

        :raises UnknownConversation: There is none of that id for this owner.
        """
        self._head(conversation, owner)
        self._state.delete(_name(conversation), _turns(conversation))
        self.forget_repeats(conversation)

    def forget_repeats(self, conversation: str) -> None:
        """Delete the responses that are kept for questions of a conversation that might be sent twice."""
        kept = [name.decode() for name in self._state.items(repeats_of(conversation))]
        self._state.delete(*kept, repeats_of(conversation))

    def _head(self, conversation: str, owner: str) -> dict[str, Any]:
        found = self._state.get(_name(conversation))
        head: dict[str, Any] = json.loads(found) if found else {}
        if head.get("owner") != owner:
            raise UnknownConversation("there is no such conversation; it may have expired: begin a new one")
        return head

    def _put_head(self, conversation: str, head: Mapping[str, Any]) -> None:
        self._state.put(_name(conversation), json.dumps(head).encode(), self._seconds)


def repeats_of(conversation: str) -> str:
    """Give the name of the list of the responses that are kept of a conversation for requests that are sent twice."""
    return f"repeats:{conversation}"


def _name(conversation: str) -> str:
    return f"conversation:{conversation}"


def _turns(conversation: str) -> str:
    return f"turns:{conversation}"
