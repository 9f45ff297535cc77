"""The public garments: annotations that ship with Seamline, photos that people fetch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.data import clothing, records
from pipeline.data.fashionai import find_sources, read
from pipeline.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Stand-ins for the photos under their names, all in one folder: large enough for every point."""
    folder = tmp_path / "clothing-dataset" / "images"
    folder.mkdir(parents=True)
    Image.new("RGB", (1200, 1200)).save(tmp_path / "grey.jpg")
    for split in clothing.SPLITS:
        for line in (clothing.ANNOTATIONS / f"{split}.csv").read_text().splitlines()[1:]:
            os.link(tmp_path / "grey.jpg", folder / Path(line.partition(",")[0]).name)
    return folder.parent


def test_photos_by_name_become_a_data_set(photos: Path, tmp_path: Path) -> None:
    """All 472 and 51 rows are good, and the splits stay apart. A folder that is there already stays as it is."""
    assert clothing.arrange(photos, tmp_path / "garments") == {"train": 472, "val": 51}
    found = {source.split: read(source) for source in find_sources(tmp_path / "garments")}
    assert {split: (len(part.annotations), len(part.refusals)) for split, part in found.items()} == {
        "train": (472, 0),
        "eval": (51, 0),
    }
    train, val = ({each.image_id for each in part.annotations} for part in found.values())
    assert not train & val
    with pytest.raises(DataError, match="is there already"):
        clothing.arrange(photos, tmp_path / "garments")


def test_a_missing_photo_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    """The error counts and names what is missing; no half a folder is left."""
    next((photos / "images").iterdir()).unlink()
    with pytest.raises(DataError, match=r"1 of 523 annotated photos are not there, .*\.jpg for one"):
        clothing.arrange(photos, tmp_path / "garments")
    assert not list(tmp_path.glob("garments*"))


def test_the_annotations_are_those_of_the_real_photos(real_photos: Path, tmp_path: Path) -> None:
    """With the real photos every row is accepted, points inside the picture included."""
    clothing.arrange(real_photos, tmp_path / "garments")
    dataset = records.prepare(tmp_path / "garments", tmp_path / "records", lambda *_: None)
    assert (dataset.count("train"), dataset.count("eval"), dataset.refusals) == (472, 51, ())
