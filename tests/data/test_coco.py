"""COCO keypoints as tools write them: whose points become ours, what is refused and why, and what is no COCO at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.convert import convert
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS
from tests.data.conftest import POINTS, SKIRT, Coco


def test_a_category_of_no_name_of_ours_is_told_by_its_points(coco: Coco) -> None:
    """The kind of garment that can have the most of them and lacks the fewest others. Points of another are kept."""
    coco.raw["categories"] = [{"id": 7, "name": "garment", "keypoints": [*SKIRT[:2], "crotch", "hemline_left"]}]
    coco.garment(coco.photo("a.jpg"), [1, 1, 2, 9, 1, 2, 5, 5, 2, 0, 0, 0])
    coco.garment(coco.photo("b.jpg"), [1, 1, 2, 9, 1, 2, 0, 0, 0, 1, 9, 2])
    coco.garment(coco.photo("c.jpg"), [1, 1, 2, 9, 1, 2, 5, 5, 2, 1, 9, 2])
    converted = coco.convert()
    assert (converted.categories, converted.guessed, converted.mixed) == ({"skirt": 2, "trousers": 1}, 3, 1)
    assert coco.rows()[2].points[GARMENTS.index["crotch"]] == (5, 5)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"image_id": 99}, "there is no image id 99"),
        ({"category_id": 99}, "there is no category id 99"),
        ({"iscrowd": 1}, "a crowd"),
        ({"keypoints": [0] * 12}, "no point is marked"),
        ({"keypoints": POINTS[:-1]}, "expected 3 numbers for each of 4 keypoints, found 11"),
        ({"keypoints": [1, 1, 3, *POINTS[3:]]}, "v is 3"),
        ({"keypoints": ["x", 1, 2, *POINTS[3:]]}, "could not convert"),
        ({"keypoints": [float("nan"), 1, 2, *POINTS[3:]]}, "not a number of pixels"),
        ({"keypoints": [101, 1, 2, *POINTS[3:]]}, r"waistband_left at \(101, 1\) lies outside of the 100x100"),
        ({"bbox": "wide"}, "could not convert"),
        ({"keypoints": 7}, "not as COCO has it"),
        ({"category_id": 8}, "none of the keypoints of category 'person' is in the set of garments"),
        ({"image_id": 1}, "missing.jpg: no such file"),
        ({"image_id": 2}, "no such file"),
        ({"image_id": 3}, "broken.jpg: cannot be used"),
        ({"image_id": 4}, "it has 100x100 pixels, but was annotated at 50x50"),
    ],
)
def test_a_refused_annotation_is_named_with_its_reason(coco: Coco, more: dict[str, Any], reason: str) -> None:
    """The good one beside it is written; with `strict`, or where it is the only one, nothing is."""
    coco.garment(coco.photo("good.jpg"))
    (coco.photos / "broken.jpg").write_bytes((coco.photos / "good.jpg").read_bytes()[:400])
    (coco.folder / "secret.jpg").write_bytes((coco.photos / "good.jpg").read_bytes())
    coco.photo("small.jpg")
    coco.raw["images"].pop()
    for name, size in (("missing.jpg", 100), ("../secret.jpg", 100), ("broken.jpg", 100), ("small.jpg", 50)):
        coco.image(name, (size, size))
    coco.raw["categories"].append({"id": 8, "name": "person", "keypoints": ["nose", "eye", "knee", "toe"]})
    coco.garment(0)
    coco.raw["annotations"][1].update(more)
    with pytest.raises(DataError, match="--strict"):
        coco.convert(strict=True)
    assert not coco.to.exists()
    converted = coco.convert()
    assert len(coco.rows()) == 1
    (refusal,) = converted.refusals
    assert refusal.source == f"{coco.folder / 'skirts.json'}: annotation 1"
    with pytest.raises(ValueError, match=reason):
        raise ValueError(refusal.reason)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"images": 1, "annotations": [], "categories": []}', "[" * 100_000, "9" * 5000),
        '{"images": [], "annotations": [], "categories": [], "annotations": []}',
        '{"images": [], "categories": [], "annotations": [{"id": 1, "image_id": 1, "id": 2}]}',
        "é" * 1000,
    ],
)
def test_a_file_that_is_not_coco(coco: Coco, text: str) -> None:
    """The file is named, and what was expected in it; a key that is given twice is no way to say two things."""
    coco.photos.mkdir()
    file = coco.folder / "a.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"a\.json: cannot be read as COCO keypoints") as caught:
        convert(file, coco.photos, coco.to, {}, lambda *_: None)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_in_any_encoding_of_json(coco: Coco, encoding: str) -> None:
    """As Windows writes them, with its line ends."""
    coco.garment(coco.photo("é.jpg"))
    file = coco.folder / "a.json"
    file.write_bytes(json.dumps(coco.raw, ensure_ascii=False, indent=1).replace("\n", "\r\n").encode(encoding))
    assert convert(file, coco.photos, coco.to, {}, lambda *_: None).categories == {"skirt": 1}


def test_links_are_followed(coco: Coco, tmp_path: Path) -> None:
    """Out of the folder of photos, or to it: somebody has put them there. One that leads to itself is no photo."""
    for name in ("a.jpg", "b.jpg"):
        coco.garment(coco.photo(name))
    (coco.photos / "a.jpg").rename(tmp_path / "elsewhere.jpg")
    (coco.photos / "a.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    coco.garment(coco.image("round.jpg"))
    (coco.photos / "round.jpg").symlink_to("round.jpg")
    coco.photos = coco.photos.rename(tmp_path / "really")
    (tmp_path / "photos").symlink_to("really")
    coco.photos = tmp_path / "photos"
    converted = coco.convert()
    assert [row.image_id for row in coco.rows()] == ["Images/skirt/a.jpg", "Images/skirt/b.jpg"]
    assert [refusal.reason for refusal in converted.refusals] == [f"round.jpg: no such file in {coco.photos}"]


@pytest.mark.parametrize(
    ("table", "entry", "reason"),
    [
        ("images", {"id": "0", "file_name": "b.jpg"}, "image id 0 is given 2 times, to a.jpg and to b.jpg"),
        ("images", {"id": 0.0, "file_name": "b.jpg"}, "image id 0 is given 2 times, to a.jpg and to b.jpg"),
        ("images", {"id": 5, "file_name": "a.jpg"}, "/a.jpg is given 2 times, to image id 0 and to image id 5"),
        ("images", {"id": 5, "file_name": ".\\a.jpg"}, "/a.jpg is given 2 times"),
        ("images", {"id": 5, "file_name": "link.jpg"}, "/a.jpg is given 2 times"),
        ("images", {"id": 5, "file_name": "hard link.jpg"}, "/a.jpg is given 2 times"),
        (
            "categories",
            {"id": 7, "name": "bag", "keypoints": SKIRT[::-1]},
            "category id 7 is given 2 times, to Skirt and to bag",
        ),
        (
            "annotations",
            {"id": 0, "image_id": 2, "category_id": 8, "keypoints": POINTS},
            "annotation id 0 is given 2 times, to an annotation of image id 0 and to an annotation of image id 2",
        ),
    ],
)
def test_what_is_given_twice_is_refused(coco: Coco, table: str, entry: dict[str, Any], reason: str) -> None:
    """Neither the first nor the last one wins: what hangs on it is left out, with the id and both owners."""
    coco.raw["categories"].append({"id": 8, "name": "skirt", "keypoints": SKIRT})
    coco.garment(coco.photo("a.jpg"))
    coco.garment(coco.photo("other.jpg"), category_id=8)
    coco.photo("c.jpg")
    coco.photo("b.jpg")
    coco.raw["images"].pop()
    (coco.photos / "link.jpg").symlink_to("a.jpg")
    os.link(coco.photos / "a.jpg", coco.photos / "hard link.jpg")
    coco.raw[table].append(entry)
    converted = coco.convert()
    assert [row.image_id for row in coco.rows()] == ["Images/skirt/other.jpg"]
    assert {reason in refusal.reason for refusal in converted.refusals} == {True}


def test_ids_may_be_text_and_paths_those_of_windows(coco: Coco) -> None:
    """Tools write 1 in one place and "1" in another, and backslashes where they ran on Windows."""
    coco.garment(coco.photo("images/a.jpg"))
    coco.raw["images"][0].update(id="0", file_name="images\\a.jpg")
    coco.raw["categories"][0]["id"] = "7"
    assert coco.convert(strict=True).categories == {"skirt": 1}
    assert [row.image_id for row in coco.rows()] == ["Images/skirt/images-a.jpg"]


@pytest.mark.parametrize("category", [{"keypoints": None}, {"keypoints": []}, {}, {"name": None}])
def test_what_has_no_keypoints_is_passed_over(coco: Coco, category: dict[str, Any]) -> None:
    """Rectangles that a labelling tool demands, in a category of their own or beside the points, even if strict."""
    coco.raw["categories"].append({"id": 8, "name": "bag", **category})
    coco.garment(coco.photo("a.jpg"))
    box = {"bbox": [1, 1, 50, 50], "iscrowd": 0}
    coco.raw["annotations"].append({"id": 1, "image_id": 0, "category_id": 8, **box})
    coco.raw["annotations"].append({"id": 2, "image_id": 0, "category_id": 7, "keypoints": [], **box})
    converted = coco.convert(strict=True)
    assert (converted.categories, converted.cropped) == ({"skirt": 1}, 0)
    coco.raw["annotations"] = coco.raw["annotations"][1:]
    coco.to = coco.folder / "nothing"
    with pytest.raises(DataError, match="none of its 2 annotations has keypoints"):
        coco.convert()
