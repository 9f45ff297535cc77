"""Weights of one run start another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from model.backbone import MOBILENET_V2, MobileNetV2
from pipeline.training.hooks import Checkpoint

from model.network import BACKBONE_SCOPE, NetworkConfig
from pipeline.data.prepare import prepare
from pipeline.data.records import Dataset
from pipeline.errors import PipelineError, TrainingError
from pipeline.training.presets import Preset, tiny
from pipeline.training.runs import latest_run, open_run
from pipeline.training.train import train
from pipeline.training.weights import load, save

ENDS = {5: "add", 12: "add", 16: "project_BN"}
"""Of MobileNetV2's blocks at strides 8, 16 and 32: the last layer of each."""


def steps(count: int, *, rate: float = 2e-3, init: str | None = None) -> Preset:
    small = tiny()
    optimiser = replace(small.model.optimiser, steps=count, warmup_steps=1, learning_rate=rate)
    return replace(small, model=replace(small.model, optimiser=optimiser), evaluate_every=count, init=init)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(None, "tiny", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def checkpoint(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train(dataset, steps(2), tmp_path_factory.mktemp("first") / "run")


@pytest.fixture(scope="module")
def archive(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.npz"
    save(checkpoint, path)
    return path


def test_a_run_starts_from_weights(dataset: Dataset, archive: Path, tmp_path: Path) -> None:
    """With a learning rate of nothing all that training changes is still what the file says; a second run differs."""
    weights = load(str(archive))
    train(dataset, steps(1, rate=0.0, init=str(archive)), tmp_path / "run")
    train(dataset, steps(1, rate=0.0), tmp_path / "other")
    started, other = (tf.train.load_checkpoint(str(tmp_path / name)) for name in ("run", "other"))
    kernels = [name for name in weights if name.endswith("kernel")]
    assert len(kernels) > 10
    for name in kernels:
        np.testing.assert_array_equal(started.get_tensor(name), weights[name])
        assert not np.array_equal(other.get_tensor(name), weights[name])


def test_a_run_is_never_worse_than_what_it_starts_from(
    dataset: Dataset, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """A learning rate that ruins all: the best checkpoint is that of step 0, and scores as before."""
    save(checkpoint, tmp_path / "weights.npz")
    best = train(dataset, steps(1, rate=1e3, init=str(tmp_path / "weights.npz")), tmp_path / "run")
    assert best.step == 0
    assert best.ne == pytest.approx(checkpoint.ne, rel=0.01)  # half precision, of a network that knows nothing yet
    save(best, tmp_path / "again.npz")
    np.testing.assert_equal(load(str(tmp_path / "again.npz")), load(str(tmp_path / "weights.npz")))


def test_half_precision_is_enough(archive: Path, checkpoint: Checkpoint) -> None:
    """Every averaged weight is there, finite, in two bytes a value."""
    weights = load(str(archive))
    assert all(np.isfinite(array).all() for array in weights.values())
    assert archive.stat().st_size < 2.2 * sum(array.size for array in weights.values()) + 500 * len(weights)


def test_weights_of_another_network_are_refused(dataset: Dataset, archive: Path, tmp_path: Path) -> None:
    """The error names the file, the first variable that differs, and the way out."""
    wider = steps(1, init=str(archive))
    wider = replace(wider, model=replace(wider.model, network=NetworkConfig(widths=(32, 32), blocks=1, neck=16)))
    with pytest.raises(TrainingError, match=r"weights\.npz: these weights are of another network: .*--init none"):
        train(dataset, wider, tmp_path / "run")


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off"])
def test_weights_that_cannot_be_read(dataset: Dataset, tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or damaged file is named."""
    path = tmp_path / "weights.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match="cannot be read as weights"):
        train(dataset, steps(1, init=str(path)), tmp_path / "run")


def test_a_run_remembers_where_it_started(dataset: Dataset, archive: Path, tmp_path: Path) -> None:
    """Other weights are another run, and the latest run is found again with its own."""
    plain = open_run(tmp_path, dataset, tiny())
    preset = replace(tiny(), init=str(archive)).with_backbone(MOBILENET_V2)
    started = open_run(tmp_path, dataset, preset)
    assert plain.folder != started.folder
    assert latest_run(tmp_path).preset == preset
    assert json.loads((started.folder / "run.json").read_text())["init"] == str(archive)


def test_a_backbone_starts_from_a_weight_file_of_keras(tmp_path: Path) -> None:
    """MobileNetV2's features are those that Keras computes with the same file, in training mode and out of it."""
    keras = tf.keras.applications.MobileNetV2(input_shape=(96, 96, 3), include_top=False, weights=None)
    for variable in keras.variables:
        if "moving" in variable.name:
            variable.assign(tf.random.uniform(variable.shape, 0.5, 1.5))
    path = tmp_path / "mobilenet_v2.h5"
    keras.save_weights(str(path))
    weights = load(str(path))
    ours = MobileNetV2()
    pictures = tf.random.uniform((2, 96, 96, 3), -1, 1)
    ours(pictures, training=False)
    for variable in ours.variables:
        variable.assign(weights.pop("/".join([BACKBONE_SCOPE, *variable.name.removesuffix(":0").split("/")[-2:]])))
    assert not weights
    expected = tf.keras.Model(
        keras.inputs, [keras.get_layer(f"block_{block}_{end}").output for block, end in ENDS.items()]
    )
    for training in (False, True):
        for found, features in zip(ours(pictures, training=training), expected(pictures, training=training)):
            np.testing.assert_allclose(found, features, atol=2e-4)


def test_a_run_on_a_backbone(dataset: Dataset, tmp_path: Path) -> None:
    """It trains from the file, batch norm included."""
    keras = tf.keras.applications.MobileNetV2(input_shape=(96, 96, 3), include_top=False, weights=None)
    keras.save_weights(str(tmp_path / "backbone.h5"))
    preset = steps(1, rate=0.0, init=str(tmp_path / "backbone.h5")).with_backbone(MOBILENET_V2)
    checkpoint = train(dataset, preset, tmp_path / "run")
    reader = tf.train.load_checkpoint(checkpoint.prefix)
    kernel = reader.get_tensor(f"{BACKBONE_SCOPE}/block_1_expand/kernel")
    np.testing.assert_array_equal(kernel, keras.get_layer("block_1_expand").get_weights()[0])
    assert abs(reader.get_tensor(f"{BACKBONE_SCOPE}/bn_Conv1/moving_mean")).max() > 0


def test_a_run_is_not_scored_on_the_photos_of_another(dataset: Dataset, tmp_path: Path) -> None:
    """Where another data set of the same name took the place of the run's own, the run is not gone on with."""
    open_run(tmp_path, replace(dataset, fingerprint="of other photos"), tiny())
    with pytest.raises(PipelineError, match="holds other photos than"):
        latest_run(tmp_path)
