"""A published version of the tiny network: how fast a network is does not depend on what it has learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.signature import MODEL_NAME
from pipeline.config import tiny
from pipeline.export import export
from pipeline.prepare import prepare
from pipeline.store import ModelStore
from pipeline.train import train


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SEAMLINE_HOME with version 1, as `make train export` leaves it."""
    folder = tmp_path_factory.mktemp("home")
    small = tiny()
    model = replace(small.model, optimiser=replace(small.model.optimiser, steps=2, warmup_steps=1))
    preset = replace(small, model=model, evaluate_every=2)
    dataset = prepare(None, preset.name, folder / "data")
    store = ModelStore(folder / "models", MODEL_NAME)
    with store.stage() as staging:
        store.publish(export(train(dataset, preset, folder / "run"), preset, dataset, staging).folder)
    return folder
