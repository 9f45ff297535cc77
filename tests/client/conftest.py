"""A tiny real SavedModel with the contract's three signatures, a real server for it, and photos to ask about."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from seamline_client import PredictClient
from seamline_client.command import main
from seamline_client.contract import DEFAULT, METHOD, MODEL_NAME, OUTPUTS, TAG
from seamline_client.errors import ClientError
from tests.client.client_support import ROOT, Server
from tests.ports import free_port

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EXPORT = f"""
import sys
import tensorflow as tf
from model.receivers import raw_serving_input_fn
tf1 = tf.compat.v1
info, names = tf1.saved_model.build_tensor_info, {tuple(spec.name for spec in OUTPUTS)!r}
with tf1.Graph().as_default(), tf1.Session() as session:
    receiver = raw_serving_input_fn()
    images = receiver.features["images"] / 255.0
    # 24 numbers that depend on where the light is: means over a grid of 4 by 6 cells.
    cells = tf.reshape(tf.nn.avg_pool2d(images, (96, 64), (96, 64), "VALID"), [-1, 24, 3])
    weight = tf1.get_variable("weight", [], initializer=tf1.ones_initializer())
    x, y = cells[:, :, 0] * weight, cells[:, :, 1] * weight
    v = tf.cast(tf.clip_by_value(tf.floor(cells[:, :, 2] * 3), 0, 2), tf.int64)
    session.run(tf1.global_variables_initializer())
    outputs = {{name: info(tensor) for name, tensor in zip(names, (x, y, v))}}
    inputs = {{{DEFAULT.key!r}: receiver.receiver_tensors, **receiver.receiver_tensors_alternatives}}
    signatures = {{
        key: tf1.saved_model.build_signature_def({{n: info(t) for n, t in taken.items()}}, outputs, {METHOD!r})
        for key, taken in inputs.items()
    }}
    builder = tf1.saved_model.Builder(sys.argv[1])
    builder.add_meta_graph_and_variables(session, [{TAG!r}], signatures)
    builder.save()
"""
"""Written in a process of its own: TensorFlow then stays out of the tests that prove that the client needs none."""


@pytest.fixture(scope="session")
def model_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with version 1 of a model that keeps the contract and answers at once."""
    base = tmp_path_factory.mktemp("models") / MODEL_NAME
    command = [sys.executable, "-c", EXPORT, str(base / "1")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return base


@pytest.fixture(scope="session")
def server(model_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """model_server with that model, AVAILABLE."""
    grpc_port, rest_port = free_port(), free_port()
    log = tmp_path_factory.mktemp("log") / "server.log"
    command = [sys.executable, "-m", "model_server", f"--port={grpc_port}", f"--rest_api_port={rest_port}"]
    command += [f"--model_name={MODEL_NAME}", f"--model_base_path={model_base}"]
    with log.open("wb") as out, subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out) as process:
        try:
            with PredictClient(f"127.0.0.1:{grpc_port}") as client:
                client.wait_until_available(time.monotonic() + 60)
            yield Server(f"127.0.0.1:{grpc_port}", f"127.0.0.1:{rest_port}")
        except ClientError as error:
            pytest.fail(f"{error}\n{log.read_text()[-2000:]}")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A colourful picture of 500x400 with smooth and sharp parts, RGB."""
    y, x = np.mgrid[0:400, 0:500]
    base = np.stack((x * 255 / 499, y * 255 / 399, (x + y) * 255 / 898), -1).astype(np.uint8)
    image = Image.fromarray(base)
    pen = ImageDraw.Draw(image)
    pen.polygon([(120, 60), (380, 60), (420, 360), (90, 360)], fill=(200, 40, 60))
    pen.ellipse((200, 90, 300, 190), fill=(20, 220, 180))
    return image


@pytest.fixture
def photo(picture: Image.Image, tmp_path: Path) -> Path:
    """That picture as a JPEG file."""
    path = tmp_path / "photo.jpg"
    picture.save(path, quality=92)
    return path


@dataclass(frozen=True)
class Ran:
    """What the command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def predict(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Runs the command in an empty folder, with the server's ports in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEAMLINE_GRPC_PORT", server.grpc.split(":")[1])
    monkeypatch.setenv("SEAMLINE_REST_PORT", server.rest.split(":")[1])

    def run(*arguments: Any, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as ended:
            code = int(str(ended.code))
        return Ran(code, *capsys.readouterr())

    return run
