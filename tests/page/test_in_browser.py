"""What a person sees and does on the page, in Chromium."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePath

import pytest
from PIL import Image, ImageDraw
from selenium.webdriver.common.keys import Keys

from pipeline.data.annotations import Annotation
from pipeline.data.checks import Photo, check_all
from pipeline.data.sources import read_folder
from pipeline.data.split import photo_name
from pipeline.page import desk
from seamline_client import PredictClient
from seamline_client.answers import Prediction
from seamline_client.keypoints import GARMENTS
from seamline_client.reports import Coco
from tests.model_server.servers import Server
from tests.page.browser import Browser
from tests.page.conftest import Pages

UNIT = "document.querySelector('img').naturalWidth / document.querySelector('.photo').clientWidth"
"""Pixels of the photo for one of the screen."""
Points = Mapping[str, tuple[float, float, str]]


def predicted(models: Server, *photos: Path) -> list[Prediction]:
    """By what predict.py --rest asks."""
    with PredictClient(f"127.0.0.1:{models.rest_port}", "rest") as client:
        return [client.predict(each)[0] for each in photos]


def assert_same(found: Points, expected: Prediction, pixels: float) -> None:
    named = {each.name: (each.x, each.y, each.visibility) for each in expected.keypoints}
    assert {name: state for name, (*_, state) in found.items()} == {name: v for name, (*_, v) in named.items()}
    for name, (x, y, _) in named.items():
        assert abs(found[name][0] - x) <= pixels, name
        assert abs(found[name][1] - y) <= pixels, name


def read_back(folder: Path) -> dict[str, Annotation]:
    """As training reads it: annotations by what their photo is called, each of which can be used."""
    annotated = read_folder(folder, training=False)
    assert annotated.refusals == []
    annotations = [each for split in annotated.splits.values() for each in split]
    assert all(isinstance(each, Photo) for each in check_all(annotations, annotated.keypoints))
    return {each.image.name: each for each in annotations}


def there(annotation: Annotation) -> Points:
    states = ("occluded", "visible")
    cells = zip(GARMENTS.keypoints, annotation.points, annotation.v)
    return {name: (x, y, states[v]) for name, (x, y), v in cells if v >= 0}


def test_a_dropped_photo_shows_its_points(browser: Browser, page: Pages, models: Server, photos: list[Path]) -> None:
    """Where predict.py says they are, on the photo and in the table, with the version that answered and how long."""
    browser.look_at(page().url, photos[0])
    (expected,) = predicted(models, photos[0])
    assert_same(browser.points(), expected, 0.051)
    drawn = browser.js(
        "[...document.querySelectorAll('.point')].filter((each) => each.getAttribute('visibility') === 'visible')"
        ".map((each) => each.dataset.name)"
    )
    assert drawn == [each.name for each in expected.keypoints]
    assert browser.text("figcaption").startswith(f"Version 1: {len(drawn)} of 24 points in ")


@pytest.mark.slow
def test_a_real_photo_shows_its_points(browser: Browser, page: Pages, models: Server, real_photos: Path) -> None:
    """Those of a shop, of other sizes than what is drawn."""
    chosen = sorted(real_photos.rglob("*.jpg"))[:3]
    browser.open(page().url)
    for photo, expected in zip(chosen, predicted(models, *chosen)):
        browser.drop(photo)
        browser.answered(photo.name)
        assert_same(browser.points(), expected, 0.051)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["turned", "transparent", "webp"])
def test_any_picture_is_shown_as_people_see_it(
    browser: Browser, page: Pages, models: Server, photos: list[Path], tmp_path: Path, kind: str
) -> None:
    """Turned by EXIF, laid on white, in another format: points are within 2 % of where predict.py says they are."""
    with Image.open(photos[0]) as picture:
        picture.load()
    upright = picture.size
    path = tmp_path / {"turned": "turned.jpg", "transparent": "transparent.png", "webp": "photo.webp"}[kind]
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.rotate(90, expand=True).save(path, quality=95, exif=exif)
    else:
        picture.putalpha(255)
        ImageDraw.Draw(picture).rectangle((0, 0, 30, 30), fill=(0, 0, 0, 0))
        picture.save(path, quality=95)
    browser.open(page().url)
    browser.choose(path)
    browser.answered(path.name)
    (expected,) = predicted(models, path)
    size = browser.js("[document.querySelector('img').naturalWidth, document.querySelector('img').naturalHeight]")
    assert tuple(size) == expected.size == upright
    found = browser.points()
    shared = [each for each in expected.keypoints if each.name in found]
    assert len(shared) >= 0.8 * len(expected.keypoints)
    off = [math.dist(found[each.name][:2], (each.x, each.y)) / expected.size[0] for each in shared]
    assert max(off) < 0.02


def corrected(browser: Browser) -> None:
    """A bit of everything: moved, occluded, made absent, swapped; by pointer and by keys."""
    first, _, third, *_ = browser.points()
    browser.drag(first, 12, -7)
    browser.press("o", ".")
    browser.press(Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    browser.click(f"tr[data-name={third}] button")
    browser.press("a")
    assert list(browser.points())[2] != third


@pytest.mark.slow
def test_what_is_corrected_is_training_data(browser: Browser, page: Pages, photos: list[Path], tmp_path: Path) -> None:
    """Saved photos are as they were, and their labels what the page showed."""
    browser.open(page().url)
    browser.choose(*photos[:2])
    browser.answered(photos[0].name)
    before = browser.points()
    corrected(browser)
    shown = [browser.points()]
    first = next(iter(before))
    assert shown[0][first] != before[first]
    assert shown[0][first][2] == "occluded"
    browser.click("[data-do=accept]")
    browser.answered(photos[1].name)
    shown.append(browser.points())
    browser.click(".photo")
    browser.press(Keys.ENTER)
    browser.saved(photos[1].stem)
    saved = read_back(tmp_path / "corrected")
    assert len(saved) == 2
    for photo, points in zip(photos, shown):
        (name,) = (each for each in saved if each.startswith(photo.stem))
        assert saved[name].image.read_bytes() == photo.read_bytes()
        kept = there(saved[name])
        assert {name: state for name, (*_, state) in kept.items()} == {name: v for name, (*_, v) in points.items()}
        assert all(math.dist(kept[name][:2], points[name][:2]) < 0.09 for name in points)


@pytest.mark.slow
def test_keys_do_all_of_it(browser: Browser, page: Pages, photos: list[Path]) -> None:
    """Once a photo is answered the focus is on it: points are chosen, moved, swapped, placed, and it is undone."""
    browser.look_at(page().url, photos[0])
    before = browser.points()
    browser.press(".")
    name = GARMENTS.keypoints[0]
    assert browser.text("#said").startswith(name.replace("_", " "))
    browser.press("v")
    start = browser.points()[name]
    browser.press(Keys.ARROW_RIGHT, shift=True)
    browser.press(Keys.ARROW_DOWN)
    unit = browser.js(UNIT)
    x, y, state = browser.points()[name]
    assert math.dist((x, y), (start[0] + 10 * unit, start[1] + unit)) < 0.2
    assert state == "visible"
    assert "visible" in browser.text("#said")
    browser.press("m")
    assert browser.points()[GARMENTS.keypoints[1]][:2] == (x, y)
    browser.press("u", "u", "u")
    assert browser.points() == before


@pytest.mark.slow
def test_an_absent_point_is_placed_by_a_click(browser: Browser, page: Pages, photos: list[Path]) -> None:
    """One that the model missed: its row is chosen, then its place."""
    browser.look_at(page().url, photos[0])
    missed = next(name for name in GARMENTS.keypoints if name not in browser.points())
    browser.click(f"tr[data-name={missed}] button")
    box = browser.js("(({left, top}) => [left, top])(document.querySelector('.photo').getBoundingClientRect())")
    at = {"x": box[0] + 3, "y": box[1] + 5, "button": "left", "clickCount": 1}
    for kind in ("mousePressed", "mouseReleased"):
        browser.cdp("Input.dispatchMouseEvent", type=kind, **at)
    unit = browser.js(UNIT)
    x, y, state = browser.points()[missed]
    assert math.dist((x, y), (3 * unit, 5 * unit)) < 0.2
    assert state == "visible"


@pytest.mark.slow
def test_a_list_of_rank_is_gone_through_by_keys(
    browser: Browser, page: Pages, models: Server, photos: list[Path], tmp_path: Path
) -> None:
    """In its order, whatever the names: next passes one over, accept saves it and goes on, absent is a key away."""
    order = [photos[index] for index in (3, 0, 4)]
    folder = photos[0].parents[1]
    with (tmp_path / "rank.json").open("w") as file:
        report = Coco(file)
        for path, prediction in zip(order, predicted(models, *order)):
            report.write(str(path.relative_to(folder)), prediction)
        report.close()
    browser.open(page(desk.listed(folder, tmp_path / "rank.json")).url)
    names = [str(path.relative_to(folder)) for path in order]
    browser.answered(names[0])
    browser.press("n")
    browser.answered(names[1])
    assert browser.text("#said"), "the least sure point is chosen"
    browser.press("a", Keys.ENTER)
    browser.answered(names[2])
    browser.press(Keys.ENTER)
    browser.saved(photo_name(PurePath(names[2])))
    saved = read_back(tmp_path / "corrected")
    assert {name.rpartition("-")[0] for name in saved} == {photo_name(PurePath(name)) for name in names[1:]}


@pytest.mark.slow
def test_two_versions_stand_side_by_side(browser: Browser, page: Pages, photos: list[Path]) -> None:
    """What serves and the canary, on the same photo, with how far they are apart, also where one was corrected."""
    browser.look_at(page().url, photos[0])
    browser.click("#compare")
    browser.until("document.querySelector('main.answered.beside')")
    captions = browser.js("[...document.querySelectorAll('figcaption')].map((each) => each.textContent)")
    assert [each.split(":")[0] for each in captions] == ["Version 1, serves", "Version 2, canary"]
    boxes = browser.js("[...document.querySelectorAll('.photo')].map((each) => each.getBoundingClientRect())")
    assert boxes[0]["right"] < boxes[1]["left"]
    assert boxes[0]["top"] == boxes[1]["top"]
    first, *rest = before = browser.points()
    browser.drag(first, 12, -7)
    off = browser.js(
        "Object.fromEntries([...document.querySelectorAll('tbody tr')]"
        ".map((row) => [row.dataset.name, row.querySelector('.canary').textContent]))"
    )
    moved = math.dist(browser.points()[first][:2], before[first][:2])
    assert moved > 5
    assert float(off[first].replace(" px off", "")) == pytest.approx(moved, abs=0.2)
    assert {off[name] for name in rest} == {"0.0 px off"}


@pytest.mark.slow
def test_downloads(browser: Browser, page: Pages, models: Server, photos: list[Path], tmp_path: Path) -> None:
    """JSON is what predict.py --json writes; COCO with its photos is a folder that training reads."""
    browser.look_at(page().url, photos[0])
    (expected,) = predicted(models, photos[0])
    browser.click("[data-do=json]")
    (found,) = json.loads(browser.downloaded("points.json").read_text())
    assert (found["photo"], found["model"], found["version"]) == (photos[0].name, "keypoints", 1)
    named = {each.name: each for each in expected.keypoints}
    assert [each["name"] for each in found["keypoints"]] == list(named)
    assert all(abs(each["x"] - named[each["name"]].x) < 0.02 for each in found["keypoints"])
    assert all(each["score"] == pytest.approx(named[each["name"]].score, abs=1e-3) for each in found["keypoints"])
    browser.click("[data-do=coco]")
    assert json.loads(browser.downloaded("points-coco.json").read_text())["images"][0]["file_name"] == photos[0].name
    browser.click("[data-do=zip]")
    with zipfile.ZipFile(browser.downloaded("corrected.zip")) as packed:
        assert packed.testzip() is None
        packed.extractall(tmp_path / "unpacked")
    (annotation,) = read_back(tmp_path / "unpacked").values()
    assert annotation.image.read_bytes() == photos[0].read_bytes()
    assert {name: state for name, (*_, state) in there(annotation).items()} == {
        each.name: each.visibility for each in expected.keypoints
    }


@pytest.mark.slow
def test_a_picture_is_taken(browser: Browser, page: Pages) -> None:
    """With Chromium's own false camera."""
    browser.open(page().url)
    browser.click("#welcome [data-do=camera]")
    browser.until("document.querySelector('video').videoWidth")
    browser.click("#camera .main")
    browser.answered("camera-")


@pytest.mark.slow
def test_a_picture_is_pasted(browser: Browser, page: Pages, photos: list[Path]) -> None:
    """As browsers tell of it."""
    browser.open(page().url)
    browser.js(
        "(async () => { const data = new DataTransfer(); const canvas = document.createElement('canvas');"
        "canvas.getContext('2d').fillRect(0, 0, 90, 90);"
        "const blob = await new Promise((resolve) => canvas.toBlob(resolve));"
        "data.items.add(new File([blob], 'image.png', { type: 'image/png' }));"
        "document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data })); })()"
    )
    browser.answered("image.png")
