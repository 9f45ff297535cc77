"""What photos and answers were like when a version was exported. It travels along as JSON, a few kilobytes.

It is of the evaluation photos as they are, and of what this version answers to them. Not of the training photos:
training sees them augmented, darker and blurred on purpose, and a model is surer of what it has learned from than of
anything else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.records import Dataset
from pipeline.drift import traits
from pipeline.drift.traits import Floats
from pipeline.errors import PipelineError
from pipeline.evaluation import samples
from pipeline.evaluation.answers import Answers
from pipeline.evaluation.calibration import Calibration, held_out, measured, score
from seamline_client.images import pixels
from seamline_client.keypoints import KeypointSet
from seamline_client.sampling import encode

REFERENCE = "assets.extra/reference.json"
KEPT = 500
"""Values of a trait that are kept: all where there are no more, otherwise so many quantiles, evenly spaced."""


LOOKED_AT = 2000
"""Evaluation photos whose pixels are measured, evenly spread: more would tell no more, and take their time."""


@dataclass(frozen=True)
class Guess:
    """How good an estimate of the error by scores alone was, on the evaluation photos, which have labels.

    The error is the share of the points that are said to be there which are not, or are further from their place than
    `calibration.NEAR`. Each photo's scores are by constants that were fitted on others.
    """

    photos: int
    estimated: float
    found: float
    spread: float
    """Standard deviation of the difference between the two on a single photo."""


@dataclass(frozen=True)
class Reference:
    """Sorted values of each trait, of how many photos they are, and how many photos there are of each kind."""

    values: dict[str, list[float]]
    photos: dict[str, int]
    kinds: dict[str, int]
    guess: Guess | None
    """None where no evaluation photo has an error."""


def make(dataset: Dataset, answered: Answers, calibration: Calibration) -> Reference:
    """Of the evaluation photos, `answered` by a model with these constants. Raises DataError for a damaged data set."""
    pictures = [traits.of_pictures(picture[None]) for picture in _pictures(dataset)]
    found = {name: np.concatenate([each[name] for each in pictures]) for name in pictures[0]}
    found |= traits.of_answers(answered.xy, answered.v, score(answered.evidence.astype(float), calibration))
    values = {name: known[np.isfinite(known)] for name, known in found.items()}
    return Reference(
        {name: sketch(known) for name, known in values.items()},
        {name: len(known) for name, known in values.items()},
        dict(traits.counted(traits.kinds(answered.v, dataset.keypoints))),
        _guess(answered, dataset.keypoints),
    )


def _pictures(dataset: Dataset) -> Iterator[NDArray[np.uint8]]:
    """The evaluation photos, at most LOOKED_AT of them, each by way of the file that a client would keep of it.

    Sharpness is not what it was after that, but the same is done to both sides.
    """
    step = -(-dataset.count("eval") // LOOKED_AT)
    for sample in samples.read(dataset):
        if sample.index % step == 0:
            yield pixels(encode(sample.encoded, sample.truth.size))[0]


def sketch(values: Floats) -> list[float]:
    """Sorted values, at most KEPT of them, that are spread as these are."""
    if len(values) > KEPT:
        values = np.quantile(values, (np.arange(KEPT) + 0.5) / KEPT)
    return [round(value, 5) for value in np.sort(values).tolist()]


def _guess(answered: Answers, keypoints: KeypointSet) -> Guess | None:
    evidence, right, said = measured(answered, keypoints)
    points = int(said.sum())
    if not points:
        return None
    estimated = ((1 - held_out(evidence, right)) * said).sum(axis=1)
    found = (~right & said).sum(axis=1)
    spread = math.sqrt(np.mean((found - estimated) ** 2)) * len(said) / points
    return Guess(len(said), float(estimated.sum()) / points, float(found.sum()) / points, spread)


def write(folder: Path, reference: Reference) -> None:
    """Writes it below a version's folder, whose `assets.extra` is there."""
    (folder / REFERENCE).write_text(json.dumps(asdict(reference)))


def read(folder: Path) -> Reference:
    """What `write` wrote below a version's folder. Raises PipelineError where there is none, or it is damaged."""
    try:
        raw = json.loads((folder / REFERENCE).read_text())
        guess = Guess(**raw.pop("guess")) if raw["guess"] else raw.pop("guess")
        return Reference(**raw, guess=guess)
    except FileNotFoundError as error:
        raise PipelineError(
            f"{folder}: this version was exported before versions knew what their photos were like. "
            f"`make export` of the same run makes one that does."
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise PipelineError(f"{folder / REFERENCE}: cannot be read: {error}") from error
