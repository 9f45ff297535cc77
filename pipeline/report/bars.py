"""NE as bars, by keypoint or by category."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.evaluation.scores import Score
from pipeline.report.curves import BLUE, DPI, RED, tidy


def draw(scores: Mapping[str, Score], overall: float | None, title: str, path: Path) -> None:
    """Writes the picture. A name without visible points has no bar."""
    figure = Figure(figsize=(9, 0.28 * len(scores) + 1.6), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    names = [f"{name}  ({score.points})" for name, score in scores.items()]
    bars = axes.barh(names, [score.ne or 0.0 for score in scores.values()], color=BLUE, height=0.7)
    labels = ["no visible point" if score.ne is None else f"{score.ne:.1f}" for score in scores.values()]
    axes.bar_label(bars, labels, padding=3, fontsize=9)
    axes.set(title=title, xlabel="NE in %, mean over the visible points (their number in brackets)")
    if overall is not None:
        axes.axvline(overall, color=RED, linestyle="--", linewidth=1, label=f"all points: {overall:.1f}")
        axes.legend(frameon=False, loc="lower right")
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.02)
    tidy(axes, "x")
    axes.set_axisbelow(True)
    figure.savefig(path)
