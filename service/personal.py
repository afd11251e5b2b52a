"""Personal data in a text: card numbers, e-mail addresses, telephone numbers."""

import re
from collections.abc import Iterator

from service.checksums import luhn
from service.found import Found

# Issuers and the lengths of their numbers (ISO/IEC 7812; the ranges that Visa, Mastercard, American Express, Discover, JCB,
# Diners, UnionPay, Maestro and Mir publish).
_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}|(?:6011|65\d\d|64[4-9]\d)\d{12,15}|"
    r"35(?:2[89]|[3-8]\d)\d{12}|(?:36|38|39|30[0-5]\d?)\d{11,12}|62\d{14,17}|(?:5018|5020|5038|5893|6304|6759|676[123])\d{9,15}|220[0-4]\d{12}"
)
_CARD = re.compile(r"(?<![\w.,+])\d(?:[\s.-]{0,2}\d){12,60}(?![\d])")
_GROUP = re.compile(r"\d+")
# Numbers of orders and the like are long too, and one in ten has a right check digit.
_OTHER_NUMBER = re.compile(
    r"\b(?:order|trade|tx\w*|transaction|u?id|uuid|tag|memo|ref\w*|ticket|case|invoice|ad|account|tracking|orden|pedido|bestell\w*|auftrag\w*|заказ\w*|ордер\w*|订单|訂單|注文|주문)\b[^\d\n]{0,20}$",
    re.IGNORECASE,
)
_CARD_WORD = re.compile(
    r"card|visa|master|maestro|amex|debit|credit|karte|tarjeta|carte|cartão|карт|卡|カード|카드", re.IGNORECASE
)

_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-'")
_LONGEST_LOCAL = 64
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])")

_CURRENCY = r"(?:%|[$€£¥₽₹₺]|usdt?|usdc|eur|gbp|btc|eth|bnb|sol|xrp|rub|try|inr|jpy|dollars?|euros?)"
_NUMBER = r"\(?\d[\d\s().\u00a0/-]{5,22}\d"
_PLUS = re.compile(rf"(?<![\w.,+])\+\s{{0,2}}(?P<number>{_NUMBER})(?![\w,]|\.\d|\s?{_CURRENCY}(?!\w))", re.IGNORECASE)
_TOLD = re.compile(
    r"(?:\b(?:tel|telephone|phone|cell|call|dial|sms|whats ?app|viber|mobile|teléfono|celular|móvil|llame|llama|telefon\w{0,8}|handy\w{0,8}|rufnummer|anruf\w{0,2}|rufen|téléphone|portable|appel\w{0,3}|telefone|ligue|"
    r"telefono|cellulare|телефон\w{0,3}|номер\w{0,2}|звон\w{1,4}|позвон\w{1,4}|hubungi|gọi)\b|电话|電話|手机|手機|致电|전화|휴대폰|هاتف|फ़ोन)"
    rf"(?:[\s:#.]{{1,3}}(?:number|numbers|no|nr|num|me|us|at|on|is|was|my|numero|número|numéro|nummer|ist|es|est|é|numarası|numaram)\b){{0,5}}[^\w+]{{0,4}}(?P<number>(?:00)?{_NUMBER})(?![\w,]|\.\d|\s?{_CURRENCY}(?!\w))",
    re.IGNORECASE,
)
_AMERICAN = re.compile(r"(?<![\w.,+(-])(?P<number>(?:1[ .-])?(?:\(\d{3}\)\s?|\d{3}[-.])\d{3}[-.]\d{4})(?![\w-]|[.,]\d)")
# Where a number without its country is called a telephone number, it is one if it is one in any of these.
_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "UA", "RU", "TR", "IN", "CN", "JP", "KR", "ID", "VN", "PH", "TH", "BR", "MX", "AR", "CO", "NG", "ZA", "KE", "AE", "AU")  # fmt: skip
_FEWEST_DIGITS = 8


def card_numbers(text: str) -> Iterator[Found]:
    """Find numbers of payment cards: an issuer's first digits and length, and a right check digit."""
    for m in _CARD.finditer(text):
        groups = [(m.start() + g.start(), m.start() + g.end()) for g in _GROUP.finditer(m[0])]
        behind = -1
        for first, (start, _) in enumerate(groups):
            end = _card_end(text, groups[first : first + 19]) if start > behind else None
            if end is not None and not _is_other_number(text, start, end):
                yield Found(start, end, "card number")
                behind = end


def _card_end(text: str, groups: list[tuple[int, int]]) -> int | None:
    digits, found = "", None
    sizes: list[int] = []
    for start, end in groups:
        digits += text[start:end]
        sizes.append(end - start)
        if len(digits) > 19:
            break
        # Groups as printed on cards, or none, or every digit alone.
        even = len(sizes) == 1 or max(sizes) == 1 or (min(sizes[:-1]) >= 4 and max(sizes) <= 6)
        if len(digits) >= 13 and even and _ISSUERS.fullmatch(digits) and len(set(digits)) > 1 and luhn(digits):
            found = end
    return found


def _is_other_number(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 40) : start]
    return text[start:end].isdigit() and bool(_OTHER_NUMBER.search(before)) and not _CARD_WORD.search(before)


def email_addresses(text: str) -> Iterator[Found]:
    """Find e-mail addresses."""
    at = text.find("@")
    behind = 0
    while at >= 0:
        start = at
        while start > max(behind, at - _LONGEST_LOCAL) and (text[start - 1] in _LOCAL or text[start - 1].isalnum()):
            start -= 1
        while start < at and text[start] in ".'-":
            start += 1
        domain = _DOMAIN.match(text, at + 1)
        if domain and start < at:
            yield Found(start, domain.end(), "e-mail address")
            behind = domain.end()
        at = text.find("@", max(at + 1, behind))


def phone_numbers(text: str) -> Iterator[Found]:
    """Find telephone numbers: with a country, called one by the words before them, or written as only they are."""
    for m in _PLUS.finditer(text):
        yield from _valid(m, "+", ("ZZ",))
    for m in _TOLD.finditer(text):
        number = m["number"]
        yield from _valid(m, "+", ("ZZ",), drop=2) if number.startswith("00") else _valid(m, "", _REGIONS)
    for m in _AMERICAN.finditer(text):
        yield from _valid(m, "", ("US",))


def _valid(m: re.Match[str], prefix: str, regions: tuple[str, ...], drop: int = 0) -> Iterator[Found]:
    """Ask libphonenumber; where the number goes on with something else, its last groups are left out one by one."""
    number = m["number"]
    for _ in range(4):
        digits = "".join(filter(str.isdigit, number))[drop:]
        if len(digits) < _FEWEST_DIGITS:
            return
        if len(digits) <= 15 and _is_number(prefix + digits, regions):
            start = m.start() if prefix and not drop else m.start("number")
            yield Found(start, m.start("number") + len(number), "phone number")
            return
        shorter = re.match(r"(.*\d)[^\d]+\d+$", number, re.DOTALL)
        if shorter is None:
            return
        number = shorter[1]


def _is_number(text: str, regions: tuple[str, ...]) -> bool:
    import phonenumbers

    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(text, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False
