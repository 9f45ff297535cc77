"""What is measured: the newest published version, its golden pictures, and a server of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from model.signature import MODEL_NAME, TAG, Signature
from pipeline.golden import Golden
from pipeline.serving.process import ServerProcess, throw_away
from pipeline.serving.server import wait_until_available
from pipeline.settings import Settings
from pipeline.store import ModelStore

Inputs = dict[str, Any]


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


@contextmanager
def server(base: Path, *flags: str) -> Iterator[ServerProcess]:
    """`model_server` of the versions below `base`, on free ports."""
    log = Settings.from_environment().server / "benchmark.log"
    with throw_away(base, MODEL_NAME, log, flags) as running:
        wait_until_available(running, MODEL_NAME, 60)
        yield running


def in_process(folder: Path, *signatures: Signature) -> dict[Signature, Callable[[Any], object]]:
    """The SavedModel in a session of this process: what remains when there is no network."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        session = tf.compat.v1.Session(graph=graph)
        loaded = tf.compat.v1.saved_model.load(session, [TAG], str(folder))
        return {
            signature: session.make_callable(
                [info.name for info in loaded.signature_def[signature.key].outputs.values()], [signature.tensor]
            )
            for signature in signatures
        }
