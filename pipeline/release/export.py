"""Export: a checkpoint becomes a candidate, a SavedModel with everything that travels along."""

from __future__ import annotations

import errno
import itertools
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from model.metrics import ECE, NE
from model.predictions import Served
from model.receivers import decode_image, raw_serving_input_fn
from pipeline.console import step
from pipeline.data.records import Dataset, reading
from pipeline.drift import reference
from pipeline.errors import ExportError
from pipeline.evaluation import answers
from pipeline.evaluation.baseline import mean_position_ne
from pipeline.evaluation.calibration import calibrate
from pipeline.evaluation.scores import score
from pipeline.release import card
from pipeline.release.golden import Golden
from pipeline.release.signatures import rename_signatures
from pipeline.release.store import write_checksums
from pipeline.training import checkpoints
from pipeline.training import estimator as estimators
from pipeline.training.checkpoints import Checkpoint
from pipeline.training.presets import Preset
from seamline_client.contract import DESCRIPTION, MODEL_NAME, OUTPUTS, PRED_SCORE

GOLDEN_COUNT = 5
WARMUP = "assets.extra/tf_serving_warmup_requests"
"""tensorflow/serving runs these through a version before it lets traffic in."""


@dataclass(frozen=True)
class Candidate:
    """A version in the making. `folder` is named by a number, so that a server can be pointed at its parent."""

    folder: Path
    metrics: dict[str, float]
    """Of the checkpoint, on the evaluation photos; those that nothing was counted for are left out."""
    mean_position_ne: float
    """What answering each point's mean position over the training photos scores on the same photos."""

    @property
    def ne(self) -> float:
        """In percent; NaN where no point could be counted."""
        return self.metrics.get(NE, math.nan)

    @property
    def warning(self) -> str | None:
        """Why nobody should be served with it, even if every proof passes; None where there is no reason."""
        # Written so that NaN is warned of.
        if self.ne < self.mean_position_ne:
            return None
        return (
            f"This model is no better than none: its NE is {self.ne:.2f} %, and answering each point's mean position "
            f"over the training photos scores {self.mean_position_ne:.2f} %. Train it for longer, or look at its data."
        )


def export(checkpoint: Checkpoint, preset: Preset, dataset: Dataset, staging: Path) -> Candidate:
    """Writes the SavedModel, golden requests, warm-up requests, model card and checksums below `staging`.

    Raises ExportError for a checkpoint that is damaged or of another network and when `staging` cannot be written,
    DataError for a damaged data set.
    """
    problem = checkpoints.problem(checkpoint.prefix, preset.model, dataset.keypoints)
    if problem:
        raise ExportError(f"{problem}. Nothing was exported. Delete {checkpoint.run} and train again.")
    try:
        return _export(checkpoint, preset, dataset, staging)
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(f"{staging}: the export failed: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """One line. TensorFlow names a full disk only below a headline and the place in the graph."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if os.strerror(errno.ENOSPC) in line), lines[0] if lines else repr(error))


def _export(checkpoint: Checkpoint, preset: Preset, dataset: Dataset, staging: Path) -> Candidate:
    run, keypoints = checkpoint.run, dataset.keypoints
    with step("Model card and scores") as found:
        answered = answers.read(estimators.build(run, preset, keypoints), checkpoint.prefix, dataset)
        metrics = score([(answered.xy, answered.v, answered.truth)], keypoints).metrics
        calibration, reliability = calibrate(answered, keypoints)
        if reliability.ece is not None:
            metrics[ECE] = reliability.ece
        baseline = mean_position_ne(dataset)
        compared = reference.make(dataset, answered, calibration)
        made = card.make(checkpoint, preset, dataset, metrics, baseline, tf.__version__)
        found(f"measured and calibrated on {dataset.count('eval')} photos")
    served = Served(calibration, card.description(made))
    estimator = estimators.build(run, preset, keypoints, served=served)
    with step("SavedModel") as found:
        folder = _saved_model(estimator, checkpoint, staging)
        found(f"written from {Path(checkpoint.prefix).name}")
    with step("Golden and warm-up requests") as found, reading(dataset):
        golden = _golden(estimator, checkpoint, dataset, served.description)
        golden.save(folder)
        _write_warmup(folder / WARMUP, golden)
        found(f"{len(golden.files)} photos and what the Estimator predicts for them")
    card.write(folder, made)
    reference.write(folder, compared)
    write_checksums(folder)
    return Candidate(folder, metrics, baseline)


def _saved_model(estimator: Any, checkpoint: Checkpoint, staging: Path) -> Path:
    written = estimator.export_savedmodel(
        str(staging), raw_serving_input_fn, strip_default_attrs=True, checkpoint_path=checkpoint.prefix
    )
    folder = Path(written.decode())
    rename_signatures(folder / "saved_model.pb")
    return folder


def _golden(estimator: Any, checkpoint: Checkpoint, dataset: Dataset, description: str) -> Golden:
    """A picture of each category that there is one of, and what the Estimator predicts for it."""
    examples = [dataset.parse(record) for record in tf.data.TFRecordDataset(dataset.shards("eval"))]
    examples.sort(key=lambda example: example["image_id"].numpy())
    by_category = {int(example["category"]): example for example in reversed(examples)}
    chosen = [*by_category.values(), *examples][:GOLDEN_COUNT]
    files = [example["image"].numpy() for example in chosen]
    pixels = np.stack([decode_image(file).numpy() for file in files])

    def input_fn() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors({"images": pixels})

    predicted = list(itertools.islice(estimator.predict(input_fn, checkpoint_path=checkpoint.prefix), len(files)))
    outputs = {spec.name: np.stack([answer[spec.name] for answer in predicted]) for spec in (*OUTPUTS, PRED_SCORE)}
    outputs[DESCRIPTION.name] = np.full(len(files), description.encode(), object)
    return Golden(tuple(files), pixels, outputs)


def _write_warmup(path: Path, golden: Golden) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs, _ in golden.requests():
            for count in (1, len(golden.files)):
                request = predict_pb2.PredictRequest()
                request.model_spec.name = MODEL_NAME
                request.model_spec.signature_name = signature.key
                for name, values in inputs.items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(values[:count]))
                log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
                writer.write(log.SerializeToString())
