"""The signatures of a SavedModel, which must be the contract that the client is written for."""

from __future__ import annotations

from pathlib import Path

from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from pipeline.errors import ContractError
from seamline_client.contract import METHOD, OUTPUTS, SIGNATURES, TAG, TensorSpec

_DTYPES = {"float": "float32"}


def rename_signatures(path: Path) -> None:
    """Estimator calls the other signatures `<key>:serving_default`; the contract calls them `<key>`."""
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in saved_model.meta_graphs:
        for key in [key for key in graph.signature_def if key not in SIGNATURES]:
            graph.signature_def[key.split(":")[0]].CopyFrom(graph.signature_def.pop(key))
    path.write_bytes(saved_model.SerializeToString(deterministic=True))


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
