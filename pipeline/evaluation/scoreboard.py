"""Scores on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.table import Table

from pipeline.console import console
from pipeline.data.annotations import Refusal
from pipeline.evaluation.scores import Score, Scores

SHOWN = 5
"""Reasons that are told; `python -m pipeline data` lists all."""


def show(scores: Scores) -> None:
    """Prints three tables: overall, by category, by keypoint. What no visible point is of is left out."""
    console.print(_table("", {"overall": scores.overall}))
    console.print(
        f"  balanced visibility recall {number(scores.visibility_recall, 2)}\n"
        f"  photos {scores.photos}, of which {scores.photos - scores.scored} have no NE: the points that it is "
        f"measured against are not annotated, or none is visible"
    )
    console.print(_table("category", scores.categories))
    console.print(_table("keypoint", scores.keypoints))


def show_refusals(refusals: Sequence[Refusal]) -> None:
    """How many rows and photos were skipped, and why the first of them were."""
    if refusals:
        console.print(f"  {len(refusals)} row(s) or photo(s) skipped, which cannot be used:")
    for refusal in refusals[:SHOWN]:
        console.print(f"    {refusal}")
    if len(refusals) > SHOWN:
        console.print(f"    and {len(refusals) - SHOWN} more")


def _table(title: str, rows: Mapping[str, Score]) -> Table:
    table = Table(title)
    for name in ("NE %", "PCK@0.05", "PCK@0.1", "points"):
        table.add_column(name, justify="right")
    for name, score in rows.items():
        if score.points or title == "":
            cells = (number(score.ne, 1), number(score.pck_005, 2), number(score.pck_01, 2), str(score.points))
            table.add_row(name, *cells)
    return table


def number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
