"""Training loses no work: it stops on request, goes on after being killed, and is alone in its folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.config import Preset, tiny
from pipeline.errors import DataError, TrainingError
from pipeline.prepare import prepare
from pipeline.train import step_of, train

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
from pipeline.prepare import prepare
from pipeline.train import train
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
