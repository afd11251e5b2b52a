"""What an operator may set of the server: options of `citedesk serve`, else CITEDESK_ variables of the environment."""

import os
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.settings import SettingsError


class ServerSettings(BaseSettings):
    """The server's settings; each is read from CITEDESK_ and its name in capitals, such as CITEDESK_REDIS.

    :ivar redis: Where limits, conversations and idempotency keys are kept for several processes; none: in this one's memory.
    :ivar demo: Serve the demo page at /, with a widget key of its own that holds until the server ends.
    :ivar log_days: Days that asked questions are kept, redacted, for `citedesk insights`; 0 keeps none.
    :ivar conversation_hours: Hours that a conversation is kept after its last question.
    :ivar client_per_minute: Questions a minute that one client (an address; of IPv6 its /64) may ask with a widget key.
    :ivar key_per_minute: Questions a minute that may be asked with one key.
    :ivar reads_for_each_question: How many times as many of the cheap calls are allowed as of questions.
    :ivar running: Questions that one process answers at the same time: more than cores only wait for each other.
    :ivar waiting: Questions that wait for their turn in one process; who comes then is told to come back.
    :ivar largest_body: Bytes of a request's body: clients of the OpenAI-compatible door send the whole thread each time.
    :ivar request_seconds: Seconds in which a request's headers have to arrive, and then its body.
    :ivar hung_seconds: Seconds without a sign of life after which a worker is killed, and another one is started.
    :ivar proxies: Addresses, separated by commas, of the proxies whose X-Forwarded-For is believed.
    """

    model_config = SettingsConfigDict(env_prefix="CITEDESK_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    redis: str | None = None
    demo: bool = False
    log_days: Annotated[int, Field(ge=0)] = 90
    conversation_hours: Annotated[float, Field(gt=0)] = 24.0
    client_per_minute: Annotated[int, Field(ge=1)] = 20
    key_per_minute: Annotated[int, Field(ge=1)] = 1200
    reads_for_each_question: Annotated[int, Field(ge=1)] = 10
    running: Annotated[int, Field(ge=1)] = os.cpu_count() or 1
    waiting: Annotated[int, Field(ge=0)] = 3 * (os.cpu_count() or 1)
    largest_body: Annotated[int, Field(ge=1024)] = 256 * 1024
    request_seconds: Annotated[float, Field(gt=0)] = 10.0
    hung_seconds: Annotated[float, Field(ge=5)] = 30.0
    proxies: str = ""


def read_server_settings(**given: object) -> ServerSettings:
    """Read the settings; what is given and not None wins over the environment.

    :raises SettingsError: One of them cannot be used; the message names each.
    """
    try:
        settings = ServerSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        told = "; ".join(f"CITEDESK_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(told) from error
    if settings.workers > 1 and not settings.redis:
        raise SettingsError(
            f"{settings.workers} workers need to share limits and conversations: give --redis URL (CITEDESK_REDIS), "
            "such as redis://127.0.0.1:6379/0"
        )
    return settings
