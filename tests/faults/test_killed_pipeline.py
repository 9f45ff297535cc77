"""Training, export, proof and publishing under SIGKILL, on a full disk and on one that cannot be written."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.training.presets import tiny
from pipeline.training.train import step_of
from tests.faults.conftest import EXPORT, TRAIN, Trained
from tests.faults.victims import Victims
from tests.faults.whole import full, leftovers, read_only, small_disk, versions

NOISE = 0.5
"""Percentage points of NE: of the same weights, up to the order of float sums. A run draws its first weights and its
pictures by its seed; one that goes on from a checkpoint sees other pictures after it."""

STEPS_OF_EXPORT = [
    "open .*saved_model.pb",
    "open .*golden.npz",
    "rename .*SHA256SUMS",
    "call golden.replay",
    r"rename .*/keypoints/\d+$",
    "rename .*models.config",
]
"""Before: doors are renamed, golden requests, checksums; amid the proof by a server; before it is seen; before it is
served."""


def servers_of(folder: Path) -> list[psutil.Process]:
    """Processes that name the folder on their command line."""
    return [
        process
        for process in psutil.process_iter()
        if process.status() != psutil.STATUS_ZOMBIE and any(str(folder) in each for each in _command(process))
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_until_gone(folder: Path) -> None:
    """The kernel ends the children of what was killed, in its own time."""
    deadline = time.monotonic() + 20
    while found := servers_of(folder):
        assert time.monotonic() < deadline, [_command(process) for process in found]
        time.sleep(0.05)


def test_an_export_that_is_killed_leaves_whole_versions_and_no_server(
    trained: Trained, pipeline: Victims, tmp_path: Path, soak: bool
) -> None:
    """At the steps above, and with --soak at every change of a file: then the next export cleans up and publishes."""
    home = trained.home.another(tmp_path / "home", "data", "runs")
    highest = 0
    where: list[dict[str, Any]] = [{"match": each} for each in STEPS_OF_EXPORT]
    if soak:
        steps = pipeline.run(home.folder, EXPORT).steps
        where += [{"at": at} for at, step in enumerate(steps, 1) if not step.startswith("call") and "models" in step]
    for each in where:
        before = versions(home.store)
        ended = pipeline.run(home.folder, EXPORT, **each)
        assert ended.killed, f"{each}: {ended.said}"
        after = versions(home.store)
        assert len(after.keys() - before.keys()) <= 1, each
        assert all(number > highest for number in after.keys() - before.keys()), each
        assert all(before[number] == after[number] for number in before.keys() & after.keys()), each
        # What the killed one before this left was swept when this one began.
        assert len(leftovers(home.store)) <= 2, each
        wait_until_gone(home.folder)
        last = home.store.base / ".last_version"
        highest = max([highest, *after, int(last.read_text()) if last.is_file() else 0])
    ended = pipeline.run(home.folder, EXPORT)
    assert ended.code == 0, ended.said
    assert max(versions(home.store)) == highest + 1
    assert leftovers(home.store) == []


def scores(said: str) -> dict[int, float]:
    """NE by step, as training tells them."""
    return {int(step): float(ne) for step, ne in re.findall(r"Step (\d+): NE ([\d.]+) %", said)}


def test_training_that_is_killed_between_a_checkpoint_and_its_evaluation_loses_neither(
    trained: Trained, pipeline: Victims, tmp_path: Path
) -> None:
    """Both checkpoints of the run are lost sight of in turn; the next process evaluates them, and the best is kept."""
    home = trained.home.another(tmp_path / "home", "data")
    assert pipeline.run(home.folder, TRAIN, match="call hooks.export").killed
    second = pipeline.run(home.folder, TRAIN, match="call hooks.export", nth=2)
    assert second.killed
    third = pipeline.run(home.folder, TRAIN)
    assert third.code == 0, third.said
    assert "Nothing left to do" in third.said
    found = {**scores(second.said), **scores(third.said)}
    assert found.keys() == {3, 6}
    assert found[3] == pytest.approx(scores(trained.said)[3], abs=NOISE)
    assert home.best.ne == pytest.approx(min(found.values()), abs=0.1)


def test_training_that_is_asked_to_stop_amid_an_evaluation_says_so(
    trained: Trained, pipeline: Victims, tmp_path: Path
) -> None:
    """Estimator then ends as if it was done; we end with 130, and with the checkpoint that was evaluated."""
    home = trained.home.another(tmp_path / "home", "data")
    ended = pipeline.run(home.folder, TRAIN, match="call hooks.export", number=signal.SIGTERM)
    assert ended.code == 130, ended.said
    assert "Stopped, as asked" in ended.said
    assert home.best.step == step_of(home.best.run) == 3


def test_the_whole_job_killed_at_random_moments_ends_where_it_would_have(
    trained: Trained, pipeline: Victims, tmp_path: Path, soak: bool
) -> None:
    """Train, export, publish, with SIGKILL at seeded moments: the last step, the NE and a whole store in the end."""
    chance = random.Random(20)
    for round_ in range(20 if soak else 1):
        home = trained.home.another(tmp_path / f"home{round_}", "data")
        for _ in range(1 if soak else 2):
            pipeline.run(home.folder, TRAIN, EXPORT, after=chance.uniform(0, trained.seconds))
            versions(home.store)
        wait_until_gone(home.folder)
        before = versions(home.store)
        ended = pipeline.run(home.folder, TRAIN, EXPORT)
        assert ended.code == 0, ended.said
        assert step_of(home.best.run) == tiny().steps
        assert home.best.ne <= scores(trained.said)[3] + NOISE
        after = versions(home.store)
        assert len(after) == len(before) + 1
        assert leftovers(home.store) == []


def test_drawing_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """The processes that draw end with the one that started them. They are known by this test's name."""

    def drawing() -> list[psutil.Process]:
        return [
            each for each in psutil.process_iter() if "spawn_main" in str(_command(each)) and _is_of_this_test(each)
        ]

    with Victims("tests.faults.jobs:draw", tmp_path / "drawn") as victims:
        assert victims.run().killed
        deadline = time.monotonic() + 20
        while left := drawing():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def _is_of_this_test(process: psutil.Process) -> bool:
    name = "PYTEST_CURRENT_TEST"
    try:
        return process.environ().get(name) == os.environ[name]
    except psutil.Error:
        return False


def test_a_full_disk_stops_an_export_with_5_and_leaves_nothing(
    trained: Trained, pipeline: Victims, tmp_path: Path
) -> None:
    """Room for nothing, for part of the SavedModel, of the golden requests or of the warm-up; then there is enough."""
    home = trained.home.another(tmp_path / "home", "data", "runs")
    with small_disk(home.store.base, 40_000):
        for free in (0, 300_000, 1_200_000, 3_000_000):
            with full(home.store.base, free):
                ended = pipeline.run(home.folder, EXPORT)
            assert ended.code == 5, f"{free} bytes free: {ended.said}"
            assert "Error: " in ended.said
            assert "No space left on device" in ended.said
            assert "Traceback" not in ended.said
            assert versions(home.store) == {}
        ended = pipeline.run(home.folder, EXPORT)
        assert ended.code == 0, ended.said
        assert len(versions(home.store)) == 1
        assert leftovers(home.store) == []


def test_a_store_that_cannot_be_written_is_named(trained: Trained, pipeline: Victims, tmp_path: Path) -> None:
    """Read-only models: export ends with 5 at once, versions are still listed, and nothing has changed."""
    home = trained.home.another(tmp_path / "home", "data", "runs")
    with small_disk(home.store.base, 1000):
        assert pipeline.run(home.folder, "versions").code == 0
        with read_only(home.store.base):
            for command in (EXPORT, "serve"):
                ended = pipeline.run(home.folder, command)
                assert ended.code == {EXPORT: 5, "serve": 6}[command], ended.said
                assert str(home.store.base) in ended.said
                assert "Traceback" not in ended.said
            assert "Read-only file system" in pipeline.run(home.folder, EXPORT).said
            assert pipeline.run(home.folder, "versions").code == 0
        assert list(home.store.base.iterdir()) == []
