"""Reads annotated photos in the FashionAI layout.

    <folder>/Annotations/*.csv (or *.csv in the folder itself), <folder>/Images/<category>/<file>.jpg

A row names its image, its category and 24 cells `x_y_v` in pixels: v is 1 visible, 0 occluded, -1 absent.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from pipeline.data.names import Files, with_slashes
from pipeline.data.split import split_of
from pipeline.errors import DataError
from seamline_client.keypoints import CATEGORIES, CATEGORY_KEYPOINTS, KEYPOINTS
from seamline_client.reports import one_line

HEADER = ("image_id", "image_category", *KEYPOINTS)
_UNLABELLED = HEADER[:2]
"""The header of a test set, which competitions hand out without its points."""
_SPLITS = {"train": "train", "val": "eval", "eval": "eval", "test": "eval"}
_LAYOUT = "Annotations/*.csv and Images/<category>/*.jpg"
_LARGEST = 1e6


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
        return one_line(f"{self.source}: {self.reason}")


@dataclass(frozen=True)
class Source:
    """Annotated photos of one folder. `split` is set where the folder itself tells training and evaluation apart."""

    folder: Path
    csvs: tuple[Path, ...]
    split: str | None


def is_mixed(category: str, v: Sequence[int]) -> bool:
    """Whether points are marked that nothing of this category has, as on a photo of two garments, or in an answer.

    They are kept, and counted for people to see.
    """
    return any(seen >= 0 and index not in CATEGORY_KEYPOINTS[category] for index, seen in enumerate(v))


def read_splits(folder: Path, *, training: bool = True) -> tuple[dict[str, list[Annotation]], list[Refusal]]:
    """The annotations of a folder by `train` and `eval`, and the rows that cannot be used.

    Where the folder does not tell the two apart, a photo's name does. Of a photo that has two rows, be it in two files,
    in train/ and in val/ or by another name that links to it, none is used: only a person knows which one is right.
    Raises DataError as `find_sources` and `read` do.
    """
    splits: dict[str, list[Annotation]] = {"train": [], "eval": []}
    refusals: list[Refusal] = []
    by_photo: dict[Path, list[tuple[str, Annotation]]] = defaultdict(list)
    files = Files()
    for source in find_sources(folder, training=training):
        found, refused = read(source)
        refusals += refused
        for annotation in found:
            split = source.split or split_of(annotation.image_id)
            by_photo[files.first(annotation.image)].append((split, annotation))
    for rows in by_photo.values():
        if len(rows) == 1:
            split, annotation = rows[0]
            splits[split].append(annotation)
            continue
        places = " and ".join(row.source for _, row in rows)
        reason = f"has {len(rows)} rows: {places}. Keep the right one."
        refusals += [Refusal(row.source, f"{row.image_id} {reason}") for _, row in rows]
    return splits, refusals


def find_sources(folder: Path, *, training: bool = True) -> list[Source]:
    """The folder itself, or its `train` and `val` subfolders where those are in the layout.

    Raises DataError where neither is, or where `training` has no `train` to go on.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Expected annotated photos in the FashionAI layout ({_LAYOUT}).")
    csvs = _labelled(folder)
    if csvs:
        return [Source(folder, csvs, None)]
    named = [(folder / name, split) for name, split in _SPLITS.items()]
    sources = [Source(sub, _labelled(sub), split) for sub, split in named if _labelled(sub)]
    if not sources:
        raise DataError(f"{folder}: no annotations found. Expected {_LAYOUT}, here or in train/ and val/.")
    splits = {source.split for source in sources}
    if training and "train" not in splits:
        raise DataError(f"{folder}: it has {sources[0].folder.name}/ but no train/. Put the training photos there.")
    return [replace(source, split=None) for source in sources] if splits == {"train"} else sources


def passed_over(folder: Path) -> list[Path]:
    """CSV files below `folder` that are not meant for training: hidden ones, and those of a test set without points."""
    return [path for sub in (folder, *map(folder.joinpath, _SPLITS)) for path in _csvs(sub) if not _is_labelled(path)]


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


def read(source: Source) -> tuple[list[Annotation], list[Refusal]]:
    """All rows of a source's CSVs. Raises DataError for a CSV that cannot be read at all, such as a wrong header."""
    annotations: list[Annotation] = []
    refusals: list[Refusal] = []
    for path in source.csvs:
        for line, row in _rows(path):
            where = f"{path}:{line}"
            try:
                annotations.append(_parse(row, source.folder, where))
            except ValueError as error:
                refusals.append(Refusal(where, str(error)))
    return annotations, refusals


def _rows(path: Path) -> Iterable[tuple[int, list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if tuple(header) != HEADER:
                raise DataError(f"{path}: wrong header. {_header_difference(header)}")
            return [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error


def _header_difference(header: list[str]) -> str:
    pairs = enumerate(zip_longest(HEADER, header, fillvalue="nothing"), 1)
    position, expected, found = next((number, *pair) for number, pair in pairs if pair[0] != pair[1])
    return f"Column {position} must be {expected}, found {found}; {len(HEADER)} columns are expected."


def _parse(row: list[str], folder: Path, where: str) -> Annotation:
    if len(row) != len(HEADER):
        raise ValueError(f"expected {len(HEADER)} fields, found {len(row)}")
    image_id, category = row[0], row[1]
    if category not in CATEGORIES:
        raise ValueError(f"image_category is {category!r}; expected one of {', '.join(CATEGORIES)}")
    image_id = with_slashes(image_id, folder)
    if ".." in Path(image_id).parts or Path(image_id).is_absolute():
        raise ValueError(f"image_id {image_id!r} points outside of the folder")
    cells = [_cell(name, text) for name, text in zip(KEYPOINTS, row[2:])]
    if all(v < 0 for _, _, v in cells):
        raise ValueError("no point is marked")
    points = tuple((x, y) if v >= 0 else (-1.0, -1.0) for x, y, v in cells)
    return Annotation(image_id, folder / image_id, category, points, tuple(v for _, _, v in cells), where)


def _cell(name: str, text: str) -> tuple[float, float, int]:
    parts = text.split("_")
    try:
        x, y, v = float(parts[0]), float(parts[1]), int(parts[2])
        if len(parts) != 3 or v not in (-1, 0, 1) or not (abs(x) < _LARGEST and abs(y) < _LARGEST):
            raise ValueError
    except (ValueError, IndexError):
        raise ValueError(f"{name} is {text!r}; expected x_y_v with v one of -1, 0, 1") from None
    return x, y, v
