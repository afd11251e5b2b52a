"""How a crawl behaves towards a host: its name, robots.txt, how long it waits, and when it tries again."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.parse import urlsplit

from protego import Protego

#: The name that robots.txt speaks to.
ROBOT = "citedesk"
#: Bytes of robots.txt that are read; RFC 9309 asks for 500 KiB at least.
LONGEST_ROBOTS = 512 * 1024
#: Seconds of Crawl-delay above which a host is left alone: 1,000 pages would take more than three days.
LONGEST_CRAWL_DELAY = 300.0
#: Answers that may be others a moment later. 520 to 524 are Cloudflare's, for a server behind it that does not answer.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a crawl waits.

    :ivar timeout: Seconds that one answer may take, from connecting to its last byte.
    :ivar retries: How often a page is asked for again after an error that may pass.
    :ivar first_wait: Seconds before the first of them; each next one waits twice as long.
    :ivar longest_wait: Seconds that are waited at most. A host that asks for more (Retry-After) gets no further request
        in this run.
    """

    timeout: float = 60.0
    retries: int = 3
    first_wait: float = 1.0
    longest_wait: float = 120.0

    def wait(self, attempt: int) -> float:
        """Give the seconds to wait after the failed attempt of that number, from 0: doubled each time, and a jitter of a half."""
        return min(self.longest_wait, self.first_wait * float(2**attempt) * random.uniform(1.0, 1.5))


def user_agent(contact: str | None) -> str:
    """Name the crawler, and the operator's address where it is known.

    :raises ValueError: The address has characters that a header cannot hold.
    """
    about = f"+{contact}" if contact else "help desk indexing; obeys robots.txt"
    name = f"{ROBOT}/{version('citedesk')} ({about})"
    if not (name.isascii() and name.isprintable()):
        raise ValueError(f"contact {contact!r} has characters that a header cannot hold; give a plain address")
    return name


@dataclass(frozen=True, slots=True)
class Robots:
    """What a host's robots.txt says to us.

    :ivar delay: Seconds between two requests at least.
    :ivar sitemaps: Addresses of sitemaps, as they are written.
    :ivar problem: Why nothing of the host may be fetched at all, or None.
    :ivar refused: Whether that is so for good rather than for now.
    """

    delay: float = 0.0
    sitemaps: tuple[str, ...] = ()
    problem: str | None = None
    refused: bool = False
    _parser: Protego | None = None

    def allows(self, url: str) -> bool:
        """Tell whether an address may be fetched."""
        return self._parser is None or bool(self._parser.can_fetch(url, ROBOT))


def read_robots(status: int, body: bytes, host: str) -> Robots:
    """Read the answer to a request for robots.txt as RFC 9309 says.

    Where there is none (4xx) everything is allowed; where the server is in trouble (5xx) nothing is, for its rules
    are not known.
    """
    if status >= 500 or status in (0, 429):
        return Robots(problem=f"{host}: robots.txt cannot be read (HTTP {status}), so nothing is fetched")
    if not 200 <= status < 300:
        return Robots()
    parser = Protego.parse(body[:LONGEST_ROBOTS].decode("utf-8", "replace").lstrip("\ufeff"))
    delay = float(parser.crawl_delay(ROBOT) or 0.0)
    if not 0 <= delay <= LONGEST_CRAWL_DELAY:
        return Robots(
            problem=f"{host}: robots.txt asks for {delay:g} seconds between two requests, more than "
            f"{LONGEST_CRAWL_DELAY:g}; its pages are not fetched",
            refused=True,
        )
    return Robots(delay, tuple(parser.sitemaps), _parser=parser)


def retry_after(value: str | None) -> float | None:
    """Read a Retry-After header, in seconds or as a date; None where there is none that can be read.

    >>> retry_after("120"), retry_after("soon")
    (120.0, None)
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def origin(url: str) -> str:
    """Give scheme, host and port of an address: robots.txt speaks for these.

    >>> origin("https://help.example:8443/a?b")
    'https://help.example:8443'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
