"""What a run leaves at `<folder>/<name>`: tables as Markdown (.md), every round as JSON, and a picture (.png)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import facts
from benchmarks.measure import figure, ratio

Rounds = Mapping[str, Sequence[float]]
"""What was measured in each round, by what was measured."""
BAR_INCHES, FRAME_INCHES, WIDTH_INCHES = 0.26, 0.5, 8.0
BAR, WHISKER = "#4c78a8", {"ecolor": "#444444", "elinewidth": 1}


class Report:
    """Make it before anything is measured."""

    def __init__(self, folder: Path, name: str, *, quick: bool) -> None:
        self._path = folder / name
        self._quick = quick
        self._machine = facts()
        self._started = time.monotonic()
        self._parts: list[str] = []
        self._rounds: dict[str, Rounds] = {}

    @property
    def measured(self) -> bool:
        return bool(self._rounds)

    @property
    def conditions(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self._machine.items())

    def state(self, **conditions: str) -> None:
        """More of what the figures depend on: which server, which preset."""
        self._machine.update(conditions)

    def compare(
        self,
        title: str,
        unit: str,
        measured: Rounds,
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
            row = [name, figure(float(np.median(each)))]
            row += map(figure, np.percentile(each, percentiles)) if percentiles else [_spread(each)]
            if bases:
                base = bases[name]
                row.append("" if base == name else f"{ratio(each, measured[base])} of {base}")
            rows.append([*row, *(figure(values[name]) if name in values else "" for values in columns.values())])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [[row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))] for row in rows]
        lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
        self._say("\n".join(f"| {' | '.join(line)} |" for line in lines))
        self._rounds[f"{title}, {unit}"] = measured

    def write(self) -> None:
        """The three files."""
        quick = " with --quick, which is too short for figures to rely on" if self._quick else ""
        taken = f"{time.strftime('%Y-%m-%d %H:%M')}, in {time.monotonic() - self._started:.0f} s{quick}"
        self._say(f"{taken}: {self.conditions}.")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.with_suffix(".md").write_text("\n\n".join(self._parts) + "\n", encoding="utf-8")
        raw = {"machine": self._machine, "rounds": self._rounds}
        self._path.with_suffix(".json").write_text(json.dumps(raw, indent=1))
        _draw(self._path.with_suffix(".png"), self._rounds)
        print(f"Written: {self._path}.md, .json and .png")

    def _say(self, part: str) -> None:
        print(part, end="\n\n", flush=True)
        self._parts.append(part)


def _spread(rounds: Sequence[float]) -> str:
    return f"{figure(min(rounds))} to {figure(max(rounds))}"


def _draw(path: Path, tables: Mapping[str, Rounds]) -> None:
    """Bars from zero for each title: medians, with whiskers from the 5th to the 95th percentile of the rounds."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    heights = [FRAME_INCHES + BAR_INCHES * len(rounds) for rounds in tables.values()]
    size = WIDTH_INCHES, sum(heights)
    picture, axes = plt.subplots(len(heights), squeeze=False, layout="constrained", figsize=size, height_ratios=heights)
    for (title, rounds), each in zip(tables.items(), axes[:, 0]):
        low, medians, high = np.array([np.percentile(values, (5, 50, 95)) for values in rounds.values()]).T
        whiskers = [medians - low, high - medians]
        bars = each.barh([*rounds], medians, color=BAR, xerr=whiskers, capsize=2, error_kw=WHISKER)
        each.bar_label(bars, [figure(median) for median in medians], padding=5)
        each.set_title(title, loc="left", fontsize="medium")
        each.margins(x=0.15)
        each.set_xticks([])
        each.tick_params(left=False)
        each.spines[["bottom", "right", "top"]].set_visible(False)
        each.invert_yaxis()
    picture.savefig(path, dpi=110)
    plt.close(picture)
