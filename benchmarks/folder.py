"""A folder of photos through the client, against the server's own rate for the same signature."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import report, subject
from benchmarks.load import callers
from client import PredictClient
from model.signature import BYTES, UINT8, Signature
from pipeline.golden import Golden

PARALLEL = 4
ROUNDS, PHOTOS = 5, 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but what all benchmarks take."""


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """In turn: ready-made requests from 4 callers, and the client's stream over files on disk with 4 in flight."""
    version, golden = subject.published()
    rounds, photos = (2, 100) if arguments.quick else (ROUNDS, PHOTOS)
    rates: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        subject.server(version.parent) as server,
        PredictClient(server.grpc_target) as client,
    ):
        paths = []
        for number in range(photos):
            path = Path(scratch) / f"{number}.jpg"
            path.write_bytes(golden.files[number % len(golden.files)])
            paths.append(path)
        for number in range(rounds + 1):
            for door in (UINT8, BYTES):
                own, streamed = _own_rate(client, golden, door, photos), _streamed(client, paths, door)
                if number:  # the first round warms up
                    rates.setdefault(f"{door.key}, ready-made requests", []).append(own)
                    rates.setdefault(f"{door.key}, a folder of photos", []).append(streamed)
    rows = []
    for name, each in rates.items():
        own = float(np.median(rates[f"{name.split(',')[0]}, ready-made requests"]))
        ratio = float(np.median(each)) / own
        rows.append([name, f"{np.median(each):.1f}", f"{min(each):.1f} to {max(each):.1f}", f"{ratio:.2f}"])
    report.table("Photos a second", ["way", "median", "rounds", "of the server's own"], rows)
    report.write(folder, "folder", {"rates": rates})


def _own_rate(client: PredictClient, golden: Golden, door: Signature, photos: int) -> float:
    inputs = subject.pictures(golden, door, 1)
    load = callers(PARALLEL, photos / 60, lambda: client.run(inputs, signature=door.key))
    assert not load.failures, load.failures[0]
    return load.rate


def _streamed(client: PredictClient, paths: list[Path], door: Signature) -> float:
    started = time.perf_counter()
    for outcome in client.stream(paths, signature=door.key, parallel=PARALLEL):
        assert outcome.error is None, outcome.error
    return len(paths) / (time.perf_counter() - started)
