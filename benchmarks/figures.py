"""What matplotlib draws, as SVG files that follow a light and a dark page."""

import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Inks that stand for a colour of the style sheet while it is drawn.
INKS = {
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
    "svg.fonttype": "none", "svg.hashsalt": "load", "font.size": 11, "text.color": INKS["soft"],
    "axes.labelcolor": INKS["soft"], "xtick.color": INKS["soft"], "ytick.color": INKS["soft"],
    "axes.edgecolor": INKS["soft"], "grid.color": INKS["grid"], "axes.facecolor": "none", "figure.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "legend.frameon": False,
}  # fmt: skip


def write(folder: Path, drawn: Mapping[str, str]) -> None:
    """Write plots into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in drawn.items():
        (folder / f"{name}.svg").write_text(drawing, encoding="utf-8")


def svg(title: str, inches: tuple[float, float], draw: Callable[[Any], None]) -> str:
    """Draw a figure.

    :param draw: Given matplotlib's figure; it colours by `INKS`.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    drawn = io.StringIO()
    with mpl.rc_context(_RC):
        figure = Figure(inches, layout="constrained")
        draw(figure)
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawn.getvalue(), flags=re.DOTALL)
    for name, ink in INKS.items():
        text = text.replace(ink, f"var(--{name})")
    text = re.sub(r"'[^']*', sans-serif", "sans-serif", text)
    opening = re.search(r"<svg [^>]*>", text)
    if opening is None:
        raise RuntimeError("matplotlib wrote no SVG")
    return text.replace(opening[0], f"{opening[0]}<title>{title}</title>{_STYLE}", 1)
