"""A run that was trained once without being disturbed, and the process that runs the pipeline to be killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.release.store import ModelStore
from pipeline.training.hooks import BestCheckpoint, Checkpoint
from pipeline.training.runs import latest_run
from seamline_client.contract import MODEL_NAME
from tests.faults.victims import Victims

TRAIN, EXPORT = "train --preset tiny", "export"


@dataclass(frozen=True)
class Home:
    """What SEAMLINE_HOME names."""

    folder: Path

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.folder / "models", MODEL_NAME)

    @property
    def best(self) -> Checkpoint:
        best = BestCheckpoint(latest_run(self.folder / "runs").folder).current
        assert best
        return best

    def another(self, folder: Path, *shared: str) -> Home:
        """A home in a new folder that has those of our folders."""
        folder.mkdir(parents=True)
        for name in shared:
            (folder / name).symlink_to(self.folder / name)
        return Home(folder)


@dataclass(frozen=True)
class Trained:
    """After `make train export PRESET=tiny`, which took so many seconds once the data was there, and what it said."""

    home: Home
    seconds: float
    said: str


@pytest.fixture(scope="session")
def pipeline() -> Iterator[Victims]:
    """`run(home, command, ...)` is `python -m pipeline <command>` in SEAMLINE_HOME=home."""
    with Victims("tests.faults.jobs:pipeline", prepare="tests.faults.jobs:import_stages") as victims:
        yield victims


@pytest.fixture(scope="session")
def trained(pipeline: Victims, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    home = Home(tmp_path_factory.mktemp("faults") / "home")
    assert pipeline.run(home.folder, "data --preset tiny").code == 0
    started = time.monotonic()
    ended = pipeline.run(home.folder, TRAIN, EXPORT)
    assert ended.code == 0, ended.said
    return Trained(home, time.monotonic() - started, ended.said)
