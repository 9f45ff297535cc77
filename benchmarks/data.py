"""How fast photos become a data set: drawing garments, and checking, decoding and writing photos as TFRecord.

More and more photos are hard links to a few that were drawn first: the decoder does its whole work on each, the disk
does not.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.machine import Ran, run_python
from benchmarks.measure import series
from benchmarks.report import Report
from garments import write_dataset

DRAWN, QUICK_DRAWN, DRAW_ROUNDS = 100, 15, 2
COUNTS, QUICK_COUNTS, FULL = (1_000, 10_000), (50,), 100_000
ROUNDS = 3
"""Of the smallest count; the others are long enough for one round to tell."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help=f"{FULL:,} photos as well: some minutes, 4 GB of disk")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Commands as a person runs them: on all cores, their start included."""
    quick = arguments.quick
    counts = QUICK_COUNTS if quick else (*COUNTS, FULL) if arguments.full else COUNTS
    drawn = QUICK_DRAWN if quick else DRAWN
    rates: dict[str, list[float]] = {f"draw {drawn} garments": []}
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for number in range(1 if quick else DRAW_ROUNDS):
            drawings = folder / f"drawn-{number}"
            started = time.perf_counter()
            write_dataset(drawings, drawn, 1)
            rates[f"draw {drawn} garments"].append(drawn / (time.perf_counter() - started))
        for count in counts:
            _copies(drawings, folder / f"photos-{count}", count)
            ran: list[Ran] = []
            for _ in range(ROUNDS if count == counts[0] and not quick else 1):
                shutil.rmtree(folder / "home", ignore_errors=True)
                command = ["-m", "pipeline", "data", "--data", str(folder / f"photos-{count}")]
                ran.append(run_python(command, home=folder / "home"))
            rates[f"write {count:,} photos"] = [count / each.seconds for each in ran]
            rows.append([f"{max(each.megabytes for each in ran):.0f}"])
    measured = [*series(rates).values()]
    rows = [[each.name, f"{each.median:.0f}", each.spread, *memory] for each, memory in zip(measured, [[""], *rows])]
    title = "Photos to a data set"
    report.table(title, ["what", "photos/s", "rounds", "peak memory, MB"], rows)
    report.bars(title, "photos per second: more is better", measured)
    report.write()


def _copies(photos: Path, folder: Path, count: int) -> None:
    """`count` photos with annotations of their own, out of those in `photos`."""
    (table,) = (photos / "Annotations").glob("*.csv")
    with table.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    for category in {row[1] for row in rows}:
        (folder / "Images" / category).mkdir(parents=True)
    (folder / "Annotations").mkdir()
    with (folder / "Annotations" / "copies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number in range(count):
            source, category, *cells = rows[number % len(rows)]
            image_id = f"Images/{category}/{number:07d}.jpg"
            os.link(photos / source, folder / image_id)
            writer.writerow([image_id, category, *cells])
