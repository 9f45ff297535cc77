"""Sigmas from double labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.sets import COCO_SIGMAS
from pipeline.data.sigmas import measure
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS
from tests import figures
from tests.homes import Seamline


@pytest.fixture
def labels(tmp_path: Path) -> Any:
    """Makes a label file by somebody whose labels are off the truth by COCO's sigmas, normally distributed."""
    truth = np.random.default_rng(1).uniform(100, 900, (800, 17, 2))
    area = 250_000.0

    def make(seed: int, names: list[str] = figures.NAMES) -> Path:
        spread = np.array([COCO_SIGMAS[name] for name in figures.NAMES]) * area**0.5 / 2**0.5
        found = truth + np.random.default_rng(seed).normal(size=truth.shape) * spread[:, None]
        annotations = [
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "area": area,
                "keypoints": np.hstack([points, np.full((17, 1), 2)]).ravel().tolist(),
            }
            for number, points in enumerate(found)
        ]
        annotations.append({**annotations[0], "id": 800, "image_id": 1})  # a second person in this photo
        images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(800)]
        path = tmp_path / f"{seed}.json"
        categories = [{**figures.PERSON, "keypoints": names}]
        path.write_text(json.dumps({"images": images, "categories": categories, "annotations": annotations}))
        return path

    return make


def test_sigmas_are_what_labels_are_off_the_truth(labels: Any) -> None:
    """As COCO defines them: known ones come out again. Photos of several things do not count."""
    _, found = measure(labels(2), labels(3))
    assert {count for _, count in found.values()} == {799}
    for name, (sigma, _) in found.items():
        assert sigma == pytest.approx(COCO_SIGMAS[name], rel=0.1)


def test_the_command_writes_a_set_with_them(labels: Any, tmp_path: Path) -> None:
    """`keypoints --sigmas`: how many labels each is from is said."""
    said = Seamline(tmp_path).pipeline(
        "keypoints", "--sigmas", str(labels(2)), str(labels(3)), "--to", str(tmp_path / "keypoints.json")
    )
    assert "sigma of nose: 0.02" in said
    assert "from 799 labels" in said
    sigmas = json.loads((tmp_path / "keypoints.json").read_text())["sigmas"]
    assert sigmas["left_hip"] == pytest.approx(0.107, rel=0.1)


def test_fashionai_files_will_do(garments_folder: Path, tmp_path: Path) -> None:
    """Each is off by 3 and 4 pixels: the sigma of a garment of area a is 5 / sqrt(2 a)."""
    (csv,) = garments_folder.glob("Annotations/*.csv")
    header, *rows = csv.read_text().splitlines()

    def moved(cell: str) -> str:
        x, y, v = cell.split("_")
        return cell if v == "-1" else f"{float(x) + 3}_{float(y) + 4}_{v}"

    other = tmp_path / "other.csv"
    cells = [row.split(",") for row in rows]
    other.write_text("\n".join([header, *(",".join([*row[:2], *map(moved, row[2:])]) for row in cells)]) + "\n")
    keypoints, found = measure(csv, other)
    assert keypoints is GARMENTS
    assert all(0.001 < sigma < 0.1 for sigma, _ in found.values())


def test_files_that_cannot_be_compared(labels: Any) -> None:
    """The same labels twice measure nothing, and other keypoints are other sets."""
    with pytest.raises(DataError, match="no sigma for nose"):
        measure(labels(2), labels(2))
    with pytest.raises(DataError, match="they have other keypoints"):
        measure(labels(2), labels(3, [*figures.NAMES[:-1], "toe"]))
