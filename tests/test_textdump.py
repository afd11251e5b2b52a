"""Pages saved as plain text, where what a line is shows only in its shape and its neighbours."""

import os
from pathlib import Path

import pytest

from ingest.article import Page, PageError, Section
from ingest.textdump import parse_markdown, parse_text

PAGES = Path(__file__).parent / "pages"
SHARED = Path(os.environ.get("CITEDESK_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="module")
def seed() -> Page:
    path = SHARED / "seed" / "kdj-liquidation-article.txt"
    if not path.exists():
        pytest.skip(f"{path} is not here; set CITEDESK_SHARED to the folder that holds seed/")
    return parse_text(path.read_bytes(), name=path.name)


@pytest.fixture(scope="module")
def bots() -> Page:
    return parse_text((PAGES / "dump_ticker.txt").read_bytes(), name="dump_ticker.txt")


@pytest.fixture(scope="module")
def margin() -> Page:
    return parse_text((PAGES / "dump_wrapped.txt").read_bytes(), name="dump_wrapped.txt")


def headings(page: Page) -> list[tuple[str, ...]]:
    return [section.heading_path for section in page.sections]


def test_the_seed_says_what_it_is(seed):
    assert seed.title == "Will I owe money if Binance leverage is liquidated? Do I need to make up the margin?"
    assert (seed.published, seed.site) == ("2025-05-16", "kdj.com")
    assert seed.disclaimer.count("\n") == 2


def test_the_seed_has_its_sections_and_its_four_pairs(seed):
    kinds = [section.kind for section in seed.sections]
    assert kinds == ["prose"] * 9 + ["faq"] * 4
    assert [len(path) for path in headings(seed)] == [0] + [1] * 8 + [2] * 4
    assert {path[0] for path in headings(seed)[9:]} == {"Frequently Asked Questions"}
    assert all(path[1].endswith("?") for path in headings(seed)[9:])


def test_the_seed_keeps_its_standfirst_and_its_lists(seed):
    assert seed.sections[0].text.count("\n") == 1
    assert [section.text.count("\n- ") for section in seed.sections[5:9]] == [3, 3, 3, 3]


@pytest.mark.parametrize(
    "noise",
    ["$", "%", "2025", "Disclaimer", "copyright", "Related", "...", "See all", "Bybit", "Kraken", "Table Tennis"],
)
def test_no_line_of_the_boxes_is_in_the_seeds_sections(seed, noise):
    assert not any(noise in f"{section.heading_path} {section.text}" for section in seed.sections)


def test_a_ticker_of_one_line_each_and_a_menu_stand_before_the_title(bots):
    assert bots.title == "What happens to my Tidewater bot when I close the app?"
    assert (bots.published, bots.updated, bots.site) == ("2025-02-03", None, "tidewater.com")
    assert bots.disclaimer.endswith("Nothing on this page is advice to trade.")


def test_news_doubled_teasers_and_disclaimer_are_left_out(bots):
    assert bots.sections == (
        Section(
            (),
            "",
            "prose",
            "Bots run on the servers of Tidewater, so closing the app stops nothing.\nA bot is a set of orders that "
            "Tidewater places for you. It goes on while your phone is off, and only you can stop it.",
        ),
        Section(
            ("Where a bot runs",),
            "",
            "prose",
            "Every bot on Tidewater runs in the data centre of the exchange. Your phone only shows what it does.",
        ),
        Section(("How to stop a bot",), "", "prose", "Stopping takes a minute:"),
        Section(("How to stop a bot",), "", "steps", "1. Open Bots.\n2. Choose the bot.\n3. Press Stop and confirm."),
        Section(
            ("What stays behind",),
            "",
            "prose",
            "After a stop you may still have:\n- coins that the bot bought\n- orders that were placed by hand",
        ),
        Section(
            ("Common questions", "Does a bot cost anything?"),
            "",
            "faq",
            "No, only the usual trading fee applies.\nIt is taken from each trade.",
        ),
        Section(
            ("Common questions", "Can two bots share one balance?"),
            "",
            "faq",
            "No, each bot sets its own balance aside.",
        ),
    )


def test_lines_wrapped_at_a_width_are_one_paragraph_again(margin):
    assert margin.title == "Margin levels at Tidewater, explained"
    assert margin.updated == "2025-06-11"
    assert margin.sections[0].text == (
        "A margin level says how far your loan is covered by what you own. The higher it is, the safer you are. "
        "Tidewater works it out anew every second and shows it at the top of the margin page."
    )


def test_lists_keep_their_nesting(margin):
    assert margin.sections[1].text.split("\n")[1:] == [
        "- 3 and more: you may take money out.",
        "- 1.3 to 3: you may trade.",
        "  - new loans are possible only above 2",
        "- 1.1: the sale begins.",
    ]


def test_questions_under_a_faq_heading_are_pairs_without_marks(margin):
    assert [(section.heading_path, section.text) for section in margin.sections[2:]] == [
        (("FAQ", "Is the warning sent by e-mail?"), "Yes, and as a message in the app. Both go out at the same time."),
        (("FAQ", "Can I turn the sale off?"), "No. It protects the people who lent you the coins."),
    ]


def test_text_goes_on_behind_a_related_box_in_the_middle():
    page = parse_text(
        "Fees at Tidewater in short\n\nTidewater takes a fee from every trade that is filled.\n\nRead also\n"
        "Gas and tides\n"
        "Nets and knots\n\nWhen it is taken\n\nThe fee is taken from the coin that you buy, at once.\n",
        name="fees.txt",
    )
    assert [(section.heading_path, section.text) for section in page.sections] == [
        ((), "Tidewater takes a fee from every trade that is filled."),
        (("When it is taken",), "The fee is taken from the coin that you buy, at once."),
    ]


def test_a_dump_in_chinese_has_its_pairs():
    page = parse_text(
        "潮水交易所的手续费是怎么计算的\n更新于 2025年6月11日\n\n手续费从每一笔成交中扣除，费率取决于您的等级。\n\n"
        "常见问题\n问：挂单要收费吗？\n"
        "答：不收，只有成交才收费。\n问：可以用平台币支付吗？\n答：可以，并享受折扣。\n",
        name="fees.txt",
    )
    assert page.updated == "2025-06-11"
    assert [section.heading_path[-1] for section in page.sections[1:]] == ["挂单要收费吗？", "可以用平台币支付吗？"]
    assert page.sections[1].text == "不收，只有成交才收费。"


def test_a_page_of_boxes_only_is_refused_by_name():
    with pytest.raises(PageError, match=r"ticker\.txt: no main text"):
        parse_text("Kelp\n$1.0\n2.0%\nReef\n$3.1\n0.4%\nTide\n$9.0\n1.0%\n", name="ticker.txt")
    with pytest.raises(PageError, match=r"nothing\.txt: .*empty"):
        parse_text(b"", name="nothing.txt")


def test_markdown_goes_the_way_of_html():
    page = parse_markdown((PAGES / "guide.md").read_bytes(), name="guide.md")
    assert page.title == "Tags at Tidewater"
    assert page.published == "2025-02-03"
    assert [(section.kind, section.heading_path, section.text) for section in page.sections] == [
        ("prose", (), "A tag tells two customers with one address apart."),
        ("table", ("Coins with a tag",), "Coin: Kelp | Tag: memo\nCoin: Reef | Tag: number"),
        ("faq", ("FAQ", "Is the tag secret?"), "No. Anyone may see it."),
    ]


def test_empty_markdown_is_refused_by_name():
    with pytest.raises(PageError, match=r"guide\.md"):
        parse_markdown("# A title alone\n", name="guide.md")
