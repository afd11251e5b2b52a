"""The plots of docs/performance.md, drawn from what was measured."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.figures import INKS, svg
from benchmarks.performance.systems import OWN
from benchmarks.performance.tables import (
    READERS,
    STAGES,
    Measured,
    build_seconds,
    disk_megabytes,
    memory_megabytes,
    sizes,
)

Axes = Any  # matplotlib's types change from version to version
_DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1)), (0, (1, 3)))


def plots(measured: Measured) -> dict[str, str]:
    """Draw everything that was measured, by the name of the file."""
    drawn: dict[str, str] = {}
    if question := measured.get("question"):
        drawn |= {"question": _question(question["systems"]), "stages": _stages(question["systems"])}
    if building := measured.get("build"):
        drawn["build"] = _build(building["speed"])
    if throughput := measured.get("throughput"):
        drawn["throughput"] = _throughput(throughput["levels"])
    if growth := measured.get("growth"):
        drawn["growth"] = _growth(sizes(growth))
    return drawn


def _question(systems: Mapping[str, Measured]) -> str:
    """Draw the latency of each system: a dot at the median, a line to the 99th percentile."""

    def draw(figure: Any) -> None:  # noqa: ANN401
        axes = figure.subplots()
        for row, (name, one) in enumerate(systems.items()):
            ink = INKS["on" if name == OWN else "off" if name == "no_reader" else "bad"]
            axes.plot([one["p50"], one["p99"]], [row, row], color=ink, linewidth=1.5)
            axes.plot(one["p50"], row, "o", color=ink, markersize=8)
            axes.plot(one["p95"], row, "|", color=ink, markersize=12, markeredgewidth=2)
            axes.annotate(
                f"{one['p50']:.0f}",
                (one["p50"], row),
                (0, 8),
                textcoords="offset points",
                color=INKS["ink"],
                ha="center",
            )
        axes.set_yticks(range(len(systems)), [one["what"] for one in systems.values()])
        axes.set_ylim(len(systems) - 0.4, -0.7)
        axes.set_xlim(0)
        axes.set_xlabel("ms a question: median (dot), 95th (bar) and 99th percentile (end of the line)")
        axes.grid(visible=True, axis="x")

    return svg("One question over the starter corpus, by system", (9.2, 0.9 + 0.55 * len(systems)), draw)


def _stages(systems: Mapping[str, Measured]) -> str:
    """Draw the median of each stage, with the reader and without, beside its 95th percentile."""

    def draw(figure: Any) -> None:  # noqa: ANN401
        axes = figure.subplots()
        stages = STAGES[:-1]
        for turn, (name, ink, label) in enumerate(((OWN, "on", "with the reader"), ("no_reader", "off", "without"))):
            if name not in systems:
                continue
            found = systems[name]["stages"]
            at = [row + 0.36 * turn - 0.18 for row in range(len(stages))]
            medians = [found.get(stage, {}).get("p50", 0.0) for stage in stages]
            high = [
                found.get(stage, {}).get("p95", 0.0) - middle for stage, middle in zip(stages, medians, strict=True)
            ]
            axes.barh(at, medians, 0.32, color=INKS[ink], label=label, linewidth=0)
            axes.errorbar(medians, at, xerr=[[0.0] * len(at), high], fmt="none", ecolor=INKS["ink"], elinewidth=1)
        axes.set_yticks(range(len(stages)), stages)
        axes.invert_yaxis()
        axes.set_xlim(0)
        axes.set_xlabel("ms: median (bar) and 95th percentile (line)")
        axes.grid(visible=True, axis="x")
        axes.legend(loc="best")

    return svg("Where the time of an answer goes", (9.2, 2.9), draw)


def _build(speed: Mapping[str, Measured]) -> str:
    """Draw the passages a second of both."""

    def draw(figure: Any) -> None:  # noqa: ANN401
        axes = figure.subplots()
        for turn, (system, ink, label) in enumerate(
            (("sentence_transformers", "bad", "SentenceTransformer, float32"), ("citedesk", "on", "the build, int8"))
        ):
            at = [row + 0.36 * turn - 0.18 for row in range(len(speed))]
            bars = axes.barh(
                at,
                [one[system]["per_second"] for one in speed.values()],
                0.32,
                color=INKS[ink],
                label=label,
                linewidth=0,
            )
            axes.bar_label(bars, fmt="%.0f", padding=4, color=INKS["ink"])
        axes.set_yticks(range(len(speed)), list(speed))
        axes.invert_yaxis()
        axes.set_xlabel("passages a second")
        axes.legend(loc="best")

    return svg("Embedding beside SentenceTransformer", (9.2, 2.3), draw)


def _throughput(levels: Sequence[Measured]) -> str:
    """Draw the answers a second over the number of askers, and the floor of one core as a thin line."""

    def draw(figure: Any) -> None:  # noqa: ANN401
        rates, times = figure.subplots(1, 2)
        for reader, label in READERS.items():
            rows = [one for one in levels if one["reader"] == reader]
            at = [one["askers"] for one in rows]
            rates.plot(at, [one["answers_per_second"] for one in rows], "o-", color=INKS[reader], label=label)
            rates.plot(at, [one["floor_per_second"] for one in rows], ":", color=INKS[reader])
            times.plot(at, [one["p50"] for one in rows], "o-", color=INKS[reader])
            times.plot(at, [one["p95"] for one in rows], "--", color=INKS[reader])
        for axes in (rates, times):
            ticks = sorted({one["askers"] for one in levels})
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.set_yscale("log")
            axes.set_xlabel("askers at the same time")
            axes.grid(visible=True, axis="y")
        rates.set_ylabel("answers a second; dotted: one core's floor")
        times.set_ylabel("ms: p50, p95 (dashed)")
        rates.legend(loc="best", fontsize=9)

    return svg("Answers a second over the number of askers", (9.2, 3.6), draw)


def _growth(found: Sequence[Measured]) -> str:
    """Draw how everything grows with the number of passages."""

    def draw(figure: Any) -> None:  # noqa: ANN401
        panels = figure.subplots(2, 3)
        at = [one["passages"] for one in found]
        wholes: tuple[tuple[str, Callable[[Measured], float]], ...] = (
            ("built, s", build_seconds), ("disk, MB", disk_megabytes), ("memory, MB", memory_megabytes)
        )  # fmt: skip
        for axes, (label, value) in zip(panels[0], wholes, strict=True):
            axes.plot(at, [value(one) for one in found], "o-", color=INKS["on"])
            axes.set_yscale("log")
            axes.set_ylabel(label)
        for axes, (key, label) in zip(
            panels[1], (("p50", "vectors, p50, ms"), ("p95", "vectors, p95, ms"), ("recall", "recall@10")), strict=True
        ):
            _by_filter(axes, found, key)
            axes.set_ylabel(label)
            axes.set_yscale("linear" if key == "recall" else "log")
        panels[1][2].set_ylim(0.9, 1.005)
        panels[1][2].axhline(0.97, color=INKS["soft"], linewidth=1, linestyle=(0, (5, 4)))
        panels[1][0].legend(loc="best", fontsize=8, title="filter")
        for axes in panels.flat:
            axes.set_xscale("log")
            axes.grid(visible=True, axis="y")
        for axes in panels[1]:
            axes.set_xlabel("passages")

    return svg("How building, disk, memory, latency and recall grow with the corpus", (9.6, 5.4), draw)


def _by_filter(axes: Axes, found: Sequence[Measured], key: str) -> None:
    """Draw a line for each filter, told apart by its dashes."""
    names = list(dict.fromkeys(row["filter"] for one in found for row in one["found"]))
    for number, name in enumerate(names):
        points = [
            (one["passages"], row[key])
            for one in found
            for row in one["found"]
            if row["filter"] == name and row["passages"]
        ]
        ink = INKS[("on", "off", "cold", "bad", "soft", "ink")[number % 6]]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                marker="o",
                markersize=4,
                color=ink,
                linestyle=_DASHES[number % 6],
                label=name,
            )
