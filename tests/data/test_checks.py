"""Which photos can be used: whatever is let through can be read, and few of them are in memory at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.receivers import decode_image
from pipeline.data import checks
from pipeline.data.annotations import Annotation
from pipeline.data.fashionai import find_sources, read
from seamline_client.keypoints import GARMENTS


def damaged(rng: np.random.Generator, file: bytes) -> bytes:
    """The file with some bytes missing in its middle, or cut short there, and a few of its first ones changed."""
    content, at = bytearray(file), int(rng.integers(2, len(file)))
    del content[at : rng.choice([at, at + 10, len(file)])]
    for place in rng.integers(2, min(len(content), 400) + 1, int(rng.integers(0, 3))):
        content[place - 1] = rng.integers(256)
    return bytes(content)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "P")])
def test_what_passes_the_check_is_read_by_the_graph(
    garments_folder: Path, tmp_path: Path, kind: str, mode: str
) -> None:
    """Pillow forgives what TensorFlow does not, such as a PNG without its end. Only the graph's word counts."""
    with Image.open(next(garments_folder.glob("Images/*/*.jpg"))) as image:
        small = image.resize((30, 40)).convert(mode)
    buffer = io.BytesIO()
    small.save(buffer, kind)
    whole = buffer.getvalue()
    rng = np.random.default_rng(1)
    contents = [whole, whole[:-12], *(damaged(rng, whole) for _ in range(150))]
    rows = []
    for number, content in enumerate(contents):
        file = tmp_path / f"{number}.img"
        file.write_bytes(content)
        rows.append(Annotation(file.name, file, "skirt", ((1.0, 1.0),) * 24, (1,) * 24, (0.0, 0.0), f"a.csv:{number}"))
    checked = list(checks.check_all(rows, GARMENTS))
    usable = [each for each in checked if isinstance(each, checks.Photo)]
    assert isinstance(checked[0], checks.Photo)
    assert 0 < len(usable) < len(checked)
    for photo in usable:
        decode_image(photo.encoded)
    for row, each in zip(rows, checked):
        if not isinstance(each, checks.Photo):
            assert f"{row.image}: cannot be used: " in str(each)
            assert "{{" not in str(each)


def test_photos_do_not_pile_up_in_memory(garments_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where writing is slower than reading, only so many photos are read ahead; they come in the order of the rows."""
    (source,) = find_sources(garments_folder)
    annotations = read(source).annotations
    monkeypatch.setattr(checks, "READ_AHEAD", 4)
    asked = 0

    def rows() -> Iterator[Annotation]:
        nonlocal asked
        for annotation in annotations:
            asked += 1
            yield annotation

    for written, checked in enumerate(checks.check_all(rows(), GARMENTS)):
        assert asked <= written + 4
        assert isinstance(checked, checks.Photo)
        assert checked.annotation == annotations[written]
    assert asked == len(annotations)
