"""A folder of photos through the client, against the server's own rate for the same signature."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import subject
from benchmarks.load import callers
from benchmarks.measure import series
from benchmarks.plot import Bars
from benchmarks.report import Report
from client import PredictClient
from model.signature import BYTES, UINT8, Signature
from pipeline.golden import Golden

PARALLEL = 4
ROUNDS, PHOTOS = 4, 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but what all benchmarks take."""


def run(arguments: argparse.Namespace, report: Report) -> None:
    """In turn: ready-made requests from 4 callers, and the client's stream over files on disk with 4 in flight."""
    version, golden = subject.published()
    report.state(server=subject.server_name())
    rounds, photos = (1, 20) if arguments.quick else (ROUNDS, PHOTOS)
    rates: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        subject.server(version.parent) as server,
        PredictClient(server.grpc_target) as client,
    ):
        paths = subject.photos(golden, Path(scratch), photos)
        for number in range(rounds + 1):
            for door in (UINT8, BYTES):
                own, streamed = _own_rate(client, golden, door, photos), _streamed(client, paths, door)
                if number:  # the first round warms up
                    rates.setdefault(f"{door.key}, ready-made requests", []).append(own)
                    rates.setdefault(f"{door.key}, a folder of photos", []).append(streamed)
    measured = series(rates)
    rows = []
    for name, each in measured.items():
        own_rate = measured[f"{name.split(',')[0]}, ready-made requests"]
        rows.append([name, f"{each.median:.1f}", each.spread, str(each.ratio(own_rate))])
    report.table(f"{photos} photos, photos a second", ["way", "median", "rounds", "of ready-made (5-95 %)"], rows)
    panel = Bars("More is better", "photos a second", [*measured.values()])
    report.write("A folder of photos", [panel], {"rates": rates})


def _own_rate(client: PredictClient, golden: Golden, door: Signature, photos: int) -> float:
    inputs = subject.pictures(golden, door, 1)
    load = callers(PARALLEL, photos / 60, lambda: client.run(inputs, signature=door.key))
    return load.checked(door.key).rate


def _streamed(client: PredictClient, paths: list[Path], door: Signature) -> float:
    started = time.perf_counter()
    for outcome in client.stream(paths, signature=door.key, parallel=PARALLEL):
        assert outcome.error is None, outcome.error
    return len(paths) / (time.perf_counter() - started)
