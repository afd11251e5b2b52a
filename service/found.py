"""What a search for secrets and personal data gives: where something stands in a text, and what it is."""

from typing import Literal, NamedTuple

Sensitive = Literal[
    "seed phrase", "private key", "API key", "password", "security code", "card number",
    "e-mail address", "phone number", "wallet address",
]  # fmt: skip


class Found(NamedTuple):
    """One finding.

    :ivar start: The first character, counted in the text that was searched.
    :ivar end: One behind the last character.
    :ivar kind: What it is; None for what looks like a secret and is public, such as the hash of a transaction: it stays,
        and nothing else is looked for in it.
    """

    start: int
    end: int
    kind: Sensitive | None
