"""The gate: proof that a candidate is the contract and good enough, and that a server answers with it as trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from model.metrics import NE
from pipeline.console import step
from pipeline.data.records import Dataset
from pipeline.errors import ContractError, ParityError, ScoreError
from pipeline.evaluation.saved_model import evaluate
from pipeline.release.export import Candidate
from pipeline.release.golden import TOLERANCE, Golden, difference, replay
from pipeline.release.signatures import check_signatures
from pipeline.release.store import Version, verify_checksums
from pipeline.serving.server import Server, wait_until_available
from seamline_client import PredictClient
from seamline_client.contract import MODEL_NAME, SIGNATURES, TAG
from seamline_client.errors import ClientError

LOAD_SECONDS = 120.0
_TRANSPORTS = {"grpc": "gRPC", "rest": "REST"}
NE_TOLERANCE = 0.5
"""How much worse than the version that serves, in percentage points of NE, a candidate may score."""

Serve = Callable[[Path], AbstractContextManager[Server]]
"""Starts a throw-away server of the newest version below a folder."""


@dataclass(frozen=True)
class Verdict:
    """How a candidate that passed scores, NE in percent; NaN where no point could be counted."""

    ne: float
    mean_position_ne: float
    against: int | None
    """The version that served, which it was compared with; None where none did."""
    against_ne: float = math.nan

    @property
    def warning(self) -> str | None:
        """Why nobody should be served with it all the same; None where there is no reason."""
        # Written so that NaN is better than nothing.
        if self.ne < self.mean_position_ne:
            return None
        return (
            f"This model is no better than none: its NE is {self.ne:.2f} %, and answering each point's mean position "
            f"over the training photos scores {self.mean_position_ne:.2f} %. Train it for longer, or look at its data."
        )


def prove(candidate: Candidate, serving: Version | None, dataset: Dataset, serve: Serve, *, force: bool) -> Verdict:
    """Proves a candidate step by step, saying what it does, and compares it with the version that serves now.

    Raises ChecksumError, ContractError, ScoreError, ParityError or ServingError for what is not as it must be. With
    `force` a worse score passes.
    """
    folder = candidate.folder
    with step("Checksums") as found:
        verify_checksums(folder)
        found("every file is what was written")
    with step("Signatures") as found:
        check_signatures(folder)
        found(f"{', '.join(SIGNATURES)} are the contract")
    golden = Golden.load(folder)
    with step("Its answers against Estimator.predict's") as found:
        largest = check_answers(folder, golden)
        found(f"they differ by at most {largest:.1g} (allowed: {TOLERANCE:g})")
    with step("Its score against the version that serves") as found:
        verdict = _compare(candidate, serving, dataset)
        found(_in_words(verdict, dataset))
        # Written so that NaN is worse than anything.
        if not (serving is None or force or verdict.ne <= verdict.against_ne + NE_TOLERANCE):
            raise ScoreError(
                f"The candidate is worse: {_in_words(verdict, dataset)}; at most {NE_TOLERANCE} more passes "
                f"(--force publishes it all the same)"
            )
    with step("A server of it") as found, serve(folder.parent) as server:
        wait_until_available(server, MODEL_NAME, LOAD_SECONDS, version=int(folder.name))
        found("has loaded it and answered its warm-up requests")
        for transport, target in (("grpc", server.grpc_target), ("rest", server.rest_target)):
            with step(f"Golden requests over {_TRANSPORTS[transport]}") as found:
                with PredictClient(target, transport) as client:  # type: ignore[arg-type]
                    largest = _replay(golden, client)
                photos = f"{len(golden.files)} photos through {len(SIGNATURES)} signatures"
                found(f"{photos} answered as trained, differences at most {largest:.1g}")
    return verdict


def _compare(candidate: Candidate, serving: Version | None, dataset: Dataset) -> Verdict:
    ne = candidate.metrics.get(NE, math.nan)
    if serving is None:
        return Verdict(ne, candidate.mean_position_ne, None)
    against = evaluate(serving.folder, dataset).get(NE, math.nan)
    return Verdict(ne, candidate.mean_position_ne, serving.number, against)


def _in_words(verdict: Verdict, dataset: Dataset) -> str:
    measured = f"NE {verdict.ne:.2f} % on {dataset.count('eval')} photos"
    if verdict.against is None:
        return f"{measured}; no version serves yet"
    return f"{measured}; version {verdict.against}, which serves, has {verdict.against_ne:.2f} %"


def _replay(golden: Golden, client: PredictClient) -> float:
    try:
        return replay(golden, client)
    except ClientError as error:
        raise ParityError(f"A golden request was not answered: {error}") from error


def check_answers(folder: Path, golden: Golden) -> float:
    """The largest difference between the SavedModel's answers, in this process, and the Estimator's predictions.

    Raises ParityError when it is above the tolerance, ContractError when the SavedModel cannot be loaded.
    """
    try:
        model = tf.saved_model.load(str(folder), tags=[TAG])
    except (OSError, ValueError) as error:
        raise ContractError(f"{folder}: cannot be loaded: {error}") from error
    largest = 0.0
    for signature, inputs in golden.requests():
        answer = model.signatures[signature.key](**{name: tf.constant(each) for name, each in inputs.items()})
        arrays = {name: tensor.numpy() for name, tensor in answer.items()}
        largest = max(largest, difference(golden.outputs, arrays, f"{folder}, {signature.key}"))
    return largest
