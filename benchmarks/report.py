"""How results are shown: a table on the terminal, JSON for programs, a picture for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Timing, machine

console = Console(soft_wrap=True)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints it, with a line on the machine below."""
    shown = Table(title=title, title_justify="left")
    for index, name in enumerate(header):
        shown.add_column(name, justify="left" if index == 0 else "right")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    console.print("  ".join(f"{name} {value}" for name, value in machine().items()), style="dim", highlight=False)


def write(folder: Path, name: str, results: dict[str, Any]) -> None:
    """`<folder>/<name>.json`, with the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"machine": machine(), **results}, indent=1))
    console.print(f"Written: {folder / name}.json", highlight=False)


def bars(folder: Path, name: str, title: str, timings: Sequence[Timing]) -> None:
    """`<folder>/<name>.png`: medians as bars on a logarithmic scale, whiskers from p5 to p95."""
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(timings) + 1.2))
    medians = [timing.percentile(50) for timing in timings]
    spread = [
        [median - timing.percentile(5) for median, timing in zip(medians, timings)],
        [timing.percentile(95) - median for median, timing in zip(medians, timings)],
    ]
    axes.barh([timing.name for timing in timings], medians, xerr=spread, capsize=3, color="#4c78a8")
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds a request (median, p5 to p95)")
    axes.set_title(title)
    for index, timing in enumerate(timings):
        axes.annotate(f" {medians[index]:.1f}", (timing.percentile(95), index), va="center", fontsize=8)
    figure.tight_layout()
    figure.savefig(folder / f"{name}.png", dpi=120)
    plt.close(figure)
    console.print(f"Written: {folder / name}.png", highlight=False)
