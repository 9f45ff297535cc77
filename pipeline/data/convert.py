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
from pipeline.data.annotations import HEADER, Refusal, is_mixed
from pipeline.data.coco import Garment
from pipeline.data.folders import link, new_folder
from pipeline.data.split import crop_name, photo_name
from pipeline.errors import DataError
from seamline_client.keypoints import KEYPOINTS

_AS_THEY_ARE = {"JPEG": ".jpg", "PNG": ".png"}


@dataclass(frozen=True)
class Converted:
    """What was written: garments by category, and what became of the annotations."""

    categories: Mapping[str, int]
    cropped: int
    """Garments that were cut out of their photos."""
    guessed: int
    """Garments whose category was chosen by their points."""
    mixed: int
    """Garments with points that nothing of their category has."""
    without_keypoints: int
    """Annotations that were passed over."""
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
    labels = coco.read(annotations, images, names)
    garments, refusals = labels.garments, labels.refusals
    with new_folder(to) as staging:
        written = _Folder(staging, images, margin)
        for done, garment in enumerate(garments, 1):
            try:
                written.add(garment, crop=crop_all or not garment.alone)
            except ValueError as error:
                refusals.append(Refusal(garment.source, str(error)))
            on_progress(done, len(garments))
        if not written.rows:
            reasons = "".join(f"\n  {refusal}" for refusal in refusals[:5])
            raise DataError(f"{annotations}: no garment to write; {len(refusals)} refused.{reasons}")
        if strict and refusals:
            raise DataError("Refused, and --strict was asked for:\n" + "\n".join(map(str, refusals)))
        written.finish()
    categories = dict(sorted(Counter(row[1] for row in written.rows).items()))
    return Converted(
        categories,
        cropped=sum(written.crops.values()),
        guessed=written.guessed,
        mixed=written.mixed,
        without_keypoints=labels.without_keypoints,
        refusals=tuple(refusals),
    )


class _Folder:
    """The layout in the making."""

    def __init__(self, folder: Path, images: Path, margin: float) -> None:
        self._folder, self._images, self._margin = folder, images, margin
        self._names: dict[Path, str] = {}
        """What each photo is called here."""
        self._taken: set[str] = set()
        """Those names in lower case: some file systems do not tell a from A."""
        self.crops: Counter[Path] = Counter()
        self.guessed = self.mixed = 0
        self.rows: list[list[str]] = []

    def add(self, garment: Garment, *, crop: bool) -> None:
        """Raises ValueError for a photo that is unreadable, or not the one that was annotated."""
        path = garment.photo
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(path) as opened:
                    image_id, (left, top) = self._write(opened, garment, crop=crop)
        except ValueError:
            raise
        except Exception as error:  # as in `checks`: Pillow raises nearly anything on a damaged file
            raise ValueError(f"{path}: cannot be used: {error}") from error
        cells = [
            f"{x - left:.2f}_{y - top:.2f}_{v}" if v >= 0 else "-1_-1_-1"
            for (x, y), v in zip(garment.points, garment.v)
        ]
        self.rows.append([image_id, garment.category, *cells])
        self.guessed += garment.guessed
        self.mixed += is_mixed(garment.category, garment.v)
        self.crops[path] += crop

    def finish(self) -> None:
        (self._folder / "Annotations").mkdir()
        with (self._folder / "Annotations" / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([list(HEADER), *self.rows])

    def _write(self, opened: Image.Image, garment: Garment, *, crop: bool) -> tuple[str, tuple[int, int]]:
        """The image_id, and which pixel of the photo is its first."""
        path = garment.photo
        # Points are measured in the picture as people see it.
        suffix = _AS_THEY_ARE.get(opened.format or "")
        picture = ImageOps.exif_transpose(opened)
        width, height = picture.size
        if garment.size not in (None, (width, height)):
            annotated = "x".join(f"{side:.9g}" for side in garment.size)
            raise ValueError(f"{path}: it has {width}x{height} pixels, but was annotated at {annotated}")
        for name, (x, y), v in zip(KEYPOINTS, garment.points, garment.v):
            if v >= 0 and not (0 <= x <= width and 0 <= y <= height):
                raise ValueError(f"{name} at ({x:g}, {y:g}) lies outside of the {width}x{height} picture")
        name = crop_name(self._name(path), self.crops[path]) if crop else self._name(path)
        image_id = f"Images/{garment.category}/{name}{suffix or '.jpg'}"
        target = self._folder / image_id
        target.parent.mkdir(parents=True, exist_ok=True)
        if not crop and suffix:
            opened.load()
            link(path, target)
            return image_id, (0, 0)
        left, top, right, bottom = self._around(garment, width, height) if crop else (0, 0, width, height)
        picture.convert("RGB").crop((left, top, right, bottom)).save(target, quality=95)
        return image_id, (left, top)

    def _around(self, garment: Garment, width: int, height: int) -> tuple[int, int, int, int]:
        left, top, right, bottom = garment.box
        wide, high = self._margin * (right - left), self._margin * (bottom - top)
        low_x, low_y = max(0, math.floor(left - wide)), max(0, math.floor(top - high))
        # At least a pixel: all points of a garment may lie on one line.
        high_x, high_y = max(low_x + 1, math.ceil(right + wide)), max(low_y + 1, math.ceil(bottom + high))
        return low_x, low_y, min(width, high_x), min(height, high_y)

    def _name(self, path: Path) -> str:
        """What it is called here: numbered where another photo has that name already."""
        if path not in self._names:
            stem = photo_name(path.relative_to(self._images))
            name, count = stem, 1
            while name.lower() in self._taken:
                count += 1
                name = f"{stem}-{count}"
            self._taken.add(name.lower())
            self._names[path] = name
        return self._names[path]
