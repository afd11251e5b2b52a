"""The chat widget in a real browser, on a page of one origin, in front of a real desk on another."""

import json
import os
from collections.abc import Iterator

import pytest
from browser import browser as browser
from conftest import ROOT
from desk_client import LARGE, new_key
from live import live
from widget_page import (
    DEPOSITS,
    HARM,
    HOSTILE,
    MEMO,
    By,
    Keys,
    Notice,
    Related,
    Response,
    Scope,
    Served,
    Widget,
    desk_and_site,
    made_answer,
    made_citation,
    page_of,
)  # fmt: skip

from service.app import create_app
from service.server_settings import ServerSettings
from service.widget_cli import snippet

AXE = ROOT / "service" / "widget" / "node_modules" / "axe-core" / "axe.min.js"
SEED = "abandon " * 11 + "about"
FEES = "What is the network fee for a bitcoin withdrawal?"
CONTACT = 'data-contact="mailto:help@kelpex.example"'
WATCH = """
window.violations = []; window.problems = [];
addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective + ' ' + event.blockedURI));
addEventListener('error', (event) => problems.push(event.message));
addEventListener('unhandledrejection', (event) => problems.push(String(event.reason)));
window.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((e) => { shift += e.value }))
  .observe({ type: 'layout-shift', buffered: true });
"""
BLOCKED = """
for (const name of ['sessionStorage', 'localStorage']) {
  Object.defineProperty(window, name, { get() { throw new DOMException('blocked', 'SecurityError') } });
}
"""
HOSTILE_CSS = """
*, *::before, *::after { all: unset !important; }
citedesk-chat { display: none !important; opacity: 0 !important; visibility: hidden !important; transform: scale(0) !important;
  pointer-events: none !important; position: static !important; z-index: -1 !important; font-size: 1px !important; }
html { font-size: 3px !important; } button, mark { color: red !important; letter-spacing: 9px; }
"""

THEME = """
citedesk-chat { --citedesk-accent-dark: rgb(1, 2, 3); --citedesk-radius: 3px; }
citedesk-chat::part(button) { border-radius: 7px; }
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with desk_and_site(tmp_path_factory.mktemp("desk")) as served:
        desk, site, key, home = served
        policy = (
            f"default-src 'self'; script-src 'self' {desk}; connect-src {desk}; object-src 'none'; base-uri 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        head = '<script src="/watch.js"></script>'
        site.pages |= {
            "/watch.js": Response(body=WATCH, content_type="text/javascript"),
            "/blocked.js": Response(body=BLOCKED, content_type="text/javascript"),
            "/help/deposits": page_of(desk, key, head=head, attributes=CONTACT),
            "/strict": Response(
                body=page_of(desk, key, head=head, attributes=CONTACT), headers={"Content-Security-Policy": policy}
            ),
            "/unset": page_of(desk, key, head=f"{head}<style>{HOSTILE_CSS}</style>", attributes=CONTACT),
            "/blocked": page_of(desk, key, head='<script src="/blocked.js"></script>'),
            "/arabic": page_of(desk, key, lang="ar"),
            "/german": page_of(desk, key, lang="de-AT"),
            "/wrong": page_of(desk, "cdw_" + "A" * 43),
            "/foreign": page_of(desk, new_key(home, "widget", ("https://elsewhere.example",))),
            "/other": page_of(desk, key, attributes=CONTACT),
            "/inline": page_of(
                desk, "", body=f'<citedesk-chat data-key="{key}" data-exchange="Kelpex"></citedesk-chat>'
            ),
            "/pinned": page_of(desk, "").replace("</body>", f"{snippet(desk, key)}</body>"),
            "/themed": page_of(
                desk, key, head=f"<style>{THEME}</style>", attributes='data-theme="dark" data-position="left"'
            ),
            "/favicon.ico": Response(204),
        }
        yield served


@pytest.fixture
def at(served, browser):
    """Go to a page as one who was never there."""
    site = served.site

    def go(path: str = "/help/deposits", **given: object) -> Widget:
        widget = Widget(browser)
        if browser.current_url.startswith(site.url):
            widget.script("try { sessionStorage.clear() } catch {}")  # what the test before left there
        widget.show(f"{site.url}{path}", **given)
        return widget

    return go


# ---- a conversation


def test_a_question_of_the_page_is_asked_and_its_source_is_read_in_place(at) -> None:
    widget = at()
    widget.open()
    offered = widget.wait(lambda: [row.text for row in widget.all(".often .row")])
    assert offered == list(DEPOSITS)
    next(row for row in widget.all(".often .row") if row.text == MEMO).click()
    widget.reply()
    assert widget.text(".asked") == MEMO
    assert widget.focused(".asked")
    assert widget.text(".lead .said") == "Kelpex can return a deposit without its memo for a fee of 25 USDT.1"
    mark = widget.one(".lead .mark")
    assert mark.get_attribute("aria-expanded") == "false"
    mark.click()
    source = widget.one(".source")
    assert mark.get_attribute("aria-expanded") == "true"
    assert mark.get_attribute("aria-controls") == source.get_attribute("id")
    assert widget.text(".source mark:not(.rest)") == DEPOSITS[MEMO].split(". ")[0] + "."
    assert widget.text(".source mark.rest").strip() == "Send the transaction's id within 90 days."
    assert "Deposits at Kelpex" in source.text
    assert "Not an official page" in source.text
    assert "Kelpex · Dated May 1, 2026" in source.text
    link = source.find_element(By.TAG_NAME, "a")
    assert "#:~:text=Kelpex%20can%20return" in link.get_attribute("href")
    assert (link.get_attribute("rel"), link.get_attribute("target")) == ("noopener", "_blank")
    mark.click()
    assert not source.is_displayed()


def test_a_follow_up_is_typed_and_the_conversation_goes_on_after_a_reload_until_it_is_cleared(at) -> None:
    widget = at()
    widget.open()
    widget.ask(MEMO)
    widget.ask("and how long does a bitcoin deposit take?")
    shown = [turn.text for turn in widget.all(".turn")]
    widget.driver.refresh()
    widget.wait(lambda: len(widget.all(".turn .tools")) == 2)
    assert [turn.text for turn in widget.all(".turn")] == shown
    assert not widget.focused("textarea")
    widget.one("[aria-label='Clear the conversation']").click()
    assert widget.text(".hello") == "What do you want to know?"
    assert widget.focused("textarea")
    widget.driver.refresh()
    widget.wait(lambda: widget.all(".often .row"))
    assert not widget.all(".turn")


def test_what_is_typed_is_looked_up_and_a_question_is_taken_with_the_keyboard(at) -> None:
    widget = at()
    widget.open()
    widget.one("textarea").send_keys("memo")
    widget.wait(lambda: widget.all(".list:not([hidden]) .row"))
    assert [row.text for row in widget.all(".list .row")] == [MEMO]
    widget.press(Keys.ARROW_UP)
    assert widget.focused("textarea")
    widget.press(Keys.ENTER)
    widget.reply()
    assert widget.text(".asked") == MEMO
    assert widget.one("textarea").get_property("value") == ""


def test_a_suggestion_is_taken_with_a_press_and_the_list_ends_when_one_goes_elsewhere(at) -> None:
    widget = at(width=390, height=844, touch=True)
    widget.open()
    widget.one("textarea").send_keys("memo")
    widget.wait(lambda: widget.all(".list:not([hidden]) .row"))
    widget.one(".scroll").click()
    assert not widget.all(".list:not([hidden])")
    widget.one("textarea").send_keys(" kelpex")
    widget.wait(lambda: widget.all(".list:not([hidden]) .row"))
    row = widget.all(".list .row")[-1]
    suggested = row.text
    row.click()
    widget.reply()
    assert widget.text(".asked") == suggested in DEPOSITS
    assert not widget.all(".list:not([hidden])")


@pytest.mark.parametrize("typed", [SEED, "L5oLkpV3aqBjhki6LmvChTCq73v9gyymzzMpBbhDLjDpKCtAXpvH"])
def test_a_secret_is_taken_back_and_warned_of_and_was_not_looked_up_while_it_was_typed(served, at, typed) -> None:
    widget = at()
    widget.open()
    widget.ask(f"{typed} what fee does Kelpex take for a withdrawal?")
    assert typed.split()[-1] not in widget.text(".asked")
    assert typed not in widget.script("return root.textContent")
    assert "does Kelpex take for a withdrawal?" in widget.text(".asked")
    assert "Nobody who helps you needs it." in widget.text(".secret")
    names = widget.script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in names if "/suggest" in name and "q=&" not in name and len(name.split("q=")[1]) > 60] == []
    assert typed not in str(widget.script("return JSON.stringify({ ...sessionStorage })"))


def test_an_exchange_that_is_asked_back_for_is_chosen_and_kept_until_it_is_let_go(at) -> None:
    widget = at("/other")
    widget.open()
    assert "Which exchange do you mean?" in widget.ask(FEES)
    chips = widget.all(".reply .chip")
    assert [chip.text for chip in chips] == ["Kelpex", "Mirador"]
    chips[1].click()
    assert "0.0005 BTC" in widget.reply()
    assert "0.0002" not in widget.text(".turn:last-child")
    assert widget.text(".bound") == "Only Mirador"
    widget.one(".bound button").click()
    assert not widget.all(".bound button")
    assert widget.focused("textarea")


def test_not_covered_is_said_with_the_nearest_articles_and_the_way_to_a_human(at) -> None:
    widget = at()
    widget.open()
    shown = widget.ask("Does Kraken have a dark pool?")
    assert "The help articles do not say" in shown
    assert "There are no help articles about Kraken." in shown
    assert "How Mirador withdrawals work" in shown
    human = widget.one(".reply .human")
    assert (human.text, human.get_attribute("href")) == ("Talk to a human", "mailto:help@kelpex.example")
    assert not widget.all(".mark")


def test_a_page_that_listens_for_it_is_handed_the_conversation(at) -> None:
    widget = at()
    widget.script("window.told = []; citedesk.on('escalate', (detail) => told.push(detail))")
    widget.open()
    widget.ask("Does Kraken have a dark pool?")
    widget.one(".reply button.human").click()
    told = widget.script("return told")
    assert [turn["question"] for turn in told[0]["turns"]] == ["Does Kraken have a dark pool?"]
    assert told[0]["turns"][0]["status"] == "not_covered"
    assert told[0]["conversation"]


def test_answers_that_differ_by_exchange_are_tabs_that_arrow_keys_move_between(at) -> None:
    widget = at()
    widget.open()
    cited = (
        made_citation(1, "Yes, at OKX.", exchange="OKX"),
        made_citation(2, "No, not at Kraken.", exchange="Kraken"),
    )
    widget.answer_next(made_answer(cited, scope=Scope(("OKX", "Kraken"), (), "corpus")))
    widget.ask("can it go below zero?")
    tabs = widget.all("[role=tab]")
    assert [tab.text for tab in tabs] == ["OKX", "Kraken"]
    assert "Yes, at OKX." in widget.text("[role=tabpanel]:not([hidden])")
    assert widget.said()[1:] == ["OKX: Yes, at OKX.", "Kraken: No, not at Kraken."]
    tabs[0].send_keys(Keys.ARROW_RIGHT)
    assert widget.focused("[role=tab][aria-selected=true]")
    assert widget.text("[role=tabpanel]:not([hidden])").startswith("No, not at Kraken.")


def test_sources_that_disagree_stand_side_by_side_with_how_official_they_are(at) -> None:
    widget = at()
    widget.open()
    cited = (
        made_citation(1, "A new address waits for 24 hours."),
        made_citation(2, "A new address waits for 48 hours.", trust="aggregator", article_id="b", title="Another"),
    )
    notice = Notice("sources_disagree", "The cited pages disagree; the more official and newer one stands first.")
    widget.answer_next(made_answer(cited, notices=(notice,)))
    widget.ask("how long does it wait?")
    one, other = widget.all(".side")
    assert one.location["y"] == other.location["y"]
    assert one.location["x"] < other.location["x"]
    assert one.text.startswith("Official page\nA new address waits for 24 hours.")
    assert other.text.startswith("Aggregator, not official\nA new address waits for 48 hours.")
    assert notice.message in widget.text(".notices")


def test_steps_items_and_table_rows_are_shown_as_what_they_are(at) -> None:
    widget = at()
    widget.open()
    texts = (
        "Do this.",
        "2. Press Lock.",
        "3. Wait.",
        "- An item",
        "Size: 5 BTC | Cap: 125x",
        "Size: 20 BTC | Cap: 50x",
        "Spot | Set by: A",
    )
    widget.answer_next(made_answer([made_citation(number, text) for number, text in enumerate(texts, 1)]))
    widget.ask("how?")
    assert [item.get_attribute("value") for item in widget.all("ol li")] == ["2", "3"]
    assert widget.all("ol li")[0].text.startswith("Press Lock.")
    assert widget.text(".block > ul li").startswith("An item")
    table, record = widget.all("table")
    assert [cell.text for cell in table.find_elements(By.TAG_NAME, "th")] == ["Size", "Cap"]
    assert [cell.text for cell in record.find_elements(By.TAG_NAME, "th")] == ["Set by"]
    assert len(widget.all(".mark")) == len(texts)


def test_an_answer_is_rated_with_a_reason_and_copied_with_its_sources(at) -> None:
    widget = at()
    widget.open()
    widget.ask(MEMO)
    widget.one("[aria-label='This did not help']").click()
    assert widget.focused(".field")
    widget.one(".field").send_keys("It is about another coin." + Keys.ENTER)
    widget.wait(lambda: widget.text(".why") == "Thank you.")
    assert widget.one("[aria-label='This did not help']").get_attribute("aria-pressed") == "true"
    widget.script("window.copied = ''; navigator.clipboard.writeText = async (text) => { copied = text }")
    widget.one("[aria-label='Copy with sources']").click()
    widget.wait(lambda: widget.text(".why") == "Copied.")
    copied = widget.script("return copied")
    assert copied.startswith("Kelpex can return a deposit without its memo for a fee of 25 USDT. [1]\n")
    assert "[1] Deposits at Kelpex (Kelpex, Not an official page, 2026-05-01)\nhttp" in copied


# ---- when something is wrong


def test_a_question_that_is_too_long_is_said_and_kept(at) -> None:
    widget = at()
    widget.open()
    # 𝄞 is one character for the desk, and two for JavaScript's length.
    fill = "const f = root.querySelector('textarea'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))"
    widget.script(fill, "what 𝄞 fee?" + "x" * 1990)
    widget.one("textarea").send_keys(Keys.ENTER)
    assert widget.text(".bound") == "2000 characters at most."
    assert not widget.all(".turn")
    widget.script(fill, "what 𝄞 fee?" + "x" * 1989)
    widget.one("textarea").send_keys(Keys.ENTER)
    assert "not set up" not in widget.reply()
    assert len(widget.all(".turn")) == 1


def test_too_many_questions_say_when_to_come_back_and_can_be_asked_again_then(at) -> None:
    widget = at()
    widget.open()
    widget.respond_next(json.dumps({"detail": "Too many"}), 429, Retry_After="2")
    shown = widget.ask(MEMO)
    assert "Ask again in 2 s." in shown
    assert not [chip for chip in widget.all(".reply .chip") if chip.is_displayed()]
    widget.wait(lambda: "You can ask again now." in widget.text(".problem"))
    widget.one(".reply .chip").click()
    assert "25 USDT" in widget.reply()
    assert len(widget.all(".turn")) == 1


def test_offline_is_said_and_the_question_is_asked_again_when_one_is_back(at) -> None:
    widget = at()
    widget.open()
    widget.network(offline=True)
    assert "You are offline." in widget.ask(MEMO)
    widget.network()
    widget.wait(lambda: widget.all(".tools"))
    assert "25 USDT" in widget.reply()
    assert len(widget.all(".turn")) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [('event: status\ndata: {"id": "a", "status": "reading"}\n\n', 200), ("{}", 503), ("<html>", 502), ('event: error\ndata: {"status": 500}\n\n', 200)],
)  # fmt: skip
def test_a_desk_that_is_down_or_breaks_off_is_said_and_can_be_asked_again(at, body, status) -> None:
    widget = at()
    widget.open()
    widget.respond_next(body, status)
    assert "cannot be reached" in widget.ask(MEMO)
    assert widget.one(".reply .human").text == "Talk to a human"
    widget.one(".reply .chip").click()
    assert "25 USDT" in widget.reply()


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_does_not_hold_for_the_page_is_said_kindly(at, status) -> None:
    widget = at()
    widget.open()
    widget.respond_next('{"detail": "This key does not hold for this page."}', status)
    assert "not set up for this page" in widget.ask(MEMO)
    assert not [chip for chip in widget.all(".reply .chip") if chip.is_displayed()]
    assert widget.one(".reply .human")


def warned(widget: Widget) -> list[str]:
    """Give what stands on the console for whoever runs the page, since it was asked last."""
    return [entry["message"] for entry in widget.driver.get_log("browser") if "citedesk:" in entry["message"]]


@pytest.mark.parametrize(
    ("page", "said"),
    [("/wrong", "401 This key is not known here"), ("/foreign", "403 This key does not hold for http://127.0.0.1")],
)
def test_a_key_that_the_desk_refuses_is_told_from_a_dead_desk_and_why_stands_on_the_console(at, page, said) -> None:
    widget = at(page)
    warned(widget)
    widget.open()
    assert "not set up for this page" in widget.ask(MEMO)
    told = warned(widget)
    assert told
    assert all(said in message for message in told)


def test_a_page_of_an_origin_that_no_key_holds_for_is_told_so(served, browser) -> None:
    widget = Widget(browser)
    widget.show(f"{served.site.url.replace('127.0.0.1', 'localhost')}/help/deposits")
    warned(widget)
    widget.open()
    assert "not set up for this page" in widget.ask(MEMO)
    assert "403 This key does not hold for http://localhost" in warned(widget)[0]
    widget.script("sessionStorage.clear()")


def test_too_many_questions_for_a_real_desk_say_when_to_come_back(served, at) -> None:
    with live(create_app(served.home, ServerSettings(**{**LARGE, "client_per_minute": 1}))) as desk:
        served.site.pages["/limited"] = page_of(desk, served.key)
        widget = at("/limited")
        warned(widget)
        widget.open()
        assert "25 USDT" in widget.ask(MEMO)
        assert "That was a lot at once. Ask again in" in widget.ask("How long does a bitcoin deposit take on Kelpex?")
        assert ["429 Too many requests" in message for message in warned(widget)] == [True]


def test_a_desk_that_is_busy_says_when_to_come_back(at) -> None:
    widget = at()
    widget.open()
    widget.respond_next(json.dumps({"detail": "Too many questions at once"}), 503, Retry_After="1")
    assert "The help desk is busy just now. Ask again in 1 s." in widget.ask(MEMO)
    widget.wait(lambda: "You can ask again now." in widget.text(".problem"))
    widget.one(".reply .chip").click()
    assert "25 USDT" in widget.reply()


def test_a_conversation_that_the_desk_no_longer_has_is_begun_anew(at) -> None:
    widget = at()
    widget.open()
    widget.ask(MEMO)
    widget.respond_next("{}", 404)
    assert "20 minutes" in widget.ask("How long does a bitcoin deposit take on Kelpex?")


# ---- any page


def test_nothing_is_asked_for_and_nothing_moves_before_it_is_opened(served, at) -> None:
    desk = served.desk
    widget = at()
    names = widget.script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in names if name.startswith(desk)] == [f"{desk}/widget.js"]
    assert widget.script("return shift") == 0
    widget.open()
    widget.ask(MEMO)
    assert widget.script("return shift") == 0
    assert widget.script("return document.cookie") == ""


def test_it_works_under_a_strict_policy_and_trusted_types(at) -> None:
    widget = at("/strict")
    widget.open()
    assert "25 USDT" in widget.ask(MEMO)
    widget.one(".mark").click()
    assert (
        "marker"
        in widget.script("return getComputedStyle(root.querySelector('.source mark')).backgroundColor") + "marker"
    )
    assert widget.one(".panel").value_of_css_property("position") == "fixed"
    widget.one("[aria-label='This helped']").click()
    widget.wait(lambda: widget.text(".why") == "Thank you.")
    assert widget.script("return [violations, problems]") == [[], []]


def test_a_page_that_unsets_every_style_changes_no_style_and_no_place_of_it(at) -> None:
    code = (
        "return [...root.querySelectorAll('*')].map((e) => {"
        "  const { x, y, width, height } = e.getBoundingClientRect();"
        "  const style = getComputedStyle(e), values = [...style].map((name) => name + ': ' + style.getPropertyValue(name));"
        "  return [e.tagName, x, y, width, height, ...values].join('; ');"
        "})"
    )
    seen = []
    for path in ("/help/deposits", "/unset"):
        widget = at(path)
        closed = widget.script(code)
        widget.open()
        widget.ask(MEMO)
        widget.one(".mark").click()
        widget.wait(lambda widget=widget: widget.all(".source mark.rest"))
        seen.append([*closed, *widget.script(code)])
    assert len(seen[0]) > 80
    assert all(len(style) > 1000 for style in seen[0])
    assert [(one, other) for one, other in zip(*seen, strict=True) if one != other] == []


def test_a_tag_with_an_integrity_hash_runs_the_file_that_it_names(at) -> None:
    widget = at("/pinned")
    widget.open()
    assert "25 USDT" in widget.ask(MEMO)
    assert widget.script("return document.querySelector('script[integrity]').integrity").startswith("sha384-")


def test_a_page_gives_it_its_own_colours_and_shapes(at) -> None:
    widget = at("/themed")
    button = widget.one(".launch")
    assert button.location["x"] == 20
    assert button.value_of_css_property("background-color") == "rgba(1, 2, 3, 1)"
    assert button.value_of_css_property("border-radius") == "7px"
    widget.open()
    assert widget.one(".panel").value_of_css_property("border-radius") == "3px"
    assert widget.one(".panel").value_of_css_property("background-color") == "rgba(26, 30, 34, 1)"


def test_the_widget_changes_nothing_of_the_page(at) -> None:
    widget = at()
    code = "return [document.head.innerHTML, document.querySelector('main').outerHTML, getComputedStyle(document.body).cssText]"
    before = widget.script(code)
    widget.open()
    widget.ask(MEMO)
    assert widget.script(code) == before
    assert widget.script("return document.styleSheets.length + document.adoptedStyleSheets.length") == 0


def test_an_article_full_of_harm_is_text_and_breaks_nothing(at) -> None:
    widget = at(width=390, height=844)
    widget.open()
    shown = widget.ask(HOSTILE)
    assert "<script>document.title='harm'</script>" in shown
    widget.one(".mark").click()
    assert "<script>" in widget.text(".source blockquote")
    cited = (
        made_citation(1, HARM, url="javascript:document.title='harm'", title=HARM),
        made_citation(2, "x" * 10_000, url="file:///etc/passwd", exchange=HARM),
        made_citation(3, "\u202eabc", url="data:text/html,<script>1</script>"),
    )
    related = (Related("a", "javascript:document.title='harm'", HARM, HARM),)
    widget.answer_next(made_answer(cited, related=related, scope=Scope((HARM,), (), "corpus")))
    widget.ask(HARM)
    widget.script("root.querySelectorAll('.mark').forEach((mark) => mark.click())")
    assert not widget.all("img, script, iframe, style")
    links = [link.get_attribute("href") for link in widget.all(".reply a")]
    assert [link for link in links if not link.startswith(("http://", "https://", "mailto:"))] == []
    assert widget.script("const s = root.querySelector('.scroll'); return s.scrollWidth - s.clientWidth") <= 0
    assert widget.driver.title == "Deposits"


def test_blocked_storage_ends_the_conversation_with_the_page_and_nothing_else(at) -> None:
    widget = at("/blocked")
    widget.open()
    assert "25 USDT" in widget.ask(MEMO)
    widget.driver.refresh()
    widget.wait(lambda: widget.all(".launch"))
    assert not widget.all(".turn")


def test_an_element_in_the_page_is_a_chat_without_a_button_and_bound_to_its_exchange(at) -> None:
    widget = at("/inline")
    assert not widget.all(".launch")
    assert widget.one(".panel").get_attribute("role") == "region"
    assert "0.0002 BTC" in widget.ask(FEES)
    assert widget.text(".bound") == "Only Kelpex"


def test_the_page_talks_to_it(at) -> None:
    widget = at()
    widget.script(
        "window.told = []; for (const name of ['open', 'close', 'question', 'answer']) citedesk.on(name, () => told.push(name));"
        "citedesk.ask(arguments[0]).then((answer) => { window.answer = answer })",
        MEMO,
    )
    widget.wait(lambda: widget.script("return window.answer?.status") == "answered")
    widget.script("citedesk.setExchange('Mirador'); citedesk.setLanguage('de')")
    widget.wait(lambda: widget.text(".bound") == "Nur Mirador")
    assert len(widget.all(".turn .tools")) == 1
    widget.script("citedesk.close()")
    assert widget.script("return told") == ["open", "question", "answer", "close"]
    assert not [panel for panel in widget.all(".panel") if panel.is_displayed()]


# ---- everyone


def test_all_of_it_works_with_the_keyboard_alone(at) -> None:
    widget = at()
    widget.tab_to(".launch")
    widget.press(Keys.ENTER)
    widget.wait(lambda: widget.focused("textarea"))
    widget.press(MEMO + Keys.ENTER)
    widget.reply()
    widget.tab_to(".mark", backwards=True)
    widget.press(Keys.ENTER)
    assert widget.one(".source")
    widget.tab_to(".source a")
    widget.press(Keys.ESCAPE)
    assert widget.focused(".mark")
    assert not [source for source in widget.all(".source") if source.is_displayed()]
    widget.tab_to("[aria-label='This helped']")
    widget.press(Keys.SPACE)
    widget.wait(lambda: widget.text(".why") == "Thank you.")
    widget.press(Keys.ESCAPE)
    assert widget.focused(".launch")
    assert not [panel for panel in widget.all(".panel") if panel.is_displayed()]


def test_whole_sentences_are_said_once_each(at) -> None:
    widget = at()
    widget.open()
    widget.ask(MEMO)
    said = widget.said()
    assert said[0] == "Reading the help articles…"
    for sentence in (
        "Kelpex can return a deposit without its memo for a fee of 25 USDT.",
        "Send the transaction's id within 90 days.",
    ):
        assert said.count(sentence) == 1
    assert [
        live.get_attribute("aria-atomic") for live in widget.all("[aria-live], [role=status], [role=alert], [role=log]")
    ] == ["false"]
    assert widget.all(".panel [role=status]")  # what is outside a modal dialog is not read


def spoken(widget: Widget) -> list[dict]:
    """Give what a screen reader is told of each element: its role, its name, its properties, with the names of what they point to."""
    nodes = widget.command("Accessibility.getFullAXTree")["nodes"]
    names = {node.get("backendDOMNodeId"): node.get("name", {}).get("value", "") for node in nodes}

    def value(given: dict) -> object:
        related = given.get("relatedNodes", [])
        return [names.get(each["backendDOMNodeId"], "") for each in related] if related else given.get("value")

    return [
        {"role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
        | {each["name"]: value(each["value"]) for each in node.get("properties", [])}
        for node in nodes
        if not node["ignored"]
    ]


def test_a_screen_reader_is_told_what_is_suggested_and_which_suggestion_is_chosen(at) -> None:
    widget = at()
    widget.open()
    widget.one("textarea").send_keys("kelpex")
    widget.wait(lambda: widget.all(".list:not([hidden]) .row"))
    assert widget.said()[-1] == "Suggested questions: 3. The arrow keys choose one."

    def told() -> tuple[dict, list[dict]]:
        nodes = spoken(widget)
        field = next(node for node in nodes if node["role"] == "textbox")
        return field, [node for node in nodes if node["role"] == "option"]

    field, options = told()
    assert (field["name"], field["autocomplete"], field["hasPopup"]) == ("Your question", "list", "listbox")
    assert field["controls"] == ["Often asked"]
    assert [option["name"] for option in options] == [row.text for row in widget.all(".list .row")]
    chosen = []
    for key in (Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_UP):
        widget.press(key)
        field, options = told()
        assert field["focused"]
        assert field.get("activedescendant", []) == [option["name"] for option in options if option.get("selected")]
        chosen.append(
            [option.get("selected", False) for option in options].index(True) if field.get("activedescendant") else None
        )
    assert chosen == [0, 1, 0, None, 2]
    widget.press("s")
    assert "activedescendant" not in told()[0]
    widget.press(Keys.TAB)
    assert not widget.all(".list:not([hidden])")


def test_a_screen_reader_is_told_the_answer_with_its_marks_and_their_sources(at) -> None:
    widget = at()
    widget.open()
    widget.ask(MEMO)
    widget.one(".mark").click()
    widget.wait(lambda: widget.all(".source mark.rest"))
    nodes = spoken(widget)
    marks = [node for node in nodes if node["role"] == "button" and node["name"].startswith("Source 1")]
    assert [(mark["name"], mark["expanded"]) for mark in marks] == [
        ("Source 1: Deposits at Kelpex", True), ("Source 1: Deposits at Kelpex", False)
    ]  # fmt: skip
    assert [node["name"] for node in nodes if node["role"] == "group"][-1] == "Source 1: Deposits at Kelpex"
    assert [node["name"] for node in nodes if node["role"] == "dialog"] == ["Help desk"]
    assert [node["level"] for node in nodes if node["role"] == "heading" and node["name"] == MEMO] == [2, 3]
    (status,) = [node for node in nodes if node["role"] == "status"]
    assert (status["live"], status["atomic"]) == ("polite", False)


def test_on_a_phone_it_fills_the_screen_and_keeps_the_focus(at) -> None:
    widget = at(width=390, height=844, touch=True)
    widget.open()
    panel = widget.one(".panel")
    assert panel.rect == {"x": 0, "y": 0, "width": 390, "height": 844}
    assert panel.get_attribute("aria-modal") == "true"
    assert widget.focused(".panel")
    widget.press(Keys.SHIFT, Keys.TAB)
    widget.press(Keys.TAB)
    assert widget.focused("[aria-label='Clear the conversation']")


@pytest.mark.parametrize(("width", "height"), [(320, 256), (320, 640)])
def test_at_400_percent_zoom_nothing_is_cut_off_and_no_line_scrolls(at, width, height) -> None:
    widget = at(width=width, height=height)
    widget.open()
    widget.ask(MEMO)
    widget.one(".mark").click()
    code = "const { scrollWidth, clientWidth } = root.querySelector(arguments[0]); return scrollWidth - clientWidth"
    assert widget.script(code, ".panel") <= 0
    assert widget.script(code, ".scroll") <= 0
    widget.one("textarea").send_keys("x")
    assert widget.one("textarea").is_displayed()


def test_every_button_is_large_enough_to_be_hit(at) -> None:
    widget = at(width=360, height=740)
    sizes = [widget.one(".launch").size]
    widget.open()
    sizes += [row.size for row in widget.wait(lambda: widget.all(".often .row"))]
    widget.ask(MEMO)
    sizes += [button.size for button in widget.all("button") if button.is_displayed()]
    assert all(size["width"] >= 24 and size["height"] >= 24 for size in sizes)


def test_an_arabic_page_gets_arabic_words_from_right_to_left(at) -> None:
    widget = at("/arabic")
    assert widget.one(".launch").get_property("textContent") == "اطلب المساعدة"
    widget.open()
    assert widget.text(".hello") == "ماذا تريد أن تعرف؟"
    assert widget.one(".panel").value_of_css_property("direction") == "rtl"
    widget.ask(MEMO)
    assert widget.one(".lead .said").value_of_css_property("direction") == "ltr"
    asked, reply = widget.one(".asked").rect, widget.one(".reply").rect
    assert asked["x"] == reply["x"]  # what is asked stands at the end of the line, wherever its own script begins
    close, title = widget.one("[aria-label='إغلاق']"), widget.one("header .title")
    assert close.location["x"] < title.location["x"]
    texts = ("1. Press Lock.", "2. Wait.", "Size: 5 BTC | Cap: 125x", "Size: 20 BTC | Cap: 50x")
    widget.answer_next(made_answer([made_citation(number, text) for number, text in enumerate(texts, 1)]))
    widget.ask("steps?")
    for selector in (".turn:last-child ol", ".turn:last-child table"):
        assert widget.one(selector).value_of_css_property("direction") == "ltr"
    widget.one(".turn:last-child ol .mark").click()
    assert widget.one(".turn:last-child .source").value_of_css_property("direction") == "rtl"


def test_the_words_follow_the_page_and_are_one_file_more_once_it_is_opened(served, at) -> None:
    desk = served.desk
    widget = at("/german")
    assert widget.text(".launch") == "Hilfe fragen"
    widget.open()
    assert widget.text(".hello") == "Was möchtest du wissen?"
    names = widget.script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in names if f"{desk}/widget/" in name and "/widget/de.json" not in name] == []


def test_forced_colours_show_what_is_typed_in_what_is_suggested_and_what_is_chosen(at) -> None:
    widget = at()
    widget.media(forced_colors="active")
    widget.open()
    widget.one("textarea").send_keys("kelpex")
    widget.wait(lambda: widget.all(".list:not([hidden]) .row"))
    widget.press(Keys.ARROW_DOWN)
    for selector in (".box", ".list [aria-selected=true]"):
        assert widget.one(selector).value_of_css_property("outline-style") == "solid"
    assert widget.one(".list").value_of_css_property("border-style") == "solid"
    widget.media()


@pytest.mark.parametrize(("motion", "animation"), [("no-preference", "rise"), ("reduce", "none")])
def test_nothing_moves_for_who_does_not_want_motion(at, motion, animation) -> None:
    widget = at()
    widget.media(prefers_reduced_motion=motion)
    widget.open()
    assert widget.one(".panel").value_of_css_property("animation-name") == animation
    widget.media()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(at, scheme) -> None:
    if not AXE.is_file():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("axe-core is missing: cd service/widget && npm ci")
    widget = at(scheme=scheme)
    widget.driver.execute_script(AXE.read_text(encoding="utf-8"))
    found = {}

    def check(state: str) -> None:
        found[state] = widget.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done("
            "violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ target, failureSummary }) => JSON.stringify(target) + failureSummary).join('; '))))"
        )

    check("closed")
    widget.open()
    widget.wait(lambda: widget.all(".often .row"))
    check("open")
    widget.one("textarea").send_keys("kelpex")
    widget.wait(lambda: widget.all(".list:not([hidden]) .row"))
    check("suggestions")
    widget.one("textarea").clear()
    widget.ask(MEMO)
    widget.one(".mark").click()
    check("source")
    widget.one("[aria-label='This did not help']").click()
    check("reason")
    widget.ask(f"{SEED} what fee does Kelpex take for a withdrawal?")
    check("secret")
    widget.ask(FEES)
    check("clarify")
    widget.ask("Does Kraken have a dark pool?")
    check("not covered")
    cited = (
        made_citation(1, "Yes, at OKX.", exchange="OKX"),
        made_citation(2, "A: 1 | B: 2", exchange="Kraken"),
        made_citation(3, "A: 3 | B: 4", exchange="Kraken"),
    )
    widget.answer_next(made_answer(cited, scope=Scope(("OKX", "Kraken"), (), "corpus")))
    widget.ask("can it?")
    widget.all("[role=tab]")[1].click()
    check("tabs")
    widget.answer_next(
        made_answer(
            (cited[0], made_citation(4, "No, at OKX.", exchange="OKX", article_id="b", trust="aggregator")),
            notices=(Notice("sources_disagree", "The cited pages disagree."),),
        )
    )
    widget.ask("really?")
    check("disagree")
    widget.respond_next("{}", 503)
    widget.ask("down?")
    check("problem")
    assert {state: each for state, each in found.items() if each} == {}
