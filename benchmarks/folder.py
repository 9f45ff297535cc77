"""A folder of photos through the client, against the server's own rate for the same signature."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import subject
from benchmarks.load import callers
from benchmarks.measure import Series, all_cores, on_cores
from benchmarks.plot import Bars
from benchmarks.report import Report
from pipeline.release.golden import Golden
from seamline_client import PredictClient
from seamline_client.contract import BYTES, UINT8, Signature

PARALLEL = 4
APART = ", cores apart"
ROUNDS, PHOTOS = 4, 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but what all benchmarks take."""


def run(arguments: argparse.Namespace, report: Report) -> None:
    """In turn: ready-made requests from 4 callers, and the client's stream over files on disk with 4 in flight."""
    version, golden = subject.published()
    report.state(server=subject.server_name())
    rounds, photos = (1, 20) if arguments.quick else (ROUNDS, PHOTOS)
    measured: dict[str, Series] = {}
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        paths = subject.photos(golden, Path(scratch), photos)
        for where, servers_cores, clients_cores in _places():
            with ExitStack() as stack:
                with on_cores(servers_cores):
                    server = stack.enter_context(subject.server(version.parent))
                stack.enter_context(on_cores(clients_cores))
                client = stack.enter_context(PredictClient(server.grpc_target))
                for door in (UINT8, BYTES):
                    own, streamed = _rates(client, golden, paths, door, rounds, f"{door.key}, {{}}{where}")
                    measured |= {own.name: own, streamed.name: streamed}
                    rows += [
                        [each.name, f"{each.median:.1f}", each.spread, str(each.ratio(own))] for each in (own, streamed)
                    ]
    report.table(f"{photos} photos, photos a second", ["way", "median", "rounds", "of ready-made (5-95 %)"], rows)
    panel = Bars("More is better", "photos a second", [*measured.values()])
    report.write("A folder of photos", [panel], {"rates": {name: each.values for name, each in measured.items()}})


def _places() -> Iterator[tuple[str, Sequence[int], Sequence[int]]]:
    """What to call it, the server's cores and the client's: the same ones; then half each, as of two machines."""
    cores = all_cores()
    yield "", cores, cores
    if len(cores) > 1:
        yield APART, cores[: len(cores) // 2], cores[len(cores) // 2 :]


def _rates(
    client: PredictClient, golden: Golden, paths: list[Path], door: Signature, rounds: int, name: str
) -> tuple[Series, Series]:
    """Photos a second of ready-made requests, and of the folder. The first round warms up."""
    rates = [(_own_rate(client, golden, door, len(paths)), _streamed(client, paths, door)) for _ in range(rounds + 1)]
    own, streamed = zip(*rates[1:])
    return Series(name.format("ready-made requests"), own), Series(name.format("a folder of photos"), streamed)


def _own_rate(client: PredictClient, golden: Golden, door: Signature, photos: int) -> float:
    inputs = subject.pictures(golden, door, 1)
    load = callers(PARALLEL, photos / 60, lambda: client.run(inputs, signature=door.key))
    return load.checked(door.key).rate


def _streamed(client: PredictClient, paths: list[Path], door: Signature) -> float:
    started = time.perf_counter()
    for outcome in client.stream(paths, signature=door.key, parallel=PARALLEL):
        assert outcome.error is None, outcome.error
    return len(paths) / (time.perf_counter() - started)
