"""What the network costs: each door and transport, alone against the in-process call, and under several clients.

`--target` and `--rest-target` name a server that runs. One is started otherwise: in a container, where
TENSORFLOW_SERVING_IMAGE names an image; the official binary, where TENSORFLOW_MODEL_SERVER names it; or `model_server`.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import requests

from benchmarks import subject
from benchmarks.batching import WITH, WITHOUT
from benchmarks.load import callers
from benchmarks.measure import Series, alternate, series
from benchmarks.pause import pausing
from benchmarks.plot import Bars, Lines
from benchmarks.report import Report
from benchmarks.wire import counted
from pipeline.release.golden import Golden
from seamline_client import PredictClient
from seamline_client.contract import BYTES, DEFAULT, MODEL_NAME, UINT8, Signature

ROUNDS, QUICK_ROUNDS = 150, 10
JSON_ROUNDS, QUICK_JSON_ROUNDS = 5, 1
"""Pixels as JSON take about a second each: few rounds tell."""
LOAD_ROUNDS, LOAD_SECONDS, QUICK_LOAD_SECONDS = 2, 1.5, 0.2
CLIENTS = (1, 4, 16)
DOORS = {"uint8": UINT8, "bytes": BYTES, "float": DEFAULT}

Targets = tuple[str, str]
"""`host:port` of gRPC and of REST."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", help="gRPC host:port of a server that runs; default: one is started")
    parser.add_argument("--rest-target", help="its REST host:port")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """One picture a request throughout."""
    if bool(arguments.target) != bool(arguments.rest_target):
        raise SystemExit("--target and --rest-target name the two ports of one server: give both or neither")
    version, golden = subject.published()
    report.state(server=arguments.target or subject.server_name())
    with _servers(arguments, version.parent) as servers:
        first = next(iter(servers.values()))
        alone, cpu, bases = _alone(version, golden, first, quick=arguments.quick)
        sizes = _sizes(golden, first)
        loads = _loads(golden, servers, quick=arguments.quick)

    by_way = {}
    rows = []
    for name, each in alone.items():
        ratio = each.ratio(bases[name])
        percentiles = [each.percentile(percent) for percent in (50, 95, 99)]
        wire = [f"{size:,.0f}" for size in sizes.get(name, ())] or ["", ""]
        rows.append([name, *(f"{value:.2f}" for value in percentiles), str(ratio), f"{cpu[name].median:.2f}", *wire])
        by_way[name] = {
            **dict(zip(("p50", "p95", "p99"), percentiles)),
            "ratio": [ratio.value, ratio.low, ratio.high],
            "cpu_ms": cpu[name].median,
            "wire": sizes.get(name),
        }
    header = ["way", "p50", "p95", "p99", "of in-process (5-95 %)", "client CPU", "bytes up", "bytes down"]
    report.table("One client, one picture a request, in ms", header, rows)

    rows = []
    rates: dict[str, dict[float, Series]] = {}
    for (way, server, clients), rounds in loads.items():
        measured = {name: series({name: values})[name] for name, values in rounds.items()}
        rates.setdefault(f"{way}, {server}", {})[clients] = measured["rate"]
        rows.append(
            [way, server, str(clients), f"{measured['rate'].median:.1f}", measured["rate"].spread]
            + [f"{measured[name].median:.1f}" for name in ("p50", "p95", "p99", "cpu")]
        )
    header = ["way", "server", "clients", "images/s", "rounds", "p50 ms", "p95 ms", "p99 ms", "client CPU ms"]
    report.table("Several clients, one picture a request", header, rows)
    report.write(
        "Serving",
        [
            Bars("One client, one picture a request: less is better", "milliseconds", [*alone.values()], True),
            Lines("Several clients: more is better", "clients", "images a second", rates),
        ],
        {"ways": by_way, "loads": {", ".join(map(str, key)): rounds for key, rounds in loads.items()}},
    )


@contextmanager
def _servers(arguments: argparse.Namespace, base: Path) -> Iterator[dict[str, Targets]]:
    """By what they are called in the table; that without batching first."""
    if arguments.target:
        yield {"as it is": (arguments.target, arguments.rest_target)}
        return
    with subject.server(base, *WITHOUT) as plain, subject.server(base, *WITH) as batching:
        both = {"no batching": plain, "batching": batching}
        yield {name: (server.grpc_target, server.rest_target) for name, server in both.items()}


def _alone(
    version: Path, golden: Golden, targets: Targets, *, quick: bool
) -> tuple[dict[str, Series], dict[str, Series], dict[str, Series]]:
    """Milliseconds by way; milliseconds of this process's CPU, in-process the model's own; what each is a ratio of."""
    local = subject.in_process(version, *DOORS.values())
    taken: dict[str, Series] = {}
    cpu: dict[str, Series] = {}
    pauses: dict[str, Series] = {}
    with PredictClient(targets[0]) as grpc, PredictClient(targets[1], "rest") as rest:
        for name, door in DOORS.items():
            inputs = subject.pictures(golden, door, 1)
            (values,) = inputs.values()
            call = partial(local[door], values)
            pause = alternate({name: call}, QUICK_ROUNDS)[name].median
            pauses[f"gRPC {name}, a pause"] = Series(name, (pause,))
            with pausing(pause / 1000) as target, PredictClient(target) as nothing:
                cases: dict[str, Callable[[], object]] = {
                    f"in-process {name}": call,
                    f"gRPC {name}": partial(grpc.run, inputs, signature=door.key),
                    f"gRPC {name}, a pause": partial(nothing.run, inputs, signature=door.key),
                }
                if door == BYTES:
                    cases["REST bytes"] = partial(rest.run, inputs, signature=door.key)
                _measure(cases, QUICK_ROUNDS if quick else ROUNDS, taken, cpu)
        _measure(_json_cases(golden, targets[1]), QUICK_JSON_ROUNDS if quick else JSON_ROUNDS, taken, cpu)
    bases = {name: taken[f"in-process {name.split()[1]}"] for name in taken.keys() - pauses.keys()}
    return taken, cpu, {**bases, **pauses}


def _measure(
    cases: Mapping[str, Callable[[], object]], rounds: int, taken: dict[str, Series], cpu: dict[str, Series]
) -> None:
    taken.update(alternate(cases, rounds, warm_up=1 if rounds <= JSON_ROUNDS else 5))
    for name, case in cases.items():
        cpu[name] = Series(name, tuple(1000 * callers(1, 0, case).checked(name).cpu for _ in range(min(rounds, 20))))


def _sizes(golden: Golden, targets: Targets) -> dict[str, tuple[float, float]]:
    """Bytes up and down of one request, by way."""
    sizes = {}
    with ExitStack() as stack:
        grpc_wire, rest_wire = (stack.enter_context(counted(target)) for target in targets)
        grpc = stack.enter_context(PredictClient(grpc_wire.target))
        rest = stack.enter_context(PredictClient(rest_wire.target, "rest"))
        for name, door in DOORS.items():
            inputs = subject.pictures(golden, door, 1)
            sizes[f"gRPC {name}"] = grpc_wire.per_call(partial(grpc.run, inputs, signature=door.key), 3)
        inputs = subject.pictures(golden, BYTES, 1)
        sizes["REST bytes"] = rest_wire.per_call(partial(rest.run, inputs, signature=BYTES.key), 3)
        for name, case in _json_cases(golden, rest_wire.target).items():
            sizes[name] = rest_wire.per_call(case, 1)
    return sizes


def _loads(
    golden: Golden, servers: Mapping[str, Targets], *, quick: bool
) -> dict[tuple[str, str, int], dict[str, list[float]]]:
    """Rate, percentiles and client CPU by way, server and number of clients; every combination once a round."""
    loads: dict[tuple[str, str, int], dict[str, list[float]]] = {}
    with ExitStack() as stack:
        asks: dict[tuple[str, str], Callable[[], object]] = {}
        for server, (grpc_target, rest_target) in servers.items():
            grpc = stack.enter_context(PredictClient(grpc_target, retries=0))
            rest = stack.enter_context(PredictClient(rest_target, "rest", retries=0))
            for way, client, door in (
                ("gRPC uint8", grpc, UINT8),
                ("gRPC bytes", grpc, BYTES),
                ("REST bytes", rest, BYTES),
            ):
                asks[way, server] = partial(client.run, subject.pictures(golden, door, 1), signature=door.key)
        for number in range(1 if quick else LOAD_ROUNDS + 1):
            for (way, server), ask in asks.items():
                for clients in CLIENTS:
                    load = callers(clients, QUICK_LOAD_SECONDS if quick or not number else LOAD_SECONDS, ask)
                    load.checked(f"{way}, {server}, {clients} clients")
                    if number or quick:  # the first round warms up
                        rounds = loads.setdefault((way, server, clients), {})
                        rounds.setdefault("rate", []).append(load.rate)
                        rounds.setdefault("cpu", []).append(1000 * load.cpu / len(load.taken))
                        for percent in (50, 95, 99):
                            rounds.setdefault(f"p{percent}", []).append(load.milliseconds(percent))
    return loads


def _json_cases(golden: Golden, target: str) -> dict[str, Callable[[], object]]:
    """Requests written by hand, the article's way among them. Writing the JSON is part of it."""
    session = requests.Session()
    session.trust_env = False

    def send(door: Signature, instance: Callable[[], Any]) -> None:
        body = {"signature_name": door.key, "instances": [instance()]}
        url = f"http://{target}/v1/models/{MODEL_NAME}:predict"
        session.post(url, json.dumps(body), timeout=120).raise_for_status()

    floats, pixels, file = subject.fractions(golden), golden.pixels[0], golden.files[0]
    return {
        "REST float JSON": lambda: send(DEFAULT, floats.tolist),
        "REST uint8 JSON": lambda: send(UINT8, pixels.tolist),
        "REST bytes by hand": lambda: send(BYTES, lambda: {"b64": base64.b64encode(file).decode()}),
    }
