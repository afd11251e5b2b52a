"""The plots of the page: drawn by matplotlib, as SVG that takes its colours from the page's style sheet.

Texts stay texts, so that they can be read aloud, searched and set in the page's type. No words of askers or articles
are in a plot: they stand in the tables, where the browser has the letters for them.
"""

import io
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from service.answer import Status
from service.insights.summary import Insights, Period
from service.insights.tally import Unit

# Shares of fewer questions have intervals as wide as the plot.
FEW = 5
# Inks that stand for a colour of the style sheet while it is drawn.
_INKS = {
    "#010101": "ink", "#020202": "soft", "#030303": "grid", "#040404": "card", "#050505": "answered",
    "#060606": "clarify", "#070707": "not-covered", "#080808": "declined", "#090909": "down",
}  # fmt: skip
_INK = {name: ink for ink, name in _INKS.items()}
NAMES: dict[Status, str] = {
    "answered": "answered", "clarify": "asked back", "not_covered": "not covered", "declined": "declined",
}  # fmt: skip
_NEW = "new snapshot"
_STATUS_INK: dict[Status, str] = {status: _INK[status.replace("_", "-")] for status in NAMES}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 11,
    "text.color": _INK["soft"], "axes.labelcolor": _INK["soft"], "xtick.color": _INK["soft"],
    "ytick.color": _INK["soft"], "axes.edgecolor": _INK["soft"], "grid.color": _INK["grid"], "axes.facecolor": "none", "figure.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "axes.axisbelow": True,
    "ytick.major.size": 0, "xtick.major.size": 3, "legend.frameon": False, "legend.handlelength": 0.9,
    "legend.handleheight": 0.9, "legend.fontsize": 11,
}  # fmt: skip
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_FONT = re.compile(r"font: (?:[a-z]+ )*([\d.]+)px [^;]*")
_LINK = re.compile(r"url\(#")
# matplotlib keeps its settings for the whole process.
_DRAWING = threading.Lock()


class PlotsMissingError(Exception):
    """matplotlib cannot be used; the message says why, and what to do."""


def over_time(told: Insights) -> str:
    """Draw what became of the questions of each period, and the votes below."""
    periods = told.periods
    voted = any(period.up or period.down for period in periods)

    def draw(figure: Any) -> None:  # noqa: ANN401  (matplotlib's types change from version to version)
        grid = figure.add_gridspec(2 if voted else 1, 1, height_ratios=[3.6, 1] if voted else [1])
        axes = figure.add_subplot(grid[0])
        places = np.arange(len(periods))
        floor = np.zeros(len(periods))
        for status, name in NAMES.items():
            heights = np.array([period.counts[status] for period in periods], float)
            axes.bar(places, heights, 0.82, floor, color=_STATUS_INK[status], label=name, linewidth=0)
            floor += heights
        _whole_numbers(axes, "questions")
        _snapshot_marks(axes, told, floor.max())
        _dates(axes, [period.start for period in periods], told.unit)
        handles, names = axes.get_legend_handles_labels()
        in_order = sorted(zip(handles, names, strict=True), key=lambda item: item[1] == _NEW)  # the mark comes last
        axes.legend(
            *zip(*in_order, strict=True),
            ncols=5,
            loc="lower left",
            bbox_to_anchor=(-0.01, 1.0),
            borderaxespad=0.3,
            columnspacing=1.4,
        )
        if voted:
            below = figure.add_subplot(grid[1], sharex=axes)
            below.bar(places, [period.up for period in periods], 0.82, color=_INK["answered"], linewidth=0)
            below.bar(places, [-period.down for period in periods], 0.82, color=_INK["down"], linewidth=0)
            below.axhline(0, color=_INK["soft"], linewidth=0.8)
            _whole_numbers(below, "votes\ndown · up")
            below.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
            below.tick_params(bottom=False, labelbottom=False)
            below.spines["bottom"].set_visible(False)

    busiest = max(periods, key=lambda period: period.n)
    counts = ", ".join(f"{NAMES[status]} {measure.value or 0:.0%}" for status, measure in told.shares.items())
    description = (
        f"{told.n:,} questions by the {told.unit}: {counts}. The busiest {told.unit} began on "
        f"{moment(busiest.start, told.unit)} UTC, with {busiest.n:,} questions."
    )
    return _svg("time", "Questions over time", description, (11.5, 4.3 if voted else 3.4), draw)


def answered_share(told: Insights) -> str:
    """Draw the share that was answered in each period, with its 95 % interval."""
    from service.evaluation.intervals import wilson

    shown = [(number, period) for number, period in enumerate(told.periods) if period.n >= FEW]
    overall = told.shares["answered"].value or 0.0

    def draw(figure: Any) -> None:  # noqa: ANN401
        axes = figure.add_subplot()
        axes.axhline(overall, color=_INK["soft"], linewidth=1, linestyle=(0, (5, 4)))
        for number, period in shown:
            low, high = wilson(period.counts["answered"], period.n)
            axes.plot([number, number], [low, high], color=_INK["answered"], linewidth=1.4, alpha=0.45)
            axes.plot(number, period.counts["answered"] / period.n, "o", color=_INK["answered"], markersize=4.5, mew=0)
        axes.set_ylim(0, 1.03)
        axes.set_yticks(np.arange(0, 1.01, 0.2))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_ylabel("answered")
        axes.yaxis.grid(visible=True, linewidth=0.8)
        _dates(axes, [period.start for period in told.periods], told.unit)

    description = (
        f"{overall:.0%} of all questions were answered (dashed line). " + "; ".join(
            f"{moment(p.start, told.unit)}: {p.counts['answered'] / p.n:.0%} of {p.n}" for _, p in _picked(shown)
        )
    )  # fmt: skip
    return _svg("share", "Share that was answered", f"{description}.", (5.2, 3.1), draw)


def latency(told: Insights) -> str:
    """Draw how long answers took, on a logarithmic axis; there is at least one."""
    values = np.maximum(told.milliseconds, 0.01)
    low, high = np.floor(5 * np.log10(values.min())) / 5, np.ceil(5 * np.log10(values.max()) + 0.01) / 5

    def draw(figure: Any) -> None:  # noqa: ANN401
        axes = figure.add_subplot()
        axes.hist(values, np.logspace(low, high, 36), color=_INK["answered"], rwidth=0.9, linewidth=0)
        axes.set_xscale("log")
        top = axes.get_ylim()[1]
        for height, (name, value) in zip((1.17, 1.08, 0.99), told.latency.items(), strict=False):
            axes.plot([value, value], [0, top * height], color=_INK["soft"], linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                f"{name}  {value:,.0f} ms", (value, top * height), (5, 0), textcoords="offset points", va="top",
                color=_INK["ink"], fontsize=10.5,
            )  # fmt: skip
        # Room for the words beside the last line.
        axes.set_xlim(10**low, 10 ** max(high, np.log10(max(told.latency["p99"], 0.01)) + 0.3 * (high - low)))
        axes.set_ylim(0, top * 1.2)
        _whole_numbers(axes, "questions")
        axes.set_xlabel("milliseconds, logarithmic")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.tick_params(which="minor", bottom=False, labelbottom=False)
        _log_ticks(axes, low, high)

    told_values = ", ".join(f"{name} {value:,.0f} ms" for name, value in told.latency.items())
    return _svg("latency", "How long answers took", f"{told_values}; n = {len(values):,}.", (5.2, 3.1), draw)


def by_hour(told: Insights) -> str:
    """Draw when questions come in, by the hour of the week in UTC."""
    hours = np.array(told.hours, float).reshape(7, 24)

    def draw(figure: Any) -> None:  # noqa: ANN401
        axes = figure.add_subplot()
        most = max(hours.max(), 1)
        for day, hour in np.argwhere(hours):
            axes.barh(
                day,
                0.9,
                0.86,
                hour + 0.05,
                color=_INK["answered"],
                alpha=0.12 + 0.88 * hours[day, hour] / most,
                linewidth=0,
            )
        axes.set_xlim(0, 24)
        axes.set_ylim(6.6, -0.6)
        axes.set_yticks(range(7), ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
        axes.set_xticks(range(0, 25, 4))
        axes.set_xlabel("hour of the day, UTC")

    day, hour = divmod(int(hours.argmax()), 24)
    name = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[day]
    description = f"Most questions, {hours.max():,.0f}, came on {name}s from {hour}:00 to {hour + 1}:00 UTC."
    return _svg("hours", "When questions come in", description, (5.2, 3.1), draw)


def spark(name: str, counts: Sequence[int]) -> str:
    """Draw how often something was asked in each period, as small as a word; the number stands beside it."""

    def draw(figure: Any) -> None:  # noqa: ANN401
        axes = figure.add_axes((0, 0.04, 1, 0.96))
        axes.bar(range(len(counts)), counts, 0.8, color=_INK["not-covered"], linewidth=0)
        axes.set_xlim(-0.6, len(counts) - 0.4)
        axes.set_ylim(0, max(*counts, 2) * 1.05)
        axes.set_axis_off()
        axes.plot([-0.6, len(counts) - 0.4], [0, 0], color=_INK["soft"], linewidth=0.8)

    return _svg(name, "", "", (1.5, 0.34), draw)


def moment(start: datetime, unit: Unit) -> str:
    """Write when a period begins."""
    return f"{start:%d %b %H:%M}" if unit == "hour" else f"{start:%d %b %Y}"


def _picked(shown: Sequence[tuple[int, Period]]) -> Sequence[tuple[int, Period]]:
    """Give the first, the last, the highest and the lowest of the shares: who wants all has the table."""
    if not shown:
        return []
    by_share = sorted(shown, key=lambda item: item[1].counts["answered"] / item[1].n)
    return sorted(
        {item[0]: item for item in (shown[0], shown[-1], by_share[0], by_share[-1])}.values(), key=lambda i: i[0]
    )


def _whole_numbers(axes: Any, label: str) -> None:  # noqa: ANN401
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(4 if "\n" not in label else 2, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.grid(visible=True, linewidth=0.8)
    axes.set_ylabel(label)


def _log_ticks(axes: Any, low: float, high: float) -> None:  # noqa: ANN401
    steps = [step * 10.0**power for power in range(int(np.floor(low)), int(np.ceil(high)) + 1) for step in (1, 2, 5)]
    ticks = [step for step in steps if low - 1e-9 <= np.log10(step) <= high + 1e-9]
    axes.set_xticks(ticks if len(ticks) <= 7 else [t for t in ticks if f"{t:e}"[0] == "1"])


def _snapshot_marks(axes: Any, told: Insights, top: float) -> None:  # noqa: ANN401
    """Mark where another snapshot answered first, but for the one that answered from the beginning."""
    length = (told.periods[1].start - told.periods[0].start).total_seconds() if len(told.periods) > 1 else 1.0
    places = [
        (datetime.fromisoformat(at) - told.since).total_seconds() / length - 0.5 for _, at in told.snapshots[1:]
    ]  # fmt: skip
    axes.set_ylim(0, max(top, 1) * 1.08)
    if places:
        axes.plot(
            places,
            [max(top, 1) * 1.05] * len(places),
            "v",
            color=_INK["soft"],
            markersize=5,
            mew=0,
            label=_NEW,
        )


def _dates(axes: Any, starts: Sequence[datetime], unit: Unit) -> None:  # noqa: ANN401
    """Write dates below the bars, as many as there is room for."""
    wide = axes.get_figure().get_figwidth() > 6
    step = max(1, -(-len(starts) // (15 if wide else 6)))
    places = list(range(0, len(starts), step))
    axes.set_xlim(-0.7, len(starts) - 0.3)
    axes.set_xticks(
        places, [f"{starts[place]:%H:%M}" if unit == "hour" else f"{starts[place]:%d %b}" for place in places]
    )


def _svg(name: str, title: str, description: str, inches: tuple[float, float], draw: Callable[[Any], None]) -> str:
    """Draw a plot and make it a part of the page.

    :param name: Begins all ids within it; one of its own in a page.
    :param title: Empty for a plot that only repeats what stands beside it: it is hidden from those who do not see it.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotsMissingError("the plots need matplotlib; install citedesk with its extra [insights]") from error
    except OSError as error:
        raise PlotsMissingError(
            "the plots need a folder for matplotlib to write to; name one in MPLCONFIGDIR"
        ) from error
    drawn = io.StringIO()
    style: Any = {**_STYLE, "svg.hashsalt": name}
    with _DRAWING, mpl.rc_context(style):
        figure = Figure(inches, layout=None if not title else "constrained")
        draw(figure)
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return _as_part(ET.fromstring(drawn.getvalue()), name, title, description)


def _as_part(root: ET.Element, name: str, title: str, description: str) -> str:
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            element.set(key, _rewritten(key, value, name))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    if title:
        root.set("role", "img")
        root.set("aria-labelledby", f"{name}-title {name}-desc")
        for place, (tag, text) in enumerate((("title", title), ("desc", description))):
            element = ET.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
            element.text = text
            root.insert(place, element)
    else:
        root.set("aria-hidden", "true")
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return ET.tostring(root, encoding="unicode")


def _rewritten(key: str, value: str, name: str) -> str:
    """Give an attribute with ids of this plot's own, the page's colours and the page's type."""
    if key == "id":
        return f"{name}-{value}"
    if key == f"{{{_XLINK}}}href":
        return f"#{name}-{value[1:]}"
    if key in ("style", "fill", "stroke", "clip-path"):
        value = _LINK.sub(f"url(#{name}-", _FONT.sub(r"font-size: \1px", value))
        for ink, colour in _INKS.items():
            value = value.replace(ink, f"var(--{colour})")
    return value
