"""How traders type, written out as the articles call it, for the search alone (synonyms.toml)."""

import re
import tomllib
from functools import cache
from pathlib import Path

_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def expand(text: str, language: str = "en") -> str:
    """Write out slang and short forms of one language.

    >>> expand("can i set tp/sl on perps w/o 2fa")
    'can i set take profit and stop loss on perpetual contracts without two-factor authentication 2FA'
    >>> expand("wo ist das geld", "de")
    'wo ist das geld'
    """
    table = _table(language)
    if not table:
        return text
    written_out = _pattern(language).sub(lambda match: table[_key(match.group())], text)
    return " ".join(written_out.split()) or text


@cache
def forms(language: str) -> frozenset[str]:
    """Give the forms that are written out in a language, folded."""
    return frozenset(_table(language))


def _key(typed: str) -> str:
    return typed.casefold().replace("’", "'")


@cache
def _table(language: str) -> dict[str, str]:
    """Give the synonyms of a language; a form that stands for itself only keeps a shorter one from being read in it."""
    data = tomllib.loads(Path(__file__).with_name("synonyms.toml").read_text(encoding="utf-8"))
    return dict(data.get(language, {}))


@cache
def _pattern(language: str) -> re.Pattern[str]:
    forms = sorted(_table(language), key=len, reverse=True)
    apart = [form for form in forms if not _UNSPACED.search(form)]
    within = [form for form in forms if _UNSPACED.search(form)]
    patterns = [rf"(?<![\w/'’]){'|'.join(map(_escaped, apart)).join(('(?:', ')'))}(?![\w/'’])"] if apart else []
    return re.compile("|".join([*patterns, *map(re.escape, within)]), re.IGNORECASE)


def _escaped(form: str) -> str:
    return re.escape(form).replace("'", "['’]").replace(r"\ ", r"\s")
