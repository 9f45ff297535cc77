"""Callers while versions are swapped, with warm-up and without: failures, wrong answers, latency, memory."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import server, subject
from benchmarks.measure import Load, callers, figures, in_turn
from benchmarks.report import Report
from seamline_client import PredictClient
from seamline_client.contract import OUTPUTS, UINT8

CALLERS = 16
SETTLED = 2
"""Swaps after which the server has all that it will need: two versions at once, and the threads of all callers."""
SETTLE_SECONDS = 1.0
TOLERANCE = 1e-3
"""Of a ratio: about a third of a pixel, since sums in another order move an answer a little."""
CASES = {"warm-up": (), "no warm-up": ("--enable_model_warmup=false",)}


@dataclass(frozen=True)
class Swapped:
    """What the callers got, and the server's megabytes before each swap and at the end."""

    load: Load
    memory: list[float]


def run(arguments: argparse.Namespace, report: Report) -> None:
    """The same model under new numbers, so that every answer can be checked. Exit code 1 if one fails or is wrong."""
    version = subject.newest()
    rounds, seconds, every = (1, 2.5, 1.2) if arguments.quick else (2, 60.0, 5.0)
    (values,) = subject.inputs(UINT8).values()
    expected = subject.in_process(version, UINT8)(values)
    cases = {name: partial(_swap, version, expected, flags, seconds, every, report) for name, flags in CASES.items()}
    found = in_turn(cases, rounds)
    failures = [failure for runs in found.values() for each in runs for failure in each.load.failures]
    if not all(each.load.taken for runs in found.values() for each in runs):
        raise SystemExit(f"No request was answered. The first failure: {failures[0]}")

    def column(value: Callable[[Swapped], float], combine: Callable[[list[float]], Any]) -> dict[str, float]:
        return {name: float(combine([value(each) for each in runs])) for name, runs in found.items()}

    columns = {
        "answers": column(lambda each: len(each.load.taken), sum),
        "swaps": column(lambda each: len(each.memory) - 1, sum),
        "failed or wrong": column(lambda each: len(each.load.failures), sum),
        "median, ms": column(lambda each: each.load.milliseconds(), np.median),
        "99 %, ms": column(lambda each: each.load.milliseconds(99), np.median),
        f"MB after {SETTLED} swaps": column(lambda each: each.memory[: SETTLED + 1][-1], np.mean),
        "MB at the end": column(lambda each: each.memory[-1], np.mean),
    }
    slowest = figures(found, lambda each: each.load.milliseconds(100))
    title = f"{CALLERS} callers, a new version every {every:g} s"
    report.compare(title, "slowest answer, ms", slowest, columns=columns)
    report.write()
    if failures:
        raise SystemExit(f"The first failure: {failures[0]}")


def _swap(
    version: Path, expected: dict[str, Any], flags: tuple[str, ...], seconds: float, every: float, report: Report
) -> Swapped:
    memory: list[float] = []
    inputs = subject.inputs(UINT8)
    # On the store's file system: a version is copied by hard links.
    with tempfile.TemporaryDirectory(dir=version.parents[1], prefix=".benchmark-") as scratch:
        base = Path(scratch) / "versions"
        _publish(version, base, 1)
        with server.started(base, report, *flags) as there, PredictClient(there.grpc, retries=0) as client:
            ended = threading.Event()

            def publish() -> None:
                number = 1
                while not ended.wait(every):
                    memory.append(_megabytes(there))
                    number += 1
                    _publish(version, base, number)
                    shutil.rmtree(base / str(number - 2), ignore_errors=True)

            def ask() -> None:
                answer = client.run(inputs, signature=UINT8.key)
                for output in OUTPUTS:
                    if not np.allclose(answer[output.name], expected[output.name], rtol=0, atol=TOLERANCE):
                        raise ValueError(f"{output.name} is not what the model answers in this process")

            publisher = threading.Thread(target=publish)
            publisher.start()
            load = callers(CALLERS, seconds, ask, strict=False)
            ended.set()
            publisher.join()
            time.sleep(SETTLE_SECONDS)
            memory.append(_megabytes(there))
    return Swapped(load, memory)


def _megabytes(there: server.Server) -> float:
    return float(psutil.Process(there.pid).memory_info().rss / 1e6)


def _publish(version: Path, base: Path, number: int) -> None:
    """A copy under a number that takes no disk, made visible by a rename."""
    staged = base.parent / f"staged-{number}"
    shutil.copytree(version, staged, copy_function=os.link)
    base.mkdir(exist_ok=True)
    staged.rename(base / str(number))
