"""What the command writes: tables, JSON, CSV and COCO say the same, and drawings show it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seamline_client.answers import Prediction
from seamline_client.contract import VISIBILITY_NAMES, VISIBLE
from seamline_client.keypoints import GARMENTS, numbered
from seamline_client.overlay import draw
from seamline_client.reports import Coco
from tests.client.conftest import SHOES, Server


def test_machine_formats_say_the_same(predict: Any, photo: Path) -> None:
    """JSON lines, CSV rows and COCO annotations of one photo hold the same points, over either transport."""
    answer = json.loads(predict(photo, "--json").out)
    assert (answer["photo"], answer["width"], answer["height"]) == (str(photo), 500, 400)
    points = {point["name"]: (point["x"], point["y"], point["visibility"]) for point in answer["keypoints"]}
    rows = list(csv.DictReader(io.StringIO(predict(photo, "--csv").out)))
    assert {row["keypoint"]: (float(row["x"]), float(row["y"]), row["visibility"]) for row in rows} == points
    coco = json.loads(predict(photo, photo, "--coco", "--rest", "--signature", "serving_uint8").out)
    assert [image["file_name"] for image in coco["images"]] == [str(photo)] * 2
    annotation = coco["annotations"][1]
    triples = np.reshape(annotation["keypoints"], (24, 3)).tolist()
    assert {
        name: (x, y, VISIBILITY_NAMES[int(v)]) for name, (x, y, v) in zip(GARMENTS.keypoints, triples) if v
    } == points
    assert annotation["num_keypoints"] == len(points)
    left, top = (min(point[axis] for point in points.values()) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in points.values()) for axis in (0, 1))
    assert annotation["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=0.01)
    assert coco["categories"][0]["keypoints"] == list(GARMENTS.keypoints)


def test_every_format_says_how_sure_the_model_is(predict: Any, shoes: Server, photo: Path, tmp_path: Path) -> None:
    """One score a point in the table, JSON lines and CSV; in COCO all of them and their mean; who answered in JSON."""

    def ask(*arguments: Any) -> str:
        ran = predict(photo, "--target", shoes.grpc, *arguments)
        assert (ran.code, ran.err) == (0, "")
        return str(ran.out)

    def written(*arguments: Any) -> dict[str, float]:
        """Names and scores in CSV."""
        rows = csv.DictReader(io.StringIO(ask("--csv", *arguments)))
        return {row["keypoint"]: float(row["score"]) for row in rows}

    scores = written()
    assert len(set(scores.values())) > 1
    assert set(scores) <= set(SHOES.keypoints)
    first, *rows = ask().splitlines()
    assert first.endswith("  version 3")
    assert {row.split()[0]: float(row.split()[3]) for row in rows} == pytest.approx(scores, abs=0.005)
    line = json.loads(ask("--json"))
    assert (line["model"], line["version"]) == ("keypoints", 3)
    assert {point["name"]: point["score"] for point in line["keypoints"]} == scores
    best = max(scores, key=lambda name: scores[name])
    assert written("--min-score", scores[best] - 0.0001) == {best: scores[best]}
    for options, there in (([], scores), (["--min-score", scores[best] - 0.0001], {best: scores[best]})):
        coco = json.loads(ask("--coco", *options))
        (category,), (annotation,) = coco["categories"], coco["annotations"]
        assert (category["name"], category["keypoints"]) == ("shoe", list(SHOES.keypoints))
        assert category["skeleton"] == [[1, 2], [2, 3]]
        assert annotation["keypoint_scores"] == [there.get(name, 0) for name in SHOES.keypoints]
        assert annotation["score"] == pytest.approx(np.mean(list(there.values())), abs=0.0001)
        assert annotation["num_keypoints"] == len(there)


def test_the_drawing_fades_what_is_unsure(photo: Path) -> None:
    """The less sure, the more of the photo shows through the mark; without scores nothing does."""

    def mark(score: float | None) -> int:
        """How far the colour in the middle of a visible point is from the photo's."""
        half, scores = np.full(1, 0.5, np.float32), None if score is None else np.full(1, score, np.float32)
        found = Prediction(half, half, np.array([VISIBLE]), (500, 400), numbered(1), scores)
        pair = (np.asarray(each)[360, 450].astype(int) for each in (draw(photo, found, names=False), plain))
        return int(np.abs(np.subtract(*pair)).sum())

    with Image.open(photo) as opened:
        plain = opened.resize((900, 720), Image.Resampling.BICUBIC)
    assert 0 < mark(0.0) < mark(0.5) < mark(1.0) == mark(None)


def test_coco_keeps_the_sets_of_two_versions_apart(photo: Path) -> None:
    """A version with other points may come while photos are asked about: each annotation has its own category."""
    stream, half = io.StringIO(), np.full(3, 0.5, np.float32)
    report = Coco(stream)
    for about in (SHOES, numbered(3), SHOES):
        report.write("a.jpg", Prediction(half, half, np.full(3, VISIBLE), (500, 400), about))
    report.close()
    coco = json.loads(stream.getvalue())
    assert [each["keypoints"] for each in coco["categories"]] == [["toe", "heel", "ankle"], ["0", "1", "2"]]
    assert [each["category_id"] for each in coco["annotations"]] == [1, 2, 1]
    assert all("score" not in each for each in coco["annotations"])


def test_drawings_keep_their_folders_and_are_never_written_over_one_another(
    predict: Any, photo: Path, tmp_path: Path
) -> None:
    """Photos of one name stay apart; a drawing is large enough to read names on; the photo itself is untouched."""
    before = photo.read_bytes()
    for name in ("in/a/1.jpg", "in/b/1.jpg", "in/b/1.jpeg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / name)
    ran = predict("in", photo, "in/a/1.jpg", "in/b/1.jpg", "--draw", "out")
    assert (ran.code, ran.err) == (0, "")
    drawn = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.jpg")}
    in_folders = {"a/1-keypoints.jpg", "b/1-keypoints.jpg", "b/1-keypoints-2.jpg"}
    assert drawn == in_folders | {"photo-keypoints.jpg", "1-keypoints.jpg", "1-keypoints-2.jpg"}
    assert photo.read_bytes() == before
    assert predict(photo, "--draw", "one/drawn.png").code == 0
    for path in ("out/photo-keypoints.jpg", "one/drawn.png"):
        with Image.open(path) as drawing, Image.open(photo) as plain:
            assert drawing.size == (900, 720)
            pair = (np.asarray(each.convert("L"), int) for each in (drawing, plain.resize(drawing.size)))
            assert (np.abs(np.subtract(*pair)) > 60).sum() > 1000
