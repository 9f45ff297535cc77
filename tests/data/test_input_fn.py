"""Where decoded pictures are kept, and where they are augmented: the batches are the same."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.augment import Augmentation
from pipeline.data.input_fn import NUMBER, PICTURE_BYTES, augment_features, train_input_fn
from tests.homes import TinyRun

AUGMENTATION, SEED, START = Augmentation(stretch=0.1), 5, 7


def test_the_graph_augments_as_the_input_does(tiny_run: TinyRun) -> None:
    """Bit for bit, pictures and labels, for the batches of the same numbers."""
    expected = list(islice(train_input_fn(tiny_run.dataset, 4, AUGMENTATION, SEED, START)(), 3))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        plain = tf.compat.v1.data.make_one_shot_iterator(train_input_fn(tiny_run.dataset, 4, None, SEED, START)())
        features, labels = plain.get_next()
        augmented = augment_features(features, labels, AUGMENTATION, tiny_run.dataset.keypoints.flip, SEED)
        found = [session.run((augmented, features[NUMBER])) for _ in expected]
    assert [number for _, number in found] == [7, 8, 9]
    for ((pictures, labels), _), (wanted, wanted_labels) in zip(found, expected):
        assert set(pictures) == {"images"}
        assert np.array_equal(pictures["images"], wanted["images"])
        for name, values in wanted_labels.items():
            assert np.array_equal(labels[name], values)


def epoch(tiny_run: TinyRun, **kept: Any) -> list[Any]:
    """Two passes over the training pictures, each picture as one number."""
    count = tiny_run.dataset.count("train")
    batches = islice(train_input_fn(tiny_run.dataset, 1, None, SEED, 0, **kept)(), 2 * count)
    return [int(tf.reduce_sum(tf.cast(features["images"], tf.int64))) for features, _ in batches]


@pytest.mark.parametrize("memory", [1 << 30, 5 * PICTURE_BYTES])
def test_every_picture_once_an_epoch(tiny_run: TinyRun, tmp_path: Path, memory: int) -> None:
    """Kept in memory or on disk, over two epochs each picture comes twice, in another order."""
    seen = epoch(tiny_run, memory=memory, disk=tmp_path / "kept")
    count = tiny_run.dataset.count("train")
    assert (tmp_path / "kept" / "pixels.index").exists() == (memory < 1 << 30)
    assert seen[:count] != sorted(seen)[::2]
    if memory == 1 << 30:
        assert sorted(seen[:count]) == sorted(seen[count:])
    assert len({*seen}) == count


def test_what_a_killed_training_kept_in_part_is_written_anew(tiny_run: TinyRun, tmp_path: Path) -> None:
    """TensorFlow would refuse it for its lock. What is whole is read again, photos or no photos."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "pixels_0.lockfile").write_text("")
    (kept / "pixels_0.data-00000-of-00001").write_text("half")
    first = epoch(tiny_run, memory=5 * PICTURE_BYTES, disk=kept)
    assert sorted(epoch(tiny_run, memory=5 * PICTURE_BYTES, disk=kept)) == sorted(first)


def test_a_full_disk_is_left_alone(tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are then decoded over and over."""
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": PICTURE_BYTES}))
    assert len({*epoch(tiny_run, memory=0, disk=tmp_path / "kept")}) == tiny_run.dataset.count("train")
    assert not any((tmp_path / "kept").iterdir())
