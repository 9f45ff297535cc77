"""How fast photos become a data set: drawing garments, and checking, decoding and writing photos as TFRecord.

More and more photos are copies of a few that were drawn first: the decoder does its whole work on each. Links would be
one photo each that many rows speak of.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.machine import run_python
from benchmarks.report import Report
from garments import write_dataset


def run(arguments: argparse.Namespace, report: Report) -> None:
    """On all cores, the start of processes included. A large count is long enough for one round to tell."""
    drawn, rounds, counts = (15, 1, (50,)) if arguments.quick else (100, 3, (1_000, 10_000))
    measured: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        measured["draw garments"] = [_draw(folder / f"drawn-{number}", drawn) for number in range(rounds)]
        for count in counts:
            photos = folder / f"photos-{count}"
            copies(folder / "drawn-0", photos, count)
            ran = run_python(["-m", "pipeline", "data", "--data", str(photos)], home=folder / f"home-{count}")
            name = f"write {count:,} photos as TFRecord"
            measured[name] = [count / ran.seconds]
            memory[name] = ran.megabytes
    report.compare("Photos to a data set", "photos per second", measured, columns={"peak memory, MB": memory})
    report.write()


def _draw(folder: Path, count: int) -> float:
    started = time.perf_counter()
    write_dataset(folder, count, 1)
    return count / (time.perf_counter() - started)


def copies(photos: Path, folder: Path, count: int) -> None:
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
            shutil.copyfile(photos / source, folder / image_id)
            writer.writerow([image_id, category, *cells])
