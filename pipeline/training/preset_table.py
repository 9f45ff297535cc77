"""Presets side by side, in the notation of a preset's file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.training.preset_file import NONE
from pipeline.training.presets import Preset


def lines(presets: Sequence[Preset]) -> Iterator[str]:
    """A line for each setting with a value of each preset, below a line for each table."""
    rows = [["", *(preset.name for preset in presets)]]
    described = [asdict(preset) for preset in presets]
    for each in described:
        del each["name"]
    rows += _rows(described, "")
    widths = [max(len(row[index]) for row in rows if len(row) > 1) for index in range(len(presets) + 1)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() if len(row) > 1 else row[0]


def _rows(presets: Sequence[dict[str, Any]], table: str) -> Iterator[list[str]]:
    """Settings first: in TOML, what follows the head of a table belongs to it."""
    tables = [name for name, value in presets[0].items() if isinstance(value, dict)]
    settings = [name for name in presets[0] if name not in tables]
    if table and settings:
        yield [f"[{table}]"]
    for name in settings:
        yield [name, *(json.dumps(NONE if each[name] is None else each[name]) for each in presets)]
    for name in tables:
        yield from _rows([each[name] for each in presets], f"{table}.{name}" if table else name)
