"""The gate: proof that a candidate is the contract and good enough, and that a server answers with it as trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import tensorflow as tf

from model.metrics import NE
from pipeline.console import step
from pipeline.damage import UNREADABLE, reason
from pipeline.data.records import Dataset
from pipeline.errors import ContractError, ParityError, ScoreError
from pipeline.evaluation.saved_model import evaluate
from pipeline.release import card
from pipeline.release.export import Candidate
from pipeline.release.golden import SCORE_TOLERANCE, TOLERANCE, Golden, difference, replay
from pipeline.release.signatures import check_signatures
from pipeline.release.store import Version, verify_checksums
from pipeline.serving.server import Server, wait_until_available
from seamline_client import PredictClient
from seamline_client.contract import ANSWERS, MODEL_NAME, SIGNATURES, TAG
from seamline_client.errors import ClientError

LOAD_SECONDS = 900.0
"""A GPU may compile the server's kernels first, for minutes. A server that fails is known at once."""
NE_TOLERANCE = 0.5
"""How much worse than the version that serves, in percentage points of NE, a candidate may score."""
FORCED = "--force, or make's FORCE=1, publishes it all the same"

Serve = Callable[[Path], AbstractContextManager[Server]]
"""Starts a throw-away server of the newest version below a folder."""


def prove(candidate: Candidate, serving: Version | None, dataset: Dataset, serve: Serve, *, force: bool) -> None:
    """Proves a candidate step by step, saying what it does, and compares it with the version that serves now.

    Raises ChecksumError, ContractError, ScoreError, ParityError or ServingError for what is not as it must be,
    ExportError where the version that serves cannot be loaded, DataError for a damaged data set. With `force` a worse
    score passes.
    """
    folder = candidate.folder
    with step("Checksums") as found:
        verify_checksums(folder)
        found("every file is what was written")
    with step("Signatures") as found:
        check_signatures(folder, len(dataset.keypoints))
        found(f"{', '.join(ANSWERS)} are the contract")
    golden = Golden.load(folder)
    with step("Its answers against Estimator.predict's") as found:
        largest = check_answers(folder, golden)
        found(f"they differ by at most {largest:.1g} (allowed: {TOLERANCE:g}, of scores {SCORE_TOLERANCE:g})")
    with step("Its score against the version that serves") as found:
        found(_compare(candidate, serving, dataset, force=force))
    with step("A server of it") as found, serve(folder.parent) as server:
        wait_until_available(server, MODEL_NAME, LOAD_SECONDS, version=int(folder.name))
        found("has loaded it and answered its warm-up requests")
        for transport, target in (("gRPC", server.grpc_target), ("REST", server.rest_target)):
            with step(f"Golden requests over {transport}") as found:
                largest = _replay(golden, target, transport.lower())
                photos = f"{len(golden.files)} photos through {len(SIGNATURES)} signatures"
                found(f"{photos} answered as trained, differences at most {largest:.1g}; it says what it is")


def _compare(candidate: Candidate, serving: Version | None, dataset: Dataset, *, force: bool) -> str:
    scores = f"NE {candidate.ne:.2f} % on {dataset.count('eval')} photos"
    if serving is None:
        return f"{scores}; no version serves yet"
    if card.keypoints(serving.folder).keypoints != dataset.keypoints.keypoints:
        if force:
            return f"{scores}; version {serving.number}, which serves, answers other keypoints"
        raise ScoreError(
            f"The candidate has other keypoints than version {serving.number}, which serves: callers of {MODEL_NAME} "
            "would get points that they do not expect. Give it a SEAMLINE_HOME of its own (in Docker a "
            f"COMPOSE_PROJECT_NAME). {FORCED}."
        )
    against = evaluate(serving.folder, dataset).get(NE, math.nan)
    scores += f"; version {serving.number}, which serves, has {against:.2f} %"
    # Written so that NaN is worse than anything.
    if not (force or candidate.ne <= against + NE_TOLERANCE):
        raise ScoreError(f"The candidate is worse: {scores}; at most {NE_TOLERANCE} more passes. {FORCED}.")
    return scores


def _replay(golden: Golden, target: str, transport: str) -> float:
    try:
        with PredictClient(target, transport) as client:  # type: ignore[arg-type]
            return replay(golden, client)
    except ClientError as error:
        raise ParityError(f"A golden request was not answered: {error}") from error


def check_answers(folder: Path, golden: Golden) -> float:
    """The largest difference between the SavedModel's answers, in this process, and the Estimator's predictions.

    Raises ParityError when it is above the tolerance, ContractError when the SavedModel cannot be loaded.
    """
    try:
        model = tf.saved_model.load(str(folder), tags=[TAG])
    except UNREADABLE as error:
        raise ContractError(f"{folder}: cannot be loaded: {reason(error)}") from error
    largest = 0.0
    for signature, inputs, expected in golden.requests():
        answer = model.signatures[signature.key](**{name: tf.constant(each) for name, each in inputs.items()})
        arrays = {name: tensor.numpy() for name, tensor in answer.items()}
        largest = max(largest, difference(expected, arrays, f"{folder}, {signature.key}"))
    return largest
