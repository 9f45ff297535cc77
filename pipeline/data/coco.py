"""Reads COCO keypoint annotations as garments with our points.

    {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name", "keypoints": [names]}],
     "annotations": [{"id", "image_id", "category_id", "keypoints": [x, y, v, ...], "bbox": [x, y, width, height]}]}

COCO's v is 0 not labelled, 1 occluded, 2 visible; ours is one less. Source: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.data.annotations import Refusal
from pipeline.errors import DataError
from seamline_client.keypoints import CATEGORIES, CATEGORY_KEYPOINTS, INDEX, KEYPOINTS

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True)
class Garment:
    """One annotation. `points` and `v` are in the order of KEYPOINTS, v as in FashionAI; absent points are (-1, -1)."""

    number: int
    photo: str
    """The image's `file_name`."""
    size: tuple[int, int] | None
    """Width and height, where the file tells them."""
    category: str
    alone: bool
    """Whether no other garment of its photo is annotated, usable or not."""
    told: bool
    """Whether the category is the file's own, not the one that its points fit best."""
    points: tuple[tuple[float, float], ...]
    v: tuple[int, ...]
    box: Box
    """Round the points, and the annotation's own bbox where it has one."""
    source: str


@dataclass(frozen=True)
class _Category:
    name: str
    ours: str | None
    slots: tuple[int | None, ...]
    """For each of the category's keypoints the index of ours; None for one that is left out."""

    @property
    def known(self) -> bool:
        return any(slot is not None for slot in self.slots)


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
            names.update({_plain(theirs): ours for theirs, ours in json.loads(Path(value).read_text()).items()})
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"--map {value}: expected name=name, or a JSON file of such pairs: {error}") from error
    for theirs, ours in names.items():
        if ours and ours not in INDEX and ours not in CATEGORIES:
            known = ", ".join((*CATEGORIES, *KEYPOINTS))
            raise DataError(f"--map {theirs}={ours}: there is no {ours!r} here; there are {known}")
    return names


def read(path: Path, names: Mapping[str, str]) -> tuple[list[Garment], list[Refusal]]:
    """The garments of a COCO file, and what cannot be used. Raises DataError where nothing in it can."""
    try:
        raw = json.loads(path.read_bytes())
        images = {image["id"]: image for image in raw["images"]}
        categories = {each["id"]: _category(each, names, path) for each in raw["categories"]}
        annotations = list(raw["annotations"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: cannot be read as COCO keypoints (images, categories, annotations): {error!r}"
        ) from error
    garments: list[Garment] = []
    refusals: list[Refusal] = []
    many = _photos_of_several(annotations, categories)
    for position, annotation in enumerate(annotations):
        where = f"{path}: annotation {annotation.get('id', position) if isinstance(annotation, dict) else position}"
        try:
            garments.append(_garment(annotation, position, images, categories, many, where))
        except ValueError as error:
            refusals.append(Refusal(where, str(error)))
        except (KeyError, TypeError, AttributeError) as error:
            refusals.append(Refusal(where, f"not as COCO has it: {error!r}"))
    return garments, refusals


def _photos_of_several(annotations: Sequence[Any], categories: Mapping[Any, _Category]) -> frozenset[str]:
    """Images, as JSON, that more than one annotation with keypoints of ours is of."""
    ours = {json.dumps(number) for number, category in categories.items() if category.known}
    seen = Counter(
        json.dumps(each.get("image_id"))
        for each in annotations
        if isinstance(each, dict) and json.dumps(each.get("category_id")) in ours
    )
    return frozenset(image for image, count in seen.items() if count > 1)


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _category(raw: dict[str, Any], names: Mapping[str, str], path: Path) -> _Category:
    """Raises DataError where some of its keypoints are ours and others cannot be placed: they would count as absent."""
    theirs = [str(each) for each in raw.get("keypoints", ())]
    found = [names.get(_plain(each), _plain(each)) for each in theirs]
    slots = tuple(INDEX.get(each) for each in found)
    strange = [name for name, ours, slot in zip(theirs, found, slots) if slot is None and ours]
    known = [KEYPOINTS[slot] for slot in slots if slot is not None]
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice or (known and strange):
        what = f"two keypoints are {twice[0]}" if twice else f"no keypoint here is called {', '.join(strange)}"
        raise DataError(
            f"{path}: category {raw['name']!r}: {what}. "
            "--map <theirs>=<ours> renames one, --map <theirs>= leaves it out."
        )
    name = _plain(str(raw["name"]))
    ours = names.get(name, name)
    return _Category(str(raw["name"]), ours if ours in CATEGORIES else None, slots)


def _garment(
    raw: dict[str, Any],
    position: int,
    images: dict[Any, Any],
    categories: dict[Any, _Category],
    many: frozenset[str],
    where: str,
) -> Garment:
    """Raises ValueError with the reason for an annotation that cannot be used."""
    if raw["image_id"] not in images:
        raise ValueError(f"there is no image {raw['image_id']!r}")
    if raw["category_id"] not in categories:
        raise ValueError(f"there is no category {raw['category_id']!r}")
    image, category = images[raw["image_id"]], categories[raw["category_id"]]
    if raw.get("iscrowd"):
        raise ValueError("it is a crowd (iscrowd), not one garment")
    if not category.known:
        raise ValueError(f"none of the keypoints of category {category.name!r} is ours; --map renames them")
    points, v = _points(raw.get("keypoints", ()), category)
    marked = [index for index, each in enumerate(v) if each >= 0]
    if not marked:
        raise ValueError("no point is marked")
    chosen = category.ours or _fitting(marked, category.name)
    for index in marked:
        if index not in CATEGORY_KEYPOINTS[chosen]:
            raise ValueError(f"{KEYPOINTS[index]} is marked, but a {chosen} has no such point")
    xs, ys = zip(*(points[index] for index in marked))
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    if raw.get("bbox"):
        x, y, width, height = map(_finite, raw["bbox"])
        left, top, right, bottom = min(left, x), min(top, y), max(right, x + width), max(bottom, y + height)
    size = (int(image["width"]), int(image["height"])) if image.get("width") and image.get("height") else None
    return Garment(
        number=raw["id"] if isinstance(raw.get("id"), int) else position,
        photo=str(image["file_name"]),
        size=size,
        category=chosen,
        alone=json.dumps(raw["image_id"]) not in many,
        told=category.ours is not None,
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


def _fitting(marked: Sequence[int], name: str) -> str:
    """The category that can have all the marked points and lacks the fewest others."""
    possible = [each for each, points in CATEGORY_KEYPOINTS.items() if set(marked) <= set(points)]
    if not possible:
        points = ", ".join(KEYPOINTS[index] for index in marked)
        raise ValueError(f"category {name!r} is not ours, and no garment has all of its points ({points})")
    return min(possible, key=lambda each: len(CATEGORY_KEYPOINTS[each]))
