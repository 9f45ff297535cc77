"""The two requests that end the official server 2.15.1, and end this one likewise with `--official_crashes`.

For tests of what is to happen then: the restart, the callers. Without the flag both are refused.
"""

from __future__ import annotations

import math
import os
import signal
import sys

import grpc
import numpy as np
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2

from model_server.grpc_api import PredictionService
from model_server.rest_api import RestApplication

_DEEPEST, _DEEPEST_UNCLOSED = 23_514, 131_522
"""Levels of JSON that the official server survives with the usual stack of 8 MB."""


def is_fatal(tensor: tensor_pb2.TensorProto) -> bool:
    """Whether reading it ends the official server: a resource that is not exactly one element."""
    count = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    return bool(tensor.dtype == types_pb2.DT_RESOURCE and count != 1)


def depth(body: bytes) -> tuple[int, bool]:
    """Levels of nesting of a JSON document, and whether all are closed. Brackets inside of strings count, too."""
    characters = np.frombuffer(body, np.uint8)
    opened = np.isin(characters, list(b"[{")).astype(np.int32)
    levels = np.cumsum(opened - np.isin(characters, list(b"]}")))
    return (int(levels.max()), bool(levels[-1] <= 0)) if body else (0, True)


class CrashingPredictionService(PredictionService):
    """Ends with SIGABRT at a tensor that `is_fatal`."""

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        if any(map(is_fatal, request.inputs.values())):
            _end(signal.SIGABRT, "Check failed: 1 == NumElements() Must have a one element tensor")
        return super().Predict(request, context)


class CrashingRestApplication(RestApplication):
    """Ends with SIGSEGV at JSON nested too deep."""

    def _predict(self, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        levels, closed = depth(body)
        if levels > (_DEEPEST if closed else _DEEPEST_UNCLOSED):
            _end(signal.SIGSEGV, "Segmentation fault")
        return super()._predict(spec, body)


def _end(number: signal.Signals, last_words: str) -> None:
    print(last_words, file=sys.stderr, flush=True)
    os.kill(os.getpid(), number)
    signal.pause()
