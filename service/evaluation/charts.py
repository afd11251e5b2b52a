"""The plots of the evaluation report, as SVG text that takes its colours from the page's style sheet.

Every plot has a title and a description for those who do not see it; nothing is told by colour alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from service.evaluation.calibration import RISK, ConfidenceBin, CurvePoint
from service.evaluation.intervals import Measure

WIDTH, HEIGHT = 460, 290
PERCENT_TICKS = [(part / 5, f"{part / 5:.0%}") for part in range(6)]


@dataclass(frozen=True, slots=True)
class Plot:
    """The area of a plot, in user units, and where its axes put a value: ``x`` and ``y`` take [0, 1] to user units."""

    width: float = WIDTH
    height: float = HEIGHT
    left: float = 60
    right: float = 16
    top: float = 14
    bottom: float = 46

    def x(self, part: float) -> float:
        """Give where a part of the horizontal axis is."""
        return self.left + part * (self.width - self.left - self.right)

    def y(self, part: float) -> float:
        """Give where a part of the vertical axis is."""
        return self.height - self.bottom - part * (self.height - self.top - self.bottom)

    def x_axis(self, ticks: Sequence[tuple[float, str]], label: str) -> str:
        """Draw the horizontal axis with its ticks, each a part in [0, 1] and what stands there."""
        marks = "".join(
            f'<text class="tick" x="{self.x(part):.1f}" y="{self.y(0) + 17:.1f}" text-anchor="middle">{text}</text>'
            f'<path class="tickmark" d="M{self.x(part):.1f} {self.y(0):.1f}v4"/>'
            for part, text in ticks
        )
        line = f'<path class="axis" d="M{self.x(0):.1f} {self.y(0):.1f}H{self.x(1):.1f}"/>'
        middle = f'x="{self.x(0.5):.1f}" y="{self.height - 8:.0f}" text-anchor="middle"'
        return f'{line}{marks}<text class="label" {middle}>{label}</text>'

    def y_axis(self, ticks: Sequence[tuple[float, str]], label: str) -> str:
        """Draw the vertical axis: a line across the plot for each tick."""
        marks = "".join(
            f'<path class="grid" d="M{self.x(0):.1f} {self.y(part):.1f}H{self.x(1):.1f}"/>'
            f'<text class="tick" x="{self.x(0) - 7:.1f}" y="{self.y(part) + 4:.1f}" text-anchor="end">{text}</text>'
            for part, text in ticks
        )
        middle = f'transform="translate(13 {self.y(0.5):.1f}) rotate(-90)" text-anchor="middle"'
        return f'{marks}<text class="label" {middle}>{label}</text>'


def svg(name: str, title: str, description: str, *parts: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """Put a plot together.

    :param name: Begins the ids of the title and the description; one of its own in a page.
    :param description: What the plot shows, for those who do not see it.
    :param parts: SVG elements.
    """
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def interval_bar(measure: Measure) -> str:
    """Draw a share as a dot on its interval, from 0 to 1; the numbers stand beside it in the table."""
    if measure.value is None:
        return ""
    low, high = measure.low or 0.0, 1.0 if measure.high is None else measure.high
    if measure.low is None:
        low = high = measure.value
    x = [4 + 192 * part for part in (low, measure.value, high)]
    ticks = "".join(f'<path class="grid" d="M{4 + 48 * quarter} 3v14"/>' for quarter in range(5))
    return (
        f'<svg class="bar" viewBox="0 0 200 20" aria-hidden="true">{ticks}<path class="axis" d="M4 10H196"/>'
        f'<rect class="range" x="{x[0]:.1f}" y="6.5" width="{max(x[2] - x[0], 1):.1f}" height="7" rx="3.5"/>'
        f'<circle class="dot" cx="{x[1]:.1f}" cy="10" r="4"/></svg>'
    )


def risk_coverage_plot(points: Sequence[CurvePoint], at_risk: float | None, answerable: float) -> str:
    """Draw the risk over the coverage.

    :param at_risk: The coverage at 5 % risk.
    :param answerable: The share of the questions that can be answered at all.
    """
    plot = Plot()
    highest = max((point.risk for point in points), default=0)
    top, step = risk_scale(highest)
    shown = [(plot.x(point.coverage), plot.y(point.risk / top)) for point in points]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in shown) if shown else ""
    allowed, best = plot.y(RISK / top), plot.x(answerable)
    aside, anchor = (-5, "end") if answerable > 0.5 else (5, "start")
    parts = [
        plot.y_axis(percent_ticks(top, step), "errors among answers"),
        plot.x_axis(PERCENT_TICKS, "answers among questions"),
        f'<path class="limit" d="M{plot.x(0):.1f} {allowed:.1f}H{plot.x(1):.1f}"/>',
        f'<text class="note" x="{plot.x(1):.1f}" y="{allowed - 5:.1f}" text-anchor="end">5 % risk</text>',
        f'<path class="limit" d="M{best:.1f} {plot.y(0):.1f}V{plot.y(1):.1f}"/>',
        f'<text class="note" x="{best + aside:.1f}" y="{plot.y(1) + 10:.1f}" text-anchor="{anchor}">'
        "all that is covered</text>",
        f'<path class="line" d="{line}"/>' if len(shown) > 1 else "",
        *(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in shown if len(shown) <= 60),
    ]
    if at_risk:
        x = plot.x(at_risk)
        parts.append(f'<path class="drop" d="M{x:.1f} {allowed:.1f}V{plot.y(0):.1f}"/>')
        parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{allowed:.1f}" r="5"/>')
    said = "nothing was answered" if at_risk is None or not points else f"{at_risk:.0%} of the questions at 5 % risk"
    end = f"; all answers cover {points[-1].coverage:.0%} at {points[-1].risk:.0%} risk" if points else ""
    return svg("risk", "Risk over coverage", f"{said}{end}.", *parts)


def reliability_plot(bins: Sequence[ConfidenceBin], error: float | None) -> str:
    """Draw the share that the corpus answers over the confidence, with the diagonal of perfect calibration."""
    plot = Plot()
    parts = [
        plot.y_axis(PERCENT_TICKS, "answerable"),
        plot.x_axis(_TENTHS, "confidence" if error is None else f"confidence (expected calibration error {error:.3f})"),
        f'<path class="limit" d="M{plot.x(0):.1f} {plot.y(0):.1f}L{plot.x(1):.1f} {plot.y(1):.1f}"/>',
    ]
    largest = max((group.covered.n for group in bins), default=0)
    told: list[str] = []
    for group in bins:
        covered = group.covered
        if group.mean is None or covered.value is None or covered.low is None or covered.high is None:
            continue
        x, radius = plot.x(group.mean), 3 + 6 * math.sqrt(covered.n / largest)
        parts.append(f'<path class="whisker" d="M{x:.1f} {plot.y(covered.low):.1f}V{plot.y(covered.high):.1f}"/>')
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{plot.y(covered.value):.1f}" r="{radius:.1f}"/>')
        told.append(f"{group.mean:.2f}: {covered.value:.0%} of {covered.n}")
    calibrated = "" if error is None else f"Expected calibration error {error:.3f}. "
    return svg("reliability", "Reliability of the confidence", f"{calibrated}{'; '.join(told)}.", *parts)


def confidence_histogram(covered: Sequence[float], uncovered: Sequence[float], bins: int = 20) -> str:
    """Draw how confidence is spread: covered questions upwards, uncovered ones downwards."""
    plot = Plot()
    up, down = ([0] * bins, [0] * bins)
    for counts, values in ((up, covered), (down, uncovered)):
        for value in values:
            counts[min(int(value * bins), bins - 1)] += 1
    highest, lowest = max(*up, 1), max(*down, 1)
    unit = 0.9 / (highest + lowest)  # the tenth above is the legend's
    zero = lowest * unit
    width = (plot.x(1) - plot.x(0)) / bins

    def bars(counts: Sequence[int], css: str, direction: int) -> str:
        ends = [plot.y(zero + direction * count * unit) for count in counts]
        return "".join(
            f'<rect class="{css}" x="{plot.x(0) + width * index + 1:.1f}" y="{min(end, plot.y(zero)):.1f}" '
            f'width="{width - 2:.1f}" height="{abs(end - plot.y(zero)):.1f}"/>'
            for index, end in enumerate(ends)
        )

    ticks = [(0.0, str(lowest)), (zero, "0"), (0.9, str(highest))]
    parts = [
        plot.y_axis(ticks, "questions"),
        plot.x_axis(_TENTHS, "confidence"),
        bars(up, "good", 1),
        bars(down, "bad", -1),
        f'<path class="axis" d="M{plot.x(0):.1f} {plot.y(zero):.1f}H{plot.x(1):.1f}"/>',
        f'<rect class="good" x="{plot.left}" y="{plot.top - 8}" width="10" height="10"/>'
        f'<text class="note" x="{plot.left + 15}" y="{plot.top + 1}">covered, upwards ({len(covered)})</text>',
        f'<rect class="bad" x="{plot.left + 190}" y="{plot.top - 8}" width="10" height="10"/>'
        f'<text class="note" x="{plot.left + 205}" y="{plot.top + 1}">uncovered, downwards ({len(uncovered)})</text>',
    ]
    description = f"{_middle('covered', covered)}; {_middle('uncovered', uncovered)}."
    return svg("confidence", "Confidence of covered and uncovered questions", description, *parts)


def latency_histogram(latencies: Sequence[float], p50: float, p95: float, bins: int = 30) -> str:
    """Draw how long the questions took, on a logarithmic axis of milliseconds; there is at least one."""
    plot = Plot()
    lowest, highest = max(min(latencies), 0.01), max(*latencies, 0.02)
    low, high = math.floor(5 * math.log10(lowest)) / 5, math.ceil(5 * math.log10(highest) + 0.01) / 5

    def part(milliseconds: float) -> float:
        return (math.log10(max(milliseconds, lowest)) - low) / (high - low)

    counts = [0] * bins
    for latency in latencies:
        counts[min(int(part(latency) * bins), bins - 1)] += 1
    largest = max(counts)
    width = (plot.x(1) - plot.x(0)) / bins
    bars = "".join(
        f'<rect class="good" x="{plot.x(0) + width * index + 0.5:.1f}" y="{plot.y(0.9 * count / largest):.1f}" '
        f'width="{width - 1:.1f}" height="{plot.y(0) - plot.y(0.9 * count / largest):.1f}"/>'
        for index, count in enumerate(counts)
        if count
    )
    lines = "".join(
        f'<path class="limit" d="M{plot.x(part(value)):.1f} {plot.y(0):.1f}V{plot.y(1):.1f}"/>'
        f'<text class="note" x="{plot.x(part(value)) + aside:.1f}" y="{plot.y(1) + 8:.1f}" text-anchor="{anchor}">'
        f"{name}</text>"
        for name, value, aside, anchor in (("p50", p50, -4, "end"), ("p95", p95, 4, "start"))
    )
    steps = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in (1, 2, 5)]
    ticks = _spread([(part(step), f"{step:g}") for step in steps if low - 1e-9 <= math.log10(step) <= high + 1e-9])
    parts = [
        plot.y_axis([(0.0, "0"), (0.9, str(largest))], "questions"),
        plot.x_axis(ticks, "milliseconds (logarithmic)"),
        bars,
        lines,
    ]
    description = f"Half took no longer than {p50:,.0f} ms, 95 % no longer than {p95:,.0f} ms."
    return svg("latency", "Latency", description, *parts)


def count_bars(counts: Sequence[tuple[str, int]]) -> str:
    """Draw how often each thing happened, one bar a line."""
    row, name_width = 30, 190
    largest = max((count for _, count in counts), default=1)
    scale = (WIDTH - name_width - 50) / largest
    bars = "".join(
        f'<text class="name" x="{name_width - 8}" y="{row * index + 20}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="bad" x="{name_width}" y="{row * index + 6}" width="{count * scale:.1f}" height="20" rx="2"/>'
        f'<text class="name" x="{name_width + count * scale + 7:.1f}" y="{row * index + 20}">{count}</text>'
        for index, (name, count) in enumerate(counts)
    )
    told = "; ".join(f"{name}: {count}" for name, count in counts)
    return svg("where", "Where the way went wrong", f"{told}.", bars, height=row * max(len(counts), 1) + 4)


def risk_scale(highest: float) -> tuple[float, float]:
    """Choose the top of an axis that shows risks up to the highest, in (0, 1], and its step."""
    return next(scale for scale in _RISK_SCALES if highest <= scale[0])


def percent_ticks(top: float, step: float) -> list[tuple[float, str]]:
    """Give the ticks of an axis from 0 to the top, a share."""
    return [(i * step / top, f"{i * step:.0%}") for i in range(round(top / step) + 1)]


_RISK_SCALES = ((0.1, 0.02), (0.2, 0.05), (0.3, 0.1), (0.5, 0.1), (1.0, 0.2))  # top of the axis, and its step
_TENTHS = [(part / 5, f"{part / 5:.1f}") for part in range(6)]


def _middle(name: str, values: Sequence[float]) -> str:
    return f"{name}: median {sorted(values)[len(values) // 2]:.2f} of {len(values)}" if values else f"{name}: none"


def _spread(ticks: Sequence[tuple[float, str]], gap: float = 0.07) -> list[tuple[float, str]]:
    """Leave out the labels that would stand in each other."""
    kept: list[tuple[float, str]] = []
    for tick in ticks:
        if not kept or tick[0] - kept[-1][0] >= gap:
            kept.append(tick)
    return kept
