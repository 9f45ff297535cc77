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

from benchmarks import report
from benchmarks.measure import alternate
from client import PredictClient
from model.signature import BYTES, DEFAULT, MODEL_NAME, TAG, UINT8, Signature
from pipeline.config import Settings
from pipeline.golden import Golden
from pipeline.serving.process import throw_away
from pipeline.serving.server import wait_until_available
from pipeline.store import ModelStore

ROUNDS, QUICK_ROUNDS = 200, 40
JSON_ROUNDS = 5
"""Pixels as JSON take about a second each: few rounds tell."""

Inputs = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", help="gRPC host:port of a server that runs; default: model_server is started")
    parser.add_argument("--rest-target", help="its REST host:port")


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """One picture a request, one request at a time."""
    version = ModelStore(Settings.from_environment().models, MODEL_NAME).latest()
    if version is None:
        raise SystemExit("No version is published: `make train export` first.")
    golden = Golden.load(version.folder)
    first = {
        signature: {name: values[:1] for name, values in inputs.items()} for signature, inputs in golden.requests()
    }
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    with (
        _targets(arguments, version.folder.parent) as (grpc_target, rest_target),
        PredictClient(grpc_target) as grpc,
        PredictClient(rest_target, "rest") as rest,
    ):
        timings = alternate(_cases(version.folder, golden, first, grpc, rest), rounds)
        url = f"http://{rest_target}/v1/models/{MODEL_NAME}:predict"
        timings += alternate(_json_cases(first, url), JSON_ROUNDS, warm_up=1)
    by_name = {timing.name: timing for timing in timings}
    rows, results = [], {}
    for timing in timings:
        base = by_name.get(f"in-process {timing.name.split()[1]}", timing)
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
    log = Settings.from_environment().server / "benchmark.log"
    with throw_away(base, MODEL_NAME, log) as server:
        wait_until_available(server, MODEL_NAME, 60)
        yield server.grpc_target, server.rest_target


def _cases(
    folder: Path, golden: Golden, first: dict[Signature, Inputs], grpc: PredictClient, rest: PredictClient
) -> dict[str, Callable[[], object]]:
    file = golden.files[0]
    cases: dict[str, Callable[[], object]] = {}
    for signature, name in ((UINT8, "uint8"), (BYTES, "bytes"), (DEFAULT, "float")):
        cases[f"in-process {name}"] = _in_process(folder, signature, first[signature])
        cases[f"gRPC {name}"] = lambda signature=signature: grpc.run(first[signature], signature=signature.key)  # type: ignore[misc]
    cases["REST bytes"] = lambda: rest.predict(file)
    return cases


def _in_process(folder: Path, signature: Signature, inputs: Inputs) -> Callable[[], object]:
    """The SavedModel in a session of this process: what remains when there is no network."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        session = tf.compat.v1.Session(graph=graph)
        loaded = tf.compat.v1.saved_model.load(session, [TAG], str(folder))
        outputs = [info.name for info in loaded.signature_def[signature.key].outputs.values()]
        call = session.make_callable(outputs, [signature.tensor])
    (values,) = inputs.values()
    return lambda: call(values)


def _json_cases(first: dict[Signature, Inputs], url: str) -> dict[str, Callable[[], object]]:
    """The article's way: pixels written as JSON. Building the request is part of it, as for all others."""

    def send(body: dict[str, Any]) -> None:
        requests.post(url, json.dumps(body), timeout=60).raise_for_status()

    def pixels(signature: Signature) -> dict[str, Any]:
        (values,) = first[signature].values()
        return {"signature_name": signature.key, "instances": np.asarray(values).tolist()}

    encoded = base64.b64encode(first[BYTES][BYTES.input.name][0]).decode()
    return {
        "REST float JSON": lambda: send(pixels(DEFAULT)),
        "REST uint8 JSON": lambda: send(pixels(UINT8)),
        "REST b64 by hand": lambda: send({"signature_name": BYTES.key, "instances": [{"b64": encoded}]}),
    }
