"""Finds COCO files in a folder, and the folder that each one's photos are in, as COCO and labelling tools lay them out.

    annotations/person_keypoints_train2017.json, train2017/      COCO
    annotations/person_keypoints_default.json, images/default/   CVAT
    train/_annotations.coco.json, train/, valid/, test/          Roboflow
    labels.json, images/                                         and so on

Their categories say which keypoints there are, unless a keypoints.json in the folder does.
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.data import coco, coco_file
from pipeline.data.annotations import Part
from pipeline.data.coco_file import CocoFile
from pipeline.data.names import is_file
from pipeline.data.sets import KEYPOINTS_FILE, beside, from_categories
from pipeline.data.split import SPLITS
from pipeline.errors import DataError
from seamline_client.keypoints import KeypointSet

_ANNOTATIONS = ("annotations", "Annotations")
_COCOS_OTHERS = ("captions_", "image_info_", "instances_", "panoptic_", "stuff_")
"""How COCO calls its files about other things."""
_TRIED = 100
"""Photos of a file that are looked for in each folder that could be theirs; all of them, where none of these is."""


def find(folder: Path) -> list[Path]:
    """JSON files in the folder, in those of its splits, and in the annotations/ of each.

    COCO's own annotations/ has files about other things too: where names there speak of keypoints, only those count.
    """
    found = [path for place in _places(folder) for path in _files(place)]
    for place in _annotations(folder):
        files = _files(place)
        found += [path for path in files if "keypoint" in path.name.lower()] or files
    return list({path.resolve(): path for path in found}.values())  # annotations and Annotations may be one


def _unread(folder: Path) -> list[str]:
    """Those in annotations/ that `find` leaves out, but for COCO's own, of which nobody expects anything else."""
    read = {path.resolve() for path in find(folder)}
    files = [path for place in _annotations(folder) for path in _files(place)]
    return [str(path) for path in files if not (path.resolve() in read or path.name.startswith(_COCOS_OTHERS))]


def _places(folder: Path) -> list[Path]:
    return [folder, *(folder / split for split in SPLITS)]


def _annotations(folder: Path) -> list[Path]:
    places = [place / name for place in _places(folder) for name in _ANNOTATIONS]
    return list({place.resolve(): place for place in places}.values())


def _files(place: Path) -> list[Path]:
    paths = sorted(place.glob("*.json")) if place.is_dir() else []
    return [path for path in paths if path.name != KEYPOINTS_FILE and not path.name.startswith(".") and is_file(path)]


def keypoints_of(source: Path) -> tuple[KeypointSet, list[str]]:
    """The set of the categories in a file, or in those of a folder, and what a person should know about it.

    Raises DataError where there are no such files or categories.
    """
    return _keypoints_of(_load(source, find(source) if source.is_dir() else [source])[0])


def _keypoints_of(files: list[CocoFile]) -> tuple[KeypointSet, list[str]]:
    return from_categories((file.path, each) for file in files for each in file.categories)


def _load(source: Path, paths: list[Path]) -> tuple[list[CocoFile], list[str]]:
    """Files with keypoints, and the paths of those without."""
    files, others = [], []
    for path in paths:
        try:
            file = coco_file.load(path)
            has_keypoints = any(each.get("keypoints") for each in file.categories)
        except coco_file.NotCoco:
            has_keypoints = False
        if has_keypoints:
            files.append(file)
        else:
            others.append(str(path))
    if not files:
        raise DataError(f"{source}: no COCO file in which a category has keypoints.")
    return files, others


def read(
    folder: Path, paths: list[Path], keypoints: KeypointSet | None = None
) -> tuple[KeypointSet, list[Part], list[str]]:
    """The keypoint set, what each file says, and sentences for people. The set is as `sources.read_folder` says.

    Raises DataError where no category has keypoints, for a file whose photos are not there, and as `coco` does.
    """
    files, others = _load(folder, paths)
    stated = beside(folder) or keypoints
    keypoints, notes = (stated, []) if stated else _keypoints_of(files)
    parts, passed_over, guessed = [], 0, 0
    for file in files:
        labels = coco.read(file, photos_of(folder, file), keypoints)
        parts.append(Part(_split(folder, file.path), labels.annotations, labels.refusals))
        passed_over += labels.without_keypoints
        guessed += labels.guessed
    if unread := _unread(folder):
        notes.append(f"not read, for files beside them are named for keypoints: {', '.join(unread)}")
    if others:
        notes.append(f"passed over, for they have no categories with keypoints: {', '.join(others)}")
    cut = sum(each.crop is not None for part in parts for each in part.annotations)
    if cut:
        notes.append(
            f"cut out of photos that show several: {keypoints.counted(cut)}. The model looks at one in a picture."
        )
    if guessed:
        notes.append(
            f"of a category that is not in the set, and given one by their points: {keypoints.counted(guessed)}."
        )
    if passed_over:
        notes.append(f"passed over, for they have no keypoints: {passed_over} annotations.")
    return keypoints, parts, notes


def photos_of(folder: Path, file: CocoFile) -> Path:
    """The folder where the file's photos are. Raises DataError where none of the first of them is found."""
    places = [file.path.parent, folder, folder / "images", folder / "Images"]
    places += [sub for place in places[1:] if place.is_dir() for sub in sorted(place.iterdir()) if sub.is_dir()]
    split = _split(folder, file.path)
    if split:  # photos of another one may have the same names
        places = [place for place in places if place == folder or _named(place.name) in (None, split)]
    some = file.images[:: max(1, len(file.images) // _TRIED)]
    for images in (some, file.images):
        found = {place: sum(coco_file.find_photo(each, place) is not None for each in images) for place in places}
        best = max(places, key=lambda each: (found[each], each.name in file.path.stem, each == file.path.parent))
        if found[best] or not images:
            return best
    tried = ", ".join(sorted({str(place) for place in places if place.is_dir()}))
    raise DataError(
        f"{file.path}: its photos are not there: {file.images[0].get('file_name')}, for one, is in none of {tried}. "
        f"Put them there, or take this file out."
    )


def _split(folder: Path, path: Path) -> str | None:
    """By the file's name, as in person_keypoints_val2017.json, or else by the folder's, as in valid/labels.json."""
    return _named(" ".join([path.stem, *path.relative_to(folder).parts[:-1]]))


def _named(text: str) -> str | None:
    return next((SPLITS[word] for word in re.findall("[a-z]+", text.lower()) if word in SPLITS), None)
