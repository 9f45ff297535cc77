"""What a run leaves at `<folder>/<name>`: tables as Markdown (.md), every round as JSON, and a picture (.png)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.machine import facts
from benchmarks.measure import Series, figure

BAR_INCHES, FRAME_INCHES, WIDTH_INCHES = 0.26, 0.5, 8.0


class Report:
    """Make it before anything is measured."""

    def __init__(self, folder: Path, name: str, *, quick: bool) -> None:
        self._path = folder / name
        self._quick = quick
        self._machine = facts()
        self._started = time.monotonic()
        self._parts: list[str] = []
        self._pictured: dict[str, Sequence[Series]] = {}

    def state(self, **conditions: str) -> None:
        """More of what the figures depend on: which server, which preset."""
        self._machine.update(conditions)

    def compare(
        self,
        title: str,
        unit: str,
        measured: Mapping[str, Series],
        *,
        bases: Mapping[str, str] | None = None,
        percentiles: Sequence[int] = (),
        columns: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Prints a table of the medians, and keeps it and its picture.

        `bases` names the series that each is a ratio of. Beside the median stand `percentiles`, or else the lowest and
        the highest round. `columns` are more figures by name.
        """
        columns = columns or {}
        spread = [f"{percent} %" for percent in percentiles] or ["rounds"]
        rows = [[title, unit, *spread, *(["compared (5-95 %)"] if bases else []), *columns]]
        for name, each in measured.items():
            row = [name, figure(each.median)]
            row += [figure(each.percentile(percent)) for percent in percentiles] or [each.spread]
            if bases:
                row.append("" if bases[name] == name else f"{each.ratio(measured[bases[name]])} of {bases[name]}")
            rows.append([*row, *(figure(values[name]) if name in values else "" for values in columns.values())])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [[row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))] for row in rows]
        lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
        self._say("\n".join(f"| {' | '.join(line)} |" for line in lines))
        self._pictured[f"{title}, {unit}"] = [*measured.values()]

    def write(self) -> None:
        """The three files."""
        machine = ", ".join(f"{name} {value}" for name, value in self._machine.items())
        quick = " with --quick, which is too short for figures to rely on" if self._quick else ""
        taken = f"{time.strftime('%Y-%m-%d %H:%M')}, in {time.monotonic() - self._started:.0f} s{quick}"
        self._say(f"{taken}: {machine}.")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.with_suffix(".md").write_text("\n\n".join(self._parts) + "\n", encoding="utf-8")
        rounds = {title: {each.name: each.values for each in series} for title, series in self._pictured.items()}
        self._path.with_suffix(".json").write_text(json.dumps({"machine": self._machine, "rounds": rounds}, indent=1))
        draw(self._path.with_suffix(".png"), self._pictured)
        print(f"Written: {self._path}.md, .json and .png")

    def _say(self, part: str) -> None:
        print(part, end="\n\n", flush=True)
        self._parts.append(part)


def draw(path: Path, pictured: Mapping[str, Sequence[Series]]) -> None:
    """Bars from zero for each title: medians, with whiskers from the 5th to the 95th percentile of the rounds."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    heights = [FRAME_INCHES + BAR_INCHES * len(series) for series in pictured.values()]
    size = WIDTH_INCHES, sum(heights)
    picture, axes = plt.subplots(len(heights), squeeze=False, layout="constrained", figsize=size, height_ratios=heights)
    for (title, series), each in zip(pictured.items(), axes[:, 0]):
        medians = [one.median for one in series]
        whiskers = [[abs(one.percentile(p) - one.median) for one in series] for p in (5, 95)]
        bars = each.barh([one.name for one in series], medians, xerr=whiskers, capsize=2)
        each.bar_label(bars, [figure(median) for median in medians], padding=5)
        each.set_title(title, loc="left", fontsize="medium")
        each.margins(x=0.15)
        each.set_xticks([])
        each.spines[["bottom", "right", "top"]].set_visible(False)
        each.invert_yaxis()
    picture.savefig(path, dpi=110)
    plt.close(picture)
