"""The drawn data set: true to its seed, its points on the garment, its folder whole or absent."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garments import Drawn, draw, write_dataset
from garments.canvas import Canvas
from garments.drawing import TAILORS
from garments.folder import CHUNK
from garments.placing import place
from garments.wardrobe import wardrobe
from seamline_client.keypoints import CATEGORIES, CATEGORY_KEYPOINTS, FLIP, INDEX, KEYPOINTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sample() -> list[Drawn]:
    """Twenty-five pictures, five of each category."""
    return [draw(11, index) for index in range(25)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-five pictures written by two processes."""
    path = tmp_path_factory.mktemp("drawn") / "garments"
    write_dataset(path, 25, seed=4, processes=2)
    return path


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


def test_shapes_dtypes_and_ranges(sample: list[Drawn]) -> None:
    """Points are float32 inside the picture where v is 0 or 1, and -1 where it is -1; pictures are RGB."""
    for drawn in sample:
        assert drawn.image.mode == "RGB"
        assert drawn.points.shape == (24, 2)
        assert drawn.points.dtype == np.float32
        assert drawn.v.shape == (24,)
        assert drawn.v.dtype == np.int8
        marked = drawn.v >= 0
        assert (drawn.points[~marked] == -1).all()
        assert ((drawn.points[marked] >= 0) & (drawn.points[marked] < drawn.image.size)).all()
        assert marked.sum() >= 2


def test_only_the_keypoints_of_the_category(sample: list[Drawn]) -> None:
    """No garment has a point that its category cannot have, and categories come in turn."""
    assert [drawn.category for drawn in sample[:5]] == list(CATEGORIES)
    for drawn in sample:
        assert set(np.flatnonzero(drawn.v >= 0)) <= set(CATEGORY_KEYPOINTS[drawn.category])


def garments(count: int) -> list[tuple[str, dict[str, tuple[float, float, int]]]]:
    """Points of garments that were cut but not drawn, which is much quicker."""
    cut = []
    for index in range(count):
        category = CATEGORIES[index % 5]
        cut.append((category, TAILORS[category](np.random.default_rng([9, index])).points))
    return cut


def test_all_points_are_seen_and_armpits_are_often_hidden() -> None:
    """All 24 points are visible somewhere; armpits are occluded about as often as in real photos (13 to 40 %)."""
    seen = Counter((name, v) for _, points in garments(600) for name, (_, _, v) in points.items())
    for name in KEYPOINTS:
        assert seen[name, 1] > 0, name
    hidden = sum(seen[f"armpit_{side}", 0] for side in ("left", "right"))
    shown = sum(seen[f"armpit_{side}", 1] for side in ("left", "right"))
    assert 0.1 < hidden / (hidden + shown) < 0.5
    assert seen["cuff_left_in", 0] > 0


def test_left_is_left() -> None:
    """Of each pair of corners the left one lies further left, as the picture shows it; cuffs may cross."""
    for _, points in garments(200):
        for name, (x, _, _) in points.items():
            mirrored = KEYPOINTS[FLIP[INDEX[name]]]
            if "left" in name and "cuff" not in name:
                assert x < points[mirrored][0], name


def test_sleeveless_garments_have_no_cuffs() -> None:
    """Cuffs are absent together, in some tops and not in all."""
    counts = Counter(
        sum(name.startswith("cuff") for name in points) for category, points in garments(300) if category == "blouse"
    )
    assert set(counts) == {0, 4}


@pytest.mark.parametrize("category", CATEGORIES)
def test_points_lie_on_what_is_painted(category: str) -> None:
    """Every point has a painted pixel within 2 pixels of it; visible corners have bare ground within 6 pixels too."""
    nothing = -1e6
    for seed in range(6):
        rng = np.random.default_rng([seed, 1])
        garment = TAILORS[category](rng)
        placing = place(rng, garment, 400, 533, hung=False)
        field = np.full((3, 533, 400), nothing, np.float32)
        canvas = Canvas(
            rng, field, garment, placing, wardrobe(rng, category, {panel.cloth for panel in garment.panels}), hung=False
        )
        for panel in garment.panels:
            canvas.lay(replace(panel, lift=0.0))  # a shadow is not the garment
        painted = field[0] > nothing / 2
        for name, (x, y, v) in garment.points.items():
            px, py = placing(np.array([[x, y]]))[0]
            if not (3 <= px < 397 and 3 <= py < 530):
                continue
            around = painted[int(py) - 2 : int(py) + 3, int(px) - 2 : int(px) + 3]
            assert around.any(), (seed, name)
            if v == 1 and name.startswith(("hemline", "waistband", "bottom")):
                wider = painted[max(0, int(py) - 6) : int(py) + 7, max(0, int(px) - 6) : int(px) + 7]
                assert not wider.all(), (seed, name)


def test_folder_has_the_layout_of_fashionai(folder: Path) -> None:
    """Plain csv reads back what draw gave, but for rounding to whole pixels; there is one image for each row."""
    header, *rows = rows_of(folder)
    assert header == ["image_id", "image_category", *KEYPOINTS]
    assert len(rows) == 25
    for index, row in enumerate(rows):
        drawn = draw(4, index)
        assert row[1] == drawn.category
        assert row[0].startswith(f"Images/{drawn.category}/")
        cells = np.array([cell.split("_") for cell in row[2:]], int)
        assert np.array_equal(cells[:, 2], drawn.v)
        assert np.abs(cells[:, :2] - drawn.points).max() <= 0.5
        with Image.open(folder / row[0]) as image:
            assert image.format == "JPEG"
            assert image.size == drawn.image.size
    assert {row[0] for row in rows} == {str(path.relative_to(folder)) for path in folder.glob("Images/*/*.jpg")}


def test_the_number_of_processes_does_not_matter(folder: Path, tmp_path: Path) -> None:
    """One process writes byte for byte what two did."""
    write_dataset(tmp_path / "garments", 25, seed=4, processes=1)
    for path in folder.rglob("*"):
        twin = tmp_path / "garments" / path.relative_to(folder)
        assert path.is_dir() or path.read_bytes() == twin.read_bytes()


def test_progress_counts_up_to_all(tmp_path: Path) -> None:
    """on_progress hears of each chunk once: rising numbers of done out of count, the last one being count."""
    heard: list[tuple[int, int]] = []
    write_dataset(tmp_path / "few", 25, 1, processes=1, on_progress=lambda done, count: heard.append((done, count)))
    assert {count for _, count in heard} == {25}
    chunks = np.diff([0, *(done for done, _ in heard)])
    assert sorted(chunks) == [25 % CHUNK, *[CHUNK] * (25 // CHUNK)]  # they may end in another order


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle removes all that was written."""

    def interrupt(done: int, count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "garments", 25, 1, processes=1, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_folder_of_that_name(tmp_path: Path) -> None:
    """kill -9 cannot clean up, but what it leaves has another, hidden name and no annotations; a new run succeeds."""
    code = (
        "import sys; from pathlib import Path; from pipeline.dataset.synthetic import write_dataset;"
        "write_dataset(Path(sys.argv[1]), 5000, 1, processes=1)"
    )
    folder = tmp_path / "garments"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT, env={**os.environ})
    try:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(".garments-*/Images/*/*.jpg")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait(timeout=10)
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
