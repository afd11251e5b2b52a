"""The plots of what was measured: drawn by matplotlib, as SVG files that follow a light and a dark page."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Inks that stand for a colour of the style sheet while it is drawn.
_INKS = {
    "ink": "#010101",
    "soft": "#020202",
    "grid": "#030303",
    "on": "#040404",
    "off": "#050505",
    "cold": "#060606",
    "bad": "#070707",
}
_STYLE = """<style>:root{--paper:#fdfcfa;--ink:#1b2330;--soft:#566072;--grid:#e3e6eb;--on:#1d5fb4;--off:#4d7a2a;--cold:#8a4fb0;--bad:#b5480c}
@media (prefers-color-scheme:dark){:root{--paper:#11151b;--ink:#e8ecf2;--soft:#a3aebd;--grid:#2b3441;--on:#82b4ff;--off:#a5d57c;--cold:#cfa4ec;
--bad:#ffa366}}text{font-family:system-ui,"Segoe UI",Roboto,sans-serif}</style><rect width="100%" height="100%" fill="var(--paper)"/>"""
_RC: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "load", "font.size": 11, "text.color": _INKS["soft"],
    "axes.labelcolor": _INKS["soft"], "xtick.color": _INKS["soft"], "ytick.color": _INKS["soft"],
    "axes.edgecolor": _INKS["soft"], "grid.color": _INKS["grid"], "axes.facecolor": "none", "figure.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "legend.frameon": False,
}  # fmt: skip
READERS = {"on": "reader on", "off": "reader off", "cold": "reader, nothing remembered"}
SECOND = 1.0


def levels_plot(levels: Sequence[Mapping[str, Any]]) -> str:
    """Draw answers a second, and how long they took, over the number of connections."""

    def draw(figure: Any) -> None:  # noqa: ANN401  (matplotlib's types change from version to version)
        rates, times = figure.subplots(1, 2)
        for reader, name in READERS.items():
            rows = [level for level in levels if level["reader"] == reader]
            at = [row["connections"] for row in rows]
            if not rows:
                continue
            rates.plot(at, [row["answers_per_second"] for row in rows], "o-", color=_INKS[reader], label=name)
            times.plot(at, [row["p50_ms"] for row in rows], "o-", color=_INKS[reader])
            times.fill_between(
                at,
                [row["p50_ms"] for row in rows],
                [row["p99_ms"] for row in rows],
                color=_INKS[reader],
                alpha=0.16,
                linewidth=0,
            )
            times.plot(at, [row["p95_ms"] for row in rows], "--", color=_INKS[reader], linewidth=1)
        for axes in (rates, times):
            axes.set_xscale("log", base=2)
            ticks = sorted({level["connections"] for level in levels})
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.set_xlabel("connections that ask without a pause")
            axes.set_ylim(0)
            axes.grid(visible=True, axis="y")
        rates.set_ylabel("answers a second")
        times.set_ylabel("ms: p50, p95 (dashed), p99 (shade)")
        rates.legend(loc="best")

    return _svg("Answers a second and their latency over connections", (9.2, 3.4), draw)


def overload_plot(run: Mapping[str, Any]) -> str:
    """Draw the latency of those who were let in, those who were sent away, and the memory."""

    def draw(figure: Any) -> None:  # noqa: ANN401
        times, sheds, memory = figure.subplots(3, 1, sharex=True, height_ratios=[2, 1, 1])
        at, took = np.array(run["accepted"]).T
        times.plot(at, 1000 * took, ".", color=_INKS["on"], markersize=3)
        limit = 2 * run["capacity_p95_ms"]
        times.axhline(limit, color=_INKS["bad"], linewidth=1, linestyle=(0, (5, 4)))
        times.annotate("twice the p95 at capacity", (0, limit), (2, 3), textcoords="offset points", color=_INKS["ink"])
        times.set_ylim(0, max(1.15 * limit, 1050 * took.max()))
        times.set_ylabel("ms to an answer")
        counts, edges = np.histogram(run["shed_at"], np.arange(0, run["seconds"] + SECOND, SECOND))
        sheds.bar(edges[:-1], counts, SECOND, align="edge", color=_INKS["bad"], linewidth=0)
        sheds.set_ylabel("sent away / s")
        sheds.set_xlim(0, run["seconds"])
        memory.plot(*np.array(run["memory"]).T, color=_INKS["ink"])
        memory.set_ylim(0)
        memory.set_ylabel("MB resident")
        memory.set_xlabel("seconds")

    return _svg(f"{run['rate']:.0f} questions a second where {run['capacity']:.0f} can be answered", (9.2, 5.2), draw)


def breaking_plot(trials: Sequence[Mapping[str, Any]]) -> str:
    """Draw for each trial what was answered, sent away and lost, second by second."""

    def draw(figure: Any) -> None:  # noqa: ANN401
        rows = figure.subplots(len(trials), 1, squeeze=False)[:, 0]
        for axes, trial in zip(rows, trials, strict=True):
            ends = np.array(trial["timeline"]).T
            edges = np.arange(0, ends[0].max() + SECOND / 2, SECOND / 2)
            floor = np.zeros(len(edges) - 1)
            for codes, ink in (((200,), "on"), ((503,), "off"), ((0,), "bad")):
                counts, _ = np.histogram(ends[0][np.isin(ends[1], codes)], edges)
                axes.bar(edges[:-1], counts, SECOND / 2, floor, align="edge", color=_INKS[ink], linewidth=0)
                floor += counts
            axes.axvline(trial["at"], color=_INKS["ink"], linewidth=1)
            axes.axvline(trial["at"] + trial["recovered"], color=_INKS["ink"], linewidth=1, linestyle=(0, (3, 3)))
            axes.set_title(trial["name"], loc="left", fontsize=11, color=_INKS["ink"])
        rows[-1].set_xlabel("seconds; questions in half a second: answered (blue), sent away (green), lost (orange)")

    return _svg("What was answered around a kill or a change", (9.2, 1.5 * len(trials) + 0.4), draw)


def write(folder: Path, drawn: Mapping[str, str]) -> None:
    """Write plots into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in drawn.items():
        (folder / f"{name}.svg").write_text(drawing, encoding="utf-8")


def _svg(title: str, inches: tuple[float, float], draw: Callable[[Any], None]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    drawn = io.StringIO()
    with mpl.rc_context(_RC):
        figure = Figure(inches, layout="constrained")
        draw(figure)
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawn.getvalue(), flags=re.DOTALL)
    for name, ink in _INKS.items():
        text = text.replace(ink, f"var(--{name})")
    text = re.sub(r"'[^']*', sans-serif", "sans-serif", text)
    opening = re.search(r"<svg [^>]*>", text)
    if opening is None:
        raise RuntimeError("matplotlib wrote no SVG")
    return text.replace(opening[0], f"{opening[0]}<title>{title}</title>{_STYLE}", 1)
