"""Weights of one run start another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.network import NetworkConfig
from pipeline.errors import TrainingError
from pipeline.training.presets import Preset, choose
from pipeline.training.runs import Run, open_run
from pipeline.training.train import train
from pipeline.training.weights import load, save
from tests.homes import TinyRun


def one_step(init: Path, rate: float = 1e-3) -> Preset:
    small = choose("tiny", steps=1, init=str(init))
    return replace(small, model=replace(small.model, optimiser=replace(small.model.optimiser, learning_rate=rate)))


@pytest.fixture(scope="module")
def archive(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.npz"
    save(tiny_run.best, path)
    return path


def test_a_run_starts_from_weights_and_is_never_worse(
    tiny_run: TinyRun, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A learning rate that ruins everything: the best checkpoint is the one at step 0, and scores as before."""
    best = train(Run(tmp_path / "run", tiny_run.dataset, one_step(archive, 1e3)))
    assert f"Starting from the weights {archive}" in capsys.readouterr().out
    assert best.step == 0
    assert best.ne == pytest.approx(tiny_run.best.ne, rel=0.01)  # half precision, of a network that knows nothing yet
    save(best, tmp_path / "again.npz")
    np.testing.assert_equal(load(str(tmp_path / "again.npz")), load(str(archive)))


def test_half_precision_is_enough(tiny_run: TinyRun, archive: Path) -> None:
    """Every averaged weight is there, finite, in two bytes a value."""
    weights = load(str(archive))
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
