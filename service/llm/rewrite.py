"""The model as listener: it writes a follow-up out as a question of its own, from nothing but what was asked."""

import json
from typing import Any

from ingest.exchanges import Directory
from service.llm import facts
from service.llm.client import Model
from service.llm.prompts import messages, version
from service.question import Question, QuestionError, clean_question

# Characters; what is longer is no question.
LONGEST = 300
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"question": {"type": "string", "maxLength": LONGEST}},
    "required": ["question"],
    "additionalProperties": False,
}


def rewrite(model: Model, question: Question, directory: Directory, until: float) -> str:
    """Write a follow-up out.

    :raises ModelError: The model gave nothing that can be used: no question, or one with names, figures, dates or links that
        nobody asked about.
    """
    asked = (*question.thread, question.text)

    def read(text: str) -> str:
        reply = json.loads(text)
        if not isinstance(reply, dict) or not isinstance(reply.get("question"), str):
            raise ValueError("the reply is no object with a question")
        return _checked(reply["question"], asked, directory)

    data = {"earlier": list(question.thread)}
    return model.ask("rewrite", messages("rewrite", question.text, data), _SCHEMA, read, until=until, key=(version(),))


def _checked(told: str, asked: tuple[str, ...], directory: Directory) -> str:
    """Let a question through that is made from what was asked.

    :raises ValueError: It is not.
    """
    try:
        clean = clean_question(told)
    except QuestionError as error:
        raise ValueError(str(error)) from error
    if len(clean) > LONGEST:
        raise ValueError(f"the question has {len(clean)} characters, more than {LONGEST}")
    there = "\n".join(asked)
    added = {
        "exchanges": set(directory.mentioned(clean)) - set(directory.mentioned(there)),
        "figures": {figure.value for figure in facts.figures(clean)}
        - {figure.value for figure in facts.figures(there)},
        "dates": facts.dates(clean) - facts.dates(there),
        "links": facts.links(clean) - facts.links(there),
        "names": {name.casefold() for name in facts.tickers(clean) | facts.names(clean)} - set(facts.words(there)),
    }
    if any(added.values()):
        raise ValueError(
            f"the question has what nobody asked about: {', '.join(name for name in added if added[name])}"
        )
    return clean
