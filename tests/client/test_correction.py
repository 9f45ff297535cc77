"""The correction loop: `predict.py --coco`, a labelling tool, `convert`, a data set. Nothing gets lost on the way.

What the tools write was read off their exporters: CVAT's (Datumaro), Label Studio's and COCO Annotator's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from pipeline import cli
from pipeline.data import records
from pipeline.data.coco import read_names
from pipeline.data.convert import Converted, convert
from seamline_client.keypoints import GARMENTS
from tests.client.conftest import run

Coco = dict[str, Any]
NAMES = [f"{folder}/{number}.jpg" for folder in ("shop", "street") for number in range(12)]


def cvat(answers: Coco) -> Coco:
    """COCO Keypoints 1.0: each point of a skeleton is a category too, a track that has ended has no points, and a point
    that was taken away keeps its place."""
    (category,) = answers["categories"]
    points = [{"id": 2 + n, "name": name, "supercategory": "garment"} for n, name in enumerate(GARMENTS.keypoints)]
    empty: Coco = {"keypoints": [], "skeleton": []}
    blank = {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
    annotations = [
        {**each, "segmentation": [], "attributes": {"occluded": False, "track_id": 0, "keyframe": True}}
        for each in answers["annotations"]
    ]
    for each in annotations:
        each["keypoints"] = [value or 7.25 if n % 3 < 2 else value for n, value in enumerate(each["keypoints"])]
    ended = {"bbox": [0, 0, 0, 0], "area": 0, "keypoints": [], "num_keypoints": 0}
    annotations.append({**annotations[0], "id": len(annotations) + 1, **ended})
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": dict.fromkeys(("contributor", "date_created", "description", "url", "version", "year"), ""),
        "categories": [{**category, "supercategory": ""}, *({**each, **empty} for each in points)],
        "images": [{**each, **blank} for each in answers["images"]],
        "annotations": annotations,
    }


def label_studio(answers: Coco) -> Coco:
    """All keypoints are of one category called default, in whole pixels, and none is occluded. Beside them there is the
    rectangle that the tool demands. Ids count from 0, and on Windows paths are those of Windows."""
    annotations: list[Coco] = []
    for each in answers["annotations"]:
        triples = np.reshape(each["keypoints"], (-1, 3)).round()
        triples[:, 2] = np.where(triples[:, 2] > 0, 2, 0)
        common = {"image_id": each["image_id"] - 1, "iscrowd": 0, "bbox": each["bbox"]}
        annotations.append({"id": len(annotations), **common, "category_id": 0, "segmentation": [], "ignore": 0})
        points = {"keypoints": triples.astype(int).ravel().tolist(), "num_keypoints": each["num_keypoints"]}
        annotations.append({"id": len(annotations), **common, "category_id": 1, **points})
    return {
        "images": [
            {**each, "id": each["id"] - 1, "file_name": each["file_name"].replace("/", "\\")}
            for each in answers["images"]
        ],
        "categories": [
            {"id": 0, "name": "Garment"},
            {"id": 1, "name": "default", "supercategory": "default", "keypoints": GARMENTS.keypoints, "skeleton": []},
        ],
        "annotations": annotations,
        "info": {"year": 2026, "version": "1.0", "contributor": "Label Studio"},
    }


def coco_annotator(answers: Coco) -> Coco:
    """`file_name` lacks the folders, which are in `path`; keypoints alone have a bbox of nothing, and crowds are bools.
    Much is there that no one else knows."""
    (category,) = answers["categories"]
    extra = {"metadata": {}, "milliseconds": 0, "events": []}
    no_box = {"segmentation": [], "area": 0, "bbox": [0, 0, 0, 0], "iscrowd": False, "isbbox": False}
    shown = {"color": "#1bd838", "creator": "admin", "dataset_id": 1}
    state = {"annotated": True, "annotating": [], "num_annotations": 1, "deleted": False, "is_modified": False}
    return {
        "images": [
            {**each, **extra, **state, "dataset_id": 1, "category_ids": [1], "regenerate_thumbnail": False}
            | {"file_name": Path(each["file_name"]).name, "path": f"/datasets/{each['file_name']}"}
            for each in answers["images"]
        ],
        "categories": [
            {**category, "supercategory": "", "color": "#f90660", "metadata": {}, "keypoint_colors": ["#ff0000"] * 24},
            {"id": 2, "name": "bag", "supercategory": "", "color": "#78ef51", "metadata": {}, "keypoint_colors": []},
        ],
        "annotations": [{**each, **no_box, **shown, **extra} for each in answers["annotations"]],
    }


def as_answered(answers: Coco) -> Coco:
    """Nothing was corrected, and no tool was used."""
    return answers


@pytest.fixture
def answers(predict: Callable[..., Any], tmp_path: Path) -> Coco:
    """About photos in two folders: skirts, and on every third photo points of two kinds of garment."""
    rng = np.random.default_rng(1)
    for number, name in enumerate(NAMES):
        cells = rng.integers(20, 230, (24, 3)).astype(np.uint8)
        cells[:, 2] = 0  # the tiny model sees a point where it is blue: visible where it is bright, else occluded
        cells[list(GARMENTS.can_have("skirt")), 2] = (250, 250, 120, 250)
        if number % 3 == 0:
            cells[GARMENTS.index["crotch"], 2] = 250
        photo = Image.fromarray(cells.reshape(4, 6, 3).repeat(96, 0).repeat(64, 1)).resize((300, 400))
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        photo.save(tmp_path / "photos" / name)
    found: Coco = json.loads(predict("photos", "--coco").out)
    assert len(found["annotations"]) == len(NAMES)
    return found


def corrected(answers: Coco) -> Coco:
    """A person has moved a point of each garment, hidden one, taken one away and added one."""
    for each in answers["annotations"]:
        triples = np.reshape(each["keypoints"], (-1, 3))
        first, second, third = np.flatnonzero(triples[:, 2])[:3]
        triples[first, :2] += 0.37
        triples[second, 2] = 1
        triples[third] = 0
        triples[GARMENTS.index["hemline_left"]] = (12.5, 300.25, 2)
        each["keypoints"] = triples.ravel().tolist()
        each["num_keypoints"] = int((triples[:, 2] > 0).sum())
    return answers


def triples(coco: Coco) -> dict[str, NDArray[np.float64]]:
    """The points of each photo of a COCO file, by the photo's path here, where there are any."""
    names = {each["id"]: each.get("path", each["file_name"]).replace("\\", "/") for each in coco["images"]}
    return {
        names[each["image_id"]].replace("/datasets/", ""): np.reshape(each["keypoints"], (-1, 3))
        for each in coco["annotations"]
        if each.get("keypoints")
    }


def learnt(converted: Path, into: Path) -> dict[str, NDArray[np.float64]]:
    """The points that training sees, in pixels, and v as COCO has it, by the name of the photo."""
    dataset = records.prepare(converted, into, lambda *_: None)
    assert dataset.refusals == ()
    found = {}
    for split in ("train", "eval"):
        for record in tf.data.TFRecordDataset(dataset.shards(split)):
            example = dataset.parse(record)
            v = example["v"].numpy()[:, None]
            name = Path(example["image_id"].numpy().decode()).name
            found[name] = np.hstack([example["xy"].numpy() * example["size"].numpy(), v]) * (v > 0)
    return found


@pytest.mark.parametrize("tool", [as_answered, cvat, label_studio, coco_annotator])
def test_what_a_tool_writes_is_trained_on_without_loss(answers: Coco, tmp_path: Path, tool: Any) -> None:
    """Every photo and every point: its place to the precision that was written, its v, also of two kinds at once."""
    exported = tool(answers if tool is as_answered else corrected(answers))
    if tool is not as_answered:  # the tool was given the folder's photos, and knows nothing of the folder
        for image in exported["images"]:
            for key in {"file_name", "path"} & set(image):
                image[key] = image[key].replace("photos/", "").replace("photos\\", "")
    (tmp_path / "labels.json").write_text(json.dumps(exported))
    done: Converted = convert(tmp_path / "labels.json", tmp_path / "photos", tmp_path / "out", {}, lambda *_: None)
    assert (sum(done.categories.values()), done.guessed, done.mixed) == (len(NAMES), len(NAMES), len(NAMES) // 3)
    assert (done.refusals, done.cropped) == ((), 0)
    assert done.without_keypoints == {cvat: 1, label_studio: len(NAMES)}.get(tool, 0)
    written = {name.removeprefix("photos/").replace("/", "-"): each for name, each in triples(exported).items()}
    found = learnt(tmp_path / "out", tmp_path / "set")
    assert found.keys() == written.keys()
    for name, points in written.items():
        np.testing.assert_allclose(found[name], points * (points[:, 2:] > 0), atol=2e-3)


def test_a_box_of_nothing_is_no_box(answers: Coco, tmp_path: Path) -> None:
    """COCO Annotator's [0, 0, 0, 0] does not stretch a garment that is cut out to the photo's corner."""
    exported = coco_annotator(answers)
    exported["images"] = [{**each, "path": f"/x/{each['path'].split('photos/')[1]}"} for each in exported["images"]]
    (tmp_path / "labels.json").write_text(json.dumps(exported))
    to = tmp_path / "out"
    convert(tmp_path / "labels.json", tmp_path / "photos", to, read_names([]), lambda *_: None, crop_all=True, margin=0)
    box = exported["annotations"][0]["keypoints"]
    points = np.reshape(box, (-1, 3))[np.reshape(box, (-1, 3))[:, 2] > 0, :2]
    with Image.open(next(to.rglob("shop-0@0.jpg"))) as cut:
        assert np.abs(np.ptp(points, axis=0) - cut.size).max() <= 2


@pytest.mark.slow
def test_corrected_answers_are_trained_on(answers: Coco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands as people type them, from the answers to a report, in folders of any name."""
    monkeypatch.setenv("SEAMLINE_HOME", str(tmp_path / "home"))
    (tmp_path / "labels.json").write_text(json.dumps(cvat(corrected(answers))))
    to = os.fsdecode(b"out <b> [red]*\n\xff")
    assert run(cli.main, "convert", "--strict", "--coco", "labels.json", "--images", "photos", "--to", to).code == 0
    assert run(cli.main, "train", "--preset", "tiny", "--steps", 2, "--data", to).code == 0
    (page,) = (tmp_path / "home" / "runs").glob("*-tiny-*/report/report.html")
    assert "<dd>out &lt;b&gt; -red----</dd>" in page.read_text(encoding="utf-8")
