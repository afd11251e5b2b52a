"""Pictures of the widget in eight states, on a desktop in light and on a phone in the dark.

PYTHONPATH=. .venv/bin/python tests/widget_pictures.py docs/widget
"""

import sys
import tempfile
from pathlib import Path

from browser import chromium
from widget_page import (
    MEMO,
    Notice,
    Response,
    Scope,
    Widget,
    desk_and_site,
    made_answer,
    made_citation,
    page_of,
)

STYLE = """<style>
body { margin: 0; font: 17px/1.6 system-ui, sans-serif; color: #23272b; background: #f4f3ef; }
main { max-width: 40rem; margin: 3rem auto; padding: 0 1.25rem; } h1 { font-size: 2rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin-top: 2rem; }
@media (prefers-color-scheme: dark) { body { background: #0f1214; color: #d9d6cf; } }
</style>"""
SEED = "abandon " * 11 + "about"
SCREENS = {"desktop-light": (1280, 800, 1), "phone-dark": (390, 844, 2)}
OKX, KRAKEN = "Yes, on OKX an account can fall below zero.", "No, on Kraken a position is closed before that."


def by_exchange():
    cited = (
        made_citation(1, OKX, exchange="OKX"),
        made_citation(
            2, "The insurance fund takes over what is left, as long as it lasts.", exchange="OKX", passage_id="b"
        ),
        made_citation(3, KRAKEN, exchange="Kraken"),
    )
    return made_answer(cited, scope=Scope(("OKX", "Kraken"), ("Futures",), "corpus"))


def disagreeing():
    cited = (
        made_citation(
            1, "A withdrawal to a new address waits for 24 hours.", title="Withdrawals", updated="2026-05-01"
        ),
        made_citation(
            2,
            "A withdrawal to a new address waits for 48 hours.",
            title="Coin guide: withdrawing from Kelpex",
            trust="aggregator",
            article_id="b",
            updated="2023-01-09",
        ),
    )
    notice = Notice("sources_disagree", "The cited pages disagree; the more official and newer one stands first.")
    return made_answer(cited, notices=(notice,))


def states(widget: Widget):
    """Go through the states; give the name of each when it is there."""
    yield "1-closed"
    widget.open()
    widget.wait(lambda: widget.all(".often .row"))
    yield "2-open"
    widget.ask(MEMO)
    yield "3-answer"
    widget.one(".mark").click()
    widget.wait(lambda: widget.all(".source mark.rest"))
    yield "4-source"
    widget.answer_next(by_exchange())
    widget.ask("Can my account go below zero after a liquidation?")
    yield "5-exchanges"
    widget.answer_next(disagreeing())
    widget.ask("How long does a withdrawal to a new address wait?")
    yield "6-disagree"
    widget.ask("Does Kraken have a dark pool?")
    yield "7-not-covered"
    widget.ask(f"{SEED}: how many confirmations before a bitcoin deposit is credited on Kelpex?")
    widget.wait(lambda: "[seed phrase]" in widget.text(".turn:last-child .asked"))
    yield "8-secret"


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryDirectory() as profile,
        desk_and_site(Path(home)) as (desk, site, key, _),
        chromium(Path(profile), "--hide-scrollbars") as driver,
    ):
        page = page_of(desk, key, head=STYLE, attributes='data-contact="mailto:help@kelpex.example"')
        site.pages |= {"/help/deposits": page, "/favicon.ico": Response(204)}
        widget = Widget(driver)
        for screen, (width, height, scale) in SCREENS.items():
            device, scheme = screen.split("-")
            given = {"width": width, "height": height, "scheme": scheme, "touch": device == "phone"}
            widget.show(f"{site.url}/help/deposits", **given)
            widget.script("sessionStorage.clear()")
            widget.show(f"{site.url}/help/deposits", **given)
            widget.screen(width, height, scale=scale, touch=device == "phone")
            for state in states(widget):
                driver.save_screenshot(str(folder / f"{screen}-{state}.png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
