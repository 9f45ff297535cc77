"""Tiny SavedModels with the contract's signatures, a model_server for them, and photos to ask about."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from model.receivers import decode_image
from model_server import flags
from model_server.server import serve
from pipeline.background.ports import free_port
from seamline_client import PredictClient
from seamline_client.command import main
from seamline_client.contract import BYTES, DEFAULT, DESCRIBE, DESCRIPTION, MODEL_NAME, OUTPUTS, PRED_SCORE, SIGNATURES
from seamline_client.keypoints import Category, KeypointSet

_ALL = ("toe", "heel", "ankle")
SHOES = KeypointSet("shoe", _ALL, (Category("boot", _ALL, None),), lines=(_ALL,))
DESCRIPTION_OF_SHOES: dict[str, Any] = {
    "contract": 2,
    "keypoints": SHOES.as_json(),
    "preset": "tiny",
    "step": 6,
    "made": "2026-01-02T03:04:05Z",
    "metrics": {"ne": 12.5},
}


def tiny_signature(key: str, count: int = 24, scores: bool = False) -> Any:
    """Points that depend on where the light is: means of red, green and blue over a grid of 4 by 6 cells."""
    spec = SIGNATURES[key].input
    shape = [None if size < 0 else size for size in spec.shape]

    def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.ensure_shape(images, shape)
        pixels = tf.map_fn(decode_image, images, fn_output_signature=tf.uint8) if key == BYTES.key else images
        cells = tf.nn.avg_pool2d(tf.cast(pixels, tf.float32) / 255.0, (96, 64), (96, 64), "VALID")
        x, y, v = tf.unstack(tf.reshape(cells, [-1, 24, 3])[:, -count:], axis=-1)
        points = (x, y, tf.cast(tf.clip_by_value(tf.floor(v * 3), 0, 2), tf.int64))
        answer = dict(zip((each.name for each in OUTPUTS), points))
        return {**answer, PRED_SCORE.name: (x + y) / 2} if scores and key != DEFAULT.key else answer

    return tf.function(answer, input_signature=[tf.TensorSpec(shape, spec.dtype, spec.name)])


def describing(text: str) -> Any:
    """The signature with which a model says what it is."""
    spec = DESCRIBE.input

    def answer(query: tf.Tensor) -> dict[str, tf.Tensor]:
        return {DESCRIPTION.name: tf.fill(tf.shape(query), text)}

    return tf.function(answer, input_signature=[tf.TensorSpec([None], spec.dtype, spec.name)])


@dataclass(frozen=True)
class Server:
    """Where a server answers."""

    grpc: str
    rest: str

    def target(self, transport: str) -> str:
        return self.grpc if transport == "grpc" else self.rest


@pytest.fixture(scope="session")
def model_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with version 1 of that model."""
    base = tmp_path_factory.mktemp("models") / MODEL_NAME
    tf.saved_model.save(tf.Module(), str(base / "1"), signatures={key: tiny_signature(key) for key in SIGNATURES})
    return base


@pytest.fixture(scope="session")
def shoes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a model of three points of shoes, which describes itself and says how sure it is."""
    base = tmp_path_factory.mktemp("shoes") / MODEL_NAME
    signatures = {key: tiny_signature(key, len(SHOES), scores=True) for key in SIGNATURES}
    signatures[DESCRIBE.key] = describing(json.dumps(DESCRIPTION_OF_SHOES))
    tf.saved_model.save(tf.Module(), str(base / "3"), signatures=signatures)
    with running(base) as server:
        yield server


@contextmanager
def running(base: Path, *options: str) -> Iterator[Server]:
    """model_server in a thread, with that model AVAILABLE."""
    ports, stop = (free_port(), free_port()), threading.Event()
    arguments = [f"--port={ports[0]}", f"--rest_api_port={ports[1]}", *options]
    arguments += [f"--model_name={MODEL_NAME}", f"--model_base_path={base}"]
    thread = threading.Thread(target=serve, args=(flags.parse(arguments), stop))
    thread.start()
    try:
        with PredictClient(f"127.0.0.1:{ports[1]}", "rest") as client:
            client.wait_until_available(time.monotonic() + 60)
        yield Server(*(f"127.0.0.1:{port}" for port in ports))
    finally:
        stop.set()
        thread.join(60)


@pytest.fixture(scope="session")
def server(model_base: Path) -> Iterator[Server]:
    with running(model_base, "--grpc_max_threads=64") as server:
        yield server


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A colourful picture of 500x400 with smooth and sharp parts, RGB."""
    y, x = np.mgrid[0:400, 0:500]
    image = Image.fromarray(np.stack((x * 255 / 499, y * 255 / 399, (x + y) * 255 / 898), -1).astype(np.uint8))
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


def run(main: Callable[[], Any], *arguments: object) -> Ran:
    """A command in this process, with streams that are as strict as those of a program."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    with mock.patch.object(sys, "argv", ["command", *map(str, arguments)]), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main() or 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
        out.flush()
        err.flush()
    said = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return Ran(code, *said)


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
