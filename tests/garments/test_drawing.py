"""The drawn data set: true to its seed, its points on the garment, its folder whole or absent."""

from __future__ import annotations

import csv
import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from garments import draw, write_dataset
from garments.camera import place
from garments.canvas import Canvas
from garments.cloth import wardrobe
from garments.drawing import TAILORS
from seamline_client.keypoints import GARMENTS
from tests.homes import ROOT
from tests.waiting import until


def rows_of(folder: Path) -> list[list[str]]:
    with (folder / "Annotations" / f"{folder.name}.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_same_seed_and_index_give_the_same_picture() -> None:
    """A picture depends on its seed and index alone, down to the last bit, and on both of them."""
    again, first = draw(3, 17), draw(3, 17)
    assert first.image.tobytes() == again.image.tobytes()
    assert np.array_equal(first.points, again.points)
    assert np.array_equal(first.v, again.v)
    for other in (draw(4, 17), draw(3, 22)):
        assert other.category == first.category
        assert not np.array_equal(other.points, first.points)


def test_pictures_and_their_points() -> None:
    """Categories come in turn. Points of theirs are float32 inside the RGB picture, or absent and -1. Light and colour
    vary, and no picture is nearly flat: a network that learnt one tone would not do."""
    sample = [draw(11, index) for index in range(50)]
    assert [drawn.category for drawn in sample] == [*GARMENTS.category_names] * 10
    assert {v for drawn in sample for v in drawn.v} == {-1, 0, 1}
    for drawn in sample:
        assert (drawn.image.mode, drawn.points.shape, drawn.v.shape) == ("RGB", (24, 2), (24,))
        assert drawn.points.dtype == np.float32
        assert drawn.v.dtype == np.int8
        marked = drawn.v >= 0
        assert marked.sum() >= 2
        assert set(np.flatnonzero(marked)) <= set(GARMENTS.can_have(drawn.category))
        assert (drawn.points[~marked] == -1).all()
        assert ((drawn.points[marked] >= 0) & (drawn.points[marked] < drawn.image.size)).all()
        assert np.asarray(drawn.image).std() > 8
    means = np.array([np.asarray(drawn.image).mean((0, 1)) for drawn in sample])
    assert (means.std(0) > 15).all()
    assert (np.ptp(means, axis=1) > 30).any()


def test_garments_have_the_points_that_people_see() -> None:
    """All 24 are visible somewhere; left is left, as the picture shows it, but for cuffs, which may cross; some tops
    have no cuffs; armpits are occluded about as often as in real photos (13 to 40 %)."""
    # Cut but not drawn, which is much quicker.
    cut = [
        (name, TAILORS[name](np.random.default_rng([9, index])).points)
        for index, name in enumerate(GARMENTS.category_names * 120)
    ]
    seen = Counter((name, v) for _, points in cut for name, (_, _, v) in points.items())
    assert {name for name in GARMENTS.keypoints if seen[name, 1]} == {*GARMENTS.keypoints}
    hidden, shown = (seen["armpit_left", v] + seen["armpit_right", v] for v in (0, 1))
    assert 0.13 < hidden / (hidden + shown) < 0.45
    cuffs = {sum(name.startswith("cuff") for name in points) for category, points in cut if category == "blouse"}
    assert cuffs == {0, 4}
    for _, points in cut:
        for name, (x, _, _) in points.items():
            if "left" in name and "cuff" not in name:
                assert x < points[GARMENTS.keypoints[GARMENTS.flip[GARMENTS.index[name]]]][0], name


@pytest.mark.parametrize("category", GARMENTS.category_names)
def test_points_lie_on_what_is_painted(category: str) -> None:
    """Every point has a painted pixel within 2 pixels of it; visible corners have bare ground within 6 pixels too."""
    nothing = -1e6
    for seed in range(6):
        rng = np.random.default_rng([seed, 1])
        garment = TAILORS[category](rng)
        placing = place(rng, garment, 400, 533, hung=False)
        field = np.full((3, 533, 400), nothing, np.float32)
        canvas = Canvas(rng, field, garment, placing, wardrobe(rng, sober=False))
        for panel in garment.panels:
            canvas.lay(replace(panel, lift=0.0))  # a shadow is not the garment
        painted = field[0] > nothing / 2
        for name, (x, y, v) in garment.points.items():
            px, py = placing(np.array([[x, y]]))[0]
            if not (3 <= px < 397 and 3 <= py < 530):
                continue
            assert painted[int(py) - 2 : int(py) + 3, int(px) - 2 : int(px) + 3].any(), (seed, name)
            if v == 1 and name.startswith(("hemline", "waistband", "bottom")):
                wider = painted[max(0, int(py) - 6) : int(py) + 7, max(0, int(px) - 6) : int(px) + 7]
                assert not wider.all(), (seed, name)


def test_folder_has_the_layout_of_fashionai(garments_folder: Path) -> None:
    """Plain csv reads back what draw gave, but for rounding to whole pixels; there is one image for each row."""
    header, *rows = rows_of(garments_folder)
    assert header == ["image_id", "image_category", *GARMENTS.keypoints]
    assert len(rows) == 40
    for index, row in enumerate(rows):
        drawn = draw(1, index)
        assert row[1] == drawn.category
        assert row[0].startswith(f"Images/{drawn.category}/")
        cells = np.array([cell.split("_") for cell in row[2:]], int)
        assert np.array_equal(cells[:, 2], drawn.v)
        assert np.abs(cells[:, :2] - drawn.points).max() <= 0.5
        with Image.open(garments_folder / row[0]) as image:
            assert (image.format, image.size) == ("JPEG", drawn.image.size)
    images = {str(path.relative_to(garments_folder)) for path in garments_folder.glob("Images/*/*.jpg")}
    assert {row[0] for row in rows} == images


def test_the_number_of_processes_does_not_matter(garments_folder: Path, tmp_path: Path) -> None:
    """Two processes write byte for byte what one did; progress counts up to what was asked for."""
    heard: list[tuple[int, int]] = []
    folder = tmp_path / "garments"
    write_dataset(folder, 40, seed=1, processes=2, on_progress=lambda *progress: heard.append(progress))
    for path in garments_folder.rglob("*"):
        assert path.is_dir() or path.read_bytes() == (folder / path.relative_to(garments_folder)).read_bytes()
    assert heard == [(done, 40) for done in range(1, 41)]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle removes all that was written."""

    def interrupt(done: int, count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "garments", 25, 1, processes=1, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_folder_of_that_name_and_no_process(tmp_path: Path) -> None:
    """What it leaves has a hidden name and no annotations; the processes that draw end, and a new run succeeds."""
    code = "import sys, pathlib, garments; garments.write_dataset(pathlib.Path(sys.argv[1]), 5000, 1, processes=2)"
    folder = tmp_path / "garments"
    path = os.pathsep.join([str(ROOT), str(ROOT / "client")])
    process = psutil.Popen([sys.executable, "-c", code, str(folder)], env={**os.environ, "PYTHONPATH": path})
    try:
        until(lambda: process.poll() is not None or list(tmp_path.glob(".garments-*/Images/*/*.jpg")))
        assert process.poll() is None
        drawing = process.children(recursive=True)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    assert len(drawing) >= 2
    assert psutil.wait_procs(drawing, timeout=10)[1] == []
    assert not folder.exists()
    assert not list(tmp_path.glob("**/*.csv"))
    write_dataset(folder, 5, 1, processes=1)
    assert len(rows_of(folder)) == 6


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    """A folder with something in it is refused by name before anything is drawn; so is a count of nothing."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="mine"):
        write_dataset(folder, 5, 1)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "photo.jpg"]
    with pytest.raises(ValueError, match="at least 1"):
        write_dataset(tmp_path / "none", 0, 1)
