"""What else every server answers over gRPC: metadata, states, health, and what is not for such models.

Codes and texts are those of the official 2.15.1.
"""

from __future__ import annotations

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tests.model_server.model_server_support import Server, predict_request, refused

CODE = grpc.StatusCode


def metadata_request(name: str, *fields: str) -> get_model_metadata_pb2.GetModelMetadataRequest:
    return get_model_metadata_pb2.GetModelMetadataRequest(model_spec={"name": name}, metadata_field=fields)


def test_metadata(server: Server) -> None:
    """GetModelMetadata packs the SignatureDefs of the version that would answer."""
    response = server.call("PredictionService", "GetModelMetadata", metadata_request("half", "signature_def"))
    assert (response.model_spec.name, response.model_spec.version.value) == ("half", 3)
    packed = response.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signature = get_model_metadata_pb2.SignatureDefMap.FromString(packed.value).signature_def["serving_default"]
    assert (signature.method_name, signature.inputs["x"].name) == ("tensorflow/serving/predict", "x:0")


def test_metadata_refusals(server: Server) -> None:
    """Metadata must be asked for by a field that exists, of a model that does."""
    cases = {
        (): (CODE.INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field"),
        ("x",): (CODE.INVALID_ARGUMENT, "Metadata field x is not supported"),
    }
    for fields, expected in cases.items():
        assert refused(server, "PredictionService", "GetModelMetadata", metadata_request("half", *fields)) == expected
    expected = (CODE.NOT_FOUND, "Servable not found for request: Latest(foo)")
    request = metadata_request("foo", "signature_def")
    assert refused(server, "PredictionService", "GetModelMetadata", request) == expected


def test_status(server: Server) -> None:
    """GetModelStatus tells all versions, newest first, or the one asked for."""
    request = get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "half"})
    response = server.call("ModelService", "GetModelStatus", request)
    assert [(status.version, status.state) for status in response.model_version_status] == [(3, 30), (2, 30), (1, 30)]
    assert {status.status.error_code for status in response.model_version_status} == {0}
    request.model_spec.version.value = 2
    response = server.call("ModelService", "GetModelStatus", request)
    assert [status.version for status in response.model_version_status] == [2]


def test_status_refusals(server: Server) -> None:
    """The status of what was never seen is NOT_FOUND."""
    unknown = get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "foo"})
    expected = (CODE.NOT_FOUND, "Could not find any versions of model foo")
    assert refused(server, "ModelService", "GetModelStatus", unknown) == expected
    unknown.model_spec.name = "half"
    unknown.model_spec.version.value = 9
    expected = (CODE.NOT_FOUND, "Could not find version 9 of model half")
    assert refused(server, "ModelService", "GetModelStatus", unknown) == expected
    missing = get_model_status_pb2.GetModelStatusRequest()
    assert refused(server, "ModelService", "GetModelStatus", missing) == (CODE.INVALID_ARGUMENT, "Missing ModelSpec")


def test_health_service(server: Server) -> None:
    """With --enable_grpc_healthcheck_service the standard health service says SERVING."""
    with server.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "ModelService", "PredictionService"):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status == 1


def test_unix_socket(server: Server) -> None:
    """--grpc_socket_path serves the same over a UNIX socket."""
    address = f"unix:{server.log.parent / 'grpc.sock'}"
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            request_serializer=predict_pb2.PredictRequest.SerializeToString,
            response_deserializer=predict_pb2.PredictResponse.FromString,
        )
        assert list(
            call(predict_request("zoo", {"x": np.array([1, 2, 5], np.float32)}), timeout=10).outputs["y"].float_val
        ) == [2.5, 3.0, 4.5]
