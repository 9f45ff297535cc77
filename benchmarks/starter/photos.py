"""The photos of the recipe: annotated ones, and many more of which only the kind is known.

    <folder>/train, <folder>/val    annotated, as `python -m pipeline garments` makes them
    <folder>/more                   the public set as it is fetched, with its images.csv; or a folder with a kinds.csv,
                                    which has image_id and image_category

They are decoded once, into files that are mapped into memory. Of the train split and of `more`, the photos that
`split_of` keeps for evaluation are never trained on, for whoever chooses between recipes; nor are those of val.
"""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.receivers import decode_image
from pipeline.console import progress
from pipeline.data import clothing
from pipeline.data.folders import new_folder
from pipeline.data.input_fn import LABELS
from pipeline.data.photos import Photos, batches
from pipeline.data.split import split_of
from pipeline.errors import DataError
from seamline_client.contract import IMAGE_SIDE
from seamline_client.keypoints import GARMENTS

KINDS = {
    "blouse": ("T-Shirt", "Longsleeve", "Shirt", "Polo", "Undershirt", "Top", "Blouse"),
    "outwear": ("Outwear", "Hoodie", "Blazer"),
    "dress": ("Dress",),
    "skirt": ("Skirt",),
    "trousers": ("Pants", "Shorts"),
}
"""What the public set calls the garments of each kind; what it calls otherwise is left out."""
SHAPE = (IMAGE_SIDE, IMAGE_SIDE, 3)


@dataclass(frozen=True)
class Pictures:
    """`pixels` (N, 384, 384, 3) uint8, mapped. `labels` by `metrics.Labels`; `more` has `category` and `size` only."""

    pixels: NDArray[np.uint8]
    labels: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.pixels)


SPLITS = ("fit", "choose", "val", "more", "kinds")
"""Annotated photos to train on, to choose by and to report on; others of known kind to train on, and to choose by."""


def load(folder: Path, cache: Path, *, most: int | None = None) -> dict[str, Pictures]:
    """The photos by the names in SPLITS, at `most` so many of each kind that is not annotated.

    Decoded into `cache`, which appears when it is whole. Raises DataError where there are none that can be used.
    """
    if not cache.is_dir():
        with new_folder(cache) as partial:
            for name, (source, split) in {
                "fit": (folder / "train", "train"),
                "choose": (folder / "train", "val"),
                "val": (folder / "val", "all"),
            }.items():
                _annotated(partial, name, source, split)
            _more(partial, folder / "more", most)
    return {name: _read(cache, name) for name in SPLITS}


def _read(cache: Path, name: str) -> Pictures:
    with np.load(cache / f"{name}.npz") as archive:
        return Pictures(np.load(cache / f"{name}.npy", mmap_mode="r"), dict(archive))


def _annotated(cache: Path, name: str, folder: Path, split: str) -> None:
    photos, done = Photos(folder, split), itertools.count(1)
    with progress(f"Decoding {name}") as on_progress:
        decoded = list(
            batches(
                photos.annotations,
                photos.keypoints,
                photos.refusals.append,
                lambda: on_progress(next(done), len(photos.annotations)),
            )
        )
    np.save(cache / f"{name}.npy", np.concatenate([pixels for pixels, _ in decoded]))
    np.savez(cache / f"{name}.npz", **{label: np.concatenate([each[label] for _, each in decoded]) for label in LABELS})


def _more(cache: Path, folder: Path, most: int | None) -> None:
    photos = of_known_kind(folder)
    for name, split in {"more": "train", "kinds": "eval"}.items():
        part = [photo for photo in photos if split_of(photo[0]) == split][:most]
        shape = (len(part), *SHAPE)
        pixels = np.lib.format.open_memmap(cache / f"{name}.npy", "w+", np.uint8, shape)  # type: ignore[no-untyped-call]
        sizes = np.empty((len(part), 2), np.float32)
        with progress(f"Decoding {name}") as on_progress:
            for index, (_, path, _) in enumerate(part):
                encoded = path.read_bytes()
                pixels[index] = decode_image(encoded).numpy()
                sizes[index] = Image.open(io.BytesIO(encoded)).size
                on_progress(index + 1, len(part))
        pixels.flush()
        category = np.array([GARMENTS.category_names.index(kind) for _, _, kind in part], np.int64)
        np.savez(cache / f"{name}.npz", category=category, size=sizes)


def of_known_kind(folder: Path) -> list[tuple[str, Path, str]]:
    """Image id, file and kind of each photo. Raises DataError where none are named."""
    try:
        if (folder / "kinds.csv").is_file():
            return [
                (row["image_id"], folder / row["image_id"], row["image_category"]) for row in _rows(folder, "kinds")
            ]
        kinds = {label: kind for kind, named in KINDS.items() for label in named}
        annotated = {Path(image_id).stem for split in clothing.SPLITS for image_id in clothing.annotated(split)}
        return [
            (f"Images/{kinds[row['label']]}/{row['image']}.jpg", path, kinds[row["label"]])
            for row in _rows(folder, "images")
            if row["label"] in kinds and row["image"] not in annotated
            if (path := folder / "images" / f"{row['image']}.jpg").is_file()
        ]
    except (OSError, KeyError, csv.Error) as error:
        raise DataError(
            f"{folder}: no photos of known kind: {error}. Expected images.csv or kinds.csv there."
        ) from error


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))
