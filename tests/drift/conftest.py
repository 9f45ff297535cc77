"""Photos with labels, real ones where this machine has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drift.test_compare import Photo, labelled
from tests.homes import REAL_PHOTOS
from tests.release.conftest import offline

__all__ = ["offline"]


@pytest.fixture(scope="session")
def val(garments_folder: Path) -> list[Photo]:
    """Drawn garments where there are no real photos."""
    real = REAL_PHOTOS / "val"
    return labelled(real if real.is_dir() else garments_folder)
