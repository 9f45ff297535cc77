"""A folder of photos through the client: how fast, against ready-made requests, and how its cost grows with the folder."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import server, subject
from benchmarks.machine import Ran, run_python
from benchmarks.measure import Series, callers, series
from benchmarks.report import Report
from seamline_client import PredictClient
from seamline_client.contract import BYTES, UINT8, Signature

PARALLEL = 4
ROUNDS, PHOTOS, QUICK_PHOTOS = 4, 200, 20
FOLDERS, FOLDER_ROUNDS, QUICK_FOLDERS = (25, 100, 400), 2, (5, 20)
READY_SECONDS, QUICK_READY_SECONDS = 4.0, 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    server.add_arguments(parser)


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Client and server share this machine's cores, unless --target names a server elsewhere."""
    version = subject.newest()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        there = server.running(arguments) or stack.enter_context(server.started(version.parent, server.MORE_CALLERS))
        report.state(server=arguments.target or server.name())
        with PredictClient(there.grpc) as client:
            _stream(client, Path(scratch), report, quick=arguments.quick)
        counts, rounds = (QUICK_FOLDERS, 1) if arguments.quick else (FOLDERS, FOLDER_ROUNDS)
        _command(there.grpc, Path(scratch), counts, rounds, report)
    report.write()


def _stream(client: PredictClient, scratch: Path, report: Report, *, quick: bool) -> None:
    rounds, photos, seconds = (1, QUICK_PHOTOS, QUICK_READY_SECONDS) if quick else (ROUNDS, PHOTOS, READY_SECONDS)
    paths = subject.photos(scratch / "photos", photos)
    ways: dict[str, Callable[[], float]] = {}
    for signature in (UINT8, BYTES):
        ways[f"{signature.key}, ready-made requests"] = partial(_ready_made, client, signature, seconds)
        ways[f"{signature.key}, a folder of photos"] = partial(_streamed, client, signature, paths)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            rate = way()
            if number:  # the first round warms up
                rates[name].append(rate)
    measured = series(rates)
    rows = []
    for name, each in measured.items():
        ready_made = measured[f"{name.split(',')[0]}, ready-made requests"]
        rows.append([name, f"{each.median:.1f}", each.spread, each.ratio(ready_made)])
    title = f"PredictClient.stream, {photos} photos"
    report.table(title, ["way", "photos/s", "rounds", "of ready-made (5-95 %)"], rows)
    report.bars(title, "photos per second: more is better", measured.values())


def _ready_made(client: PredictClient, signature: Signature, seconds: float) -> float:
    ask = partial(client.run, subject.inputs(signature), signature=signature.key)
    return callers(PARALLEL, seconds, ask).checked(signature.key).rate


def _streamed(client: PredictClient, signature: Signature, paths: Sequence[Path]) -> float:
    started = time.perf_counter()
    for outcome in client.stream(paths, signature=signature.key, parallel=PARALLEL):
        if outcome.error is not None:
            raise SystemExit(f"{signature.key}: a photo failed: {outcome.error}")
    return len(paths) / (time.perf_counter() - started)


def _command(target: str, scratch: Path, counts: Sequence[int], rounds: int, report: Report) -> None:
    """`client/predict.py` as a person runs it, its start included; folders of all sizes take turns."""
    for count in counts:
        subject.photos(scratch / str(count), count)
    ran: dict[int, list[Ran]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count, each in ran.items():
            each.append(run_python(["client/predict.py", "--json", "--target", target, str(scratch / str(count))]))
    rows = []
    for count, each in ran.items():
        taken = Series(str(count), tuple(run.seconds for run in each))
        memory = max(run.megabytes for run in each)
        rows.append([str(count), f"{taken.median:.2f}", taken.spread, f"{count / taken.median:.1f}", f"{memory:.0f}"])
    report.table("client/predict.py", ["photos", "s, start included", "rounds", "photos/s", "peak memory, MB"], rows)
