"""Reads COCO keypoint annotations as garments with our points.

    {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name", "keypoints": [names]}],
     "annotations": [{"id", "image_id", "category_id", "keypoints": [x, y, v, ...], "bbox": [x, y, width, height]}]}

COCO's v is 0 not labelled, 1 occluded, 2 visible; ours is one less. Source: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.data.annotations import Refusal
from pipeline.data.names import Files, is_file, with_slashes
from pipeline.errors import DataError
from seamline_client.keypoints import CATEGORIES, CATEGORY_KEYPOINTS, INDEX, KEYPOINTS

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True)
class Garment:
    """One annotation. `points` and `v` are in the order of KEYPOINTS, v as in FashionAI; absent points are (-1, -1)."""

    photo: Path
    """Its file, below the folder of photos. A photo has the same path in all of its garments."""
    size: tuple[int, int] | None
    """Width and height, where the file states them."""
    category: str
    alone: bool
    """Whether no other garment of its photo is annotated, usable or not."""
    guessed: bool
    """Whether the category was chosen by the points, because the file's own is not one of ours."""
    points: tuple[tuple[float, float], ...]
    v: tuple[int, ...]
    box: Box
    """Round the points, and the annotation's own bbox where it has one."""
    source: str


@dataclass(frozen=True)
class Labels:
    """What a COCO file holds."""

    garments: list[Garment]
    refusals: list[Refusal]
    """Annotations that cannot be used."""
    without_keypoints: int
    """Annotations that are passed over: some tools demand a rectangle beside the points."""


@dataclass(frozen=True)
class _Category:
    name: str
    ours: str | None
    slots: tuple[int | None, ...]
    """For each of the category's keypoints the index of ours; None for one that is left out."""

    @property
    def known(self) -> bool:
        return any(slot is not None for slot in self.slots)


_Raw = Mapping[str, Any]
_Name = Callable[[_Raw], object]


class _Table:
    """The entries of a list by what should be unique to each. Tools write ids as numbers or text, and mix the two."""

    def __init__(self, what: str, entries: Iterable[_Raw], key: _Name, owner: _Name) -> None:
        """Messages call a key `what`, and whoever has it what `owner` returns."""
        self._what, self._owner = what, owner
        self._entries: dict[str, list[_Raw]] = {}
        for entry in entries:
            self._entries.setdefault(_key(key(entry)), []).append(entry)

    def find(self, key: object) -> _Raw:
        """Raises ValueError for a key that nothing has, or that is given twice."""
        entries = self._entries.get(_key(key), [])
        if not entries:
            raise ValueError(f"there is no {self._what} {key}")
        if len(entries) > 1:
            owners = " and to ".join(str(self._owner(entry)) for entry in entries)
            raise ValueError(f"{self._what} {key} is given {len(entries)} times, to {owners}")
        return entries[0]


def _id(entry: _Raw) -> object:
    return entry.get("id")


def _key(value: object) -> str:
    """1, 1.0 and "1" are one id: what went through a spreadsheet or a data frame comes back as another type."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for an object of JSON that has a key twice, of which json would drop one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is given twice in one object")
    return found


def read_names(values: Sequence[str]) -> dict[str, str]:
    """`theirs=ours` pairs, each given as such or in a JSON file of one object; an empty `ours` leaves a point out.

    Raises DataError for what is neither, and where `ours` is not a keypoint or a category of ours.
    """
    names: dict[str, str] = {}
    for value in values:
        if "=" in value:
            theirs, _, ours = value.partition("=")
            names[_plain(theirs)] = ours
            continue
        try:
            names.update({_plain(theirs): str(ours) for theirs, ours in json.loads(Path(value).read_bytes()).items()})
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"--map {value}: expected name=name, or a JSON file of such pairs: {error}") from error
    for theirs, ours in names.items():
        if ours and ours not in INDEX and ours not in CATEGORIES:
            known = ", ".join((*CATEGORIES, *KEYPOINTS))
            raise DataError(f"--map {theirs}={ours}: {ours!r} is not a name here; these are: {known}")
    return names


def read(path: Path, folder: Path, names: Mapping[str, str]) -> Labels:
    """The garments of a COCO file whose photos are in `folder`. Raises DataError if it is no such file.

    An id that is given twice makes whatever refers to it unusable; so does a photo that two image ids name.
    """
    files = Files()

    def photo(image: _Raw) -> Path | None:
        found = _find(image, folder)
        return files.first(found) if found else None

    try:
        raw = json.loads(path.read_bytes(), object_pairs_hook=_without_repeats)
        images = _Table("image id", raw["images"], _id, lambda each: each.get("file_name"))
        photos = _Table("photo", raw["images"], photo, lambda each: f"image id {each.get('id')}")
        named = _Table("category id", raw["categories"], _id, lambda each: each.get("name"))
        categories = {_key(_id(each)): _category(each, names, path) for each in raw["categories"]}
        annotations = [each if isinstance(each, dict) else {} for each in raw["annotations"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # Not repr(error): that of text in another encoding has the whole file in it.
        reason = f"cannot be read as COCO keypoints (images, categories, annotations): {type(error).__name__}: {error}"
        raise DataError(f"{path}: {reason}") from error
    pointed = [each for each in annotations if each.get("keypoints") or "image_id" not in each]
    owner = "an annotation of image id {}".format
    numbered = _Table("annotation id", pointed, _id, lambda each: owner(each.get("image_id")))
    known = {key for key, category in categories.items() if category.known}
    count = Counter(_key(each.get("image_id")) for each in pointed if _key(each.get("category_id")) in known)
    garments: list[Garment] = []
    refusals: list[Refusal] = []
    for position, annotation in enumerate(pointed):
        where = f"{path}: annotation {annotation.get('id', position)}"
        try:
            if _id(annotation) is not None:
                numbered.find(_id(annotation))
            image = images.find(annotation["image_id"])
            found = photo(image)
            if found is None:
                raise ValueError(f"{image['file_name']}: no such file in {folder}")
            photos.find(found)
            named.find(annotation["category_id"])
            category = categories[_key(annotation["category_id"])]
            alone = count[_key(annotation["image_id"])] <= 1
            garments.append(_garment(annotation, image, found, category, alone, where))
        except ValueError as error:
            refusals.append(Refusal(where, str(error)))
        except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
            refusals.append(Refusal(where, f"not as COCO has it: {error!r}"))
    if not pointed:
        raise DataError(f"{path}: none of its {len(annotations)} annotations has keypoints.")
    return Labels(garments, refusals, len(annotations) - len(pointed))


def _find(image: _Raw, folder: Path) -> Path | None:
    """Below `folder`, whether the name starts there or, as `predict.py --coco` has it, where we are."""
    # COCO Annotator leaves the folders out of file_name. Its path has them, behind those of the tool's own server.
    parts = PurePosixPath(str(image.get("path") or "").replace("\\", "/")).parts
    names = ["/".join(parts[start:]) for start in range(len(parts) - 1)]
    for name in (*names, str(image.get("file_name"))):
        for start in (folder, Path()):
            there = start / with_slashes(name, start)
            if not is_file(there):
                continue
            # A link may lead out of the folder, or into it: somebody has put it there. A name may not.
            for really in (os.path.abspath, os.path.realpath):
                root, found = Path(really(folder)), Path(really(there))
                if root in found.parents:
                    return folder / found.relative_to(root)
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _category(raw: dict[str, Any], names: Mapping[str, str], path: Path) -> _Category:
    """Raises DataError where some of its keypoints are ours and others cannot be placed: they would count as absent."""
    name = str(raw.get("name", raw.get("id")))
    theirs = [str(each) for each in raw.get("keypoints") or ()]
    found = [names.get(_plain(each), _plain(each)) for each in theirs]
    slots = tuple(INDEX.get(each) for each in found)
    strange = [name for name, ours, slot in zip(theirs, found, slots) if slot is None and ours]
    known = [KEYPOINTS[slot] for slot in slots if slot is not None]
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice or (known and strange):
        what = f"two keypoints are {twice[0]}" if twice else f"no keypoint here is called {', '.join(strange)}"
        raise DataError(
            f"{path}: category {name!r}: {what}. --map <theirs>=<ours> renames one, --map <theirs>= leaves it out."
        )
    ours = names.get(_plain(name), _plain(name))
    return _Category(name, ours if ours in CATEGORIES else None, slots)


def _garment(raw: _Raw, image: _Raw, photo: Path, category: _Category, alone: bool, where: str) -> Garment:
    """Raises ValueError with the reason for an annotation that cannot be used."""
    if raw.get("iscrowd"):
        raise ValueError("it is a crowd (iscrowd), not one garment")
    if not category.known:
        raise ValueError(f"none of the keypoints of category {category.name!r} is ours; --map renames them")
    points, v = _points(raw["keypoints"], category)
    marked = [index for index, each in enumerate(v) if each >= 0]
    if not marked:
        raise ValueError("no point is marked")
    xs, ys = zip(*(points[index] for index in marked))
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    if raw.get("bbox") and any(raw["bbox"][2:]):  # [0, 0, 0, 0] is COCO Annotator's way to say that there is none
        x, y, width, height = map(_finite, raw["bbox"])
        left, top, right, bottom = min(left, x), min(top, y), max(right, x + width), max(bottom, y + height)
    stated = image.get("width"), image.get("height")
    return Garment(
        photo=photo,
        size=(int(_finite(stated[0])), int(_finite(stated[1]))) if all(stated) else None,
        category=category.ours or _fitting(marked),
        alone=alone,
        guessed=category.ours is None,
        points=tuple(points),
        v=tuple(v),
        box=(left, top, right, bottom),
        source=where,
    )


def _points(flat: Sequence[Any], category: _Category) -> tuple[list[tuple[float, float]], list[int]]:
    if len(flat) != 3 * len(category.slots):
        raise ValueError(f"expected 3 numbers for each of {len(category.slots)} keypoints, found {len(flat)} numbers")
    points, v = [(-1.0, -1.0)] * len(KEYPOINTS), [-1] * len(KEYPOINTS)
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


def _fitting(marked: Sequence[int]) -> str:
    """The category that can have the most of the marked points, and of those the one that lacks the fewest others."""

    def fit(category: str) -> tuple[int, int]:
        possible = CATEGORY_KEYPOINTS[category]
        return len(set(marked) & set(possible)), -len(possible)

    return max(CATEGORIES, key=fit)
