"""What lies on the page's desk: its files, the model's server, photos to correct, and where corrections go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.data import coco_file
from pipeline.errors import DataError
from pipeline.page.assets import Asset, assets
from pipeline.page.corrections import Corrections
from pipeline.page.upstream import Upstream
from seamline_client import targets
from seamline_client.contract import CANARY_NAME, MODEL_NAME

PORT = 8600
CORRECTED = Path("corrected")
"""Not below SEAMLINE_HOME, which `make clean` deletes."""


@dataclass(frozen=True)
class Desk:
    """`assets` by path, `photos` in the order in which they are to be corrected."""

    assets: Mapping[str, Asset]
    upstream: Upstream
    corrections: Corrections
    photos: tuple[Path, ...] = ()


def lay(target: str, folder: Path, photos: Mapping[str, Path]) -> Desk:
    """`target` is the address of a REST API, `folder` where corrections go, `photos` by the names that they go under.

    Raises DataError for a folder that holds other things, InvalidInput for what is no address.
    """
    root = targets.parse(target, "rest").root
    return Desk(
        assets(os.fspath(folder), list(photos)),
        Upstream(root, (MODEL_NAME, CANARY_NAME)),
        Corrections(folder),
        tuple(photos.values()),
    )


def listed(folder: Path, file: Path) -> dict[str, Path]:
    """The photos that a list of `rank --coco` names, below `folder`. Raises DataError where one is not there."""
    photos: dict[str, Path] = {}
    for image in coco_file.load(file).images:
        path = coco_file.find_photo(image, folder)
        if path is None:
            raise DataError(f"{file}: {image.get('file_name')} is not in {folder}")
        photos[str(image.get("file_name"))] = path
    if not photos:
        raise DataError(f"{file}: no photo is listed")
    return photos
