"""How cost grows: with the pictures in a request, with the photos in a folder, with the versions in the store."""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks import subject
from benchmarks.measure import Series, alternate, figure, run_python, series
from benchmarks.plot import Lines
from benchmarks.report import Report
from pipeline.release.golden import Golden
from pipeline.release.store import ModelStore, verify_checksums
from seamline_client import PredictClient
from seamline_client.contract import MODEL_NAME, UINT8

BATCHES = (1, 2, 4, 8, 16, 32)
BATCH_ROUNDS, QUICK_BATCH_ROUNDS = 8, 2
FOLDERS, QUICK_FOLDERS = (25, 100, 400), (5, 20)
VERSIONS, QUICK_VERSIONS = (1, 10, 100), (3,)
STORE_ROUNDS = 3
IDLE_SECONDS, QUICK_IDLE_SECONDS = 4.0, 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but what all benchmarks take."""


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Sizes take turns, so that none has the quiet moments to itself."""
    version, golden = subject.published()
    report.state(server=subject.server_name())
    quick = arguments.quick
    with subject.server(version.parent) as server:
        local = subject.in_process(version, UINT8)[UINT8]
        requests = _requests(golden, local, server.grpc_target, QUICK_BATCH_ROUNDS if quick else BATCH_ROUNDS)
        folders = _folders(golden, server.grpc_target, QUICK_FOLDERS if quick else FOLDERS, 1 if quick else 2)
    stores = _stores(version, QUICK_VERSIONS if quick else VERSIONS, quick=quick)

    rows = []
    for size in BATCHES:
        grpc, inside = requests["gRPC uint8"][size], requests["in-process"][size]
        rates = [f"{each.median:.2f}" for each in (grpc, inside)]
        rows.append([str(size), *rates, grpc.spread, str(grpc.ratio(inside))])
    header = ["pictures in a request", "gRPC uint8, ms a picture", "in-process", "rounds of gRPC", "of it (5-95 %)"]
    report.table("Pictures in a request", header, rows)
    rows = [
        [str(count), f"{times.median:.2f}", f"{count / times.median:.1f}", times.spread, f"{memory.median:.0f}"]
        for count, (times, memory) in folders.items()
    ]
    header = ["photos", "s, start included", "photos/s", "rounds in s", "most memory, MB"]
    report.table("client/predict.py on a folder", header, rows)
    names = [*next(iter(stores.values()))]
    rows = [[name, *(figure(found[name].median) for found in stores.values())] for name in names]
    report.table("Versions in the store", ["what", *(str(count) for count in stores)], rows)
    lines = {
        name: {float(count): found[name] for count, found in stores.items()} for name in names if name.endswith(" ms")
    }
    report.write(
        "Scale",
        [
            Lines("Pictures in a request: less is better", "pictures", "milliseconds a picture", requests),
            Lines(
                "client/predict.py on a folder: less is better",
                "photos",
                "seconds",
                {"start included": {float(count): times for count, (times, _) in folders.items()}},
                logarithmic=True,
            ),
            Lines("Versions in the store: less is better", "versions", "milliseconds", lines, logarithmic=True),
        ],
        {
            "requests": {way: {str(n): each.values for n, each in found.items()} for way, found in requests.items()},
            "folders": {str(n): {"s": times.values, "mb": mb.values} for n, (times, mb) in folders.items()},
            "stores": {str(n): {name: each.values for name, each in found.items()} for n, found in stores.items()},
        },
    )


def _requests(golden: Golden, local: Any, target: str, rounds: int) -> dict[str, dict[float, Series]]:
    """Milliseconds a picture, by way and by pictures in a request."""
    found: dict[str, dict[float, Series]] = {"gRPC uint8": {}, "in-process": {}}
    with PredictClient(target) as client:
        cases = {}
        for size in BATCHES:
            inputs = subject.pictures(golden, UINT8, size)
            (values,) = inputs.values()
            cases[f"gRPC uint8 {size}"] = partial(client.run, inputs, signature=UINT8.key)
            cases[f"in-process {size}"] = partial(local, values)
        for name, each in alternate(cases, rounds, warm_up=2).items():
            way, _, size_text = name.rpartition(" ")
            found[way][int(size_text)] = Series(name, tuple(value / int(size_text) for value in each.values))
    return found


def _folders(golden: Golden, target: str, counts: tuple[int, ...], rounds: int) -> dict[int, tuple[Series, Series]]:
    """Seconds, and megabytes of the client, by photos in the folder."""
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    memory: dict[int, list[float]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as scratch:
        for count in counts:
            (Path(scratch) / str(count)).mkdir()
            subject.photos(golden, Path(scratch) / str(count), count)
        for _ in range(rounds):
            for count in counts:
                folder = str(Path(scratch) / str(count))
                ran = run_python(["client/predict.py", "--json", "--target", target, folder])
                assert len(ran.said.splitlines()) == count, ran.said[-500:]
                seconds[count].append(ran.seconds)
                memory[count].append(ran.megabytes)
    return {n: (Series(str(n), tuple(seconds[n])), Series(str(n), tuple(memory[n]))) for n in counts}


def _stores(version: Path, counts: tuple[int, ...], *, quick: bool) -> dict[int, dict[str, Series]]:
    """What people and servers do with a store, by how many versions it has."""
    return {count: _store(version, count, quick=quick) for count in counts}


def _store(version: Path, count: int, *, quick: bool) -> dict[str, Series]:
    # On the store's file system: a version is copied by hard links.
    with tempfile.TemporaryDirectory(dir=version.parents[1], prefix=".benchmark-") as scratch:
        store = ModelStore(Path(scratch) / "models", MODEL_NAME)
        for _ in range(count):
            _publish(store, version)
        taken: dict[str, list[float]] = {}

        def timed(name: str, call: Any) -> None:
            started = time.perf_counter()
            call()
            taken.setdefault(name, []).append(1000 * (time.perf_counter() - started))

        for _ in range(1 if quick else STORE_ROUNDS):
            timed("list them, ms", store.versions)
            timed("check the checksums of one, ms", partial(verify_checksums, store.versions()[-1].folder))
            timed("check those of all, ms", partial(_check_all, store))
            home = {"SEAMLINE_HOME": scratch}
            timed(
                "python -m pipeline versions, ms", partial(run_python, ["-m", "pipeline", "versions"], environment=home)
            )
            taken.setdefault("publish one more, ms", []).append(_publish(store, version))
            store.remove(store.versions()[-1].number)
        started = time.perf_counter()
        with subject.server(store.folder) as server:
            taken["start a server until it answers, ms"] = [1000 * (time.perf_counter() - started)]
            process = psutil.Process(server.pid)
            process.cpu_percent()
            time.sleep(QUICK_IDLE_SECONDS if quick else IDLE_SECONDS)
            taken["a server that nobody asks, % of a core"] = [process.cpu_percent()]
    return series(taken)


def _check_all(store: ModelStore) -> None:
    for version in store.versions():
        verify_checksums(version.folder)


def _publish(store: ModelStore, version: Path) -> float:
    """Milliseconds of publishing a copy of the version, the making of the copy left out."""
    with store.stage() as staging:
        subject.copy(version, staging / version.name)
        started = time.perf_counter()
        store.publish(staging / version.name)
        return 1000 * (time.perf_counter() - started)
