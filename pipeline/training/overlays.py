"""Pictures in TensorBoard: at each evaluation a photo of each category, its true points beside the predicted ones."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.evaluation.samples import Sample, pair
from seamline_client.answers import Prediction
from seamline_client.contract import OUTPUTS, PRED_V, PRED_X_RATIO, PRED_Y_RATIO

v1 = tf.compat.v1

BOX = (300, 400)


class Overlays(tf.compat.v1.train.SessionRunHook):
    """A hook of an evaluation. It takes the answers as they come by, so that nothing is computed twice.

    Writes image summaries beside the evaluation's scalars, into the folder `events`.
    """

    def __init__(self, events: Path, samples: Sequence[Sample]) -> None:
        self._events, self._samples = events, samples

    def begin(self) -> None:
        self._seen = 0
        self._drawn: list[tuple[Sample, Prediction]] = []

    def before_run(self, run_context: Any) -> Any:
        graph = run_context.session.graph
        return v1.train.SessionRunArgs([graph.get_tensor_by_name(f"{spec.name}:0") for spec in OUTPUTS])

    def after_run(self, run_context: Any, run_values: Any) -> None:
        answer = dict(zip(OUTPUTS, run_values.results))
        x, y, v = (np.asarray(answer[spec]) for spec in (PRED_X_RATIO, PRED_Y_RATIO, PRED_V))
        for sample in self._samples:
            row = sample.index - self._seen
            if 0 <= row < len(v):
                self._drawn.append((sample, sample.predicted(x[row], y[row], v[row])))
        self._seen += len(v)

    def end(self, session: Any) -> None:
        step = int(session.run(v1.train.get_global_step(session.graph)))
        values = [_summary(sample, prediction) for sample, prediction in self._drawn]
        v1.summary.FileWriterCache.get(str(self._events)).add_summary(v1.Summary(value=values), step)


def _summary(sample: Sample, prediction: Prediction) -> Any:
    picture = pair(sample, prediction, BOX)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    image = v1.Summary.Image(
        height=picture.height, width=picture.width, colorspace=3, encoded_image_string=file.getvalue()
    )
    return v1.Summary.Value(tag=f"truth_and_predicted/{sample.category}", image=image)
