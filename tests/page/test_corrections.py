"""Corrected photos on the disk: a folder that training reads, in which nothing is lost."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

from pipeline.atomic import PARTIAL
from pipeline.data.sources import read_folder
from pipeline.errors import DataError
from pipeline.page.corrections import Corrections
from seamline_client.keypoints import GARMENTS, KeypointSet, read
from tests.homes import Made, Seamline

FACES = read(
    {
        "thing": "face",
        "keypoints": ["left eye", "nose", "right, eye"],
        "pairs": [["left eye", "right, eye"]],
        "lines": [["left eye", "nose", "right, eye"]],
    }
)


HOSTILE = ("../../x.jpg", "/etc/passwd", "C:\\x\\..\\y", "..", ".hidden", "a@3.jpg", "a/b/c.jpg", "\0", "é" * 300)


def picture(shade: int = 0, form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (90, 120), (shade, 90, 90)).save(file, form)
    return file.getvalue()


def label(keypoints: KeypointSet = GARMENTS, category: str = "dress", x: float = 10.0) -> dict[str, Any]:
    points = [[x + place, 50.126, place % 3] for place in range(len(keypoints))]
    return {"category": category, "keypoints": keypoints.as_json(), "points": points}


def rows(folder: Path) -> list[Any]:
    annotated = read_folder(folder, training=False)
    assert annotated.refusals == []
    return [each for split in annotated.splits.values() for each in split]


@pytest.mark.parametrize(("keypoints", "category"), [(GARMENTS, "skirt"), (FACES, "face")])
def test_training_reads_what_was_saved(tmp_path: Path, keypoints: KeypointSet, category: str) -> None:
    """Of any keypoint set, with its pairs and lines; photos as they were."""
    corrections = Corrections(tmp_path / "corrected")
    kept = {form: picture(form=form) for form in ("JPEG", "PNG", "WEBP")}
    for form, photo in kept.items():
        corrections.save(f"{form}.x", photo, label(keypoints, category))
    assert read_folder(corrections.folder, training=False).keypoints == keypoints
    found = rows(corrections.folder)
    assert {each.image.read_bytes() for each in found} == set(kept.values())
    for each in found:
        assert each.category == category
        assert each.v == tuple(place % 3 - 1 for place in range(len(keypoints)))
        assert each.points[1] == (11.0, 50.13)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Two photos of one name are two; one that is saved again has the labels of the last time."""
    corrections = Corrections(tmp_path / "corrected")
    for shade, x in ((1, 10.0), (2, 20.0), (1, 30.0)):
        corrections.save("coat.jpg", picture(shade), label(x=x))
    assert {each.image.read_bytes(): each.points[1][0] for each in rows(corrections.folder)} == {
        picture(1): 31.0,
        picture(2): 21.0,
    }


@settings(deadline=None, max_examples=40)
@given(some.text(max_size=300) | some.sampled_from(HOSTILE))
def test_names_are_safe(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Whatever a browser or a list says: one photo and its labels in their folders, and training reads them."""
    folder = tmp_path_factory.mktemp("names")
    corrections = Corrections(folder / "corrected")
    (folder / "corrected" / corrections.save(name, picture(), label())).relative_to(folder)
    files = {str(path.parent.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"corrected", "corrected/Images", "corrected/Annotations"}
    assert len(rows(corrections.folder)) == 1


def test_a_folder_has_one_keypoint_set(tmp_path: Path) -> None:
    """That of its first photo; what is in it stays."""
    Corrections(tmp_path / "corrected").save("coat.jpg", picture(), label())
    with pytest.raises(DataError, match="labels of other points"):
        Corrections(tmp_path / "corrected").save("face.jpg", picture(1), label(FACES, "face"))
    assert len(rows(tmp_path / "corrected")) == 1


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    """These labels would hide its own from training."""
    (tmp_path / "annotations.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match=r"holds other things \(annotations.json\)"):
        Corrections(tmp_path)
    with pytest.raises(DataError, match="it is no folder"):
        Corrections(tmp_path / "annotations.json")


def test_what_a_file_manager_or_a_killed_save_left_is_no_other_thing(tmp_path: Path) -> None:
    """The page takes its own folder again, and training reads it."""
    Corrections(tmp_path).save("coat.jpg", picture(), label())
    for name in (".DS_Store", f"keypoints.json{PARTIAL}4711"):
        (tmp_path / name).write_text("half")
    Corrections(tmp_path).save("skirt.jpg", picture(1), label())
    assert len(rows(tmp_path)) == 2


@pytest.mark.slow
def test_python_m_pipeline_takes_it(made: Made, tmp_path: Path) -> None:
    """As DATA, with nothing else to be done."""
    corrections = Corrections(tmp_path / "corrected")
    points = [[10 + place, 50, 2] for place in range(len(GARMENTS))]
    for number in range(40):
        corrections.save("coat.jpg", picture(6 * number), {**label(), "points": points})
    said = Seamline(tmp_path / "home").pipeline("data", "--data", str(corrections.folder), "--preset", "tiny")
    assert "40" in said
