"""16 callers while versions are swapped: failures, wrong answers, latency and the server's memory."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks import report, subject
from benchmarks.load import callers
from client import PredictClient
from model.signature import UINT8
from pipeline.golden import difference

CALLERS = 16
EVERY = 5.0
"""Seconds between two versions."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help="how long; default: 60, or 20 with --quick")


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """The same model under new numbers, so that every answer can be checked. Exit code 1 when one fails or is wrong."""
    version, golden = subject.published()
    seconds = arguments.seconds or (20.0 if arguments.quick else 60.0)
    one = subject.pictures(golden, UINT8, 1)
    expected = {name: values[:1] for name, values in golden.outputs.items()}
    memory: list[float] = []
    with tempfile.TemporaryDirectory(dir=version.parents[1]) as scratch:
        base = Path(scratch) / "model"
        _publish(version, base, 1)
        with (
            subject.server(base, "--grpc_max_threads=64") as server,
            PredictClient(server.grpc_target, retries=0) as client,
        ):
            process = psutil.Process(server.pid)
            ended = threading.Event()

            def publish() -> None:
                number = 1
                while not ended.wait(EVERY):
                    memory.append(process.memory_info().rss / 1e6)
                    number += 1
                    _publish(version, base, number)
                    shutil.rmtree(base / str(number - 2), ignore_errors=True)

            def ask() -> None:
                difference(expected, client.run(one, signature=UINT8.key), client.target)

            publisher = threading.Thread(target=publish)
            publisher.start()
            load = callers(CALLERS, seconds, ask)
            ended.set()
            publisher.join()
            time.sleep(2)
            memory.append(process.memory_info().rss / 1e6)
    after_two = memory[2] if len(memory) > 3 else memory[0]
    p50, p99, worst = (1000 * float(np.percentile(load.taken, percent)) for percent in (50, 99, 100))
    row = [
        *(str(len(load.taken)), str(len(memory) - 1), str(len(load.failures))),
        *(f"{value:.0f}" for value in (p50, p99, worst, after_two, memory[-1])),
        f"{memory[-1] / after_two:.2f}",
    ]
    header = [
        "answers",
        "swaps",
        "failed or wrong",
        "p50 ms",
        "p99 ms",
        "worst ms",
        "MB after 2 swaps",
        "MB at the end",
        "ratio",
    ]
    report.table(f"{CALLERS} callers for {seconds:.0f} s, a new version every {EVERY:.0f} s", header, [row])
    report.write(folder, "swap", {"answers": len(load.taken), "failures": len(load.failures), "rss_mb": memory})
    if load.failures:
        raise SystemExit(f"The first failure: {load.failures[0]}")


def _publish(version: Path, base: Path, number: int) -> None:
    """A copy of the version under another number, made visible by a rename. Hard links cost no disk."""
    staged = base.parent / f"staged-{number}"
    shutil.copytree(version, staged, copy_function=os.link)
    base.mkdir(exist_ok=True)
    staged.rename(base / str(number))
