"""The gate: a candidate that is not what it must be is refused, by an exit code of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from model.metrics import NE
from pipeline.data.records import Dataset
from pipeline.errors import ContractError, ExportError, ParityError, ScoreError
from pipeline.evaluation.saved_model import evaluate
from pipeline.release import gate as validate
from pipeline.release import golden
from pipeline.release.export import Candidate, export
from pipeline.release.store import ModelStore, Version, write_checksums
from pipeline.training.hooks import Checkpoint
from seamline_client.contract import DEFAULT, MODEL_NAME, UINT8
from tests.pipeline.conftest import TinyRun


@dataclass(frozen=True)
class Trained:
    dataset: Dataset
    best: Candidate
    worse: Candidate


@pytest.fixture(scope="module")
def trained(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny run, and candidates of two of its checkpoints: the better one, and the other."""
    home = tmp_path_factory.mktemp("home")
    run, dataset = tiny_run.best.run, tiny_run.dataset
    candidates = []
    for step in (3, 6):
        checkpoint = Checkpoint(run, str(run / f"model.ckpt-{step}"), step, tiny_run.best.metrics)
        candidates.append(export(checkpoint, tiny_run.preset, dataset, home / f"staging-{step}"))
    candidates.sort(key=lambda candidate: evaluate(candidate.folder, dataset)[NE])
    return Trained(dataset, *candidates)


@pytest.fixture
def candidate(trained: Trained, tmp_path: Path) -> Candidate:
    """A copy that a test may spoil."""
    folder = shutil.copytree(trained.best.folder, tmp_path / "staged" / trained.best.folder.name)
    return Candidate(Path(folder), trained.best.metrics)


def test_a_good_candidate_is_proven_and_published_whole(trained: Trained, candidate: Candidate, tmp_path: Path) -> None:
    """Five kinds of proof; the golden answers differ by next to nothing; what is published verifies."""
    proofs = validate.validate(candidate, None, trained.dataset)
    assert [proof.what for proof in proofs] == [
        "signatures",
        "answers",
        "score",
        "server",
        "golden requests, grpc",
        "golden requests, rest",
    ]
    store = ModelStore(tmp_path / "models", MODEL_NAME)
    (tmp_path / "models").mkdir()
    assert store.publish(candidate.folder).number == 1


def rename_output(path: Path) -> None:
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    outputs = saved.meta_graphs[0].signature_def[DEFAULT.key].outputs
    outputs["x"].CopyFrom(outputs.pop("pred_x_ratio"))
    path.write_bytes(saved.SerializeToString())


def change_dtype(path: Path) -> None:
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    saved.meta_graphs[0].signature_def[UINT8.key].inputs[UINT8.input.name].dtype = 1
    path.write_bytes(saved.SerializeToString())


def drop_door(path: Path) -> None:
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    del saved.meta_graphs[0].signature_def[UINT8.key]
    path.write_bytes(saved.SerializeToString())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rename_output, "serving_default: outputs are"),
        (change_dtype, r"images_uint8 is float .* expected uint8"),
        (drop_door, "has the signatures"),
    ],
)
def test_a_wrong_signature_is_refused_by_name(
    trained: Trained, candidate: Candidate, spoil: Callable[[Path], None], message: str
) -> None:
    """Read back from the SavedModel: another name, another dtype, a door too few."""
    spoil(candidate.folder / "saved_model.pb")
    write_checksums(candidate.folder)
    with pytest.raises(ContractError, match=message) as refused:
        validate.validate(candidate, None, trained.dataset)
    assert refused.value.exit_code == 10


def test_an_answer_that_is_not_the_estimators_is_refused(trained: Trained, candidate: Candidate) -> None:
    """One golden number off by more than the tolerance, and no more than that."""
    expected = golden.Golden.load(candidate.folder)
    off = expected.outputs["pred_x_ratio"].copy()
    off[0, 0] += 2 * golden.TOLERANCE
    shutil.rmtree(candidate.folder / golden.FOLDER)
    golden.Golden(expected.files, expected.pixels, {**expected.outputs, "pred_x_ratio": off}).save(candidate.folder)
    write_checksums(candidate.folder)
    with pytest.raises(ParityError, match="pred_x_ratio differs from what the Estimator predicted") as refused:
        validate.validate(candidate, None, trained.dataset)
    assert refused.value.exit_code == 11


def test_a_worse_score_is_refused_with_both_numbers_unless_forced(
    trained: Trained, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published version is the better checkpoint of the run, the candidate the other one."""
    monkeypatch.setattr(validate, "NE_TOLERANCE", 0.0)
    published = Version(1, candidate.folder)
    worse, better = (evaluate(each.folder, trained.dataset)[NE] for each in (trained.worse, candidate))
    with pytest.raises(ScoreError, match=rf"NE {worse:.2f} %.*version 1 has {better:.2f} %") as refused:
        validate.validate(trained.worse, published, trained.dataset)
    assert refused.value.exit_code == 12
    assert validate.validate(trained.worse, published, trained.dataset, force=True)


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index"])
def test_a_changed_or_missing_file_is_refused(trained: Trained, candidate: Candidate, file: str) -> None:
    """One flipped byte; a variables folder that is not there."""
    path = candidate.folder / file
    if path.name == "saved_model.pb":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        shutil.rmtree(path.parent)
    with pytest.raises(ExportError, match=file.split("/")[0]) as refused:
        validate.validate(candidate, None, trained.dataset)
    assert refused.value.exit_code == 13


def test_nan_is_never_close_enough() -> None:
    """An answer that is not a number is refused, not compared away."""
    expected: golden.Arrays = {
        "pred_x_ratio": np.zeros((1, 24), np.float32),
        "pred_y_ratio": np.zeros((1, 24), np.float32),
        "pred_v": np.zeros((1, 24), np.int64),
    }
    answer: golden.Arrays = {**expected, "pred_y_ratio": np.full((1, 24), np.nan, np.float32)}
    with pytest.raises(ParityError, match="pred_y_ratio"):
        golden.difference(expected, answer, "here")
