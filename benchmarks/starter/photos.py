"""The photos of the recipe: annotated ones, and many more of which only the kind is known.

    <folder>/train, <folder>/val    annotated, in the layout that training takes
    <folder>/more/kinds.csv         image_id and image_category of photos below <folder>/more

They are decoded once, into files that are mapped into memory. Of the train split and of `more`, the photos that
`split_of` keeps for evaluation choose between weights and are never trained on; those of val are only reported on.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.receivers import decode_image
from pipeline.console import progress
from pipeline.data.folders import new_folder
from pipeline.data.input_fn import LABELS
from pipeline.data.photos import Photos
from pipeline.data.split import split_of
from seamline_client.contract import IMAGE_SIDE
from seamline_client.keypoints import GARMENTS

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
    with progress(f"Decoding {name}") as on_progress:
        batches = list(Photos(folder, split).batches(on_progress))
    np.save(cache / f"{name}.npy", np.concatenate([pixels for pixels, _ in batches]))
    np.savez(cache / f"{name}.npz", **{label: np.concatenate([each[label] for _, each in batches]) for label in LABELS})


def _more(cache: Path, folder: Path, most: int | None) -> None:
    with (folder / "kinds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts = {
        "more": [row for row in rows if split_of(row["image_id"]) == "train"],
        "kinds": [row for row in rows if split_of(row["image_id"]) != "train"],
    }
    for name, part in parts.items():
        part = part[:most]
        shape = (len(part), *SHAPE)
        pixels = np.lib.format.open_memmap(cache / f"{name}.npy", "w+", np.uint8, shape)  # type: ignore[no-untyped-call]
        sizes = np.empty((len(part), 2), np.float32)
        with progress(f"Decoding {name}") as on_progress:
            for index, row in enumerate(part):
                encoded = (folder / row["image_id"]).read_bytes()
                pixels[index] = decode_image(encoded).numpy()
                sizes[index] = Image.open(io.BytesIO(encoded)).size
                on_progress(index + 1, len(part))
        pixels.flush()
        names = GARMENTS.category_names
        category = np.array([names.index(row["image_category"]) for row in part], np.int64)
        np.savez(cache / f"{name}.npz", category=category, size=sizes)
