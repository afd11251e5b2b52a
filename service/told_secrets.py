"""Secrets that a text calls by name, or whose first letters say whose they are: API keys, passwords, codes, tokens."""

import re
from collections.abc import Iterator

from service.found import Found, Sensitive

# The first letters that the issuers give their keys, so that they can be found where they should not be; ours too.
_ISSUED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{20,}|(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,}|"
    r"github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{20,}|"
    r"pypi-[\w-]{30,}|SG\.[\w-]{16,}\.[\w-]{16,}|cd[wsa]_[\w-]{16,}|\d{8,10}:AA[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
    r")",
    re.ASCII,
)
# Names of things have their words apart ("sk-learn-contrib-extras").
_UNBROKEN = re.compile(r"[A-Za-z0-9]{16}")
_BEARER = re.compile(r"\b(?:bearer|basic)\s{1,3}([\w.+/=~-]{16,})", re.IGNORECASE | re.ASCII)
_IS = r"""["'`*]{0,2}\s{0,3}(?:(?:is|was|are|ist|war|es|era|est|était|é|è|это|是|为|為|は|이|은|는)\b\s{0,3}[:=]?|(?:=>|->|:=|[:=：])|是|为|為|は)\s{0,3}["'`“”„«*]{0,2}"""
_VALUE = r"""(?P<value>[^\s"'`“”„«»,;<>\[\]\ufffc]{4,200})"""
_API = re.compile(
    r"\b(?:(?:api|access|app|client|consumer|secret|auth|okx|binance|bybit|kraken|coinbase)[ _-]{0,2}){1,3}(?:key|token|secret|passphrase|id|sign(?:ature)?)s?"
    rf"(?:\s?\((?:id|key|secret)\))?(?:{_IS}|\s{{1,3}})"
    rf"{_VALUE}|\b(?:secret|token|passphrase|signature)(?:{_IS}){_VALUE.replace('value', 'other')}",
    re.IGNORECASE,
)
_PRIVATE = re.compile(
    rf"(?:\bprivate[ _-]?key|\bprivkey|приватн\w{{1,3}} ключ|私钥|私鑰|秘密鍵|개인 ?키|clave privada|clé privée|chave privada|chiave privata|özel anahtar)(?:{_IS}|\s{{1,3}}){_VALUE}",
    re.IGNORECASE,
)
_PASSWORD = re.compile(
    r"(?:(?P<mine>\bmy\s{1,3})?(?:\b\w{1,12}\s{1,3})?)?"
    r"(?:\b(?:password|passcode|passwd|pwd|pw)\b|\bpass(?=\s?[:=])|\bpasswort|\bkennwort|\bcontraseña|\bmot de passe|\bsenha|\bparola|\bşifre\w{0,3}|\bhasło|пароль|密码|密碼|パスワード|비밀번호)"
    rf"(?:{_IS}{_VALUE}|\s{{1,3}}(?P<bare>(?=[^\s\d]{{1,40}}\d)[\w!@#$%^&*+-]{{6,64}})(?![^\s.,;!?)]))",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"\b(?:2fa|mfa|otp|totp|sms|e-?mail|verification|confirmation|authenticat\w{1,6}|authy|google|security|login|one[- ]time|2-?step|two[- ]factor|6[- ]digit|backup|код\w{0,2}|código|codice|code|doğrulama|验证码|驗證碼|認証コード|인증)"
    r"(?:[\s:=#-]{1,3}(?:auth\w{0,10}|verification|google|sms|2fa|code|codes|pin|password|passcode|token|number|is|was|it's|ist|es|est|kodu|подтверждения)\b){0,4}"
    r"[\s:=#：是]{0,4}(?P<code>\d{3}[ -]\d{3}|\d{4,8})(?![\d.,]*\d|\s?(?:%|usd|eur|btc|eth|days?|hours?|min))"
    r"|\b(?:cvv2?|cvc2?|pin)\b(?:[ -]?(?:code|number|is|was)\b){0,2}[\s:=]{1,3}(?P<pin>\d{3,8})(?!\d)"
    r"|(?:验证码|驗證碼|認証コード|인증 ?번호|код подтверждения)[\s:：是为は]{0,3}(?P<wide>\d{4,8})",
    re.IGNORECASE,
)
_SPEAKS_OF_CODES = re.compile(
    r"2fa|mfa|otp|sms|verif|confirm|authent|authy|security|login|one[- ]time|step|factor|digit|backup|подтв|verific|doğrul|验证|驗證|認証|인증",
    re.I,
)
_CODES = re.compile(r"2fa|mfa|otp|cod|pin|pass|token|authenticat|authy|код|kod|验证|驗證|認証|인증", re.IGNORECASE)
_OTHER_CODE = re.compile(
    r"error|status|country|zip|postal|promo|referral|invit|coupon|gift|voucher|swift|sort|fehler|ошибк", re.IGNORECASE
)
# What is said of a password and is none.
_STATE = re.compile(
    r"(?:not|no|now|never|always|still|too|very|so|just|only|also|the|a|an|my|your|this|that|it|its|in|on|at|to|of|by|for|from|with|and|or|but|if|how|why|what|when|where|which|who|"
    r"wrong|right|correct|incorrect|invalid|valid|weak|strong|safe|secure|insecure|unsafe|lost|gone|known|unknown|old|new|empty|required|necessary|needed|missing|different|same|"
    r"case|sensitive|help|please|reset|mandatory|optional|stolen|hidden|forgotten|broken|ok|okay|fine|good|bad|long|short|there|here|shared|sent|asked|used|set|being|been|"
    r"falsch|richtig|weg|nicht|incorrect[ao]|inválid[ao]|incorrecte?|invalide|неверный|неправильный|yanlış|errad[ao]|\w+ed|\w+ing|\w+en|\w+able|\w+ible)",
    re.IGNORECASE,
)
_ENDS = re.compile(r"\s*(?:$|[\n.,;!?)]|(?:and|but|und|y|et|e|и)\b)", re.IGNORECASE)
_LONG_WORD = 14


def issued_keys(text: str) -> Iterator[Found]:
    """Find API keys and tokens by their first letters, and what stands behind ``Bearer``."""
    for m in _ISSUED.finditer(text):
        if _UNBROKEN.search(m[0]) or sum(map(str.isdigit, m[0])) >= 2:
            yield Found(m.start(), m.end(), "API key")
    for m in _BEARER.finditer(text):
        if _is_token(m[1]):
            yield Found(m.start(1), m.end(1), "API key")


def told_secrets(text: str) -> Iterator[Found]:
    """Find keys, passwords and codes by the words before them ("api key: …", "my password is …", "2fa code 123456")."""
    for m in _PRIVATE.finditer(text):
        if _is_token(m["value"]):
            yield _span(m, "value", "private key")
    for m in _API.finditer(text):
        group = "value" if m["value"] else "other"
        if _is_token(m[group]):
            yield _span(m, group, "API key")
    for m in _PASSWORD.finditer(text):
        if m["bare"]:
            yield _span(m, "bare", "password")
        elif _is_password(m, text):
            yield _span(m, "value", "password")
    for m in _CODE.finditer(text):
        group = str(m.lastgroup)
        if group != "code" or _is_code(m, text):
            yield _span(m, group, "security code")


def _is_code(m: re.Match[str], text: str) -> bool:
    """Tell a code for logging in from other codes and numbers ("error code 100234", "Social Security 1099")."""
    around = text[max(0, m.start() - 30) : m.end() + 40]
    return bool(_SPEAKS_OF_CODES.search(around) and _CODES.search(m[0])) and not _OTHER_CODE.search(
        text[max(0, m.start() - 15) : m.end()]
    )


def _span(m: re.Match[str], group: str, kind: Sensitive) -> Found:
    value = m[group].rstrip(".?)}:")
    return Found(m.start(group), m.start(group) + len(value), kind)


def _is_token(value: str) -> bool:
    """Tell what is made by a machine from a word ("my api key is invalid", "token=USDT", "signature: HMAC-SHA256")."""
    value = value.rstrip(".?!)}:")
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    if "://" in value or len(value) < 8:
        return False
    if len(value) >= 16:
        return digits >= 2 or (value.isalpha() and not value.islower() and not value.istitle() and not value.isupper())
    return digits >= 3 and letters >= 1 and "." not in value


def _is_password(m: re.Match[str], text: str) -> bool:
    """Tell a password from what is said of it ("my password is wrong").

    A word of letters alone is one only where it ends the clause, and is not known to describe.
    """
    value = m["value"].rstrip(".?!)}:")
    if "://" in value or len(value) < 4:
        return False
    if not value.isalpha():
        parts = re.split(r"[-/'’_.]", value)
        words = all(part.isalpha() and (part.islower() or part.istitle()) for part in parts if part)
        return not (words and value.isascii())  # "case-sensitive", "and/or", "e.g"
    if not value.isascii():
        return False
    if len(value) >= _LONG_WORD or not (value.islower() or value.istitle() or value.isupper()):
        return not _STATE.fullmatch(value)
    before_value = text[m.start("value") - 1]
    ends = _ENDS.match(text, m.start("value") + len(value))
    given = (
        bool(m["mine"])
        or before_value in "\"'`“„«="
        or text[m.start("value") - 2 : m.start("value")].strip() in (":", "=")
    )
    return bool(ends) and given and not _STATE.fullmatch(value)
