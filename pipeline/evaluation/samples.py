"""Evaluation photos to look at, each drawn twice: with its true points, and with those that were predicted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.data.records import Dataset, reading
from seamline_client import overlay
from seamline_client.answers import Prediction
from seamline_client.contract import VISIBLE

ERROR = "#ffd23f"
"""Lines from where a visible point was predicted to where it is."""
DOT = 2.5
GROUND = "#f2f2f2"
SEAM = 4
"""Pixels between truth and prediction."""


@dataclass(frozen=True)
class Sample:
    """An evaluation photo, as the bytes of its file, and the truth. `index` is its place in `eval_input_fn`."""

    index: int
    image_id: str
    encoded: bytes
    category: str
    truth: Prediction

    def predicted(self, x: NDArray[np.float32], y: NDArray[np.float32], v: NDArray[np.int64]) -> Prediction:
        """The outputs of the contract for this photo, each (K,), as the client has them."""
        return Prediction(x, y, v, self.truth.size, self.truth.about)


def read(dataset: Dataset) -> Iterator[Sample]:
    """Every evaluation photo. Raises DataError for a damaged record."""
    with reading(dataset):
        for index, record in enumerate(tf.data.TFRecordDataset(dataset.shards("eval"))):
            example = {name: value.numpy() for name, value in dataset.parse(record).items()}
            width, height = map(int, example["size"])
            x, y = example["xy"].T
            yield Sample(
                index,
                example["image_id"].decode(),
                example["image"],
                dataset.keypoints.category_names[int(example["category"])],
                Prediction(x, y, example["v"], (width, height), dataset.keypoints),
            )


def one_of_each(dataset: Dataset) -> list[Sample]:
    """The first evaluation photo of each category that has any."""
    found: dict[str, Sample] = {}
    for sample in read(dataset):
        found.setdefault(sample.category, sample)
        if len(found) == len(dataset.categories["eval"]):
            break
    return [found[category] for category in dataset.keypoints.category_names if category in found]


def pair(sample: Sample, prediction: Prediction, box: tuple[int, int]) -> Image.Image:
    """Truth on the left, prediction on the right, each inside a box of this width and height in pixels.

    On the right a line leads from each visible point's true place to a dot where it was predicted, even where the model
    took the point for absent and it has no mark.
    """
    tiles = [_tile(sample.encoded, each, box) for each in (sample.truth, prediction)]
    pen = ImageDraw.Draw(tiles[1])
    scale = np.divide(tiles[1].size, sample.truth.size)
    for v, true, guess in zip(sample.truth.visibility, sample.truth.pixels * scale, prediction.pixels * scale):
        if v == VISIBLE:
            pen.line([*map(float, (*true, *guess))], fill=ERROR, width=2)
            pen.ellipse([*map(float, (*(guess - DOT), *(guess + DOT)))], fill=ERROR)
    both = Image.new("RGB", (2 * box[0] + SEAM, box[1]), GROUND)
    for number, tile in enumerate(tiles):
        x = number * (box[0] + SEAM) + (box[0] - tile.width) // 2
        both.paste(tile, (x, (box[1] - tile.height) // 2))
    return both


def _tile(encoded: bytes, prediction: Prediction, box: tuple[int, int]) -> Image.Image:
    drawn = overlay.draw(encoded, prediction, names=False, weight=2.0)
    drawn.thumbnail(box, Image.Resampling.LANCZOS)
    return drawn
