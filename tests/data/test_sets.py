"""Keypoint sets from the categories of COCO files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.sets import COCO_SIGMAS, from_categories
from pipeline.data.sources import read_folder
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS, KeypointSet
from tests import figures
from tests.homes import Seamline

FILE = Path("labels.json")


def of(*categories: dict[str, Any]) -> tuple[KeypointSet, list[str]]:
    return from_categories((FILE, category) for category in categories)


def named(*points: str, name: str = "animal") -> dict[str, Any]:
    return {"id": 1, "name": name, "keypoints": list(points)}


def test_the_persons_of_coco() -> None:
    """Names in their order, pairs by name, lines of the skeleton, errors by box, and the sigmas that COCO measured."""
    keypoints, notes = of(figures.PERSON, {"id": 2, "name": "ball"})
    assert (keypoints.thing, keypoints.keypoints, notes) == ("person", tuple(figures.NAMES), [])
    assert keypoints.category_names == ("person",)
    assert keypoints.categories[0].normaliser is None
    assert keypoints.pairs == tuple((f"left_{part}", f"right_{part}") for part in figures.SIDES)
    assert keypoints.lines[0] == ("left_ankle", "left_knee")
    assert dict(zip(keypoints.keypoints, keypoints.sigmas)) == COCO_SIGMAS
    assert sum(COCO_SIGMAS.values()) == pytest.approx(1.138)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"),
        ("eye_left", "eye_right"),
        ("Left Eye", "right eye"),
        ("cuff_left_in", "cuff_right_in"),
        ("leftEye", "rightEye"),
        ("l_eye", "r_eye"),
        ("eye.L", "eye.R"),
        ("eye-l-2", "eye-r-2"),
        ("L1", "R1"),
        ("LEye", "REye"),
        ("eyeL", "eyeR"),
        ("LShoulder", "RShoulder"),
        ("lshoulder", "rshoulder"),
    ],
)
def test_pairs_by_name(left: str, right: str) -> None:
    """Whichever comes first, the left one is first in the pair; others that look a little like it are none."""
    assert of(named(right, "tail", "lip", left))[0].pairs == ((left, right),)


def test_what_names_do_not_tell_is_said() -> None:
    """No pair at all, and a point that has lost its other side: mirrored pictures would teach the wrong name."""
    assert of(named("1", "2"))[1][0].startswith("no name says left or right")
    keypoints, (note,) = of(named("left_wing", "wing_r", "nose"))
    assert keypoints.pairs == ()
    assert note.startswith("left_wing, wing_r: the name says one side")


def test_several_categories_are_one_set() -> None:
    """The union of their names, each category with its own; it is called what is above both."""
    keypoints, _ = of(
        {**named("nose", "left_paw", "right_paw", name="cat"), "supercategory": "animal", "skeleton": [[1, 2]]},
        {**named("nose", "beak", name="bird"), "supercategory": "animal", "skeleton": [[0, 1]]},
    )
    assert keypoints.thing == "animal"
    assert keypoints.keypoints == ("nose", "left_paw", "right_paw", "beak")
    assert keypoints.categories[1].keypoints == ("nose", "beak")
    assert keypoints.lines == (("nose", "left_paw"), ("nose", "beak"))
    assert keypoints.sigmas == (), "nobody has measured them"
    assert of(named("nose", name="default"))[0].thing == "thing", "Label Studio calls all so"


def test_garments_are_garments() -> None:
    """All of our names, or some of them that errors can be measured against, spelt as they may be: our set."""
    assert of(named(*GARMENTS.keypoints))[0] is GARMENTS
    assert of(named("Waistband Left", "waistband-right", "hemline_left", name="rok"))[0] is GARMENTS
    assert of(named("hemline_left", "hemline_right"))[0].category_names == ("animal",)


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([named("a", "b", "a")], "labels.json: no keypoint set can be made .*'a' is given 2 times"),
        ([named("a"), named("b")], "category 'animal' has other keypoints than in labels.json. Rename"),
        (
            [named("Left Eye", name="cat"), named("left_eye", name="dog")],
            "'Left Eye' and 'left_eye' are one name in two",
        ),
        ([{**named("a"), "keypoints": "abc"}], "keypoints is 'abc'; expected a list of names"),
        (
            [{**named("a", "b"), "skeleton": [[1, 3]]}],
            "skeleton is .*; expected a list of pairs of numbers from 1 to 2",
        ),
        (
            [named("left_l", "right_l", name="cat"), named("left_l", "left_r", name="dog")],
            "the other side of left_l is right_l in category cat, and left_r in dog",
        ),
    ],
)
def test_what_is_no_set_is_named(categories: list[dict[str, Any]], message: str) -> None:
    """The file, the category and the entry."""
    with pytest.raises(DataError, match=message):
        of(*categories)


def test_it_is_written_out_to_be_edited(tmp_path: Path) -> None:
    """`keypoints --from` a file or a folder; beside the photos it counts. Nothing is written over."""
    folder = figures.write(tmp_path / "coco", 6, 2)
    seamline, to = Seamline(tmp_path / "home"), folder / "keypoints.json"
    labels = folder / "annotations" / "person_keypoints_train2017.json"
    printed = seamline.pipeline("keypoints", "--from", str(labels))
    said = seamline.pipeline("keypoints", "--from", str(folder), "--to", str(to))
    assert json.loads(to.read_text()) == json.loads(printed)
    assert "17 keypoints, 8 pairs" in said
    to.write_text(to.read_text().replace('"thing": "person"', '"thing": "dancer"'))
    assert read_folder(folder).keypoints.thing == "dancer"
    again = seamline.pipeline("keypoints", "--from", str(folder), "--to", str(to), code=3)
    assert "nothing is ever written over" in again
    assert "no COCO file" in seamline.pipeline("keypoints", "--from", str(folder / "val2017"), code=3)
    seamline.pipeline("keypoints", code=2)
