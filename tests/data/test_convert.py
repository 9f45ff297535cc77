"""COCO keypoints to the FashionAI layout: which photos stay as they are, what is cut out, and what it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline.data.split import split_of
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS
from tests.data.conftest import Coco


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


def test_other_files_of_the_same_name_do_not_meet(coco: Coco) -> None:
    """a/b.jpg and a-b.jpg are two photos; so are x.jpg and X.jpg where file systems do not tell case apart."""
    for name in ("a/b.jpg", "a-b.jpg", "A-B.png"):
        coco.garment(coco.photo(name))
    coco.convert()
    names = ["Images/skirt/a-b.jpg", "Images/skirt/a-b-2.jpg", "Images/skirt/A-B-3.png"]
    assert [row.image_id for row in coco.rows()] == names


def test_crops_of_a_photo_are_on_one_side_whatever_they_are_called(coco: Coco) -> None:
    """Ids that are negative, text, or not there at all, in photos whose names look like those of crops."""
    for number in range(12):
        image = coco.photo(f"p@{number}.png" if number % 2 else f"dir/p{number}.jpg")
        for identity in (-number - 1, f"x-{number}", None):
            coco.garment(image, id=identity)
    assert coco.convert().cropped == 36
    sides = {(Path(row.image_id).stem.partition("@")[0], split_of(row.image_id)) for row in coco.rows()}
    assert len(sides) == 12
