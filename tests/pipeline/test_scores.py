"""Scores are the metrics, told apart by what they are of."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model import metrics
from pipeline.evaluation.scores import score
from seamline_client.contract import ABSENT
from seamline_client.keypoints import CATEGORIES, KEYPOINTS


def batches(count: int) -> list[tuple[Any, Any, dict[str, Any]]]:
    """Two batches of garments of the first four categories, each point off by a little, visible or not by chance."""
    rng = np.random.default_rng(1)
    made = []
    for _ in range(2):
        xy = rng.uniform(0.1, 0.9, (count, 24, 2)).astype(np.float32)
        labels = {
            "xy": xy,
            "v": rng.integers(0, 3, (count, 24)),
            "size": np.full((count, 2), (400, 533), np.float32),
            "category": rng.integers(0, 4, count),
        }
        guess = xy + rng.normal(0, 0.03, xy.shape).astype(np.float32)
        made.append((tf.constant(guess), tf.constant(rng.integers(0, 3, (count, 24))), labels))
    return made


def test_every_score_agrees_with_the_metric_of_its_name() -> None:
    """Overall, by category and by keypoint; what no photo is of has no points and no NE."""
    made = batches(60)
    found, expected = score(iter(made)), metrics.evaluate(iter(made))
    assert found.overall.ne == pytest.approx(expected["ne"], rel=1e-5)
    assert found.overall.pck_005 == pytest.approx(expected["pck@0.05"])
    assert found.overall.pck_01 == pytest.approx(expected["pck@0.1"])
    assert found.visibility_recall == pytest.approx(expected["visibility_recall"])
    for name in (*CATEGORIES[:4], *KEYPOINTS):
        assert {**found.categories, **found.keypoints}[name].ne == pytest.approx(expected[f"ne/{name}"], rel=1e-5)
    assert found.categories[CATEGORIES[4]].points == 0
    assert math.isnan(found.categories[CATEGORIES[4]].ne)
    assert (found.photos, found.scored) == (120, round(120 * expected["images_scored"]))
    assert len(found.photo_ne) == 120
    assert json.loads(json.dumps(found.as_json()))["categories"][CATEGORIES[4]]["ne"] is None


def test_photos_without_a_normaliser_are_counted_and_have_no_ne() -> None:
    """They are no part of any mean."""
    ((xy, v, labels), _) = batches(3)
    labels["v"][1] = ABSENT
    found = score(iter([(xy, v, labels)]))
    assert found.scored <= 2
    assert math.isnan(found.photo_ne[1])
