"""What a run of a benchmark leaves: tables on the terminal, JSON for programs, a picture for people."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import facts
from benchmarks.measure import Series
from benchmarks.plot import Bars, draw

console = Console(soft_wrap=True, highlight=False)
if not console.is_terminal:
    console.width = 160  # do not fold a table that goes to a file


class Report:
    """One run, written to `<folder>/<name>.json` and `.png`. Make it before anything is measured."""

    def __init__(self, folder: Path, name: str, *, quick: bool) -> None:
        self.folder, self.name, self._quick = folder, name, quick
        self._machine = dict(facts())
        self._started = time.monotonic()
        self._tables: list[dict[str, Any]] = []
        self._bars: list[Bars] = []

    def state(self, **conditions: str) -> None:
        """More of what the figures depend on: which server, which preset."""
        self._machine.update(conditions)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Prints a table, and keeps it."""
        shown = Table(title=title, title_justify="left")
        for index, name in enumerate(header):
            shown.add_column(name, justify="left" if index == 0 else "right")
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
        self._tables.append({"title": title, "header": [*header], "rows": [[*row] for row in rows]})

    def bars(self, title: str, unit: str, measured: Iterable[Series]) -> None:
        """One bar for each series in the picture, and its rounds in the JSON."""
        self._bars.append(Bars(title, unit, tuple(measured)))

    def write(self) -> None:
        """The JSON and the picture."""
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = {
            "taken": time.strftime("%Y-%m-%d %H:%M"),
            "seconds": round(time.monotonic() - self._started),
            "quick": self._quick,
            "machine": self._machine,
            "tables": self._tables,
            "rounds": {bars.title: {each.name: each.values for each in bars.series} for bars in self._bars},
        }
        path = self.folder / f"{self.name}.json"
        path.write_text(json.dumps(whole, indent=1) + "\n")
        draw(path.with_suffix(".png"), self._bars)
        console.print("  ".join(f"{name} {value}" for name, value in self._machine.items()), style="dim")
        console.print(f"Written: {path}, {path.with_suffix('.png').name}")
