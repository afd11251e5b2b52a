"""Long strings of letters and digits: private keys, wallet addresses, hashes of transactions, API keys."""

import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Literal

from service.checksums import RIPPLE, base58, base58check, bech32_prefix, is_ss58, is_stellar, is_ton
from service.found import Found, Sensitive

Context = Literal["transaction", "address", "api", "key", ""]
Verdict = Sensitive | Literal["public", ""]

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:(?!-----BEGIN)[\s\S]){0,20000}?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|(?:(?:\s|\\n|\\r)*[A-Za-z0-9+/=]{16,})*)"
)
# No key or address in use is shorter than 20 characters.
_TOKEN = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{20,}(?:[+/=][A-Za-z0-9_+/=-]*)?")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_.:%-])(?=[A-Za-z0-9/]{0,120}[+=])[A-Za-z0-9+/]{40,}={0,2}(?![A-Za-z0-9+/=_-])")
_PIECE = re.compile(r"[A-Za-z0-9]{20,}")
_HEX = re.compile(r"(?<![^\W_])(?:0x|-1:|0:)?[0-9a-f]{4,}(?:\s{1,3}[0-9a-f]{4,})*(?![^\W_])", re.IGNORECASE)
_HEX_PIECE = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_HEX_PREFIX = re.compile(r"(?:0x|-1:|0:)", re.IGNORECASE)
_BYTES = re.compile(
    r"\[\s{0,9}\d{1,3}(?:\s{0,9},\s{0,9}\d{1,3}){31,63}\s{0,9},?\s{0,9}\]?|(?<![\d.,])\d{1,3}(?:\s{0,2},\s{0,2}\d{1,3}){63}(?!\d)"
)
_BROKEN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{8,}(?:\s{1,3}[A-Za-z0-9]{4,}){1,3}(?![A-Za-z0-9])")

# Which of these words stands nearest before a string says what the string is.
_CONTEXT = re.compile(
    r"(?P<transaction>\btx|transaction|hash|\bblock\b|\bsignature\b|\btransacci|\btransaktion|транзакц|хеш|хэш|交易|哈希|トランザクション|거래)"
    r"|(?P<api>\bapi(?:[ _-]?(?:key|secret|token)s?)?\b)"
    r"|(?P<key>priv|\bkeys?\b|secret|seed\b|mnemonic|\bwif\b|\bpk\b|приват|ключ|секрет|私钥|私鑰|密钥|秘密|개인|clave|clé|schlüssel|chave|chiave|anahtar)"
    r"|(?P<address>address|addr\b|wallet|\bsui\b|\baptos\b|contract|\btoken\b|\baccount\b|direcci|adresse|endereço|indirizzo|adres|адрес|кошел|地址|アドレス|주소)",
    re.IGNORECASE,
)  # fmt: skip
_LOOK_BACK, _LOOK_AHEAD = 80, 30

_HEX_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.IGNORECASE)
# Its checksum is Keccak's, which the standard library has not; nothing else has this length and form.
_MONERO = re.compile(r"[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}(?:[1-9A-HJ-NP-Za-km-z]{11})?")
_CASH = re.compile(r"(?:bitcoincash|bchtest):[qp][02-9ac-hj-np-z]{41}", re.IGNORECASE)
# Forms of addresses and keys, for what has a typing error in it.
_LIKE_BECH32 = re.compile(r"(?:bc|tb|ltc|addr|stake|cosmos|osmo|inj|sei)1[02-9ac-hj-np-z]{25,}", re.IGNORECASE)
_LIKE_BASE58 = re.compile(r"(?:[13LMDT][1-9A-HJ-NP-Za-km-z]{25,33}|r[1-9A-HJ-NP-Za-km-z]{25,34})")
_LIKE_KEY = re.compile(
    r"[xyztuv]prv[1-9A-HJ-NP-Za-km-z]{80,}|nsec1[02-9ac-hj-np-z]{40,}|[5KL][1-9A-HJ-NP-Za-km-z]{50,51}|S[A-Z2-7]{55}"
)
_TON = re.compile(r"[EUk0]Q[A-Za-z0-9_+/-]{46}")
_STELLAR = re.compile(r"[GSM][A-Z2-7]{55}(?:[A-Z2-7]{13})?")
# The ends of Bech32 prefixes of secrets: nsec, age-secret-key-, root_xsk, acct_sk, ed25519e_sk.
_SECRET_PREFIX = re.compile(r"nsec|secret|sk$|spending")
# Version bytes of BIP 32, SLIP 132: xprv, yprv, zprv, Yprv, Zprv, tprv, uprv, vprv, Uprv, Vprv.
_EXTENDED_PRIVATE = frozenset(
    bytes.fromhex(v) for v in
    ("0488ade4", "049d7878", "04b2430c", "0295b005", "02aa7a99", "04358394", "044a4e28", "045f18bc", "024285b5", "02575048")
)  # fmt: skip
# How often a random string changes between small letters, capitals and digits: from .62 of its characters to the next, with a
# deviation of .09 at 32 characters. Words and names in CamelCase do it at a fifth of theirs.
_RANDOM = 0.4
_SHORTEST_RANDOM = 32
_IN_LINK = re.compile(r"(?:://|www\.|/)\S*$")


def private_blocks(text: str) -> Iterator[Found]:
    """Find PEM blocks, and lists of 32 or 64 bytes as Solana's wallets write keys."""
    if "-----BEGIN" in text:
        yield from (Found(m.start(), m.end(), "private key") for m in _PEM.finditer(text))
    if "," in text:
        for m in _BYTES.finditer(text):
            numbers = [int(number) for number in re.findall(r"\d+", m[0])]
            if len(numbers) in (32, 64) and max(numbers) < 256:
                yield Found(m.start(), m.end(), "private key")


def hex_strings(text: str) -> Iterator[Found]:
    """Find private keys and addresses in hexadecimal digits, and pass over hashes of transactions.

    A private key and the hash of a transaction have the same form. Where nothing says which it is, it is taken for a key: a
    hash that is not kept costs a question, a key that is kept costs the money.
    """
    end, verdict = -99, ""
    for m in _HEX.finditer(text):
        span = _sixty_four(m)
        if span is None:
            continue
        start, stop = span
        if start - end > 12 or verdict == "":  # one in a list is what the one before it is
            context = _context(text, start, stop)
            verdict = _hex_verdict(context, text[start:stop])
        end = stop
        yield _found(start, stop, verdict)


def strings(text: str) -> Iterator[Found]:
    """Find keys and addresses in other writings: Base58, Bech32, Base32, Base64; and what is random and long."""
    for m in _CASH.finditer(text):
        yield Found(m.start(), m.end(), "wallet address")
    for m in _BASE64.finditer(text):
        if _is_random(m[0]):
            yield _found(
                m.start(), m.end(), "public" if _context(text, m.start(), m.end()) == "transaction" else "API key"
            )
    for m in _TOKEN.finditer(text):
        context = partial(_context, text, m.start(), m.end())
        in_link = bool(_IN_LINK.search(text[max(0, m.start() - _LOOK_BACK) : m.start()]))
        whole = m[0].rstrip("=_-/+")
        verdict = _certain(whole) or _likely(whole, context, in_link)
        if verdict:
            yield _found(m.start(), m.start() + len(m[0] if verdict == "API key" else whole), verdict)
            continue
        for piece in _PIECE.finditer(m[0]):
            verdict = _certain(piece[0]) or _likely(piece[0], context, in_link)
            if verdict:
                yield _found(m.start() + piece.start(), m.start() + piece.end(), verdict)


def broken_strings(text: str) -> Iterator[Found]:
    """Find keys that a line break or a space cut in two to four pieces; the checksum has to be right."""
    for m in _BROKEN.finditer(text):
        pieces = [(m.start() + p.start(), m.start() + p.end()) for p in re.finditer(r"\S+", m[0])]
        for first in range(len(pieces) - 1):
            for last in range(first + 1, len(pieces)):
                joined = "".join(text[start:end] for start, end in pieces[first : last + 1])
                if 25 <= len(joined) <= 128 and any(map(str.isdigit, joined)) and (verdict := _certain(joined)):
                    yield _found(pieces[first][0], pieces[last][1], verdict)
                    break


def _found(start: int, end: int, verdict: Verdict | str) -> Found:
    return Found(start, end, None if verdict == "public" else verdict)  # type: ignore[arg-type]


def _sixty_four(m: re.Match[str]) -> tuple[int, int] | None:
    """Find 64 hexadecimal digits (or 128, a seed) in a row, which line breaks may part."""
    prefix = _HEX_PREFIX.match(m[0])
    offset = prefix.end() if prefix else 0
    if m.end() - m.start() - offset < 64:
        return None
    pieces = [(p.start(), p.end()) for p in _HEX_PIECE.finditer(m[0], offset)]
    sums = [0]
    for start, end in pieces:
        sums.append(sums[-1] + end - start)
    places = {total: index for index, total in enumerate(sums)}
    for first, total in enumerate(sums):
        last = places.get(total + 64) or places.get(total + 128)
        if last is not None:
            start, end = pieces[first][0], pieces[last - 1][1]
            digits = m[0][start:end]
            if re.search(r"\d", digits) and re.search("[a-fA-F]", digits):
                return m.start() + (0 if first == 0 else start), m.start() + end
    return None


def _context(text: str, start: int, end: int) -> Context:
    """Say what the words around a string call it: the last one before it, else the first behind it."""
    before = text[max(0, start - _LOOK_BACK) : start]
    said = list(_CONTEXT.finditer(before))
    found = said[-1] if said else _CONTEXT.search(text[end : end + _LOOK_AHEAD])
    if found is None:
        return ""
    # "the private key of my wallet": who speaks of a key may well show it.
    if found.lastgroup == "address":
        found = next((one for one in reversed(said) if one.lastgroup in ("key", "api")), found)
    return found.lastgroup  # type: ignore[return-value]


def _hex_verdict(context: Context, text: str) -> Verdict:
    if text.startswith(("0:", "-1:")):
        return "wallet address"
    verdicts: dict[Context, Verdict] = {"transaction": "public", "address": "wallet address", "api": "API key"}
    return verdicts.get(context, "private key")


def _certain(token: str) -> Verdict:
    """Say what a string is by its checksum."""
    if _HEX_ADDRESS.fullmatch(token):
        return "wallet address"
    if (prefix := bech32_prefix(token)) is not None:
        return "private key" if _SECRET_PREFIX.search(prefix) else "wallet address"
    if token.isdigit():
        return ""
    payload = base58check(token)
    if payload is not None:
        return _of_base58check(payload)
    payload = base58check(token, RIPPLE)
    if payload is not None and token[0] in "rsX":
        return "private key" if token[0] == "s" else "wallet address"
    if _STELLAR.fullmatch(token) and is_stellar(token):
        return "private key" if token[0] == "S" else "wallet address"
    if (_TON.fullmatch(token) and is_ton(token)) or _MONERO.fullmatch(token) or is_ss58(token):
        return "wallet address"
    return ""


def _of_base58check(payload: bytes) -> Verdict:
    """Say what was encoded, by its length: keys have 32 bytes (33 with a mark, 39 encrypted by BIP 38), hashes of keys 20."""
    if len(payload) == 78:
        return "private key" if payload[:4] in _EXTENDED_PRIVATE else "wallet address"
    return "private key" if len(payload) in (33, 34, 39) else "wallet address"


def _likely(token: str, context: partial[Context], in_link: bool) -> Verdict:
    """Say what a string is that has no checksum, or a wrong one: by its form, and by the words before it.

    :param in_link: Links hold random strings that open nothing: names of videos, files, documents. Where one is called a
        token or a key (``?token=…``), it is found by that.
    """
    if _LIKE_KEY.fullmatch(token) and len(set(token)) > 12:
        return "private key"
    if _LIKE_BECH32.fullmatch(token):
        return "wallet address"
    mixed = _is_random(token)
    if mixed and _LIKE_BASE58.fullmatch(token):
        return "API key" if context() in ("api", "key") else "wallet address"
    data = base58(token) if mixed and len(token) <= 90 else None
    if data is not None and len(data) == 64:
        return _of_sixty_four(data, context())
    if not mixed or len(token) < _SHORTEST_RANDOM:
        return ""
    if data is not None and len(data) == 34 and data[:2] == b"\x12\x20":  # an IPFS content identifier
        return "public"
    if context() == "transaction":
        return "public"
    if in_link:
        return ""
    if data is not None and len(data) == 32:  # a public key of Solana; its private keys have 64 bytes
        return "API key" if context() in ("api", "key") else "wallet address"
    return "API key"


def _of_sixty_four(data: bytes, context: Context) -> Verdict:
    """Tell a key of Solana, whose second half is the public key of the first, from the signature of a transaction."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if Ed25519PrivateKey.from_private_bytes(data[:32]).public_key().public_bytes_raw() == data[32:]:
        return "private key"
    return "private key" if context in ("key", "api") else "public"


def _is_random(token: str) -> bool:
    """Tell what a machine drew: small letters, capitals and digits in turn, with no words in it."""
    kinds = ["d" if char.isdigit() else "u" if char.isupper() else "l" for char in token if char.isalnum()]
    changes = sum(left != right for left, right in pairwise(kinds))
    return kinds.count("d") >= 2 and "u" in kinds and "l" in kinds and changes >= _RANDOM * len(kinds)
