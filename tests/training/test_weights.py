"""Weights of one run start another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.network import NetworkConfig
from pipeline.data.prepare import prepare
from pipeline.errors import TrainingError
from pipeline.training.presets import Preset, choose
from pipeline.training.runs import Run, open_run
from pipeline.training.train import train
from pipeline.training.weights import load, save
from tests.homes import TinyRun
from tests.training.reduced import reduce


def one_step(init: Path, rate: float = 1e-3) -> Preset:
    small = choose("tiny", steps=1, init=str(init))
    return replace(small, model=replace(small.model, optimiser=replace(small.model.optimiser, learning_rate=rate)))


@pytest.fixture(scope="module")
def archive(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.npz"
    save(tiny_run.best, tiny_run.dataset.keypoints, path)
    return path


def test_a_run_starts_from_weights_and_is_never_worse(
    tiny_run: TinyRun, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A learning rate that ruins everything: the best checkpoint is the one at step 0, and scores as before."""
    best = train(Run(tmp_path / "run", tiny_run.dataset, one_step(archive, 1e3)))
    assert f"Starting from the weights {archive}" in capsys.readouterr().out
    assert best.step == 0
    assert best.ne == pytest.approx(tiny_run.best.ne, rel=0.01)  # half precision, of a network that knows nothing yet
    save(best, tiny_run.dataset.keypoints, tmp_path / "again.npz")
    again, before = load(str(tmp_path / "again.npz")), load(str(archive))
    assert again.keypoints == before.keypoints == tiny_run.dataset.keypoints.keypoints
    np.testing.assert_equal(again.arrays, before.arrays)


def test_half_precision_is_enough(tiny_run: TinyRun, archive: Path) -> None:
    """Every averaged weight is there, finite, in two bytes a value."""
    weights = load(str(archive)).arrays
    assert all(np.isfinite(array).all() for array in weights.values())
    assert archive.stat().st_size < 2.2 * sum(array.size for array in weights.values()) + 500 * len(weights)


def test_weights_of_another_network_are_refused(tiny_run: TinyRun, archive: Path, tmp_path: Path) -> None:
    """The error names the file, the first variable that differs, and the way out."""
    small = one_step(archive)
    wider = replace(small, model=replace(small.model, network=NetworkConfig(widths=(32, 32), blocks=1, neck=16)))
    with pytest.raises(TrainingError, match=r"weights\.npz: these weights belong to another network: .*--init none"):
        train(Run(tmp_path / "run", tiny_run.dataset, wider))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off"])
def test_weights_that_cannot_be_read(tiny_run: TinyRun, tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or damaged file is named."""
    path = tmp_path / "weights.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=rf"{path}: cannot be read as weights.*--init none"):
        train(open_run(tmp_path, tiny_run.dataset, one_step(path)))


def test_weights_that_are_damaged_within(archive: Path, tmp_path: Path) -> None:
    """Or are one array, as another program may have written it: the file is named all the same."""
    damaged = bytearray(archive.read_bytes())
    damaged[8] = 8  # the first array says that it is packed, and is not
    damaged[damaged.index(b"PK\x01\x02") + 10] = 8
    (tmp_path / "packed").write_bytes(damaged)
    np.save(tmp_path / "one.npy", np.zeros(3))
    for path in (tmp_path / "packed", tmp_path / "one.npy"):
        with pytest.raises(TrainingError, match=rf"{path}: cannot be read as weights.*--init none"):
            load(str(path))


def test_another_keypoint_set_takes_all_but_the_heads(
    archive: Path, garments_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A learning rate of nothing: after a step the backbone and pyramid are the file's, and the heads are new ones.

    One line says so. What they answer at step 0 is chance, so it is not among what the best is chosen from.
    """
    dataset = prepare(reduce(garments_folder, tmp_path / "photos"), tmp_path / "records", drawn=0)
    best = train(Run(tmp_path / "run", dataset, one_step(archive, 0.0)))
    said = capsys.readouterr().out
    assert f"Starting from the backbone and pyramid of {archive}; the heads of 10 keypoints are new\n" in said
    assert "Step 0" not in said
    assert best.step == 1
    save(best, dataset.keypoints, tmp_path / "after.npz")
    before, after = load(str(archive)), load(str(tmp_path / "after.npz"))
    assert after.keypoints == dataset.keypoints.keypoints
    moved = {name for name in before.arrays if not np.array_equal(before.arrays[name], after.arrays[name])}
    layers = {name.split("/")[1] for name in moved if "moving_" not in name}
    assert layers == {"conv2d_10", "dense_1", "dense_2", "dense_3", "einsum_dense"}


def test_as_many_other_keypoints_do_not_share_heads(tiny_run: TinyRun, archive: Path, tmp_path: Path) -> None:
    """Names decide, not shapes: weights of 24 other points give this run no heads."""
    weights = load(str(archive))
    others = tuple(f"other {name}" for name in weights.keypoints)
    np.savez(tmp_path / "others.npz", **weights.arrays, keypoints=np.array(others))
    best = train(Run(tmp_path / "run", tiny_run.dataset, one_step(tmp_path / "others.npz", 0.0)))
    assert best.step == 1


@pytest.mark.slow
def test_the_starter_is_taken_for_another_keypoint_set(
    garments_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file names no keypoints: it is of garments."""
    dataset = prepare(reduce(garments_folder, tmp_path / "photos"), tmp_path / "records", drawn=0)
    train(Run(tmp_path / "run", dataset, choose("demo", steps=1, batch=1)))
    said = capsys.readouterr().out
    assert "Starting from the starter's backbone and pyramid; the heads of 10 keypoints are new\n" in said
