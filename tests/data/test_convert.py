"""COCO keypoints to the FashionAI layout: whose points become ours, what is cut out, what is refused and why."""

from __future__ import annotations

import contextlib
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.coco import read_names
from pipeline.data.convert import Converted, convert
from pipeline.data.fashionai import find_sources, read
from pipeline.data.split import split_of
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS

SKIRT = ["waistband_left", "waistband_right", "hemline_left", "hemline_right"]
POINTS = [30, 20, 2, 70, 20, 1, 20, 90, 2, 0, 0, 0]


class Coco:
    """A COCO file in the making, and a folder of photos of 100x100, each pixel coloured by where it is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.photos, self.to = folder, folder / "photos", folder / "out"
        self.raw: dict[str, list[Any]] = {
            "images": [],
            "annotations": [],
            "categories": [{"id": 7, "name": "Skirt", "keypoints": SKIRT}],
        }

    def photo(self, name: str, size: tuple[int, int] = (100, 100), **options: Any) -> int:
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        Image.fromarray(np.stack((x * 2, y * 2, x * 0), -1).astype(np.uint8)).save(path, **options)
        return self.image(name, size)

    def image(self, name: str, size: tuple[int, int] = (100, 100)) -> int:
        number = len(self.raw["images"])
        self.raw["images"].append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
        return number

    def garment(self, image: int, points: list[Any] = POINTS, **more: Any) -> None:
        annotation = {"id": len(self.raw["annotations"]), "image_id": image, "category_id": 7, "keypoints": points}
        self.raw["annotations"].append({**annotation, **more})

    def convert(self, *names: str, **options: Any) -> Converted:
        file = self.folder / "skirts.json"
        file.write_text(json.dumps(self.raw))
        return convert(file, self.photos, self.to, read_names(names), lambda *_: None, **options)

    def rows(self) -> list[Any]:
        (source,) = find_sources(self.to)
        found = read(source)
        assert found.refusals == []
        return found.annotations


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    return Coco(tmp_path)


def test_a_photo_of_one_garment_stays_as_it_is(coco: Coco) -> None:
    """The file itself under its category, points and v as FashionAI has them, read back by the data stage."""
    coco.garment(coco.photo("shop/a.png"))
    converted = coco.convert()
    assert (converted.categories, converted.cropped, converted.guessed) == ({"skirt": 1}, 0, 0)
    (row,) = coco.rows()
    assert row.image_id == "Images/skirt/shop-a.png"
    assert row.image.read_bytes() == (coco.photos / "shop/a.png").read_bytes()
    marked = {index: (*row.points[index], v) for index, v in enumerate(row.v) if v >= 0}
    names = ("waistband_left", "waistband_right", "hemline_left")
    assert marked == dict(zip(map(GARMENTS.index.__getitem__, names), [(30, 20, 1), (70, 20, 0), (20, 90, 1)]))


def test_several_garments_of_one_photo_are_cut_out(coco: Coco) -> None:
    """Each to its box and a margin, its points moved with it; where it is asked for, the only one of a photo too."""
    image = coco.photo("a.png")
    coco.garment(image)
    coco.garment(image, [10, 10, 2, 20, 10, 2, 5, 40, 2, 25, 40, 2], bbox=[5, 10, 20, 30])
    coco.garment(coco.photo("alone.jpg"))
    assert coco.convert(margin=0.2, crop_all=True).cropped == 3
    first, second, _ = coco.rows()
    assert (first.image_id, second.image_id) == ("Images/skirt/a@0.png", "Images/skirt/a@1.png")
    for row, x, y in ((first, 30, 20), (second, 10, 10)):
        with Image.open(row.image) as cut:
            left, top = (value / 2 for value in cut.getpixel((0, 0))[:2])
        dx, dy = row.points[GARMENTS.index["waistband_left"]]
        assert (dx + left, dy + top) == (x, y)
    with Image.open(second.image) as cut:
        assert cut.size == (29 - 1, 46 - 4)


def test_a_neighbour_that_cannot_be_used_is_still_a_neighbour(coco: Coco) -> None:
    """A photo of two garments shows two, also where the points of one are no good; a person in it is no garment."""
    coco.raw["categories"].append({"id": 8, "name": "person", "keypoints": ["nose"]})
    for name in ("a.jpg", "b.jpg"):
        coco.garment(coco.photo(name))
    coco.garment(0, [0] * 12)
    coco.garment(1, [5, 5, 2], category_id=8)
    assert coco.convert().cropped == 1
    assert [row.image_id for row in coco.rows()] == ["Images/skirt/a@0.jpg", "Images/skirt/b.jpg"]


def test_names_are_matched_and_mapped(coco: Coco, tmp_path: Path) -> None:
    """Spelling aside names are matched by themselves; a pair or a file of pairs renames points and categories."""
    coco.raw["categories"] = [{"id": 7, "name": "rok", "keypoints": ["Waistband Left", "wb-r", "hemline_left", "tag"]}]
    coco.garment(coco.photo("a.jpg"))
    with pytest.raises(DataError, match=r"no keypoint here is called wb-r, tag\. --map"):
        coco.convert()
    (tmp_path / "names.json").write_text(json.dumps({"wb-r": "waistband_right", "tag": ""}))
    assert coco.convert(str(tmp_path / "names.json"), "rok=skirt").guessed == 0
    (row,) = coco.rows()
    assert row.points[GARMENTS.index["waistband_right"]] == (70, 20)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a=b", "'b' is not a name here"), ("missing.json", "expected name=name"), ("LIST", "expected name=name")],
)
def test_a_map_that_is_none(coco: Coco, tmp_path: Path, name: str, message: str) -> None:
    """What is wrong, and what there is."""
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match=message):
        coco.convert(name.replace("LIST", str(tmp_path / "list.json")))


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


def test_nothing_is_written_over_and_nothing_by_halves(coco: Coco) -> None:
    """A folder that holds something is refused; one for which no annotation can be used does not appear."""
    coco.garment(coco.photo("a.jpg"), [0] * 12)
    with pytest.raises(DataError, match="no garment to write; 1 refused"):
        coco.convert()
    assert sorted(path.name for path in coco.folder.iterdir()) == ["photos", "skirts.json"]
    coco.garment(0)
    coco.to.mkdir()
    coco.convert()
    before = sorted(coco.to.rglob("*"))
    with pytest.raises(DataError, match="Nothing is ever written over"):
        coco.convert()
    assert sorted(coco.to.rglob("*")) == before


def test_a_lying_photo_is_measured_upright_and_other_formats_become_jpeg(coco: Coco) -> None:
    """EXIF turns the picture before its size is compared; what training cannot decode is written anew."""
    exif = Image.Exif()
    exif[0x0112] = 6
    coco.garment(coco.photo("lying.jpg", (100, 60), exif=exif), [30, 20, 2, 50, 20, 2, 20, 90, 2, 0, 0, 0])
    coco.raw["images"][0].update(width=60, height=100)
    coco.garment(coco.photo("other.webp"))
    assert coco.convert().refusals == ()
    assert [Path(row.image_id).suffix for row in coco.rows()] == [".jpg", ".jpg"]
    with Image.open(coco.to / "Images/skirt/other.jpg") as picture:
        assert picture.format == "JPEG"


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


def test_other_files_of_the_same_name_do_not_meet(coco: Coco) -> None:
    """a/b.jpg and a-b.jpg are two photos; so are x.jpg and X.jpg where file systems do not tell case apart."""
    for name in ("a/b.jpg", "a-b.jpg", "A-B.png"):
        coco.garment(coco.photo(name))
    coco.convert()
    names = ["Images/skirt/a-b.jpg", "Images/skirt/a-b-2.jpg", "Images/skirt/A-B-3.png"]
    assert [row.image_id for row in coco.rows()] == names


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


def test_crops_of_a_photo_are_on_one_side_whatever_they_are_called(coco: Coco) -> None:
    """Ids that are negative, text, or not there at all, in photos whose names look like those of crops."""
    for number in range(12):
        image = coco.photo(f"p@{number}.png" if number % 2 else f"dir/p{number}.jpg")
        for identity in (-number - 1, f"x-{number}", None):
            coco.garment(image, id=identity)
    assert coco.convert().cropped == 36
    sides = {(Path(row.image_id).stem.partition("@")[0], split_of(row.image_id)) for row in coco.rows()}
    assert len(sides) == 12


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


def test_a_file_with_anything_in_it_ends_in_a_message(coco: Coco) -> None:
    """Whatever stands where a value should be, an annotation is used or refused, or the file is, and nothing breaks."""
    rng = random.Random(1)
    for number in range(300):
        coco.raw = json.loads(json.dumps(Coco(coco.folder).raw))
        for name in ("a.jpg", "b.jpg"):
            coco.garment(coco.photo(name) if not number else coco.image(name), bbox=[1, 2, 30, 40])
        place: Any = coco.raw
        while place and isinstance(place, (list, dict)) and (place is coco.raw or rng.random() < 0.8):
            parent, key = place, rng.choice([*(place if isinstance(place, dict) else range(len(place)))])
            place = parent[key]
        parent[key] = rng.choice([None, [], {}, "x" * 300, "a\0", -1, 1e999, True, [[]], {"a": 1}, 10**400, "../a.jpg"])
        coco.to = coco.folder / f"out{number}"
        with contextlib.suppress(DataError):
            coco.convert()
