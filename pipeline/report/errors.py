"""NE as bars, by keypoint or by category."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.evaluation.scores import Score
from pipeline.report.curves import BLUE, DPI, RED


def draw(scores: Mapping[str, Score], overall: float, title: str, path: Path) -> None:
    """Writes the picture. What has no visible point has no bar."""
    figure = Figure(figsize=(9, 0.28 * len(scores) + 1.6), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    names = [f"{name}  ({score.points})" for name, score in scores.items()]
    values = [score.ne if score.points else 0.0 for score in scores.values()]
    bars = axes.barh(names, values, color=BLUE, height=0.7)
    axes.bar_label(bars, [f"{s.ne:.1f}" if s.points else "no point" for s in scores.values()], padding=3, fontsize=9)
    axes.axvline(overall, color=RED, linestyle="--", linewidth=1, label=f"all points: {overall:.1f}")
    axes.set(title=title, xlabel="NE in %, mean over the visible points (how many there are stands in brackets)")
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.02)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path)
