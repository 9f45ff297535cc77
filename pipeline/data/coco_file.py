"""A COCO file as it is: its lists, what is unique in them, and the photos that it names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.data.names import is_file, with_slashes
from pipeline.errors import DataError
from seamline_client.keypoints import each_once

Raw = Mapping[str, Any]
_Name = Callable[[Raw], object]


class NotCoco(DataError):
    """JSON, but of something else."""


@dataclass(frozen=True)
class CocoFile:
    """A file as it is, but for what is no object."""

    path: Path
    images: list[Any]
    categories: list[Any]
    annotations: list[Raw]


def load(path: Path) -> CocoFile:
    """Raises NotCoco for what lacks COCO's lists, and DataError for what is damaged."""
    try:
        raw = json.loads(path.read_bytes(), object_pairs_hook=each_once)
        images, categories = ([*raw[name]] for name in ("images", "categories"))
        if not all(isinstance(each, dict) for each in (*images, *categories)):
            raise ValueError("images and categories are lists of objects")
        annotations: list[Raw] = [each if isinstance(each, dict) else {} for each in raw["annotations"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        # Not repr(error): that of text in another encoding has the whole file in it.
        reason = f"cannot be read as COCO keypoints (images, categories, annotations): {type(error).__name__}: {error}"
        kind = NotCoco if isinstance(error, (KeyError, TypeError)) else DataError
        raise kind(f"{path}: {reason}") from error
    return CocoFile(path, images, categories, annotations)


def find_photo(image: Raw, folder: Path) -> Path | None:
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


class Table:
    """The entries of a list by what should be unique to each. Tools write ids as numbers or text, and mix the two."""

    def __init__(self, what: str, entries: Iterable[Raw], key: _Name, owner: _Name) -> None:
        """Messages call a key `what`, and whoever has it what `owner` returns."""
        self._what, self._owner = what, owner
        self._entries: dict[str, list[Raw]] = {}
        for entry in entries:
            self._entries.setdefault(key_of(key(entry)), []).append(entry)

    def find(self, key: object) -> Raw:
        """Raises ValueError for a key that nothing has, or that is given twice."""
        entries = self._entries.get(key_of(key), [])
        if not entries:
            raise ValueError(f"there is no {self._what} {key}")
        if len(entries) > 1:
            owners = " and to ".join(str(self._owner(entry)) for entry in entries)
            raise ValueError(f"{self._what} {key} is given {len(entries)} times, to {owners}")
        return entries[0]


def id_of(entry: Raw) -> object:
    return entry.get("id")


def key_of(value: object) -> str:
    """1, 1.0 and "1" are one id: what went through a spreadsheet or a data frame comes back as another type."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)
