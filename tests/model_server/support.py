"""Small SavedModels, the servers that this machine has, and how to ask them: what the model_server tests share.

The stand-in runs in a thread of the test process, unless a test is about its signals, exit codes or crashes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc

from model_server import crashes
from model_server import flags as command_line
from model_server.errors import StatusError
from model_server.server import serve
from tests.ports import free_port

RESOURCE = types_pb2.DT_RESOURCE
v1 = tf.compat.v1
ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("TENSORFLOW_SERVING_IMAGE", "tensorflow/serving:2.15.1")
START_SECONDS = 60.0


# SavedModels


def save_half_plus(path: Path, offset: float) -> Path:
    """y = x / 2 + offset, so that an answer tells which version gave it. Variables, one signature."""
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        half = v1.get_variable("half", initializer=0.5)
        added = v1.get_variable("added", initializer=offset)
        y = tf.add(half * x, added, name="y")
        session.run(v1.global_variables_initializer())
        _save(session, path, {"serving_default": ({"x": x}, {"y": y})})
    return path


def save_zoo(path: Path) -> Path:
    """One graph with many signatures, each named after what is special about it."""
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        scalar = v1.placeholder(tf.float32, [], "scalar")
        any_shape = v1.placeholder(tf.float32, None, "any_shape")
        a = v1.placeholder(tf.float32, [None, 2], "a")
        b = v1.placeholder(tf.int64, [None], "b")
        words = v1.placeholder(tf.string, [None], "words")
        same = tf.identity(words)  # a tensor cannot be both fed and fetched
        flags = v1.placeholder(tf.bool, [None], "flags")
        guarded = tf.ensure_shape(any_shape, [None, 2])
        rounds = v1.placeholder(tf.int32, [None], "rounds")
        signatures: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "serving_default": ({"x": x}, {"y": x / 2 + 2}),
            "scalar": ({"x": scalar}, {"y": scalar + 1}),
            "any_shape": ({"x": any_shape}, {"y": any_shape + 1}),
            "guarded": ({"x": any_shape}, {"y": guarded * 2}),
            "two": ({"a": a, "b": b}, {"sum": a + tf.cast(b, tf.float32)[:, None], "b2": b * 2}),
            "uneven": ({"x": x}, {"y": tf.identity(x), "total": tf.reduce_sum(x)[None]}),
            "strings": (
                {"image_bytes": words},
                {"length": tf.strings.length(words), "echo_bytes": same, "echo": same},
            ),
            "booleans": ({"flags": flags}, {"inverse": tf.logical_not(flags)}),
            "slow": ({"rounds": rounds}, {"rounds": _work(rounds)}),
        }
        for dtype in (tf.float16, tf.float64, tf.int8, tf.int32, tf.int64, tf.uint64):
            number = v1.placeholder(dtype, [None], dtype.name)
            signatures[dtype.name] = ({"x": number}, {"y": tf.identity(number)})
        _save(session, path, signatures)
    return path


def _work(rounds: Any) -> Any:
    """Return `rounds` after that many rounds (of the largest) of a tenth of a millisecond or so each."""
    matrix = tf.eye(96)
    _, worked = tf.while_loop(
        lambda i, _: i < tf.reduce_max(rounds), lambda i, m: (i + 1, tf.linalg.matmul(m, matrix)), (0, matrix)
    )
    return rounds + tf.cast(tf.reduce_sum(worked) * 0, tf.int32)


def _save(session: Any, path: Path, signatures: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]) -> None:
    builder = v1.saved_model.Builder(str(path))
    definitions = {
        key: v1.saved_model.signature_def_utils.predict_signature_def(inputs, outputs)
        for key, (inputs, outputs) in signatures.items()
    }
    saver = v1.train.Saver() if v1.global_variables() else None
    builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=definitions, saver=saver)
    builder.save()


def publish(version: Path, base: Path, number: int) -> None:
    """Make a version visible by one rename, as a publisher does."""
    base.mkdir(parents=True, exist_ok=True)
    staged = base / f"staged-{number}"
    shutil.copytree(version, staged)
    staged.rename(base / str(number))


# Servers


def available_servers() -> list[str]:
    """`model_server`; `executable`, when TENSORFLOW_MODEL_SERVER names one; `container`, when Docker has the image."""
    names = ["model_server"]
    if os.environ.get("TENSORFLOW_MODEL_SERVER"):
        names.append("executable")
    if shutil.which("docker"):
        inspect = ["docker", "image", "inspect", IMAGE]
        if subprocess.run(inspect, capture_output=True, timeout=30, check=False).returncode == 0:
            names.append("container")
    return names


class InThread:
    """The stand-in in a thread of this process, with what `Server` needs of a Popen."""

    pid = os.getpid()

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._stop = threading.Event()
        pool = ThreadPoolExecutor(1, thread_name_prefix="model_server")
        self._run = pool.submit(self._serve, command_line.parse(arguments), logging.FileHandler(log))
        pool.shutdown(wait=False)

    def _serve(self, flags: command_line.Flags, written: logging.FileHandler) -> int:
        logger = logging.getLogger("model_server")
        logger.setLevel(logging.INFO)
        logger.addHandler(written)
        try:
            serve(flags, self._stop)
        except StatusError as error:
            logger.error("Failed to start server. Error: %s", error)
            return 255
        finally:
            logger.removeHandler(written)
            written.close()
        return 0

    def poll(self) -> int | None:
        return self._run.result() if self._run.done() else None

    def send_signal(self, number: int) -> None:
        self._stop.set()

    def kill(self) -> None:
        self._stop.set()

    def wait(self, timeout: float) -> int:
        return self._run.result(timeout)


@dataclass
class Server:
    """A running server of one of the kinds, its ports and its log."""

    kind: str
    process: subprocess.Popen[bytes] | InThread
    grpc_port: int
    rest_port: int
    log: Path
    container: str = ""

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        if self.container:
            subprocess.run(["docker", "kill", self.container], capture_output=True, timeout=30, check=False)
        else:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=40)
        finally:
            self.process.kill()

    def exit_code(self) -> int:
        """Wait for a server that ends by itself."""
        return self.process.wait(timeout=START_SECONDS)

    def listens(self, port: int | None = None) -> bool:
        with socket.socket() as probe:
            probe.settimeout(2)
            return probe.connect_ex(("127.0.0.1", port or self.rest_port)) == 0

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Ask `condition` until it is true. Fails with the last lines of the log, at once when the server has ended."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.kind}: not {what}\n{self.log.read_text()[-3000:]}")

    def states(self, model: str) -> dict[int, str]:
        """State by version, empty when there is none."""
        if not self.listens():
            return {}
        code, body = self.get(f"/v1/models/{model}")
        statuses = body["model_version_status"] if code == 200 else []
        return {int(status["version"]): status["state"] for status in statuses}

    def wait_available(self, model: str, version: int = 1) -> None:
        self.wait_for(lambda: self.states(model).get(version) == "AVAILABLE", f"serving {model} {version}")

    def spare(self, request: object) -> None:
        """Skip the test where a request may end this server. Whatever is sent to one passes here."""
        tensors = request.inputs.values() if isinstance(request, predict_pb2.PredictRequest) else ()
        levels, _ = crashes.depth(request if isinstance(request, bytes) else b"")
        fatal = levels > 10_000 or any(tensor.dtype % 100 == RESOURCE for tensor in tensors)
        if fatal and self.kind not in ("model_server", "process"):
            pytest.skip("this request ends the official server")

    # REST

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        self.spare(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def get(self, path: str) -> tuple[int, Any]:
        code, _, body = self.request("GET", path)
        return code, json.loads(body)

    def post(self, path: str, document: Any) -> tuple[int, Any]:
        """POST a document, or bytes as they are; the answer is JSON."""
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        code, _, body = self.request("POST", path, raw)
        return code, json.loads(body)

    def rest_predict(self, model: str, document: Any, version: str = "") -> tuple[int, Any]:
        return self.post(f"/v1/models/{model}{version}:predict", document)

    # gRPC

    @contextlib.contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", options) as channel:
            yield channel

    def call(self, service: str, method: str, request: Any, timeout: float = 30) -> Any:
        """Call a method of PredictionService or ModelService. Raises grpc.RpcError."""
        stubs = {
            "PredictionService": prediction_service_pb2_grpc.PredictionServiceStub,
            "ModelService": model_service_pb2_grpc.ModelServiceStub,
        }
        self.spare(request)
        with self.channel() as channel:
            return getattr(stubs[service](channel), method)(request, timeout=timeout)

    def predict(
        self, model: str, inputs: Mapping[str, Any], signature: str = "", outputs: Sequence[str] = (), **spec: Any
    ) -> predict_pb2.PredictResponse:
        """Predict over gRPC; inputs are arrays or TensorProtos. `version` or `label` choose one."""
        request = predict_request(model, inputs, signature, outputs, **spec)
        return self.call("PredictionService", "Predict", request)


def predict_request(
    model: str,
    inputs: Mapping[str, Any],
    signature: str = "",
    outputs: Sequence[str] = (),
    version: int | None = None,
    label: str = "",
) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    for alias, value in inputs.items():
        proto = value if isinstance(value, TensorProto) else tf.make_tensor_proto(value)
        request.inputs[alias].CopyFrom(proto)
    return request


@contextlib.contextmanager
def running(kind: str, directory: Path, **flags: Any) -> Iterator[Server]:
    """Start a server with these flags, on free ports unless told which, and stop it at the end.

    `directory` holds all files that the flags name; a container sees it under the same path. The kind `process` is the
    stand-in as a process of its own.
    """
    given = {"port": free_port(), "rest_api_port": free_port(), "grpc_max_threads": 64, **flags}
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}
    arguments = [f"--{name}={text}" for name, text in texts.items()]
    log = directory / f"server-{given['port']}.log"
    container = f"model-server-test-{given['port']}" if kind == "container" else ""
    if kind == "model_server":
        runs: subprocess.Popen[bytes] | InThread = InThread(arguments, log)
    else:
        docker_run = ["docker", "run", "--rm", "--network=host", "--init", f"--name={container}"]
        docker_run += [f"--volume={directory}:{directory}", "--entrypoint=tensorflow_model_server", IMAGE]
        commands = {
            "process": [sys.executable, "-m", "model_server"],
            "executable": [os.environ.get("TENSORFLOW_MODEL_SERVER", "")],
            "container": docker_run,
        }
        with log.open("wb") as sink:
            runs = subprocess.Popen([*commands[kind], *arguments], stdout=sink, stderr=sink, cwd=ROOT)
    server = Server(kind, runs, given["port"], given["rest_api_port"], log, container)
    try:
        yield server
    finally:
        if runs.poll() is None:
            server.stop()
