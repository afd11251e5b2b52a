import random
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.article import Article, IngestError, Section
from ingest.duplicates import (
    PERMUTATIONS,
    bands,
    disagree,
    from_bytes,
    jaccard,
    order,
    same,
    signature,
    speakers,
    to_bytes,
)

DEPOSIT = """\
Before you send anything, open the deposit page of your Kelpex account and choose the coin that you want to deposit.
Choose the network that the sending wallet uses. A deposit over another network cannot be credited automatically.
Copy the address that is shown there. For some coins a memo is shown below it, which has to be sent along.
The smallest deposit is 10 USDT; what is less than that is lost and cannot be paid back to the sender.
A deposit is credited after 12 confirmations, which takes about 15 minutes while the network is not busy.
You can follow it in the history of your wallet, where each deposit has a number and a state of its own.
Withdrawals of the credited amount are possible after 24 hours, and cost 0.1 % of the amount that is withdrawn.
If nothing has arrived after 2 days, write to the help desk and name the transaction hash of your deposit."""

COMMENTS = """\
Comments
Thank you very much for this guide, it has helped me when I was at the point of giving up on my first transfer.
I had the same trouble last winter and my friend told me that patience is all one needs in such a case.
Could somebody tell me please whether the mobile application shows the same page, because I cannot find it there?
Great read as always, keep up the good work and greetings from the north, where nights are long and markets quiet."""


def article(text=DEPOSIT, *, id="a", url="https://kelpex.com/a", title="How to deposit", **fields):
    known = {
        "exchange": None,
        "language": "en",
        "trust": "unknown",
        "published": None,
        "updated": None,
        "fetched": None,
    }
    return Article(id, url, title, products=(), sections=(Section((), "", "prose", text),), **{**known, **fields})


def mirror(text=DEPOSIT, **fields):
    return article(text, **{"id": "m", "url": "https://mirror.example/m", **fields})


def are_same(a, b):
    first, second = signature(a), signature(b)
    assert same(first, second) == same(second, first)
    return same(first, second)


LINES = DEPOSIT.split("\n")
REPRINTS = {
    "as it is": DEPOSIT,
    "with boilerplate around": f"Welcome to our portal of guides and news.\n{DEPOSIT}\nSubscribe to our channel for more of this.",
    "with a byline": f"By the editorial team\n{DEPOSIT}",
    "without a paragraph": "\n".join(LINES[:3] + LINES[4:]),
    "cut to three quarters": "\n".join(LINES[:6]),
    "with other punctuation": DEPOSIT.replace(",", " –").replace(".\n", "\n"),
    "in capitals and on one line": DEPOSIT.upper().replace("\n", " "),
    "with half a page of comments": f"{DEPOSIT}\n{COMMENTS}",
    "with other headings": f"What you should know\n{DEPOSIT}\nThat is all",
    "with figures written otherwise": DEPOSIT.replace("0.1 %", "0.10%").replace("10 USDT", "10.0 USDT"),
}
OTHERS = {
    "another fee": DEPOSIT.replace("0.1 %", "0.2 %"),
    "another number of confirmations": DEPOSIT.replace("12 confirmations", "20 confirmations"),
    "another unit": DEPOSIT.replace("24 hours", "24 days"),
    "another coin": DEPOSIT.replace("USDT", "USDC"),
    "another exchange": DEPOSIT.replace("Kelpex", "Fjordex"),
    "another fee and cut short": "\n".join(LINES[3:]).replace("0.1 %", "0.2 %"),
    "another fee among comments": f"{DEPOSIT}\n{COMMENTS}".replace("0.1 %", "0.2 %"),
}


@pytest.mark.parametrize("text", REPRINTS.values(), ids=REPRINTS)
def test_a_reprint_on_another_site_is_the_same(text):
    assert are_same(article(), mirror(text))


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_what_disagrees_is_not_the_same_however_alike(text):
    first, second = signature(article()), signature(mirror(text))
    assert jaccard(first, second) > 0.4
    assert disagree(first, second)
    assert disagree(second, first)
    assert not are_same(article(), mirror(text))


def test_a_repeated_figure_that_becomes_another_known_one_disagrees():
    text = f"{DEPOSIT}\nThe fee of this is 1 coin and of that there is more.\nThe fee of this is 2 coins and of that there is more."
    assert not are_same(article(text), mirror(text.replace("this is 1 coin", "this is 2 coin")))


def test_pages_of_one_site_that_differ_in_a_heading_are_different():
    assert not are_same(article(), article(f"In short\n{DEPOSIT}", id="b", url="https://help.kelpex.com/b"))


def test_one_page_under_two_addresses_of_a_site_is_the_same():
    assert are_same(article(), article(DEPOSIT.replace("\n", "\n\n"), id="b", url="https://help.kelpex.com/b"))


def test_equal_texts_under_different_titles_of_one_site_are_different():
    assert not are_same(article(title="Deposit USDT"), article(id="b", title="Deposit USDC"))


def test_files_without_an_address_are_compared_as_one_site():
    assert not are_same(article(url="file:///a.html"), article(f"In short\n{DEPOSIT}", id="b", url="file:///b.html"))


def test_languages_are_never_mixed():
    assert not are_same(article(), mirror(language="de"))


def test_two_exchanges_are_never_grouped_and_an_unknown_one_may_be_either():
    assert not are_same(article(exchange="Kraken"), mirror(exchange="Binance"))
    assert are_same(article(exchange="Kraken"), mirror())
    assert are_same(article(exchange="Kraken"), mirror(exchange="Kraken"))


def test_a_short_text_is_the_same_only_where_it_is_equal():
    note = "This feature is not available in your country at present."
    assert are_same(article(note), mirror(note))
    assert not are_same(article(note), mirror(f"{note} Sorry."))
    assert len(bands(signature(article(note)))) == 1


def test_a_chinese_reprint_is_found_and_another_coin_is_not():
    steps = [
        "打开钱包页面并选择您想要充值的币种", "请确认发送方所使用的网络与页面上显示的网络一致", "复制充值地址并粘贴到发送方的钱包中",
        "部分币种需要填写备注否则资金无法自动到账", "最低充值金额为10个USDT低于该金额将无法退还", "网络确认完成之后资金会自动记入您的账户",
    ]  # fmt: skip
    text = "。\n".join(steps)
    assert are_same(article(text, language="zh"), mirror(f"欢迎阅读。\n{text}", language="zh"))
    assert not are_same(article(text, language="zh"), mirror(text.replace("USDT", "USDC"), language="zh"))


def test_a_text_that_cannot_be_encoded_is_signed():
    assert signature(article(f"{DEPOSIT} \ud800")).shingles > 100


def test_the_order_is_trust_then_date_then_id():
    articles = [
        article(id="official", trust="official", fetched="2020-01-01"),
        article(id="partner", trust="partner", updated="2026-01-01"),
        article(id="newer", updated="2025-06-01", fetched="2026-01-01"),
        article(id="older", published="2024-06-01", fetched="2026-01-01"),
        article(id="dateless 1"),
        article(id="dateless 2"),
    ]
    shuffled = random.Random(1).sample(articles, len(articles))
    assert [s.article_id for s in sorted(map(signature, shuffled), key=order)] == [a.id for a in articles]


def silent(articles, seed=0):
    """Silence as a store does: rows (band, article) in SQLite, signatures kept as bytes."""
    store = sqlite3.connect(":memory:")
    store.execute("CREATE TABLE signatures (id TEXT PRIMARY KEY, signature BLOB) STRICT")
    store.execute("CREATE TABLE bands (band INTEGER, id TEXT) STRICT")
    signed = [signature(a) for a in random.Random(seed).sample(articles, len(articles))]
    for one in signed:
        store.execute("INSERT INTO signatures VALUES (?, ?)", (one.article_id, to_bytes(one)))
        store.executemany("INSERT INTO bands VALUES (?, ?)", [(band, one.article_id) for band in bands(one)])

    def candidates(one):
        keys = bands(one)
        query = f"SELECT signature FROM signatures JOIN bands USING (id) WHERE band IN ({','.join('?' * len(keys))})"
        return (from_bytes(data) for (data,) in store.execute(query, keys))

    return speakers(signed, candidates)


def test_a_group_speaks_through_its_most_trusted_then_newest_member():
    group = [
        article(id="own", trust="official", exchange="Kelpex", updated="2020-01-01"),
        mirror(id="new", updated="2026-01-01"),
        mirror(f"By us\n{DEPOSIT}", id="old", url="https://b.example/", updated="2019-01-01"),
    ]
    assert silent(group) == {"new": "own", "old": "own"}
    assert silent(group[1:]) == {"old": "new"}


def test_an_outdated_mirror_is_not_silenced_and_does_not_speak():
    stale = OTHERS["another fee"]
    group = [
        article(id="own", trust="official"),
        mirror(id="good"),
        mirror(stale, id="stale", url="https://c.example/"),
    ]
    assert silent(group) == {"good": "own"}


def test_two_outdated_mirrors_have_one_speaker():
    stale = OTHERS["another fee"]
    group = [
        article(id="own", trust="official"),
        mirror(stale, id="b"),
        mirror(stale, id="a", url="https://c.example/"),
    ]
    assert silent(group) == {"b": "a"}


def test_an_article_about_an_exchange_is_not_silenced_by_one_about_none():
    group = [article(id="a", trust="aggregator"), mirror(id="b", exchange="Kelpex")]
    assert silent(group) == {}
    assert silent([replace(group[0], exchange="Kelpex"), replace(group[1], exchange=None)]) == {"b": "a"}


def test_nobody_is_silenced_through_a_chain():
    words = [f"{a}{b}" for a in "klmnprst" for b in ("ab", "ed", "if", "og", "uv", "ax", "ek", "il", "om", "up")] * 5
    random.Random(2).shuffle(words)
    text = [" ".join(words[start : start + 240]) for start in (0, 60, 120)]
    chain = [mirror(t, id=str(n), url=f"https://{n}.example/", updated=f"2026-01-0{9 - n}") for n, t in enumerate(text)]
    signed = [signature(a) for a in chain]
    assert [same(signed[0], signed[1]), same(signed[1], signed[2]), same(signed[0], signed[2])] == [True, True, False]
    assert speakers(signed, lambda _: signed) == {"1": "0"}


@pytest.mark.parametrize("seed", range(5))
def test_the_outcome_does_not_hang_on_the_order(seed):
    group = [
        mirror(text, id=f"{n}", url=f"https://{n}.example/")
        for n, text in enumerate([*REPRINTS.values(), *OTHERS.values()])
    ]
    found = silent(group)
    assert silent(group, seed) == found
    by_id = {a.id: signature(a) for a in group}
    assert found
    assert all(same(by_id[one], by_id[speaker]) and speaker not in found for one, speaker in found.items())


def test_a_signature_is_the_same_again_and_survives_being_stored():
    signed = signature(article(exchange="Kelpex", updated="2026-01-02", id="ключ"))
    assert signature(article(exchange="Kelpex", updated="2026-01-02", id="ключ")) == signed
    assert from_bytes(to_bytes(signed)) == signed
    assert len(signed.minhash) == 4 * PERMUTATIONS
    assert all(-(2**63) <= band < 2**63 for band in bands(signed))


def test_a_signature_of_another_version_is_refused():
    data = to_bytes(signature(article()))
    with pytest.raises(IngestError, match="another version"):
        from_bytes(b"CDS0" + data[4:])


STORED = to_bytes(signature(article(exchange="Kelpex")))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=500), st.integers(0, len(STORED) - 1))
def test_damaged_bytes_are_refused_by_name(noise, length):
    for damaged in (noise, STORED[:length], STORED + noise + b"."):
        with pytest.raises(IngestError, match="sign the article again"):
            from_bytes(damaged)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(STORED) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_gives_a_signature(at, flip):
    damaged = STORED[:at] + bytes([STORED[at] ^ flip]) + STORED[at + 1 :]
    try:
        read = from_bytes(damaged)
    except IngestError:
        return
    assert read != from_bytes(STORED)
