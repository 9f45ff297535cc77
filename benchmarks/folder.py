"""A folder of photos through the client: against ready-made requests, and as the folder grows."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import server, subject
from benchmarks.machine import Ran, run_python
from benchmarks.measure import callers, figures, in_turn
from benchmarks.report import Report
from seamline_client import PredictClient
from seamline_client.contract import BYTES, UINT8, Signature

PARALLEL = 4


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Client and server share this machine's cores, unless --target names a server elsewhere."""
    base = subject.newest().parent
    with tempfile.TemporaryDirectory() as scratch, server.running(arguments, base, report) as there:
        with PredictClient(there.grpc) as client:
            _stream(client, Path(scratch), report, quick=arguments.quick)
        _command(there.grpc, Path(scratch), report, quick=arguments.quick)
    report.write()


def _stream(client: PredictClient, scratch: Path, report: Report, *, quick: bool) -> None:
    rounds, photos, seconds = (1, 20, 0.5) if quick else (4, 200, 4.0)
    paths = subject.photos(scratch / "photos", photos)
    cases: dict[str, Callable[[], float]] = {}
    bases: dict[str, str] = {}
    for signature in (UINT8, BYTES):
        ready, folder = f"{signature.key}, ready-made requests", f"{signature.key}, a folder of photos"
        cases[ready] = partial(_ready_made, client, signature, seconds)
        cases[folder] = partial(_streamed, client, signature, paths)
        bases |= {ready: ready, folder: ready}
    measured = figures(in_turn(cases, rounds, warm_up=1), float)
    report.compare(f"PredictClient.stream, {photos} photos", "photos per second", measured, bases=bases)


def _ready_made(client: PredictClient, signature: Signature, seconds: float) -> float:
    ask = partial(client.run, subject.inputs(signature), signature=signature.key)
    return callers(PARALLEL, seconds, ask).rate


def _streamed(client: PredictClient, signature: Signature, paths: Sequence[Path]) -> float:
    started = time.perf_counter()
    for outcome in client.stream(paths, signature=signature.key, parallel=PARALLEL):
        if outcome.error is not None:
            raise SystemExit(f"{signature.key}: a photo failed: {outcome.error}")
    return len(paths) / (time.perf_counter() - started)


def _command(target: str, scratch: Path, report: Report, *, quick: bool) -> None:
    """`client/predict.py` as a person runs it."""
    cases: dict[str, Callable[[], Ran]] = {}
    for count in (5, 20) if quick else (25, 100, 400):
        folder = scratch / str(count)
        subject.photos(folder, count)
        command = ["client/predict.py", "--json", "--target", target, str(folder)]
        cases[f"{count} photos"] = partial(run_python, command)
    found = in_turn(cases, 1 if quick else 2)
    memory = {name: max(ran.megabytes for ran in each) for name, each in found.items()}
    title = "client/predict.py, its start included"
    report.compare(title, "seconds", figures(found, lambda ran: ran.seconds), columns={"peak memory, MB": memory})
