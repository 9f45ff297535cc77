"""What the client costs: its start, its memory, and building a request, against the usual way with TensorFlow."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.measure import alternate
from client import grpc_calls
from client.transport import ModelSpec
from model.signature import BYTES, DEFAULT, UINT8

ROUNDS, QUICK_ROUNDS = 7, 2
COPY_FACTOR, ALLOWANCE_MS = 1.2, 0.3
"""What building a request may cost: this many copies of its payload, and this much on top."""

STARTS = {
    "predict.py --help": [sys.executable, "client/predict.py", "--help"],
    "import client": [sys.executable, "-c", "from client import PredictClient; PredictClient().close()"],
    "usual way: import tensorflow_serving": [
        *(sys.executable, "-W", "ignore", "-c"),
        "import grpc; from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc",
    ],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but what all benchmarks take."""


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Starts are processes of their own, in turn."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in STARTS}
    for _ in range(QUICK_ROUNDS if arguments.quick else ROUNDS):
        for name, command in STARTS.items():
            taken[name].append(_start(command))
    starts = {name: [median(column) for column in zip(*rounds)] for name, rounds in taken.items()}
    report.table(
        "Start of a process", ["what", "s", "MB"], [[n, f"{s:.2f}", f"{mb:.0f}"] for n, (s, mb) in starts.items()]
    )

    timings = alternate(_building(), 50 if arguments.quick else 400)
    by_name = {timing.name: timing.percentile(50) for timing in timings}
    rows = []
    for signature in (UINT8, DEFAULT, BYTES):
        build, copy = by_name[f"build {signature.key}"], by_name[f"copy {signature.key}"]
        rows.append([signature.key, f"{build:.3f}", f"{copy:.3f}", f"{COPY_FACTOR * copy + ALLOWANCE_MS:.3f}"])
    report.table("Building a request, in ms", ["signature", "build", "a copy of the payload", "allowed"], rows)
    report.write(folder, "client", {"starts": starts, "building": by_name})
    report.bars(folder, "client", "Building a request", [t for t in timings if t.name.startswith("build")])


def _start(command: list[str]) -> tuple[float, float]:
    """Seconds of wall time and megabytes of peak memory of a process."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    done = subprocess.run(
        [sys.executable, "-c", code, *command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    match = re.search(r"peak (\d+)", done.stdout)
    assert match
    return seconds, int(match.group(1)) / 1024


def _building() -> dict[str, Callable[[], object]]:
    """For each door: arrays to a serialised request, beside one copy of the payload."""
    pixels = np.random.default_rng(1).integers(0, 256, (1, *UINT8.input.shape[1:]), np.uint8)
    file = np.empty(1, object)
    file[0] = pixels.tobytes()[:35_000]
    cases: dict[str, Callable[[], object]] = {}
    for signature, values in ((UINT8, pixels), (DEFAULT, pixels.astype(np.float32)), (BYTES, file)):
        cases[f"build {signature.key}"] = _builder(signature.key, {signature.input.name: values})
        payload = np.frombuffer(file[0], np.uint8) if values is file else values
        cases[f"copy {signature.key}"] = payload.copy
    return cases


def _builder(key: str, inputs: dict[str, Any]) -> Callable[[], object]:
    return lambda: grpc_calls.predict(ModelSpec(), key, inputs).request
