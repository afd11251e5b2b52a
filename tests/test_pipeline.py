"""From documents to stored articles: what a page is about is found out, and what cannot be read is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.article import Article
from ingest.articles import to_article
from ingest.exchanges import load_directory
from ingest.files import documents
from ingest.passages import split
from ingest.pipeline import Report, Step, ingest
from ingest.sources import FileSource, find_sources
from ingest.store import CorpusStore

DIRECTORY = load_directory()
BODY = "A trade is matched in the order book. The order that came first is filled first, and the rest waits."
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4


def reading(path: Path, **settings: object) -> FileSource:
    return FileSource(name="pages", path=path, **settings)


def counts(report: Report) -> tuple[int, int, int]:
    return report.new, report.changed, report.unchanged


def page(title: str, body: str = f"<p>{BODY}</p>", *, url: str = "https://help.example/x", lang: str = "en") -> str:
    return (
        f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>'
        f'<link rel="canonical" href="{url}"></head><body><main><h1>{title}</h1>{body}</main></body></html>'
    )


@pytest.fixture
def article(tmp_path) -> Callable[..., Article]:
    """Make an article of a page, as a file with what the operator says of its source."""

    def make(html: str, **said: object) -> Article:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        (document,) = documents(reading(path, **said))
        return to_article(document, DIRECTORY)

    return make


@pytest.fixture
def of_row(tmp_path) -> Callable[..., Article]:
    """Make an article of a row."""

    def make(**row: object) -> Article:
        path = tmp_path / "rows.jsonl"
        path.write_text(json.dumps({"title": "How orders are filled", "text": BODY, **row}), encoding="utf-8")
        (document,) = documents(reading(path))
        return to_article(document, DIRECTORY)

    return make


@pytest.fixture
def read(tmp_path) -> Callable[[Path], tuple[Report, dict[str, Article]]]:
    """Ingest a path into a new store: the report, and the articles by id."""

    def run(path: Path) -> tuple[Report, dict[str, Article]]:
        with CorpusStore(tmp_path / "home" / "corpus.sqlite") as store:
            report = ingest(find_sources(str(path)), store, DIRECTORY)
            return report, {stored.article.id: stored.article for stored in store.articles(status=None)}

    return run


@pytest.fixture(scope="module")
def seed_lines(shared) -> list[str]:
    return (shared / "seed" / "kdj-liquidation-article.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def seed(shared) -> Article:
    (document,) = documents(reading(shared / "seed" / "kdj-liquidation-article.txt"))
    return to_article(document, DIRECTORY)


def test_the_seed_page_says_what_it_is(seed):
    assert seed.id == "kdj-liquidation-article"
    assert seed.title == "Will I owe money if Binance leverage is liquidated? Do I need to make up the margin?"
    assert (seed.published, seed.updated, seed.language) == ("2025-05-16", None, "en")
    assert (seed.exchange, seed.trust) == ("Binance", "aggregator")
    assert "Margin" in seed.products


def test_the_seed_page_has_four_questions_and_its_lists(seed):
    questions = [passage.question for passage in split(seed) if passage.question]
    assert questions == [section.heading_path[-1] for section in seed.sections if section.kind == "faq"]
    assert len(questions) == 4
    lists = [section.text for section in seed.sections if "\n- " in section.text]
    assert [text.count("\n- ") for text in lists] == [3, 3, 3, 3]
    assert not any(line.startswith(("•", "*", "-\t", "– ")) for text in lists for line in text.split("\n"))


def test_no_passage_of_the_seed_page_has_a_line_of_the_boxes_around_it(seed, seed_lines):
    title = seed_lines.index(seed.title)
    disclaimer = next(number for number, line in enumerate(seed_lines) if line.startswith("Disclaimer"))
    noise = {line.strip(" -") for line in (*seed_lines[:title], *seed_lines[disclaimer:])} - {""}
    assert len(noise) > 100
    for passage in split(seed):
        shown = "\n".join((*passage.heading_path, passage.text))
        assert not noise & {line.strip(" -") for line in shown.split("\n")}
        assert not [line for line in noise if len(line) > 25 and line in shown]
        assert not [mark for mark in ("$", "%", "kdj.com", "2025-05-16", "Related knowledge", "...") if mark in shown]


def test_every_line_of_the_seed_pages_article_is_in_a_passage_or_above_one(seed, seed_lines):
    title = seed_lines.index(seed.title)
    disclaimer = next(number for number, line in enumerate(seed_lines) if line.startswith("Disclaimer"))
    shown = "\n".join("\n".join((*passage.heading_path, passage.text)) for passage in split(seed))
    article = [line for line in seed_lines[title + 1 : disclaimer] if line.strip() and not line.startswith("May 16")]
    assert [line for line in article if line.removeprefix("Q: ").removeprefix("A: ") not in shown] == []


def test_an_official_domain_tells_exchange_and_trust_whatever_the_text_says(article):
    found = article(page("Fees on Bybit and OKX", url="https://support.kraken.com/hc/fees"))
    assert (found.exchange, found.trust) == ("Kraken", "official")


def test_a_domain_that_only_ends_like_an_exchanges_is_not_official(article):
    assert article(page("How orders are filled", url="https://notkraken.com/fees")).trust == "unknown"


def test_a_title_tells_the_exchange(article):
    found = article(page("How orders are filled on Bybit"))
    assert (found.exchange, found.trust) == ("Bybit", "unknown")


def test_an_address_tells_the_exchange_that_the_title_does_not(article):
    assert article(page("How orders are filled", url="https://help.example/kraken/orders")).exchange == "Kraken"


def test_the_exchange_that_a_text_mostly_speaks_of_is_its_exchange(article):
    lines = [f"<p>Rule {number}: {text}</p>" for number, text in enumerate(["OKX fills orders by time."] * 4)]
    assert article(page("How orders are filled", "".join([*lines, "<p>Kraken does, too.</p>"]))).exchange == "OKX"


@pytest.mark.parametrize(
    "lines",
    [
        ["OKX fills orders by time.", "OKX also cancels."],
        ["OKX fills orders by time."] * 4 + ["Kraken fills orders by size."] * 2,
    ],
    ids=["too few mentions", "too many of another"],
)
def test_a_passing_mention_does_not_make_an_exchange(article, lines):
    assert article(page("How orders are filled", "".join(f"<p>{line} {BODY}</p>" for line in lines))).exchange is None


def test_a_comparison_in_the_title_is_about_no_one_exchange(article):
    assert article(page("Bybit or Kraken: how orders are filled")).exchange is None


def test_what_the_row_or_the_operator_says_goes_first(article, of_row):
    assert of_row(exchange="okex", url="https://www.kraken.com/fees").exchange == "OKX"
    assert of_row(exchange="  Kelpex   Pro ").exchange == "Kelpex Pro"
    assert of_row(exchange="   ").exchange is None
    assert article(page("Fees on Bybit"), exchange="Kelpex").exchange == "Kelpex"


def test_products_are_named_most_prominent_first(article):
    found = article(page("Staking, and spot", "<p>Futures are one thing, futures by margin trading another.</p>"))
    assert found.products == ("Staking", "Spot", "Futures", "Margin")


@pytest.mark.parametrize(
    ("body", "language"),
    [
        ("Los retiros de bitcoin se envían cada diez minutos. Una dirección nueva espera veinticuatro horas.", "es"),
        ("Auszahlungen werden alle zehn Minuten gesendet. Eine neue Adresse muss einen Tag lang warten.", "de"),
        ("比特币提现每十分钟发送一次。新地址需要等待二十四小时。", "zh"),
    ],
)
def test_the_language_is_that_of_the_text_not_of_the_mark(article, body, language):
    assert article(page(body[:12], f"<p>{body}</p>", lang="en")).language == language


def test_a_row_keeps_its_id_address_language_and_dates(of_row):
    found = of_row(
        id="kb/17 – fees", url="https://x.example/17", language="pt-BR", updated="2026-05-01T09:00:00Z",
        published="May 2, 2025",
    )  # fmt: skip
    assert (found.id, found.url, found.language) == ("kb/17 – fees", "https://x.example/17", "pt-BR")
    assert (found.updated, found.published) == ("2026-05-01", "2025-05-02")


def test_a_row_without_id_and_address_is_named_after_its_file_and_line(of_row, tmp_path):
    found = of_row()
    assert found.id == "rows-line-1"
    assert found.url == f"{(tmp_path / 'rows.jsonl').as_uri()}#line-1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.example/hc/en-us/articles/360-How-to-Withdraw?ref=1#top", "360-how-to-withdraw"),
        ("https://x.example/help/fees.html", "fees"),
        ("https://x.example/help/%E6%89%8B%E7%BB%AD%E8%B4%B9", "手续费"),
        ("https://x.example/help/fees/", "fees"),
        ("https://x.example/", "page"),
    ],
)
def test_an_id_is_made_from_the_last_part_of_the_address(article, url, expected):
    assert article(page("How orders are filled", url=url)).id == expected


def test_a_base_address_is_that_of_pages_that_name_none(tmp_path):
    pages = tmp_path / "pages"
    (pages / "deep").mkdir(parents=True)
    (pages / "deep" / "fees.md").write_text(f"# How orders are filled\n\n{BODY}\n", encoding="utf-8")
    (document,) = documents(reading(pages, base_url="https://help.example/en/"))
    assert to_article(document, DIRECTORY).url == "https://help.example/en/deep/fees"


def test_what_cannot_be_read_is_named_and_the_rest_is_ingested(tmp_path, read):
    pages = tmp_path / "pages"
    pages.mkdir()
    whole = page("Crédit – how orders are filled", url="")
    broken = {
        "blank.html": b" \n\t",
        "bodiless.html": b"<html><body><nav><a href='/'>Home</a></nav><div id='app'></div></body></html>",
        "empty.html": b"",
        "picture.html": PNG,
        "picture.txt": PNG,
    }
    good = {
        "cp1252.html": whole.encode("cp1252"),
        "plain.html": whole.encode(),
        "truncated.html": whole.encode()[: -len("the rest waits.</p></main></body></html>")],
        "utf16.html": whole.encode("utf-16"),
        "utf16.txt": f"How orders are filled – Crédit\n\n{BODY}\n".encode("utf-16"),
    }
    for name, data in {**broken, **good}.items():
        (pages / name).write_bytes(data)
    report, articles = read(pages)
    assert [problem.split(":")[0] for problem in report.problems] == [str(pages / name) for name in sorted(broken)]
    assert report.read == report.new == len(good) == len(articles)
    assert all("Crédit" in article.title and "–" in article.title for article in articles.values())
    assert all(BODY[:40] in article.text for article in articles.values())


@pytest.mark.parametrize("data", [b"", PNG, b"<html><body></body></html>"], ids=["empty", "picture", "no text"])
def test_a_page_that_cannot_be_read_says_what_to_do(tmp_path, read, data):
    (tmp_path / "page.html").write_bytes(data)
    report, _ = read(tmp_path / "page.html")
    (said,) = report.problems
    assert said.startswith(f"{tmp_path / 'page.html'}: ")
    assert any(word in said for word in ("fetch it again", "give the page as", "give it as"))


def test_ingesting_again_changes_nothing_and_a_new_text_is_a_change(small_source, read):
    assert counts(read(small_source)[0]) == (2, 0, 0)
    assert counts(read(small_source)[0]) == (0, 0, 2)
    small_source.write_text(small_source.read_text().replace("ten minutes", "five minutes"))
    report, _ = read(small_source)
    assert counts(report) == (0, 1, 1)
    assert report.cleaned == 1


def test_two_pages_of_one_name_are_both_kept(tmp_path, read):
    for name in ("kelpex", "mirador"):
        (tmp_path / "pages" / name).mkdir(parents=True)
        (tmp_path / "pages" / name / "fees.txt").write_text(f"How {name} fills your orders\n\n{BODY}\n")
    report, articles = read(tmp_path / "pages")
    assert counts(report) == (2, 0, 0)
    assert {article.title for article in articles.values()} == {
        "How kelpex fills your orders",
        "How mirador fills your orders",
    }
    assert "fees" in articles


def test_the_store_knows_where_a_row_was_read_and_its_limit_of_age(tmp_path, small_source):
    with CorpusStore(tmp_path / "home" / "corpus.sqlite") as store:
        seen: list[Step] = []
        ingest([reading(small_source, max_age_days=90)], store, DIRECTORY, seen.append)
        stored = store.get("mirador-withdrawals")
    assert stored.source == f"{small_source}:2"
    assert stored.max_age_days == 90
    assert {step.source for step in seen} == {"pages"}
    assert [step.cleaned for step in seen][-1] <= 2
