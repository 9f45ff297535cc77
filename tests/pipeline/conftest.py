"""A run that was trained to its end, which tests share. They may add files to it, and change none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.data.prepare import prepare
from pipeline.data.records import Dataset
from pipeline.training.checkpoints import Checkpoint
from pipeline.training.presets import Preset, tiny
from pipeline.training.runs import Run, open_run
from pipeline.training.train import train


@dataclass(frozen=True)
class TinyRun:
    home: Path
    run: Run
    best: Checkpoint

    @property
    def dataset(self) -> Dataset:
        return self.run.dataset

    @property
    def preset(self) -> Preset:
        return self.run.preset

    @property
    def photos(self) -> Path:
        """The drawn garments, as a folder of annotated photos."""
        return self.home / "data" / "drawn" / f"drawn-{self.preset.drawn}"


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    home = tmp_path_factory.mktemp("tiny")
    run = open_run(home / "runs", prepare(None, home / "data", drawn=tiny().drawn), tiny())
    return TinyRun(home, run, train(run))
