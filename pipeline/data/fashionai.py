"""Reads annotated photos in the FashionAI layout.

    <folder>/Annotations/*.csv (or *.csv in the folder itself), <folder>/Images/<category>/<file>.jpg

A row names its image, its category and a cell `x_y_v` for each keypoint, in pixels: v is 1 visible, 0 occluded, -1
absent. <folder>/keypoints.json says which keypoints; without it they are the 24 of garments.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from pipeline.data.annotations import Annotation, Part, Refusal, box_round
from pipeline.data.names import with_slashes
from pipeline.data.sets import KEYPOINTS_FILE, beside
from pipeline.data.split import SPLITS
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS, KeypointSet

_UNLABELLED = ("image_id", "image_category")
"""The header of a test set, which competitions hand out without its points."""
_LARGEST = 1e6


@dataclass(frozen=True)
class Source:
    """Annotated photos of one folder. `split` is set where the folder itself tells training and evaluation apart."""

    folder: Path
    csvs: tuple[Path, ...]
    split: str | None
    keypoints: KeypointSet


def header(keypoints: KeypointSet) -> tuple[str, ...]:
    """The first line of a CSV file."""
    return (*_UNLABELLED, *keypoints.keypoints)


def find_sources(folder: Path, keypoints: KeypointSet = GARMENTS) -> list[Source]:
    """The folder itself, or those of its `train` and `val` subfolders that are in the layout."""
    csvs, keypoints = _labelled(folder), beside(folder) or keypoints
    if csvs:
        return [Source(folder, csvs, None, keypoints)]
    named = [(folder / name, split) for name, split in SPLITS.items()]
    return [Source(sub, _labelled(sub), split, keypoints) for sub, split in named if _labelled(sub)]


def passed_over(folder: Path) -> list[Path]:
    """CSV files below `folder` that are not meant for training: hidden ones, and those of a test set without points."""
    return [path for sub in (folder, *map(folder.joinpath, SPLITS)) for path in _csvs(sub) if not _is_labelled(path)]


def _csvs(folder: Path) -> list[Path]:
    annotations = folder / "Annotations"
    within = annotations if annotations.is_dir() else folder
    return sorted(path for path in within.iterdir() if path.suffix.lower() == ".csv") if within.is_dir() else []


def _labelled(folder: Path) -> tuple[Path, ...]:
    return tuple(path for path in _csvs(folder) if _is_labelled(path))


def _is_labelled(path: Path) -> bool:
    # macOS puts a hidden ._train.csv beside each train.csv on a disk of another system.
    if path.name.startswith(".") or not path.is_file():
        return False
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            return tuple(next(csv.reader(file), [])) != _UNLABELLED
    except (OSError, csv.Error):
        return True  # which `read` reports


def read(source: Source) -> Part:
    """All rows of a source's CSVs. Raises DataError for a CSV that cannot be read at all, such as a wrong header."""
    annotations: list[Annotation] = []
    refusals: list[Refusal] = []
    for path in source.csvs:
        for line, row in _rows(path, header(source.keypoints)):
            where = f"{path}:{line}"
            try:
                annotations.append(_parse(row, source, where))
            except ValueError as error:
                refusals.append(Refusal(where, str(error)))
    return Part(source.split, annotations, refusals)


def _rows(path: Path, expected: tuple[str, ...]) -> Iterable[tuple[int, list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            found = next(reader, [])
            if tuple(found) != expected:
                raise DataError(f"{path}: wrong header. {_header_difference(expected, found)}")
            return [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error


def _header_difference(expected: Sequence[str], found: Sequence[str]) -> str:
    pairs = enumerate(zip_longest(expected, found, fillvalue="nothing"), 1)
    position, name, there = next((number, *pair) for number, pair in pairs if pair[0] != pair[1])
    return (
        f"Column {position} must be {name}, found {there}; {len(expected)} columns are expected. Other keypoints than "
        f"garments' are named in a {KEYPOINTS_FILE} beside the photos (docs/reference.md)."
    )


def _parse(row: list[str], source: Source, where: str) -> Annotation:
    folder, keypoints = source.folder, source.keypoints
    if len(row) != len(header(keypoints)):
        raise ValueError(f"expected {len(header(keypoints))} fields, found {len(row)}")
    image_id, category = row[0], row[1]
    if category not in keypoints.category_names:
        raise ValueError(f"image_category is {category!r}; expected one of {', '.join(keypoints.category_names)}")
    image_id = with_slashes(image_id, folder)
    if ".." in Path(image_id).parts or Path(image_id).is_absolute():
        raise ValueError(f"image_id {image_id!r} points outside of the folder")
    cells = [_cell(name, text) for name, text in zip(keypoints.keypoints, row[2:])]
    if all(v < 0 for _, _, v in cells):
        raise ValueError("no point is marked")
    points = tuple((x, y) if v >= 0 else (-1.0, -1.0) for x, y, v in cells)
    seen = tuple(v for _, _, v in cells)
    left, top, right, bottom = box_round(points, seen)
    return Annotation(image_id, folder / image_id, category, points, seen, (right - left, bottom - top), where)


def _cell(name: str, text: str) -> tuple[float, float, int]:
    parts = text.split("_")
    try:
        x, y, v = float(parts[0]), float(parts[1]), int(parts[2])
        if len(parts) != 3 or v not in (-1, 0, 1) or not (abs(x) < _LARGEST and abs(y) < _LARGEST):
            raise ValueError
    except (ValueError, IndexError):
        raise ValueError(f"{name} is {text!r}; expected x_y_v with v one of -1, 0, 1") from None
    return x, y, v
