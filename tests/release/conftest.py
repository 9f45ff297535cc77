"""Worlds for the tests of what answers, and candidates for those of the gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from model.metrics import NE
from pipeline.data.records import Dataset
from pipeline.release.export import Candidate, export
from pipeline.training.checkpoints import Checkpoint
from tests.homes import TinyRun
from tests.release.world import World


@dataclass(frozen=True)
class Trained:
    dataset: Dataset
    best: Candidate
    worse: Candidate


@pytest.fixture(scope="session")
def trained(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny run, and candidates of two of its checkpoints: the better one, and the other."""
    home = tmp_path_factory.mktemp("home")
    run, dataset = tiny_run.best.run, tiny_run.dataset
    candidates = []
    for step in (3, 6):
        checkpoint = Checkpoint(run, str(run / f"model.ckpt-{step}"), step, tiny_run.best.metrics)
        candidates.append(export(checkpoint, tiny_run.preset, dataset, home / f"staging-{step}"))
    candidates.sort(key=lambda candidate: candidate.metrics[NE])
    return Trained(dataset, *candidates)


@pytest.fixture
def offline(tmp_path: Path) -> World:
    """Nothing is published, and no server can be run: versions are empty folders."""
    return World(tmp_path, served=False)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Version 1 was exported and is served."""
    world = World(tmp_path, served=True)
    world.export()
    with world.serving():
        yield world
