"""What a page says of itself: what is believed of it, its breadcrumbs, and what is flagged."""

import json
import time

import pytest
from bs4 import BeautifulSoup

from ingest.article import Page
from ingest.breadcrumbs import MOST_CRUMBS, without_page
from ingest.clean import parse_html
from ingest.dates import iso_day
from ingest.flags import PLACEHOLDER, marked, prints_broken_date, without_unfilled
from ingest.language import detect
from ingest.pagemeta import read_meta, same_site, site_of
from ingest.textdump import parse_body, parse_markdown, parse_text

LEAD = "<p>Orders wait in the book until their price is there.</p>"
OFFICIAL = "https://www.binance.com/en/support/faq/orders"
HERE = "https://help.tidewater.example/en/orders"


def parsed(body: str = "", head: str = "", url: str | None = HERE) -> Page:
    html = f"<html><head>{head}</head><body><main><h1>How orders wait</h1>{LEAD}{body}</main></body></html>"
    return parse_html(html, url=url)


def canonical(address: str) -> str:
    return f'<link rel="canonical" href="{address}">'


def json_ld(thing: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(thing)}</script>'


def text_of(page: Page) -> str:
    return "\n".join("\n".join((*section.heading_path, section.text)) for section in page.sections)


@pytest.mark.parametrize(
    "head",
    [
        canonical(OFFICIAL),
        canonical("//www.binance.com/en/support/faq/orders"),
        f'<meta property="og:url" content="{OFFICIAL}">',
        canonical("https://binance.com@evil.example/orders"),
        canonical("http://[broken/"),
        canonical("javascript:alert(1)"),
        canonical("https://"),
        "",
    ],
)
def test_a_fetched_page_is_not_believed_to_be_of_another_site(head):
    page = parsed(head=head)
    assert (page.url, page.site) == (HERE, "tidewater.example")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://www.tidewater.example/orders", "https://www.tidewater.example/orders"),
        ("/de/orders", "https://help.tidewater.example/de/orders"),
        ("https://help.tidewater.example/", HERE),  # a template that names its root on every page
    ],
)
def test_a_fetched_page_is_believed_within_its_own_site(address, url):
    assert parsed(head=canonical(address)).url == url


def test_what_is_not_believed_gives_way_to_what_may_be():
    head = canonical(OFFICIAL) + '<meta property="og:url" content="https://help.tidewater.example/b">'
    assert parsed(head=head).url == "https://help.tidewater.example/b"


@pytest.mark.parametrize("url", ["saved/orders.html", "file:///home/me/orders.html", None])
def test_a_saved_file_is_believed(url):
    page = parsed(head=canonical(OFFICIAL), url=url)
    assert (page.url, page.site) == (OFFICIAL, "binance.com")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/a", "http://localhost/a", "http://[::1]/a", HERE])
def test_the_disclaimer_of_a_fetched_page_names_no_site(url):
    disclaimer = "<div class='disclaimer'>Disclaimer: write to help@binance.com.</div>"
    page = parsed(disclaimer, url=url)
    assert "binance.com" in page.disclaimer
    assert page.site in (None, "tidewater.example")
    assert parsed(disclaimer, url="saved.html").site == "binance.com"


def test_a_folder_that_is_named_like_a_site_is_none():
    assert parsed(url="saved/binance.com/orders").site is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.kraken.com/", "http://kraken.com:8080/x", True),
        ("https://kraken.com./", "https://kraken.com/", True),
        ("https://KRAKEN.com/", "https://kraken.com/", True),
        ("https://kraken.co.uk/", "https://kraken.com/", False),
        ("https://one.github.io/", "https://two.github.io/", False),
        ("http://127.0.0.1:1/", "http://127.0.0.1:2/", True),
        ("http://10.0.0.1/", "http://127.0.0.1/", False),
        ("http://localhost/a", "http://localhost/b", True),
        ("http://[x/", "http://[x/", False),
    ],
)
def test_a_site_is_a_registered_domain_or_else_a_host(one, other, same):
    assert same_site(one, other) is same


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://[::1]/", "http://[broken/", "https://"])
def test_an_address_without_a_domain_is_of_no_site(url):
    assert site_of(url) is None


@pytest.mark.parametrize(
    "markup",
    [
        "<nav aria-label='Breadcrumb'><ol><li><a href='/'>Help</a></li><li><a href='/s'>Spot <b>trading</b></a></li></ol></nav>",
        "<nav aria-label='breadcrumbs'><a href='/'>Help</a> / <a href='/s'>Spot <b>trading</b></a> / How orders wait</nav>",
        "<ul class='breadcrumb'><li>Help</li><li aria-hidden='true'>›</li><li>Spot trading</li><li>How orders wait</li></ul>",
        "<div class='index_breadcrumbs__x1Yz'><span><a>Help</a></span><svg><title>to</title></svg><span><a>Spot trading</a></span></div>",
        "<nav class='breadcrumb'><h3>You are here:</h3><a>Help</a><a>Spot trading</a></nav>",
        "<div class='crumbs'>Help<br>›<br>Spot trading</div>",
        "<nav><ol itemtype='https://schema.org/BreadcrumbList'><li><a>Help</a></li><li><a>Spot trading</a></li></ol></nav>",
        json_ld({"@graph": [{"@type": "BreadcrumbList", "itemListElement": [
            {"position": "2", "name": "Spot trading"}, {"position": 1, "item": {"name": "Help"}}, {"position": 3, "name": 7}]}]}),
    ],
)  # fmt: skip
def test_each_way_of_showing_breadcrumbs_is_read(markup):
    page = parsed(markup)
    assert page.breadcrumbs == ("Help", "Spot trading")
    assert "Help" not in text_of(page)


@pytest.mark.parametrize(
    "markup",
    [
        "<nav class='breadcrumb'>" + "".join(f"<a>Part {n}</a>" for n in range(MOST_CRUMBS + 1)) + "</nav>",
        f"<div class='breadcrumb'><p>{'A text that only looks like a trail. ' * 9}</p></div>",
        "<div class='page breadcrumb'><h2>Orders</h2><p>They wait.</p></div>",
        "<a class='breadcrumb'>Back</a>",
        json_ld({"@type": "BreadcrumbList", "itemListElement": "none"}),
        json_ld({"@type": "BreadcrumbList", "itemListElement": [1, {"name": None}, {"item": "/x", "position": []}]}),
    ],
)
def test_what_is_no_trail_gives_no_breadcrumbs(markup):
    assert parsed(markup).breadcrumbs == ()


def test_escaped_names_of_json_ld_are_read():
    items = [{"name": "Fees &amp; limits"}, {"name": "Spot"}]
    assert parsed(json_ld({"@type": "BreadcrumbList", "itemListElement": items})).breadcrumbs == (
        "Fees & limits",
        "Spot",
    )


def test_only_the_end_of_a_trail_is_the_page():
    assert without_page(("Orders", "Spot", "How orders w…"), "How orders wait") == ("Orders", "Spot")
    assert without_page(("Orders", "Spot"), "Orders") == ("Orders", "Spot")
    assert without_page((), "Orders") == ()


@pytest.mark.parametrize(
    "placeholder",
    [
        "{{ user.name }}", "${name}", "{0}", "[[first_name]]", "%s", "%1$s", "<%= name %>", "%%NAME%%", "[insert name]",
        "[Insert your name here]", "&lt;placeholder&gt;", "&lt;insert name&gt;", "<placeholder>", "[TODO: name]", "(TODO)",
    ],
)  # fmt: skip
def test_a_sentence_with_an_unfilled_placeholder_is_left_out_and_the_page_flagged(placeholder):
    page = parsed(f"<p>Orders cost nothing. Hello {placeholder}, write to us. Fees fall at noon.</p>")
    assert text_of(page).endswith("Orders cost nothing. Fees fall at noon.")
    assert page.flags == ("placeholder",)


@pytest.mark.parametrize("line", ["TODO", "TODO: write this", "Lorem ipsum dolor sit amet. Ut enim ad minim veniam."])
def test_a_line_that_was_never_written_is_left_out_and_the_page_flagged(line):
    page = parsed(f"<p>{line}</p>")
    assert text_of(page) == "Orders wait in the book until their price is there."
    assert page.flags == ("placeholder",)


@pytest.mark.parametrize(
    "text",
    [
        "Send [your UID] to us.", "Call GET /orders/{symbol} first.", "It grew by 5 %d.", "See note [[1]] below.",
        "ANTE TODO, la orden espera.", "The size is 10^{2} units.", "Press [Insert] to go on.", "Pay $5 {net}.",
        "100% sure, 20 % discount.", "Choose &lt;your wallet&gt; now.", "The set {1, 2} has two.",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_placeholder_stays(text):
    page = parsed(f"<p>{text}</p>")
    assert page.flags == ()
    assert BeautifulSoup(text, "lxml").get_text() in text_of(page)


@pytest.mark.parametrize("tag", ["pre", "code"])
def test_code_keeps_its_variables(tag):
    page = parsed(f"<p>Type this: <{tag}>curl ${{HOST}}/{{0}}/%s</{tag}></p>")
    assert "curl ${HOST}/{0}/%s" in text_of(page)
    assert page.flags == ()


def test_a_placeholder_around_the_article_flags_nothing():
    assert parsed("<nav>Hello {{ name }}</nav><footer>{{ year }}</footer>").flags == ()


@pytest.mark.parametrize("markup", ["<h2>{{ heading }}</h2><p>Fees fall.</p>", "<h1>{{ title }}</h1>"])
def test_a_heading_that_was_never_filled_is_no_heading_and_no_title(markup):
    page = parse_html(
        f"<html><head><title>{{{{ t }}}}</title></head><body>{markup}<h1>How orders wait</h1>{LEAD}</body></html>",
        url=None,
    )
    assert page.title == "How orders wait"
    assert "\ue000" not in text_of(page)
    assert page.flags == ("placeholder",)


@pytest.mark.parametrize(
    "markup",
    [
        "<p>Updated: Invalid Date</p>", "<div class='meta'><span>Updated</span> <span>Invalid date</span></div>",
        "<time datetime='Invalid Date'></time>", "<p>NaN-NaN-NaN</p>", "<p>NaN minutes ago</p>", "<p>Last updated NaN</p>",
        "<header><p>Published on undefined NaN, NaN</p></header>",
    ],
)  # fmt: skip
def test_a_broken_date_is_flagged_and_left_out(markup):
    page = parsed(f"<h2>More</h2>{markup}<p>Fees fall at noon.</p>")
    assert page.flags == ("invalid_date",)
    assert (page.published, page.updated) == (None, None)
    assert "nvalid" not in text_of(page)


@pytest.mark.parametrize(
    "markup",
    [
        "<p>If the export shows Invalid Date in its first column, save it again with the date of your own country.</p>",
        "<pre>new Date('x') // Invalid Date</pre>", "<script>var s = 'Invalid Date'</script>", "<p>NaN is no number.</p>",
        "<ul><li><a href='/e'>RangeError: invalid date</a></li><li>Other errors have other names.</li></ul>",
        "<h2>Invalid Date in the export</h2><p>Save it again.</p>",
    ],
)  # fmt: skip
def test_a_page_that_speaks_of_broken_dates_is_not_flagged(markup):
    assert parsed(markup).flags == ()


def test_day_zero_is_no_date():
    assert iso_day("1970-01-01T00:00:00Z") is None
    assert iso_day("January 1, 1970") is None
    assert iso_day("1970-01-02") == "1970-01-02"


def test_a_text_dump_loses_its_unfilled_sentences_and_is_flagged():
    dump = (
        "How orders wait in the book\nUpdated: Invalid Date\n\nOrders wait in the book until their price is there.\n"
        "- Hello {{name}}. Orders are free.\n- {{greeting}}\n\n    curl ${HOST}/orders\n"
    )
    page = parse_text(dump, name="orders.txt")
    assert page.flags == ("placeholder", "invalid_date")
    assert "- Orders are free." in text_of(page)
    assert "{{" not in text_of(page)
    assert "curl ${HOST}/orders" in text_of(page)


def test_a_body_is_flagged_and_kept_whole():
    page = parse_body("Orders wait for {{ price }}.", name="row", title="Orders")
    assert (page.flags, text_of(page)) == (("placeholder",), "Orders wait for {{ price }}.")


def test_markdown_code_is_no_placeholder():
    page = parse_markdown(
        "# Orders\n\nThey wait for {{ price }}. They are free.\n\n```\necho ${HOST}\n```\n", name="a.md"
    )
    assert page.flags == ("placeholder",)
    assert text_of(page) == "They are free.\necho ${HOST}"


def test_a_line_without_placeholders_is_as_it_was():
    assert without_unfilled(marked("  1. Open ${x}. Done.")) == "  1. Done."
    assert without_unfilled(marked("Plain.  Text")) == "Plain.  Text"
    assert prints_broken_date("Invalid Date") is True


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (
            "Las órdenes esperan en el libro hasta que llega su precio, y la primera en llegar es la primera en irse.",
            "es",
        ),
        ("订单在订单簿中等待，直到达到其价格为止。先到的订单先成交。", "zh"),
    ],
)
def test_the_language_is_that_of_the_text_whatever_the_page_says_of_it(text, language):
    head = '<meta property="og:locale" content="en_US">' + "".join(
        f'<link rel="alternate" hreflang="{other}" href="/{other}/a">' for other in ("de", "ru", "x-default")
    )
    menu = "<nav><a href='/'>Home</a> <a href='/fees'>Fees and limits of the exchange</a></nav>"
    page = parse_html(
        f"<html lang='en'><head>{head}</head><body>{menu}<h1>{text[:12]}</h1><p>{text}</p></body></html>", url=HERE
    )
    assert page.language_hint == "en"
    assert page.url == HERE
    assert detect(text_of(page)) == language


def test_a_page_with_some_words_of_another_language_has_the_language_of_most():
    text = (
        "Orders wait in the book. The first to come is the first to go. 币安 is how the exchange is called in Chinese. "
    )
    assert detect(text * 3 + "Las órdenes esperan en el libro.") == "en"


@pytest.mark.parametrize(
    "head",
    [
        '<script type="application/ld+json">' + "[" * 100_000 + "</script>",
        '<script type="application/ld+json">' + '{"a":' * 900 + "1" + "}" * 900 + "</script>",
        "".join(f'<meta name="date{n}" content="2025-01-01">' for n in range(5000)),
        "".join(f'<div class="breadcrumb b{n}">' for n in range(5000)),
        "".join(f'<div class="breadcrumb"><a>{n}</a></div>' for n in range(5000)),
        f"<meta property='og:url' content='{'http://[' * 1000}'>",
    ],
)
def test_a_hostile_head_is_read_in_bounded_time(head):
    start = time.perf_counter()
    meta = read_meta(BeautifulSoup(f"<html><head>{head}</head><body>{LEAD}</body></html>", "lxml"), HERE)
    assert meta.url == HERE
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    "text", ["{{" * 50_000, "[[a" * 30_000, "[insert x" * 20_000, "<insert " * 20_000, "%" * 100_000, " " * 100_000]
)
def test_looking_for_placeholders_takes_bounded_time(text):
    start = time.perf_counter()
    PLACEHOLDER.search(text)
    assert time.perf_counter() - start < 5


def test_half_a_character_in_json_ld_does_not_get_into_the_title():
    html = (
        '<html><head><script type="application/ld+json">{"@type": "Article", "headline": "Fees \\ud83d of a \\ud83d\\ude00 day"}'
        "</script></head><body><p>The fee of a deposit is one euro, and that of a withdrawal is two.</p></body></html>"
    )
    page = parse_html(html, url=None)
    assert page.title.encode("utf-8")
    assert "😀 day" in page.title
