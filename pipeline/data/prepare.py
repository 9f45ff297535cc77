"""The data stage: photos from a folder, or drawn garments where there are none, to a data set of TFRecords."""

from __future__ import annotations

from pathlib import Path

from garments import write_dataset
from pipeline.console import console, progress
from pipeline.data import records
from pipeline.data.names import as_name
from pipeline.data.parts import Engine, here

SEED = 1


def prepare(
    source: Path | None, folder: Path, *, drawn: int, strict: bool = False, engine: Engine = here
) -> records.Dataset:
    """The data set below `folder`, made unless it is there already and its source has not changed.

    Without a `source` that many garments are `drawn`. `engine` checks and writes the photos. Raises DataError for
    photos or annotations that cannot be used.
    """
    source = source or _drawn(drawn, folder)
    with progress("Checking photos") as on_progress:
        place = folder / "records" / as_name(source.resolve().name)
        dataset = records.prepare(source, place, on_progress, strict=strict, engine=engine)
    for note in dataset.notes:
        console.print(f"Note: {note}")
    return dataset


def _drawn(count: int, folder: Path) -> Path:
    photos = folder / "drawn" / f"drawn-{count}"
    if not photos.is_dir():
        console.print(f"No photos given: drawing {count} garments into {photos}")
        with progress("Drawing") as on_progress:
            write_dataset(photos, count, SEED, on_progress=on_progress)
    return photos
