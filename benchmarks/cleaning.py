r"""How well pages are cleaned: word F1 against trafilatura, and what of the starter corpus is recovered.

The metric is that of the WCXB benchmark (its ``evaluate.py``): words are ``\w+`` in lower case, counted as a bag; F1 of each
page, mean over pages. A header cell that is repeated with each row of a table counts once, since the page says it once.
The peer is trafilatura's ``extract`` with the better of its default and its recall setting. Pages are halved by a hash of
their id; rules were chosen on the half ``tune``, so ``report`` is the half to believe.
"""

import argparse
import gzip
import hashlib
import json
import random
import re
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import trafilatura
from bs4 import BeautifulSoup, Tag
from rich.console import Console
from rich.table import Table

from ingest.article import Page, PageError, Section
from ingest.clean import parse_html

CORPUS = Path(__file__).parents[1] / "corpus"
#: F1 that the cleaning has to be ahead, over all pages and for each type of page.
TARGET = 0.03
#: Seconds for one page and one cleaner.
LIMIT = 20
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Score:
    """One page's score: word F1, precision and recall, 0 to 1; shares of wanted and unwanted snippets found; seconds."""

    f1: float
    precision: float
    recall: float
    present: float
    absent: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two cleaners over the same pages; ``low`` to ``high`` is the 95 % interval of the difference in mean F1."""

    pages: int
    ours: Score
    peer: Score
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many of the things that the starter corpus's HTML holds came out of cleaning whole."""

    found: int
    there: int
    missed: tuple[str, ...]


def half_of(page_id: str) -> str:
    """Give the half that a page belongs to, ``tune`` or ``report``."""
    return "report" if hashlib.sha256(page_id.encode()).digest()[0] % 2 else "tune"


def word_scores(text: str, truth: str) -> tuple[float, float, float]:
    """Give F1, precision and recall of the words of a text.

    >>> word_scores("a b b", "a b c")
    (0.6666666666666666, 0.6666666666666666, 0.6666666666666666)
    """
    found, wanted = (Counter(re.findall(r"\w+", each.lower())) for each in (text, truth))
    if not found or not wanted:
        same = float(not found and not wanted)
        return same, same, same
    both = (found & wanted).total()
    precision, recall = both / found.total(), both / wanted.total()
    return (2 * precision * recall / (precision + recall) if both else 0.0), precision, recall


def page_text(page: Page) -> str:
    """Give a page's text as one reads it: each heading once, each header cell of a table once."""
    lines = [page.title]
    above: tuple[str, ...] = ()
    for section in page.sections:
        common = next((i for i, (a, b) in enumerate(zip(above, section.heading_path, strict=False)) if a != b), None)
        same = min(len(above), len(section.heading_path)) if common is None else common
        lines += [*section.heading_path[same:], _unrepeated(section)]
        above = section.heading_path
    return "\n".join(lines)


def _unrepeated(section: Section) -> str:
    if section.kind != "table":
        return section.text
    seen: set[str] = set()
    lines: list[str] = []
    for line in section.text.split("\n"):
        cells: list[str] = []
        for cell in line.split(" | "):
            name, colon, value = cell.partition(": ")
            cells.append(value if colon and name in seen else cell)
            seen |= {name} if colon else set()
        lines.append(" | ".join(cells))
    return "\n".join(lines)


def _ours(html: bytes, url: str) -> str:
    try:
        return page_text(parse_html(html, url=url))
    except PageError:
        return ""


def _peer(html: bytes, url: str, **settings: Any) -> str:  # noqa: ANN401  (trafilatura's own settings)
    return trafilatura.extract(html, url=url, **settings) or ""


class _TooLongError(Exception):
    pass


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def score_page(clean: Callable[[bytes, str], str], html: bytes, row: dict[str, Any]) -> Score:
    """Clean a page and score its text; one that takes more than ``LIMIT`` seconds has no text."""
    start = time.perf_counter()
    try:
        with _limited(LIMIT):
            text = clean(html, row["url"])
    except _TooLongError:
        text = ""
    seconds = time.perf_counter() - start
    lowered = text.lower()
    there = [snippet.lower() in lowered for snippet in row["with"]]
    unwanted = [snippet.lower() not in lowered for snippet in row["without"]]
    present, absent = (sum(found) / len(found) if found else 1.0 for found in (there, unwanted))
    f1, precision, recall = word_scores(text, row["truth"])
    return Score(f1, precision, recall, present, absent, seconds)


def compare(ours: list[Score], peer: list[Score]) -> Comparison:
    """Compare two cleaners page by page, with a paired bootstrap."""
    differences = [a.f1 - b.f1 for a, b in zip(ours, peer, strict=True)]
    chance = random.Random(0)
    means = sorted(statistics.fmean(chance.choices(differences, k=len(differences))) for _ in range(_RESAMPLES))
    low, high = means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES) - 1]
    return Comparison(len(ours), _mean(ours), _mean(peer), statistics.fmean(differences), low, high)


def _mean(scores: list[Score]) -> Score:
    return Score(
        f1=statistics.fmean(s.f1 for s in scores),
        precision=statistics.fmean(s.precision for s in scores),
        recall=statistics.fmean(s.recall for s in scores),
        present=statistics.fmean(s.present for s in scores),
        absent=statistics.fmean(s.absent for s in scores),
        seconds=statistics.median(s.seconds for s in scores),
    )


def measure(data: Path, half: str) -> dict[str, Comparison]:
    """Compare over all pages of a half and over each type of page; the peer is trafilatura at its better setting."""
    rows = [json.loads(line) for line in (data / "truth.jsonl").read_text(encoding="utf-8").split("\n") if line]
    rows = [row for row in rows if half in ("all", half_of(row["id"]))]
    peers: list[Callable[[bytes, str], str]] = [_peer, lambda html, url: _peer(html, url, favor_recall=True)]
    scores: list[list[Score]] = []
    for row in rows:
        html = gzip.decompress((data / row["html"]).read_bytes())
        scores.append([score_page(clean, html, row) for clean in (_ours, *peers)])
    best = max((1, 2), key=lambda number: statistics.fmean(each[number].f1 for each in scores))
    found: dict[str, Comparison] = {}
    for kind in ("all", *sorted({row["type"] for row in rows})):
        chosen = [each for row, each in zip(rows, scores, strict=True) if kind in ("all", row["type"])]
        found[kind] = compare([each[0] for each in chosen], [each[best] for each in chosen])
    return found


def recover(folder: Path) -> dict[str, Recovered]:
    """Look up every FAQ pair, step list and table row of the folder's pages in what cleaning makes of them."""
    checks = {"FAQ pairs": _lost_pairs, "step lists": _lost_steps, "table rows": _lost_rows}
    found: dict[str, Recovered] = {}
    pages = [(path.name, path.read_bytes()) for path in sorted(folder.glob("*.html"))]
    cleaned = {name: parse_html(html, url=name) for name, html in pages}
    for what, check in checks.items():
        results = [(name, check(BeautifulSoup(html, "lxml"), cleaned[name])) for name, html in pages]
        there = sum(count for _, (count, _) in results)
        missed = tuple(f"{name}: {text}" for name, (_, texts) in results for text in texts)
        found[what] = Recovered(there - len(missed), there, missed)
    return found


def _lost_pairs(soup: BeautifulSoup, page: Page) -> tuple[int, list[str]]:
    """Check the pairs that the page's own JSON-LD lists, that its ``details`` show, and its ``Q:`` lines."""
    pairs = {_fold(s.heading_path[-1]): _fold(s.text) for s in page.sections if s.kind == "faq"}
    asked: dict[str, str] = {}
    for script in soup.find_all("script", type="application/ld+json"):
        asked.update(_listed(json.loads(script.get_text())))
    for details in soup.find_all("details"):
        summary = details.find("summary")
        if summary and summary.get_text(strip=True).endswith("?"):
            question = summary.extract().get_text(" ")
            asked[question] = details.get_text(" ")
    for text in (paragraph.get_text("\n") for paragraph in soup.find_all("p")):
        match = re.fullmatch(r"\s*Q: (.+?)\s*\n\s*A: (.+)", text, re.DOTALL)
        if match:
            asked[match[1]] = match[2]
    unique = {_fold(question): (question, _fold(answer)) for question, answer in asked.items()}
    lost = [question for key, (question, answer) in unique.items() if not _same(answer, pairs.get(key, ""))]
    return len(unique), lost


def _same(answer: str, found: str) -> bool:
    """Tell whether an answer is there, whole; cleaning numbers the steps in it, which the page's HTML does not."""
    return bool(found) and re.sub(r"\d", "", answer) in re.sub(r"\d", "", found)


def _listed(value: object) -> dict[str, str]:
    if isinstance(value, list):
        return {key: text for item in value for key, text in _listed(item).items()}
    if not isinstance(value, dict):
        return {}
    answer = value.get("acceptedAnswer")
    if value.get("@type") == "Question" and isinstance(answer, dict):
        return {value["name"]: BeautifulSoup(answer["text"], "lxml").get_text(" ")}
    return _listed(list(value.values()))


def _lost_steps(soup: BeautifulSoup, page: Page) -> tuple[int, list[str]]:
    texts = [_fold(s.text) for s in page.sections if s.kind in ("steps", "faq")]
    lists = [tag for tag in soup.find_all("ol") if not _is_around(tag) and _tells_what_to_do(tag)]
    lost: list[str] = []
    for steps in lists:
        items = [_fold(item.get_text(" ")) for item in steps.find_all("li", recursive=False)]
        shape = re.compile(r"\d*".join(map(re.escape, items)))
        if not any(shape.search(text) for text in texts):
            lost.append(" ".join(steps.get_text(" ").split())[:80])
    return len(lists), lost


def _lost_rows(soup: BeautifulSoup, page: Page) -> tuple[int, list[str]]:
    lines = [_fold(line) for s in page.sections if s.kind in ("table", "faq") for line in s.text.split("\n")]
    count, lost = 0, []
    for table in [tag for tag in soup.find_all("table") if not _is_around(tag) and tag.find("th")]:
        first = table.find("tr")
        heads = [_fold(cell.get_text(" ")) for cell in first.find_all("th")] if first else []
        for row in [row for row in table.find_all("tr") if row.find("td")]:
            cells = [_fold(cell.get_text(" ")) for cell in row.find_all(["td", "th"])]
            wanted = [*cells, *(heads[1:] if len(heads) == len(cells) else [])]
            count += 1
            if not any(all(part in line for part in wanted) for line in lines):
                lost.append(" ".join(row.get_text(" ").split())[:80])
    return count, lost


def _is_around(tag: Tag) -> bool:
    """Tell whether a list or table stands in what is around an article: menus, comments, breadcrumbs, sources."""
    if tag.find_parent(["nav", "header", "footer", "aside"]) is not None:
        return True
    heading = tag.find_previous(["h1", "h2", "h3"])
    names = " ".join(str(outer.get(key) or "") for outer in (tag, *tag.parents) for key in ("class", "id"))
    return (heading is not None and _fold(heading.get_text()) == "sources") or bool(re.search(r"comm|cmt|crumb", names))


def _tells_what_to_do(steps: Tag) -> bool:
    """Tell whether an ordered list holds sentences; the trails and names around an article are none."""
    return any(item.get_text(strip=True).endswith((".", "!", "?", "。", ":")) for item in steps.find_all("li"))


def _fold(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def _print(comparisons: dict[str, Comparison], recovered: dict[str, Recovered], half: str) -> None:
    console = Console()
    table = Table(title=f"Word F1, half: {half}", title_justify="left")
    console.width = max(console.width, 140)
    for name in ("pages", "n", "ours", "P", "R", "trafilatura", "P", "R", "difference (95 %)", "ms a page"):
        table.add_column(name, justify="left" if name == "pages" else "right")
    for kind, each in comparisons.items():
        scores = [f"{v:.3f}" for s in (each.ours, each.peer) for v in (s.f1, s.precision, s.recall)]
        interval = f"{each.difference:+.3f} ({each.low:+.3f} to {each.high:+.3f})"
        times = f"{1000 * each.ours.seconds:.0f} / {1000 * each.peer.seconds:.0f}"
        table.add_row(kind, str(each.pages), *scores, interval, times)
    console.print(table)
    total = comparisons["all"]
    for name, score in (("ours", total.ours), ("trafilatura", total.peer)):
        console.print(f"{name}: wanted snippets present {score.present:.3f}, unwanted absent {score.absent:.3f}")
    for what, thing in recovered.items():
        console.print(f"starter corpus, {what}: {thing.found} of {thing.there}")
        for text in thing.missed:
            console.print(f"  missed {text}", markup=False)


def main() -> int:
    """Measure, print, and say whether the targets are reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of truth.jsonl and html/")
    parser.add_argument("--half", choices=("tune", "report", "all"), default="report")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    comparisons, recovered = measure(arguments.data, arguments.half), recover(CORPUS)
    if arguments.json:
        results = {"half": arguments.half, "f1": comparisons, "recovered": recovered}
        print(json.dumps(results, default=asdict, indent=2, ensure_ascii=False))
    else:
        _print(comparisons, recovered, arguments.half)
    ahead = all(each.difference >= TARGET for each in comparisons.values())
    return int(not (ahead and all(each.found == each.there for each in recovered.values())))


if __name__ == "__main__":
    sys.exit(main())
