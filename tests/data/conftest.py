"""COCO files as tests make them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.coco import read_names
from pipeline.data.convert import Converted, convert
from pipeline.data.fashionai import find_sources, read

SKIRT = ["waistband_left", "waistband_right", "hemline_left", "hemline_right"]
POINTS = [30, 20, 2, 70, 20, 1, 20, 90, 2, 0, 0, 0]


class Coco:
    """A COCO file in the making, and a folder of photos of 100x100, each pixel coloured by where it is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.photos, self.to = folder, folder / "photos", folder / "out"
        self.raw: dict[str, list[Any]] = {
            "images": [],
            "annotations": [],
            "categories": [{"id": 7, "name": "Skirt", "keypoints": SKIRT}],
        }

    def photo(self, name: str, size: tuple[int, int] = (100, 100), **options: Any) -> int:
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        Image.fromarray(np.stack((x * 2, y * 2, x * 0), -1).astype(np.uint8)).save(path, **options)
        return self.image(name, size)

    def image(self, name: str, size: tuple[int, int] = (100, 100)) -> int:
        number = len(self.raw["images"])
        self.raw["images"].append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
        return number

    def garment(self, image: int, points: list[Any] = POINTS, **more: Any) -> None:
        annotation = {"id": len(self.raw["annotations"]), "image_id": image, "category_id": 7, "keypoints": points}
        self.raw["annotations"].append({**annotation, **more})

    def convert(self, *names: str, **options: Any) -> Converted:
        file = self.folder / "skirts.json"
        file.write_text(json.dumps(self.raw))
        return convert(file, self.photos, self.to, read_names(names), lambda *_: None, **options)

    def rows(self) -> list[Any]:
        (source,) = find_sources(self.to)
        found = read(source)
        assert found.refusals == []
        return found.annotations


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    return Coco(tmp_path)
