"""The gRPC side: PredictionService and ModelService."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model_server import metrics
from model_server.errors import from_exception
from model_server.introspection import model_metadata, model_status
from model_server.lifecycle import Lifecycle
from model_server.predict import predict_request
from model_server.tensors import to_proto
from model_server.versions import Versions

log = logging.getLogger(__name__)

_MAX_MESSAGE = 2000
"""In bytes. A gRPC client takes 8 kB of trailing metadata, and each byte that is not ASCII travels as three."""

_NO_DEADLINE = 1e6


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers Predict and GetModelMetadata. What takes tf.Examples is left out, which gRPC answers UNIMPLEMENTED."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        request_id = str(dict(context.invocation_metadata()).get("x-request-id", ""))
        with _answering(context), metrics.recorded(request.model_spec.name, "Predict", "GRPC", request_id):
            with self._versions.lease(request.model_spec) as (version, servable):
                key, outputs = predict_request(servable, request, _timeout(context))
            response = predict_pb2.PredictResponse()
            response.model_spec.name = version.model
            response.model_spec.signature_name = key
            response.model_spec.version.value = version.number
            for alias, array in outputs.items():
                response.outputs[alias].CopyFrom(to_proto(array))
            return response

    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        with _answering(context):
            return model_metadata(self._versions, request)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Reports the states of versions and takes new configs."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        with _answering(context):
            return model_status(self._lifecycle.versions, request)

    def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        with _answering(context):
            gone = threading.Event()
            context.add_callback(gone.set)  # or the thread of a caller that hung up would go on waiting for a model
            self._lifecycle.reload(request.config, timeout=_timeout(context), stop=gone)
            return model_management_pb2.ReloadConfigResponse()


@contextmanager
def _answering(context: grpc.ServicerContext) -> Iterator[None]:
    """Turn whatever is raised inside into the status of the call."""
    try:
        yield
    except Exception as error:
        status = from_exception(error)
        if status is not error:
            log.exception("A request failed unexpectedly")
        context.abort(status.code, status.message.encode(errors="replace")[:_MAX_MESSAGE].decode(errors="ignore"))


def _timeout(context: grpc.ServicerContext) -> float | None:
    """Seconds until the client's deadline. Without one gRPC says either None or centuries."""
    seconds = context.time_remaining()
    return None if seconds is None or seconds > _NO_DEADLINE else float(seconds)
