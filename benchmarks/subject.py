"""What is measured: the newest published version, its golden pictures, and a server of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.container import PublishedContainer, serving
from benchmarks.load import Load, callers
from pipeline.release.golden import Golden
from pipeline.release.store import ModelStore
from pipeline.serving.process import STAND_IN, ServerProcess, throw_away
from pipeline.serving.server import wait_until_available
from pipeline.settings import Settings
from seamline_client.contract import MODEL_NAME, TAG, Signature

Inputs = dict[str, Any]

EXECUTABLE = "TENSORFLOW_MODEL_SERVER"
"""Names the official binary, where there is one."""
IMAGE = "TENSORFLOW_SERVING_IMAGE"
"""Names an image that is to serve in a container."""


def published() -> tuple[Path, Golden]:
    """The newest version's folder and golden requests. Ends with a message where there is none."""
    version = ModelStore(Settings.from_environment().models, MODEL_NAME).latest()
    if version is None:
        raise SystemExit("No version is published: `make train export` first.")
    return version.folder, Golden.load(version.folder)


def pictures(golden: Golden, signature: Signature, count: int) -> Inputs:
    """The inputs of a request of `count` pictures through a door."""
    (inputs,) = (inputs for door, inputs in golden.requests() if door == signature)
    return {name: np.resize(values, (count, *values.shape[1:])) for name, values in inputs.items()}


def fractions(golden: Golden) -> Any:
    """A golden picture as a resize in floating point leaves one: float32 that are no whole numbers. (384, 384, 3)."""
    return np.minimum(golden.pixels[0].astype(np.float32) + np.float32(1 / 3), 255)


def photos(golden: Golden, folder: Path, count: int) -> list[Path]:
    """So many files in `folder`, the golden ones in turn."""
    paths = [folder / f"{number:06d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(golden.files[number % len(golden.files)])
    return paths


def copy(version: Path, folder: Path) -> None:
    """A copy of a version that takes no disk. Its files are shared: replace them, never write into them."""
    shutil.copytree(version, folder, copy_function=os.link)


def server_name() -> str:
    """What `server` starts. Raises SystemExit when two are named."""
    image, executable = os.environ.get(IMAGE), os.environ.get(EXECUTABLE)
    if image and executable:
        raise SystemExit(f"{IMAGE} and {EXECUTABLE} both name a server: unset one.")
    return f"a container of {image}" if image else executable or "model_server (stand-in)"


@contextmanager
def server(base: Path, *flags: str) -> Iterator[ServerProcess | PublishedContainer]:
    """A server of the versions below `base`, on free ports: the named image, the named executable or the stand-in."""
    image, executable = os.environ.get(IMAGE), os.environ.get(EXECUTABLE)
    log = Settings.from_environment().server / "benchmark.log"
    with (
        serving(image, base, flags)
        if image
        else throw_away(base, MODEL_NAME, log, flags, (executable,) if executable else STAND_IN)
    ) as running:
        wait_until_available(running, MODEL_NAME, 120)
        yield running


def in_process(folder: Path, *signatures: Signature) -> dict[Signature, Callable[[Any], object]]:
    """The SavedModel in a session of this process: what remains when there is no network."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it deprecates the loader that keeps one session
    with tf.Graph().as_default() as graph:
        session = tf.compat.v1.Session(graph=graph)
        loaded = tf.compat.v1.saved_model.load(session, [TAG], str(folder))
        return {
            signature: session.make_callable(
                [info.name for info in loaded.signature_def[signature.key].outputs.values()], [signature.tensor]
            )
            for signature in signatures
        }


def one_caller(call: Callable[[Any], object], values: Any, seconds: float) -> Load:
    """The in-process call, again and again."""
    return callers(1, seconds, lambda: call(values))
