"""Which near-duplicates are found, and what is silenced wrongly: reprints, templates and outdated mirrors made from real help texts.

    python -m benchmarks.duplicates --data DIR [--seed N] [--json FILE]

`--data` is the folder that holds crypto_help and doc2dial_val; the starter articles are taken too. Reprints are to be found,
the other pairs are to be left apart. Each pair stands on two sites, where the rules are weakest; the exchange of none is known.
What `ingest.duplicates` does is under "grouped"; beside it, what the share of equal shingles alone would say at other thresholds.
"""

import argparse
import itertools
import json
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ingest import duplicates
from ingest.article import Article, Section
from ingest.clean import parse_html
from ingest.duplicates import Signature, bands, disagree, from_bytes, jaccard, same, signature, to_bytes

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
FEWEST_WORDS = 60
COINS = ("USDT", "USDC", "BTC", "ETH", "SOL", "XRP", "ADA", "DOGE")
BOILERPLATE = (
    "Welcome to our knowledge portal, where readers from around the world find the guides that we have gathered for them.",
    "We bring you the most useful tutorials each week, so subscribe to our channel and never miss a story again.",
    "Everything on this page is given for information alone and must not be taken as a recommendation to buy anything.",
    "Did you like this piece? Tell your friends, follow us wherever you read, and browse the rest of our collection.",
)
BYLINE = "Written by the editorial team and reviewed by a senior member of our staff for accuracy."

Lines = list[str]
Edit = Callable[[Lines, random.Random, Sequence[str]], Lines]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of pair: how many there are, and what becomes of them.

    :ivar grouped: The share that has a band in common, so that it is compared at all, and is the same.
    :ivar banded: The share that has a band in common.
    :ivar at: The share whose estimated Jaccard reaches each of `THRESHOLDS`, figures and names unseen.
    """

    kind: str
    wanted: bool
    pairs: int
    grouped: float
    banded: float
    at: list[float]


def _boilerplate(lines: Lines, rng: random.Random, _: Sequence[str]) -> Lines:
    return [*rng.sample(BOILERPLATE, 2), *lines, *rng.sample(BOILERPLATE, 2)]


def _byline(lines: Lines, _: random.Random, __: Sequence[str]) -> Lines:
    return [BYLINE, *lines]


def _dropped(lines: Lines, rng: random.Random, _: Sequence[str]) -> Lines:
    return [line for line in lines if rng.random() > 0.15] or lines


def _headings(lines: Lines, rng: random.Random, _: Sequence[str]) -> Lines:
    """Write every second heading in capitals, with something in front, or otherwise."""

    def changed(line: str) -> str:
        return rng.choice((line.upper(), f"Guide: {line}", "What you should know"))

    short = [len(line.split()) < 8 and not re.search(r"\d|[.:]$", line) for line in lines]
    return [
        changed(line) if is_short and rng.random() < 0.5 else line for line, is_short in zip(lines, short, strict=True)
    ]


def _cut(lines: Lines, _: random.Random, __: Sequence[str]) -> Lines:
    words = sum(len(line.split()) for line in lines) * 0.7
    kept: Lines = []
    for line in lines:
        room = int(words) - sum(len(k.split()) for k in kept)
        if room <= 0:
            break
        kept.append(" ".join(line.split()[:room]))
    return kept


def _punctuation(lines: Lines, rng: random.Random, _: Sequence[str]) -> Lines:
    return [
        re.sub(r"[,;:](?= )", lambda m: rng.choice(("", ",", " –")), line).replace("'", "’").replace('"', "”")
        for line in lines
    ]


def _comments(lines: Lines, rng: random.Random, others: Sequence[str]) -> Lines:
    """Put half a page (150 words) of other people's words below."""
    return [*lines, "Comments", " ".join(" ".join(rng.sample(list(others), 6)).split()[:150])]


def _together(*edits: Edit) -> Edit:
    def edit(lines: Lines, rng: random.Random, others: Sequence[str]) -> Lines:
        for one in edits:
            lines = one(lines, rng, others)
        return lines

    return edit


def _figures(lines: Lines, rng: random.Random, _: Sequence[str]) -> Lines:
    """Change one figure, as a page does whose fee or limit was changed."""
    places = [(n, m.span()) for n, line in enumerate(lines) for m in re.finditer(r"(?<=\S )\d+(?:[.,]\d+)*", line)]
    if not places:
        return lines
    n, (start, end) = rng.choice(places)
    changed = str(int(lines[n][start]) + 1) + lines[n][start + 1 : end]
    return [*lines[:n], lines[n][:start] + changed + lines[n][end:], *lines[n + 1 :]]


def _figures_kept(lines: Lines, rng: random.Random, others: Sequence[str]) -> Lines:
    """Change one figure of the first half, which is not cut off."""
    half = len(lines) // 2
    return [*_figures(lines[:half], rng, others), *lines[half:]]


def _coin(lines: Lines, rng: random.Random, _: Sequence[str]) -> Lines:
    """Put another coin's name for the one that is named most, as on the next page of a template."""
    text = "\n".join(lines)
    named = re.findall(
        r"\b(?:USD[TC]|BTC|ETH|SOL|XRP|XAH|WBTC|DAI|Bitcoin|Ethereum|Xahau|MEW|Xaman|Wasabi|DMV|VA|SSA)\b", text
    )
    if not named:
        return lines
    most = max(sorted(set(named)), key=named.count)
    return re.sub(rf"\b{most}\b", rng.choice([c for c in COINS if c != most]), text).split("\n")


REPRINTS: dict[str, Edit] = {
    "boilerplate around": _boilerplate,
    "byline": _byline,
    "dropped paragraphs (15 %)": _dropped,
    "changed headings": _headings,
    "cut to 70 %": _cut,
    "other punctuation": _punctuation,
    "half a page of comments": _comments,
    "boilerplate, byline, headings, punctuation": _together(_headings, _punctuation, _byline, _boilerplate),
    "cut to 70 %, boilerplate": _together(_cut, _boilerplate),
    "dropped paragraphs, comments": _together(_dropped, _comments),
}
DIFFERENT: dict[str, tuple[Edit, Edit | None]] = {
    "one figure changed": (_figures, None),
    "one figure changed, boilerplate": (_figures, _boilerplate),
    "one figure changed, cut to 70 %": (_figures_kept, _cut),
    "coin swapped": (_coin, None),
    "coin swapped, boilerplate": (_coin, _boilerplate),
}


def read(data: Path) -> dict[str, list[Article]]:
    """Read the articles of each set that have `FEWEST_WORDS` words."""
    sets: dict[str, list[Article]] = {}
    for name in ("crypto_help/articles.jsonl", "doc2dial_val/corpus.jsonl"):
        rows = (data / name).read_text(encoding="utf-8").splitlines()
        sets[name.partition("/")[0]] = [_article(r["id"], r["title"], r["text"]) for r in map(json.loads, rows)]
    starter = []
    for path in sorted(Path("corpus").glob("*.html")):
        page = parse_html(path.read_bytes(), url=path.name)
        starter.append(_article(path.stem, page.title, "\n".join(section.text for section in page.sections)))
    sets["starter"] = starter
    return {name: [a for a in articles if len(a.text.split()) >= FEWEST_WORDS] for name, articles in sets.items()}


def _article(article_id: str, title: str, text: str, site: str = "https://site.example/") -> Article:
    section = Section((), "", "prose", text)
    return Article(article_id, site + article_id, title, None, (), "en", "unknown", None, None, None, (section,))


def _edited(
    article: Article, edit: Edit, rng: random.Random, others: Sequence[str], then: Edit | None = None
) -> Article | None:
    lines = [line for line in article.text.split("\n") if line.strip()]
    changed = edit(lines, rng, others)
    if changed == lines:
        return None
    changed = then(changed, rng, others) if then else changed
    return _article(article.id, article.title, "\n".join(changed), "https://mirror.example/")


def _row(kind: str, wanted: bool, pairs: Sequence[tuple[Signature, Signature]]) -> Row:
    estimates = [jaccard(a, b) for a, b in pairs]
    count = max(len(pairs), 1)
    banded = [not set(bands(a)).isdisjoint(bands(b)) for a, b in pairs]
    return Row(
        kind,
        wanted,
        len(pairs),
        sum(shared and same(a, b) for shared, (a, b) in zip(banded, pairs, strict=True)) / count,
        sum(banded) / count,
        [sum(e >= least for e in estimates) / count for least in THRESHOLDS],
    )


def measure(sets: dict[str, list[Article]], seed: int) -> list[Row]:
    """Make the pairs and judge them."""
    rng = random.Random(seed)
    articles = [article for group in sets.values() for article in group]
    others = [s for a in articles for s in re.split(r"(?<=[.!?])\s+", a.text) if 5 < len(s.split()) < 40]
    signed = [signature(article) for article in articles]
    rows = []
    kinds: list[tuple[str, bool, Edit, Edit | None]] = [(kind, True, edit, None) for kind, edit in REPRINTS.items()]
    kinds += [(kind, False, edit, then) for kind, (edit, then) in DIFFERENT.items()]
    for kind, wanted, edit, then in kinds:
        made = [(s, _edited(a, edit, rng, others, then)) for s, a in zip(signed, articles, strict=True)]
        rows.append(_row(kind, wanted, [(s, signature(b)) for s, b in made if b]))
    for name, group in sets.items():
        here = [signature(article) for article in group]
        there = [replace(s, site="mirror.example") for s in here]
        # The sets hold some pages twice, under one title.
        pairs = [
            (a, there[m])
            for n, a in enumerate(here)
            for m in range(n + 1, len(group))
            if group[n].title != group[m].title
        ]
        rows.append(_row(f"two articles of {name}", False, pairs))
    return rows


def close_pairs(sets: dict[str, list[Article]]) -> list[tuple[float, bool, str, str]]:
    """Name the different articles of one set that are most alike: Jaccard, whether they disagree, both titles."""
    found = []
    for group in sets.values():
        signed = [signature(article) for article in group]
        for n, a in enumerate(signed):
            for m in range(n + 1, len(signed)):
                if jaccard(a, signed[m]) >= THRESHOLDS[0] and group[n].title != group[m].title:
                    found.append((jaccard(a, signed[m]), disagree(a, signed[m]), group[n].title, group[m].title))
    return sorted(found, reverse=True)


def speeds(sets: dict[str, list[Article]]) -> dict[str, float]:
    """Time signing (articles of 500 words a second), filing and comparing (a second); seconds of this process alone."""
    articles = [article for group in sets.values() for article in group]
    words = sum(len(article.text.split()) for article in articles)
    signed = [signature(article) for article in articles]
    raw = [to_bytes(s) for s in signed]
    pairs = list(itertools.pairwise(signed))
    return {
        "articles of 500 words signed a second": words / 500 / _best(lambda: [signature(a) for a in articles]),
        "signatures filed under their bands a second": len(signed) / _best(lambda: [bands(s) for s in signed]),
        "pairs estimated a second": len(pairs) / _best(lambda: [jaccard(a, b) for a, b in pairs]),
        "pairs searched for disagreement a second": len(pairs) / _best(lambda: [disagree(a, b) for a, b in pairs]),
        "signatures read a second": len(signed) / _best(lambda: [from_bytes(r) for r in raw]),
        "bytes a signature": sum(map(len, raw)) / len(signed),
    }


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.duplicates", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crypto_help and doc2dial_val")
    parser.add_argument("--seed", type=int, default=1, help="of the edits (default 1)")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args(arguments)
    try:
        sets = read(options.data)
    except OSError as error:
        print(f"{options.data}: {error}; give the folder with crypto_help and doc2dial_val", file=sys.stderr)
        return 2
    rows, speed = measure(sets, options.seed), speeds(sets)
    print(f"articles: {', '.join(f'{name} {len(group)}' for name, group in sets.items())}; seed {options.seed}")
    print(f"threshold {duplicates.THRESHOLD}, {duplicates.PERMUTATIONS} permutations, bands of {duplicates.ROWS}\n")
    print(f"| pairs | | grouped | share a band | {' | '.join(f'J ≥ {t}' for t in THRESHOLDS)} |")
    print("|---|---|---|---|" + "---|" * len(THRESHOLDS))
    for row in rows:
        kind = row.kind if row.wanted else f"{row.kind} (to be left apart)"
        shares = " | ".join(f"{share:.4f}" for share in (row.grouped, row.banded, *row.at))
        print(f"| {kind} | {row.pairs} | {shares} |")
    _summary(rows)
    for jaccard_, apart, one, other in close_pairs(sets)[:20]:
        print(f"alike: {jaccard_:.2f}{' disagree' if apart else ''}: {one[:50]!r} {other[:50]!r}")
    for name, value in speed.items():
        print(f"{name}: {value:,.0f}")
    if options.json:
        options.json.write_text(json.dumps({"rows": [asdict(row) for row in rows], "speed": speed}, indent=1) + "\n")
    return 0


def _summary(rows: Sequence[Row]) -> None:
    """Print precision and recall over all pairs."""
    found = sum(row.grouped * row.pairs for row in rows if row.wanted)
    wrong = sum(row.grouped * row.pairs for row in rows if not row.wanted)
    wanted = sum(row.pairs for row in rows if row.wanted)
    print(
        f"\nrecall {found / wanted:.4f} ({found:.0f} of {wanted}), precision {found / (found + wrong):.4f} ({wrong:.0f} wrong)\n"
    )


if __name__ == "__main__":
    sys.exit(main())
