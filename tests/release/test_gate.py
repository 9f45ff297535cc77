"""The gate: a candidate that is not what it must be is refused, by an exit code of its own."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from model.metrics import ECE, NE
from pipeline.background.ports import free_port
from pipeline.errors import ChecksumError, ContractError, ParityError, ScoreError, ServingError
from pipeline.release import card, gate, golden
from pipeline.release.export import Candidate
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, Version, write_checksums
from pipeline.serving import process
from pipeline.serving.server import Server
from seamline_client import keypoints as sets
from seamline_client.contract import (
    BYTES,
    CONTRACT_VERSION,
    DEFAULT,
    DESCRIBE,
    DESCRIPTION,
    MODEL_NAME,
    PRED_SCORE,
    UINT8,
)
from tests.release.conftest import Trained
from tests.waiting import until


class ReachedTheServer(Exception):
    """Every proof before that of the server has passed."""


def no_server(base: Path) -> AbstractContextManager[Server]:
    raise ReachedTheServer


def prove(trained: Trained, candidate: Candidate, serving: Version | None = None, *, force: bool = False) -> None:
    """Every proof but that of the server, which ends with ReachedTheServer."""
    gate.prove(candidate, serving, trained.dataset, no_server, force=force)


@pytest.fixture
def candidate(trained: Trained, tmp_path: Path) -> Candidate:
    """A copy that a test may spoil."""
    folder = shutil.copytree(trained.best.folder, tmp_path / "staged" / trained.best.folder.name)
    return replace(trained.best, folder=Path(folder))


def test_a_good_candidate_is_proven_step_by_step_and_published_whole(
    trained: Trained, candidate: Candidate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each proof is a line of its own; the server may be any executable; what is published verifies."""
    executable = tmp_path / "tensorflow_model_server"
    executable.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/flags\nexec {sys.executable} -m model_server "$@"\n')
    executable.chmod(0o755)

    gate.prove(
        candidate,
        None,
        trained.dataset,
        lambda base: process.throw_away(process.program(executable), base, MODEL_NAME, base / "server.log"),
        force=False,
    )
    said = [line.split(":")[0].strip() for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "Checksums",
        "Signatures",
        "Its answers against Estimator.predict's",
        "Its score against the version that serves",
        "A server of it",
        "Golden requests over gRPC",
        "Golden requests over REST",
    ]
    assert "--grpc_max_threads=" in (tmp_path / "flags").read_text()
    assert ModelStore(tmp_path / "models", MODEL_NAME).publish(candidate.folder).number == 1


def test_an_executable_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=f"TENSORFLOW_MODEL_SERVER is {tmp_path}"):
        process.program(tmp_path)
    program = tmp_path / "model_server"
    program.write_text("for another kind of machine")
    program.chmod(0o755)
    with pytest.raises(ServingError, match=f"^{program}: no server can be started: Exec format error$"):
        process.start((str(program),), (), tmp_path / "server.log", free_port(), free_port())
    with process.throw_away((str(program),), tmp_path, MODEL_NAME, tmp_path / "server.log") as server:
        until(server.ended)
    assert (tmp_path / "server.log").read_text() == f"{program}: Exec format error\n"


def test_the_card_has_what_was_measured_and_nothing_else(trained: Trained, candidate: Candidate) -> None:
    """A category without a photo has no error, rather than one of 0; mean positions are there to compare with."""
    made = json.loads((candidate.folder / card.CARD).read_text())
    measured = {name for name in made["metrics"] if name.removeprefix("ne/") in trained.dataset.categories["train"]}
    assert measured == {f"ne/{category}" for category in trained.dataset.categories["eval"]}
    assert made["mean_position_ne"] == candidate.mean_position_ne > 0
    assert card.ne(candidate.folder) == candidate.metrics[NE]


@pytest.mark.parametrize(("ne", "warns"), [(20.0, False), (45.0, True), (60.0, True), (math.nan, True)])
def test_a_model_that_is_no_better_than_mean_positions_is_warned_of(ne: float, warns: bool) -> None:
    """Both numbers are in the warning; a score that is not a number is no better either."""
    warning = Candidate(Path(), {NE: ne}, 45.0).warning
    assert bool(warning) == warns
    if warning:
        assert f"{ne:.2f} %" in warning
        assert "45.00 %" in warning


def rename_output(signatures: Any) -> None:
    outputs = signatures[DEFAULT.key].outputs
    outputs["x"].CopyFrom(outputs.pop("pred_x_ratio"))


def change_dtype(signatures: Any) -> None:
    signatures[UINT8.key].inputs[UINT8.input.name].dtype = 1


def drop_signature(signatures: Any) -> None:
    del signatures[UINT8.key]


def drop_description(signatures: Any) -> None:
    del signatures[DESCRIBE.key]


def drop_score(signatures: Any) -> None:
    del signatures[BYTES.key].outputs[PRED_SCORE.name]


def add_score(signatures: Any) -> None:
    signatures[DEFAULT.key].outputs[PRED_SCORE.name].CopyFrom(signatures[UINT8.key].outputs[PRED_SCORE.name])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rename_output, "serving_default: outputs: found"),
        (change_dtype, r"input images_uint8: found \('float32'.* expected \('uint8'"),
        (drop_signature, "signatures: found"),
        (drop_description, "signatures: found"),
        (drop_score, "serving_bytes: outputs: found"),
        (add_score, "serving_default: outputs: found"),
    ],
)
def test_a_wrong_signature_is_refused_by_name(
    trained: Trained, candidate: Candidate, spoil: Callable[[Any], None], message: str
) -> None:
    """Read back from the SavedModel: another name or dtype, a signature too few, an output too few or too many."""
    path = candidate.folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    spoil(saved.meta_graphs[0].signature_def)
    path.write_bytes(saved.SerializeToString())
    write_checksums(candidate.folder)
    with pytest.raises(ContractError, match=message) as refused:
        prove(trained, candidate)
    assert refused.value.exit_code == 10


@pytest.mark.parametrize("off", [2 * golden.TOLERANCE, math.nan])
def test_an_answer_that_is_not_the_estimators_is_refused(trained: Trained, candidate: Candidate, off: float) -> None:
    """One golden number off by more than the tolerance, or no number, which is never close enough."""
    expected = golden.Golden.load(candidate.folder)
    expected.outputs["pred_x_ratio"][0, 0] += off
    shutil.rmtree(candidate.folder / golden.FOLDER)
    expected.save(candidate.folder)
    write_checksums(candidate.folder)
    with pytest.raises(ParityError, match="pred_x_ratio differs from what the Estimator predicted") as refused:
        prove(trained, candidate)
    assert refused.value.exit_code == 11


def test_a_score_or_a_description_that_is_another_is_refused(trained: Trained) -> None:
    """A score may be off by ten times as much as a ratio, a description not by a letter."""
    outputs = golden.Golden.load(trained.best.folder).outputs
    score, description = outputs[PRED_SCORE.name], outputs[DESCRIPTION.name]
    near, far = (score + np.float32(off) for off in (5 * golden.TOLERANCE, 2 * golden.SCORE_TOLERANCE))
    assert golden.difference({PRED_SCORE.name: score}, {PRED_SCORE.name: near}, "here") > golden.TOLERANCE
    with pytest.raises(ParityError, match="here: pred_score differs from what the Estimator predicted"):
        golden.difference({PRED_SCORE.name: score}, {PRED_SCORE.name: far}, "here")
    with pytest.raises(ParityError, match="here: 5 of 5 values of description are not what they were at export"):
        golden.difference({DESCRIPTION.name: description}, {DESCRIPTION.name: description + b" "}, "here")


def test_a_version_says_what_it_is(trained: Trained, candidate: Candidate) -> None:
    """To each of any strings the same JSON, with the set of keypoints and what is on the card; not to very many."""
    describe = tf.saved_model.load(str(candidate.folder)).signatures[DESCRIBE.key]
    answered = describe(query=tf.constant(["", "what?", "\0"]))[DESCRIPTION.name].numpy()
    assert answered.shape == (3,)
    (said,) = set(answered.tolist())
    with pytest.raises(tf.errors.InvalidArgumentError, match="At most"):
        describe(query=tf.fill([257], ""))
    described, made = json.loads(said), json.loads((candidate.folder / card.CARD).read_text())
    same = {name: made[name] for name in ("contract", "keypoints", "step", "made", "metrics")}
    assert described == {**same, "preset": made["preset"]["name"]}
    assert described["contract"] == CONTRACT_VERSION
    assert sets.read(described["keypoints"]) == trained.dataset.keypoints
    assert 0 <= described["metrics"][ECE] <= 1
    assert described["metrics"][NE] == candidate.ne


def test_a_worse_score_than_that_of_what_serves_is_refused_unless_forced(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both numbers and the version. What was forced and rolled back is newer, and is not what is compared with.

    A score that is no number, as no point could be counted, is worse than any.
    """
    monkeypatch.setattr(gate, "NE_TOLERANCE", 0.0)
    store = ModelStore(tmp_path / "models", MODEL_NAME)
    releases = Releases(store, None)
    for each in (trained.best, trained.worse):
        with store.stage() as staging:
            folder = Path(shutil.copytree(each.folder, staging / "1"))
            releases.promote(releases.publish(folder).number)
    worse, better = (each.metrics[NE] for each in (trained.worse, trained.best))
    with pytest.raises(ReachedTheServer):
        prove(trained, trained.worse, releases.serving())
    releases.rollback()
    with pytest.raises(ScoreError, match=rf"NE {worse:.2f} %.*version 1, which serves, has {better:.2f} %") as refused:
        prove(trained, trained.worse, releases.serving())
    assert refused.value.exit_code == 12
    with pytest.raises(ScoreError, match="NE nan %"):
        prove(trained, replace(trained.best, metrics={}), releases.serving())
    with pytest.raises(ReachedTheServer):
        prove(trained, trained.worse, releases.serving(), force=True)


def test_a_file_that_is_not_what_was_written_is_refused(trained: Trained, candidate: Candidate) -> None:
    shutil.rmtree(candidate.folder / "variables")
    with pytest.raises(ChecksumError, match="variables") as refused:
        prove(trained, candidate)
    assert refused.value.exit_code == 13
