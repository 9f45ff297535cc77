"""Keypoint sets: that of garments against the published facts of FashionAI, and what is refused as a set."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seamline_client.keypoints import GARMENTS, KeypointSet, load, numbered, read


def test_flip_is_the_published_permutation() -> None:
    """Mirroring swaps left and right; the permutation is the one that FashionAI's baselines use."""
    assert GARMENTS.flip == (1, 0, 2, 4, 3, 6, 5, 8, 7, 11, 12, 9, 10, 14, 13, 16, 15, 18, 17, 19, 22, 23, 20, 21)


def test_categories_have_their_published_number_of_points() -> None:
    """13, 14, 15, 4 and 7 points, and together all 24."""
    can_have = {name: GARMENTS.can_have(name) for name in GARMENTS.category_names}
    counts = {name: len(points) for name, points in can_have.items()}
    assert counts == {"blouse": 13, "outwear": 14, "dress": 15, "skirt": 4, "trousers": 7}
    assert set().union(*can_have.values()) == set(range(24))


@pytest.mark.parametrize("keypoints", [GARMENTS, numbered(3), read({"keypoints": ["a", "b"]})])
def test_a_set_is_read_as_it_was_written(keypoints: KeypointSet, tmp_path: Path) -> None:
    """As JSON it travels: with the data set, the run, the model card and the model."""
    path = tmp_path / "keypoints.json"
    path.write_text(json.dumps(keypoints.as_json()))
    assert load(path) == keypoints


def test_what_is_left_out_is_the_plainest() -> None:
    """Names alone make a set: one category that can have them all, measured by its box, nothing to mirror or draw."""
    keypoints = read({"thing": "person", "keypoints": ["nose", "tail"]})
    (person,) = keypoints.categories
    assert (person.name, person.keypoints, person.normaliser) == ("person", ("nose", "tail"), None)
    assert keypoints.flip == (0, 1)
    assert keypoints.lines == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": []}, "keypoints: expected a list of names"),
        ({"keypoints": "nose"}, "keypoints is 'nose'; expected a list"),
        ({"keypoints": ["a", "b", "a"]}, "keypoints: 'a' is given 2 times"),
        ({"keypoints": ["a", 3]}, "keypoints: 3 is not a name"),
        ({"thing": 7}, "thing is 7"),
        ({"colour": "red"}, "'colour' is no entry here; these are: categories, keypoints, lines, pairs, sigmas, thing"),
        ({"pairs": [["a"]]}, "pairs: .* has 1 name"),
        ({"pairs": [["a", "b"], ["b", "c"]]}, "pairs: 'b' is given 2 times"),
        ({"pairs": [["a", "x"]]}, "pairs: 'x' is not one of the keypoints"),
        ({"lines": [["a", "x"]]}, "lines: 'x' is not one of the keypoints"),
        ({"categories": {"dog": {"keypoints": ["a"], "normaliser": ["a", "b"]}}}, "dog: normaliser: 'b' is not one"),
        ({"categories": {"dog": {"normaliser": ["a"]}}}, "dog: normaliser is .*; expected two of its keypoints"),
        ({"categories": {"dog": {"points": ["a"]}}}, "categories: dog: 'points' is no entry here"),
        ({"categories": ["dog"]}, "categories is .*; expected an object"),
        ({"sigmas": {"a": 0.1, "b": 0.1}}, "sigmas: c is None; expected a number between 0 and 1 for every keypoint"),
        ({"sigmas": {"a": 0.1, "b": 0.1, "c": 10}}, "sigmas: c is 10; expected a number between 0 and 1"),
        ({"sigmas": {"d": 0.1}}, "sigmas: 'd' is no entry here"),
    ],
)
def test_what_is_wrong_in_a_set_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    """The file, the entry and what was expected there."""
    path = tmp_path / "points.json"
    path.write_text(json.dumps({"keypoints": ["a", "b", "c"], **changes}))
    with pytest.raises(ValueError, match=f"points.json: not a keypoint set: .*{message}"):
        load(path)


def test_a_name_that_one_object_gives_twice_is_refused(tmp_path: Path) -> None:
    """JSON itself would keep the last of them without a word."""
    path = tmp_path / "points.json"
    path.write_text('{"keypoints": ["a"], "categories": {"dog": {}, "dog": {}}}')
    with pytest.raises(ValueError, match="'dog' is given twice in one object"):
        load(path)


def test_the_contract_needs_only_the_standard_library() -> None:
    """Importing it loads neither TensorFlow nor numpy."""
    code = "import sys, seamline_client.contract, seamline_client.keypoints"
    code += "; assert not {'tensorflow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
