"""How fast photos become training batches: drawing, checking and writing as TFRecord, reading and augmenting.

Each on one core and on all, and conversion of more and more photos. Those are copies, by hard links, of some that were
drawn first: the decoder does its whole work on each, the disk does not.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Series, core_counts, run_python, series
from benchmarks.plot import Bars, Lines
from benchmarks.report import Report
from garments import write_dataset

DRAWN, QUICK_DRAWN = 100, 15
COUNTS, QUICK_COUNTS, FULL = (1_000, 10_000), (50,), 100_000
ROUNDS = 3
"""Of the smallest count; the others are long enough to be told by one."""
BATCHES, QUICK_BATCHES = 40, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help=f"{FULL:,} photos as well: some minutes, 4 GB of disk")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Cores take turns within each count."""
    quick = arguments.quick
    cores_tried = core_counts()[-1:] if quick else core_counts()
    counts = QUICK_COUNTS if quick else (*COUNTS, FULL) if arguments.full else COUNTS
    rates: dict[str, list[float]] = {}
    growth: dict[str, dict[float, Series]] = {}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        drawn = QUICK_DRAWN if quick else DRAWN
        for number in range(1 if quick else 2):
            for cores in cores_tried:
                photos = folder / f"drawn-{number}-{cores}"
                started = time.perf_counter()
                write_dataset(photos, drawn, 1, processes=cores)
                rates.setdefault(f"draw, {on(cores)}", []).append(drawn / (time.perf_counter() - started))
        for count in counts:
            copies = folder / f"photos-{count}"
            _copies(photos, copies, count)
            taken: dict[str, list[float]] = {}
            for _ in range(ROUNDS if count == counts[0] and not quick else 1):
                for cores in cores_tried:
                    records = folder / f"records-{count}"
                    shutil.rmtree(records, ignore_errors=True)
                    ran = run_python(["-m", "benchmarks.stages", "convert", str(copies), str(records)], cores=cores)
                    images, seconds = json.loads(ran.said)
                    assert images == count, f"{images} of {count} photos were taken"
                    taken.setdefault(on(cores), []).append(images / seconds)
                    memory[f"{count}, {on(cores)}"] = ran.megabytes
            for name, each in series(taken).items():
                growth.setdefault(name, {})[count] = each
        command = run_python(
            ["-m", "pipeline", "data", "--source", str(copies)], environment={"SEAMLINE_HOME": str(folder / "home")}
        )
        for _ in range(1 if quick else 2):
            for cores in cores_tried:
                batches = str(QUICK_BATCHES if quick else BATCHES)
                ran = run_python(
                    ["-m", "benchmarks.stages", "augment", str(folder / f"records-{counts[0]}"), batches], cores=cores
                )
                images, seconds = json.loads(ran.said)
                rates.setdefault(f"read and augment, {on(cores)}", []).append(images / seconds)
    rows = [
        [f"{count:,}", name, f"{points[count].median:.0f}", points[count].spread, f"{memory[f'{count}, {name}']:.0f}"]
        for count in counts
        for name, points in growth.items()
    ]
    rows.append(
        [f"{counts[-1]:,}", "the whole command", f"{counts[-1] / command.seconds:.0f}", "", f"{command.megabytes:.0f}"]
    )
    header = ["photos", "on", "images/s", "rounds", "most memory, MB"]
    report.table("Checking, decoding and writing as TFRecord", header, rows)
    others = series(rates)
    report.table(
        "The other stages",
        ["what", "images/s", "rounds"],
        [[n, f"{s.median:.0f}", s.spread] for n, s in others.items()],
    )
    report.write(
        "Data",
        [
            Lines("Checking, decoding and writing: more is better", "photos", "images a second", growth),
            Bars("The other stages", "images a second", [*others.values()]),
        ],
        {
            "convert": {
                name: {str(count): each.values for count, each in points.items()} for name, points in growth.items()
            },
            "memory_mb": memory,
            "rates": rates,
        },
    )


def on(cores: int) -> str:
    """What the tables call so many cores."""
    return "1 core" if cores == 1 else f"{cores} cores"


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
