"""Where a keypoint set comes from: a file beside the photos, or the categories of COCO files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from seamline_client.keypoints import BOX, GARMENTS, KeypointSet, load, read

KEYPOINTS_FILE = "keypoints.json"

_BOTH_SIDES = {
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
}
COCO_SIGMAS = {"nose": 0.026, **{f"{side}_{part}": s for part, s in _BOTH_SIDES.items() for side in ("left", "right")}}
"""Those of COCO's 17 points of persons, by name (https://cocodataset.org/#keypoints-eval). No others are published."""

_SIDES = (
    re.compile("left|right", re.IGNORECASE),
    re.compile("(?<![A-Za-z])[lr](?![A-Za-z])", re.IGNORECASE),  # l_eye, eye.R, L1
    re.compile("^[LR](?=[A-Z])|(?<=[a-z0-9])[LR](?![a-z])"),  # LEye, eyeL
    re.compile("^[lr]", re.IGNORECASE),  # lshoulder
)
"""What tells the two names of a pair apart, the surest first. It makes a pair only where the other name is there."""
_ONE_SIDE = re.compile("(?<![A-Za-z])(left|right|l|r)(?![A-Za-z])", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


_NO_WORDS = ("default", "none")
"""What tools call a category that nobody has named."""


def beside(folder: Path) -> KeypointSet | None:
    """The set that lies beside the photos, if one does. Raises DataError for one that cannot be read."""
    path = folder / KEYPOINTS_FILE
    try:
        return load(path) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error


def plain(name: str) -> str:
    """By this names are compared: `Left Eye`, `left-eye` and `left_eye` are one."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def from_categories(categories: Iterable[tuple[Path, Mapping[str, Any]]]) -> tuple[KeypointSet, list[str]]:
    """The set of the categories (file, category) that have keypoints, and what a person should know about it.

    Names in their order, the union of several categories'; pairs by name; lines as `skeleton` has them; errors by box.
    It is that of garments where all names are, and COCO's sigmas come along where the names are those of its persons.
    Raises DataError where categories contradict each other or are not as COCO has them.
    """
    found: dict[str, tuple[Path, list[str]]] = {}
    lines: list[list[str]] = []
    above: set[str] = set()
    for path, category in categories:
        name, points = str(category.get("name", category.get("id"))), category.get("keypoints")
        if not points:
            continue
        where = f"{path}: category {name!r}"
        if not isinstance(points, list) or not all(isinstance(each, str) and each for each in points):
            raise DataError(f"{where}: keypoints is {points!r}; expected a list of names")
        first, known = found.setdefault(name, (path, points))
        if known != points:
            raise DataError(f"{where} has other keypoints than in {first}. Rename one of the two.")
        above.add(str(category.get("supercategory") or ""))
        lines += [line for line in _lines(where, points, category.get("skeleton") or []) if line not in lines]
    union = list(dict.fromkeys(each for _, points in found.values() for each in points))
    if found and all(_of_garments(points) for _, points in found.values()):
        return GARMENTS, []
    for name in union:
        if twin := next((each for each in union if each != name and plain(each) == plain(name)), None):
            raise DataError(f"{next(iter(found.values()))[0]}: {name!r} and {twin!r} are one name in two spellings.")
    thing = next(iter(above if len(found) > 1 and len(above) == 1 else found if len(found) == 1 else [""]))
    raw = {
        "thing": thing if thing.isalpha() and thing not in _NO_WORDS else "thing",
        "keypoints": union,
        "categories": {name: {"keypoints": points, "normaliser": BOX} for name, (_, points) in found.items()},
        "pairs": [list(pair) for pair in _pairs(found)],
        "lines": lines,
    }
    if {plain(name) for name in union} == set(COCO_SIGMAS):
        raw["sigmas"] = {name: COCO_SIGMAS[plain(name)] for name in union}
    try:
        keypoints = read(raw)
    except ValueError as error:
        files = ", ".join(sorted({str(path) for path, _ in found.values()}))
        raise DataError(f"{files}: no keypoint set can be made of its categories: {error}") from error
    return keypoints, _doubts(keypoints)


def _of_garments(points: Iterable[str]) -> bool:
    """Also what errors are measured against: a set without it has to be measured otherwise."""
    names = set(map(plain, points))
    return names <= set(GARMENTS.keypoints) and any(names >= set(each.normaliser or ()) for each in GARMENTS.categories)


def _lines(where: str, points: list[str], skeleton: Any) -> list[list[str]]:
    try:
        ends = [(int(first), int(second)) for first, second in skeleton]
        start = 0 if any(0 in pair for pair in ends) else 1  # COCO counts from 1, not everybody does
        if any(not start <= end < len(points) + start for pair in ends for end in pair):
            raise ValueError
        return [[points[first - start], points[second - start]] for first, second in ends if first != second]
    except (TypeError, ValueError, OverflowError):
        numbers = f"numbers from 1 to {len(points)}"
        raise DataError(f"{where}: skeleton is {skeleton!r}; expected a list of pairs of {numbers}") from None


def _pairs(categories: Mapping[str, tuple[Path, list[str]]]) -> list[tuple[str, str]]:
    """Left first. Raises DataError where a name has one other side in this category and another one in that."""
    others: dict[str, tuple[str, str]] = {}
    pairs: dict[tuple[str, str], None] = {}
    for category, (path, points) in categories.items():
        for pair in filter(None, (_pair(name, points) for name in points)):
            for name, other in (pair, pair[::-1]):
                known, owner = others.setdefault(name, (other, category))
                if known != other:
                    raise DataError(
                        f"{path}: the other side of {name} is {known} in category {owner}, and {other} in {category}. "
                        f"Say which it is in a {KEYPOINTS_FILE} (docs/reference.md)."
                    )
            pairs[pair] = None
    return list(pairs)


def _pair(name: str, points: Iterable[str]) -> tuple[str, str] | None:
    """Left and right, where `name` says one of them and another of the points the other."""
    known = {plain(each): each for each in points}
    for side in _SIDES:
        said = side.search(name)
        other = known.get(plain(side.sub(lambda match: _OTHER[match[0].lower()], name)))
        if said and other not in (None, name):
            return (name, other) if said[0].lower().startswith("l") else (other, name)
    return None


def _doubts(keypoints: KeypointSet) -> list[str]:
    paired = {name for pair in keypoints.pairs for name in pair}
    alone = [name for name in keypoints.keypoints if name not in paired and _ONE_SIDE.search(name)]
    write = f"`python -m pipeline keypoints` writes {KEYPOINTS_FILE} to be edited."
    if alone:
        return [f"{', '.join(alone)}: the name says one side, and the other side has no name, or another one. {write}"]
    if not paired and len(keypoints) > 1:
        return [f"no name says left or right, so every point keeps its name in mirrored training pictures. {write}"]
    return []
