"""Classify, Regress and MultiInference for models without signatures of that kind: the refusals of the real server.

A model that has such a signature is told UNIMPLEMENTED: running tf.Example inputs is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import inference_pb2

from model_server.errors import StatusError, invalid_argument, unimplemented
from model_server.predict import DEFAULT_SIGNATURE

CLASSIFY, REGRESS = "classify", "regress"

_METHOD_PREFIX = "tensorflow/serving/"
_Signatures = Mapping[str, meta_graph_pb2.SignatureDef]


def refusal(signatures: _Signatures, method: str, signature_name: str) -> StatusError:
    """Why a Classify or Regress request cannot be answered."""
    key = signature_name or DEFAULT_SIGNATURE
    if key not in signatures:
        return invalid_argument(f"No signature was found with the name: {key}")
    return _unfit(signatures[key], method)


def multi_refusal(signatures: _Signatures, request: inference_pb2.MultiInferenceRequest) -> StatusError:
    """Why a MultiInference request, which has at least one task, cannot be answered."""
    seen: set[str] = set()
    for task in request.tasks:
        spec = task.model_spec
        key = spec.signature_name or DEFAULT_SIGNATURE
        if not spec.name:
            return invalid_argument("Found ModelSpec with an empty model name.")
        if spec.name != request.tasks[0].model_spec.name:
            return invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        if key in seen:
            return invalid_argument(f"Duplicate evaluation of signature: {key}")
        seen.add(key)
        if key not in signatures:
            return invalid_argument(f"Requested signature not found in model graph: {key}")
        method = task.method_name.removeprefix(_METHOD_PREFIX)
        if method not in (CLASSIFY, REGRESS):
            return unimplemented(f"Unsupported signature method_name: {task.method_name}")
        error = _unfit(signatures[key], method)
        if error.code is not grpc.StatusCode.UNIMPLEMENTED:
            return error
    return unimplemented("MultiInference is left out of this stand-in")


def _unfit(signature: meta_graph_pb2.SignatureDef, method: str) -> StatusError:
    noun = "classification" if method == CLASSIFY else "regression"
    outputs = len(signature.outputs)
    if len(signature.inputs) != 1:
        return invalid_argument("Expected one input Tensor.")
    if method == CLASSIFY and outputs not in (1, 2):
        return invalid_argument(f"Expected one or two output Tensors, found {outputs}")
    if method == REGRESS and outputs != 1:
        return invalid_argument("Expected one output Tensor.")
    if "inputs" not in signature.inputs:
        return invalid_argument(f"No {noun} inputs found in SignatureDef: {signature}")
    if method == CLASSIFY and not {"classes", "scores"} & set(signature.outputs):
        return invalid_argument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature}"
        )
    if method == REGRESS and "outputs" not in signature.outputs:
        return invalid_argument(f"No regression outputs found in SignatureDef: {signature}")
    return unimplemented(f"{method} is left out of this stand-in")
