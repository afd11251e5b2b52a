"""Contacts in a text: whom it says to call, write or message, and whether that is the exchange itself."""

import re
from collections.abc import Iterator

from ingest.article import Trust
from ingest.exchanges import Directory

# Telephone numbers have 7 to 15 digits (ITU-T E.164).
FEWEST_DIGITS, MOST_DIGITS = 7, 15

_EMAIL = re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[^\W\d_]{2,})")
_MESSENGER = re.compile(
    r"(?<![\w.])(?:https?://)?(?:www\.)?(?:t\.me|telegram\.(?:me|dog)|wa\.me|api\.whatsapp\.com|chat\.whatsapp\.com|m\.me|line\.me|discord\.gg|signal\.me)/\S+|"
    r"\b(?:telegram|whats ?app|viber|wechat|weixin|signal|line|skype|messenger|微信|電報|电报|телеграм\w*|вотсап\w*|ватсап\w*)\b[^.\n]{0,40}?(?<!\w)@\w{4,}",
    re.IGNORECASE,
)
# Groups of digits with a plus, a bracket or a word for telephone before them, or parted as telephone numbers are.
_NUMBER = r"\(?\d[\d\s().\u00a0\u2010-\u2013/-]{5,22}\d(?!\w)"
_MARKED = re.compile(
    rf"(?<!\w)(?:\+\s?|00\s?)(?P<plus>{_NUMBER})"
    r"|(?:\b(?:tel|tels|telephone|phone|hotline|helpline|call|dial|toll[- ]?free|fax|sms|whats ?app|mobile|teléfono|llame|llama|telefon\w*|anruf\w*|rufen|téléphone|appel\w*|telefone|ligue|"
    r"telefono|chiama\w*|телефон\w*|звон\w*|позвон\w*|arayın|hubungi|gọi)\b|电话|電話|热线|熱線|致电|致電|전화|هاتف|اتصل|फ़ोन)"
    rf"[^\d\n]{{0,40}}?(?P<said>{_NUMBER})",
    re.IGNORECASE,
)
_PARTED = re.compile(
    r"(?<![\w.,+-])(?:1[\s.\u2010-\u2013-]+)?(?:\(\d{3}\)\s*|\d{3}\s?[\s.\u2010-\u2013-]\s?)\d{3}\s?[\u2010-\u2013.-]\s?\d{4}(?![\w.,-]\d|\w)"
    r"|(?<![\w.,+-])(?:0800|0808|0?1-8\d\d|1[ -]8\d\d|400|800)[ -]\d{3}[ -]?\d{3,4}(?!\w)"
)
_DATE = re.compile(r"^(?:19|20)\d\d[./-]\d{1,2}[./-]\d{1,2}")


def contacts(text: str) -> Iterator[str]:
    """Give the telephone numbers, e-mail addresses and messenger accounts that a text names.

    >>> list(contacts("Call +1 (888) 123-4567 or write to help@kraken.com by 2026-01-01, fee 1,500.00 USD."))
    ['1 (888) 123-4567', 'help@kraken.com']
    """
    for found in _MARKED.finditer(text):
        number = found["plus"] or found["said"]
        if _is_number(number):
            yield found[0] if found["plus"] else number
    yield from (found[0] for found in _PARTED.finditer(text) if not _MARKED.search(text))
    yield from (found[0] for found in _EMAIL.finditer(text))
    yield from (found[0] for found in _MESSENGER.finditer(text))


def may_be_quoted(text: str, trust: Trust, directory: Directory) -> bool:
    """Tell whether a sentence of a page may be quoted as far as contacts go.

    Whoever runs a page that is not the exchange's may have put any number there, and what an assistant repeats is
    believed. An e-mail address of an exchange's own domain is the exchange's, wherever it stands.

    :param trust: Of the page.
    """
    if trust in ("official", "partner"):
        return True
    return all(_is_official(contact, directory) for contact in contacts(text))


def _is_official(contact: str, directory: Directory) -> bool:
    mail = _EMAIL.fullmatch(contact)
    return mail is not None and directory.trust(f"https://{mail[1]}/") == "official"


def _is_number(text: str) -> bool:
    digits = sum(char.isdigit() for char in text)
    return FEWEST_DIGITS <= digits <= MOST_DIGITS and not _DATE.match(text)
