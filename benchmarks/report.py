"""How results are shown: tables on the terminal, JSON for programs, a picture for people."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import machine
from benchmarks.plot import Panel, draw

console = Console(soft_wrap=True, highlight=False)
if not console.is_terminal:
    console.width = 160  # a table in a file is not to be folded


class Report:
    """What one run of a benchmark says, at `<folder>/<name>.json` and `.png`. Made before anything is measured."""

    def __init__(self, folder: Path, name: str, *, quick: bool) -> None:
        self.folder, self.name = folder, name
        self._quick = quick
        self._machine = machine()
        self._started = time.monotonic()
        self._tables: list[dict[str, Any]] = []

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Prints it, and keeps it for the JSON."""
        shown = Table(title=title, title_justify="left")
        for index, name in enumerate(header):
            shown.add_column(name, justify="left" if index == 0 else "right")
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
        self._tables.append({"title": title, "header": [*header], "rows": [[*row] for row in rows]})

    def state(self, **facts: str) -> None:
        """More on what was measured: which server, which preset."""
        self._machine.update(facts)

    def write(self, title: str, panels: Sequence[Panel], results: dict[str, Any]) -> None:
        """The JSON, with the machine and the tables, and the picture."""
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = {
            "taken": time.strftime("%Y-%m-%d %H:%M"),
            "seconds": round(time.monotonic() - self._started),
            "quick": self._quick,
            "machine": self._machine,
            "tables": self._tables,
            **results,
        }
        path = self.folder / f"{self.name}.json"
        path.write_text(json.dumps(whole, indent=1) + "\n")
        draw(path.with_suffix(".png"), title, panels)
        console.print("  ".join(f"{name} {value}" for name, value in self._machine.items()), style="dim")
        console.print(f"Written: {path}, {path.with_suffix('.png').name}")
