"""Which keypoints a model finds: their names, what can have which of them, and what their errors are measured against.

A set is a JSON file (docs/reference.md has its entries). `garments.json` is the one that ships and the default: the 24
points of FashionAI Key Points Detection (Tianchi, 2018). "Left" means the picture's left. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ENTRIES = {"thing", "keypoints", "categories", "pairs", "lines", "sigmas"}
"""Of a set's file."""
BOX = "box"
"""As a category's `normaliser`: errors are measured against the longer side of the thing's box."""


@dataclass(frozen=True)
class Category:
    """A kind of thing. `keypoints` are the names of those that it can have, in the order of the set."""

    name: str
    keypoints: tuple[str, ...]
    normaliser: tuple[str, str] | None
    """NE divides a point's distance from the truth by the true distance of these two points. None: by BOX."""


@dataclass(frozen=True)
class KeypointSet:
    """Names in the order of a model's outputs, and what is known of them. Its length is the K of all shapes."""

    thing: str
    """What has these points, in messages: one garment, one person."""
    keypoints: tuple[str, ...]
    categories: tuple[Category, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    """Left and right: what the two become to each other when a picture is mirrored."""
    lines: tuple[tuple[str, ...], ...] = ()
    """Lines that draw the thing where both ends of a stretch are there."""
    sigmas: tuple[float, ...] = ()
    """How far off careful labels of each point are, in roots of its area, as OKS has it; () if nobody measured."""

    def __len__(self) -> int:
        return len(self.keypoints)

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of each name."""
        return {name: index for index, name in enumerate(self.keypoints)}

    @cached_property
    def flip(self) -> tuple[int, ...]:
        """new[i] = old[flip[i]] when a picture is mirrored: what was the left cuff is now the right one."""
        other = {name: twin for pair in self.pairs for name, twin in (pair, pair[::-1])}
        return tuple(self.index[other.get(name, name)] for name in self.keypoints)

    @cached_property
    def category_names(self) -> tuple[str, ...]:
        """In the order in which categories are numbered."""
        return tuple(category.name for category in self.categories)

    def can_have(self, category: str) -> frozenset[int]:
        """The places of the keypoints that a thing of this category can have."""
        found = self.categories[self.category_names.index(category)]
        return frozenset(self.index[name] for name in found.keypoints)

    def counted(self, number: int) -> str:
        """`1 person`, `3 persons`."""
        return f"{number} {self.thing}{'' if number == 1 else 's'}"

    def as_json(self) -> dict[str, Any]:
        """What `read` takes."""
        return {
            "thing": self.thing,
            "keypoints": list(self.keypoints),
            "categories": {
                each.name: {"keypoints": list(each.keypoints), "normaliser": list(each.normaliser or ()) or BOX}
                for each in self.categories
            },
            "pairs": [list(pair) for pair in self.pairs],
            "lines": [list(line) for line in self.lines],
            **({"sigmas": dict(zip(self.keypoints, self.sigmas))} if self.sigmas else {}),
        }


def numbered(count: int) -> KeypointSet:
    """What there is to say of a model that does not describe its points."""
    names = tuple(map(str, range(count)))
    return KeypointSet("thing", names, (Category("thing", names, None),))


def read(raw: Any) -> KeypointSet:
    """A set from what its JSON file holds. Raises ValueError that names the entry and says what was expected."""
    entries = _object("the file", raw, ENTRIES)
    thing = entries.get("thing", "thing")
    if not isinstance(thing, str) or not thing.strip():
        raise ValueError(f"thing is {thing!r}; expected a word for what has these points")
    keypoints = _names("keypoints", entries.get("keypoints"))
    known = set(keypoints)
    described = _object("categories", entries.get("categories") or {thing: {}})
    return KeypointSet(
        thing=thing,
        keypoints=keypoints,
        categories=tuple(_category(name, each, keypoints) for name, each in described.items()),
        pairs=_pairs(entries.get("pairs", []), known),
        lines=tuple(_names("lines", line, known) for line in _list("lines", entries.get("lines", []))),
        sigmas=_sigmas(entries.get("sigmas", {}), keypoints),
    )


def load(path: Path) -> KeypointSet:
    """The set in a file. Raises ValueError, which names the file, for what is not one, and OSError."""
    try:
        return read(json.loads(path.read_bytes(), object_pairs_hook=each_once))
    except ValueError as error:
        raise ValueError(f"{path}: not a keypoint set: {error}") from error


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For json, which drops one of two: raises ValueError for an object that has a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is given twice in one object")
    return found


def _category(name: str, raw: Any, keypoints: Sequence[str]) -> Category:
    where = f"categories: {name}"
    entries = _object(where, raw, {"keypoints", "normaliser"})
    can_have = set(_names(f"{where}: keypoints", entries.get("keypoints", list(keypoints)), set(keypoints)))
    normaliser = entries.get("normaliser", BOX)
    ends = None if normaliser == BOX else _names(f"{where}: normaliser", normaliser, can_have)
    if ends is not None and len(ends) != 2:
        raise ValueError(f"{where}: normaliser is {normaliser!r}; expected two of its keypoints, or {BOX!r}")
    return Category(name, tuple(each for each in keypoints if each in can_have), (ends[0], ends[1]) if ends else None)


def _pairs(raw: Any, known: set[str]) -> tuple[tuple[str, str], ...]:
    pairs = [_names("pairs", pair, known) for pair in _list("pairs", raw)]
    for pair in pairs:
        if len(pair) != 2:
            raise ValueError(f"pairs: {list(pair)} has {len(pair)} name(s); expected two, left and right")
    if pairs:
        _names("pairs", [name for pair in pairs for name in pair])
    return tuple((first, second) for first, second in pairs)


def _sigmas(raw: Any, keypoints: Sequence[str]) -> tuple[float, ...]:
    given = _object("sigmas", raw, set(keypoints))
    for name in keypoints if given else ():
        sigma = given.get(name)
        if isinstance(sigma, bool) or not isinstance(sigma, (int, float)) or not 0 < sigma < 1:
            raise ValueError(
                f"sigmas: {name} is {sigma!r}; expected a number between 0 and 1 for every keypoint, or none"
            )
    return tuple(float(given[name]) for name in keypoints if given)


def _names(where: str, raw: Any, known: set[str] | None = None) -> tuple[str, ...]:
    names = _list(where, raw)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{where}: {name!r} is not a name")
        if known is not None and name not in known:
            raise ValueError(f"{where}: {name!r} is not one of the keypoints")
        if names.count(name) > 1:
            raise ValueError(f"{where}: {name!r} is given {names.count(name)} times")
    if not names:
        raise ValueError(f"{where}: expected a list of names")
    return tuple(names)


def _list(where: str, raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise ValueError(f"{where} is {raw!r}; expected a list")
    return raw


def _object(where: str, raw: Any, known: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError(f"{where} is {raw!r}; expected an object")
    for name in raw:
        if known is not None and name not in known:
            raise ValueError(f"{where}: {name!r} is no entry here; these are: {', '.join(sorted(known))}")
    return raw


GARMENTS = load(Path(__file__).with_name("garments.json"))
