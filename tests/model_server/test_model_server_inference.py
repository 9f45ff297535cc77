"""Classify, Regress and MultiInference: each reason for which a model without such signatures refuses them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from model_server.inference import CLASSIFY, REGRESS, refusal
from tests.model_server.model_server_support import Server, refused

INVALID, UNIMPLEMENTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED
UNSUPPORTED = "Unsupported signature method_name: tensorflow/serving/predict"
REQUESTS = {
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
}


@pytest.mark.parametrize(
    ("method", "signature", "expected"),
    [
        ("Classify", "none", "No signature was found with the name: none"),
        ("Regress", "none", "No signature was found with the name: none"),
        ("Classify", "two", "Expected one input Tensor."),
        ("Regress", "two", "Expected one input Tensor."),
        ("Classify", "strings", "Expected one or two output Tensors, found 3"),
        ("Regress", "uneven", "Expected one output Tensor."),
        ("Classify", "", "No classification inputs found in SignatureDef: inputs {"),
        ("Regress", "", "No regression inputs found in SignatureDef: inputs {"),
    ],
)
def test_a_signature_of_another_kind_is_refused(server: Server, method: str, signature: str, expected: str) -> None:
    """The official server's texts; where it shows the signature, the text up to that."""
    request = REQUESTS[method](model_spec={"name": "zoo", "signature_name": signature})
    code, text = refused(server, "PredictionService", method, request)
    assert code is INVALID
    assert text.startswith(expected) if expected.endswith("{") else text == expected


@pytest.mark.parametrize(
    ("method", "outputs", "code", "expected"),
    [
        (CLASSIFY, ["y"], INVALID, 'Expected classification signature outputs to contain at least one of "classes" or'),
        (REGRESS, ["y"], INVALID, "No regression outputs found in SignatureDef: "),
        (CLASSIFY, ["scores"], UNIMPLEMENTED, "classify is left out of this stand-in"),
        (REGRESS, ["outputs"], UNIMPLEMENTED, "regress is left out of this stand-in"),
    ],
)
def test_outputs_tell_whether_a_signature_is_of_the_kind(
    method: str, outputs: list[str], code: grpc.StatusCode, expected: str
) -> None:
    """One that is of the kind is not answered, and the error says by whom."""
    signature = meta_graph_pb2.SignatureDef()
    signature.inputs["inputs"].name = "x:0"
    for name in outputs:
        signature.outputs[name].name = f"{name}:0"
    error = refusal({"serving_default": signature}, method, "")
    assert error.code is code
    assert error.message.startswith(expected)


def task(signature: str, method: str = "tensorflow/serving/classify", model: str = "zoo") -> dict[str, Any]:
    return {"model_spec": {"name": model, "signature_name": signature}, "method_name": method}


@pytest.mark.parametrize(
    ("tasks", "code", "expected"),
    [
        ([], INVALID, "ModelSpec has no name specified."),
        ([task("x")], INVALID, "Requested signature not found in model graph: x"),
        ([task("uneven"), task("", model="half")], INVALID, "No classification inputs found in SignatureDef: inputs {"),
        ([task("two")], INVALID, "Expected one input Tensor."),
        ([task("two", "tensorflow/serving/predict")], UNIMPLEMENTED, UNSUPPORTED),
        ([task("two", model="")], INVALID, "ModelSpec has no name specified."),
    ],
)
def test_multi_inference_refuses_its_first_bad_task(
    server: Server, tasks: list[dict[str, Any]], code: grpc.StatusCode, expected: str
) -> None:
    """Tasks are looked at in their order."""
    request = inference_pb2.MultiInferenceRequest(tasks=tasks)
    found, text = refused(server, "PredictionService", "MultiInference", request)
    assert found is code
    assert text.startswith(expected) if expected.endswith("{") else text == expected
