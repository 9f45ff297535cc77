"""How much faster photos are prepared and predicted on Spark with each executor, beside this machine without Spark.

Executors have one core each and run on this machine, whose cores are therefore the limit. What is timed is the second
job of each session: the first one imports TensorFlow and loads the model.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

from benchmarks import subject
from benchmarks.cluster import cluster
from benchmarks.data import copies
from benchmarks.measure import figures, in_turn
from benchmarks.report import Report
from garments import write_dataset
from pipeline.data import records
from pipeline.data.parts import Engine, here
from pipeline.release import card
from pipeline.scale import predict, spark

ALONE, ONE = "without Spark, all cores", "1 executor"


def run(arguments: argparse.Namespace, report: Report) -> None:
    drawn, prepared, asked, rounds = (15, 60, 20, 1) if arguments.quick else (100, 4_096, 512, 3)
    version = subject.newest().absolute()
    model = predict.Model(version, int(version.name), card.keypoints(version))
    executors = 1 if arguments.quick else os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_dataset(folder / "drawn", drawn, 1)
        for name, photos in (("first", 50), ("prepared", prepared), ("asked", asked)):
            copies(folder / "drawn", folder / name, photos)
        with cluster(executors, folder) as found:
            ways: dict[str, Callable[[], tuple[float, float]]] = {ALONE: partial(_rates, _alone, folder, model)}
            for count in range(1, executors + 1):
                name = ONE if count == 1 else f"{count} executors"
                settings = {**spark.SETTINGS, "spark.cores.max": str(count)}
                ways[name] = partial(_rates, partial(spark.engine, found.url, settings), folder, model)
            rates = in_turn(ways, rounds)
    for what, index in (("Photos to a data set", 0), ("Photos to answers", 1)):
        measured = figures(rates, lambda each, index=index: each[index])  # type: ignore[misc]
        report.compare(what, "photos per second", measured, bases=dict.fromkeys(measured, ONE))
    report.write()


@contextmanager
def _alone() -> Iterator[Engine]:
    yield here


def _rates(
    session: Callable[[], AbstractContextManager[Engine]], folder: Path, model: predict.Model
) -> tuple[float, float]:
    """Photos a second that are prepared, and that are predicted."""
    with session() as engine:
        for photos in (folder / "first", folder / "prepared"):
            began, to = time.perf_counter(), folder / uuid4().hex
            made = records.prepare(photos, to, _silent, engine=engine)
            prepared = sum(map(made.count, made.categories)) / (time.perf_counter() - began)
        for photos in (folder / "first", folder / "asked"):
            job = predict.begin(model, str(photos), str(folder / uuid4().hex), predict.JSON_LINES)
            began = time.perf_counter()
            job.run(engine, _silent)
            predicted = sum(map(len, job.parts)) / (time.perf_counter() - began)
    return prepared, predicted


def _silent(done: int, total: int, note: str = "") -> None:
    """Progress would be measured too."""
