"""What keeping many versions costs: to list them, to start a server on them, and while it looks for new ones."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import server, subject
from benchmarks.machine import run_python
from benchmarks.measure import series
from benchmarks.report import Report
from seamline_client.contract import MODEL_NAME

VERSIONS, QUICK_VERSIONS = (1, 10, 100), (3,)
ROUNDS = 3
IDLE_SECONDS, QUICK_IDLE_SECONDS = 10.0, 1.0
LIST, START, IDLE = "python -m pipeline versions, ms", "start a server until it answers, ms", "idle server, % of a core"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but what all benchmarks take."""


def run(arguments: argparse.Namespace, report: Report) -> None:
    """The newest version, copied under many numbers; stores of all sizes take turns."""
    version = subject.newest()
    report.state(server=server.name())
    counts, rounds, idle = (
        (QUICK_VERSIONS, 1, QUICK_IDLE_SECONDS) if arguments.quick else (VERSIONS, ROUNDS, IDLE_SECONDS)
    )
    found: dict[str, dict[int, list[float]]] = {what: {n: [] for n in counts} for what in (LIST, START, IDLE)}
    # On the store's file system: a version is copied by hard links.
    with tempfile.TemporaryDirectory(dir=version.parents[1], prefix=".benchmark-") as scratch:
        homes = {count: Path(scratch) / str(count) for count in counts}
        for count, home in homes.items():
            for number in range(1, count + 1):
                subject.copy(version, home / "models" / MODEL_NAME / str(number))
        for _ in range(rounds):
            for count, home in homes.items():
                found[LIST][count].append(1000 * run_python(["-m", "pipeline", "versions"], home=home).seconds)
                started = time.perf_counter()
                with server.started(home / "models" / MODEL_NAME) as there:
                    found[START][count].append(1000 * (time.perf_counter() - started))
                    found[IDLE][count].append(there.process.cpu_percent(idle))
    rows = []
    for what, by_count in found.items():
        measured = series({f"{count} versions": values for count, values in by_count.items()})
        rows.append(
            [what, *(f"{each.median:,.3g}" if what == IDLE else f"{each.median:,.0f}" for each in measured.values())]
        )
        if what != IDLE:
            report.bars(what.removesuffix(", ms"), "ms: less is better", measured.values())
    report.table("Versions in the store", ["what", *map(str, counts)], rows)
    report.write()
