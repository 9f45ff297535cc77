"""Callers while versions are swapped, with warm-up and without: failures, wrong answers, latency, memory."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import server, subject
from benchmarks.measure import Load, callers, in_turn, series
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
    cases = {name: partial(_swapping, version, expected, flags, seconds, every) for name, flags in CASES.items()}
    found = in_turn(cases, 1 if quick else ROUNDS)
    failures = [failure for runs in found.values() for load, _ in runs for failure in load.failures]
    if not all(load.taken for runs in found.values() for load, _ in runs):
        raise SystemExit(f"No request was answered. The first failure: {failures[0]}")
    columns: dict[str, dict[str, float]] = {}
    for name, runs in found.items():
        settled = float(np.mean([memory[min(SETTLED, len(memory) - 1)] for _, memory in runs]))
        for column, value in (
            ("answers", sum(len(load.taken) for load, _ in runs)),
            ("swaps", sum(len(memory) - 1 for _, memory in runs)),
            ("failed or wrong", sum(len(load.failures) for load, _ in runs)),
            ("median, ms", np.median([load.milliseconds() for load, _ in runs])),
            ("99 %, ms", np.median([load.milliseconds(99) for load, _ in runs])),
            (f"MB after {SETTLED} swaps", settled),
            ("MB at the end", np.mean([memory[-1] for _, memory in runs])),
        ):
            columns.setdefault(column, {})[name] = float(value)
    slowest = series(found, lambda run: run[0].milliseconds(100))
    title = f"{CALLERS} callers, a new version every {every:g} s"
    report.compare(title, "slowest answer, ms", slowest, columns=columns)
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
            server.started(base, *flags) as there,
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
            load = callers(CALLERS, seconds, ask, strict=False)
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
