"""Scores are told apart by what they are of, and held against what is known before training and without a model."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.prepare import prepare
from pipeline.evaluation import labels
from pipeline.evaluation.baseline import mean_position_ne
from pipeline.evaluation.limits import limits
from pipeline.evaluation.scores import score, scores, tally
from seamline_client.contract import ABSENT, VISIBLE
from seamline_client.keypoints import GARMENTS
from tests.homes import TinyRun


def batches(count: int) -> list[tuple[Any, Any, dict[str, Any]]]:
    """Two batches of garments of the first four categories, each point off by a little, visible or not by chance."""
    rng = np.random.default_rng(1)
    made = []
    for _ in range(2):
        xy = rng.uniform(0.1, 0.9, (count, 24, 2)).astype(np.float32)
        truth = {
            "xy": xy,
            "v": rng.integers(0, 3, (count, 24)),
            "size": np.full((count, 2), (400, 533), np.float32),
            "box": np.zeros((count, 2), np.float32),
            "area": np.zeros(count, np.float32),
            "category": rng.integers(0, 4, count),
        }
        guess = xy + rng.normal(0, 0.03, xy.shape).astype(np.float32)
        made.append((guess, rng.integers(0, 3, (count, 24)), truth))
    return made


NORMALISERS = {each.name: each.normaliser or () for each in GARMENTS.categories}


def by_hand(xy: Any, truth: dict[str, Any]) -> list[tuple[str, str, int, float]]:
    """Category, keypoint, photo and error in percent of every point that counts, one after the other."""
    found = []
    for photo in range(len(xy)):
        category = GARMENTS.category_names[truth["category"][photo]]
        first, second = (GARMENTS.index[name] for name in NORMALISERS[category])
        size, places, v = truth["size"][photo], truth["xy"][photo], truth["v"][photo]
        if ABSENT in (v[first], v[second]):
            continue
        width = np.hypot(*((places[first] - places[second]) * size))
        for k in np.flatnonzero(v == VISIBLE):
            error = 100 * np.hypot(*((xy[photo, k] - places[k]) * size)) / width
            found.append((category, GARMENTS.keypoints[k], photo, float(error)))
    return found


def test_every_score_is_the_mean_of_its_own_points() -> None:
    """Overall, by category, by keypoint and by photo; what no photo is of has no points, and no score rather than 0."""
    made = batches(60)
    found = score(made, GARMENTS)
    points = [
        (category, keypoint, photo + 60 * batch, error)
        for batch, (xy, _, truth) in enumerate(made)
        for category, keypoint, photo, error in by_hand(xy, truth)
    ]
    for name, got in {"": found.overall, **found.categories, **found.keypoints}.items():
        errors = [error for category, keypoint, _, error in points if name in ("", category, keypoint)]
        assert got.points == len(errors), name
        if errors:
            assert got.ne == pytest.approx(np.mean(errors), rel=1e-4), name
            assert got.pck_01 == pytest.approx(np.mean(np.array(errors) <= 10)), name
            assert got.pck_005 == pytest.approx(np.mean(np.array(errors) <= 5)), name
            assert found.metrics[f"ne/{name}" if name else "ne"] == got.ne
        else:
            assert (got.ne, got.pck_005, got.pck_01) == (None, None, None)
            assert f"ne/{name}" not in found.metrics
    assert found.categories[GARMENTS.category_names[4]].points == 0
    scored = {photo for _, _, photo, _ in points}
    assert (found.photos, found.scored) == (120, len(scored))
    for photo, ne in enumerate(found.photo_ne):
        assert math.isnan(ne) == (photo not in scored)
    assert json.loads(json.dumps(found.as_json()))["categories"][GARMENTS.category_names[4]]["ne"] is None


def test_the_baseline_is_the_error_of_the_mean_positions(tiny_run: TinyRun) -> None:
    """Each point where it is on average over the training photos that have it, computed point by point."""
    train, held_out = (labels.read(tiny_run.dataset, split) for split in ("train", "eval"))
    mean = np.array(
        [
            np.mean([xy[k] for xy, v in zip(train["xy"], train["v"]) if v[k] != ABSENT], axis=0)
            for k in range(len(GARMENTS.keypoints))
        ]
    )
    errors = [error for *_, error in by_hand(np.stack([mean] * len(held_out["v"])), held_out)]
    assert mean_position_ne(tiny_run.dataset) == pytest.approx(np.mean(errors), rel=1e-4)


def test_what_cannot_be_measured_is_said_before_training(tiny_run: TinyRun, tmp_path: Path) -> None:
    """How many photos NE leaves out, and which categories it says nothing about: no waistband has its right end."""
    photos = Path(shutil.copytree(tiny_run.photos, tmp_path / "photos"))
    (path,) = (photos / "Annotations").glob("*.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    with path.open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "waistband_right": "-1_-1_-1"} for row in rows)
    dataset = prepare(photos, tmp_path / "data", drawn=0)
    counts = dataset.categories["eval"]
    left_out = counts.get("skirt", 0) + counts.get("trousers", 0)
    assert left_out
    leaves_out, says_nothing = limits(dataset)
    assert f"NE leaves out {left_out} of the {dataset.count('eval')} evaluation photos" in leaves_out
    assert "skirt, trousers" in says_nothing
    assert not any("leaves out" in sentence for sentence in limits(tiny_run.dataset))


@pytest.mark.parametrize("size", [1, 7, 40])
def test_parts_add_up_to_the_figures_of_the_whole(size: int) -> None:
    """To six digits, however the photos are cut into batches and those into parts, and in whatever order they come."""
    whole = batches(40)
    cut = [
        (xy[rows], v[rows], {name: values[rows] for name, values in truth.items()})
        for xy, v, truth in whole
        for rows in (slice(start, start + size) for start in range(0, 40, size))
    ]
    parts = [tally([each], GARMENTS) for each in reversed(cut)]
    total = scores(sum(parts[1:], parts[0]), GARMENTS)
    expected = score(whole, GARMENTS)
    assert total.metrics == pytest.approx(expected.metrics, rel=1e-6)
    assert (total.photos, total.scored) == (expected.photos, expected.scored)
    assert np.sort(total.photo_ne) == pytest.approx(np.sort(expected.photo_ne), rel=1e-5, nan_ok=True)
