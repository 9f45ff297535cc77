"""Annotated photos straight from a folder, in batches, without a data set on disk in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.receivers import decode_image
from pipeline.data.annotations import Annotation, Refusal, reasons
from pipeline.data.checks import Photo, check_all
from pipeline.data.input_fn import EVAL_BATCH
from pipeline.data.parts import Tick, sliced, unseen
from pipeline.data.sources import read_folder
from pipeline.errors import DataError
from seamline_client.keypoints import KeypointSet

SPLITS = {"train": ("train",), "val": ("eval",), "all": ("train", "eval")}
PART = 16 * EVAL_BATCH
"""So many photos are evaluated by one process, one after the other."""


class Photos:
    """The photos of a folder, or those of a split: as its `train` and `val` have it, or else as training makes it."""

    def __init__(self, folder: Path, split: str = "all", keypoints: KeypointSet | None = None) -> None:
        """Reads the annotations; `split` is one of SPLITS, `keypoints` as for `read_folder`.

        Raises DataError where there are none that can be used.
        """
        self.folder = folder
        annotated = read_folder(folder, keypoints, training=False)
        self.keypoints, self.refusals = annotated.keypoints, annotated.refusals
        """Rows that cannot be used, and photos, once somebody has found and added them."""
        self.annotations = [annotation for name in SPLITS[split] for annotation in annotated.splits[name]]
        if not self.annotations:
            raise DataError(f"{folder}: no photo of split {split} to evaluate.{reasons(self.refusals)}")

    def parts(self) -> list[Sequence[Annotation]]:
        """All of them in order, in parts of whole batches."""
        return list(sliced(self.annotations, PART))

    def refuse_none(self, used: int) -> None:
        """Raises DataError where none of the photos could be used."""
        if not used:
            raise DataError(f"{self.folder}: none of its photos can be used.{reasons(self.refusals)}")


def batches(
    annotations: Iterable[Annotation], keypoints: KeypointSet, refuse: Callable[[Refusal], None], tick: Tick = unseen
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Pictures (N, 384, 384, 3) uint8 and `metrics.Labels`. `refuse` is told of each photo that cannot be used."""
    waiting: list[Photo] = []
    for checked in check_all(annotations, keypoints):
        tick()
        if isinstance(checked, Refusal):
            refuse(checked)
            continue
        waiting.append(checked)
        if len(waiting) == EVAL_BATCH:
            yield _batch(waiting, keypoints)
            waiting = []
    if waiting:
        yield _batch(waiting, keypoints)


def _batch(photos: list[Photo], keypoints: KeypointSet) -> tuple[Any, dict[str, Any]]:
    sizes = np.array([(photo.width, photo.height) for photo in photos], np.float32)
    points = np.array([photo.annotation.points for photo in photos], np.float32)
    names = keypoints.category_names
    labels = {
        "xy": points / sizes[:, None, :],
        "v": np.array([photo.annotation.v for photo in photos], np.int64) + 1,
        "size": sizes,
        "box": np.array([photo.annotation.box for photo in photos], np.float32),
        "area": np.array([photo.annotation.area for photo in photos], np.float32),
        "category": np.array([names.index(photo.annotation.category) for photo in photos], np.int64),
    }
    return np.stack([decode_image(photo.encoded).numpy() for photo in photos]), labels
