"""Checksums by which keys, addresses and card numbers are known for certain.

Encodings: Base58Check (Bitcoin wiki), Bech32 and Bech32m (BIP 173, BIP 350), SS58 (Polkadot wiki), StrKey (Stellar SEP-23),
TON's user-friendly addresses (TEP-2), Luhn (ISO/IEC 7812-1).
"""

import base64
import binascii
import hashlib

BITCOIN = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"

_BECH32 = {char: value for value, char in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_ENDS = (1, 0x2BC830A3)
# The longest that are in use are Cardano addresses (108); Lightning invoices reach some hundreds.
_LONGEST_BECH32 = 1000
_LONGEST_BASE58 = 128


def base58(text: str, alphabet: str = BITCOIN) -> bytes | None:
    """Decode Base58.

    :return: The bytes; None where the text is something else, or longer than any key.
    """
    if len(text) > _LONGEST_BASE58:
        return None
    number = 0
    for char in text:
        value = alphabet.find(char)
        if value < 0:
            return None
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58check(text: str, alphabet: str = BITCOIN) -> bytes | None:
    """Decode Base58Check: what was encoded, with its version, without the checksum; None where that is wrong.

    >>> base58check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa").hex()
    '0062e907b15cbf27d5425399ebf6f0fb50ebb88f18'
    """
    data = base58(text, alphabet)
    if data is None or len(data) < 5:
        return None
    payload, check = data[:-4], data[-4:]
    return payload if hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4] == check else None


def bech32_prefix(text: str) -> str | None:
    """Give the human-readable part of a Bech32 or Bech32m text with a right checksum, else None.

    >>> bech32_prefix("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4")
    'bc'
    """
    if len(text) > _LONGEST_BECH32 or text not in (text.lower(), text.upper()):
        return None
    prefix, _, data = text.lower().rpartition("1")
    if not prefix or len(data) < 6 or not set(data) <= _BECH32.keys():
        return None
    check = 1
    for value in [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *(_BECH32[c] for c in data)]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            check ^= generator if top >> bit & 1 else 0
    return prefix if check in _BECH32_ENDS else None


def is_ss58(text: str) -> bool:
    """Tell a Polkadot or Kusama address, or one of a chain like them."""
    data = base58(text)
    if data is None or len(data) not in (35, 36):
        return False
    return hashlib.blake2b(b"SS58PRE" + data[:-2]).digest()[:2] == data[-2:]


def is_ton(text: str) -> bool:
    """Tell an address of TON."""
    if len(text) != 48:
        return False
    data = base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_"))
    return binascii.crc_hqx(data[:-2], 0).to_bytes(2, "big") == data[-2:]


def is_stellar(text: str) -> bool:
    """Tell an address (G…, M…) or a secret seed (S…) of Stellar."""
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        return False
    return len(data) in (35, 43) and binascii.crc_hqx(data[:-2], 0).to_bytes(2, "little") == data[-2:]


def luhn(digits: str) -> bool:
    """Tell whether the last digit is the check digit of the others.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
