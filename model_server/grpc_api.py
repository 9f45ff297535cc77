"""The gRPC side: PredictionService and ModelService."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model_server import metrics
from model_server.errors import from_exception, invalid_argument
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
        with _recorded(context, request, "Predict"), self._versions.lease(_spec(request)) as (version, servable):
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
        with _errors(context):
            return model_metadata(self._versions, request)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Reports the states of versions and takes new configs."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        with _errors(context):
            return model_status(self._lifecycle.versions, request)

    def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        with _errors(context):
            if request.config.WhichOneof("config") != "model_config_list":
                raise invalid_argument(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                    "Only ModelConfigList is currently supported"
                )
            gone = threading.Event()
            context.add_callback(gone.set)  # or the thread of a caller that hung up would go on waiting for a model
            self._lifecycle.reload(request.config, timeout=_timeout(context), stop=gone)
            return model_management_pb2.ReloadConfigResponse()


def _timeout(context: grpc.ServicerContext) -> float | None:
    """Seconds until the client's deadline. Without one gRPC says either None or centuries."""
    seconds = context.time_remaining()
    return None if seconds is None or seconds > _NO_DEADLINE else float(seconds)


def _spec(request: Any) -> model_pb2.ModelSpec:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    return request.model_spec


@contextmanager
def _errors(context: grpc.ServicerContext) -> Iterator[None]:
    """Turn whatever is raised inside into the status of the call."""
    try:
        yield
    except Exception as error:
        status = from_exception(error)
        if status is not error:
            log.exception("A request failed unexpectedly")
        context.abort(status.code, status.message.encode(errors="replace")[:_MAX_MESSAGE].decode(errors="ignore"))


@contextmanager
def _recorded(context: grpc.ServicerContext, request: Any, api: str) -> Iterator[None]:
    """As _errors, and count the call by model and status. Successful calls record their latency."""
    start = time.perf_counter()
    name = request.model_spec.name
    with _errors(context):
        try:
            yield
        except Exception as error:
            metrics.REQUEST_COUNT.increment(name, from_exception(error).code.name)
            raise
        metrics.REQUEST_COUNT.increment(name, "OK")
        metrics.REQUEST_LATENCY.observe(time.perf_counter() - start, name, api, "GRPC")
