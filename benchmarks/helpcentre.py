"""A generated help centre: thousands of pages that differ, as a site has them, and what becomes of them from day to day."""

import gzip
import hashlib
import html
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Literal
from xml.sax.saxutils import escape

NAME = "Quillmark"
LANGUAGE = "en-us"
CATEGORIES = 20
SITEMAPS = 5
#: The first day of a site; with each round of changes a day goes by.
BEGIN = datetime(2026, 1, 1, 6, tzinfo=UTC)
ROBOTS = (
    "User-agent: *\nDisallow: /hc/search\nDisallow: /hc/login\nDisallow: /hc/requests\n\nSitemap: {site}/sitemap.xml\n"
)
DISALLOWED = ("/hc/search", "/hc/login", "/hc/requests")


@dataclass(frozen=True, slots=True)
class Resource:
    """What stands at a path, without the site's own address: ``{site}`` stands for it.

    :ivar modified: When it was changed last.
    """

    status: int
    content_type: str
    body: bytes
    kind: Literal["article", "listing", "sitemap", "robots", "absent"]
    modified: datetime = BEGIN
    location: str | None = None

    @property
    def etag(self) -> str:
        """A strong validator."""
        return f'"{hashlib.sha1(self.body, usedforsecurity=False).hexdigest()[:16]}"'

    @property
    def last_modified(self) -> str:
        """As HTTP writes it."""
        return format_datetime(self.modified, usegmt=True)


@dataclass(frozen=True, slots=True)
class Mutation:
    """What a round changed, as paths: ``moved`` from the old to the new one, ``touched`` in what surrounds the article alone."""

    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    moved: dict[str, str]
    touched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """One page's state.

    :ivar modified: When its text was changed last; ``listed``: when its entry in the sitemap was.
    :ivar version: Counts its changes of text.
    :ivar build: The last round in which the page around it was changed.
    """

    number: int
    path: str
    modified: datetime
    listed: datetime
    gone: bool = False
    version: int = 0
    build: int = 0


@dataclass(slots=True)
class HelpCentre:
    """A help centre of so many articles, the same for the same seed.

    Making one costs nothing; `prepare` renders its pages (about 16 KB of memory each).

    :ivar pages: How many articles it begins with, from 1.
    """

    pages: int = 5_000
    seed: int = 1
    rounds: int = 0
    _states: list[_Page] = field(default_factory=list)
    _resources: dict[str, Resource] = field(default_factory=dict)

    def prepare(self) -> None:
        """Render every page."""
        self._states = [_first_state(number, self.seed) for number in range(self.pages)]
        for state in self._states:
            self._render(state)
        self._render_listings()
        self._render_sitemaps()

    def resource(self, path: str) -> Resource:
        """Give what stands at a path; 404 if nothing does."""
        return self._resources.get(path) or Resource(404, _HTML, _NOT_FOUND, "absent")

    def resources(self) -> dict[str, Resource]:
        """Give everything by its path."""
        return self._resources

    def live(self) -> tuple[str, ...]:
        """Give the paths of all articles that are there, in the order of their numbers."""
        return tuple(state.path for state in self._states if not state.gone)

    def mutate(self, changed: float = 0.01, deleted: float = 0.0, moved: float = 0.0, touched: float = 0.0) -> Mutation:
        """Let a day go by; no article is drawn twice.

        :param changed: Share (0 to 1) of the live articles of which a paragraph is written anew.
        :param deleted: Share that is gone, out of the sitemap too: 404, or 410 for the odd numbers.
        :param moved: Share that has a new address, to which the old one redirects with 301.
        :param touched: Share of which only the page around the article changes: new ETag, same text, same ``lastmod``.
        """
        self.rounds += 1
        rng = random.Random(f"{self.seed}:round:{self.rounds}")
        live = [state.number for state in self._states if not state.gone]
        shares = (changed, deleted, moved, touched)
        counts = [round(share * len(live)) for share in shares]
        drawn = iter(rng.sample(live, sum(counts)))
        groups = [sorted(next(drawn) for _ in range(count)) for count in counts]
        now = BEGIN + timedelta(days=self.rounds)
        new_texts = tuple(self._change(number, now) for number in groups[0])
        gone = tuple(self._delete(number, now) for number in groups[1])
        addresses = dict(self._move(number, now) for number in groups[2])
        noises = tuple(self._touch(number, now) for number in groups[3])
        self._render_listings()
        self._render_sitemaps()
        return Mutation(new_texts, gone, addresses, noises)

    def _change(self, number: int, now: datetime) -> str:
        state = self._states[number]
        return self._renew(replace(state, version=state.version + 1, modified=now, listed=now))

    def _touch(self, number: int, now: datetime) -> str:
        return self._renew(replace(self._states[number], build=self.rounds))

    def _delete(self, number: int, now: datetime) -> str:
        state = replace(self._states[number], gone=True, listed=now)
        self._states[number] = state
        self._resources[state.path] = Resource(410 if number % 2 else 404, _HTML, _NOT_FOUND, "absent")
        return state.path

    def _move(self, number: int, now: datetime) -> tuple[str, str]:
        old = self._states[number]
        new = self._renew(replace(old, listed=now, path=f"{old.path}-{self.rounds}"))
        self._resources[old.path] = Resource(301, _HTML, b"", "article", location=new)
        return old.path, new

    def _renew(self, state: _Page) -> str:
        self._states[state.number] = state
        self._render(state)
        return state.path

    def _render(self, state: _Page) -> None:
        # A page around an article that changed is newer than the article: only the sitemap speaks of the text.
        modified = max(state.modified, BEGIN + timedelta(days=state.build))
        body = _article_page(state, self.seed, self.pages).encode()
        self._resources[state.path] = Resource(200, _HTML, body, "article", modified)

    def _render_listings(self) -> None:
        rows: list[list[_Page]] = [[] for _ in range(CATEGORIES)]
        for state in self._states:
            if not state.gone:
                rows[state.number % CATEGORIES].append(state)
        paths = [_category_path(number) for number in range(CATEGORIES)]
        start = _listing(f"{NAME} help centre", [(path, _CATEGORY_NAMES[n]) for n, path in enumerate(paths)])
        self._resources[f"/hc/{LANGUAGE}"] = self._resources["/"] = Resource(200, _HTML, start, "listing")
        for number, states in enumerate(rows):
            links = [(state.path, _title(state.number, self.seed)) for state in states]
            body = _listing(_CATEGORY_NAMES[number], links)
            newest = max((state.listed for state in states), default=BEGIN)
            self._resources[paths[number]] = Resource(200, _HTML, body, "listing", newest)
        self._resources["/robots.txt"] = Resource(200, "text/plain; charset=utf-8", ROBOTS.encode(), "robots")

    def _render_sitemaps(self) -> None:
        size = -(-self.pages // SITEMAPS)
        entries: list[tuple[str, datetime]] = []
        for part in range(SITEMAPS):
            states = self._states[part * size : (part + 1) * size]
            newest = max((state.listed for state in states), default=BEGIN)
            path = f"/sitemaps/articles-{part + 1}.xml.gz"
            rows = [(state.path, state.modified) for state in states if not state.gone]
            self._resources[path] = Resource(200, "application/gzip", _xml("urlset", "url", rows), "sitemap", newest)
            entries.append((path, newest))
        body = _xml("sitemapindex", "sitemap", entries)
        newest = max(modified for _, modified in entries)
        self._resources["/sitemap.xml"] = Resource(200, "application/xml", body, "sitemap", newest)


def packed(resource: Resource, site: str) -> Resource:
    """Write the site's address into a resource, and compress it if it is a sitemap that is served so."""
    body = resource.body.replace(b"{site}", site.encode())
    if resource.content_type == "application/gzip":
        body = gzip.compress(body, 6, mtime=0)
    return replace(resource, body=body)


_HTML = "text/html; charset=utf-8"
_NOT_FOUND = b"<!DOCTYPE html><title>Not found</title><h1>Oops</h1><p>The page you were looking for doesn't exist.</p>"


def _xml(root: str, item: str, rows: Sequence[tuple[str, datetime]]) -> bytes:
    lines = "".join(
        f"<{item}><loc>{{site}}{escape(path)}</loc><lastmod>{modified:%Y-%m-%dT%H:%M:%SZ}</lastmod></{item}>\n"
        for path, modified in rows
    )
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{space}">\n{lines}</{root}>\n'.encode()


# Wording: sentences from a small grammar. A page has its own coin, its own names of features and its own figures.

_LISTS: dict[str, Sequence[str]] = {
    "opener": (
        "", "", "", "", "In most cases ", "As a rule ", "On a new account ", "After the first deposit ", "Before {n} o'clock ",
        "Outside of maintenance hours ", "For accounts older than {n} days ", "With {feature} switched on ",
        "If {feature} is locked ", "On the {net} network ", "When the {coin} market is paused ", "From a mobile phone ",
        "In the {screen} view ", "Once {other} has been confirmed ", "Below {amount} {ticker} ", "Above {amount} {ticker} ",
        "For a {role} ", "During the first {n} hours ", "While an order of {coin} is open ", "Without a second factor ",
    ),
    "clause": (
        "{feature} moves {coin} to the {wallet} wallet within {n} minutes", "the fee of {feature} is {amount} {ticker}",
        "a {role} can {verb} {coin} up to {amount} {ticker} a day", "{other} keeps a record of every {thing} for {n} months",
        "the {screen} screen shows how much {ticker} is reserved by {feature}", "{company} checks each {thing} by hand",
        "the limit of {feature} is raised to {amount} {ticker}", "a {thing} that is older than {n} days can be reopened",
        "the {button} button is greyed out", "an e-mail with a code of {digits} digits is sent", "you can {verb} {coin} again",
        "{other} asks for the {field} of the receiving account", "the {net} network needs {n} confirmations for {coin}",
        "every {thing} carries the number of the {other} that it belongs to", "{feature} rounds to {digits} decimal places",
        "the {role} who opened {other} has to approve it", "interest on {coin} is credited at {n} minutes past the hour",
        "{company} never asks a {role} for the {field}", "the smallest {thing} that {feature} accepts is {amount} {ticker}",
        "a {thing} in {coin} is matched against the {other} book first", "the {field} must be the one used for {feature}",
        "support for {other} ends and {feature} takes its place", "{coin} held in {other} does not count as margin",
        "the {wallet} wallet is debited and the {screen} screen is refreshed", "the {thing} is returned less {amount} {ticker}",
        "no {thing} is lost, and {other} lists it as pending", "{feature} and {other} share one limit of {amount} {ticker}",
        "the price of {ticker} is taken from {n} venues", "the {thing} stays with {other} for at most {n} hours",
        "a second {role} may watch {feature} but cannot {verb} anything", "the {button} entry moves below {other}",
    ),
    "tail": (
        "", "", "", ", and {other} is told at once", ", which takes about {n} minutes", " unless the {field} has changed",
        " as long as {other} stays open", ", even if the {screen} screen says otherwise", " until the {role} confirms it",
        ", whatever the price of {ticker} does", " and no later than {n} hours after that", " in the order in which it came",
        ", provided that {amount} {ticker} remain", ", except on the {net} network", " without any further {thing}",
        " after the {button} button has been pressed", ", since {other} depends on it", " and is shown under {screen}",
    ),
    "step": (
        "Open {screen} and choose {feature}.", "Press {button} and wait for {n} seconds.", "Enter the {field} of {other}.",
        "Choose {coin} ({ticker}) from the list of {n} assets.", "Type an amount of at least {amount} {ticker}.",
        "Compare the {field} with the one in {other}.", "Confirm with the code of {digits} digits.",
        "Select the {net} network, not the one of {other}.", "Read the notice about {feature} and press {button}.",
        "Return to {screen}; the {thing} is listed as pending.", "Save the {field} in a safe place.",
        "Ask a {role} to approve the {thing} within {n} hours.", "Leave {feature} open until {other} has answered.",
    ),
    "question": (
        "How long does {feature} take for {coin}?", "Can a {role} {verb} {coin} with {feature}?", "Why is {other} locked?",
        "What does {feature} cost above {amount} {ticker}?", "Where do I find the {field} of {other}?",
        "Is {coin} on the {net} network supported by {feature}?", "What happens to a {thing} when {other} is closed?",
        "Who may change the {field} after {n} days?", "Do I need {other} before I {verb} {ticker}?",
    ),
    "heading": (
        "Before you use {feature}", "Limits of {other}", "How {feature} works with {coin}", "Fees for a {thing}",
        "When {other} is paused", "What a {role} may do", "Working with the {field}", "{feature} on the {net} network",
        "If the {thing} does not arrive", "Moving {coin} to the {wallet} wallet", "Closing {other}", "Reading the {screen} screen",
    ),
    "title": (
        "How to {verb} {coin} ({ticker}) with {feature}", "Why is my {coin} {thing} delayed by {feature}?",
        "{feature}: limits, fees and times for {ticker}", "Setting up {feature} for a {role}",
        "What to do when {feature} rejects the {field}", "{coin} on the {net} network: using {feature}",
        "Understanding the {screen} screen of {feature}", "Can I {verb} {ticker} while {feature} is locked?",
        "Linking {feature} with {other}", "Recovering a {thing} of {coin} from {feature}",
    ),
    "verb": ("withdraw", "deposit", "convert", "stake", "lend", "borrow", "transfer", "sell", "pledge", "redeem", "split",
             "freeze", "export", "bridge", "repay", "hedge", "swap", "reserve"),
    "thing": ("withdrawal", "deposit", "order", "refund", "conversion", "loan", "receipt", "transfer", "claim", "voucher",
              "settlement", "repayment", "rebate", "statement", "mandate", "invoice", "appeal", "quote"),
    "role": ("trader", "sub-account", "merchant", "custodian", "verified user", "referrer", "broker", "guest", "team owner",
             "auditor", "market maker", "business account", "copy trader", "delegate", "cashier"),
    "screen": ("Wallet", "Orders", "Security", "Activity", "Earn", "Statements", "Margin", "Devices", "Profile", "Convert",
               "Approvals", "Addresses", "Limits", "Inbox", "Team", "Keys"),
    "button": ("Continue", "Confirm", "Release", "Review", "Add", "Unlock", "Renew", "Apply", "Send code", "Retry", "Verify",
               "Archive", "Next", "Pay back", "Withdraw all", "Compare"),
    "field": ("address", "memo", "tag", "account number", "API key", "passphrase", "tax number", "device name", "invoice number",
              "reference", "security code", "recovery phrase", "phone number", "name of the bank", "transaction hash"),
    "net": ("Harbour", "Reef", "Lantern", "Meridian", "Cobalt", "Juniper", "Saffron", "Tundra", "Basalt", "Orchid", "Falcon",
            "Glacier"),
    "wallet": ("spot", "funding", "margin", "futures", "earn", "vault", "custody", "card"),
    "company": (NAME, f"The {NAME} desk", f"The {NAME} risk team", f"{NAME} support", "Our settlement partner"),
    "digits": ("four", "six", "eight", "two", "five", "seven"),
}  # fmt: skip
_ONSETS = ("b", "br", "c", "d", "dr", "f", "fl", "g", "gl", "h", "j", "k", "kr", "l", "m", "n", "p", "pl", "qu", "r", "s", "sk",
           "st", "t", "tr", "v", "w", "z")  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "io", "ou")
_CODAS = ("", "l", "m", "n", "r", "s", "th", "x", "nd", "rt")
_NOUNS = ("Vault", "Desk", "Ladder", "Relay", "Ledger", "Gateway", "Pool", "Bridge", "Card", "Planner", "Shield", "Basket", "Stream",
          "Anchor", "Switch", "Mirror", "Signal", "Channel", "Register", "Locker")  # fmt: skip
_CATEGORY_NAMES = ("Getting started", "Deposits", "Withdrawals", "Identity checks", "Security", "Spot trading", "Margin", "Futures",
                   "Options", "Earn", "Loans", "Cards", "Tax", "Fees and limits", "API", "Sub-accounts", "Peer to peer", "Copy trading",
                   "Mobile app", "Legal")  # fmt: skip
_SLOT = re.compile(r"\{(\w+)\}")


class _Writer:
    """Writes one page's sentences: the same for the same draw."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._names = [f"{self._word()} {draw.choice(_NOUNS)}" for _ in range(14)]
        self._coins = [self._word() for _ in range(3)]

    def _word(self) -> str:
        pick = self._draw.choice
        return "".join(
            pick(_ONSETS) + pick(_VOWELS) + pick(_CODAS) for _ in range(self._draw.choice((2, 2, 3)))
        ).capitalize()

    def use(self, draw: random.Random) -> None:
        """Write on with another draw, under the same names."""
        self._draw = draw

    def write(self, template: str) -> str:
        """Fill a template's slots, and those that come in with what fills them."""
        while "{" in template:
            template = _SLOT.sub(self._fill, template)
        return template

    def _fill(self, found: re.Match[str]) -> str:
        slot, draw = found[1], self._draw
        match slot:
            case "feature":
                return self._names[0] if draw.random() < 0.3 else draw.choice(self._names)
            case "other":
                return draw.choice(self._names)
            case "coin":
                return draw.choice(self._coins)
            case "ticker":
                return draw.choice(self._coins)[:4].upper()
            case "amount":
                return f"{draw.randint(1, 99_999) / draw.choice((1, 10, 100, 1000)):g}"
            case "n":
                return str(draw.randint(2, 96))
        return draw.choice(_LISTS[slot])

    def sentence(self) -> str:
        """Write one sentence."""
        text = self.write("{opener}{clause}{tail}.")
        return text[0].upper() + text[1:]

    def paragraph(self) -> str:
        """Write three to five sentences."""
        return " ".join(self.sentence() for _ in range(self._draw.randint(3, 5)))


def _first_state(number: int, seed: int) -> _Page:
    draw = random.Random(f"{seed}:{number}:date")
    modified = BEGIN - timedelta(days=draw.randint(1, 700), minutes=draw.randint(0, 1400))
    slug = re.sub(r"[^a-z0-9]+", "-", _title(number, seed).lower()).strip("-")
    return _Page(number, f"/hc/{LANGUAGE}/articles/{360_000_000_000 + number * 7919}-{slug}", modified, modified)


def _writer(number: int, seed: int) -> tuple[_Writer, str]:
    writer = _Writer(random.Random(f"{seed}:{number}"))
    title = writer.write("{title}")
    return writer, title[0].upper() + title[1:]


def _title(number: int, seed: int) -> str:
    return _writer(number, seed)[1]


def _category_path(number: int) -> str:
    return f"/hc/{LANGUAGE}/categories/{number + 1}-{_CATEGORY_NAMES[number].lower().replace(' ', '-')}"


def _article_page(state: _Page, seed: int, pages: int) -> str:
    """Write a page: an article of 900 to 1,700 words, and what a help centre puts around it."""
    writer, title = _writer(state.number, seed)
    draw = random.Random(f"{seed}:{state.number}:layout")
    paragraphs = [writer.paragraph() for _ in range(draw.randint(13, 22))]
    steps = [writer.write("{step}") for _ in range(draw.randint(4, 9))] if draw.random() < 0.6 else []
    rows = [[writer.write(cell) for cell in _ROW] for _ in range(draw.randint(3, 8))] if draw.random() < 0.4 else []
    pairs = (
        [(writer.write("{question}"), writer.paragraph()) for _ in range(draw.randint(3, 6))]
        if draw.random() < 0.35
        else []
    )
    headings = [writer.write("{heading}") for _ in range(8)]
    for version in range(1, state.version + 1):
        newer = random.Random(f"{seed}:{state.number}:{version}")
        writer.use(newer)
        paragraphs[newer.randrange(len(paragraphs))] = writer.paragraph()
    body = _body(draw, paragraphs, headings, steps, rows, pairs)
    category = state.number % CATEGORIES
    links = "".join(
        f'<li><a href="{_first_state(other, seed).path}">{html.escape(_title(other, seed))}</a></li>'
        for other in sorted(draw.sample(range(pages), min(6, pages)))
    )
    published = _first_state(state.number, seed).modified - timedelta(days=30)
    return _PAGE % {
        "title": html.escape(title), "name": NAME, "path": state.path, "body": body, "links": links, "build": state.build,
        "category": html.escape(_CATEGORY_NAMES[category]), "category_path": _category_path(category),
        "day": f"{state.modified:%Y-%m-%d}", "nav": _NAV, "footer": _FOOTER, "style": _STYLE,
        "data": _json_ld(title, state, published.date(), pairs, _CATEGORY_NAMES[category]),
    }  # fmt: skip


_ROW = ("{feature}", "{amount} {ticker}", "{n} hours", "{net}")


def _body(
    draw: random.Random,
    paragraphs: list[str],
    headings: list[str],
    steps: list[str],
    rows: list[list[str]],
    pairs: list[tuple[str, str]],
) -> str:
    parts = [f"<p>{html.escape(paragraphs[0])}</p>"]
    rest = paragraphs[1:]
    names = list(dict.fromkeys(headings))
    per_section = -(-len(rest) // len(names))
    for number, name in enumerate(names):
        parts.append(f'<h2 id="h_{number:02d}">{html.escape(name)}</h2>')
        for paragraph in rest[number * per_section : (number + 1) * per_section]:
            text = html.escape(paragraph)
            parts.append(f'<div class="note"><p>{text}</p></div>' if draw.random() < 0.08 else f"<p>{text}</p>")
        if number == 1 and steps:
            parts.append("<ol>" + "".join(f"<li>{html.escape(step)}</li>" for step in steps) + "</ol>")
        if number == 3 and rows:
            head = "".join(f"<th>{cell}</th>" for cell in ("Feature", "Limit", "Time", "Network"))
            lines = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>")
    if pairs:
        parts.append('<h2 id="faq">Frequently asked questions</h2>')
        parts += [f"<h3>{html.escape(question)}</h3><p>{html.escape(answer)}</p>" for question, answer in pairs]
    return "\n".join(parts)


def _json_ld(title: str, state: _Page, published: date, pairs: list[tuple[str, str]], category: str) -> str:
    graph: list[dict[str, object]] = [
        {"@type": "Article", "headline": title, "datePublished": published.isoformat(),
         "dateModified": state.modified.isoformat(), "publisher": {"@type": "Organization", "name": NAME}},
        {"@type": "BreadcrumbList", "itemListElement": [
            {"@type": "ListItem", "position": 1, "name": "Help centre"},
            {"@type": "ListItem", "position": 2, "name": category}]},
    ]  # fmt: skip
    if pairs:
        entities = [
            {"@type": "Question", "name": question, "acceptedAnswer": {"@type": "Answer", "text": answer}}
            for question, answer in pairs
        ]
        graph.append({"@type": "FAQPage", "mainEntity": entities})
    return json.dumps({"@context": "https://schema.org", "@graph": graph}).replace("</", "<\\/")


def _listing(title: str, links: Sequence[tuple[str, str]]) -> bytes:
    items = "\n".join(f'<li><a href="{path}">{html.escape(name)}</a></li>' for path, name in links)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title} | {NAME}</title></head>\n'
        f"<body>{_NAV}<main><h1>{title}</h1><ul>\n{items}\n</ul></main>{_FOOTER}</body></html>\n"
    ).encode()


_NAV = (
    '<header class="header"><a class="logo" href="/"><img src="/logo.svg" alt="Quillmark"></a><nav><ul>'
    + "".join(f'<li><a href="{_category_path(n)}">{name}</a></li>' for n, name in enumerate(_CATEGORY_NAMES))
    + '</ul></nav><a href="/hc/search?query=fees">Search</a><a href="/hc/login">Sign in</a>'
    '<a href="/hc/requests/new">Submit a request</a></header>'
)
_FOOTER = (
    '<footer class="footer"><ul>'
    + "".join(f"<li>{name}</li>" for name in ("About us", "Careers", "Press", "Blog", "Terms of use", "Privacy", "Cookies",
                                              "Proof of reserves", "Institutional", "Referral", "Listing", "Status"))
    + "</ul><p>Trading digital assets carries risk. Prices move fast and you may lose all that you put in.</p>"
    "<p>© 2026 Quillmark. All rights reserved.</p></footer>"
)  # fmt: skip
_STYLE = "\n".join(
    f".qm-{name}{{margin:0 auto;padding:{n}px {2 * n}px;color:#2{n}334{n % 10};border-radius:{n}px;display:flex}}"
    for n, name in enumerate(("header", "hero", "search", "crumb", "side", "art", "body", "note", "vote", "share", "rel", "foot",
                              "btn", "card", "grid", "list", "form", "modal", "tab", "tip"))
)  # fmt: skip
_PAGE = """<!DOCTYPE html>
<html lang="en-US">
<head>
<meta charset="utf-8">
<title>%(title)s | %(name)s help centre</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="canonical" href="{site}%(path)s">
<meta property="og:title" content="%(title)s">
<style>%(style)s</style>
<script type="application/ld+json">%(data)s</script>
</head>
<body data-build="%(build)s">
<div class="cookie-banner"><p>We use cookies to count visits and to keep you signed in.</p><button>Accept all</button></div>
%(nav)s
<ul class="ticker"><li>VELN <b>12.4%(build)s</b> +1.2%%</li><li>ORSA <b>0.082</b> -3.4%%</li><li>KELD <b>431.07</b> +0.1%%</li></ul>
<nav class="breadcrumbs"><ol><li><a href="/">Help centre</a></li><li><a href="%(category_path)s">%(category)s</a></li></ol></nav>
<div class="container">
<aside class="sidebar"><h3>In this section</h3><ul>%(links)s</ul></aside>
<main role="main"><article class="article">
<header><h1>%(title)s</h1><div class="meta"><time datetime="%(day)s">Updated %(day)s</time></div></header>
<div class="article-body">
%(body)s
</div>
<footer class="article-votes"><span>Was this article helpful?</span><button>Yes</button><button>No</button>
<span>4%(build)s out of 61 found this helpful</span></footer>
<div class="share"><a href="#">Facebook</a><a href="#">X</a><a href="#">LinkedIn</a></div>
</article>
<section class="related"><h3>Related articles</h3><ul>%(links)s</ul></section>
</main></div>
%(footer)s
<script>window.qm = {build: %(build)s, page: "%(path)s", locale: "en-us", features: ["vote", "share", "chat"]};</script>
</body>
</html>
"""
