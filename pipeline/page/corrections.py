"""Corrected photos as a folder that `make train DATA=` reads: the layout of `pipeline.data.fashionai`, a file for each.

A photo is known by its content. Saved again, its labels are those of the last time.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

from pipeline.atomic import PARTIAL, write_atomically
from pipeline.data.fashionai import header
from pipeline.data.sets import KEYPOINTS_FILE, beside
from pipeline.data.split import photo_name
from pipeline.errors import DataError
from seamline_client import keypoints as sets
from seamline_client.contract import ABSENT, VISIBLE
from seamline_client.keypoints import KeypointSet

_SIGNS = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"RIFF....WEBP", re.S), ".webp"),
)
"""How files begin that training reads."""
_LABELS, _PHOTOS = "Annotations", "Images"


class Corrections:
    """Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """Raises DataError for a folder that holds something else, which these labels would hide from training."""
        self.folder = folder
        self._lock = Lock()
        ours = {_LABELS, _PHOTOS, KEYPOINTS_FILE}
        there = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
        # Hidden: a file manager's. Partial: ours, of a process that was killed. Training reads neither.
        others = sorted(each for each in there - ours if not each.startswith(".") and PARTIAL not in each)
        if others or (folder.exists() and not folder.is_dir()):
            what = f"it holds other things ({', '.join(others)[:80]})" if others else "it is no folder"
            raise DataError(f"{folder}: {what}. Name a folder of its own, or one that the page has made.")

    def save(self, name: str, photo: bytes, label: Mapping[str, Any]) -> str:
        """Where the photo is now, below the folder.

        `label` has `keypoints` (a set as JSON), `category`, and `points`: [x, y, v] for each in the set's order, in
        pixels of the picture as people see it, v being one of the contract's classes. Raises DataError for what is
        none, or of other points than what is in the folder, and OSError.
        """
        keypoints = _set(label.get("keypoints"))
        row = _row(label, keypoints)
        suffix = next((each for sign, each in _SIGNS if sign.match(photo)), None)
        if suffix is None:
            raise DataError(f"{name}: neither JPEG, PNG nor WebP, which is what training reads")
        stem = f"{_stem(name)}-{hashlib.sha256(photo).hexdigest()[:12]}"
        image = self.folder / _PHOTOS / f"{stem}{suffix}"
        with self._lock:
            self._agree(keypoints, str(label["category"]))
            for each in (_LABELS, _PHOTOS):
                (self.folder / each).mkdir(exist_ok=True)
            if not image.exists():
                write_atomically(image, photo)
            text = io.StringIO()
            table = csv.writer(text, lineterminator="\n")
            table.writerow(header(keypoints))
            table.writerow([f"{_PHOTOS}/{image.name}", *row])
            write_atomically(self.folder / _LABELS / f"{stem}.csv", text.getvalue())
        return f"{_PHOTOS}/{image.name}"

    def _agree(self, keypoints: KeypointSet, category: str) -> None:
        """The folder has one set, that of its first photo."""
        self.folder.mkdir(parents=True, exist_ok=True)
        there = beside(self.folder)
        if there is None:
            text = json.dumps(keypoints.as_json(), indent=1, ensure_ascii=False)
            write_atomically(self.folder / KEYPOINTS_FILE, text)
        elif there.keypoints != keypoints.keypoints or category not in there.category_names:
            raise DataError(f"{self.folder}: it has labels of other points. Name another folder for these.")


def _set(raw: Any) -> KeypointSet:
    """As a model describes it; entries that a later one may add are passed over."""
    try:
        return sets.read({name: value for name, value in dict(raw).items() if name in sets.ENTRIES})
    except (TypeError, ValueError) as error:
        raise DataError(f"keypoints: {error}") from error


def _row(label: Mapping[str, Any], keypoints: KeypointSet) -> list[str]:
    """The category, and a cell for each point."""
    category, points = label.get("category"), label.get("points")
    if category not in keypoints.category_names:
        raise DataError(f"category is {category!r}; expected one of {', '.join(keypoints.category_names)}")
    if not isinstance(points, list):
        raise DataError(f"points: expected a list of {len(keypoints)} points, found {points!r:.80}")
    if len(points) != len(keypoints):
        raise DataError(f"points: expected a list of {len(keypoints)} points, found {len(points)}")
    cells = [_cell(name, point) for name, point in zip(keypoints.keypoints, points)]
    if all(cell == _ABSENT_CELL for cell in cells):
        raise DataError("No point is there: nothing can be learnt from this photo.")
    return [category, *cells]


_ABSENT_CELL = "-1_-1_-1"


def _cell(name: str, point: Any) -> str:
    try:
        x, y, v = point
        if type(v) is not int or not ABSENT <= v <= VISIBLE or not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{name} is {point!r:.60}; expected x, y and v, which is 0, 1 or 2") from None
    return _ABSENT_CELL if v == ABSENT else f"{round(x, 2):.9g}_{round(y, 2):.9g}_{v - 1}"


def _stem(name: str) -> str:
    """A name of one file that is not hidden, from whatever path a browser or a list says."""
    parts = [part for part in re.split(r"[/\\]+", name) if part.strip(".")]
    return photo_name(PurePosixPath(*parts)).lstrip(".") if parts else "photo"
