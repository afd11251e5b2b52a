"""A language model beside the desk: it may choose and phrase, and is checked; nothing of it is imported while none is set."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.llm.attached import Attached
    from service.metrics import Metrics


def attach(metrics: "Metrics | None" = None) -> "Attached | None":
    """Attach the model that the environment names (CITEDESK_LLM_URL); none where it names none, or the mode is off.

    :raises SettingsError: One of the settings cannot be used.
    """
    if not os.environ.get("CITEDESK_LLM_URL"):
        return None
    from service.llm.settings import read_model_settings

    settings = read_model_settings()
    if settings.mode == "off":
        return None
    from service.llm.attached import Attached

    if metrics is None:
        return Attached(settings)
    return Attached(settings, told=metrics.model_asked, counted=metrics.model_sentence)
