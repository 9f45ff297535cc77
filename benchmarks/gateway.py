"""What the gateway costs: TLS, a token, limits and one more hop, beside a call to the server itself."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import server, subject
from benchmarks.measure import Load, callers, figures, in_turn, once
from benchmarks.report import Report
from benchmarks.server import Server
from pipeline.background.ports import free_port
from pipeline.gateway import running
from pipeline.gateway.files import Files
from pipeline.settings import Replica, Settings
from seamline_client import PredictClient, Tls
from seamline_client.contract import BYTES, UINT8

CALLERS = 4
WAYS = {"gRPC uint8": UINT8, "REST bytes": BYTES}


def run(arguments: argparse.Namespace, report: Report) -> None:
    version = subject.newest()
    with ExitStack() as stack:
        direct = stack.enter_context(
            server.running(arguments, version.parent, report, "--enable_grpc_healthcheck_service=true")
        )
        through = stack.enter_context(_gateway(direct))
        cases: dict[str, Callable[[], object]] = {}
        bases: dict[str, str] = {}
        for name, signature in WAYS.items():
            transport, target = ("grpc", direct.grpc) if name.startswith("gRPC") else ("rest", direct.rest)
            ways = {name: PredictClient(target, transport), f"{name}, gateway": through(transport)}  # type: ignore[arg-type]
            for way, client in ways.items():
                stack.enter_context(client)
                cases[way] = partial(client.run, subject.inputs(signature), signature=signature.key)
                bases[way] = name
        rounds = 10 if arguments.quick else 300
        found = in_turn({name: once(ask) for name, ask in cases.items()}, rounds, warm_up=5)
        report.compare("One caller, one picture per request", "ms", found, bases=bases, percentiles=(95, 99))
        _loaded(cases, bases, report, quick=arguments.quick)
    report.write()


def _loaded(cases: dict[str, Callable[[], object]], bases: dict[str, str], report: Report, *, quick: bool) -> None:
    seconds, rounds = (0.3, 1) if quick else (3.0, 8)
    loads: dict[str, Callable[[], Load]] = {
        name: partial(callers, CALLERS, seconds, ask) for name, ask in cases.items()
    }
    found = figures(in_turn(loads, rounds, warm_up=1), lambda load: load.milliseconds(50))
    report.compare(f"{CALLERS} callers, the median of each round", "ms", found, bases=bases)


@contextmanager
def _gateway(behind: Server) -> Iterator[Callable[..., PredictClient]]:
    """A gateway before that server, on a free port, and what makes a client of it for a transport."""
    grpc_port, rest_port = (int(target.rpartition(":")[2]) for target in (behind.grpc, behind.rest))
    host = behind.grpc.rpartition(":")[0]
    with tempfile.TemporaryDirectory() as scratch:
        settings = replace(
            Settings.from_environment(),
            gateway=Path(scratch),
            gateway_address=("127.0.0.1", free_port()),
            replicas=(Replica(host, grpc_port, rest_port),),
            gateway_rate=100_000,
        )
        url = running.serve(settings).url
        files = Files(settings.gateway)
        try:
            yield partial(PredictClient, url, token=files.token("benchmark", 1), tls=Tls(files.authority))
        finally:
            running.stop(settings)
