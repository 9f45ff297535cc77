"""Training loses no work: it stops on request, goes on after being killed, and is alone in its folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow as tf
from pipeline.training.hooks import BestCheckpoint

from pipeline.data.prepare import prepare
from pipeline.data.records import load
from pipeline.errors import DataError, ExportError, TrainingError
from pipeline.release.export import export
from pipeline.training.presets import Preset, tiny
from pipeline.training.train import step_of, train
from tests.pipeline.conftest import TinyRun

ROOT = Path(__file__).resolve().parents[2]
STEPS = 60


def preset(steps: int = STEPS) -> Preset:
    """The tiny network, with a checkpoint every 10 steps."""
    small = tiny()
    model = replace(small.model, optimiser=replace(small.model.optimiser, steps=steps))
    return replace(small, model=model, evaluate_every=10)


TRAIN = f"""
import sys
from pathlib import Path
from pipeline.errors import PipelineError
from pipeline.data.prepare import prepare
from pipeline.training.train import train
from tests.pipeline.test_train import preset
home = Path(sys.argv[1])
try:
    train(prepare(None, "tiny", home / "data"), preset({STEPS}), home / "run")
except PipelineError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a drawn data set."""
    folder = tmp_path_factory.mktemp("home")
    prepare(None, "tiny", folder / "data")
    return folder


def started(home: Path, run: Path) -> subprocess.Popen[str]:
    """A training process that has saved its first checkpoint."""
    run.mkdir()
    (run / "data").symlink_to(home / "data")
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(run)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (run / "run" / "best" / "best.json").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_a_checkpoint_and_ends(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 130, and the step it stopped at is on disk."""
    process = started(home, tmp_path / "home")
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Stopped, as asked" in said
    assert 10 <= step_of(tmp_path / "home" / "run") <= STEPS


def test_a_killed_run_goes_on_to_the_end(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL loses at most the steps since the last checkpoint; the best one is remembered by the next process."""
    process = started(home, tmp_path / "home")
    process.kill()
    process.communicate()
    run = tmp_path / "home" / "run"
    reached = step_of(run)
    assert reached >= 10
    dataset = prepare(None, "tiny", home / "data")
    best = train(dataset, preset(), run)
    assert f"Going on from step {reached} of {STEPS}" in capsys.readouterr().out
    assert step_of(run) == STEPS
    assert Path(f"{best.prefix}.index").is_file()
    assert train(dataset, preset(), run) == best
    assert "Nothing left to do" in capsys.readouterr().out


def test_two_trainers_in_one_folder_are_refused(home: Path, tmp_path: Path) -> None:
    """The second one is told, and the first goes on."""
    process = started(home, tmp_path / "home")
    try:
        with pytest.raises(TrainingError, match="another process is training here"):
            train(prepare(None, "tiny", home / "data"), preset(), tmp_path / "home" / "run")
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_a_loss_that_is_not_a_number_says_what_to_do(home: Path, tmp_path: Path) -> None:
    """A learning rate beyond reason: the preset is named, and what to look at."""
    small = preset()
    wild = replace(small.model, optimiser=replace(small.model.optimiser, learning_rate=float("nan")))
    with pytest.raises(TrainingError, match=r"no longer a number.*learning rate of preset tiny"):
        train(prepare(None, "tiny", home / "data"), replace(small, model=wild), tmp_path / "run")


def test_a_damaged_record_says_what_to_delete(home: Path, tmp_path: Path) -> None:
    """A shard that was cut short: its data set is named, and that it can be made again."""
    dataset = prepare(None, "tiny", tmp_path / "data")
    shard = Path(dataset.shards("train")[0])
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(DataError, match=rf"{dataset.folder}: a record is damaged.*Delete the folder"):
        train(dataset, preset(10), tmp_path / "run")


def test_served_are_the_averaged_weights(home: Path, tmp_path: Path) -> None:
    """The checkpoint has a moving average beside each weight, and they differ from the last weights."""
    dataset = prepare(None, "tiny", home / "data")
    best = train(dataset, preset(10), tmp_path / "run")
    names = {name for name, _ in tf.train.list_variables(best.prefix)}
    averages = {name for name in names if name.endswith("/ExponentialMovingAverage")}
    assert {name.rsplit("/", 1)[0] for name in averages} <= names
    kernel = next(name for name in sorted(averages) if "kernel" in name)
    reader = tf.train.load_checkpoint(best.prefix)
    assert (reader.get_tensor(kernel) != reader.get_tensor(kernel.rsplit("/", 1)[0])).any()


def test_patience_ends_a_run_and_more_of_it_goes_on(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that never changes: NE stays as it was, the run ends at the checkpoint evaluated last and stays so."""
    dataset = prepare(None, "tiny", home / "data")
    small = tiny()
    still = replace(
        small.model,
        optimiser=replace(small.model.optimiser, steps=12, learning_rate=0.0),
        network=replace(small.model.network, batch_norm_momentum=1.0),
    )
    impatient = replace(small, model=still, patience=1)
    best = train(dataset, impatient, tmp_path / "run")
    said = capsys.readouterr().out
    assert "Ended early, at step 6 of 12: NE was not lowered in the last 1 evaluation(s)" in said
    assert step_of(tmp_path / "run") == 6
    assert train(dataset, impatient, tmp_path / "run") == best
    said = capsys.readouterr().out
    assert "Nothing left to do" in said
    assert "ended early, at step 6 of 12" in said
    assert replace(impatient, patience=2).fingerprint == impatient.fingerprint
    assert BestCheckpoint(tmp_path / "run", 1).out_of_patience
    assert not BestCheckpoint(tmp_path / "run", 2).out_of_patience


def test_a_checkpoint_of_another_network_is_named_with_the_first_difference(tiny_run: TinyRun, tmp_path: Path) -> None:
    """When training would go on from it, and when it would be exported."""
    wider = replace(tiny_run.preset.model.network, neck=32)
    other = replace(tiny_run.preset, model=replace(tiny_run.preset.model, network=wider))
    run = Path(shutil.copytree(tiny_run.best.run, tmp_path / "run"))
    (run / "best" / "best.json").unlink()
    different = r"model.ckpt-\d: the checkpoint is of another network: \S+ is of shape \S+ there, the preset's is \S+"
    with pytest.raises(TrainingError, match=rf"{run}.*{different}.*Delete {run}"):
        train(tiny_run.dataset, other, run)
    with pytest.raises(ExportError, match=different):
        export(tiny_run.best, other, tiny_run.dataset, tmp_path / "staging")


def test_a_checkpoint_that_was_cut_short_is_named(tiny_run: TinyRun, tmp_path: Path) -> None:
    """Its weights, or its index: training says which checkpoint, and what to delete."""
    for suffix in ("data-00000-of-00001", "index"):
        run = Path(shutil.copytree(tiny_run.best.run, tmp_path / suffix))
        (run / "best" / "best.json").unlink()
        for path in run.glob(f"model.ckpt-*.{suffix}"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(TrainingError, match=rf"{run}/model.ckpt-\d+: the checkpoint is damaged.*Delete {run}"):
            train(tiny_run.dataset, tiny_run.preset, run)


def test_a_damaged_data_set_stops_an_export(tiny_run: TinyRun, tmp_path: Path) -> None:
    """Golden requests are taken from evaluation photos: one that cannot be read is a message."""
    folder = Path(shutil.copytree(tiny_run.dataset.folder, tmp_path / "set"))
    shard = max(folder.glob("eval-*"), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-100] + bytes(100))
    with pytest.raises(DataError, match="a record is damaged"):
        export(tiny_run.best, tiny_run.preset, load(folder), tmp_path / "staging")


def test_drawing_says_what_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For lack of photos, or to mix in beside them."""

    def nothing(photos: Path, *_: object, **__: object) -> None:
        photos.mkdir(parents=True)

    monkeypatch.setattr("pipeline.prepare.write_dataset", nothing)
    for mixed_in, said in (
        (False, "No photos given: drawing 40 garments into"),
        (True, "Drawing 40 garments to mix in:"),
    ):
        with pytest.raises(DataError, match="no annotations found"):
            prepare(None, "tiny", tmp_path / str(mixed_in), mixed_in=mixed_in)
        assert said in capsys.readouterr().out
