"""Stick figures: persons with COCO's 17 points, in photos and files as COCO lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIDES = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ["nose", *(f"{side}_{part}" for part in SIDES for side in ("left", "right"))]
FACE = 5
"""As many of the first points are not seen from behind."""
SKELETON = [
    *([16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10], [9, 11]),
    *([2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]),
]
"""Pairs of numbers that count from 1."""
PERSON = {"id": 1, "name": "person", "supercategory": "person", "keypoints": NAMES, "skeleton": SKELETON}
# Half the distance between left and right, and how far down, as shares of the height.
_PLACES = [(0.02, 0.07), (0.05, 0.08), (0.12, 0.2), (0.18, 0.36), (0.2, 0.5), (0.08, 0.52), (0.09, 0.75), (0.1, 0.97)]
_COLOURS = ("#c03028", "#2848b0")
"""Of the left side and of the right one."""


def person(rng: np.random.Generator, left: float, top: float, height: float, *, away: bool) -> list[tuple[float, ...]]:
    """x, y and COCO's v of the points. Left is the person's own: on the right of the picture, unless it looks away."""
    side = -1 if away else 1
    places = [(0.0, 0.09)] + [(sign * x * side, y) for x, y in _PLACES for sign in (1, -1)]
    moved = np.array(places) + rng.normal(0, 0.01, (17, 2)) + (0.25, 0.01)
    seen = [0 if away and index < FACE else 2 for index in range(17)]
    return [(left + height * x, top + height * y, v) if v else (0, 0, 0) for (x, y), v in zip(moved, seen)]


def draw(picture: Image.Image, points: list[tuple[float, ...]]) -> None:
    """Each side in a colour of its own, and the head, with a nose where it is seen."""
    pen = ImageDraw.Draw(picture)
    width = max(2, picture.height // 60)
    for first, second in SKELETON:
        ends = points[first - 1], points[second - 1]
        if all(v for *_, v in ends):
            pen.line([value for x, y, _ in ends for value in (x, y)], fill=_COLOURS[second % 2], width=width)
    if points[0][2]:
        x, y, _ = points[0]
        pen.ellipse((x - width, y - width, x + width, y + width), fill="#208040")


def write(folder: Path, train: int = 24, val: int = 4, *, seed: int = 1) -> Path:
    """A folder as COCO has it: one person in a photo, in every sixth two, and every fifth looks away."""
    rng = np.random.default_rng(seed)
    for split, count in (("train2017", train), ("val2017", val)):
        coco: dict[str, Any] = {"images": [], "annotations": [], "categories": [PERSON]}
        (folder / split).mkdir(parents=True)
        for number in range(count):
            persons = 2 if number % 6 == 5 else 1
            picture = Image.new("RGB", (140 * persons, 240), tuple(rng.integers(180, 255, 3).tolist()))
            name = f"{number:012d}.jpg"
            coco["images"].append({"id": number, "file_name": name, "width": picture.width, "height": 240})
            for place in range(persons):
                points = person(rng, 140 * place + 15, 10, 215, away=number % 5 == 4)
                draw(picture, points)
                xs, ys, _ = zip(*(point for point in points if point[2]))
                box = [min(xs) - 4, min(ys) - 4, max(xs) - min(xs) + 8, max(ys) - min(ys) + 8]
                coco["annotations"].append(
                    {
                        "id": len(coco["annotations"]),
                        "image_id": number,
                        "category_id": 1,
                        "keypoints": [value for point in points for value in point],
                        "num_keypoints": sum(point[2] > 0 for point in points),
                        "bbox": box,
                        "area": 0.5 * box[2] * box[3],
                        "iscrowd": 0,
                    }
                )
            picture.save(folder / split / name, quality=95)
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(coco))
        # COCO's own annotations/ has these beside.
        (folder / "annotations" / f"instances_{split}.json").write_text("{}")
    return folder
