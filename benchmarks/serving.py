"""What a request costs beyond the network itself, and how many pictures a second several callers get.

Without --target a server is started: a container of the image that TENSORFLOW_SERVING_IMAGE names, the official binary
that TENSORFLOW_MODEL_SERVER names, or else the stand-in, `model_server`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks import server, subject
from benchmarks.measure import Series, alternate, callers, series
from benchmarks.report import Report
from benchmarks.server import Server
from seamline_client import PredictClient
from seamline_client.contract import BYTES, DEFAULT, UINT8

SIGNATURES = {"uint8": UINT8, "bytes": BYTES, "float": DEFAULT}
ROUNDS, QUICK_ROUNDS = 150, 10
SIZES, SIZE_ROUNDS, QUICK_SIZE_ROUNDS = (1, 2, 4, 8, 16, 32), 8, 1
CALLERS, BATCH = (1, 4, 16), 8
LOAD_ROUNDS, LOAD_SECONDS, QUICK_LOAD_SECONDS = 3, 4.0, 0.3
BATCHING = ("--enable_batching=true", "--batching_parameters_file=config/batching.config")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    server.add_arguments(parser)


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Without a --target, two servers run, with batching and without; the one that is not asked is idle."""
    version = subject.newest()
    with _servers(arguments, version.parent) as servers:
        report.state(server=arguments.target or server.name())
        first = next(iter(servers.values()))
        _one_caller(version, first, report, quick=arguments.quick)
        _sizes(version, first, report, QUICK_SIZE_ROUNDS if arguments.quick else SIZE_ROUNDS)
        _several_callers(version, servers, report, quick=arguments.quick)
    report.write()


@contextmanager
def _servers(arguments: argparse.Namespace, base: Path) -> Iterator[dict[str, Server]]:
    """By what the table calls them."""
    if there := server.running(arguments):
        yield {"as it is": there}
        return
    with (
        server.started(base, server.MORE_CALLERS) as plain,
        server.started(base, server.MORE_CALLERS, *BATCHING) as batching,
    ):
        yield {"no batching": plain, "batching": batching}


def _one_caller(version: Path, target: Server, report: Report, *, quick: bool) -> None:
    rows = []
    measured: list[Series] = []
    with PredictClient(target.grpc) as grpc, PredictClient(target.rest, "rest") as rest:
        for name, signature in SIGNATURES.items():
            inputs = subject.inputs(signature)
            (values,) = inputs.values()
            cases: dict[str, Callable[[], object]] = {
                f"in-process {name}": partial(subject.in_process(version, signature), values),
                f"gRPC {name}": partial(grpc.run, inputs, signature=signature.key),
            }
            if signature == BYTES:
                cases["REST bytes"] = partial(rest.run, inputs, signature=signature.key)
            found = [*alternate(cases, QUICK_ROUNDS if quick else ROUNDS).values()]
            for each in found:
                percentiles = [f"{each.percentile(percent):.2f}" for percent in (50, 95, 99)]
                rows.append([each.name, *percentiles, each.ratio(found[0]), f"{each.cpu:.2f}"])
            measured += found
    title = "One caller, one picture per request"
    header = ["way", "p50 ms", "p95 ms", "p99 ms", "of in-process (5-95 %)", "client CPU ms"]
    report.table(title, header, rows)
    report.bars(title, "ms: less is better", measured)


def _sizes(version: Path, target: Server, report: Report, rounds: int) -> None:
    local = subject.in_process(version, UINT8)
    with PredictClient(target.grpc) as client:
        cases: dict[str, Callable[[], object]] = {}
        for size in SIZES:
            inputs = subject.inputs(UINT8, size)
            (values,) = inputs.values()
            cases[f"gRPC {size}"] = partial(client.run, inputs, signature=UINT8.key)
            cases[f"in-process {size}"] = partial(local, values)
        found = alternate(cases, rounds, warm_up=2)
    per_picture = {
        name: Series(name, tuple(value / int(name.split()[1]) for value in each.values)) for name, each in found.items()
    }
    rows = []
    for size in SIZES:
        grpc, inside = per_picture[f"gRPC {size}"], per_picture[f"in-process {size}"]
        rows.append([str(size), f"{grpc.median:.2f}", grpc.spread, f"{inside.median:.2f}", grpc.ratio(inside)])
    header = ["pictures per request", "gRPC uint8, ms per picture", "rounds", "in-process", "of it (5-95 %)"]
    report.table("Several pictures per request", header, rows)


def _several_callers(version: Path, servers: dict[str, Server], report: Report, *, quick: bool) -> None:
    local = subject.in_process(version, UINT8)
    seconds, rounds = (QUICK_LOAD_SECONDS, 1) if quick else (LOAD_SECONDS, LOAD_ROUNDS)
    best = f"in-process, batch {BATCH}"
    with ExitStack() as stack:
        asks: dict[str, tuple[int, int, Callable[[], object]]] = {}
        for size, name in ((BATCH, best), (1, "in-process, batch 1")):
            (values,) = subject.inputs(UINT8, size).values()
            asks[name] = 1, size, partial(local, values)
        for kind, each in servers.items():
            grpc = stack.enter_context(PredictClient(each.grpc, retries=0))
            rest = stack.enter_context(PredictClient(each.rest, "rest", retries=0))
            for way, client, signature in (("gRPC uint8", grpc, UINT8), ("REST bytes", rest, BYTES)):
                ask = partial(client.run, subject.inputs(signature), signature=signature.key)
                asks |= {f"{way}, {count} callers, {kind}": (count, 1, ask) for count in CALLERS}
        rates: dict[str, list[float]] = {name: [] for name in asks}
        tails: dict[str, list[float]] = {name: [] for name in asks}
        for number in range(rounds + 1):
            for name, (count, pictures, ask) in asks.items():
                load = callers(count, seconds if number else QUICK_LOAD_SECONDS, ask).checked(name)
                if number:  # the first round warms up
                    rates[name].append(pictures * load.rate)
                    tails[name].append(load.milliseconds(99))
    measured, slowest = series(rates), series(tails)
    rows = [
        [name, f"{each.median:.1f}", each.spread, each.ratio(measured[best]), f"{slowest[name].median:.0f}"]
        for name, each in measured.items()
    ]
    title = "Several callers, one picture per request"
    report.table(title, ["way", "pictures/s", "rounds", f"of batch {BATCH} (5-95 %)", "p99 ms"], rows)
    report.bars(title, "pictures per second: more is better", measured.values())
