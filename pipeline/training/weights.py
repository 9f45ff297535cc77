"""Weights on their own, to start other runs from: one array a variable, in half precision, in a NumPy archive.

The starter ships with Seamline; its model card is beside it. Keras' weight files for a backbone are read too.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model.network import BACKBONE_SCOPE
from pipeline.errors import TrainingError
from pipeline.training.checkpoints import AVERAGE
from pipeline.training.hooks import Checkpoint
from pipeline.training.presets import STARTER

STARTER_FILE = Path(__file__).resolve().parents[2] / "model" / "starter" / "weights.npz"

Weights = dict[str, NDArray[np.float32]]
"""By the name that the variable has in the training graph."""


def load(init: str) -> Weights:
    """`init` is STARTER or the path of a file, `.h5` from Keras or an archive. Raises TrainingError for any other."""
    path = STARTER_FILE if init == STARTER else Path(init)
    try:
        if path.suffix == ".h5":
            return _load_backbone(path)
        with path.open("rb") as file, np.load(file) as archive:
            return {name: archive[name].astype(np.float32) for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"{path}: cannot be read as weights ({error}). `python -m pipeline weights` writes such files; "
            f"--init none starts from nothing."
        ) from error


def _load_backbone(path: Path) -> Weights:
    """Keras' file of `tf.keras.applications.MobileNetV2`, without what comes after the last stage that is used."""
    weights: Weights = {}

    def keep(name: str, item: object) -> None:
        layer, _, weight = name.rpartition("/")
        layer = layer.rpartition("/")[2]
        if isinstance(item, h5py.Dataset) and not layer.startswith(("Conv_1", "predictions")):
            weights[f"{BACKBONE_SCOPE}/{layer}/{weight.partition(':')[0]}"] = item[...].astype(np.float32)

    with h5py.File(path) as file:
        file.visititems(keep)
    return weights


def as_checkpoint(weights: Weights, folder: Path) -> str:
    """Writes what an evaluation restores, averages and the step, which is 0. Returns the checkpoint's prefix."""
    prefix = str(folder / "model.ckpt-0")
    tensors = {f"{name}{AVERAGE}": array for name, array in weights.items()}
    tensors[tf.compat.v1.GraphKeys.GLOBAL_STEP] = np.array(0, np.int64)
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=[*tensors],
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(tensor) for tensor in tensors.values()],
    )
    return prefix


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Writes the averaged weights, those that are served. About two bytes a parameter."""
    reader = tf.train.load_checkpoint(checkpoint.prefix)
    averages = [name for name in reader.get_variable_to_shape_map() if name.endswith(AVERAGE)]
    arrays = {name[: -len(AVERAGE)]: reader.get_tensor(name).astype(np.float16) for name in sorted(averages)}
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    partial.rename(path)
