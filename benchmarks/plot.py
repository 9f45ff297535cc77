"""The picture of a benchmark: bars on an axis from zero, each with its name and its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Series, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, GREY = "#4c78a8", "#444444"
BAR_INCHES, FRAME_INCHES, WIDTH_INCHES = 0.26, 0.5, 8.0
STYLE: dict[str, Any] = {
    "axes.spines.bottom": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.edgecolor": GREY,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 9,
}


@dataclass(frozen=True)
class Bars:
    """One bar per series: its median, with a whisker from the 5th to the 95th percentile of its rounds."""

    title: str
    unit: str
    series: Sequence[Series]


def draw(path: Path, panels: Sequence[Bars]) -> None:
    """The panels, one below the other, in a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    heights = [FRAME_INCHES + BAR_INCHES * len(panel.series) for panel in panels]
    with plt.rc_context(STYLE):
        picture, axes = plt.subplots(
            len(panels),
            squeeze=False,
            layout="constrained",
            figsize=(WIDTH_INCHES, sum(heights)),
            height_ratios=heights,
        )
        for panel, each in zip(panels, axes[:, 0]):
            _bars(each, panel)
        picture.savefig(path, dpi=110)
        plt.close(picture)


def _bars(axes: Axes, panel: Bars) -> None:
    medians = [series.median for series in panel.series]
    ends = [series.percentile(95) for series in panel.series]
    low = [series.median - series.percentile(5) for series in panel.series]
    high = [end - median for median, end in zip(medians, ends)]
    whiskers = {"ecolor": GREY, "elinewidth": 1, "capsize": 2}
    names = [series.name for series in panel.series]
    axes.barh(names, medians, height=0.7, color=BLUE, xerr=[low, high], error_kw=whiskers)
    for index, (median, end) in enumerate(zip(medians, ends)):
        axes.annotate(figure(median), (end, index), (5, 0), textcoords="offset points", va="center")
    axes.set_title(f"{panel.title}, {panel.unit}")
    axes.set_xlim(0, 1.12 * max(ends))
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
