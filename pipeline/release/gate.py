"""Validation: proof that a candidate is the contract and that a real server answers with it what was trained."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from rich.box import SIMPLE
from rich.table import Table
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from model.metrics import NE
from pipeline.console import console
from pipeline.data.records import Dataset
from pipeline.errors import ContractError, ParityError, ScoreError
from pipeline.evaluation.saved_model import evaluate
from pipeline.release.export import Candidate
from pipeline.release.golden import TOLERANCE, Golden, difference, replay
from pipeline.release.store import Version, verify_checksums
from pipeline.serving import container, process
from pipeline.serving.server import Server, wait_until_available
from seamline_client.api import PredictClient
from seamline_client.contract import METHOD, MODEL_NAME, OUTPUTS, SIGNATURES, TAG, TensorSpec
from seamline_client.errors import ClientError

LOAD_SECONDS = 120.0
NE_TOLERANCE = 0.5
"""How much worse than the published version, in percentage points of NE, a candidate may score."""


@dataclass(frozen=True)
class Proof:
    """One thing that was proven of a candidate, in words for people."""

    what: str
    how: str


def validate(
    candidate: Candidate,
    published: Version | None,
    dataset: Dataset,
    *,
    serving_image: str | None = None,
    force: bool = False,
) -> list[Proof]:
    """Checks a candidate, against the version published before too, and returns what was proven.

    The server that must answer rightly is one of `serving_image`, or else a process of this machine.
    Raises ChecksumError, ContractError, ScoreError, ParityError or ServingError for what is not as it must be; with
    `force` a worse score is let through.
    """
    folder = candidate.folder
    verify_checksums(folder)
    check_signatures(folder)
    proofs = [Proof("signatures", f"{', '.join(SIGNATURES)} are the contract, read back from the SavedModel")]
    golden = Golden.load(folder)
    largest = check_answers(folder, golden)
    how = f"Estimator.predict's through every signature, differences at most {largest:.1g} (allowed {TOLERANCE:g})"
    proofs.append(Proof("answers", how))
    proofs.append(_compare(evaluate(folder, dataset)[NE], published, dataset, force=force))
    with _server(folder.parent, serving_image) as server:
        wait_until_available(server, MODEL_NAME, LOAD_SECONDS, version=int(folder.name))
        proofs.append(Proof("server", "a server loaded it, warm-up requests included"))
        for transport, target in (("grpc", server.grpc_target), ("rest", server.rest_target)):
            with PredictClient(target, transport) as client:  # type: ignore[arg-type]
                largest = _replay(golden, client)
            how = (
                f"{len(golden.files)} pictures through {len(SIGNATURES)} signatures, differences at most {largest:.1g}"
            )
            proofs.append(Proof(f"golden requests, {transport}", how))
    return proofs


def show(proofs: list[Proof]) -> None:
    """Prints them as a table."""
    table = Table("proven", "how", box=SIMPLE)
    for proof in proofs:
        table.add_row(proof.what, proof.how)
    console.print(table)


def _server(base: Path, image: str | None) -> AbstractContextManager[Server]:
    """A throw-away server of the candidate below `base`."""
    if image:
        return container.throw_away(image, base, MODEL_NAME)
    return process.throw_away(base, MODEL_NAME, base / "server.log")


def _replay(golden: Golden, client: PredictClient) -> float:
    try:
        return replay(golden, client)
    except ClientError as error:
        raise ParityError(f"A golden request was not answered: {error}") from error


def _compare(ne: float, published: Version | None, dataset: Dataset, *, force: bool) -> Proof:
    if published is None:
        return Proof("score", f"NE {ne:.2f} % on {dataset.count('eval')} photos; no version before it")
    before = evaluate(published.folder, dataset)[NE]
    compared = f"NE {ne:.2f} % on {dataset.count('eval')} photos, version {published.number} has {before:.2f} %"
    # Written so that NaN is worse than anything.
    if not (ne <= before + NE_TOLERANCE or force):
        raise ScoreError(
            f"The candidate is worse: {compared}; at most {NE_TOLERANCE} more is allowed (--force overrules)"
        )
    return Proof("score", compared)


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


def check_signatures(folder: Path) -> None:
    """Raises ContractError, naming the first difference, when a SavedModel's signatures are not the contract."""
    path = folder / "saved_model.pb"
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ContractError(f"{path}: cannot be read: {error}") from error
    graphs = [graph for graph in saved_model.meta_graphs if list(graph.meta_info_def.tags) == [TAG]]
    if len(graphs) != 1:
        raise ContractError(f"{path}: expected one graph with the tag set '{TAG}', found {len(graphs)}")
    signatures = graphs[0].signature_def
    if set(signatures) != set(SIGNATURES):
        raise ContractError(f"{path}: has the signatures {sorted(signatures)}, expected {sorted(SIGNATURES)}")
    for key, contract in SIGNATURES.items():
        found, where = signatures[key], f"{path}: signature {key}"
        if found.method_name != METHOD:
            raise ContractError(f"{where}: method is {found.method_name!r}, expected {METHOD!r}")
        _check_tensors(found.inputs, (contract.input,), f"{where}: inputs")
        _check_tensors(found.outputs, OUTPUTS, f"{where}: outputs")
        tensor = found.inputs[contract.input.name].name
        if tensor != contract.tensor:
            raise ContractError(f"{where}: input tensor is {tensor}, expected {contract.tensor}")


def _check_tensors(found: dict[str, meta_graph_pb2.TensorInfo], expected: tuple[TensorSpec, ...], where: str) -> None:
    names = {spec.name for spec in expected}
    if set(found) != names:
        raise ContractError(f"{where} are {sorted(found)}, expected {sorted(names)}")
    for spec in expected:
        info = found[spec.name]
        shape = tuple(dimension.size for dimension in info.tensor_shape.dim)
        dtype = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
        if (_DTYPES.get(dtype, dtype), shape) != (spec.dtype, spec.shape):
            raise ContractError(f"{where}: {spec.name} is {dtype} {shape}, expected {spec.dtype} {spec.shape}")


_DTYPES = {"float": "float32"}
