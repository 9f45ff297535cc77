"""The data stage: photos from a folder, or drawn garments where there are none, to a data set of TFRecords."""

from __future__ import annotations

from pathlib import Path

from garments import write_dataset
from pipeline.console import console, progress
from pipeline.data import records
from pipeline.training.presets import PRESETS

SEED = 1


def prepare(
    source: Path | None, preset: str, folder: Path, *, strict: bool = False, mixed_in: bool = False
) -> records.Dataset:
    """The data set below `folder`, made unless it is there already and its source has not changed.

    `mixed_in`: drawn garments are wanted beside photos, rather than for lack of them.
    Raises DataError for photos or annotations that cannot be used.
    """
    source = source or _drawn(PRESETS[preset]().drawn, folder, mixed_in)
    with progress("Checking photos") as on_progress:
        return records.prepare(source, folder / "records" / source.resolve().name, on_progress, strict=strict)


def _drawn(count: int, folder: Path, mixed_in: bool) -> Path:
    photos = folder / "drawn" / f"drawn-{count}"
    if not photos.is_dir():
        what = f"Drawing {count} garments to mix in:" if mixed_in else f"No photos given: drawing {count} garments into"
        console.print(f"{what} {photos}")
        with progress("Drawing") as on_progress:
            write_dataset(photos, count, SEED, on_progress=on_progress)
    return photos
