"""Versions that were exported before models described themselves and had scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from model.metrics import NE
from pipeline.evaluation.saved_model import evaluate
from pipeline.release import card, versions
from pipeline.release.golden import FOLDER
from pipeline.release.store import write_checksums
from seamline_client.contract import DESCRIBE, DESCRIPTION, PRED_SCORE, SIGNATURES
from tests.homes import Seamline
from tests.release.conftest import Trained
from tests.release.test_gate import ReachedTheServer, prove
from tests.release.world import World


@pytest.fixture
def old(trained: Trained, tmp_path: Path) -> Iterator[World]:
    """Version 1, which serves, was exported under version 1 of the contract; version 2 was not."""
    world = World(tmp_path, served=False)
    for make in (as_before, lambda folder: None):
        with world.store.stage() as staging:
            folder = Path(shutil.copytree(trained.best.folder, staging / "1"))
            make(folder)
            write_checksums(folder)
            world.releases.publish(folder)
    world.releases.promote(1)
    with world.serving():
        yield world


def as_before(folder: Path) -> None:
    """Takes out what version 2 of the contract added."""
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    del signatures[DESCRIBE.key]
    for key in SIGNATURES:
        signatures[key].outputs.pop(PRED_SCORE.name, None)
    path.write_bytes(saved.SerializeToString())
    golden = folder / FOLDER / "golden.npz"
    with np.load(golden) as archive:
        arrays = {name: each for name, each in archive.items() if name not in (PRED_SCORE.name, DESCRIPTION.name)}
    np.savez(golden, **arrays)
    warmup = folder / "assets.extra" / "tf_serving_warmup_requests"
    warmup.unlink()
    made = json.loads((folder / card.CARD).read_text())
    del made["contract"], made["metrics"]["ece"]
    (folder / card.CARD).write_text(json.dumps(made))


def test_they_go_on_being_served_verified_evaluated_asked_and_compared_with(
    trained: Trained, old: World, tmp_path: Path
) -> None:
    """They answer as they always did; a new candidate is proven against them, and replaces them."""
    photo = (old.store.find(1).folder / FOLDER / "0.jpg").read_bytes()
    grpc, rest = f"127.0.0.1:{old.grpc_port}", f"127.0.0.1:{old.rest_port}"
    answers = {}
    for number in (1, 2):
        old.releases.promote(number)
        for options in (["--target", grpc], ["--target", rest, "--rest"]):
            assert f"version {number} answers as trained" in Seamline(tmp_path).pipeline("verify", *options)
        with old.client("grpc") as client:
            assert (DESCRIBE.key in client.metadata().signatures) == (number == 2)
            answers[number] = client.predict(photo).pixels
    np.testing.assert_allclose(answers[1], answers[2], atol=1e-3)
    version = old.store.find(1)
    assert evaluate(version.folder, trained.dataset)[NE] == pytest.approx(trained.best.ne, rel=1e-5)
    assert card.ne(version.folder) == trained.best.ne
    assert len(versions.rows(old.releases)) == 2
    with pytest.raises(ReachedTheServer):
        prove(trained, trained.best, version)
