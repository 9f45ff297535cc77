"""Metrics against values computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model.metrics import BALANCED_RECALL, Metrics
from seamline_client.contract import ABSENT, OCCLUDED, VISIBLE
from seamline_client.keypoints import BOX, GARMENTS, read

Label = dict[str, Any]
metrics = Metrics(GARMENTS)


def skirt(size: tuple[float, float], *, waistband: int = VISIBLE) -> tuple[np.ndarray[Any, Any], Label]:
    """A skirt in a picture of `size`: waistband from x = 0.25 to 0.75, hem at the bottom. xy (1, 24, 2) and labels."""
    xy = np.zeros((1, 24, 2), np.float32)
    v = np.full((1, 24), ABSENT)
    for name, place in {
        "waistband_left": (0.25, 0.2),
        "waistband_right": (0.75, 0.2),
        "hemline_left": (0.2, 0.8),
        "hemline_right": (0.8, 0.8),
    }.items():
        xy[0, GARMENTS.index[name]] = place
        v[0, GARMENTS.index[name]] = VISIBLE
    v[0, GARMENTS.index["waistband_right"]] = waistband
    labels = {
        "xy": xy,
        "v": v.astype(np.int64),
        "size": np.array([size], np.float32),
        "box": np.array([(0.6 * size[0], 0.6 * size[1])], np.float32),
        "area": np.array([0.36 * size[0] * size[1]], np.float32),
        "category": np.array([GARMENTS.category_names.index("skirt")]),
    }
    return xy.copy(), labels


def evaluate(xy: Any, v: Any, labels: Label) -> dict[str, float]:
    return metrics.means(metrics.tally(xy, v, labels).numpy())


def test_ne_is_the_distance_in_the_original_picture_over_the_waistband() -> None:
    """One hem point is off by (0.03, 0.04) of a 200 x 100 picture: sqrt(6^2 + 4^2) pixels over a waistband of 100."""
    xy, labels = skirt((200, 100))
    xy[0, GARMENTS.index["hemline_left"]] += (0.03, 0.04)
    found = evaluate(xy, labels["v"], labels)
    assert found["ne/hemline_left"] == pytest.approx(52**0.5)
    assert found["ne"] == found["ne/skirt"] == pytest.approx(52**0.5 / 4)
    assert found["pck@0.05"] == pytest.approx(0.75)
    assert found["pck@0.1"] == 1.0


def test_by_box_it_is_the_distance_over_its_longer_side() -> None:
    """The same points of a set whose things are measured by their box: sqrt(6^2 + 4^2) pixels over 120."""
    raw = GARMENTS.as_json()
    raw["categories"]["skirt"]["normaliser"] = BOX
    xy, labels = skirt((200, 100), waistband=ABSENT)
    xy[0, GARMENTS.index["hemline_left"]] += (0.03, 0.04)
    by_box = Metrics(read(raw))
    found = by_box.means(by_box.tally(xy, labels["v"], labels).numpy())
    assert found["ne/hemline_left"] == pytest.approx(100 * 52**0.5 / 120)
    assert found["images_scored"] == 1


def test_only_visible_points_count() -> None:
    """An occluded point adds nothing to NE, however far off, though it still serves as an end of the normaliser."""
    xy, labels = skirt((100, 100), waistband=OCCLUDED)
    xy[0, GARMENTS.index["waistband_right"]] = (0.0, 0.0)
    assert evaluate(xy, labels["v"], labels)["ne"] == pytest.approx(0)


def test_a_garment_without_its_normaliser_is_skipped_and_counted() -> None:
    """With an end of the waistband absent the picture has no NE, and images_scored says so."""
    xy, labels = skirt((100, 100), waistband=ABSENT)
    found = evaluate(xy, labels["v"], labels)
    assert "ne" not in found
    assert found["images_scored"] == 0


def test_visibility_recall_is_balanced_and_inside_the_category() -> None:
    """3 of 3 visible points right, 0 of 1 occluded: (1 + 0) / 2. The 20 points that no skirt has do not count."""
    xy, labels = skirt((100, 100), waistband=OCCLUDED)
    always_visible = np.where(labels["v"] == ABSENT, ABSENT, VISIBLE)
    assert evaluate(xy, always_visible, labels)[BALANCED_RECALL] == pytest.approx(0.5)


def test_estimator_and_eager_evaluation_agree() -> None:
    """The eval_metric_ops, run in a graph over two batches, give what sums over both give, and NaN for nothing."""
    rng = np.random.default_rng(1)
    batches = []
    for size in ((200, 100), (300, 400)):
        xy, labels = skirt(size)
        batches.append((xy + rng.normal(0, 0.1, xy.shape).astype(np.float32), labels["v"], labels))
    eager = metrics.means(np.sum([metrics.tally(*batch).numpy() for batch in batches], axis=0))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        xy_in = tf.compat.v1.placeholder(tf.float32, [None, 24, 2])
        v_in = tf.compat.v1.placeholder(tf.int64, [None, 24])
        labels_in = {
            name: tf.compat.v1.placeholder(value.dtype, [None, *value.shape[1:]]) for name, value in labels.items()
        }
        ops = metrics.metric_ops(xy_in, v_in, labels_in)
        session.run(tf.compat.v1.local_variables_initializer())
        for xy, v, labels in batches:
            feed = {xy_in: xy, v_in: v, **{labels_in[name]: value for name, value in labels.items()}}
            session.run([update for _, update in ops.values()], feed)
        graph = session.run({name: value for name, (value, _) in ops.items()})
    assert eager[BALANCED_RECALL] == 1  # of the one class that occurs
    for name, value in graph.items():
        assert value == pytest.approx(eager.get(name, np.nan), rel=1e-5, nan_ok=True), name
    assert np.isnan(graph["ne/dress"])
