"""Reads COCO keypoint annotations.

    {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name", "keypoints": [names]}],
     "annotations": [{"id", "image_id", "category_id", "keypoints": [x, y, v, ...], "bbox": [x, y, width, height]}]}

COCO's v is 0 not labelled, 1 occluded, 2 visible; ours is one less. Source: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.data.annotations import Annotation, Box, Refusal, box_round
from pipeline.data.coco_file import CocoFile, Raw, Table, find_photo, id_of, key_of
from pipeline.data.names import Files
from pipeline.data.sets import KEYPOINTS_FILE, plain
from pipeline.data.split import crop_name
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS, KeypointSet

MARGIN = 0.1
"""Room left round a thing that is cut out, as a share of its sides."""


@dataclass(frozen=True)
class Labels:
    """What a COCO file says of a keypoint set."""

    annotations: list[Annotation]
    refusals: list[Refusal]
    """Annotations that cannot be used."""
    without_keypoints: int
    """Annotations that are passed over: none of their points is labelled, and they say so."""
    guessed: int
    """Annotations whose category was chosen by their points, because their own is not in the set."""


@dataclass(frozen=True)
class _Category:
    name: str
    ours: str | None
    slots: tuple[int | None, ...]
    """For each of the category's keypoints the index of ours; None for one that is left out."""

    @property
    def known(self) -> bool:
        return any(slot is not None for slot in self.slots)


def read_names(values: Sequence[str], keypoints: KeypointSet = GARMENTS) -> dict[str, str]:
    """`theirs=ours` pairs, each given as such or in a JSON file of one object; an empty `ours` leaves a point out.

    Raises DataError for what is neither, and where `ours` is not a keypoint or a category of the set.
    """
    names: dict[str, str] = {}
    for value in values:
        if "=" in value:
            theirs, _, ours = value.partition("=")
            names[plain(theirs)] = ours
            continue
        try:
            names.update({plain(theirs): str(ours) for theirs, ours in json.loads(Path(value).read_bytes()).items()})
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"--map {value}: expected name=name, or a JSON file of such pairs: {error}") from error
    known = (*keypoints.category_names, *keypoints.keypoints)
    for theirs, ours in names.items():
        if ours and ours not in known:
            raise DataError(f"--map {theirs}={ours}: {ours!r} is not a name here; these are: {', '.join(known)}")
    return names


def read(
    file: CocoFile,
    folder: Path | None,
    keypoints: KeypointSet,
    names: Mapping[str, str] | None = None,
    *,
    margin: float = MARGIN,
    crop_all: bool = False,
) -> Labels:
    """The things of a file whose photos are in `folder`; without one the photos are not looked for.

    `names` are from `read_names`. Where a photo shows several things (with `crop_all` everywhere) each has a crop: its
    box and `margin` of the box's sides round it. An id that is given twice makes whatever refers to it unusable; so
    does a photo that two image ids name. Raises DataError where no annotation has keypoints, or where some keypoints of
    a category are in the set and others are not.
    """
    path, files = file.path, Files()
    photos: dict[int, Path | None] = {}
    for image in file.images:
        found = find_photo(image, folder) if folder else Path(str(image.get("file_name")))
        photos[id(image)] = files.first(found) if found else None
    images = Table("image id", file.images, id_of, lambda each: each.get("file_name"))
    by_photo = Table("photo", file.images, lambda each: photos[id(each)], lambda each: f"image id {each.get('id')}")
    named = Table("category id", file.categories, id_of, lambda each: each.get("name"))
    categories = {key_of(id_of(each)): _category(each, keypoints, names, path) for each in file.categories}
    pointed = [each for each in file.annotations if each.get("keypoints") or "image_id" not in each]
    owner = "an annotation of image id {}".format
    numbered = Table("annotation id", pointed, id_of, lambda each: owner(each.get("image_id")))
    known = {key for key, category in categories.items() if category.known}
    count = Counter(key_of(each.get("image_id")) for each in pointed if key_of(each.get("category_id")) in known)
    crops: Counter[Path] = Counter()
    labels = []
    refusals: list[Refusal] = []
    passed_over = len(file.annotations) - len(pointed)
    guessed = 0
    for position, annotation in enumerate(pointed):
        where = f"{path}: annotation {annotation.get('id', position)}"
        try:
            if annotation.get("num_keypoints") == 0 and not any(annotation["keypoints"][2::3]):
                passed_over += 1
                continue
            if id_of(annotation) is not None:
                numbered.find(id_of(annotation))
            image = images.find(annotation["image_id"])
            photo = photos[id(image)]
            if photo is None:
                raise ValueError(f"{image['file_name']}: no such file in {folder}")
            by_photo.find(photo)
            named.find(annotation["category_id"])
            category = categories[key_of(annotation["category_id"])]
            cut = margin if crop_all or count[key_of(annotation["image_id"])] > 1 else None
            name = photo.relative_to(folder) if folder else photo
            if cut is not None:
                name = name.with_name(crop_name(name.stem, crops[photo]) + name.suffix)
            labels.append(_annotation(annotation, image, name.as_posix(), photo, category, keypoints, cut, where))
            crops[photo] += 1
            guessed += category.ours is None
        except ValueError as error:
            refusals.append(Refusal(where, str(error)))
        except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
            refusals.append(Refusal(where, f"not as COCO has it: {error!r}"))
    if not pointed:
        raise DataError(f"{path}: none of its {len(file.annotations)} annotations has keypoints.")
    return Labels(labels, refusals, passed_over, guessed)


def _category(raw: Raw, keypoints: KeypointSet, names: Mapping[str, str] | None, path: Path) -> _Category:
    """Raises DataError where some of its keypoints are ours and others cannot be placed: they would count as absent."""
    name, points = str(raw.get("name", raw.get("id"))), raw.get("keypoints") or ()
    theirs = [str(each) for each in points] if isinstance(points, (list, tuple)) else []
    index = {plain(each): number for each, number in keypoints.index.items()} | keypoints.index
    mapped = names or {}
    found = [mapped.get(plain(each), each if each in index else plain(each)) for each in theirs]
    slots = tuple(index.get(each) for each in found)
    strange = [name for name, ours, slot in zip(theirs, found, slots) if slot is None and ours]
    known = [keypoints.keypoints[slot] for slot in slots if slot is not None]
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice or (known and strange):
        what = f"two keypoints are {twice[0]}" if twice else f"no keypoint here is called {', '.join(strange)}"
        hint = "--map <theirs>=<ours> renames one, --map <theirs>= leaves it out."
        if names is None:
            hint = f"A {KEYPOINTS_FILE} beside the photos says which there are."
        raise DataError(f"{path}: category {name!r}: {what}. {hint}")
    kinds = {plain(each): each for each in keypoints.category_names} | {each: each for each in keypoints.category_names}
    return _Category(name, kinds.get(mapped.get(plain(name), name if name in kinds else plain(name))), slots)


def _annotation(
    raw: Raw,
    image: Raw,
    image_id: str,
    photo: Path,
    category: _Category,
    keypoints: KeypointSet,
    margin: float | None,
    where: str,
) -> Annotation:
    """With a `margin` it has a crop. Raises ValueError with the reason for an annotation that cannot be used."""
    if raw.get("iscrowd"):
        raise ValueError(f"it is a crowd (iscrowd), not one {keypoints.thing}")
    if not category.known:
        raise ValueError(
            f"none of the keypoints of category {category.name!r} is in the set of {keypoints.thing}s; "
            f"`convert --map` renames them"
        )
    points, v = _points(raw["keypoints"], category, len(keypoints))
    marked = [index for index, each in enumerate(v) if each >= 0]
    if not marked:
        raise ValueError("no point is marked")
    left, top, right, bottom = box_round(points, v)
    if raw.get("bbox") and any(raw["bbox"][2:]):  # [0, 0, 0, 0] is COCO Annotator's way to say that there is none
        x, y, width, height = map(_finite, raw["bbox"])
        left, top, right, bottom = min(left, x), min(top, y), max(right, x + width), max(bottom, y + height)
    stated = image.get("width"), image.get("height")
    return Annotation(
        image_id=image_id,
        image=photo,
        category=category.ours or _fitting(marked, keypoints),
        points=tuple(points),
        v=tuple(v),
        box=(right - left, bottom - top),
        source=where,
        stated_area=max(0.0, _finite(raw.get("area") or 0)),
        size=(int(_finite(stated[0])), int(_finite(stated[1]))) if all(stated) else None,
        crop=None if margin is None else _widened((left, top, right, bottom), margin),
    )


def _widened(box: Box, margin: float) -> Box:
    left, top, right, bottom = box
    wide, high = margin * (right - left), margin * (bottom - top)
    return left - wide, top - high, right + wide, bottom + high


def _points(flat: Sequence[Any], category: _Category, size: int) -> tuple[list[tuple[float, float]], list[int]]:
    if len(flat) != 3 * len(category.slots):
        raise ValueError(f"expected 3 numbers for each of {len(category.slots)} keypoints, found {len(flat)} numbers")
    points, v = [(-1.0, -1.0)] * size, [-1] * size
    for slot, x, y, seen in zip(category.slots, flat[::3], flat[1::3], flat[2::3]):
        if seen not in (0, 1, 2):
            raise ValueError(f"v is {seen!r}; expected 0, 1 or 2")
        if slot is not None and seen:
            points[slot], v[slot] = (_finite(x), _finite(y)), int(seen) - 1
    return points, v


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a number of pixels")
    return number


def _fitting(marked: Sequence[int], keypoints: KeypointSet) -> str:
    """The category that can have the most of the marked points, and of those the one that lacks the fewest others."""

    def fit(category: str) -> tuple[int, int]:
        possible = keypoints.can_have(category)
        return len(set(marked) & set(possible)), -len(possible)

    return max(keypoints.category_names, key=fit)
