"""Training loses no work: it stops on request, goes on after being killed, and keeps the best of what it saw."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.data.records import Dataset, load
from pipeline.errors import DataError, ExportError, TrainingError
from pipeline.release.export import export
from pipeline.training.checkpoints import BestSoFar, step_of
from pipeline.training.presets import Preset, choose, tiny
from pipeline.training.runs import Run, latest_run
from pipeline.training.train import Interrupted, train
from tests.homes import ROOT, Made, TinyRun
from tests.waiting import until

STEPS = 12


@contextmanager
def trainer(tiny_run: TinyRun, home: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m pipeline train` in a process of its own, once it has evaluated its first checkpoint."""
    home.mkdir()
    (home / "data").symlink_to(tiny_run.home / "data")
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "train", "--preset", "tiny", "--steps", str(STEPS)],
        cwd=ROOT,
        env={**os.environ, "SEAMLINE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until((home / "runs" / "latest").exists)
        until((home / "runs" / (home / "runs" / "latest").read_text() / "best" / "best.json").exists, 120)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_run_that_is_stopped_goes_on_to_where_it_would_have_ended(
    tiny_run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM saves the step that training is at and ends with 130; the message says which, and how to go on.

    A second trainer in its folder was refused before. The next one goes on to the last step; the best of both
    processes is kept, and a third one finds nothing left to do.
    """
    with trainer(tiny_run, tmp_path / "home") as process:
        run = latest_run(tmp_path / "home" / "runs")
        with pytest.raises(TrainingError, match="another process is training here"):
            train(run)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    reached, before = step_of(run.folder), BestSoFar(run.folder).checkpoint
    assert 3 <= reached < STEPS
    assert f"Stopped at step {reached} of {STEPS}. A checkpoint was saved" in said
    assert "Traceback" not in said
    after = train(run)
    assert f"Going on from step {reached} of {STEPS}" in capsys.readouterr().out
    assert step_of(run.folder) == STEPS
    assert before
    assert after.ne <= before.ne
    assert Path(f"{after.prefix}.index").is_file()
    assert train(run) == after == BestSoFar(run.folder).checkpoint
    assert f"Nothing left to do: {run.folder} is at step {STEPS} of {STEPS}" in capsys.readouterr().out


def test_sigint_does_the_same(tiny_run: TinyRun, tmp_path: Path) -> None:
    """Ctrl-C during an evaluation: that evaluation is finished, and training is not."""
    run = Run(tmp_path / "run", tiny_run.dataset, choose("tiny", steps=STEPS))

    def interrupt() -> None:
        until((run.folder / "model.ckpt-3.index").exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted) as stop:
        train(run)
    thread.join()
    assert stop.value.exit_code == 130
    assert 3 <= step_of(run.folder) < STEPS
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@pytest.mark.slow
def test_a_second_sigterm_ends_it_at_once(tiny_run: TinyRun, tmp_path: Path) -> None:
    """It loses at most the steps since the last checkpoint: the next process goes on to the end."""
    with trainer(tiny_run, tmp_path / "home") as process:
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
    assert process.returncode == -signal.SIGTERM
    run = latest_run(tmp_path / "home" / "runs")
    assert 3 <= step_of(run.folder) < STEPS
    assert train(run) == BestSoFar(run.folder).checkpoint
    assert step_of(run.folder) == STEPS


def copy_of(tiny_run: TinyRun, folder: Path, preset: Preset | None = None) -> Run:
    """The tiny run as if it was killed before anything of it was evaluated."""
    shutil.copytree(tiny_run.run.folder, folder)
    shutil.rmtree(folder / "best")
    return Run(folder, tiny_run.dataset, preset or tiny_run.preset)


def test_an_evaluation_that_was_missed_is_made_up_for(
    made: Made, tiny_run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process killed between its last checkpoint and the evaluation of it: the next one evaluates it, and only it."""
    run = copy_of(tiny_run, tmp_path / "run")
    found = train(run)
    assert found.step == step_of(run.folder) == tiny_run.preset.steps
    said = capsys.readouterr().out
    assert said.count(": NE ") == 1
    assert "Nothing left to do" in said
    (told,) = re.findall(rf"Step {found.step}: NE ([\d.]+) %", made.said)
    assert found.ne == pytest.approx(float(told), abs=0.06)


def test_a_loss_that_is_not_a_number_says_what_to_do(tiny_run: TinyRun, tmp_path: Path) -> None:
    """A learning rate that is none: the preset is named, and what to look at."""
    small = tiny()
    wild = replace(small.model, optimiser=replace(small.model.optimiser, learning_rate=float("nan")))
    with pytest.raises(TrainingError, match=r"no longer a number.*learning rate of preset tiny"):
        train(Run(tmp_path / "run", tiny_run.dataset, replace(small, model=wild)))


def damaged(dataset: Dataset, folder: Path, split: str) -> Dataset:
    """A copy of a data set with a shard that was written over after it was made."""
    shutil.copytree(dataset.folder, folder)
    shard = max(folder.glob(f"{split}-*"), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-100] + bytes(100))
    return load(folder)


def test_a_damaged_record_says_what_to_delete(tiny_run: TinyRun, tmp_path: Path) -> None:
    """Its data set is named, when training reads it and when export takes golden requests from it."""
    message = rf"{tmp_path}/\w+: a record is damaged.*Delete the folder"
    with pytest.raises(DataError, match=message):
        train(Run(tmp_path / "run", damaged(tiny_run.dataset, tmp_path / "a", "train"), choose("tiny", steps=20)))
    with pytest.raises(DataError, match=message):
        export(tiny_run.best, tiny_run.preset, damaged(tiny_run.dataset, tmp_path / "b", "eval"), tmp_path / "staging")


def test_a_folder_that_cannot_be_written_is_named(tiny_run: TinyRun, tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "run").write_text("")
    with pytest.raises(TrainingError, match=rf"{tmp_path}/run: cannot be written"):
        train(Run(tmp_path / "run", tiny_run.dataset, tiny()))


def test_patience_ends_a_run_and_more_of_it_goes_on(
    tiny_run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that never changes: the run ends at its second evaluation and stays ended, until patience is longer."""
    small = choose("tiny", steps=9)
    still = replace(
        small.model,
        optimiser=replace(small.model.optimiser, learning_rate=0.0),
        network=replace(small.model.network, batch_norm_momentum=1.0),
    )
    run = Run(tmp_path / "run", tiny_run.dataset, replace(small, model=still, patience=1))
    first = train(run)
    assert "Ended early, at step 6 of 9: NE was not lowered in the last 1 evaluation(s)" in capsys.readouterr().out
    assert step_of(run.folder) == 6
    assert train(run) == first
    assert "ended early, at step 6 of 9" in capsys.readouterr().out
    patient = replace(run.preset, patience=3)
    assert patient.fingerprint == run.preset.fingerprint
    train(replace(run, preset=patient))
    assert step_of(run.folder) == 9


def test_a_checkpoint_of_another_network_is_named_with_the_first_difference(tiny_run: TinyRun, tmp_path: Path) -> None:
    """When training would go on from it, and when it would be exported."""
    wider = replace(tiny_run.preset.model.network, neck=32)
    other = replace(tiny_run.preset, model=replace(tiny_run.preset.model, network=wider))
    run = copy_of(tiny_run, tmp_path / "run", other)
    different = r"model.ckpt-\d: the checkpoint belongs to another network: \S+ is of shape \S+, the preset's is \S+"
    with pytest.raises(TrainingError, match=rf"{run.folder}.*{different}.*Delete {run.folder}"):
        train(run)
    with pytest.raises(ExportError, match=different):
        export(tiny_run.best, other, tiny_run.dataset, tmp_path / "staging")


@pytest.mark.parametrize("suffix", ["data-00000-of-00001", "index"])
def test_a_checkpoint_that_was_cut_short_is_named(tiny_run: TinyRun, tmp_path: Path, suffix: str) -> None:
    """Its weights, or its index: training says which checkpoint it is, and what to delete."""
    run = copy_of(tiny_run, tmp_path / "run")
    for path in run.folder.glob(f"model.ckpt-*.{suffix}"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TrainingError, match=rf"run/model.ckpt-\d+: the checkpoint is damaged.*Delete {run.folder}"):
        train(run)
