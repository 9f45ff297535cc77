"""A run's checkpoints: the best one outlives a restart, and one that is read outlives its deletion."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipeline.errors import TrainingError
from pipeline.training.checkpoints import BestSoFar, best, held, step_at
from tests.homes import TinyRun


def test_a_damaged_record_of_the_best_is_named(tmp_path: Path) -> None:
    """`best.json` cut short is a message, not a traceback."""
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "best.json").write_text('{"prefix": "model')
    with pytest.raises(TrainingError, match=r"best.json: damaged"):
        BestSoFar(tmp_path)


def test_the_best_is_the_lowest_ne_and_survives_a_restart(tiny_run: TinyRun, tmp_path: Path) -> None:
    """A worse checkpoint, or one without an NE, changes nothing but how long was waited; only one is kept on disk."""
    run = tmp_path / "run"
    for step, ne in ((3, 9.0), (6, 5.0), (9, 7.0), (12, None)):
        for path in tiny_run.run.folder.glob("model.ckpt-6.*"):
            (run / path.name.replace("-6", f"-{step}", 1)).parent.mkdir(exist_ok=True)
            shutil.copy2(path, run / path.name.replace("-6", f"-{step}", 1))
        kept = BestSoFar(run).consider(str(run / f"model.ckpt-{step}"), step, {} if ne is None else {"ne": ne})
        assert kept == (step < 9)
    record = BestSoFar(run)
    assert (record.evaluated, record.waited) == (12, 2)
    assert record.checkpoint
    assert (record.checkpoint.step, record.checkpoint.ne) == (6, 5.0)
    assert {path.stem for path in (run / "best").glob("*ckpt*")} == {"model.ckpt-6"}


def test_the_best_stays_while_it_is_read(run: Path) -> None:
    """An export goes on with it, though training finds a better one meanwhile; then it goes."""
    BestSoFar(run).consider(str(run / "model.ckpt-3"), 3, {"ne": 9.0})
    with best(run) as read:
        BestSoFar(run).consider(str(run / "model.ckpt-6"), 6, {"ne": 5.0})
        assert read
        assert step_at(read.prefix, run) == 3
    assert BestSoFar(run).consider(str(run / "model.ckpt-6"), 7, {"ne": 5.0})
    assert {path.stem for path in (run / "best").glob("*ckpt*")} == {"model.ckpt-6"}


@pytest.fixture
def run(tiny_run: TinyRun, tmp_path: Path) -> Path:
    """A run that has saved steps 3 and 6."""
    shutil.copytree(tiny_run.run.folder, tmp_path / "run")
    return tmp_path / "run"


def delete(run: Path, step: int) -> None:
    for path in run.glob(f"model.ckpt-{step}.*"):
        path.unlink()


def test_a_checkpoint_that_is_held_outlives_its_deletion(run: Path) -> None:
    """However slow an evaluator is, the process that trains deletes nothing under its hands."""
    with held(run) as prefix:
        delete(run, 6)
        assert prefix
        assert step_at(prefix, run) == 6
    assert not (run / "held").exists()


def test_one_that_is_deleted_before_it_is_held_is_passed_over(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a newer one then, which is taken."""

    def deleted(source: Path, target: Path) -> None:
        monkeypatch.undo()
        delete(run, 6)
        (run / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-3"\n')
        raise FileNotFoundError

    monkeypatch.setattr(os, "link", deleted)
    with held(run) as prefix:
        assert prefix
        assert step_at(prefix, run) == 3


def test_without_hard_links_it_is_copied(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    with held(run) as prefix:
        delete(run, 6)
        assert prefix
        assert step_at(prefix, run) == 6


def test_files_that_are_missing_for_good_are_named(run: Path) -> None:
    """Nobody waits for a newer one that will not come."""
    (run / "model.ckpt-6.data-00000-of-00001").unlink()
    with held(run) as prefix:
        assert prefix
        with pytest.raises(TrainingError, match="damaged or incomplete"):
            step_at(prefix, run)
    delete(run, 6)
    with held(run) as prefix:
        assert prefix is None
