"""A sample as the clients kept it, and what its photos and answers are like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.console import OnProgress
from pipeline.data.annotations import Refusal
from pipeline.drift import traits
from pipeline.drift.traits import Floats
from pipeline.errors import DataError
from seamline_client import sampling
from seamline_client.errors import InvalidInput
from seamline_client.finding import find_photos
from seamline_client.images import pixels
from seamline_client.keypoints import KeypointSet
from seamline_client.sampling import Kept

FEWEST = 20
"""Photos below which nothing is compared."""


@dataclass(frozen=True)
class Taken:
    """N photos that one version answered, or that nobody knows the version of."""

    photos: list[Kept]
    traits: dict[str, Floats]
    """(N,) each; NaN where a photo has none."""
    kinds: list[str]
    others: int
    """Photos that were left out because another version answered them."""
    refusals: list[Refusal]


def read(folder: Path, version: int, about: KeypointSet, on_progress: OnProgress) -> Taken:
    """The photos in the folder and those below it. Raises DataError where they are fewer than FEWEST."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    try:
        found = find_photos([str(folder)])
    except InvalidInput as error:
        raise DataError(str(error)) from error
    photos: list[Kept] = []
    pictures: list[dict[str, Floats]] = []
    refusals: list[Refusal] = []
    others = 0
    for done, each in enumerate(found, 1):
        on_progress(done, len(found))
        try:
            kept = sampling.read(Path(each.path), about)
            if kept.prediction.version not in (None, version):
                others += 1
                continue
            picture = traits.of_pictures(pixels(each.path)[0][None])
        except InvalidInput as error:
            refusals.append(Refusal(each.path, str(error).replace(f"{each.path}: ", "")))
            continue
        photos.append(kept)
        pictures.append(picture)
    if len(photos) < FEWEST:
        rest = f", {others} that other versions answered" * bool(others)
        rest += f" and {len(refusals)} that cannot be used, as {refusals[0]}" if refusals else ""
        raise DataError(
            f"{folder}: {len(photos)} photos that version {version} answered{rest}. "
            f"`drift` needs at least {FEWEST}: keep a larger sample (--sample), or wait."
        )
    answers = [each.prediction for each in photos]
    xy = np.stack([np.stack([each.x_ratio, each.y_ratio], axis=1) for each in answers])
    v = np.stack([each.visibility for each in answers])
    scored = [each.score for each in answers if each.score is not None]
    found_traits = {name: np.concatenate([each[name] for each in pictures]) for name in pictures[0]}
    found_traits |= traits.of_answers(xy, v, np.stack(scored) if len(scored) == len(answers) else None)
    return Taken(photos, found_traits, traits.kinds(v, about), others, refusals)
