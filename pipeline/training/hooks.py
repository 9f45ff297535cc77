"""What goes on beside the steps: a signal stops training, a line shows progress, TensorBoard gets pictures."""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.console import OnProgress
from pipeline.evaluation.samples import Sample, pair
from pipeline.training.checkpoints import BestSoFar
from pipeline.training.presets import Preset
from seamline_client.answers import Prediction
from seamline_client.contract import OUTPUTS, PRED_V, PRED_X_RATIO, PRED_Y_RATIO

v1 = tf.compat.v1

SIGNALS = (signal.SIGINT, signal.SIGTERM)
BOX = (300, 400)


class Stop(tf.compat.v1.train.SessionRunHook):
    """As a context manager it takes SIGINT and SIGTERM, which end training after the step; Estimator saves it.

    Whoever asks twice is in a hurry: the second signal ends the process at once.
    """

    requested = False

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._request) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self.requested:
            run_context.request_stop()


class ProgressLine(tf.compat.v1.train.SessionRunHook):
    """Feeds the progress line: step, loss, best NE, images per second. A step takes so many `images`."""

    def __init__(self, preset: Preset, images: int, best: BestSoFar, on_progress: OnProgress) -> None:
        self._preset, self._images, self._best, self._on_progress = preset, images, best, on_progress
        self._seconds_per_step: float | None = None

    def before_run(self, run_context: Any) -> Any:
        self._started = time.monotonic()
        graph = run_context.session.graph
        return v1.train.SessionRunArgs([v1.train.get_global_step(graph), graph.get_collection(v1.GraphKeys.LOSSES)[-1]])

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step, loss = run_values.results
        took, before = time.monotonic() - self._started, self._seconds_per_step
        self._seconds_per_step = took if before is None else 0.9 * before + 0.1 * took
        best = self._best.checkpoint
        ne = f", NE {best.ne:.1f} %" if best else ""
        rate = self._images / self._seconds_per_step
        self._on_progress(int(step), self._preset.steps, f"loss {loss:.2f}{ne}, {rate:.0f} images/s")


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
