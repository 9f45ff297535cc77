"""Callers while versions are swapped, with warm-up and without: failures, wrong answers, latency, memory."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import server, subject
from benchmarks.measure import Load, callers, series
from benchmarks.report import Report
from seamline_client import PredictClient
from seamline_client.contract import OUTPUTS, UINT8

CALLERS = 16
EVERY, QUICK_EVERY = 5.0, 1.2
"""Seconds between two versions."""
ROUNDS, SECONDS, QUICK_SECONDS = 2, 60.0, 2.5
SETTLED = 2
"""Swaps after which the server has all that it will need: two versions at once, and the threads of all callers."""
SETTLE_SECONDS = 1.0
TOLERANCE = 1e-3
"""Of a ratio: about a third of a pixel, since sums in another order move an answer a little."""
CASES = {"warm-up": (), "no warm-up": ("--enable_model_warmup=false",)}


@dataclass
class Swapped:
    """One case, all rounds together."""

    loads: list[Load] = field(default_factory=list)
    memory: list[list[float]] = field(default_factory=list)
    """Megabytes of the server before each swap and at the end, by round."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help=f"for each case and round; default: {SECONDS:g}")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """The same model under new numbers, so that every answer can be checked. Exit code 1 if one fails or is wrong."""
    version = subject.newest()
    report.state(server=server.name())
    quick = arguments.quick
    every = QUICK_EVERY if quick else EVERY
    seconds = arguments.seconds or (QUICK_SECONDS if quick else SECONDS)
    (values,) = subject.inputs(UINT8).values()
    expected = subject.in_process(version, UINT8)(values)
    cases = {name: Swapped() for name in CASES}
    for _ in range(1 if quick else ROUNDS):
        for name, flags in CASES.items():
            load, memory = _swapping(version, expected, flags, seconds, every)
            cases[name].loads.append(load)
            cases[name].memory.append(memory)
    failures = [failure for case in cases.values() for load in case.loads for failure in load.failures]
    if not all(load.taken for case in cases.values() for load in case.loads):
        raise SystemExit(f"No request was answered. The first failure: {failures[0]}")
    p50, p99, slowest = (
        series({name: [load.milliseconds(percent) for load in case.loads] for name, case in cases.items()})
        for percent in (50, 99, 100)
    )
    rows = []
    for name, case in cases.items():
        answers, failed = (sum(len(getattr(load, what)) for load in case.loads) for what in ("taken", "failures"))
        swaps = sum(len(memory) - 1 for memory in case.memory)
        settled = float(np.mean([memory[min(SETTLED, len(memory) - 1)] for memory in case.memory]))
        last = float(np.mean([memory[-1] for memory in case.memory]))
        latency = [f"{each[name].median:.0f}" for each in (p50, p99, slowest)]
        growth = [f"{settled:.0f}", f"{last:.0f}", f"{last / settled:.2f}"]
        rows.append([name, str(answers), str(swaps), str(failed), *latency, slowest[name].spread, *growth])
    title = f"{CALLERS} callers, a new version every {every:g} s"
    header = ["case", "answers", "swaps", "failed or wrong", "p50 ms", "p99 ms", "slowest ms", "rounds"]
    report.table(title, [*header, f"MB after {SETTLED} swaps", "at the end", "of it"], rows)
    report.bars(f"{title}: p99", "ms: less is better", p99.values())
    report.bars(f"{title}: slowest answer", "ms: less is better", slowest.values())
    report.write()
    if failures:
        raise SystemExit(f"The first failure: {failures[0]}")


def _swapping(
    version: Path, expected: dict[str, Any], flags: tuple[str, ...], seconds: float, every: float
) -> tuple[Load, list[float]]:
    """What the callers got, and the server's megabytes before each swap and at the end."""
    memory: list[float] = []
    inputs = subject.inputs(UINT8)
    # On the store's file system: a version is copied by hard links.
    with tempfile.TemporaryDirectory(dir=version.parents[1], prefix=".benchmark-") as scratch:
        base = Path(scratch) / "versions"
        base.mkdir()
        _publish(version, base, 1)
        with (
            server.started(base, server.MORE_CALLERS, *flags) as there,
            PredictClient(there.grpc, retries=0) as client,
        ):
            ended = threading.Event()

            def publish() -> None:
                number = 1
                while not ended.wait(every):
                    memory.append(_megabytes(there))
                    number += 1
                    _publish(version, base, number)
                    shutil.rmtree(base / str(number - 2), ignore_errors=True)

            def ask() -> None:
                _check(expected, client.run(inputs, signature=UINT8.key))

            publisher = threading.Thread(target=publish)
            publisher.start()
            load = callers(CALLERS, seconds, ask)
            ended.set()
            publisher.join()
            time.sleep(SETTLE_SECONDS)
            memory.append(_megabytes(there))
    return load, memory


def _megabytes(there: server.Server) -> float:
    return float(there.process.memory_info().rss / 1e6)


def _publish(version: Path, base: Path, number: int) -> None:
    """A copy under a number, made visible by a rename."""
    staged = base.parent / f"staged-{number}"
    subject.copy(version, staged)
    staged.rename(base / str(number))


def _check(expected: dict[str, Any], answer: dict[str, Any]) -> None:
    for output in OUTPUTS:
        if not np.allclose(answer[output.name], expected[output.name], rtol=0, atol=TOLERANCE):
            raise ValueError(f"{output.name} is not what the model answers in this process")
