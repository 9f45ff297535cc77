"""What is measured: the newest published version, and pictures to ask it about."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from garments import draw
from pipeline.release.store import ModelStore
from pipeline.settings import Settings
from seamline_client.contract import BYTES, IMAGE_SIDE, MODEL_NAME, TAG, UINT8, Signature

SEED, DIFFERENT = 7, 8
"""The drawn garments that are asked about, in turn."""


def newest() -> Path:
    """The newest version below SEAMLINE_HOME. Raises PipelineError if there is none."""
    return ModelStore(Settings.from_environment().models, MODEL_NAME).find(None).folder


@lru_cache
def _drawn() -> tuple[Image.Image, ...]:
    return tuple(draw(SEED, index).image for index in range(DIFFERENT))


@lru_cache
def files() -> tuple[bytes, ...]:
    """Photos as JPEG files."""
    encoded = []
    for image in _drawn():
        file = io.BytesIO()
        image.save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    return tuple(encoded)


def inputs(signature: Signature, count: int = 1) -> dict[str, NDArray[Any]]:
    """The inputs of a request of `count` pictures.

    Floats are such as a resize in floating point leaves: written as text they are three times as long as whole numbers.
    """
    values: NDArray[Any]
    if signature == BYTES:
        values = np.array(files(), object)
    else:
        values = np.stack([np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE))) for image in _drawn()])
        if signature != UINT8:
            values = np.minimum(values + np.float32(1 / 3), np.float32(255))
    return {signature.input.name: np.resize(values, (count, *values.shape[1:]))}


def photos(folder: Path, count: int) -> list[Path]:
    """So many files in a new folder."""
    folder.mkdir()
    paths = [folder / f"{number:06d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(files()[number % DIFFERENT])
    return paths


def in_process(version: Path, signature: Signature) -> Callable[[Any], dict[str, NDArray[Any]]]:
    """The SavedModel in a session of this process: what remains when there is no network."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it deprecates the loader that keeps one session
    with tf.Graph().as_default() as graph:
        session = tf.compat.v1.Session(graph=graph)
        loaded = tf.compat.v1.saved_model.load(session, [TAG], str(version))
        outputs = {name: info.name for name, info in loaded.signature_def[signature.key].outputs.items()}
        call: Callable[[Any], dict[str, NDArray[Any]]] = session.make_callable(outputs, [signature.tensor])
        return call
