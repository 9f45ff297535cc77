"""How far scores can be believed: of the points with a score, the share that is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline.evaluation.calibration import BINS, NEAR, Reliability
from pipeline.report.curves import BLUE, DPI, GREY, tidy


def draw(found: Reliability, path: Path) -> None:
    """Writes the picture. A tenth of the scale without a point has neither dot nor bar."""
    figure = Figure(figsize=(9, 6), dpi=DPI, layout="constrained")
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="a score that is true")
    curve.plot(found.score, found.right, color=BLUE, marker="o", label="points said to be there")
    curve.set(
        title=f"Scores, and how often they are right ({found.photos} evaluation photos, "
        "each scored by constants from others)",
        ylabel=f"share within {NEAR:g} of the normaliser",
        xlim=(0, 1),
        ylim=(0, 1.02),
    )
    curve.legend(frameon=False, loc="upper left")
    counts.bar((np.arange(BINS) + 0.5) / BINS, found.points, width=0.9 / BINS, color=BLUE)
    counts.set(xlabel="score", ylabel="points")
    for axes in (curve, counts):
        tidy(axes)
    figure.savefig(path)
