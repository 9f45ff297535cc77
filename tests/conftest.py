"""What all tests share: TensorFlow kept quiet, and the real photos where this machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """A folder with train/ and val/ of real annotated photos. SEAMLINE_TEST_PHOTOS names another."""
    folder = Path(os.environ.get("SEAMLINE_TEST_PHOTOS", ROOT.parent / "shared" / "garments"))
    if not (folder / "train").is_dir():
        pytest.skip(f"no real photos in {folder}: set SEAMLINE_TEST_PHOTOS to a folder with train/ and val/")
    return folder
