"""What the client costs, against the usual way with TensorFlow: to start, in memory, per request.

The usual way is tensorflow-serving-api: `make_tensor_proto`, the generated stub, `make_ndarray`; over REST it is float
pixels written as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import requests

from benchmarks import server, subject
from benchmarks.machine import run_python
from benchmarks.measure import figures, in_turn, once
from benchmarks.report import Report
from benchmarks.server import Server
from seamline_client import PredictClient
from seamline_client.contract import BYTES, DEFAULT, MODEL_NAME, UINT8, Signature

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


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Programs are started in turn, requests sent in turn."""
    base = subject.newest().parent
    _starts(report, 1 if arguments.quick else 5)
    with server.running(arguments, base, report) as there:
        _requests(there, report, quick=arguments.quick)
    report.write()


def _starts(report: Report, rounds: int) -> None:
    found = in_turn({name: partial(run_python, command) for name, command in STARTS.items()}, rounds)
    memory = {name: float(np.median([ran.megabytes for ran in each])) for name, each in found.items()}
    measured = figures(found, lambda ran: ran.seconds)
    report.compare("Start of a process", "seconds", measured, columns={"peak memory, MB": memory})


def _requests(target: Server, report: Report, *, quick: bool) -> None:
    with PredictClient(target.grpc) as grpc, PredictClient(target.rest, "rest") as rest:
        asked = in_turn(_grpc_cases(target, grpc), 5 if quick else 60, warm_up=5)
        # On its own: after the second that JSON takes, client and server have to wake up. Few rounds tell.
        beside_json = in_turn(_rest_cases(target, rest), 1 if quick else 7, warm_up=1)
    for transport, found in (("gRPC", asked), ("REST", beside_json)):
        names = [*found]
        bases = dict(zip(names, (ours for ours in names[::2] for _ in range(2))))
        title = f"A request and its answer over {transport}, one picture"
        report.compare(title, "ms", found, bases=bases, percentiles=(95,))


def _grpc_cases(target: Server, client: PredictClient) -> dict[str, Callable[[], float]]:
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

    cases = {}
    for name, signature in (("gRPC uint8", UINT8), ("gRPC float", DEFAULT), ("gRPC bytes", BYTES)):
        inputs = subject.inputs(signature)
        cases[f"ours, {name}"] = once(partial(client.run, inputs, signature=signature.key))
        cases[f"usual way, {name}"] = once(partial(usual, signature, inputs))
    return cases


def _rest_cases(target: Server, client: PredictClient) -> dict[str, Callable[[], float]]:
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
        "ours, REST bytes": once(partial(client.run, subject.inputs(BYTES), signature=BYTES.key)),
        "usual way, REST float JSON": once(usual),
    }
