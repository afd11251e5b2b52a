"""How large the chat widget is, and how long it lets one wait, in a real Chromium in front of a real desk: docs/widget.md.

    make widget-timing                    (PYTHONPATH=.:tests python -m benchmarks.widget docs/widget.md)

Every visit loads the page anew. The page takes the times itself: from the press to the frame in which the text is there. The
first visit of each page is not counted: it warms the desk, the browser's cache and its compiled code.
"""

import argparse
import gzip
import os
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import brotli
from browser import chromium
from widget_page import DEPOSITS, Response, Widget, desk_and_site, page_of

from benchmarks.quality.tables import refresh, table
from service.api.widget import SCRIPT, STATIC

#: Bytes, gzip: what the widget may take. tests/test_widget_build.py holds it to that.
LIMIT = 20_000
#: Counts what disturbs a page from its beginning: shifts of the layout, and tasks of 50 ms and more.
WATCH = """
window.shift = 0; window.long = [];
new PerformanceObserver((list) => list.getEntries().forEach((entry) => { shift += entry.value }))
  .observe({ type: 'layout-shift', buffered: true });
new PerformanceObserver((list) => list.getEntries().forEach((entry) => long.push(entry.duration)))
  .observe({ type: 'longtask', buffered: true });
"""
#: Does something, and gives the milliseconds until the frame after the one in which a selector finds something in sight.
TIMED = """
const [what, selector, text, done] = arguments, root = document.querySelector('citedesk-chat').shadowRoot;
const field = root.querySelector('textarea');
if (field) field.value = text;
const began = performance.now();
root.querySelector(what).click();
const look = () => {
  if (root.querySelector(selector)?.getClientRects().length) requestAnimationFrame(() => done(performance.now() - began));
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visit showed.

    :ivar requests: Requests to the desk before the widget was opened.
    :ivar opened: Milliseconds from the press on the button to its first line.
    :ivar first: Milliseconds from sending the first question to its first sentence; ``later``: of the next one.
    :ivar shift: The layout shift of the whole visit.
    :ivar long: Tasks of 50 ms and more, in milliseconds.
    """

    requests: int
    opened: float
    first: float
    later: float
    shift: float
    long: Sequence[float]


def visit(widget: Widget, address: str, desk: str) -> Visit:
    """Open the widget on a page and ask twice."""
    widget.show(address)
    widget.script("sessionStorage.clear()")
    widget.show(address)
    names = widget.script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    opened = _timed(widget, ".launch", ".hello")
    widget.wait(lambda: widget.all(".often .row"))
    first, later = [
        _timed(widget, ".send", f".turn:nth-child({number}) .lead .said", question)
        for number, question in enumerate(list(DEPOSITS)[:2], 1)
    ]
    widget.wait(lambda: len(widget.all(".turn .tools")) == 2)
    shift, long = widget.script("return [shift, long]")
    return Visit(sum(name.startswith(desk) for name in names), opened, first, later, shift, long)


def sizes() -> list[tuple[str, str]]:
    """Give the rows of the sizes."""
    script = (STATIC / SCRIPT).read_bytes()
    words = [path.read_bytes() for path in sorted(STATIC.glob("widget-*.json"))]
    packed = sorted(len(gzip.compress(each, 9)) for each in words)
    return [
        ("the script, gzip −9", f"{len(gzip.compress(script, 9)):,} bytes, with the English words; the limit is {LIMIT:,}"),
        ("the same, Brotli", f"{len(brotli.compress(script, mode=brotli.MODE_TEXT)):,} bytes"),
        (f"the words of one of {len(words)} more languages, gzip −9", f"{packed[0]:,} to {packed[-1]:,} bytes"),
        ("script and all words in one, gzip −9", f"{len(gzip.compress(script + b''.join(words), 9)):,} bytes, so they are apart"),
    ]  # fmt: skip


def times(english: Sequence[Visit], german: Sequence[Visit]) -> list[tuple[str, str]]:
    """Give the rows of what the visits showed."""
    visits = [*english, *german]
    long = [task for each in visits for task in each.long]
    return [
        ("requests before it is opened", _same(each.requests for each in visits)),
        ("layout shift", f"{max(each.shift for each in visits):g}"),
        ("from the press on the button to the first line", _spread([each.opened for each in english])),
        ("the same where the words have to be read first", _spread([each.opened for each in german])),
        ("from sending the first question, which begins the conversation, to its first sentence",
         _spread([each.first for each in visits])),
        ("from sending the next question to its first sentence", _spread([each.later for each in visits])),
        ("tasks of 50 ms and more", f"{len(long)}, the longest {max(long):.0f} ms" if long else "none"),
    ]  # fmt: skip


def _timed(widget: Widget, what: str, selector: str, text: str = "") -> float:
    return float(widget.driver.execute_async_script(TIMED, what, selector, text))


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f} ms; {min(values):.0f} to {max(values):.0f}"


def _same(values: Iterable[int]) -> str:
    return " to ".join(str(value) for value in sorted(set(values)))


def main() -> None:
    """Measure, print the table, and write it into a document if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("document", type=Path, nargs="?", help="where the table stands, as `<!-- table: widget -->`")
    parser.add_argument("--visits", type=int, default=11, help="visits of each of two pages; default %(default)s")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryDirectory() as profile,
        desk_and_site(Path(home)) as (desk, site, key, _),
        chromium(Path(profile)) as driver,
    ):
        head = '<script src="/watch.js"></script>'
        told = f'data-page-url="{site.url}/help/deposits"'
        site.pages |= {"/watch.js": Response(body=WATCH, content_type="text/javascript"), "/favicon.ico": Response(204)}
        site.pages |= {f"/{code}": page_of(desk, key, head=head, lang=code, attributes=told) for code in ("en", "de")}
        widget = Widget(driver)
        found = {
            code: [visit(widget, f"{site.url}/{code}", desk) for _ in range(given.visits + 1)][1:]
            for code in ("en", "de")
        }
        browser = driver.capabilities["browserVersion"]
    load = os.getloadavg()[0]
    rows = [*sizes(), *times(found["en"], found["de"])]
    made = table(("", f"{given.visits} visits of each of two pages: median; fastest to slowest"), rows)
    about = f"Chromium {browser}, {os.cpu_count()} cores over loopback, other work beside: load {load:.1f}."
    text = f"{made}\n\n{about}"
    print(text)
    if given.document:
        for name in refresh(given.document, {"widget": text}):
            raise SystemExit(f"{given.document} has no place for the table {name}")


if __name__ == "__main__":
    main()
