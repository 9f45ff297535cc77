"""Pictures of measurements: bars with whiskers, and lines with bands. One PNG a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from benchmarks.measure import Series, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2")
GREY = "#444444"
BAR_INCHES, FRAME_INCHES, LINES_INCHES, WIDTH_INCHES = 0.34, 1.0, 3.2, 8.0


@dataclass(frozen=True)
class Bars:
    """One bar a series: its median, whiskers from the 5th to the 95th percentile of its rounds."""

    title: str
    unit: str
    series: Sequence[Series]
    logarithmic: bool = False


@dataclass(frozen=True)
class Lines:
    """One line a name, through the medians at each x, in a band from the lowest round to the highest."""

    title: str
    x: str
    unit: str
    lines: Mapping[str, Mapping[float, Series]]
    logarithmic: bool = False


Panel = Union[Bars, Lines]


def draw(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """The panels, one below the other."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    heights = [
        FRAME_INCHES + BAR_INCHES * len(panel.series) if isinstance(panel, Bars) else LINES_INCHES for panel in panels
    ]
    style: Any = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "axes.edgecolor": GREY,
        "axes.axisbelow": True,
        "font.size": 9,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
    }
    with plt.rc_context(style):
        figure, axes = plt.subplots(
            len(panels),
            squeeze=False,
            layout="constrained",
            figsize=(WIDTH_INCHES, sum(heights) + 0.4),
            height_ratios=heights,
        )
        figure.suptitle(title, fontsize=12, fontweight="bold", x=0.01, ha="left")
        for panel, each in zip(panels, axes[:, 0]):
            each.set_title(panel.title)
            if isinstance(panel, Bars):
                _bars(each, panel)
            else:
                _lines(each, panel)
        figure.savefig(path, dpi=120)
        plt.close(figure)


def _bars(axes: Axes, panel: Bars) -> None:
    from matplotlib.ticker import LogLocator

    medians = [series.median for series in panel.series]
    ends = [series.percentile(95) for series in panel.series]
    low = [median - series.percentile(5) for median, series in zip(medians, panel.series)]
    high = [end - median for median, end in zip(medians, ends)]
    axes.barh(
        [series.name for series in panel.series],
        medians,
        height=0.7,
        color=COLOURS[0],
        xerr=[low, high],
        error_kw={"ecolor": GREY, "elinewidth": 1, "capsize": 2},
    )
    if panel.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(panel.unit)
    for index, (median, end) in enumerate(zip(medians, ends)):
        axes.annotate(figure(median), (end, index), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.margins(x=0.12)


def _lines(axes: Axes, panel: Lines) -> None:
    for (name, points), colour in zip(panel.lines.items(), COLOURS):
        places = sorted(points)
        axes.fill_between(
            places,
            [min(points[x].values) for x in places],
            [max(points[x].values) for x in places],
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
        axes.plot(places, [points[x].median for x in places], "o-", color=colour, markersize=4, label=name)
    places = sorted({x for points in panel.lines.values() for x in points})
    if places[-1] / places[0] > 8:
        axes.set_xscale("log")
    axes.set_xticks(places, [f"{x:,.0f}" for x in places])
    axes.minorticks_off()
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(0, 1.1 * max(max(each.values) for points in panel.lines.values() for each in points.values()))
    axes.grid()
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.unit)
    if len(panel.lines) > 1:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
