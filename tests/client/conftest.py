"""A tiny real SavedModel with the contract's three doors, a real server for it, and photos to ask about."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from client_support import ROOT, Server, free_port
from PIL import Image, ImageDraw

from client import PredictClient
from client.errors import ClientError
from model.signature import BYTES, DEFAULT, IMAGE_SIDE, MODEL_NAME, OUTPUTS, TAG, UINT8

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EXPORT = f"""
import sys
import tensorflow as tf
tf1 = tf.compat.v1
side, base = {IMAGE_SIDE}, sys.argv[1]
def load(data):
    image = tf.cond(tf.io.is_jpeg(data),
                    lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
                    lambda: tf.io.decode_image(data, channels=3, expand_animations=False))
    image = tf.image.resize(tf.cast(image, tf.float32), (side, side), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
with tf1.Graph().as_default(), tf1.Session() as session:
    files = tf1.placeholder(tf.string, [None], name="image_bytes")
    decoded = tf.ensure_shape(tf.map_fn(load, files, fn_output_signature=tf.uint8), [None, side, side, 3])
    small = tf1.placeholder_with_default(decoded, [None, side, side, 3], name="images_uint8")
    images = tf1.placeholder_with_default(tf.cast(tf.ensure_shape(small, [None, side, side, 3]), tf.float32),
                                          [None, side, side, 3], name="images")
    guarded = tf.ensure_shape(images, [None, side, side, 3]) / 255.0
    # 24 numbers that depend on where the light is: means over a grid of 4 by 6 cells.
    cells = tf.reshape(tf.nn.avg_pool2d(guarded, (96, 64), (96, 64), "VALID"), [-1, 24, 3])
    weight = tf1.get_variable("weight", [], initializer=tf1.ones_initializer())
    x, y = cells[:, :, 0] * weight, cells[:, :, 1] * weight
    v = tf.cast(tf.clip_by_value(tf.floor(cells[:, :, 2] * 3), 0, 2), tf.int64)
    session.run(tf1.global_variables_initializer())
    info = tf1.saved_model.build_tensor_info
    names = {tuple(spec.name for spec in OUTPUTS)!r}
    outputs = {{name: info(tensor) for name, tensor in zip(names, (x, y, v))}}
    def signature(name, tensor):
        return tf1.saved_model.build_signature_def({{name: info(tensor)}}, outputs, "tensorflow/serving/predict")
    builder = tf1.saved_model.Builder(base)
    builder.add_meta_graph_and_variables(session, [{TAG!r}], {{
        {DEFAULT.key!r}: signature({DEFAULT.input.name!r}, images),
        {UINT8.key!r}: signature({UINT8.input.name!r}, small),
        {BYTES.key!r}: signature({BYTES.input.name!r}, files),
    }})
    builder.save()
"""
"""Written in a process of its own: TensorFlow then stays out of the tests that prove that the client needs none."""


@pytest.fixture(scope="session")
def model_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with version 1 of a model that keeps the contract and answers at once."""
    base = tmp_path_factory.mktemp("models") / MODEL_NAME
    done = subprocess.run([sys.executable, "-c", EXPORT, str(base / "1")], capture_output=True, text=True, timeout=120)
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
