"""A help page with the widget on it, a desk of a few articles behind it, and what one who reads and types does with it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from browser import Reader
from conftest import make_home
from desk_client import LARGE, new_key
from live import live
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from service.answer import Answer, Citation, Notice, Related, Scope, Sentence
from service.api.events import event, events_of
from service.app import create_app
from service.server_settings import ServerSettings
from tests.site import Response, Site

#: A script that must never run, in the shapes in which an article could bring it.
HARM = "<img src=x onerror=\"document.title='harm'\"><script>document.title='harm'</script>"
BIDI = "\u202eevil\u202c \u2066x\u2069"
LONG_WORD = "x" * 10_000

DEPOSITS = {
    "How long does a bitcoin deposit take on Kelpex?":
        "A bitcoin deposit is credited on Kelpex after two confirmations, which takes about 20 minutes. "
        "A deposit below 0.0001 BTC is not credited until later deposits bring the sum above it.",
    "What happens if I forget the memo on Kelpex?":
        "Kelpex can return a deposit without its memo for a fee of 25 USDT. Send the transaction's id within 90 days.",
    "Can I deposit from a smart contract on Kelpex?":
        "Kelpex does not credit ether that a smart contract sends. Send it from an ordinary wallet.",
}  # fmt: skip
MEMO = "What happens if I forget the memo on Kelpex?"
HOSTILE = "What does the quuxfee of Zorblax cost?"


def articles(site: str) -> list[dict[str, object]]:
    """Give the articles; the first of them is the site's own page."""
    faq = "".join(f"<h2>{question}</h2><p>{answer}</p>" for question, answer in DEPOSITS.items())
    opening = "<p>Kelpex credits deposits around the clock, and each coin has rules of its own.</p>"
    rows = [
        ("deposits", f"{site}/help/deposits", "Deposits at Kelpex", "Kelpex", f"<h1>Deposits at Kelpex</h1>{opening}{faq}"),
        ("kelpex-withdrawals", "https://help.kelpex.example/withdrawals", "How Kelpex withdrawals work", "Kelpex",
         "<h1>How Kelpex withdrawals work</h1><p>Kelpex sends bitcoin withdrawals every ten minutes. A withdrawal to a new "
         "address waits for 24 hours on Kelpex. The Kelpex network fee for a bitcoin withdrawal is 0.0002 BTC.</p>"),
        ("mirador-withdrawals", "https://help.mirador.example/withdrawals", "How Mirador withdrawals work", "Mirador",
         "<h1>How Mirador withdrawals work</h1><p>Mirador sends bitcoin withdrawals once an hour. The Mirador network fee "
         "for a bitcoin withdrawal is 0.0005 BTC.</p>"),
        ("hostile", "https://help.zorblax.example/fees", f"Fees {HARM.replace('<', '&lt;')} {BIDI}", "Zorblax",
         f"<h1>Fees of Zorblax</h1><p>The quuxfee of Zorblax costs 3 USDT &lt;script&gt;document.title='harm'&lt;/script&gt; "
         f"&lt;img src=x onerror=document.title='harm'&gt; {BIDI}. javascript:alert(1) is no address.</p><p>{LONG_WORD}</p>"),
    ]  # fmt: skip
    names = ("id", "url", "title", "exchange", "html")
    return [{**dict(zip(names, row, strict=True)), "language": "en", "updated": "2026-05-01"} for row in rows]


def page_of(desk: str, key: str, *, head: str = "", body: str = "", lang: str = "en", attributes: str = "") -> str:
    """Write a help page with the widget on it."""
    script = f'<script src="{desk}/widget.js" data-key="{key}" {attributes} async></script>'
    text = "".join(f"<h2>{question}</h2><p>{answer}</p>" for question, answer in DEPOSITS.items())
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Deposits</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}</head>'
        f"<body><main><h1>Deposits at Kelpex</h1>{text}</main>{body}{script}</body></html>"
    )


class Served(NamedTuple):
    """A desk's address, the site on another origin that may use it, the text of the site's key, the desk's home."""

    desk: str
    site: Site
    key: str
    home: Path


@contextmanager
def desk_and_site(folder: Path, **settings: object) -> Iterator[Served]:
    """Run a desk and a site that may use it."""
    with Site() as site:
        source = folder / "articles.jsonl"
        source.write_text("\n".join(json.dumps(row) for row in articles(site.url)), encoding="utf-8")
        home = make_home(folder / "home", source, "minilm")
        key = new_key(home, "widget", (site.url,))
        with live(create_app(home, ServerSettings(**{**LARGE, **settings}))) as desk:
            yield Served(desk, site, key, home)


def made_citation(number: int, quote: str, **given: object) -> Citation:
    fields = {
        "url": "https://help.example/a#:~:text=a", "exchange": "Kelpex", "trust": "official", "updated": "2026-03-12",
        "title": "An article", "article_id": "a", "passage_id": "a#0",
    } | given  # fmt: skip
    return Citation(number=number, quote=quote, start=0, end=len(quote), **fields)


def made_answer(citations: Sequence[Citation] = (), **given: object) -> Answer:
    """Make an answer of one sentence a citation."""
    sentences = tuple(Sentence(citation.quote, (citation.number,)) for citation in citations)
    fields = {
        "status": "answered", "text": "", "scope": Scope(("Kelpex",), (), "corpus"), "notices": (), "related": (),
        "id": "a_made",
    } | given  # fmt: skip
    return Answer(sentences=sentences, citations=tuple(citations), confidence=0.8, snapshot_id="s", **fields)


class Widget(Reader):
    """The widget as one who reads and types sees it."""

    # ---- the page

    def show(
        self, url: str, *, width: int = 1280, height: int = 800, scheme: str = "light", touch: bool = False
    ) -> None:
        """Open a page and wait for the button."""
        self.network()
        self.screen(width, height, touch=touch)
        self.media(scheme)
        self.driver.get(url)
        self.wait(lambda: self.all(".root"))

    def script(self, code: str, *arguments: object):
        """Run a script in which ``root`` is the widget's shadow root."""
        return self.driver.execute_script(
            f"const root = document.querySelector('citedesk-chat')?.shadowRoot; {code}", *arguments
        )

    # ---- what is in it

    def all(self, selector: str) -> list[WebElement]:
        return self.script("return [...(root?.querySelectorAll(arguments[0]) ?? [])]", selector)

    def one(self, selector: str) -> WebElement:
        return self.wait(lambda: next((each for each in self.all(selector) if each.is_displayed()), None))

    def text(self, selector: str) -> str:
        """Give the text of what is in sight there; what is drawn anew in between is looked for again."""
        return self.wait(lambda: [self.one(selector).text])[0]

    def said(self) -> list[str]:
        """Give what was said to who listens, piece by piece."""
        return self.script("return [...root.querySelectorAll('[role=status] p')].map((p) => p.textContent)")

    def focused(self, selector: str) -> bool:
        return self.script("return !!root.activeElement?.matches(arguments[0])", selector)

    # ---- what one does

    def open(self) -> None:
        self.one(".launch").click()
        self.wait(lambda: self.all(".panel:not([hidden])"))

    def ask(self, question: str) -> str:
        """Type a question, send it, wait for what comes, give its text."""
        turns = len(self.all(".turn"))
        self.one("textarea").send_keys(question + Keys.ENTER)
        self.wait(lambda: len(self.all(".turn")) > turns)
        return self.reply()

    def reply(self) -> str:
        self.wait(lambda: self.all(".turn:last-child .reply > *") and not self.all(".turn:last-child .reading"))
        self.wait(lambda: self.all(".turn:last-child :is(.tools, .problem, .chip)"))
        return self.text(".turn:last-child .reply")

    def answer_next(self, answer: Answer) -> None:
        """Have the next question answered so: for what the desk holds no example of."""
        reading = event("status", {"id": answer.id, "status": "reading", "exchanges": [], "language": "en"})
        self.respond_next(b"".join([reading, *events_of(answer)]).decode())

    def respond_next(self, body: str, status: int = 200, **headers: str) -> None:
        """Have the next question responded to so."""
        self.script(
            "const real = window.fetch, [body, status, headers] = arguments;"
            "window.fetch = async (url, given) => {"
            "  if (!String(url).endsWith('/questions')) return real(url, given);"
            "  window.fetch = real; return new Response(body, { status, headers });"
            "}",
            body, status, {name.replace("_", "-"): value for name, value in headers.items()},
        )  # fmt: skip


__all__ = [
    "BIDI", "DEPOSITS", "HARM", "HOSTILE", "LONG_WORD", "MEMO", "By", "Keys", "Notice", "Related", "Response", "Scope", "Served",
    "Widget", "desk_and_site", "made_answer", "made_citation", "page_of",
]  # fmt: skip
