"""16 callers while versions are swapped, with warm-up and without: failures, wrong answers, latency, memory.

Warm-up requests travel with a version; they are missing in one case, and the server is told not to run them in another.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import subject
from benchmarks.load import Load, callers
from benchmarks.measure import Series
from benchmarks.plot import Bars
from benchmarks.report import Report
from pipeline.release.golden import Golden, difference
from seamline_client import PredictClient
from seamline_client.contract import UINT8

CALLERS = 16
EVERY, QUICK_EVERY = 5.0, 1.2
"""Seconds between two versions."""
ROUNDS, SECONDS, QUICK_SECONDS = 2, 60.0, 2.0
SETTLED = 2
"""Swaps after which the server has all that it will need: two versions at once, and the threads of all callers."""
SETTLE_SECONDS = 1.0
WARMUP = "assets.extra/tf_serving_warmup_requests"
CASES: dict[str, tuple[bool, tuple[str, ...]]] = {
    "warm-up": (True, ()),
    "no warm-up requests": (False, ()),
    "--enable_model_warmup=false": (True, ("--enable_model_warmup=false",)),
}
"""Whether the versions have warm-up requests, and the server's flags."""


@dataclass
class Swapped:
    """Of one case, all rounds together; the slowest answer and the median by round."""

    answers: int = 0
    swaps: int = 0
    failures: list[Exception] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)
    memory: list[list[float]] = field(default_factory=list)
    """Megabytes of the server before each swap and at the end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help=f"of each case and round; default: {SECONDS:g}")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """The same model under new numbers, so that every answer can be checked. Exit code 1 when one fails or is wrong."""
    version, golden = subject.published()
    report.state(server=subject.server_name())
    quick = arguments.quick
    seconds = arguments.seconds or (QUICK_SECONDS if quick else SECONDS)
    every = QUICK_EVERY if quick else EVERY
    cases = {name: Swapped() for name in CASES}
    for _ in range(1 if quick else ROUNDS):
        for name, (warm, flags) in CASES.items():
            # On the store's file system: a version is copied by hard links.
            with tempfile.TemporaryDirectory(dir=version.parents[1], prefix=".benchmark-") as scratch:
                source = Path(scratch) / "source"
                subject.copy(version, source)
                if not warm:
                    (source / WARMUP).unlink()
                load, memory = _swapping(source, Path(scratch) / "model", golden, flags, seconds, every)
            case = cases[name]
            case.answers += len(load.taken)
            case.swaps += len(memory) - 1
            case.failures += load.failures
            case.memory.append(memory)
            if load.taken:
                case.p50.append(load.milliseconds(50))
                case.p99.append(load.milliseconds(99))
                case.worst.append(load.milliseconds(100))
    failures = [failure for case in cases.values() for failure in case.failures]
    if not all(case.p50 for case in cases.values()):
        raise SystemExit(f"No request was answered. The first failure: {failures[0]}")
    rows = []
    for name, case in cases.items():
        latency = [Series(name, tuple(values)) for values in (case.p50, case.p99, case.worst)]
        settled = sum(memory[min(SETTLED, len(memory) - 1)] for memory in case.memory) / len(case.memory)
        last = sum(memory[-1] for memory in case.memory) / len(case.memory)
        rows.append(
            [name, str(case.answers), str(case.swaps), str(len(case.failures))]
            + [f"{each.median:.0f}" for each in latency]
            + [latency[2].spread, f"{settled:.0f}", f"{last:.0f}", f"{last / settled:.2f}"]
        )
    header = ["case", "answers", "swaps", "failed or wrong", "p50 ms", "p99 ms", "slowest ms", "rounds"]
    title = f"{CALLERS} callers, a new version every {every:g} s"
    report.table(title, [*header, f"MB after {SETTLED} swaps", "at the end", "of it"], rows)
    panels = [
        Bars(
            "The slowest answer: less is better", "milliseconds", [Series(n, tuple(c.worst)) for n, c in cases.items()]
        ),
        Bars("p99", "milliseconds", [Series(n, tuple(c.p99)) for n, c in cases.items()]),
    ]
    results = {
        name: {
            **{key: getattr(case, key) for key in ("answers", "swaps", "p50", "p99", "worst", "memory")},
            "failures": [str(failure) for failure in case.failures[:5]],
        }
        for name, case in cases.items()
    }
    report.write(title, panels, {"cases": results})
    if failures:
        raise SystemExit(f"The first failure: {failures[0]}")


def _swapping(
    source: Path, base: Path, golden: Golden, flags: tuple[str, ...], seconds: float, every: float
) -> tuple[Load, list[float]]:
    """Callers for so many seconds and a version every few of them; the server's megabytes before each, and at last."""
    one = subject.pictures(golden, UINT8, 1)
    expected = {name: values[:1] for name, values in golden.outputs.items()}
    memory: list[float] = []
    base.mkdir()
    _publish(source, base, 1)
    with (
        subject.server(base, "--grpc_max_threads=64", *flags) as server,
        PredictClient(server.grpc_target, retries=0) as client,
    ):
        process = psutil.Process(server.pid)
        ended = threading.Event()

        def publish() -> None:
            number = 1
            while not ended.wait(every):
                memory.append(process.memory_info().rss / 1e6)
                number += 1
                _publish(source, base, number)
                shutil.rmtree(base / str(number - 2), ignore_errors=True)

        def ask() -> None:
            difference(expected, client.run(one, signature=UINT8.key), client.target)

        publisher = threading.Thread(target=publish)
        publisher.start()
        load = callers(CALLERS, seconds, ask)
        ended.set()
        publisher.join()
        time.sleep(SETTLE_SECONDS)
        memory.append(process.memory_info().rss / 1e6)
    return load, memory


def _publish(source: Path, base: Path, number: int) -> None:
    """A copy of the version under a number, made visible by a rename."""
    staged = base.parent / f"staged-{number}"
    subject.copy(source, staged)
    staged.rename(base / str(number))
