"""How far apart two people's labels of the same photos are: what OKS needs to know of a keypoint set."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from pipeline.data import coco, coco_file, fashionai
from pipeline.data.annotations import Annotation
from pipeline.data.sets import beside, from_categories
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS, KeypointSet


def measure(first: Path, second: Path) -> tuple[KeypointSet, dict[str, tuple[float, int]]]:
    """Two label files, COCO or FashionAI's CSV -> their set, and for each keypoint its sigma and on how many labels.

    COCO (https://cocodataset.org/#keypoints-eval) defines sigma_i**2 = E[d_i**2 / s**2]: d_i is how far a label is from
    the truth, s the root of the thing's area; OKS is then exp(-d**2 / (2 s**2 k_i**2)) with k_i = 2 sigma_i. Nobody
    knows the truth, but two labels that err independently are sqrt(2) times as far from each other as from it:
    sigma_i is the root mean square of (distance of the two / s), divided by sqrt(2). The 2 of k_i is not in it.

    Only photos that show one thing in both files count, so that nobody has to guess which is which. Raises DataError
    for a file that cannot be read, for files of other keypoints, and for a keypoint that no photo has in both.
    """
    (keypoints, ours), (others, theirs) = _read(first), _read(second)
    if keypoints.keypoints != others.keypoints:
        raise DataError(
            f"{first} and {second}: they have other keypoints: {keypoints.keypoints} and {others.keypoints}"
        )
    squares: dict[str, list[float]] = {name: [] for name in keypoints.keypoints}
    for photo in ours.keys() & theirs.keys():
        one, other = ours[photo], theirs[photo]
        area = (one.area + other.area) / 2
        for name, a, b, *seen in zip(keypoints.keypoints, one.points, other.points, one.v, other.v):
            if min(seen) >= 0 and area:
                squares[name].append(math.dist(a, b) ** 2 / area)
    missing = [name for name, values in squares.items() if not any(values)]
    if missing:
        raise DataError(
            f"{first} and {second}: no sigma for {', '.join(missing)}: none of the {len(ours.keys() & theirs.keys())} "
            f"photos that show one {keypoints.thing} in both files has two labels of it that differ."
        )
    return keypoints, {name: (math.sqrt(sum(each) / len(each) / 2), len(each)) for name, each in squares.items()}


def _read(path: Path) -> tuple[KeypointSet, dict[str, Annotation]]:
    """By photo, those that show one thing."""
    if path.suffix.lower() == ".csv":
        folder = path.parent.parent if path.parent.name == "Annotations" else path.parent
        keypoints = beside(folder) or GARMENTS
        found = fashionai.read(fashionai.Source(folder, (path,), None, keypoints)).annotations
    else:
        file = coco_file.load(path)
        keypoints = from_categories((path, each) for each in file.categories)[0]
        found = [each for each in coco.read(file, None, keypoints).annotations if not each.crop]
    count = Counter(each.image_id for each in found)
    return keypoints, {each.image_id: each for each in found if count[each.image_id] == 1}
