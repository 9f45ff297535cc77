"""Annotations of 523 photos of a public set, for those who have fetched it: see README.md in this folder."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from pipeline.data.folders import link, new_folder
from pipeline.errors import DataError

ANNOTATIONS = Path(__file__).resolve().parent
SPLITS = ("train", "val")


def arrange(photos: Path, folder: Path) -> dict[str, int]:
    """Makes `folder` a data set of the photos below `photos` that are annotated; the number of photos of each split.

    The photos are found by name, wherever below `photos` they are, and linked where they can be, else copied. The
    folder appears when it is whole. Raises DataError when it is there already, or a photo is missing.
    """
    if folder.exists():
        raise DataError(f"{folder}: is there already; delete it, or name another folder")
    found = {path.name: path for path in photos.rglob("*.jpg")}
    rows = {split: annotated(split) for split in SPLITS}
    wanted = [Path(image_id) for image_ids in rows.values() for image_id in image_ids]
    missing = [image_id.name for image_id in wanted if image_id.name not in found]
    if missing:
        raise DataError(
            f"{photos}: {len(missing)} of {len(wanted)} annotated photos are not there, {missing[0]} for one. "
            f"Expected the photos of github.com/alexeygrigorev/clothing-dataset, under the names that they have there."
        )
    with new_folder(folder) as partial:
        for split, image_ids in rows.items():
            for image_id in image_ids:
                target = partial / split / image_id
                target.parent.mkdir(parents=True, exist_ok=True)
                link(found[target.name], target)
            target = partial / split / "Annotations" / f"{split}.csv"
            target.parent.mkdir()
            shutil.copyfile(ANNOTATIONS / target.name, target)
    return {split: len(image_ids) for split, image_ids in rows.items()}


def annotated(split: str) -> list[str]:
    """Of the annotated photos of a split, in FashionAI's form: `Images/<category>/<file>.jpg`."""
    with (ANNOTATIONS / f"{split}.csv").open(newline="") as file:
        return [row["image_id"] for row in csv.DictReader(file)]
