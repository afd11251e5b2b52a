"""What an operator says of a language model: CITEDESK_LLM_ variables of the environment; none is attached without a URL."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.settings import SettingsError

Mode = Literal["off", "select", "compose"]
Share = Annotated[float, Field(gt=0, lt=1)]


class ModelSettings(BaseSettings):
    """The settings; each is read from CITEDESK_LLM_ and its name in capitals, such as CITEDESK_LLM_URL.

    :ivar url: The base URL of an OpenAI-compatible API, such as http://127.0.0.1:8080/v1.
    :ivar model: The name by which that API knows the model.
    :ivar key: The API key; a model of one's own may need none.
    :ivar mode: ``select``: it chooses among the sentences; ``compose``: it phrases the answer besides; ``off``.
    :ivar seconds: Seconds that one question may wait for it, retries included; then it is answered without.
    :ivar connect_seconds: Seconds in which a connection has to stand.
    :ivar retries: How often it is asked again after an error that may pass.
    :ivar prompt_tokens: Tokens that what is sent may have, by an estimate that is rather too high.
    :ivar answer_tokens: Tokens that it may write.
    :ivar failures: Failures in a row after which it is left alone for a while.
    :ivar rest_seconds: Seconds for which it is left alone; then one question tries it again.
    :ivar remembered: Replies that are remembered.
    :ivar at_once: Questions that wait for it at the same time; others are answered without.
    :ivar yes_when_covered: The share of the questions that the corpus answers for which it says that a sentence answers, as
        `python -m benchmarks.llm` measures it; with `yes_when_not` the same, its verdict weighs nothing.
    :ivar yes_when_not: The same of the questions that the corpus does not answer.
    :ivar follow_ups: It writes a follow-up out as a question of its own, which is searched beside the one that citedesk makes
        of it; one more call for each follow-up.
    :ivar bonus: What the sentences that it chooses gain, in the unit of the scores.
    :ivar prompt_price: What a million tokens that are sent cost, in any currency.
    :ivar answer_price: What a million tokens that it writes cost.
    :ivar log: Where what is sent and what comes back is written, redacted, one JSON object a line; none: nowhere.
    """

    model_config = SettingsConfigDict(env_prefix="CITEDESK_LLM_", frozen=True, extra="ignore", protected_namespaces=())

    url: str
    model: str
    key: SecretStr = SecretStr("none")
    mode: Mode = "select"
    seconds: Annotated[float, Field(gt=0, le=120)] = 8.0
    connect_seconds: Annotated[float, Field(gt=0)] = 2.0
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    prompt_tokens: Annotated[int, Field(ge=200)] = 3000
    answer_tokens: Annotated[int, Field(ge=16)] = 500
    failures: Annotated[int, Field(ge=1)] = 5
    rest_seconds: Annotated[float, Field(gt=0)] = 30.0
    remembered: Annotated[int, Field(ge=0)] = 1000
    at_once: Annotated[int, Field(ge=1)] = 8
    yes_when_covered: Share = 0.5
    yes_when_not: Share = 0.5
    follow_ups: bool = False
    bonus: Annotated[float, Field(ge=0)] = 1.5
    prompt_price: Annotated[float, Field(ge=0)] = 0.0
    answer_price: Annotated[float, Field(ge=0)] = 0.0
    log: Path | None = None


def read_model_settings(**given: object) -> ModelSettings:
    """Read the settings; what is given and not None wins over the environment.

    :raises SettingsError: One of them cannot be used; the message names each.
    """
    try:
        return ModelSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        told = "; ".join(f"CITEDESK_LLM_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(told) from error
