"""What to label next: the least sure first, what looks alike once, and answers that can be corrected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pipeline.labelling import alike
from pipeline.labelling.asking import Answer
from seamline_client.answers import Prediction
from seamline_client.contract import PRED_SCORE, UINT8
from seamline_client.finding import Found
from seamline_client.keypoints import GARMENTS
from seamline_client.messages import decode
from seamline_client.wire import serving_pb2 as pb
from tests.client.fakes import FakeGrpc, as_grpc
from tests.homes import Seamline


def outputs(request: bytes) -> dict[str, Any]:
    """A skirt's four points, and a model that is the surer the redder a photo's corner is; of hems it is never."""
    tensor = pb.PredictRequest.FromString(request).inputs[UINT8.input.name]
    red = decode(tensor, "pixels")[:, 0, 0, 0] / 255
    v = np.zeros((len(red), 24), np.int64)
    score = np.zeros((len(red), 24), np.float32)
    for name in GARMENTS.categories[GARMENTS.category_names.index("skirt")].keypoints:
        v[:, GARMENTS.index[name]] = 2
        score[:, GARMENTS.index[name]] = red / (4 if name == "hemline_right" else 1)
    ratios = np.linspace(0.1, 0.9, 24, dtype=np.float32)[None].repeat(len(red), 0)
    return {"pred_x_ratio": ratios, "pred_y_ratio": ratios, "pred_v": v, PRED_SCORE.name: score}


@pytest.fixture
def target() -> Iterator[str]:
    with FakeGrpc(lambda request, _: as_grpc(outputs(request), version=1)) as server:
        yield server.target


@pytest.fixture
def seamline(tmp_path: Path) -> Seamline:
    return Seamline(tmp_path / "home")


def picture(seed: int, red: int) -> Image.Image:
    """Coarse blots of one kind for each seed, with a corner of this red."""
    blots = np.random.default_rng(seed).integers(0, 255, (9, 7, 3), np.uint8)
    drawn = Image.fromarray(blots).resize((210, 270), Image.Resampling.BICUBIC)
    drawn.paste((red, 128, 128), (0, 0, 24, 24))
    return drawn


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos, the first of them in another size and quality as well, and one that is none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    picture(1, 40).save(folder / "unsure.png")
    picture(1, 160).resize((100, 130)).save(folder / "more" / "unsure.jpg", quality=60)
    picture(2, 250).save(folder / "sure.png")
    picture(3, 100).save(folder / "middling.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8")
    return folder


def test_the_least_sure_come_first_and_what_looks_alike_once(
    seamline: Seamline, target: str, photos: Path, tmp_path: Path
) -> None:
    """With the points that the model is least sure of; what cannot be read is named and left out."""
    said = seamline.pipeline("rank", "--photos", str(photos), "--target", target)
    rows = [line.split(maxsplit=2) for line in said.splitlines() if line[:4].strip().isdecimal()]
    assert [number for number, *_ in rows] == ["1", "2", "3"]
    assert [rest.split()[0] for *_, rest in rows] == ["unsure.png", "middling.png", "sure.png"]
    assert rows[0][2] == "unsure.png  hemline_right, waistband_left, waistband_right; 1 more like it"
    assert [float(doubt) for _, doubt, _ in rows] == sorted((float(doubt) for _, doubt, _ in rows), reverse=True)
    assert f"Left out: {photos / 'broken.jpg'}: not an image" in said
    with Image.open(seamline.home / "rank.png") as sheet:
        assert sheet.format == "PNG"


def test_a_server_in_a_container_is_asked_too(seamline: Seamline, target: str, photos: Path) -> None:
    """One that was not started from here, by its port. Where there is none, one line says so."""
    assert "No server is running" in seamline.pipeline("rank", "--photos", str(photos), code=6)
    seamline.environment["SEAMLINE_GRPC_PORT"] = target.rpartition(":")[2]
    assert "unsure.png" in seamline.pipeline("rank", "--photos", str(photos))


def test_answers_are_written_for_correction(seamline: Seamline, target: str, photos: Path, tmp_path: Path) -> None:
    """As many as were asked for, in order, as COCO keypoints whose photos are named within the folder."""
    coco, sheet = tmp_path / "answers.json", tmp_path / "new" / "sheet.png"
    options = ("--count", "2", "--coco", str(coco), "--to", str(sheet))
    seamline.pipeline("rank", "--photos", str(photos), "--target", target, *options)
    found = json.loads(coco.read_text())
    assert [each["file_name"] for each in found["images"]] == ["unsure.png", "middling.png"]
    assert found["categories"][0]["keypoints"] == list(GARMENTS.keypoints)
    assert [each["num_keypoints"] for each in found["annotations"]] == [4, 4]
    assert sheet.is_file()
    assert not seamline.home.exists()


def test_a_version_without_scores_is_refused(seamline: Seamline, photos: Path) -> None:
    """One line says what it lacks and what to do; nothing is written."""

    def before(request: bytes, _: object) -> bytes:
        return as_grpc({name: value for name, value in outputs(request).items() if name != PRED_SCORE.name}, 1)

    with FakeGrpc(before) as server:
        said = seamline.pipeline("rank", "--photos", str(photos), "--target", server.target, code=6)
    assert said.count("\n") == 1
    assert "does not say how sure it is (pred_score)" in said
    assert "`make export` makes one that does" in said
    assert not seamline.home.exists()


def test_a_folder_without_photos_is_named(seamline: Seamline, target: str, photos: Path, tmp_path: Path) -> None:
    """Missing, empty, or with nothing that can be read."""
    (tmp_path / "empty").mkdir()
    for path in photos.glob("**/*.*"):
        if path.name != "broken.jpg":
            path.unlink()
    for folder in (tmp_path / "nowhere", tmp_path / "empty", photos):
        said = seamline.pipeline("rank", "--photos", str(folder), "--target", target, code=3)
        assert str(folder) in said
        assert said.count("\n") == 1


def test_doubt_is_of_the_points_that_are_there() -> None:
    """The share of them that is expected to be wrong; a model that finds nothing is as unsure as can be."""

    def answer(v: list[int], score: list[float]) -> Answer:
        places = np.zeros(len(v), np.float32)
        said = Prediction(places, places, np.array(v), (10, 10))
        return Answer(Found("a", "a"), said, np.array(score, np.float32), np.zeros(255, bool))

    assert answer([2, 1, 0], [0.8, 0.6, 0.1]).doubt == pytest.approx(0.3)
    assert answer([2, 1, 0], [0.8, 0.6, 0.1]).least_sure(5) == [1, 0]
    assert answer([0, 0], [0.1, 0.9]).doubt == 1
    assert answer([0, 0], [0.1, 0.9]).least_sure(5) == []


def test_copies_look_alike_and_other_photos_do_not(garments_folder: Path, tmp_path: Path) -> None:
    """Smaller, saved anew, brighter, a little turned or cropped; of forty drawn garments nearly all are apart."""
    paths = sorted(garments_folder.glob("Images/*/*.jpg"))
    looks = []
    for number, path in enumerate(paths):
        with Image.open(path) as opened:
            looks.append(alike.look(opened))
            if number % 10:
                continue
            opened.resize((150, 200)).save(tmp_path / "small.jpg", quality=50)
            width, height = opened.size
            for other in (
                Image.open(tmp_path / "small.jpg"),
                ImageEnhance.Brightness(opened).enhance(1.15),
                opened.rotate(1, Image.Resampling.BILINEAR),
                opened.crop((4, 4, width - 4, height - 4)),
            ):
                assert np.count_nonzero(alike.look(other) != looks[-1]) <= alike.DISTANCE
    assert len(alike.apart(np.stack(looks))) >= len(paths) - 2


def test_a_group_is_led_by_the_first() -> None:
    """In order of merit: what is alike to a first one joins it, wherever it comes."""
    one, other = np.zeros(255, bool), np.ones(255, bool)
    near = one.copy()
    near[: alike.DISTANCE] = True
    far = one.copy()
    far[: alike.DISTANCE + 1] = True
    assert alike.apart(np.stack([one, other, near, far, other])) == [[0, 2], [1, 4], [3]]
