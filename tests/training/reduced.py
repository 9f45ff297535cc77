"""Annotated garments as another set of keypoints: ten of the 24, under other names, in another order."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from seamline_client.keypoints import GARMENTS, KeypointSet, read

NAMES = {
    "top_hem_right": "low_right",
    "top_hem_left": "low_left",
    "armpit_left": "arm_left",
    "armpit_right": "arm_right",
    "shoulder_left": "high_left",
    "shoulder_right": "high_right",
    "hemline_left": "end_left",
    "hemline_right": "end_right",
    "waistband_left": "belt_left",
    "waistband_right": "belt_right",
}
"""Each category has some of them, and the two that its errors are measured against."""


def reduced_set() -> KeypointSet:
    kept = {each.name: [NAMES[name] for name in each.keypoints if name in NAMES] for each in GARMENTS.categories}
    ends = {each.name: [NAMES[name] for name in each.normaliser or ()] for each in GARMENTS.categories}
    return read(
        {
            "thing": "cloth",
            "keypoints": list(NAMES.values()),
            "categories": {name: {"keypoints": kept[name], "normaliser": ends[name]} for name in kept},
            "pairs": [[NAMES[left], NAMES[right]] for left, right in GARMENTS.pairs if left in NAMES],
        }
    )


def reduce(folder: Path, to: Path) -> Path:
    """`folder`, or its train/ and val/, with rows of ten points, in the new folder `to`; the photos are linked."""
    to.mkdir(parents=True)
    (to / "keypoints.json").write_text(json.dumps(reduced_set().as_json()))
    for path in sorted(folder.glob("**/Annotations/*.csv")):
        part = to / path.parent.parent.relative_to(folder)
        (part / "Annotations").mkdir(parents=True)
        (part / "Images").symlink_to(path.parent.parent.resolve() / "Images")
        with path.open(newline="") as rows, (part / "Annotations" / path.name).open("w", newline="") as file:
            written = csv.writer(file)
            written.writerow(["image_id", "image_category", *NAMES.values()])
            for row in csv.DictReader(rows):
                written.writerow([row["image_id"], row["image_category"], *(row[name] for name in NAMES)])
    return to
