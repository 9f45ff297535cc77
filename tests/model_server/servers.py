"""The servers that this machine has, and how to ask them.

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
from pipeline.background.ports import free_port
from tests.homes import ROOT

RESOURCE = types_pb2.DT_RESOURCE
IMAGE = os.environ.get("TENSORFLOW_SERVING_IMAGE", "tensorflow/serving:2.15.1")
START_SECONDS = 60.0


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


def models_config(folder: Path, bases: Mapping[str, Path]) -> Path:
    """A file of models by name, each with the folder of its versions."""
    entries = (
        f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" }}' for name, base in bases.items()
    )
    path = folder / "models.config"
    path.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    return path


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
