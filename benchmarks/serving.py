"""What the network costs: each door and transport against the in-process call of the same SavedModel."""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import requests

from benchmarks import report, subject
from benchmarks.measure import alternate
from client import PredictClient
from model.signature import BYTES, DEFAULT, MODEL_NAME, UINT8, Signature
from pipeline.golden import Golden

ROUNDS, QUICK_ROUNDS = 200, 40
JSON_ROUNDS = 5
"""Pixels as JSON take about a second each: few rounds tell."""
DOORS = {"uint8": UINT8, "bytes": BYTES, "float": DEFAULT}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", help="gRPC host:port of a server that runs; default: model_server is started")
    parser.add_argument("--rest-target", help="its REST host:port")


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """One picture a request, one request at a time."""
    version, golden = subject.published()
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    with (
        _targets(arguments, version.parent) as (grpc_target, rest_target),
        PredictClient(grpc_target) as grpc,
        PredictClient(rest_target, "rest") as rest,
    ):
        local = subject.in_process(version, *DOORS.values())
        timings = []
        for name, door in DOORS.items():
            inputs = subject.pictures(golden, door, 1)
            (values,) = inputs.values()
            cases: dict[str, Callable[[], object]] = {
                f"in-process {name}": lambda door=door, values=values: local[door](values),  # type: ignore[misc]
                f"gRPC {name}": lambda door=door, inputs=inputs: grpc.run(inputs, signature=door.key),  # type: ignore[misc]
            }
            if door == BYTES:
                cases["REST bytes"] = lambda: rest.predict(golden.files[0])
            timings += alternate(cases, rounds)
        url = f"http://{rest_target}/v1/models/{MODEL_NAME}:predict"
        timings += alternate(_json_cases(golden, url), JSON_ROUNDS, warm_up=1)
    by_name = {timing.name: timing for timing in timings}
    rows, results = [], {}
    for timing in timings:
        base = by_name[f"in-process {timing.name.split()[1]}"]
        ratio, low, high = timing.ratio(base)
        sizes = [timing.percentile(percent) for percent in (50, 95, 99)]
        rows.append([timing.name, *(f"{size:.2f}" for size in sizes), f"{ratio:.2f} ({low:.2f} to {high:.2f})"])
        results[timing.name] = {"p50": sizes[0], "p95": sizes[1], "p99": sizes[2], "ratio": [ratio, low, high]}
    report.table("One picture a request, in ms", ["way", "p50", "p95", "p99", "of in-process (5-95 %)"], rows)
    report.write(folder, "serving", {"rounds": rounds, "ways": results})
    report.bars(folder, "serving", "One picture a request", timings)


@contextmanager
def _targets(arguments: argparse.Namespace, base: Path) -> Iterator[tuple[str, str]]:
    if arguments.target:
        yield arguments.target, arguments.rest_target
        return
    with subject.server(base) as server:
        yield server.grpc_target, server.rest_target


def _json_cases(golden: Golden, url: str) -> dict[str, Callable[[], object]]:
    """Requests written by hand, the article's way among them. Writing the JSON is part of it."""

    def send(door: Signature, instance: Any) -> None:
        body = {"signature_name": door.key, "instances": [instance]}
        requests.post(url, json.dumps(body), timeout=60).raise_for_status()

    pixels, file = golden.pixels[0], golden.files[0]
    return {
        "REST float JSON": lambda: send(DEFAULT, pixels.astype(np.float32).tolist()),
        "REST uint8 JSON": lambda: send(UINT8, pixels.tolist()),
        "REST bytes by hand": lambda: send(BYTES, {"b64": base64.b64encode(file).decode()}),
    }
