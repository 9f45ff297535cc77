"""COCO keypoints to the FashionAI layout: whose points become ours, what is cut out, what is refused and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.annotations import find_sources, read
from pipeline.data.coco import read_names
from pipeline.data.convert import Converted, convert
from pipeline.data.records import split_of
from pipeline.errors import DataError
from seamline_client.keypoints import INDEX

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
        self.raw["images"].append(
            {"id": len(self.raw["images"]), "file_name": name, "width": size[0], "height": size[1]}
        )
        return len(self.raw["images"]) - 1

    def garment(self, image: int, points: list[Any] = POINTS, **more: Any) -> None:
        annotation = {"id": len(self.raw["annotations"]), "image_id": image, "category_id": 7, "keypoints": points}
        self.raw["annotations"].append({**annotation, **more})

    def convert(self, *names: str, **options: Any) -> Converted:
        file = self.folder / "skirts.json"
        file.write_text(json.dumps(self.raw))
        return convert(file, self.photos, self.to, read_names(names), lambda *_: None, **options)

    def rows(self) -> list[Any]:
        (source,) = find_sources(self.to)
        annotations, refusals = read(source)
        assert refusals == []
        return annotations


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
    assert marked == dict(zip(map(INDEX.__getitem__, names), [(30, 20, 1), (70, 20, 0), (20, 90, 1)]))


def test_several_garments_of_one_photo_are_cut_out(coco: Coco) -> None:
    """Each to its box and a margin, its points moved with it; all of one photo land in the same split."""
    image = coco.photo("a.png")
    coco.garment(image)
    coco.garment(image, [10, 10, 2, 20, 10, 2, 5, 40, 2, 25, 40, 2], bbox=[5, 10, 20, 30])
    assert coco.convert(margin=0.2).cropped == 2
    first, second = coco.rows()
    assert (first.image_id, second.image_id) == ("Images/skirt/a@0.png", "Images/skirt/a@1.png")
    for row, x, y in ((first, 30, 20), (second, 10, 10)):
        with Image.open(row.image) as cut:
            left, top = (value / 2 for value in cut.getpixel((0, 0))[:2])
        dx, dy = row.points[INDEX["waistband_left"]]
        assert (dx + left, dy + top) == (x, y)
    with Image.open(second.image) as cut:
        assert cut.size == (29 - 1, 46 - 4)
    split = {split_of(row.image_id.replace("skirt", name)) for row, name in ((first, "skirt"), (second, "dress"))}
    assert len(split) == 1


def test_a_neighbour_that_cannot_be_used_is_still_a_neighbour(coco: Coco) -> None:
    """A photo of two garments shows two, also where the points of one are no good; a person in it is no garment."""
    coco.raw["categories"].append({"id": 8, "name": "person", "keypoints": ["nose"]})
    for name in ("a.jpg", "b.jpg"):
        coco.garment(coco.photo(name))
    coco.garment(0, [0] * 12)
    coco.garment(1, [5, 5, 2], category_id=8)
    assert coco.convert().cropped == 1
    assert [row.image_id for row in coco.rows()] == ["Images/skirt/a@0.jpg", "Images/skirt/b.jpg"]


def test_every_garment_is_cut_out_where_that_is_asked(coco: Coco) -> None:
    """Also the only one of its photo."""
    coco.garment(coco.photo("a.png"), bbox=[20, 20, 50, 70])
    assert coco.convert(crop_all=True, margin=0).cropped == 1
    (row,) = coco.rows()
    with Image.open(row.image) as cut:
        assert cut.size == (50, 70)


def test_names_are_matched_and_mapped(coco: Coco, tmp_path: Path) -> None:
    """Spelling aside names are matched by themselves; a pair or a file of pairs renames points and categories."""
    coco.raw["categories"] = [{"id": 7, "name": "rok", "keypoints": ["Waistband Left", "wb-r", "hemline_left", "tag"]}]
    coco.garment(coco.photo("a.jpg"))
    with pytest.raises(DataError, match=r"no keypoint here is called wb-r, tag\. --map"):
        coco.convert()
    (tmp_path / "names.json").write_text(json.dumps({"wb-r": "waistband_right", "tag": ""}))
    assert coco.convert(str(tmp_path / "names.json"), "rok=skirt").guessed == 0
    (row,) = coco.rows()
    assert row.points[INDEX["waistband_right"]] == (70, 20)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a=b", "there is no 'b' here"), ("missing.json", "expected name=name"), ("LIST", "expected name=name")],
)
def test_a_map_that_is_none(coco: Coco, tmp_path: Path, name: str, message: str) -> None:
    """What is wrong, and what there is."""
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match=message):
        coco.convert(name.replace("LIST", str(tmp_path / "list.json")))


def test_a_category_of_no_name_of_ours_is_told_by_its_points(coco: Coco) -> None:
    """The kind of garment that can have all of them and lacks the fewest others."""
    coco.raw["categories"] = [{"id": 7, "name": "garment", "keypoints": [*SKIRT[:2], "crotch", "hemline_left"]}]
    coco.garment(coco.photo("a.jpg"), [1, 1, 2, 9, 1, 2, 5, 5, 2, 0, 0, 0])
    coco.garment(coco.photo("b.jpg"), [1, 1, 2, 9, 1, 2, 0, 0, 0, 1, 9, 2])
    coco.garment(coco.photo("c.jpg"), [1, 1, 2, 9, 1, 2, 5, 5, 2, 1, 9, 2])
    converted = coco.convert()
    assert (converted.categories, converted.guessed) == ({"skirt": 1, "trousers": 1}, 2)
    assert "no garment has all of its points" in converted.refusals[0].reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"image_id": 99}, "there is no image 99"),
        ({"category_id": 99}, "there is no category 99"),
        ({"iscrowd": 1}, "a crowd"),
        ({"keypoints": [0] * 12}, "no point is marked"),
        ({"keypoints": POINTS[:-1]}, "expected 3 numbers for each of 4 keypoints, found 11"),
        ({"keypoints": [1, 1, 3, *POINTS[3:]]}, "v is 3"),
        ({"keypoints": ["x", 1, 2, *POINTS[3:]]}, "could not convert"),
        ({"keypoints": [float("nan"), 1, 2, *POINTS[3:]]}, "not a number of pixels"),
        ({"keypoints": [101, 1, 2, *POINTS[3:]]}, r"waistband_left at \(101, 1\) lies outside of the 100x100"),
        ({"keypoints": None}, "not as COCO has it"),
        ({"category_id": 8}, "none of the keypoints of category 'person' is ours"),
        ({"category_id": 9}, "crotch is marked, but a skirt has no such point"),
        ({"image_id": 1}, "missing.jpg: no such file"),
        ({"image_id": 2}, "no such file"),
        ({"image_id": 3}, "broken.jpg: cannot be used"),
        ({"image_id": 4}, "has 100x100 pixels, annotated were 50x50"),
    ],
)
def test_a_refused_annotation_is_named_with_its_reason(coco: Coco, more: dict[str, Any], reason: str) -> None:
    """The good one beside it is written; with `strict`, or where it is the only one, nothing is."""
    coco.garment(coco.photo("good.jpg"))
    (coco.photos / "broken.jpg").write_bytes((coco.photos / "good.jpg").read_bytes()[:400])
    (coco.folder / "secret.jpg").write_bytes((coco.photos / "good.jpg").read_bytes())
    for name, size in (("missing.jpg", 100), ("../secret.jpg", 100), ("broken.jpg", 100), ("good.jpg", 50)):
        number = len(coco.raw["images"])
        coco.raw["images"].append({"id": number, "file_name": name, "width": size, "height": size})
    coco.raw["categories"] += [
        {"id": 8, "name": "person", "keypoints": ["nose", "eye", "knee", "toe"]},
        {"id": 9, "name": "skirt", "keypoints": ["crotch", *SKIRT[:3]]},
    ]
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


def test_nothing_is_written_over_and_nothing_by_halves(coco: Coco, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that holds something is refused; one that breaks off, or of which nothing can be used, is not there."""
    coco.garment(coco.photo("a.jpg"), [0] * 12)
    with pytest.raises(DataError, match="no annotation of 1 can be used"):
        coco.convert()
    coco.garment(0)

    def full(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("csv.writer", full)
        with pytest.raises(OSError, match="No space"):
            coco.convert()
    assert sorted(path.name for path in coco.folder.iterdir()) == ["photos", "skirts.json"]
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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 1, "annotations": [], "categories": []}'])
def test_a_file_that_is_not_coco(coco: Coco, text: str) -> None:
    """The file is named, and what was expected in it."""
    coco.photos.mkdir()
    file = coco.folder / "a.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"a\.json: cannot be read as COCO keypoints"):
        convert(file, coco.photos, coco.to, {}, lambda *_: None)


def test_other_files_of_the_same_name_do_not_meet(coco: Coco) -> None:
    """a/b.jpg and a-b.jpg are two photos; so are x.jpg and X.jpg where file systems do not tell case apart."""
    for name in ("a/b.jpg", "a-b.jpg"):
        coco.garment(coco.photo(name))
    coco.convert()
    assert [row.image_id for row in coco.rows()] == ["Images/skirt/a-b.jpg", "Images/skirt/a-b-2.jpg"]
