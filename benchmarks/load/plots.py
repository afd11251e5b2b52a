"""The plots of what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.figures import INKS, svg

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
            rates.plot(at, [row["answers_per_second"] for row in rows], "o-", color=INKS[reader], label=name)
            times.plot(at, [row["p50_ms"] for row in rows], "o-", color=INKS[reader])
            times.fill_between(
                at,
                [row["p50_ms"] for row in rows],
                [row["p99_ms"] for row in rows],
                color=INKS[reader],
                alpha=0.16,
                linewidth=0,
            )
            times.plot(at, [row["p95_ms"] for row in rows], "--", color=INKS[reader], linewidth=1)
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

    return svg("Answers a second and their latency over connections", (9.2, 3.4), draw)


def overload_plot(run: Mapping[str, Any]) -> str:
    """Draw the latency of those who were let in, those who were sent away, and the memory."""

    def draw(figure: Any) -> None:  # noqa: ANN401
        times, sheds, memory = figure.subplots(3, 1, sharex=True, height_ratios=[2, 1, 1])
        at, took = np.array(run["accepted"]).T
        times.plot(at, 1000 * took, ".", color=INKS["on"], markersize=3)
        limit = 2 * run["capacity_p95_ms"]
        times.axhline(limit, color=INKS["bad"], linewidth=1, linestyle=(0, (5, 4)))
        times.annotate("twice the p95 at capacity", (0, limit), (2, 3), textcoords="offset points", color=INKS["ink"])
        times.set_ylim(0, max(1.15 * limit, 1050 * took.max()))
        times.set_ylabel("ms to an answer")
        counts, edges = np.histogram(run["shed_at"], np.arange(0, run["seconds"] + SECOND, SECOND))
        sheds.bar(edges[:-1], counts, SECOND, align="edge", color=INKS["bad"], linewidth=0)
        sheds.set_ylabel("sent away / s")
        sheds.set_xlim(0, run["seconds"])
        memory.plot(*np.array(run["memory"]).T, color=INKS["ink"])
        memory.set_ylim(0)
        memory.set_ylabel("MB resident")
        memory.set_xlabel("seconds")

    return svg(f"{run['rate']:.0f} questions a second where {run['capacity']:.0f} can be answered", (9.2, 5.2), draw)


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
                axes.bar(edges[:-1], counts, SECOND / 2, floor, align="edge", color=INKS[ink], linewidth=0)
                floor += counts
            axes.axvline(trial["at"], color=INKS["ink"], linewidth=1)
            axes.axvline(trial["at"] + trial["recovered"], color=INKS["ink"], linewidth=1, linestyle=(0, (3, 3)))
            axes.set_title(trial["name"], loc="left", fontsize=11, color=INKS["ink"])
        rows[-1].set_xlabel("seconds; questions in half a second: answered (blue), sent away (green), lost (orange)")

    return svg("What was answered around a kill or a change", (9.2, 1.5 * len(trials) + 0.4), draw)
