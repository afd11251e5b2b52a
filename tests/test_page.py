"""The demo page, in a real browser in front of a real server."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest
import uvicorn
from browser import Reader
from browser import browser as browser
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from service.answer import Answer, Citation, Scope, Sentence
from service.app import create_app
from service.server_settings import ServerSettings

COVERED = "Does Kraken pay staking rewards during the unbonding period?"
# An exchange that corpus/exchanges.toml knows and that no starter article is about.
UNKNOWN_EXCHANGE = "bitget liquidated me, will they come after me for the rest?"
OPEN_ALL = "document.querySelectorAll('.mark').forEach((mark) => mark.click())"
# How many pixels the page is wider than its window.
OVERFLOW = "const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth - clientWidth"
# For each visible piece of text: its contrast with the background behind it, and what WCAG asks of its size.
CONTRASTS = """
const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = (e) => {
  const colour = parse(getComputedStyle(e).backgroundColor);
  return colour.length === 3 || !e.parentElement ? colour : behind(e.parentElement);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
  if (!text || !element.checkVisibility() || element.closest("option, noscript, script")) continue;
  const style = getComputedStyle(element), size = parseFloat(style.fontSize);
  const [a, b] = [light(parse(style.color)), light(behind(element))].sort((x, y) => y - x);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  found.push({ text, ratio: (a + 0.05) / (b + 0.05), needed: large ? 3 : 4.5 });
}
return found;
"""


def made_citation(number: int, quote: str, **given) -> Citation:
    fields = {
        "url": "https://help.example/a",
        "exchange": "Kraken",
        "trust": "official",
        "updated": "2026-03-12",
    } | given
    return Citation(
        number, passage_id="a#0", article_id="a", title="An article", quote=quote, start=0, end=len(quote), **fields
    )


def made_answer(citations: tuple[Citation, ...] = (), **given) -> Answer:
    """Make an answer of one sentence a citation."""
    sentences = tuple(Sentence(citation.quote, (citation.number,)) for citation in citations)
    fields = {"status": "answered", "text": "", "scope": Scope(("Kraken",), ("Futures",), "corpus")} | given
    return Answer(
        sentences=sentences, citations=citations, notices=(), related=(), confidence=0.8, snapshot_id="s", **fields
    )


class Page(Reader):
    """The page as one who reads and types sees it."""

    def __init__(self, driver: webdriver.Chrome, base: str) -> None:
        super().__init__(driver)
        self.base = base

    def open(self, *, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        self.network()
        self.screen(width, height)
        self.media(scheme)
        self.driver.get(self.base)
        # The list of exchanges is filled by the script: once it is, the page listens.
        self.wait(lambda: len(self.all("#exchange option")) > 1)

    def ask(self, question: str) -> str:
        """Ask, wait for the answer, give its text."""
        self.one("#question").send_keys(question + Keys.ENTER)
        return self.reply()

    def reply(self) -> str:
        self.wait(lambda: self.all(".turn:last-child .reply") and not self.all("[aria-busy]"))
        return self.one(".turn:last-child .reply").text

    def answer_next(self, answer: Answer) -> None:
        """Have the next question answered so: for what the starter corpus holds no example of."""
        self.script(
            "const real = window.fetch, body = arguments[0];"
            "window.fetch = async () => { window.fetch = real; return new Response(body); }",
            json.dumps(asdict(answer)),
        )

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def script(self, code: str, *arguments: object):
        return self.driver.execute_script(code, *arguments)

    def api(self, **request: object) -> dict:
        key = self.one('meta[name="citedesk-key"]').get_attribute("content")
        headers = {"Authorization": f"Bearer {key}", "Origin": self.base.rstrip("/")}
        return httpx.post(f"{self.base}v1/query", json=request, headers=headers, timeout=30).json()


@pytest.fixture(scope="module")
def server(starter_home: Path) -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        settings = ServerSettings(demo=True, port=port, client_per_minute=10_000)
        running = uvicorn.Server(uvicorn.Config(create_app(starter_home, settings), log_config=None, ws="none"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        while not running.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
        running.should_exit = True
        thread.join()


@pytest.fixture
def page(browser: webdriver.Chrome, server: str) -> Page:
    page = Page(browser, server)
    page.open()
    return page


def test_a_question_is_answered_with_a_proof_that_opens_under_its_sentence(page: Page) -> None:
    page.ask(COVERED)
    answer = page.api(question=COVERED)
    assert answer["status"] == "answered"
    mark = page.one(".mark")
    proof = page.one(f"#{mark.get_attribute('aria-controls')}")
    assert (mark.get_attribute("aria-expanded"), proof.is_displayed()) == ("false", False)
    mark.click()
    assert (mark.get_attribute("aria-expanded"), proof.is_displayed()) == ("true", True)
    citation = answer["citations"][0]
    assert proof.find_element(By.TAG_NAME, "blockquote").get_property("textContent") == citation["quote"]
    assert proof.find_element(By.TAG_NAME, "mark").get_property("textContent") == answer["sentences"][0]["text"]
    assert citation["title"] in proof.text
    assert proof.find_element(By.TAG_NAME, "a").get_attribute("href") == citation["url"]
    mark.click()
    assert not proof.is_displayed()


def test_every_sentence_of_the_answer_stands_in_the_page_with_its_marks(page: Page) -> None:
    shown = page.ask(COVERED)
    sentences = page.api(question=COVERED)["sentences"]
    assert len(page.all(".mark")) == sum(len(sentence["citations"]) for sentence in sentences)
    assert all(sentence["text"].split()[-1] in shown for sentence in sentences)


def test_the_finished_answer_is_announced_once(page: Page) -> None:
    page.ask(COVERED)
    announced = page.one("[role=status]").get_property("textContent")
    assert announced.count(page.api(question=COVERED)["sentences"][0]["text"]) == 1
    assert not page.all("#thread[aria-live], #thread [aria-live], #thread [role=status], #thread [role=alert]")


def test_an_exchange_without_articles_gives_not_covered_and_the_nearest_articles(page: Page) -> None:
    shown = page.ask(UNKNOWN_EXCHANGE)
    assert "Not covered" in shown
    assert "Bitget" in shown
    assert "Nearest articles" in shown
    assert not page.all(".mark")


def test_a_request_for_advice_is_declined(page: Page) -> None:
    question = "btc dumping, should i buy now?"
    assert page.api(question=question)["text"] in page.ask(question)


def test_an_exchange_that_is_asked_back_for_is_chosen_with_a_click(page: Page) -> None:
    page.answer_next(made_answer(status="clarify", text="Which one?", scope=Scope(("Bybit", "Gate.io"), (), "none")))
    page.ask("Will I owe money?")
    page.all(".reply .chips button")[0].click()
    page.reply()
    assert page.one(".turn:last-child").text.startswith("Will I owe money?\nasked for Bybit")
    assert page.one("#exchange").get_property("value") == "Bybit"
    offered = [option.text for option in page.all("#exchange option")]
    assert offered == ["any exchange", "Binance", "Bybit", "Coinbase", "Gate.io", "Kraken", "OKX"]


def test_answers_of_several_exchanges_stand_under_their_names(page: Page) -> None:
    cited = (made_citation(1, "Yes.", exchange="OKX"), made_citation(2, "No, at Kraken it cannot.", exchange="Kraken"))
    page.answer_next(made_answer(cited, scope=Scope(("OKX", "Kraken"), ("Futures",), "corpus")))
    shown = page.ask("can it go below zero?")
    assert [heading.text for heading in page.all(".group h3")] == ["OKX", "Kraken"]
    assert shown.index("OKX") < shown.index("Yes.") < shown.index("Kraken") < shown.index("No, at Kraken")


def test_steps_items_and_table_rows_are_shown_as_what_they_are(page: Page) -> None:
    texts = (
        "2. Press Lock.",
        "3. Wait.",
        "- A list item",
        "Size: 5 BTC | Cap: 125x",
        "Size: 20 BTC | Cap: 50x",
        "Spot | Set by: A",
    )
    page.answer_next(made_answer(tuple(made_citation(number, text) for number, text in enumerate(texts, 1))))
    page.ask("how?")
    assert [item.get_attribute("value") for item in page.all("ol li")] == ["2", "3"]
    assert page.one("ol li").text.startswith("Press Lock.")
    assert page.one(".items li").text.startswith("A list item")
    table, record = page.all("table")
    assert [cell.text for cell in table.find_elements(By.TAG_NAME, "th")] == ["Size", "Cap"]
    assert [cell.text for cell in record.find_elements(By.TAG_NAME, "th")] == ["Spot", "Set by"]


def test_a_proof_says_how_official_its_page_is_and_links_to_web_addresses_only(page: Page) -> None:
    cited = (
        made_citation(1, "One sentence of it.", trust="official", url="https://www.kraken.com/a#:~:text=One"),
        made_citation(2, "Another sentence of it.", trust="aggregator", url="file:///etc/passwd", updated=None),
        made_citation(3, "The third sentence of it.", trust="unknown", url="javascript:alert(1)"),
    )
    page.answer_next(made_answer(cited))
    page.ask("how?")
    page.script(OPEN_ALL)
    official, aggregator, unknown = (proof.text for proof in page.all(".proof"))
    assert "official page · dated 12 March 2026" in official
    assert "aggregator, not official · no date given" in aggregator
    assert "not an official page" in unknown
    assert [link.get_attribute("href") for link in page.all(".proof a")] == [cited[0].url]


def test_a_sentence_written_from_right_to_left_is_shown_so(page: Page) -> None:
    page.answer_next(made_answer((made_citation(1, "استخدم رمز الاسترداد الذي حفظته."),)))
    page.ask("كيف؟")
    assert page.one(".lead p").value_of_css_property("direction") == "rtl"
    assert page.one(".asked").value_of_css_property("direction") == "rtl"


def test_an_empty_question_is_said(page: Page) -> None:
    page.one("#question").send_keys("   " + Keys.ENTER)
    assert page.one("#question-problem").text == "Type a question first."
    assert page.one("#question").get_attribute("aria-invalid") == "true"
    assert not page.all(".turn")


def test_a_question_of_2001_characters_is_said_and_kept_and_2000_are_asked(page: Page) -> None:
    fill = "const f = document.querySelector('#question'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))"
    # 𝄞 is one character for the server, and two for JavaScript's length.
    page.script(fill, "what 𝄞 fee?" + "x" * 1990)
    page.one("#question").send_keys(Keys.ENTER)
    assert "2,001 characters" in page.one("#question-problem").text
    assert not page.all(".turn")
    page.script(fill, "what 𝄞 fee?" + "x" * 1989)
    assert page.one("#question-problem").text == ""
    page.one("#question").send_keys(Keys.ENTER)
    page.reply()
    assert not page.all(".failed")


def test_a_question_without_a_word_shows_what_the_server_says(page: Page) -> None:
    shown = page.ask("???")
    detail = page.api(question="???")["detail"]
    assert detail in shown
    assert "Ask again" not in shown


def test_all_of_it_works_with_the_keyboard_alone(page: Page) -> None:
    page.tab_to("#question")
    page.press(COVERED + Keys.ENTER)
    page.reply()
    page.tab_to(".mark", backwards=True)
    page.press(Keys.ENTER)
    proof = page.one(f"#{page.driver.switch_to.active_element.get_attribute('aria-controls')}")
    assert proof.is_displayed()
    page.tab_to(".proof a")
    page.press(Keys.ESCAPE)
    assert not proof.is_displayed()
    assert page.script("return document.activeElement.matches('.mark')")
    page.tab_to("#start-over", backwards=True)
    page.press(Keys.ENTER)
    assert not page.all(".turn")
    assert page.script("return document.activeElement.id") == "question"


def test_what_has_the_focus_is_not_hidden_under_the_form(page: Page) -> None:
    page.open(height=600)
    page.ask(COVERED)
    for mark in page.all(".mark"):
        page.script("arguments[0].focus()", mark)
        hit = "const b = arguments[0].getBoundingClientRect(); return document.elementFromPoint(b.x + 4, b.y + 4)"
        assert page.script(hit, mark) == mark


def test_an_example_is_asked_with_a_click(page: Page) -> None:
    example = page.one("#examples button")
    question = example.text
    example.click()
    page.reply()
    assert page.one(".asked").text == question
    assert not page.one("#examples").is_displayed()


def test_a_follow_up_is_sent_with_the_questions_before_it_until_one_starts_over(page: Page) -> None:
    page.ask(UNKNOWN_EXCHANGE)
    assert "no help articles about Bitget" in page.ask("and what about the fee?")
    assert len(page.all(".turn")) == 2
    page.one("#start-over").click()
    assert "Bitget" not in page.ask("and what about the fee?")
    assert len(page.all(".turn")) == 1


def test_a_lost_connection_is_said_and_the_question_can_be_asked_again(page: Page) -> None:
    page.network(offline=True)
    assert "could not be reached" in page.ask(COVERED)
    page.network()
    page.one(".again").click()
    page.reply()
    assert page.all(".mark")
    assert len(page.all(".turn")) == 1


def test_a_newer_question_stops_the_one_before_it(page: Page) -> None:
    page.network(latency=1500)
    page.one("#question").send_keys(COVERED + Keys.ENTER)
    page.ask(UNKNOWN_EXCHANGE)
    first, second = page.all(".turn")
    assert "Stopped" in first.text
    assert "Not covered" in second.text


@pytest.mark.parametrize("question", [COVERED, UNKNOWN_EXCHANGE])
def test_a_screen_of_320_pixels_has_no_horizontal_scroll(page: Page, question: str) -> None:
    page.open(width=320, height=640)
    assert page.script(OVERFLOW) == 0
    page.ask(question)
    page.script(OPEN_ALL)
    assert page.script(OVERFLOW) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(page: Page, scheme: str) -> None:
    page.open(scheme=scheme)
    texts = page.script(CONTRASTS)
    page.ask(UNKNOWN_EXCHANGE)
    page.ask(COVERED)
    page.ask("???")
    page.script(OPEN_ALL)
    page.one("#question").send_keys(Keys.ENTER)
    texts += page.script(CONTRASTS)
    assert len(texts) > 40
    assert [text for text in texts if text["ratio"] < text["needed"]] == []


def test_every_button_and_mark_is_large_enough_to_be_hit(page: Page) -> None:
    page.open(width=360, height=740)
    page.ask(COVERED)
    sizes = [button.size for button in page.all("button") if button.is_displayed()]
    assert all(size["width"] >= 24 and size["height"] >= 24 for size in sizes)


@pytest.mark.parametrize(
    "markup", ["<img src=x onerror=\"document.title='harm'\">", "<script>document.title='harm'</script>"]
)
def test_markup_in_a_question_and_in_an_answer_is_text(page: Page, markup: str) -> None:
    # The answer repeats an exchange that it has no articles about, so the markup comes back from the server too.
    page.script("document.querySelector('#exchange').add(new Option('', arguments[0], true, true))", markup)
    shown = page.ask(f"what does {markup} cost?")
    assert f"no help articles about {markup}" in shown
    assert page.one(".asked").text == f"what does {markup} cost?"
    assert not page.all("img, #thread script")
    assert "harm" not in page.driver.title


def test_no_request_leaves_the_server_and_nothing_is_reported_on_the_console(page: Page) -> None:
    page.driver.get_log("browser")  # what the tests before left there
    page.ask(COVERED)
    names = page.script("return performance.getEntries().map((entry) => entry.name)")
    asked = [name for name in names if "://" in name]
    assert f"{page.base}v1/query" in asked
    assert [name for name in asked if not name.startswith(page.base)] == []
    assert page.driver.get_log("browser") == []
