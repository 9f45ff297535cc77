"""The signatures of a SavedModel, which must be the contract that the client is written for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from pipeline.errors import ContractError
from seamline_client.contract import ANSWERS, DEFAULT, DESCRIBE, METHOD, SIGNATURES, TAG, TensorSpec

ALL = {**SIGNATURES, DESCRIBE.key: DESCRIBE}


def rename_signatures(path: Path) -> None:
    """Keeps the signatures of the contract, under its keys.

    Estimator pairs each receiver with each output as `<receiver>:<output>`, and gives the default receiver no name.
    """
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in saved_model.meta_graphs:
        found = {key: graph.signature_def.pop(key) for key in list(graph.signature_def)}
        for key in ALL:
            pair = key if key == DEFAULT.key else f"{key}:{key}"
            if pair in found:
                graph.signature_def[key].CopyFrom(found[pair])
    path.write_bytes(saved_model.SerializeToString(deterministic=True))


def check_signatures(folder: Path, keypoints: int) -> None:
    """Raises ContractError, naming the first difference, when a SavedModel's signatures are not the contract for
    so many keypoints."""
    path = folder / "saved_model.pb"
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ContractError(f"{path}: cannot be read: {error}") from error
    graphs = [graph for graph in saved_model.meta_graphs if list(graph.meta_info_def.tags) == [TAG]]
    _check(f"{path}: number of graphs with the tag set '{TAG}'", len(graphs), 1)
    signatures = graphs[0].signature_def
    _check(f"{path}: signatures", sorted(signatures), sorted(ALL))
    for key, contract in ALL.items():
        found, where = signatures[key], f"{path}: signature {key}"
        outputs = tuple(replace(spec, shape=(-1, keypoints)[: len(spec.shape)]) for spec in ANSWERS[key])
        _check(f"{where}: method", found.method_name, METHOD)
        _check_tensors(f"{where}: input", found.inputs, (contract.input,))
        _check_tensors(f"{where}: output", found.outputs, outputs)
        _check(f"{where}: tensor", found.inputs[contract.input.name].name, contract.tensor)


def _check_tensors(
    where: str, found: Mapping[str, meta_graph_pb2.TensorInfo], expected: tuple[TensorSpec, ...]
) -> None:
    _check(f"{where}s", sorted(found), sorted(spec.name for spec in expected))
    for spec in expected:
        info = found[spec.name]
        shape = tuple(dimension.size for dimension in info.tensor_shape.dim)
        _check(f"{where} {spec.name}", (tf.as_dtype(info.dtype).name, shape), (spec.dtype, spec.shape))


def _check(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ContractError(f"{what}: found {found}, expected {expected}")
