"""The plots of docs/quality.md: SVG files that carry their own colours, for a light and for a dark page.

What belongs to whom is told by colour and by dash or shape, and written beside it.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from benchmarks.quality.tables import NAMES, Change, Systems, signed
from service.evaluation.calibration import (
    RISK,
    CurvePoint,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from service.evaluation.charts import (
    PERCENT_TICKS,
    Plot,
    percent_ticks,
    reliability_plot,
    risk_scale,
    svg,
)
from service.evaluation.measures import NOTES

RECALLS = ("span_recall_at_1", "span_recall_at_5", "span_recall_at_10")
# The columns of the ablation.
ABLATED = ("answered_right", "lead_right", "auroc", "span_recall_at_5")
_TITLES = {note.key: note.name for note in NOTES}
# On the row of a data set, one line a system.
_LINE, _ROW = 18, 72
_BAR, _PANEL, _LABELS, _NUMBER = 26, 165, 245, 48
_STYLE = """
:root{--paper:#fdfcfa;--ink:#1b2330;--soft:#566072;--grid:#e3e6eb;--good:#1d5fb4;--bad:#b5480c;--third:#4d7a2a;--range:#a9c6ec}
@media (prefers-color-scheme:dark){:root{--paper:#11151b;--ink:#e8ecf2;--soft:#a3aebd;--grid:#2b3441;--good:#82b4ff;--bad:#ffa366;
--third:#a5d57c;--range:#33527c}}
.paper{fill:var(--paper)}
text{font:12px system-ui,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
.name{font-size:13px;fill:var(--ink)}.note{fill:var(--ink);font-size:11.5px}
.axis,.tickmark{stroke:var(--soft);stroke-width:1;fill:none}.grid{stroke:var(--grid);stroke-width:1}
.limit{stroke:var(--soft);stroke-dasharray:5 4;fill:none}
.line{stroke-width:2.2;fill:none;stroke-linejoin:round}
.citedesk.line{stroke:var(--good)}.chunks.line{stroke:var(--bad);stroke-dasharray:8 4}.bm25.line{stroke:var(--third);stroke-dasharray:2 3}
circle.citedesk,.dot{fill:var(--good)}circle.chunks{fill:var(--bad)}circle.bm25{fill:var(--third)}
.whisker{stroke:var(--good);stroke-width:1.5}.good{fill:var(--good)}.bad{fill:var(--bad)}
"""


def write_plots(folder: Path, measured: Mapping[str, Systems], ablation: Mapping[str, Sequence[Change]]) -> list[Path]:
    """Write every plot of what was measured; a data set with covered questions only has no plot of risk.

    :param folder: Made if it is not there.
    :return: The files that were written.
    """
    drawn = {"span-recall": span_recall_plot(measured)} if measured else {}
    for name, systems in measured.items():
        outcomes = systems["citedesk"].outcomes
        if systems["citedesk"].measures["auroc"].value is not None:
            curves = {system: risk_coverage(result.outcomes) for system, result in systems.items()}
            drawn[f"risk-{name}"] = risk_plot(name, curves)
            bins = reliability(outcomes)
            drawn[f"reliability-{name}"] = reliability_plot(bins, expected_calibration_error(bins))
    for name, changes in ablation.items():
        drawn[f"ablation-{name}"] = ablation_plot(name, changes)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file, drawing in drawn.items():
        path = folder / f"{file}.svg"
        path.write_text(standalone(drawing) + "\n", encoding="utf-8")
        written.append(path)
    return written


def standalone(drawing: str) -> str:
    """Make an SVG element a file of its own, with its style sheet and a ground to stand on."""
    opened, rest = drawing.split(">", 1)
    width, height = opened.split('viewBox="0 0 ')[1].split('"')[0].split()
    # Without a size of its own it would be blown up to the width of the page.
    sized = opened.replace("<svg", f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"', 1)
    return f'{sized}><style>{_STYLE}</style><rect class="paper" width="100%" height="100%"/>{rest}'


def risk_plot(name: str, curves: Mapping[str, Sequence[CurvePoint]]) -> str:
    """Draw the risk over the coverage of each system; a curve ends where the system answers no more."""
    plot = Plot(top=44, right=22)
    top, step = risk_scale(max((point.risk for points in curves.values() for point in points), default=0))
    allowed = plot.y(RISK / top)
    parts = [
        plot.y_axis(percent_ticks(top, step), "errors among answers"),
        plot.x_axis(PERCENT_TICKS, "answers among questions"),
        f'<path class="limit" d="M{plot.x(0):.1f} {allowed:.1f}H{plot.x(1):.1f}"/>',
        f'<text class="note" x="{plot.x(1):.1f}" y="{allowed - 5:.1f}" text-anchor="end">5 % risk</text>',
        _legend(20, 18, list(curves)),
    ]
    told = []
    for system, points in curves.items():
        if not points:
            continue
        line = "L".join(f"{plot.x(point.coverage):.1f} {plot.y(point.risk / top):.1f}" for point in points)
        end = points[-1]
        parts.append(f'<path class="{system} line" d="M{line}"/>')
        parts.append(
            f'<circle class="{system}" cx="{plot.x(end.coverage):.1f}" cy="{plot.y(end.risk / top):.1f}" r="4.5"/>'
        )
        told.append(f"{NAMES[system]}: {end.risk:.0%} errors where it answers {end.coverage:.0%}")
    return svg("risk", f"Risk over coverage, {name}", f"{'; '.join(told)}.", *parts)


def span_recall_plot(measured: Mapping[str, Systems]) -> str:
    """Draw, for each data set and system, the share of gold spans in the first, first five and first ten passages."""
    systems = list(dict.fromkeys(system for results in measured.values() for system in results))
    plot = Plot(width=640, height=100 + _ROW * len(measured), left=170, right=28, top=50)
    sizes = "small to large: in the first passage, the first five, the first ten"
    parts = [_legend(plot.left, 18, systems), f'<text x="{plot.left}" y="38">{sizes}</text>']
    parts += [
        f'<path class="grid" d="M{plot.x(part):.1f} {plot.y(0):.1f}V{plot.y(1):.1f}"/>' for part, _ in PERCENT_TICKS
    ]
    told = []
    for row, (name, results) in enumerate(measured.items()):
        y = plot.top + _ROW * row + 20
        parts.append(
            f'<text class="name" x="{plot.left - 12}" y="{y + _LINE + 4}" text-anchor="end">{escape(name)}</text>'
        )
        for line, (system, result) in enumerate(results.items()):
            shares = [result.measures[key].value or 0.0 for key in RECALLS]
            parts.append(_dots(plot, y + _LINE * line, system, shares))
            told.append(f"{name}, {NAMES[system]}: {', '.join(f'{share:.2f}' for share in shares)}")
    parts.append(plot.x_axis(PERCENT_TICKS, "questions whose gold span is among the first passages"))
    title = "Gold spans in the first, first five and first ten passages"
    return svg("spans", title, f"{'; '.join(told)}.", *parts, width=plot.width, height=plot.height)


def ablation_plot(name: str, changes: Sequence[Change]) -> str:
    """Draw what each measure loses when a part is taken out, with the numbers; bars to the left are losses."""
    drawn = [0.0, *(change.differences[key] or 0.0 for change in changes for key in ABLATED)]
    lowest, highest = min(drawn), max(drawn)
    # The numbers stand beside the bars, on the side that they point to.
    unit = (_PANEL - 2 * _NUMBER) / ((highest - lowest) or 1.0)
    width, height = _LABELS + _PANEL * len(ABLATED) + 10, 50 + _BAR * len(changes)
    parts = []
    for column, key in enumerate(ABLATED):
        zero = _LABELS + _PANEL * column + _NUMBER - lowest * unit
        parts.append(
            f'<text class="name" x="{_LABELS + _PANEL * (column + 0.5):.1f}" y="22" text-anchor="middle">{_TITLES[key]}</text>'
        )
        parts.append(f'<path class="axis" d="M{zero:.1f} 34V{height - 8}"/>')
        parts += [_bar(change.differences[key], zero, 38 + _BAR * row, unit) for row, change in enumerate(changes)]
    parts += [
        f'<text class="name" x="{_LABELS - 4}" y="{54 + _BAR * row}" text-anchor="end">{escape(change.part)}</text>'
        for row, change in enumerate(changes)
    ]
    told = "; ".join(
        f"without {change.part}: " + ", ".join(f"{_TITLES[key]} {change.differences[key] or 0:+.3f}" for key in ABLATED)
        for change in changes
    )
    return svg("ablation", f"What each part brings, {name}", f"{told}.", *parts, width=width, height=height)


def _bar(difference: float | None, zero: float, y: float, unit: float) -> str:
    value = difference or 0.0
    length = abs(value) * unit
    left, (x, anchor) = (
        (zero - length, (zero - length - 5, "end")) if value < 0 else (zero, (zero + length + 5, "start"))
    )
    css = "bad" if value < 0 else "good"
    return (
        f'<rect class="{css}" x="{left:.1f}" y="{y + 4}" width="{length:.1f}" height="{_BAR - 8}"/>'
        f'<text class="note" x="{x:.1f}" y="{y + 17}" text-anchor="{anchor}">{signed(value)}</text>'
    )


def _dots(plot: Plot, y: float, system: str, shares: Sequence[float]) -> str:
    line = f'<path class="{system} line" d="M{plot.x(shares[0]):.1f} {y}H{plot.x(shares[-1]):.1f}"/>'
    return line + "".join(
        f'<circle class="{system}" cx="{plot.x(share):.1f}" cy="{y}" r="{radius}"/>'
        for share, radius in zip(shares, (3, 4.5, 6), strict=True)
    )


def _legend(x: float, y: float, systems: Sequence[str]) -> str:
    parts = []
    for system in systems:
        parts.append(f'<path class="{system} line" d="M{x:.1f} {y - 4}h28"/>')
        parts.append(f'<text class="name" x="{x + 34:.1f}" y="{y}">{NAMES[system]}</text>')
        x += 56 + 7 * len(NAMES[system])
    return "".join(parts)
