"""Reads a folder of annotated photos, whichever layout it is in."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from pipeline.data import coco_folder, fashionai
from pipeline.data.annotations import Annotated, Annotation, Refusal
from pipeline.data.names import Files
from pipeline.data.split import split_of
from pipeline.errors import DataError
from seamline_client.errors import one_line
from seamline_client.keypoints import GARMENTS, KeypointSet

_LAYOUTS = (
    "Annotations/*.csv and Images/<category>/*.jpg (FashionAI), or annotations/*.json and their photos (COCO keypoints)"
)


def read_folder(folder: Path, keypoints: KeypointSet | None = None, *, training: bool = True) -> Annotated:
    """The annotations of a folder, split as its files or subfolders are, or else by the photos' names.

    They are read as of `keypoints`, or of the set that the files have; one beside the photos comes before either.

    A photo that two rows or two files speak of, in train and in val or by another name that links to it, is not used:
    only a person knows which one is right. Raises DataError where nothing is found, for a file that cannot be read, and
    where `training` has no photos to go on.
    """
    if not folder.is_dir():
        found = "not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {found}. Expected annotated photos: {_LAYOUTS}.")
    notes: list[str] = []
    if sources := fashionai.find_sources(folder, keypoints or GARMENTS):
        keypoints, parts = sources[0].keypoints, list(map(fashionai.read, sources))
        if files := coco_folder.find(folder):
            names = one_line(", ".join(path.name for path in files[:3]))
            notes.append(
                f"not read, for there are CSV files in the FashionAI layout: {len(files)} JSON file(s): {names}"
            )
    elif files := coco_folder.find(folder):
        keypoints, parts, notes = coco_folder.read(folder, files, keypoints)
    else:
        raise DataError(f"{folder}: no annotations found. Expected {_LAYOUTS}, here or in train/ and val/.")
    if others := fashionai.passed_over(folder):
        names = one_line(", ".join(path.name for path in others[:3]))
        notes.append(f"passed over {len(others)} hidden or unlabelled CSV file(s): {names}")
    named = {part.split for part in parts}
    if training and named == {"eval"}:
        raise DataError(f"{folder}: it has photos to evaluate on, but none to train on. Put those into train/.")
    annotated = Annotated(keypoints, {"train": [], "eval": []}, [], notes)
    by_photo: dict[Path, list[tuple[int, str, Annotation]]] = defaultdict(list)
    photos = Files()
    for number, part in enumerate(parts):
        annotated.refusals.extend(part.refusals)
        for each in part.annotations:
            split = part.split if part.split and named != {"train"} else split_of(each.image_id)
            by_photo[photos.first(each.image)].append((number, split, each))
    for rows in by_photo.values():
        if len(rows) == 1 or (len({number for number, _, _ in rows}) == 1 and all(each.crop for _, _, each in rows)):
            for _, split, each in rows:
                annotated.splits[split].append(each)
            continue
        places = " and ".join(each.source for _, _, each in rows)
        reason = f"has {len(rows)} rows: {places}. Keep the right one."
        annotated.refusals.extend(Refusal(each.source, f"{each.image_id} {reason}") for _, _, each in rows)
    return annotated
