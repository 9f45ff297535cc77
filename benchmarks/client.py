"""What the client costs, against the usual way with TensorFlow: to install, to start, in memory, per request.

The usual way is tensorflow-serving-api: `make_tensor_proto`, the generated stub, `make_ndarray`; over REST it is float
pixels written as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import requests
from packaging.requirements import Requirement

from benchmarks import server, subject
from benchmarks.machine import ROOT, Ran, run_python
from benchmarks.measure import alternate, series
from benchmarks.report import Report
from benchmarks.server import Server
from seamline_client import PredictClient
from seamline_client.contract import BYTES, DEFAULT, MODEL_NAME, UINT8, Signature

ROUNDS, QUICK_ROUNDS = 5, 1
ASK_ROUNDS, QUICK_ASK_ROUNDS = 60, 5
JSON_ROUNDS, QUICK_JSON_ROUNDS = 7, 1
"""An answer to JSON takes a second or more: few rounds tell."""

OURS, USUAL = ("grpcio", "numpy", "Pillow", "protobuf", "requests", "urllib3"), ("tensorflow-serving-api",)
STARTS = {
    "predict.py --help": ["client/predict.py", "--help"],
    "import PredictClient": ["-c", "from seamline_client import PredictClient"],
    "a client, ready to ask": ["-c", "from seamline_client import PredictClient; PredictClient().close()"],
    "what it needs: import grpc, numpy": ["-c", "import grpc, numpy"],
    "usual way: import tensorflow_serving": [
        *("-W", "ignore", "-c"),
        "import grpc; from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc",
    ],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    server.add_arguments(parser)
    parser.add_argument("--install", action="store_true", help="also install the client into a fresh venv, from PyPI")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Programs are started in turn, requests sent in turn."""
    version = subject.newest()
    _disk(report, fresh=arguments.install)
    _starts(report, QUICK_ROUNDS if arguments.quick else ROUNDS)
    with ExitStack() as stack:
        there = server.running(arguments) or stack.enter_context(server.started(version.parent))
        report.state(server=arguments.target or server.name())
        _requests(there, report, quick=arguments.quick)
    report.write()


def _disk(report: Report, *, fresh: bool) -> None:
    rows = []
    for name, needs in (("our client needs", OURS), ("usual way: tensorflow-serving-api needs", USUAL)):
        packages = _installed(needs)
        rows.append([name, str(len(packages)), f"{sum(packages.values()):.0f}", ""])
    if fresh:
        rows.append(["our client in a fresh venv", *_fresh()])
    report.table("On disk", ["what", "packages", "MB", "s to install"], rows)


def _installed(names: Sequence[str]) -> dict[str, float]:
    """These packages and all that they need, each with its megabytes as installed here."""
    found: dict[str, float] = {}
    waiting = [*names]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # for another platform
        paths = [Path(str(package.locate_file(file))) for file in package.files or ()]
        found[name] = sum(path.stat().st_size for path in paths if path.is_file()) / 1e6
        needs = [Requirement(text) for text in package.requires or ()]
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def _fresh() -> tuple[str, str, str]:
    """Packages, megabytes and seconds of an install into a venv, where pip, which is not ours, does not count."""
    with tempfile.TemporaryDirectory() as scratch:
        made = run_python(["-m", "venv", "--without-pip", scratch])
        pip = ["-m", "pip", "--python", f"{scratch}/bin/python", "--disable-pip-version-check"]
        lock = str(ROOT / "requirements/client.lock")
        done = run_python([*pip, "install", "--quiet", "--require-hashes", "--requirement", lock])
        packages = json.loads(run_python([*pip, "list", "--format", "json"]).said)
        files = [path for path in Path(scratch).rglob("*") if path.is_file() and not path.is_symlink()]
        megabytes = sum(path.stat().st_size for path in files) / 1e6
        return str(len(packages)), f"{megabytes:.0f}", f"{made.seconds + done.seconds:.0f}"


def _starts(report: Report, rounds: int) -> None:
    ran: dict[str, list[Ran]] = {name: [] for name in STARTS}
    for _ in range(rounds):
        for name, command in STARTS.items():
            ran[name].append(run_python(command))
    starts = series({name: [each.seconds for each in found] for name, found in ran.items()})
    memory = {name: np.median([each.megabytes for each in found]) for name, found in ran.items()}
    rows = [[name, f"{each.median:.2f}", each.spread, f"{memory[name]:.0f}"] for name, each in starts.items()]
    report.table("Start of a process", ["what", "s", "rounds", "peak memory, MB"], rows)
    report.bars("Start of a process", "seconds: less is better", starts.values())


def _requests(target: Server, report: Report, *, quick: bool) -> None:
    with PredictClient(target.grpc) as grpc, PredictClient(target.rest, "rest") as rest:
        asked = alternate(_grpc_cases(target, grpc), QUICK_ASK_ROUNDS if quick else ASK_ROUNDS)
        # On its own: after the second that JSON takes, client and server have to wake up.
        beside_json = alternate(_rest_cases(target, rest), QUICK_JSON_ROUNDS if quick else JSON_ROUNDS, warm_up=1)
    rows = []
    for found in (asked, beside_json):
        # Ours stands before the usual way of the same.
        ours, usual = [*found.values()][::2], [*found.values()][1::2]
        for base, other in zip(ours, usual):
            for each in (base, other):
                percentiles = [f"{each.percentile(percent):.2f}" for percent in (50, 95)]
                rows.append([each.name, *percentiles, f"{each.cpu:.2f}", each.ratio(base)])
    header = ["way", "p50 ms", "p95 ms", "client CPU ms", "of ours (5-95 %)"]
    report.table("A request and its answer, one picture", header, rows)
    report.bars("A request and its answer over gRPC", "ms: less is better", asked.values())
    report.bars("A request and its answer over REST", "ms: less is better", beside_json.values())


def _grpc_cases(target: Server, client: PredictClient) -> dict[str, Callable[[], object]]:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    channel = grpc.insecure_channel(target.grpc, [("grpc.max_send_message_length", -1)])
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def usual(signature: Signature, inputs: dict[str, Any]) -> dict[str, Any]:
        """As TensorFlow Serving's own examples ask."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = MODEL_NAME
        request.model_spec.signature_name = signature.key
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        answer = stub.Predict(request, timeout=30)
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    cases: dict[str, Callable[[], object]] = {}
    for name, signature in (("gRPC uint8", UINT8), ("gRPC float", DEFAULT), ("gRPC bytes", BYTES)):
        inputs = subject.inputs(signature)
        cases[f"ours, {name}"] = partial(client.run, inputs, signature=signature.key)
        cases[f"usual way, {name}"] = partial(usual, signature, inputs)
    return cases


def _rest_cases(target: Server, client: PredictClient) -> dict[str, Callable[[], object]]:
    session = requests.Session()
    session.trust_env = False  # no proxy stands between
    (floats,) = subject.inputs(DEFAULT).values()

    def usual() -> Any:
        """Writing the JSON is part of it."""
        url = f"http://{target.rest}/v1/models/{MODEL_NAME}:predict"
        answer = session.post(url, json.dumps({"instances": floats.tolist()}), timeout=120)
        answer.raise_for_status()
        return answer.json()

    return {
        "ours, REST bytes": partial(client.run, subject.inputs(BYTES), signature=BYTES.key),
        "usual way, REST float JSON": usual,
    }
