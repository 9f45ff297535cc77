"""Reads annotated photos in the FashionAI layout.

    <folder>/Annotations/*.csv (or *.csv in the folder itself), <folder>/Images/<category>/<file>.jpg

A row names its image, its category and 24 cells `x_y_v` in pixels: v is 1 visible, 0 occluded, -1 absent.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from seamline_client.keypoints import CATEGORIES, CATEGORY_KEYPOINTS, KEYPOINTS

HEADER = ("image_id", "image_category", *KEYPOINTS)
CROP = "@"
"""Several garments of one photo are pictures named `<photo>@<number>.jpg`."""
SPLITS = {"train": "train", "val": "eval", "eval": "eval", "test": "eval"}


@dataclass(frozen=True)
class Annotation:
    """One photo with its points. `points` and `v` are in the order of KEYPOINTS; absent points are (-1, -1)."""

    image_id: str
    image: Path
    category: str
    points: tuple[tuple[float, float], ...]
    v: tuple[int, ...]
    source: str
    """`file:line` of the annotation, for messages."""


@dataclass(frozen=True)
class Refusal:
    """A row or a photo that is left out, and why. `source` is `file:line`."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@dataclass(frozen=True)
class Source:
    """Annotated photos of one folder. `split` is set where the folder itself tells training and evaluation apart."""

    folder: Path
    csvs: tuple[Path, ...]
    split: str | None


def find_sources(folder: Path, *, training: bool = True) -> list[Source]:
    """The folder itself, or its `train` and `val` subfolders where those are in the layout.

    Raises DataError where neither is, or where `training` has no `train` to go on.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Expected annotated photos in the FashionAI layout ({LAYOUT}).")
    csvs = _csvs(folder)
    if csvs:
        return [Source(folder, csvs, None)]
    named = [(folder / name, split) for name, split in SPLITS.items()]
    sources = [Source(sub, _csvs(sub), split) for sub, split in named if sub.is_dir() and _csvs(sub)]
    if not sources:
        raise DataError(f"{folder}: no annotations found. Expected {LAYOUT}, here or in train/ and val/.")
    if training and not any(source.split == "train" for source in sources):
        raise DataError(f"{folder}: it has {sources[0].folder.name}/ but no train/. Put the training photos there.")
    return sources


LAYOUT = "Annotations/*.csv and Images/<category>/*.jpg"


def _csvs(folder: Path) -> tuple[Path, ...]:
    annotations = folder / "Annotations"
    return tuple(sorted((annotations if annotations.is_dir() else folder).glob("*.csv")))


def read(source: Source) -> tuple[list[Annotation], list[Refusal]]:
    """All rows of a source's CSVs. Raises DataError for a CSV that cannot be read at all, such as a wrong header."""
    annotations: list[Annotation] = []
    refusals: list[Refusal] = []
    seen: dict[str, str] = {}
    for path in source.csvs:
        for line, row in _rows(path):
            where = f"{path}:{line}"
            try:
                annotation = _parse(row, source.folder, where)
                if annotation.image_id in seen:
                    raise ValueError(f"{annotation.image_id} was annotated before, at {seen[annotation.image_id]}")
            except ValueError as error:
                refusals.append(Refusal(where, str(error)))
                continue
            seen[annotation.image_id] = where
            annotations.append(annotation)
    return annotations, refusals


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if tuple(header) != HEADER:
                raise DataError(f"{path}: wrong header. {_header_difference(header)}")
            return [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error


def _header_difference(header: list[str]) -> str:
    for position, expected in enumerate(HEADER):
        found = header[position] if position < len(header) else "nothing"
        if found != expected:
            return f"Column {position + 1} must be {expected}, found {found}; {len(HEADER)} columns are expected."
    return f"Expected {len(HEADER)} columns, found {len(header)}."


def _parse(row: list[str], folder: Path, where: str) -> Annotation:
    if len(row) != len(HEADER):
        raise ValueError(f"expected {len(HEADER)} fields, found {len(row)}")
    image_id, category = row[0], row[1]
    if category not in CATEGORIES:
        raise ValueError(f"image_category is {category!r}; expected one of {', '.join(CATEGORIES)}")
    image = folder / image_id
    if ".." in Path(image_id).parts or Path(image_id).is_absolute():
        raise ValueError(f"image_id {image_id!r} points outside of the folder")
    cells = [_cell(name, text) for name, text in zip(KEYPOINTS, row[2:])]
    possible = CATEGORY_KEYPOINTS[category]
    for index, (_, _, v) in enumerate(cells):
        if v >= 0 and index not in possible:
            raise ValueError(f"{KEYPOINTS[index]} is marked, but a {category} has no such point; expected -1_-1_-1")
    if all(v < 0 for _, _, v in cells):
        raise ValueError("no point is marked")
    points = tuple((x, y) if v >= 0 else (-1.0, -1.0) for x, y, v in cells)
    return Annotation(image_id, image, category, points, tuple(v for _, _, v in cells), where)


def _cell(name: str, text: str) -> tuple[float, float, int]:
    parts = text.split("_")
    try:
        x, y, v = float(parts[0]), float(parts[1]), int(parts[2])
        if len(parts) != 3 or v not in (-1, 0, 1) or not (abs(x) < 1e6 and abs(y) < 1e6):
            raise ValueError
    except (ValueError, IndexError):
        raise ValueError(f"{name} is {text!r}; expected x_y_v with v one of -1, 0, 1") from None
    return x, y, v
