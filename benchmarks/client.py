"""What the client costs, against the usual way with TensorFlow: install, start, memory, requests.

The usual way is tensorflow-serving-api: `make_tensor_proto`, the generated stub, `make_ndarray`. Beside it stands the
article's way over REST, float pixels written as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import requests
from packaging.requirements import Requirement

from benchmarks import subject
from benchmarks.measure import ROOT, alternate, run_python, series
from benchmarks.plot import Bars
from benchmarks.report import Report
from pipeline.release.golden import Golden
from seamline_client import PredictClient
from seamline_client.connection import ModelSpec
from seamline_client.contract import BYTES, DEFAULT, MODEL_NAME, UINT8, Signature
from seamline_client.over_grpc import predict_request

ROUNDS, QUICK_ROUNDS = 5, 1
BUILD_ROUNDS, QUICK_BUILD_ROUNDS = 300, 20
ASK_ROUNDS, QUICK_ASK_ROUNDS = 60, 5
JSON_ROUNDS, QUICK_JSON_ROUNDS = 7, 1
COPY_FACTOR, ALLOWANCE_MS = 1.2, 0.3
"""What building a request may cost: this many copies of its payload, and this much on top."""

OURS, USUAL = ("grpcio", "numpy", "Pillow", "protobuf", "requests", "urllib3"), ("tensorflow-serving-api",)
STARTS = {
    "predict.py --help": ["client/predict.py", "--help"],
    "import client": ["-c", "from client import PredictClient"],
    "a client, ready to ask": ["-c", "from client import PredictClient; PredictClient().close()"],
    "what it needs: import grpc, numpy": ["-c", "import grpc, numpy"],
    "usual way: import tensorflow_serving": [
        *("-W", "ignore", "-c"),
        "import grpc; from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc",
    ],
}

REST = "ours, REST bytes"
BESIDE_JSON, JSON = "ours, REST bytes, beside JSON", "usual way, REST float JSON"
"""In turns of their own: an answer to JSON takes a second, after which both ends have to wake up."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--install", action="store_true", help="install the client into a fresh venv, from PyPI")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Starts are processes of their own, in turn."""
    version, golden = subject.published()
    quick = arguments.quick
    report.state(server=subject.server_name())
    installed = [("our client needs", _installed(OURS)), ("usual way: tensorflow-serving-api needs", _installed(USUAL))]
    rows = [[name, f"{packages}", f"{megabytes:.0f}", ""] for name, (packages, megabytes) in installed]
    if arguments.install:
        rows.append(["our client in a fresh venv", *_fresh()])
    report.table("On disk", ["what", "packages", "MB", "s to install"], rows)

    taken: dict[str, list[float]] = {name: [] for name in STARTS}
    memory: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        for name, command in STARTS.items():
            ran = run_python(command)
            taken[name].append(ran.seconds)
            memory[name].append(ran.megabytes)
    starts = series(taken)
    rows = [[n, f"{s.median:.2f}", s.spread, f"{np.median(memory[n]):.0f}"] for n, s in starts.items()]
    report.table("Start of a process", ["what", "s", "rounds", "most memory, MB"], rows)

    building = alternate(_building(), QUICK_BUILD_ROUNDS if quick else BUILD_ROUNDS)
    rows = []
    for door in (UINT8, DEFAULT, BYTES):
        ours, usual, copy = (building[f"{what} {door.key}"] for what in ("ours", "usual way", "copy"))
        allowed = COPY_FACTOR * copy.median + ALLOWANCE_MS
        times = [f"{each.median:.3f}" for each in (ours, usual, copy)]
        rows.append([door.key, *times, f"{allowed:.3f}", str(usual.ratio(ours))])
    header = ["signature", "ours", "usual way", "a copy of the payload", "allowed", "usual / ours (5-95 %)"]
    report.table("Building a request, in ms", header, rows)

    with (
        subject.server(version.parent) as server,
        PredictClient(server.grpc_target) as grpc,
        PredictClient(server.rest_target, "rest") as rest,
    ):
        asking = alternate(_cases(golden, grpc, rest), QUICK_ASK_ROUNDS if quick else ASK_ROUNDS)
        rounds = QUICK_JSON_ROUNDS if quick else JSON_ROUNDS
        asking.update(alternate(_json_cases(golden, rest), rounds, warm_up=1))
    rows = []
    for name, each in asking.items():
        base = {REST: "ours, gRPC bytes", JSON: BESIDE_JSON}.get(name, name.replace("usual way", "ours"))
        percentiles = [f"{each.percentile(percent):.2f}" for percent in (50, 95)]
        rows.append([name, *percentiles, base, str(each.ratio(asking[base]))])
    report.table("A request and its answer, in ms", ["way", "p50", "p95", "compared with", "of it (5-95 %)"], rows)
    report.write(
        "The client and the usual way: less is better",
        [
            Bars("Start of a process", "seconds", [*starts.values()]),
            Bars("Building a request", "milliseconds", [s for n, s in building.items() if "copy" not in n], True),
            Bars("A request and its answer, one picture", "milliseconds", [*asking.values()], True),
        ],
        {
            "installed_mb": {name: megabytes for name, (_, megabytes) in installed},
            "starts": {name: each.values for name, each in starts.items()},
            "building": {name: each.median for name, each in building.items()},
            "asking": {name: each.median for name, each in asking.items()},
        },
    )


def _installed(names: Sequence[str]) -> tuple[int, float]:
    """How many packages these are with all that they need, and their megabytes as installed here."""
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
    return len(found), sum(found.values())


def _fresh() -> tuple[str, str, str]:
    """Packages, megabytes and seconds of an install of its own, in a venv without pip, which is none of ours."""
    with tempfile.TemporaryDirectory() as scratch:
        made = run_python(["-m", "venv", "--without-pip", scratch])
        pip = ["-m", "pip", "--python", f"{scratch}/bin/python", "--disable-pip-version-check"]
        lock = str(ROOT / "requirements/client.lock")
        done = run_python([*pip, "install", "--quiet", "--require-hashes", "--requirement", lock])
        packages = json.loads(run_python([*pip, "list", "--format", "json"]).said)
        files = [path for path in Path(scratch).rglob("*") if path.is_file() and not path.is_symlink()]
        megabytes = sum(path.stat().st_size for path in files) / 1e6
        return str(len(packages)), f"{megabytes:.0f}", f"{made.seconds + done.seconds:.0f}"


def _building() -> dict[str, Callable[[], object]]:
    """For each door: arrays to a serialised request, ours and the usual way, beside one copy of the payload."""
    pixels = np.random.default_rng(1).integers(0, 256, (1, *UINT8.input.shape[1:]), np.uint8)
    file = np.empty(1, object)
    file[0] = pixels.tobytes()[:35_000]
    cases: dict[str, Callable[[], object]] = {}
    for door, values in ((UINT8, pixels), (DEFAULT, pixels.astype(np.float32)), (BYTES, file)):
        inputs = {door.input.name: values}
        cases[f"ours {door.key}"] = partial(_ours, door, inputs)
        cases[f"usual way {door.key}"] = partial(_serialised, door, inputs)
        payload = np.frombuffer(file[0], np.uint8) if values is file else values
        cases[f"copy {door.key}"] = payload.copy
    return cases


def _ours(door: Signature, inputs: dict[str, Any]) -> bytes:
    return predict_request(ModelSpec(MODEL_NAME), door.key, inputs).SerializeToString()


def _serialised(door: Signature, inputs: dict[str, Any]) -> bytes:
    return _usual(door, inputs).SerializeToString()  # type: ignore[no-any-return]


def _usual(door: Signature, inputs: dict[str, Any]) -> Any:
    """A request as TensorFlow Serving's own examples build it."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL_NAME
    request.model_spec.signature_name = door.key
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return request


def _cases(golden: Golden, client: PredictClient, rest: PredictClient) -> dict[str, Callable[[], object]]:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    channel = grpc.insecure_channel(client.target, [("grpc.max_send_message_length", -1)])
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def usual(door: Signature, inputs: dict[str, Any]) -> dict[str, Any]:
        answer = stub.Predict(_usual(door, inputs), timeout=30)
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    cases: dict[str, Callable[[], object]] = {}
    for name, door in (("gRPC uint8", UINT8), ("gRPC float", DEFAULT), ("gRPC bytes", BYTES)):
        inputs = subject.pictures(golden, door, 1)
        cases[f"ours, {name}"] = partial(client.run, inputs, signature=door.key)
        cases[f"usual way, {name}"] = partial(usual, door, inputs)
    cases[REST] = partial(rest.run, subject.pictures(golden, BYTES, 1), signature=BYTES.key)
    return cases


def _json_cases(golden: Golden, client: PredictClient) -> dict[str, Callable[[], object]]:
    url = f"http://{client.target}/v1/models/{MODEL_NAME}:predict"
    session = requests.Session()
    session.trust_env = False
    floats = subject.fractions(golden)

    def article() -> Any:
        body = json.dumps({"instances": [floats.tolist()]})
        answer = session.post(url, body, timeout=120)
        answer.raise_for_status()
        return answer.json()

    inputs = subject.pictures(golden, BYTES, 1)
    return {
        BESIDE_JSON: partial(client.run, inputs, signature=BYTES.key),
        JSON: article,
    }
