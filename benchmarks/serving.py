"""What a request costs beyond the network itself, and how many pictures a second several callers get.

Without --target a server is started: the official binary that TENSORFLOW_MODEL_SERVER names, or else the stand-in.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import server, subject
from benchmarks.measure import Load, callers, figures, in_turn, once
from benchmarks.report import Report
from benchmarks.server import Server
from pipeline.serving.process import BATCHING
from seamline_client import PredictClient
from seamline_client.contract import BYTES, DEFAULT, UINT8

SIGNATURES = {"uint8": UINT8, "bytes": BYTES, "float": DEFAULT}
SIZES = (1, 4, 16)
CALLERS, BATCH = 16, 8


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Without a --target, two servers run, with batching and without; the one that is not asked is idle."""
    version = subject.newest()
    with ExitStack() as stack:
        plain = stack.enter_context(server.running(arguments, version.parent, report))
        servers = {"as it is": plain}
        if not arguments.target:
            batching = server.started(version.parent, report, *BATCHING)
            servers = {"no batching": plain, "batching": stack.enter_context(batching)}
        _one_caller(version, plain, report, 10 if arguments.quick else 150)
        _sizes(version, plain, report, 1 if arguments.quick else 8)
        _several_callers(version, servers, report, quick=arguments.quick)
    report.write()


def _one_caller(version: Path, target: Server, report: Report, rounds: int) -> None:
    found: dict[str, list[float]] = {}
    bases: dict[str, str] = {}
    with PredictClient(target.grpc) as grpc, PredictClient(target.rest, "rest") as rest:
        for name, signature in SIGNATURES.items():
            inputs = subject.inputs(signature)
            cases = {
                f"in-process {name}": once(partial(subject.in_process(version, signature), *inputs.values())),
                f"gRPC {name}": once(partial(grpc.run, inputs, signature=signature.key)),
            }
            if signature == BYTES:
                cases["REST bytes"] = once(partial(rest.run, inputs, signature=signature.key))
            found |= in_turn(cases, rounds, warm_up=5)
            bases |= dict.fromkeys(cases, f"in-process {name}")
    title = "One caller, one picture per request"
    report.compare(title, "ms", found, bases=bases, percentiles=(95, 99))


def _sizes(version: Path, target: Server, report: Report, rounds: int) -> None:
    local = subject.in_process(version, UINT8)
    measured: dict[str, list[float]] = {}
    bases: dict[str, str] = {}
    with PredictClient(target.grpc) as client:
        for size in SIZES:
            inputs = subject.inputs(UINT8, size)
            cases = {
                f"in-process, {size}": once(partial(local, *inputs.values())),
                f"gRPC uint8, {size}": once(partial(client.run, inputs, signature=UINT8.key)),
            }
            for name, taken in in_turn(cases, rounds, warm_up=2).items():
                measured[name] = [milliseconds / size for milliseconds in taken]
            bases |= dict.fromkeys(cases, f"in-process, {size}")
    report.compare("Several pictures per request", "ms per picture", measured, bases=bases)


def _several_callers(version: Path, servers: dict[str, Server], report: Report, *, quick: bool) -> None:
    seconds, rounds = (0.3, 1) if quick else (4.0, 3)
    local = subject.in_process(version, UINT8)
    best = f"in-process, batch {BATCH}"
    with ExitStack() as stack:
        cases: dict[str, Callable[[], Load]] = {}
        for size, name in ((BATCH, best), (1, "in-process, batch 1")):
            cases[name] = partial(callers, 1, seconds, partial(local, *subject.inputs(UINT8, size).values()))
        for kind, each in servers.items():
            grpc = stack.enter_context(PredictClient(each.grpc, retries=0))
            ask = partial(grpc.run, subject.inputs(UINT8), signature=UINT8.key)
            cases[f"gRPC uint8, {kind}, callers: {CALLERS}"] = partial(callers, CALLERS, seconds, ask)
        found = in_turn(cases, rounds, warm_up=1)
    measured = figures(found, lambda load: load.rate)
    measured[best] = [BATCH * rate for rate in measured[best]]
    slowest = {name: float(np.median([load.milliseconds(99) for load in loads])) for name, loads in found.items()}
    title = "Several callers, one picture per request"
    bases = dict.fromkeys(measured, best)
    report.compare(title, "pictures per second", measured, bases=bases, columns={"99 %, ms": slowest})
