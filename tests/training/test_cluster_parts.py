"""What the tasks of a cluster start from and what each of them reads, without a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tensorflow as tf

from pipeline.background.ports import free_port
from pipeline.data.input_fn import train_input_fn
from pipeline.errors import ClusterError
from pipeline.training import estimator, together
from pipeline.training.checkpoints import AVERAGE, step_of
from pipeline.training.cluster import Task
from pipeline.training.hooks import Stop
from pipeline.training.presets import tiny
from pipeline.training.runs import Run
from pipeline.training.together import _chiefs_run, _evaluate
from pipeline.training.train import input_fn
from pipeline.training.watch import Others
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


class Said:
    """What the other tasks have said, and what becomes visible here with each wait."""

    def __init__(self, *appears: Callable[[], object], **heard: Any) -> None:
        self.trained = {"chief": heard["step"]}
        self.trainers = 1
        self.enough = False
        self.waits = 0
        self._appears, self._heard = appears, heard

    def heard(self, word: str) -> Any:
        return self._heard.get(word)

    def tell(self, **message: Any) -> None:
        self._heard.update(message)

    def wait(self, until: Callable[[], object], seconds: float | None = None) -> None:
        if self.waits < len(self._appears):
            self._appears[self.waits]()
        self.waits += 1


@pytest.fixture
def folder(tiny_run: TinyRun, tmp_path: Path) -> Path:
    """The tiny run as it was before it was evaluated, in another home with the same data."""
    (tmp_path / "data").symlink_to(tiny_run.home / "data")
    folder = tmp_path / "runs" / tiny_run.run.folder.name
    return Path(shutil.copytree(tiny_run.run.folder, folder, ignore=shutil.ignore_patterns("best", "eval*")))


@pytest.fixture
def evaluator() -> Task:
    return Task("evaluator", 0, {kind: [f"127.0.0.1:{free_port()}"] for kind in ("chief", "worker", "evaluator")})


def test_the_evaluator_may_see_late_what_the_chief_has_saved(
    tiny_run: TinyRun, folder: Path, evaluator: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the chief may have saved a later checkpoint: that will do. Until one can be seen, and its data, it waits;
    what it sees a part of, it names in the end."""
    preset, step = tiny_run.preset, step_of(folder)

    def found(start: int, *appears: Callable[[], object]) -> tuple[Path, int, int]:
        said = Said(*appears, preset=preset.fingerprint, run=folder.name, step=start)
        run, at = _chiefs_run(evaluator, preset, folder.parent, cast(Others, said))
        return run.folder, at, said.waits

    assert found(step - 1) == (folder, step - 1, 0)
    state, hidden = folder / "checkpoint", folder / "not yet"
    data, away = folder.parents[1] / "data", folder.parents[1] / "not yet"
    data.rename(away)
    state.rename(hidden)
    index = next(folder.glob(f"*-{step}.index"))
    whole = index.read_bytes()
    index.write_bytes(b"")
    steps = (lambda: hidden.rename(state), lambda: index.write_bytes(whole), lambda: away.rename(data))
    assert found(0, *steps) == (folder, 0, 3)
    index.write_bytes(b"")
    monkeypatch.setattr(together, "SHARED_SECONDS", 2 * together.LOOK_SECONDS)
    with pytest.raises(ClusterError, match=r"evaluator does not see.* share .* It finds: .*damaged"):
        found(step)


def test_the_last_checkpoint_is_evaluated_though_it_is_seen_late(tiny_run: TinyRun, folder: Path) -> None:
    """Training has ended for all others; that is when the evaluator may begin to see the checkpoint they ended with."""
    state, hidden = folder / "checkpoint", folder / "not yet"
    state.rename(hidden)
    run, step = Run(folder, tiny_run.dataset, tiny_run.preset), tiny_run.preset.steps
    said = Said(lambda: None, lambda: hidden.rename(state), step=step, knows=True)
    found = _evaluate(run, Stop(), cast(Others, said))
    assert found is not None
    assert found.step == step
    assert said.heard("end") == "over"
