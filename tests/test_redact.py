import base64
import binascii
import hashlib
import random
import subprocess
import sys
import time
import unicodedata

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from service.checksums import BITCOIN, RIPPLE
from service.redact import KINDS, SECRETS, redact
from service.seed_phrases import LANGUAGES, LENGTHS

ALL_LANGUAGES = sorted(Mnemonic.list_languages())
SPACED = [language for language in ALL_LANGUAGES if not language.startswith("chinese")]
# Whole phrases with a right checksum, made from fixed bytes.
WORDS = Mnemonic("english").to_mnemonic(bytes(range(40, 56))).split()
LONG = Mnemonic("english").to_mnemonic(bytes(range(60, 92))).split()
HEX = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
OTHER_HEX = hashlib.sha256(b"another").hexdigest()
ALPHANUMERIC = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"


def base58(data: bytes, alphabet: str = BITCOIN) -> str:
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, place = divmod(number, 58)
        text = alphabet[place] + text
    return alphabet[0] * (len(data) - len(data.lstrip(b"\0"))) + text


def base58check(payload: bytes, alphabet: str = BITCOIN) -> str:
    check = hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    return base58(payload + check, alphabet)


def bech32(prefix: str, size: int, end: int = 1) -> str:
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    values = [(7 * place + 3) % 32 for place in range(size)]

    def polymod(numbers):
        check = 1
        for value in numbers:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ value
            for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                check ^= generator if (top >> bit) & 1 else 0
        return check

    spread = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(spread + values + [0] * 6) ^ end
    values += [check >> 5 * (5 - place) & 31 for place in range(6)]
    return prefix + "1" + "".join(letters[value] for value in values)


def strkey(version: int) -> str:
    data = bytes([version]) + hashlib.sha256(b"stellar").digest()
    return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little")).decode()


def ton() -> str:
    data = b"\x11\x00" + hashlib.sha256(b"ton").digest()
    return base64.urlsafe_b64encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "big")).decode()


def solana_key(seed: bytes = bytes(range(32))) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return seed + key.public_key().public_bytes_raw()


def only(kind: str) -> frozenset[str]:
    return frozenset({kind})


def test_the_kinds_of_which_the_asker_is_warned_are_those_that_open_something():
    assert {"e-mail address", "phone number", "wallet address"} == KINDS - SECRETS


# Seed phrases


def test_every_language_that_has_a_word_list_is_searched():
    assert sorted(language for languages in LANGUAGES.values() for language in languages) == ALL_LANGUAGES


@pytest.mark.parametrize("strength", [128, 160, 192, 224, 256])
@pytest.mark.parametrize("language", ALL_LANGUAGES)
def test_a_phrase_is_found_in_every_language_and_length(language, strength):
    phrase = Mnemonic(language).to_mnemonic(random.Random(f"{language}{strength}").randbytes(strength // 8))
    for written in (phrase, unicodedata.normalize("NFC", phrase), unicodedata.normalize("NFKD", phrase).upper()):
        assert redact(f"((({written})))").text == "((([seed phrase])))"


@pytest.mark.parametrize("language", ["spanish", "french", "czech", "portuguese", "turkish", "russian"])
def test_a_phrase_typed_without_its_accents_is_found(language):
    phrase = Mnemonic(language).to_mnemonic(bytes(range(32)))
    bare = "".join(char for char in unicodedata.normalize("NFKD", phrase) if not unicodedata.combining(char))
    assert redact(bare).text == "[seed phrase]"


@pytest.mark.parametrize(
    "written",
    [
        " ".join(WORDS),
        ", ".join(WORDS),
        "\n".join(WORDS),
        "\r\n".join(f"{place}) {word.title()}" for place, word in enumerate(WORDS, 1)),
        " ".join(f"{place}. {word}" for place, word in enumerate(WORDS, 1)),
        "; ".join(f"word {place}: {word}" for place, word in enumerate(WORDS, 1)),
        '["' + '", "'.join(WORDS) + '"]',
        "'" + "' '".join(WORDS) + "'",
        " | ".join(WORDS),
        "-".join(WORDS),
        " ".join(WORDS).upper(),
        "\u200b".join(" ".join(WORDS)),
        "\u3000".join(WORDS),
        " ".join(word[:4] for word in WORDS),
        "".join(chr(ord(char) + 0xFEE0) if char != " " else char for char in " ".join(WORDS)),
    ],
)
def test_a_phrase_is_found_however_it_is_written_down(written):
    result = redact(f"I lost my phone. {written} How do I restore it?")
    assert result.kinds == only("seed phrase")
    assert result.text.startswith("I lost my phone. ")
    assert result.text.endswith(" How do I restore it?")
    assert not [word for word in WORDS if word in result.text.lower()]


def test_the_words_beside_a_phrase_stay_where_its_checksum_says_where_it_ends():
    asked = f"please help {' '.join(LONG)} can you help me"
    assert redact(asked).text == "please help [seed phrase] can you help me"


@pytest.mark.parametrize("seed", range(40))
def test_a_part_of_a_phrase_is_found(seed):
    words = random.Random(seed).sample(Mnemonic("english").wordlist, 11)
    for text, told in (
        ("i only have {} of it", words),
        ("my recovery phrase starts with {} xx what is next?", words[:7]),
    ):
        result = redact(text.format(" ".join(told)))
        assert result.kinds == only("seed phrase")
        assert result.text.startswith(text[:6])
        assert result.text.endswith(text[-6:])
        # A word that everybody uses may be taken for one of the question where it is the first or the last.
        assert len([word for word in told if word in result.text.split()]) <= 2


@pytest.mark.parametrize("place", range(1, 11))
def test_a_phrase_with_a_misspelt_word_is_found(place):
    words = [*WORDS[:place], WORDS[place] + "x", *WORDS[place + 1 :]]
    assert redact(f"my wallet: {' '.join(words)}").kinds == only("seed phrase")
    swapped = [*WORDS[:place], WORDS[place + 1], WORDS[place], *WORDS[place + 2 :]]
    assert redact(f"my wallet: {' '.join(swapped)}").text == "my wallet: [seed phrase]"


def test_a_long_phrase_with_three_misspelt_words_is_found():
    words = list(LONG)
    for place in (4, 11, 18):
        words[place] += "q"
    assert redact(" ".join(words)).text == "[seed phrase]"


def test_the_word_that_the_russian_list_has_damaged_is_known():
    words = Mnemonic("russian").wordlist
    assert redact(" ".join(["снова", *words[100:111]])).text == "[seed phrase]"
    assert [word for word in words if "\ufffd" in word] in ([], ["сно\ufffd\ufffdа"])


@pytest.mark.parametrize("count", [11, 12, 13])
def test_the_phrase_of_noughts_is_found_whatever_its_checksum(count):
    assert redact("abandon " * count).kinds == only("seed phrase")


def test_chinese_characters_without_spaces_are_a_phrase_where_they_are_called_one():
    phrase = Mnemonic("chinese_simplified").to_mnemonic(bytes(range(100, 116))).replace(" ", "")
    assert redact(f"助记词：{phrase}。怎么办").text == "助记词：[seed phrase]。怎么办"


@pytest.mark.parametrize(
    "text",
    [
        "Account number will never change. You will enter this account number when you call.",
        "list-style, list-style-image, list-style-position, list-style-type, margin, margin, margin",
        "what should I do when I cannot find the recovery phrase of my wallet any more",
        "Where do I find my seed phrase or private key, and can I change it?",
        "Which word is missing when the wallet says my recovery phrase is invalid?",
        "我的提现已经完成但是没有到账怎么办呢请帮助我解决这个问题谢谢",
        "助记词是恢复钱包的唯一方法，请妥善保管，不要告诉任何人",
        "出金がまだ届いていませんがどうすればいいですか",
        "Можно ли изменить адрес вывода после отправки заявки на вывод средств",
    ],
)
def test_prose_is_no_phrase(text):
    assert redact(text).text is text


# Private keys

PRIVATE_KEYS = {
    "hexadecimal": HEX,
    "hexadecimal with 0x": f"0x{HEX}",
    "hexadecimal capitals": HEX.upper(),
    "hexadecimal in two lines": f"{HEX[:32]}\n{HEX[32:]}",
    "hexadecimal in groups": " ".join(HEX[place : place + 8] for place in range(0, 64, 8)),
    "128 digits": HEX + OTHER_HEX,
    "WIF": base58check(b"\x80" + bytes.fromhex(HEX)),
    "WIF, compressed": base58check(b"\x80" + bytes.fromhex(HEX) + b"\x01"),
    "WIF of a test network": base58check(b"\xef" + bytes.fromhex(HEX) + b"\x01"),
    "WIF in two lines": base58check(b"\x80" + bytes.fromhex(HEX))[:25] + "\n" + base58check(b"\x80" + bytes.fromhex(HEX))[25:],
    "WIF with a typing error": base58check(b"\x80" + bytes.fromhex(HEX))[:-1] + "1",
    "BIP 38": base58check(b"\x01\x42" + bytes.fromhex(HEX) + bytes(5)),
    "xprv": Mnemonic.to_hd_master_key(bytes(range(64))),
    "tprv": Mnemonic.to_hd_master_key(bytes(range(64)), testnet=True),
    "yprv": base58check(bytes.fromhex("049d7878") + bytes(range(74))),
    "zprv": base58check(bytes.fromhex("04b2430c") + bytes(range(74))),
    "Solana": base58(solana_key()),
    "Solana, as a list": str(list(solana_key())),
    "Solana, as a list without spaces": str(list(solana_key())).replace(" ", ""),
    "XRP": base58check(b"\x21" + bytes(range(16)), RIPPLE),
    "XRP, Ed25519": base58check(b"\x01\xe1\x4b" + bytes(range(16)), RIPPLE),
    "Stellar": strkey(18 << 3),
    "nsec": bech32("nsec", 52),
    "Cardano": bech32("root_xsk", 154),
    "age": bech32("age-secret-key-", 52).upper(),
    "PEM": "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRoAoGCCqGSM49\n-----END EC PRIVATE KEY-----",
    "PEM in one line": "-----BEGIN PRIVATE KEY----- MHcCAQEEIIGRkZGRkZGRkZGRkZGRkZGRkZGRkZGR -----END PRIVATE KEY-----",
    "PEM without its end": "-----BEGIN RSA PRIVATE KEY-----\nMHcCAQEEIIGRkZGRkZGRkZGRkZGRkZGRkZGRkZGR",
}  # fmt: skip


@pytest.mark.parametrize("key", PRIVATE_KEYS.values(), ids=PRIVATE_KEYS)
def test_private_keys_are_found(key):
    assert redact(f"is {key} ok to import?").text == "is [private key] ok to import?"


@pytest.mark.parametrize(
    "text",
    [
        f"my deposit 0x{HEX} is pending, tx confirmed",
        f"txid {HEX}",
        f"Transaction hash: 0x{HEX}",
        f"https://etherscan.io/tx/0x{HEX}",
        f"hashes {HEX}, {OTHER_HEX}",
        f"хеш транзакции {HEX}",
        f"交易哈希 {HEX}",
        "Transaction ID 5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW",
    ],
)
def test_the_hash_of_a_transaction_stays_where_it_is_called_one(text):
    assert redact(text).text is text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"0x{HEX}", "private key"),
        (f"the transaction failed, my private key is 0x{HEX}", "private key"),
        (f"private key of my wallet address: {HEX}", "private key"),
        (f"sui address 0x{HEX}", "wallet address"),
        (f"0:{HEX}", "wallet address"),
        (f"api secret {HEX}", "API key"),
        (f"private key: {HEX[:60]}", "private key"),
    ],
)
def test_sixty_four_digits_are_what_the_words_before_them_say(text, kind):
    result = redact(text)
    assert result.kinds == only(kind)
    assert HEX[:20] not in result.text


# API keys, passwords, codes


@pytest.mark.parametrize(
    "key",
    [
        ALPHANUMERIC,
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "sk-proj-abcdefghijklmnopqrstuv",
        "xoxb-123456789012-abcdefABCDEF",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "cdw_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
        "cds_JzdWIiOiIxMjM0In0dBjftJeZ4CVPmB92K27uhbU",
        "cda_JzdWIiOiIxMjM0In0dBjftJeZ4CVPmB92K27uhbU",
        "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
    ],
)
def test_keys_are_found_by_their_form_alone(key):
    assert redact(f"is {key} still valid").text == "is [API key] still valid"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api key: abcd1234efgh", "api key: [API key]"),
        ("API-Key = 'abcd1234efgh'", "API-Key = '[API key]'"),
        ("my okx api key 1b2c3d4e-5f60-7a8b-9c0d-1e2f3a4b5c6d fails", "my okx api key [API key] fails"),
        ("secret=9f86d081884c7d65", "secret=[API key]"),
        ("apiSecret: 9f86d081884c7d65", "apiSecret: [API key]"),
        ("passphrase: Foo123bar!", "passphrase: [API key]!"),
        ("Authorization: Bearer 0a1b2c3d4e5f6a7b8c9d", "Authorization: Bearer [API key]"),
        ("https://x.example/reset?token=AbC123dEf456GhI789jKl012Mn", "https://x.example/reset?token=[API key]"),
        ("my password is hunter2 and it fails", "my password is [password] and it fails"),
        ("my password is swordfish, why?", "my password is [password], why?"),
        ("password: Passw0rd!", "password: [password]!"),
        ("password hunter2", "password [password]"),
        ("mein Passwort ist Sommer2024", "mein Passwort ist [password]"),
        ("пароль: qwerty123", "пароль: [password]"),
        ("密码是abc12345", "密码是[password]"),
        ("my 2fa code 123456 fails", "my 2fa code [security code] fails"),
        ("SMS code is 482 913", "SMS code is [security code]"),
        ("google authenticator says code: 482913", "google authenticator says code: [security code]"),
        ("the code 482913 is not accepted by my authenticator", "the code [security code] is not accepted by my authenticator"),
        ("cvv 123, pin is 4821", "cvv [security code], pin is [security code]"),
        ("验证码 482913", "验证码 [security code]"),
    ],
)  # fmt: skip
def test_what_is_called_a_secret_is_one(text, expected):
    assert redact(text).text.rstrip("!") == expected.rstrip("!")


@pytest.mark.parametrize(
    "text",
    [
        "my api key is invalid",
        "api key permissions: enable withdrawals",
        "my api key is not working since 2024",
        "token: USDT",
        "is a bearer token needed?",
        "my password is wrong",
        "forgot password: help",
        "password: must be 8 characters",
        "is the password case-sensitive?",
        "why was my password reset",
        "error code 123456 at login",
        "verification code with 6 digits not received",
        "Get a Social Security 1099 form",
        "sk-learn-contrib-extras-and-more",
        "https://youtu.be/m1OUr13_xv4?list=PL7cEYW-Kob0p9EcJexpZRc-vY93vnpp_l",
        "https://support.example.net/hc/en-us/articles/4408729874450-What-to-do-with-Fifth-SGB-in-Xumm",
        "order 550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_what_is_said_of_keys_and_passwords_is_no_secret(text):
    assert redact(text).text is text


# Personal data


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5555555555554444",
        "2223003122003222",
        "3782 822463 10005",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "6200000000000005",
        "2200 0000 0000 0004",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "４１１１１１１１１１１１１１１１",
        "٤١١١١١١١١١١١١١١١",
        "4111\u200b1111\u200b1111\u200b1111",
        "4111 1111\n1111 1111",
    ],
)
def test_card_numbers_are_found(number):
    assert redact(f"paid with {number} 12/29, refused").text == "paid with [card number] 12/29, refused"


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "1,000,000,000,000.00",
        "order id 4111111111111111 is not filled",
        "txid 4111111111111111",
        "9999999999999995",
        "2024 2023 2022 2021",
        "0000000000000000",
        "1732345678901",
    ],
)
def test_other_long_numbers_are_no_cards(text):
    assert redact(text).text is text


@pytest.mark.parametrize(
    "address", ["jo.doe+kyc@mail.example.co.uk", "o'neil@example.org", "иван@пример.рф", "A_B%c@x-y.io"]
)
def test_email_addresses_are_found(address):
    assert redact(f"write to <{address}>.").text == "write to <[e-mail address]>."


@pytest.mark.parametrize(
    "text", ["who is @binance", "1 BTC @ 60000", "jo @ example.org", "a@b", "@@@@", "jo@localhost"]
)
def test_other_at_signs_stay(text):
    assert redact(text).text is text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+44 20 7946 0958", "[phone number]"),
        ("+49 (0)176 1234 5678"[:3] + " 176 12345678", "[phone number]"),
        ("+1 650-253-0000.", "[phone number]."),
        ("+8613812345678", "[phone number]"),
        ("(650) 253-0000", "[phone number]"),
        ("650-253-0000", "[phone number]"),
        ("call me at 07911 123456", "call me at [phone number]"),
        ("whatsapp 0044 7911 123456", "whatsapp [phone number]"),
        ("meine Telefonnummer ist 0176 12345678", "meine Telefonnummer ist [phone number]"),
        ("мой телефон 8 912 345-67-89", "мой телефон [phone number]"),
        ("my number is +44 20 7946 0958 2024", "my number is [phone number] 2024"),
    ],
)
def test_phone_numbers_are_found(text, expected):
    assert redact(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "1,000,000.00 USDT",
        "+100000000 usdt",
        "+15.25%",
        "UID 123456789",
        "order 202411011234567890",
        "2024-01-15 12:30:45",
        "01/02/2024 to 03/04/2025",
        "price 64250.50, then 64,250.50",
        "withdrew 15000000000 SHIB",
        "XRP destination tag 1234567890",
        "memo 4155550123",
        "block 18500000, ip 192.168.100.100",
        "between 100-200 and 300-4000",
        "phone verification takes 24 hours",
    ],
)
def test_other_numbers_are_no_phones(text):
    assert redact(text).text is text


ADDRESSES = {
    "Bitcoin": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "Bitcoin, P2SH": base58check(b"\x05" + bytes(range(20))),
    "Bitcoin, segwit": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "Bitcoin, segwit in capitals": "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "Bitcoin, taproot": bech32("bc", 53, 0x2BC830A3),
    "Bitcoin, with a typing error": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
    "xpub": base58check(bytes.fromhex("0488b21e") + bytes(range(74))),
    "Ethereum": "0x742d35Cc6634C0532925a3b844Bc454e4438f44e",
    "Ethereum in small letters": "0x742d35cc6634c0532925a3b844bc454e4438f44e",
    "Tron": base58check(b"\x41" + bytes(range(20))),
    "Solana": "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU",
    "XRP": base58check(b"\x00" + bytes(range(20)), RIPPLE),
    "Litecoin": base58check(b"\x30" + bytes(range(20))),
    "Litecoin, segwit": bech32("ltc", 33),
    "Dogecoin": base58check(b"\x1e" + bytes(range(20))),
    "Bitcoin Cash": "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
    "Cardano": bech32("addr", 92),
    "Cardano, test network": bech32("addr_test", 92),
    "TON": ton(),
    "Monero": "4" + "8" + base58(bytes(range(1, 90)))[:93],
    "Cosmos": bech32("cosmos", 32),
    "Polkadot": base58(b"\x00" + bytes(range(32)) + hashlib.blake2b(b"SS58PRE\x00" + bytes(range(32))).digest()[:2]),
    "Stellar": strkey(6 << 3),
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_wallet_addresses_are_found_and_no_tag_beside_them(address):
    result = redact(f"sent to {address}, tag 1234567890")
    assert result.text == "sent to [wallet address], tag 1234567890"
    assert not result.kinds & SECRETS


# All of it


def test_everything_at_once_is_found_and_the_question_stays():
    text = (
        f"hi, jo@example.org here (+44 20 7946 0958). {' '.join(WORDS)} \u2013 is that right? key {HEX}, card 4111 1111 1111 1111, "
        f"to {ADDRESSES['Bitcoin']}, my password is hunter2. Why is my withdrawal pending?"
    )
    assert redact(text).text == (
        "hi, [e-mail address] here ([phone number]). [seed phrase] \u2013 is that right? key [private key], card [card number], "
        "to [wallet address], my password is [password]. Why is my withdrawal pending?"
    )


def test_placeholders_are_no_secrets():
    text = " ".join(f"[{kind}]" for kind in sorted(KINDS)) * 3 + " api key: [API key] my password is [password]"
    assert redact(text).text is text


@given(
    st.text(alphabet=st.characters(codec="utf-8", categories=["L", "Zs", "Po"]), max_size=60).filter(
        lambda t: "@" not in t
    )
)
def test_letters_without_digits_come_back_as_they_were(text):
    result = redact(text)
    assert (result.text == text) is (not result.kinds)
    assert not result.kinds - {"seed phrase", "password"}


PIECES = [" ".join(WORDS), HEX, f"0x{HEX}", "tx ", "hash ", "password is ", "api key: ", "code ", "2fa ", "4111111111111111", "jo@example.org", "+44 20 7946 0958",
          "[seed phrase]", "[API key]", "card ", "order ", "\n", " ", ", ", ":", "=", '"', *ADDRESSES.values(), *PRIVATE_KEYS.values(), ALPHANUMERIC, "hunter2", "123456", "\u200b", "abandon"]  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=12)), max_size=12).map("".join))
def test_redacting_twice_changes_nothing(text):
    once = redact(text)
    assert redact(once.text).text == once.text
    assert once.kinds <= KINDS


@given(st.sampled_from(SPACED), st.binary(min_size=16, max_size=16), st.text(max_size=20), st.text(max_size=20))
def test_no_phrase_outlives_what_stands_around_it(language, entropy, before, after):
    phrase = Mnemonic(language).to_mnemonic(entropy).replace("сно\ufffd\ufffdа", "снова")
    assert phrase not in redact(f"{before} {phrase} {after}").text


HOSTILE = {
    "digits": "1",
    "cards": "4111 ",
    "hexadecimal": "a1",
    "groups": "dead1 ",
    "letters": "a ",
    "list words": "abandon ability able zzzz ",
    "at": "@",
    "mails": "a@a.",
    "plus": "+1 ",
    "phones": "phone is 07911 123 456 789 ",
    "blocks": "-----BEGIN PRIVATE KEY-----",
    "lists": "[1,",
    "numbers": "1,",
    "passwords": "password is ",
    "keys": "secret key api ",
    "jwt": "eyJaaaaaaaa.",
    "han": "的一是在不了有和人这中大",
    "kana": "あいだ ",
    "unseen": "\u200b",
    "marks": "\u0301",
    "links": "http://",
    "addresses": "bc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq ",
    "base58": "5Kb8kLf9zgWQnogidDA76MzPL6TsZZY36hW ",
    "spaces": " ",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_the_time_is_linear_in_the_length(piece):
    """Fifty thousand characters take 0.01 to 0.5 s; what is not linear takes minutes."""
    text = (piece * 50_000)[:50_000]
    start = time.perf_counter()
    redact(text)
    assert time.perf_counter() - start < 10


def test_a_short_question_loads_neither_word_lists_nor_telephone_data():
    code = (
        "import sys; from service.redact import redact; from service.seed_phrases import _places; "
        "redact('How long does a bitcoin withdrawal to a new address take?'); "
        "print('phonenumbers' in sys.modules, 'cryptography' in sys.modules, _places.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "0"]


def test_lengths_are_those_of_bip_39():
    assert sorted(LENGTHS) == [bits // 32 * 3 for bits in (128, 160, 192, 224, 256)]


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("legal winner thank year wave sausage worth useful legal winner thank yellow", True),
        ("jo@example.org, +49 30 901820", True),
        ("is jo@example.org from kraken?", False),
        ("???", False),
        ("how long does it take", False),
    ],
)
def test_it_is_told_whether_anything_is_left_beside_what_was_taken_out(text, bare):
    assert redact(text).is_bare is bare
