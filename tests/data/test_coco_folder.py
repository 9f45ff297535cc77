"""Folders with COCO keypoints are read as they are, however tools lay them out."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from garments import write_dataset
from pipeline.data import records
from pipeline.data.checks import Photo, check_all
from pipeline.data.sources import read_folder
from pipeline.errors import DataError
from seamline_client.keypoints import GARMENTS, read
from tests import figures

LABELS = "annotations/person_keypoints_{}2017.json"


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return figures.write(tmp_path / "coco", 12, 6)


def rewrite(path: Path, change: Any) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def test_coco_as_it_is(coco: Path) -> None:
    """Splits by the files' names, the set by the category, area and points as annotated; other files do not count."""
    found = read_folder(coco)
    assert {split: len(rows) for split, rows in found.splits.items()} == {"train": 14, "eval": 7}
    assert found.refusals == []
    assert (found.keypoints.thing, found.keypoints.keypoints) == ("person", tuple(figures.NAMES))
    raw = json.loads((coco / LABELS.format("train")).read_text())["annotations"][0]
    row = found.splits["train"][0]
    assert row.image == coco / "train2017/000000000000.jpg"
    assert [row.area, *row.box] == pytest.approx([raw["area"], *raw["bbox"][2:]])
    assert [value for point in row.points for value in point] == [
        value for place, value in enumerate(raw["keypoints"]) if place % 3 < 2
    ]


def test_files_that_are_not_read_are_named(coco: Path, tmp_path: Path) -> None:
    """Those beside files that are named for keypoints, but for COCO's own, and COCO files beside CSV files."""
    (coco / "annotations/corrected.json").write_text("{}")
    (note,) = (each for each in read_folder(coco).notes if each.startswith("not read"))
    assert str(coco / "annotations/corrected.json") in note
    assert "_keypoints_" not in note
    assert "instances_" not in note

    drawn = tmp_path / "drawn"
    write_dataset(drawn, 20, seed=1, processes=1)
    (drawn / "answers.json").write_text("{}")
    notes = read_folder(drawn, training=False).notes
    assert "not read, for there are CSV files in the FashionAI layout: 1 JSON file(s): answers.json" in notes


@pytest.mark.parametrize(
    ("moves", "splits"),
    [
        ({"train2017": "images/train2017", "val2017": "images/val2017"}, (14, 7)),
        (
            {
                LABELS.format("train"): "train/_annotations.coco.json",
                "train2017/*": "train/",
                LABELS.format("val"): "valid/_annotations.coco.json",
                "val2017/*": "valid/",
            },
            (14, 7),
        ),
        ({LABELS.format("train"): "labels.json", "train2017": "images", LABELS.format("val"): None}, None),
        ({LABELS.format("train"): "a.json", "train2017/*": ".", LABELS.format("val"): None}, None),
        (
            {
                LABELS.format("train"): "annotations/person_keypoints_default.json",
                "train2017": "images/default",
                LABELS.format("val"): None,
            },
            None,
        ),
    ],
    ids=["in images/", "roboflow", "labels.json and images/", "all in one folder", "cvat"],
)
def test_layouts(coco: Path, moves: dict[str, str | None], splits: tuple[int, int] | None) -> None:
    """Files in annotations/, in the folder or in those of the splits; without splits, photos are split by name."""
    for file in coco.glob("annotations/instances*"):
        file.unlink()
    for source, target in moves.items():
        for path in list(coco.glob(source)):
            if target is None:
                path.unlink()
                continue
            to = coco / target / path.name if target.endswith(("/", ".")) else coco / target
            to.parent.mkdir(parents=True, exist_ok=True)
            path.rename(to)
    found = read_folder(coco, training=False)
    assert found.refusals == []
    counts = tuple(len(rows) for rows in found.splits.values())
    assert counts == splits if splits else sum(counts) == 14


def test_things_are_cut_out_in_memory(coco: Path) -> None:
    """Each with a margin, its points moved with it; the photo of one is the file. No second copy is written."""
    before = sorted(coco.rglob("*"))
    found = read_folder(coco)
    for row, photo in zip(found.splits["train"], check_all(found.splits["train"], found.keypoints)):
        assert isinstance(photo, Photo)
        picture = tf.io.decode_image(photo.encoded).numpy()
        assert picture.shape[:2] == (photo.height, photo.width)
        if row.crop is None:
            assert photo.encoded == row.image.read_bytes()
            continue
        with Image.open(row.image) as whole:
            assert photo.width < whole.width
            seen = np.asarray(whole)
        for (x, y), (old_x, old_y), v in zip(photo.annotation.points, row.points, row.v):
            if v >= 0:
                assert np.abs(picture[int(y), int(x)].astype(int) - seen[int(old_y), int(old_x)]).max() < 40
    assert sorted(coco.rglob("*")) == before


def test_crops_of_a_photo_are_on_one_side_of_the_split(tmp_path: Path) -> None:
    """Where the photos' names decide."""
    coco = figures.write(tmp_path / "coco", 120, 0)
    rewrite(coco / LABELS.format("train"), lambda raw: None)
    (coco / LABELS.format("val")).unlink()
    splits = read_folder(coco).splits
    photos = {split: {row.image for row in rows if row.crop} for split, rows in splits.items()}
    assert photos["eval"]
    assert not photos["train"] & photos["eval"]
    assert len({row.image_id for row in chain(*splits.values())}) == 140


def test_persons_without_labels_are_passed_over_but_still_there(coco: Path) -> None:
    """As 40 % of COCO's are. Beside one of them a person is cut out; a crowd is the same."""

    def change(raw: dict[str, Any]) -> None:
        (first, *_) = raw["annotations"]
        unlabelled = {**first, "id": 1000, "num_keypoints": 0, "keypoints": [0] * 51}
        raw["annotations"] += [unlabelled, {**unlabelled, "id": 1001, "image_id": 1, "iscrowd": 1}]

    rewrite(coco / LABELS.format("train"), change)
    found = read_folder(coco)
    assert found.refusals == []
    assert "passed over, for they have no keypoints: 2 annotations." in found.notes
    assert {row.image.stem[-1] for row in found.splits["train"][:2] if row.crop} == {"0", "1"}


def test_a_set_beside_the_data_wins(coco: Path) -> None:
    """Over what the categories say. It has to know their points: none is left out in silence."""
    stated = {"thing": "worker", "keypoints": figures.NAMES[::-1], "categories": {"person": {}}}
    (coco / "keypoints.json").write_text(json.dumps(stated))
    found = read_folder(coco)
    assert (found.keypoints.thing, found.keypoints.pairs) == ("worker", ())
    assert found.keypoints.keypoints[-1] == "nose"
    (coco / "keypoints.json").write_text(json.dumps({**stated, "categories": {"worker": {}}}))
    found = read_folder(coco, GARMENTS)
    assert {row.category for row in found.splits["train"]} == {"worker"}
    assert "of a category that is not in the set, and given one by their points: 21 workers." in found.notes
    (coco / "keypoints.json").write_text(json.dumps({**stated, "keypoints": figures.NAMES[:-1]}))
    with pytest.raises(DataError, match=r"no keypoint here is called right_ankle\. A keypoints\.json"):
        read_folder(coco)
    (coco / "keypoints.json").write_text(json.dumps({**stated, "pairs": [["nose", "mouth"]]}))
    with pytest.raises(DataError, match=r"keypoints.json: not a keypoint set: pairs: 'mouth' is not one"):
        read_folder(coco)


def test_a_version_is_evaluated_by_its_own_set(coco: Path) -> None:
    """Not by that of the file's categories, whose errors are measured by the box."""
    ends = ["left_shoulder", "right_shoulder"]
    asked = read({"keypoints": figures.NAMES[::-1], "categories": {"person": {"normaliser": ends}}})
    found = read_folder(coco, asked)
    assert found.keypoints is asked
    assert found.splits["eval"][0].v[-1] == 1


def test_other_files_are_passed_over(coco: Path) -> None:
    """JSON of something else, macOS's hidden files, and COCO's without keypoints; what is not used is said."""
    (coco / "package.json").write_text('{"name": "x"}')
    (coco / "._labels.json").write_bytes(b"\0\5\26\7")
    (coco / "boxes.json").write_text('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}')
    found = read_folder(coco)
    assert len(found.splits["train"]) == 14
    others = f"{coco / 'boxes.json'}, {coco / 'package.json'}"
    assert f"passed over, for they have no categories with keypoints: {others}" in found.notes


def test_some_of_the_photos_will_do(coco: Path) -> None:
    """As where somebody has fetched a few of COCO's: the others are named, each once."""
    for photo in sorted((coco / "train2017").iterdir())[:-1]:
        photo.unlink()
    found = read_folder(coco)
    assert [row.image.name for row in found.splits["train"]] == ["000000000011.jpg"] * 2
    assert {refusal.reason.split(":")[1] for refusal in found.refusals} == {
        " no such file in " + str(coco / "train2017")
    }


def test_a_photo_of_two_files_is_refused(coco: Path) -> None:
    """Its persons too: nobody knows whether they are the same ones."""
    rewrite(coco / LABELS.format("val"), lambda raw: raw["images"][0].update(file_name="../train2017/000000000005.jpg"))
    (coco / "val2017/000000000000.jpg").unlink()
    (coco / "val2017/000000000000.jpg").symlink_to(coco / "train2017/000000000005.jpg")
    rewrite(coco / LABELS.format("val"), lambda raw: raw["images"][0].update(file_name="000000000000.jpg"))
    found = read_folder(coco)
    assert len(found.refusals) == 3
    assert {"has 3 rows" in refusal.reason for refusal in found.refusals} == {True}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda coco: (coco / "train2017").rename(coco.parent / "x"), "train2017.json: its photos are not there: 0000"),
        (lambda coco: (coco / LABELS.format("train")).unlink(), "none to train on"),
        (lambda coco: (coco / LABELS.format("val")).write_text("{"), "val2017.json: cannot be read as COCO keypoints"),
        (
            lambda coco: rewrite(coco / LABELS.format("val"), lambda raw: raw["categories"][0]["keypoints"].pop()),
            "category 'person' has other keypoints than in .*train2017.json",
        ),
    ],
    ids=["no photos", "nothing to train on", "no JSON", "two sets"],
)
def test_what_is_wrong_is_said_once(coco: Path, spoil: Any, message: str) -> None:
    """One message with the file, what is wrong and what to do."""
    spoil(coco)
    with pytest.raises(DataError, match=message):
        read_folder(coco)


def test_records_have_the_area(coco: Path, tmp_path: Path) -> None:
    """COCO's own where it is stated, else that of the box; notes and refusals are kept with the data set."""

    def change(raw: dict[str, Any]) -> None:
        del raw["annotations"][0]["area"]
        raw["annotations"][1]["keypoints"][0] = 1e6

    rewrite(coco / LABELS.format("val"), change)
    dataset = records.prepare(coco, tmp_path / "set", lambda *_: None)
    assert records.load(dataset.folder) == dataset
    assert [refusal.reason.split(" at ")[0] for refusal in dataset.refusals] == ["nose"]
    areas = [
        (float(example["area"]), float(tf.reduce_prod(example["box"])), example["image_id"].numpy().decode())
        for example in map(dataset.parse, tf.data.TFRecordDataset(dataset.shards("eval")))
    ]
    for area, box, image_id in areas:
        assert area / box == pytest.approx(1.0 if image_id == "000000000000.jpg" else 0.5)
    assert dataset.notes == ("cut out of photos that show several: 6 persons. The model looks at one in a picture.",)


def test_a_folder_with_anything_in_it_ends_in_a_message(coco: Path) -> None:
    """Whatever stands where a value should be, photos are used or refused, or the file is, and nothing breaks."""
    rng = random.Random(1)
    (coco / LABELS.format("val")).unlink()
    whole = json.loads((coco / LABELS.format("train")).read_text())
    whole["images"], whole["annotations"] = whole["images"][:2], whole["annotations"][:2]
    strange: list[Any] = [None, [], {}, "x" * 300, "a\0", -1, 1e999, True, [[]], {"a": 1}, 10**400, "../a.jpg", 0.5]
    for _ in range(200):
        raw = json.loads(json.dumps(whole))
        place: Any = raw
        while place and isinstance(place, (list, dict)) and (place is raw or rng.random() < 0.85):
            parent, key = place, rng.choice([*(place if isinstance(place, dict) else range(len(place)))])
            place = parent[key]
        parent[key] = rng.choice(strange)
        (coco / LABELS.format("train")).write_text(json.dumps(raw))
        with suppress(DataError):
            found = read_folder(coco)
            list(check_all(chain(*found.splits.values()), found.keypoints))
