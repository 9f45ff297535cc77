"""Weights on their own, to start other runs from: an array for each variable, in half precision, in a NumPy archive,
and the names of the keypoints that they find.

The starter ships with Seamline; its model card is beside it.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import tensorflow as tf

from model.model_fn import Weights
from pipeline import archives
from pipeline.atomic import write_atomically
from pipeline.errors import TrainingError
from pipeline.training.checkpoints import AVERAGE, Checkpoint
from pipeline.training.presets import STARTER
from seamline_client.keypoints import GARMENTS, KeypointSet

STARTER_FILE = Path(__file__).resolve().parents[2] / "model" / "starter" / "weights.npz"

_KEYPOINTS = "keypoints"
"""The array of names. Files from before there were other sets have none, and are of garments."""


def load(init: str) -> Weights:
    """`init` is STARTER or the path of a file that `save` wrote. Raises TrainingError for any other."""
    path = _path(init)
    try:
        found = archives.read(path)
        names = found.pop(_KEYPOINTS, np.array(GARMENTS.keypoints))
        return Weights({name: array.astype(np.float32) for name, array in found.items()}, tuple(names.tolist()))
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(path, error) from error


def fingerprint(init: str) -> str:
    """SHA-256 of the file that `init` names: a file that is written anew starts another run."""
    try:
        return hashlib.sha256(_path(init).read_bytes()).hexdigest()
    except OSError as error:
        raise _unreadable(_path(init), error) from error


def save(checkpoint: Checkpoint, keypoints: KeypointSet, path: Path) -> None:
    """Writes the averaged weights, which are those that are served. About two bytes a parameter."""
    reader = tf.train.load_checkpoint(checkpoint.prefix)
    averages = [name for name in reader.get_variable_to_shape_map() if name.endswith(AVERAGE)]
    arrays = {name[: -len(AVERAGE)]: reader.get_tensor(name).astype(np.float16) for name in sorted(averages)}
    archive = io.BytesIO()
    np.savez(archive, **arrays, **{_KEYPOINTS: np.array(keypoints.keypoints)})
    write_atomically(path, archive.getvalue())


def _path(init: str) -> Path:
    return STARTER_FILE if init == STARTER else Path(init)


def _unreadable(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        f"{path}: cannot be read as weights ({error}). `python -m pipeline weights` writes such files; "
        f"--init none starts from nothing."
    )
