"""Scores on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from pipeline.console import console, grid
from pipeline.data.annotations import Refusal
from pipeline.evaluation.scores import Score, Scores

SHOWN = 5
"""Reasons that are shown; `python -m pipeline data` lists all."""


def show(scores: Scores) -> None:
    """Prints three tables: overall, by category, by keypoint. Rows without a visible point are left out."""
    console.print(_table("", {"overall": scores.overall}))
    console.print(f"  balanced visibility recall {number(scores.visibility_recall, 2)}")
    if scores.oks is not None:
        console.print(f"  mean OKS {number(scores.oks, 3)}")
    unscored = scores.photos - scores.scored
    reason = f", {unscored} of them without NE: no visible point, or not the points that errors are measured against"
    console.print(f"  photos {scores.photos}{reason if unscored else ''}")
    console.print(_table("category", scores.categories))
    console.print(_table("keypoint", scores.keypoints))


def show_refusals(refusals: Sequence[Refusal]) -> None:
    """How many rows and photos were skipped, and why the first of them were."""
    if refusals:
        console.print(f"  {len(refusals)} row(s) or photo(s) skipped because they cannot be used:")
    for refusal in refusals[:SHOWN]:
        console.print(f"    {refusal}")
    if len(refusals) > SHOWN:
        console.print(f"    and {len(refusals) - SHOWN} more")


def _table(title: str, rows: Mapping[str, Score]) -> Table:
    numbers = ("NE %", "PCK@0.05", "PCK@0.1", "points")
    table = grid((title, *numbers), numbers)
    for name, score in rows.items():
        if score.points or not title:
            cells = (number(score.ne, 1), number(score.pck_005, 2), number(score.pck_01, 2), str(score.points))
            table.add_row(name, *cells)
    return table


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
