"""What gRPC and warm-up share: check a request against its signature, run it, name the outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from model_server.errors import failed_precondition, invalid_argument
from model_server.saved_model import Servable
from model_server.tensors import Array, to_numpy

DEFAULT_SIGNATURE = "serving_default"


def predict_request(
    servable: Servable, request: predict_pb2.PredictRequest, timeout: float | None
) -> tuple[str, dict[str, Array]]:
    """Answer a PredictRequest: the key of the signature that was used, and its outputs by alias.

    Raises StatusError with the code and the text of the real server.
    """
    key = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(key)
    if signature is None:
        raise failed_precondition(f'Serving signature key "{key}" not found.')
    _check_names(signature, request.inputs)
    inputs = {alias: to_numpy(proto, alias) for alias, proto in request.inputs.items()}
    outputs = _select_outputs(signature, request.output_filter)
    return key, dict(zip(outputs, servable.run(key, inputs, outputs, timeout)))


def _check_names(signature: meta_graph_pb2.SignatureDef, sent: Mapping[str, tensor_pb2.TensorProto]) -> None:
    names, wanted = set(sent), set(signature.inputs)
    if len(names) != len(wanted):
        raise invalid_argument(
            f"input size does not match signature: {len(names)}!={len(wanted)} len({_braces(names)}) != "
            f"len({_braces(wanted)}). Sent extra: {_braces(names - wanted)}. "
            f"Missing but required: {_braces(wanted - names)}."
        )
    for alias in sorted(wanted - names):
        raise invalid_argument(
            f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found in request and no "
            f"default value provided. Inputs expected to be in the request {_braces(names)}, or default input alias "
            "set: "
        )


def _select_outputs(signature: meta_graph_pb2.SignatureDef, wanted: Sequence[str]) -> list[str]:
    for position, alias in enumerate(wanted):
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_braces(signature.outputs)}."
            )
        if alias in wanted[:position]:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
    return list(wanted) or sorted(signature.outputs)


def _braces(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
