"""Replay the requests that a model carries in `assets.extra/`, so that its first real request is not a slow one."""

from __future__ import annotations

import logging
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from model_server.errors import StatusError, from_exception, unimplemented
from model_server.predict import predict_request
from model_server.saved_model import Servable

log = logging.getLogger(__name__)

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def warm_up(servable: Servable, path: Path) -> None:
    """Run each PredictionLog of the version's warm-up file, a TFRecord; there may be no file.

    A record that cannot be read or answered raises StatusError: the version does not load.
    """
    file = path / WARMUP_FILE
    if not file.exists():
        log.info("No warmup data file found at %s", file)
        return
    count = 0
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            entry = prediction_log_pb2.PredictionLog.FromString(record)
            if entry.WhichOneof("log_type") != "predict_log":
                raise unimplemented("Unsupported log_type for warmup: only predict_log is replayed")
            predict_request(servable, entry.predict_log.request, None)
            count += 1
    except Exception as error:
        status = from_exception(error)
        raise StatusError(status.code, f"Warm-up from {file} failed: {status.message}") from error
    log.info("Finished reading warmup data at %s. Number of warmup records read: %d", file, count)
