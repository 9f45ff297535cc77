"""What the tasks of a cluster start from and what each of them reads, without a cluster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.data.input_fn import train_input_fn
from pipeline.training import estimator
from pipeline.training.checkpoints import AVERAGE
from pipeline.training.presets import tiny
from pipeline.training.runs import Run
from pipeline.training.train import input_fn
from pipeline.training.weights import load, save
from tests.homes import TinyRun


def test_the_first_checkpoint_has_the_starting_weights(tiny_run: TinyRun, tmp_path: Path) -> None:
    """All that a checkpoint of training has, at step 0, with the weights and their averages taken from a file."""
    save(tiny_run.best, tiny_run.dataset.keypoints, tmp_path / "weights.npz")
    initial = load(str(tmp_path / "weights.npz"))
    run = Run(tmp_path / "run", tiny_run.dataset, tiny())
    plain = estimator.build(run.folder, run.preset, run.dataset.keypoints, initial=initial)
    estimator.save_first_checkpoint(plain, input_fn(run, 0))
    prefix = tf.train.latest_checkpoint(str(run.folder))
    assert Path(prefix).name == "model.ckpt-0"
    reader = tf.train.load_checkpoint(prefix)
    trained = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(tiny_run.run.folder)))
    assert reader.get_variable_to_shape_map() == trained.get_variable_to_shape_map()
    assert reader.get_tensor("global_step") == 0
    for name, array in initial.arrays.items():
        np.testing.assert_array_equal(reader.get_tensor(name), array)
        np.testing.assert_array_equal(reader.get_tensor(name + AVERAGE), array)
    assert str(tmp_path) not in (run.folder / "checkpoint").read_text()  # other machines mount it elsewhere


def test_each_task_reads_photos_of_its_own(tiny_run: TinyRun) -> None:
    """Together they read all of them, as often as each other."""
    dataset, parts = tiny_run.dataset, 3
    read = []
    for part in range(parts):
        batches = train_input_fn(dataset, 1, None, 1, 0, part=part, parts=parts)()
        count = len(range(part, dataset.count("train"), parts))
        read.append({labels["xy"].numpy().tobytes() for _, labels in batches.take(count)})
        assert len(read[-1]) == count
    assert len(set().union(*read)) == dataset.count("train")
