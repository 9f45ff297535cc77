"""Replay the requests that a model carries in `assets.extra/`, so that its first real request is not a slow one."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from model_server import metrics
from model_server.errors import StatusError, from_exception, invalid_argument, unimplemented
from model_server.predict import predict_request
from model_server.saved_model import Servable

log = logging.getLogger(__name__)

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000


def warm_up(servable: Servable, path: Path, iterations: int = 1) -> None:
    """Run each PredictionLog of the version's warm-up file, a TFRecord, `iterations` times; there may be no file.

    A record that cannot be read or answered raises StatusError: the version does not load.
    """
    file = path / WARMUP_FILE
    if not file.exists():
        log.info("No warmup data file found at %s", file)
        return
    start = time.perf_counter()
    try:
        count = _replay(servable, file, iterations)
    except Exception as error:
        status = from_exception(error)
        metrics.WARMUP_LATENCY.observe(time.perf_counter() - start, str(path), status.code.name)
        raise StatusError(status.code, f"Warm-up from {file} failed: {status.message}") from error
    metrics.WARMUP_LATENCY.observe(time.perf_counter() - start, str(path), "OK")
    log.info("Finished reading warmup data at %s. Number of warmup records read: %d", file, count)


def _replay(servable: Servable, file: Path, iterations: int) -> int:
    count = 0
    for count, record in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator(), start=1):
        if count > MAX_RECORDS:
            raise invalid_argument(f"Number of warmup records exceeds the maximum ({MAX_RECORDS})")
        try:
            entry = prediction_log_pb2.PredictionLog.FromString(record)
        except DecodeError as error:
            raise invalid_argument("Failed to parse warmup record") from error
        kind = entry.WhichOneof("log_type")
        if kind not in (None, "predict_log"):
            raise unimplemented(f"Unsupported log_type for warmup: {kind}")
        for _ in range(iterations if kind else 0):
            predict_request(servable, entry.predict_log.request, None)
    return count
