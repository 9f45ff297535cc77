"""What batching brings to 16 callers of one picture each, against the SavedModel in-process at batch 8."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report, subject
from benchmarks.load import Load, callers
from client import PredictClient
from model.signature import UINT8

CALLERS, BATCH = 16, 8
ROUNDS, SECONDS = 5, 6.0
WITH = ("--enable_batching=true", "--batching_parameters_file=config/batching.config", "--grpc_max_threads=64")
WITHOUT = ("--grpc_max_threads=64",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but what all benchmarks take."""


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Rounds of each way in turn; the other server is idle meanwhile."""
    version, golden = subject.published()
    one = subject.pictures(golden, UINT8, 1)
    (eight,) = subject.pictures(golden, UINT8, BATCH).values()
    local = subject.in_process(version, UINT8)[UINT8]
    rounds, seconds = (2, 3.0) if arguments.quick else (ROUNDS, SECONDS)
    rates: dict[str, list[float]] = {"in-process, batch 8": [], "in-process, batch 1": []}
    slowest: dict[str, list[float]] = {}
    with subject.server(version.parent, *WITH) as batching, subject.server(version.parent, *WITHOUT) as plain:
        for number in range(rounds + 1):
            loads = {f"in-process, batch {n}": _local(local, eight[:n], seconds) for n in (BATCH, 1)}
            for name, server in (("batching", batching), ("no batching", plain)):
                with PredictClient(server.grpc_target, retries=0) as client:
                    loads[f"16 callers, {name}"] = callers(
                        CALLERS, seconds, partial(client.run, one, signature=UINT8.key)
                    )
            for name, load in loads.items():
                if load.failures:
                    raise SystemExit(
                        f"{name}: {len(load.failures)} requests failed, the first with: {load.failures[0]}"
                    )
                if number:  # the first round warms up
                    rates.setdefault(name, []).append(load.rate * (BATCH if name == "in-process, batch 8" else 1))
                    slowest.setdefault(name, []).append(1000 * float(np.percentile(load.taken, 99)))
    best = float(np.median(rates["in-process, batch 8"]))
    rows = [
        [
            name,
            f"{np.median(each):.1f}",
            f"{min(each):.1f} to {max(each):.1f}",
            f"{np.median(each) / best:.2f}",
            f"{np.median(slowest[name]):.0f}",
        ]
        for name, each in rates.items()
    ]
    report.table("Pictures a second", ["way", "median", "rounds", "of batch 8", "p99 in ms"], rows)
    report.write(folder, "batching", {"rates": rates, "p99_ms": slowest})


def _local(call: Callable[[Any], object], values: Any, seconds: float) -> Load:
    load = Load()
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        before = time.perf_counter()
        call(values)
        load.taken.append(time.perf_counter() - before)
    load.seconds = time.perf_counter() - started
    return load
