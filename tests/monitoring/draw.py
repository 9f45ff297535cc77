"""The dashboard's figures, by its queries: `python -m tests.monitoring.draw <port> <png> <minutes> [<without>]`."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
from matplotlib import pyplot
from PIL import Image

from pipeline.monitoring.running import DEPLOY

COLUMNS, STEPS = 3, 150


@dataclass(frozen=True)
class Panel:
    """A figure of the dashboard: its queries, each with the name of what comes out."""

    title: str
    unit: str
    queries: list[tuple[str, str]]


def panels() -> list[Panel]:
    board = json.loads((DEPLOY / "dashboard.json").read_text())
    return [
        Panel(
            each["title"],
            each["fieldConfig"]["defaults"]["unit"],
            [(target["expr"], target["legendFormat"]) for target in each["targets"]],
        )
        for each in board["panels"]
    ]


def draw(
    port: int, to: Path, *, minutes: float, without: str | None = None, change: Callable[[str], str] = str
) -> None:
    """Of the last `minutes`, from the Prometheus of this machine on that port; `change` is done to each query.

    Figures whose query has `without` in it are left out.
    """
    pyplot.switch_backend("agg")
    found = [each for each in panels() if not (without and without in each.queries[0][0])]
    rows = -(-len(found) // COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(15, 2.6 * rows), constrained_layout=True)
    figure.suptitle(f"Seamline, the last {minutes:g} minutes", x=0.03, ha="left", fontweight="bold")
    for axis in axes.flat[len(found) :]:
        axis.remove()
    for axis, panel in zip(axes.flat, found):
        axis.set_title(
            f"{panel.title} ({panel.unit})" if panel.unit != "short" else panel.title, fontsize=10, loc="left"
        )
        for query, legend in panel.queries:
            for labels, at, values in _series(port, change(query), minutes):
                axis.plot(at, values, linewidth=1.3, label=_named(legend, labels))
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=7)
        if axis.lines:
            axis.legend(fontsize=6, loc="best")
    figure.savefig(to, dpi=80)
    pyplot.close(figure)
    with Image.open(to) as picture:
        picture.quantize(64).save(to, optimize=True)


def _series(port: int, query: str, minutes: float) -> list[tuple[dict[str, str], list[float], list[float]]]:
    now = time.time()
    asked: dict[str, str | float] = {
        "query": query,
        "start": now - 60 * minutes,
        "end": now,
        "step": 60 * minutes / STEPS,
    }
    answer = requests.get(f"http://127.0.0.1:{port}/api/v1/query_range", asked, timeout=30).json()
    return [
        (each["metric"], [(at - now) / 60 for at, _ in each["values"]], [float(value) for _, value in each["values"]])
        for each in answer["data"]["result"]
    ]


def _named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend).strip()


if __name__ == "__main__":
    port, to, minutes, *without = sys.argv[1:]
    draw(int(port), Path(to), minutes=float(minutes), without="".join(without))
