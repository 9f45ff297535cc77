"""Evaluation of a SavedModel: how good its own answers are, on a data set's evaluation photos or on any others."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.metrics import Labels
from pipeline.console import OnProgress
from pipeline.damage import UNREADABLE, reason
from pipeline.data.annotations import Annotation, Refusal
from pipeline.data.input_fn import eval_input_fn
from pipeline.data.parts import Engine, Tick, here
from pipeline.data.photos import Photos, batches
from pipeline.data.records import Dataset, reading
from pipeline.errors import ExportError
from pipeline.evaluation.scores import Scores, Tally, score, scores, tally
from seamline_client.contract import PRED_V, PRED_X_RATIO, PRED_Y_RATIO, TAG, UINT8
from seamline_client.keypoints import KeypointSet

Predict = Callable[..., "dict[str, Any]"]
"""A signature: tensors by the names of its inputs -> tensors by the names of its outputs."""


def evaluate(version: Path, dataset: Dataset) -> dict[str, float]:
    """The metrics of `model.metrics` by name; those that nothing counts for, or that are no numbers, are left out.

    Raises ExportError when the SavedModel cannot be loaded, DataError for a damaged data set.
    """
    batches = ((features["images"], labels) for features, labels in eval_input_fn(dataset)())
    with reading(dataset):
        return score(answers(load(version), batches), dataset.keypoints).metrics


def answers(predict: Predict, batches: Iterable[tuple[Any, Labels]]) -> Iterator[tuple[Any, Any, Labels]]:
    """Batches of pictures (N, 384, 384, 3) uint8 and their labels -> predicted xy, predicted v and the labels."""
    for images, labels in batches:
        answer = predict(**{UINT8.input.name: tf.convert_to_tensor(images)})
        yield tf.stack([answer[PRED_X_RATIO.name], answer[PRED_Y_RATIO.name]], 2), answer[PRED_V.name], labels


def load(version: Path) -> Predict:
    """A SavedModel's signature for uint8 pictures. Raises ExportError when it cannot be loaded."""
    try:
        model = tf.saved_model.load(str(version), tags=[TAG])
        signature = model.signatures[UINT8.key]
    except UNREADABLE as error:
        raise ExportError(f"{version}: cannot be loaded: {reason(error)}") from error
    signature.model = model  # which holds the weights, and which a signature by itself does not hold
    return signature  # type: ignore[no-any-return]


loaded = functools.lru_cache(maxsize=1)(load)
"""The same for a published version, which never changes: loaded once by each process."""


def evaluate_photos(version: Path, photos: Photos, on_progress: OnProgress, engine: Engine = here) -> Scores:
    """How good it is on photos straight from their folder, some of them here, some there. Adds to their refusals.

    Raises ExportError when the SavedModel cannot be loaded, DataError when no photo can be used.
    """
    work = functools.partial(_evaluate_part, version=version, keypoints=photos.keypoints)
    done = engine(work, photos.parts(), on_progress)
    photos.refusals.extend(refusal for _, refusals in done for refusal in refusals)
    first, *others = (each for each, _ in done)
    total = sum(others, first)
    photos.refuse_none(len(total.photo_ne))
    return scores(total, photos.keypoints)


def _evaluate_part(
    annotations: Sequence[Annotation], tick: Tick, *, version: Path, keypoints: KeypointSet
) -> tuple[Tally, list[Refusal]]:
    refusals: list[Refusal] = []
    return tally(answers(loaded(version), batches(annotations, keypoints, refusals.append, tick)), keypoints), refusals
