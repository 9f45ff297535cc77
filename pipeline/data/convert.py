"""The convert stage: COCO keypoints and their photos to a folder in the FashionAI layout, whole or not at all."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.console import OnProgress
from pipeline.data import coco, coco_file
from pipeline.data.annotations import Annotation, Refusal, is_mixed, reasons, refuse_any
from pipeline.data.checks import Photo, check_all
from pipeline.data.fashionai import header
from pipeline.data.folders import link, new_folder
from pipeline.data.split import crop_name, photo_name
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS, KeypointSet


@dataclass(frozen=True)
class Converted:
    """What was written: things by category, and what became of the annotations."""

    keypoints: KeypointSet
    categories: Mapping[str, int]
    cropped: int
    """Things that were cut out of their photos."""
    guessed: int
    """Annotations whose category was chosen by their points."""
    mixed: int
    """Things with points that nothing of their category has."""
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
    margin: float = coco.MARGIN,
    strict: bool = False,
) -> Converted:
    """Writes `to`, a new folder, from a COCO file of garments and the folder that its `file_name`s are in.

    A photo of one garment is linked, or copied where that cannot be, as it is. One of several (with `crop_all` every
    one) is cut to each garment's box and `margin` of the box's sides round it: a model of one garment wants one.
    Raises DataError when `to` holds something, when nothing is left to write, or, with `strict`, for any refusal.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise DataError(f"{to}: exists and is not empty. Nothing is ever written over; name another folder.")
    if not images.is_dir():
        raise DataError(f"{images}: no such folder. --images is where the photos of {annotations} are.")
    keypoints = GARMENTS
    labels = coco.read(coco_file.load(annotations), images, keypoints, names, margin=margin, crop_all=crop_all)
    found, refusals = labels.annotations, labels.refusals
    with new_folder(to) as staging:
        written = _Folder(staging, images)
        for done, (annotation, checked) in enumerate(zip(found, check_all(found, keypoints)), 1):
            if isinstance(checked, Refusal):
                refusals.append(checked)
            else:
                written.add(annotation, checked)
            on_progress(done, len(found))
        if not written.rows:
            raise DataError(
                f"{annotations}: no {keypoints.thing} to write; {len(refusals)} refused.{reasons(refusals)}"
            )
        if strict:
            refuse_any(refusals)
        (staging / "Annotations").mkdir()
        with (staging / "Annotations" / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header(keypoints), *written.rows])
    return Converted(
        keypoints,
        categories=dict(sorted(Counter(each.category for each in written.annotations).items())),
        cropped=sum(written.crops.values()),
        guessed=labels.guessed,
        mixed=sum(is_mixed(each.category, each.v, keypoints) for each in written.annotations),
        without_keypoints=labels.without_keypoints,
        refusals=tuple(refusals),
    )


class _Folder:
    """The layout in the making."""

    def __init__(self, folder: Path, images: Path) -> None:
        self._folder, self._images = folder, images
        self._names: dict[Path, str] = {}
        """What each photo is called here."""
        self._taken: set[str] = set()
        """Those names in lower case: some file systems do not tell a from A."""
        self.crops: Counter[Path] = Counter()
        self.annotations: list[Annotation] = []
        self.rows: list[list[str]] = []

    def add(self, annotation: Annotation, photo: Photo) -> None:
        path, name = annotation.image, self._name(annotation.image)
        if annotation.crop:
            name = crop_name(name, self.crops[path])
            self.crops[path] += 1
        suffix = ".png" if photo.encoded.startswith(b"\x89PNG") else ".jpg"
        image_id = f"Images/{annotation.category}/{name}{suffix}"
        target = self._folder / image_id
        target.parent.mkdir(parents=True, exist_ok=True)
        if photo.encoded == path.read_bytes():
            link(path, target)
        else:
            target.write_bytes(photo.encoded)
        points = zip(photo.annotation.points, annotation.v)
        cells = [f"{x:.2f}_{y:.2f}_{v}" if v >= 0 else "-1_-1_-1" for (x, y), v in points]
        self.rows.append([image_id, annotation.category, *cells])
        self.annotations.append(annotation)

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
