"""The convert stage: COCO keypoints and their photos to a folder in the FashionAI layout, whole or not at all."""

from __future__ import annotations

import csv
import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from pipeline.console import OnProgress
from pipeline.data import coco
from pipeline.data.annotations import CROP, HEADER, Refusal
from pipeline.data.coco import Garment
from pipeline.data.folders import link, new_folder
from pipeline.errors import DataError
from seamline_client.keypoints import KEYPOINTS

_AS_THEY_ARE = {"JPEG": ".jpg", "PNG": ".png"}


@dataclass(frozen=True)
class Converted:
    """What was written: garments by category, how many were cut out of a photo, or had no category of their own."""

    categories: Mapping[str, int]
    cropped: int
    guessed: int
    refusals: tuple[Refusal, ...]


def convert(
    annotations: Path,
    images: Path,
    to: Path,
    names: Mapping[str, str],
    on_progress: OnProgress,
    *,
    crop_all: bool = False,
    margin: float = 0.1,
    strict: bool = False,
) -> Converted:
    """Writes `to`, a new folder, from a COCO file and the folder that its `file_name`s are in.

    A photo of one garment is linked, or copied where that cannot be, as it is. One of several (with `crop_all` every
    one) is cut to each garment's box and `margin` of the box's sides round it: a model of one garment wants one.
    Raises DataError when `to` holds something, when nothing is left to write, or, with `strict`, for any refusal.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise DataError(f"{to}: exists and is not empty. Nothing is ever written over; name another folder.")
    if not images.is_dir():
        raise DataError(f"{images}: no such folder. --images is where the photos of {annotations} are.")
    garments, refusals = coco.read(annotations, names)
    with new_folder(to) as staging:
        written = _Folder(staging, images.resolve(), margin)
        for done, garment in enumerate(garments, 1):
            try:
                written.add(garment, crop=crop_all or not garment.alone)
            except ValueError as error:
                refusals.append(Refusal(garment.source, str(error)))
            on_progress(done, len(garments))
        if not written.rows:
            reasons = "".join(f"\n  {refusal}" for refusal in refusals[:5])
            raise DataError(f"{annotations}: no annotation of {len(refusals)} can be used.{reasons}")
        if strict and refusals:
            raise DataError("Refused, and --strict was asked for:\n" + "\n".join(map(str, refusals)))
        written.finish(annotations.stem)
    return Converted(dict(sorted(written.categories.items())), written.cropped, written.guessed, tuple(refusals))


class _Folder:
    """The layout in the making."""

    def __init__(self, folder: Path, images: Path, margin: float) -> None:
        self._folder, self._images, self._margin = folder, images, margin
        self._taken: set[str] = set()
        self.rows: list[list[str]] = []
        self.categories: Counter[str] = Counter()
        self.cropped = self.guessed = 0

    def add(self, garment: Garment, *, crop: bool) -> None:
        """Raises ValueError for a photo that is missing, unreadable, or not the one that was annotated."""
        path = self._find(garment.photo)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(path) as opened:
                    image_id, (left, top) = self._write(opened, path, garment, crop=crop)
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path}: cannot be used: {error}") from error
        cells = [
            f"{_text(x - left)}_{_text(y - top)}_{v}" if v >= 0 else "-1_-1_-1"
            for (x, y), v in zip(garment.points, garment.v)
        ]
        self.rows.append([image_id, garment.category, *cells])
        self.categories[garment.category] += 1
        self.cropped += crop
        self.guessed += not garment.told

    def finish(self, name: str) -> None:
        (self._folder / "Annotations").mkdir()
        with (self._folder / "Annotations" / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([list(HEADER), *self.rows])

    def _find(self, name: str) -> Path:
        """Below the folder of photos, whether `name` starts there or, as `predict.py --coco` has it, where we are."""
        for path in (self._images / name, Path(name)):
            found = path.resolve()
            if found.is_file() and self._images in found.parents:
                return found
        raise ValueError(f"{name}: no such file in {self._images}")

    def _write(self, opened: Image.Image, path: Path, garment: Garment, *, crop: bool) -> tuple[str, tuple[int, int]]:
        """The image_id, and which pixel of the photo is its first."""
        # Points are measured in the picture as people see it.
        suffix = _AS_THEY_ARE.get(opened.format or "")
        picture = ImageOps.exif_transpose(opened)
        width, height = picture.size
        if garment.size not in (None, (width, height)):
            raise ValueError(f"{path}: has {width}x{height} pixels, annotated were {'x'.join(map(str, garment.size))}")
        for name, (x, y), v in zip(KEYPOINTS, garment.points, garment.v):
            if v >= 0 and not (0 <= x <= width and 0 <= y <= height):
                raise ValueError(f"{name} at ({x:g}, {y:g}) lies outside of the {width}x{height} picture")
        stem = "-".join(path.relative_to(self._images).with_suffix("").parts).replace(CROP, "-")
        stem = f"{stem}{CROP}{garment.number}" if crop else stem
        target = self._free(f"Images/{garment.category}/{stem}", suffix or ".jpg")
        (self._folder / target).parent.mkdir(parents=True, exist_ok=True)
        if not crop and suffix:
            opened.load()
            link(path, self._folder / target)
            return target, (0, 0)
        left, top, right, bottom = self._around(garment, width, height) if crop else (0, 0, width, height)
        cut = picture.convert("RGB").crop((left, top, right, bottom))
        cut.save(self._folder / target, quality=95)
        return target, (left, top)

    def _around(self, garment: Garment, width: int, height: int) -> tuple[int, int, int, int]:
        left, top, right, bottom = garment.box
        wide, high = self._margin * (right - left), self._margin * (bottom - top)
        low_x, low_y = max(0, math.floor(left - wide)), max(0, math.floor(top - high))
        # At least a pixel: all points of a garment may lie on one line.
        high_x, high_y = max(low_x + 1, math.ceil(right + wide)), max(low_y + 1, math.ceil(bottom + high))
        return low_x, low_y, min(width, high_x), min(height, high_y)

    def _free(self, stem: str, suffix: str) -> str:
        name, count = f"{stem}{suffix}", 1
        while name.lower() in self._taken:
            count += 1
            name = f"{stem}-{count}{suffix}"
        self._taken.add(name.lower())
        return name


def _text(value: float) -> str:
    return f"{round(value, 2):g}" if abs(value) < 1e4 else f"{value:.2f}"
