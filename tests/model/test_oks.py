"""OKS against COCO's own implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from model.metrics import OKS, Metrics
from seamline_client.keypoints import KeypointSet, read

WORDS = ["zero", "one", "two", "three", "four"]
SIGMAS = dict(zip(WORDS, (0.026, 0.05, 0.1, 0.01, 0.2)))


def by_pycocotools(truth: list[dict[str, Any]], guesses: list[dict[str, Any]], sigmas: Any) -> list[float]:
    """Of each photo that has a truth with points."""
    coco = COCO()
    categories = [{"id": 1, "name": "thing", "keypoints": WORDS}]
    coco.dataset = {"info": {}, "images": [{"id": each["image_id"]} for each in truth], "categories": categories}
    coco.dataset["annotations"] = truth
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(guesses), "keypoints")
    evaluation.params.kpt_oks_sigmas = np.array(sigmas)
    evaluation.evaluate()
    return [float(evaluation.ious[each["image_id"], 1][0, 0]) for each in truth if each["num_keypoints"]]


@pytest.fixture
def keypoints() -> KeypointSet:
    return read({"keypoints": WORDS, "sigmas": SIGMAS})


def test_it_is_what_pycocotools_computes(keypoints: KeypointSet) -> None:
    """Of things of all sizes, with points that are absent, occluded and visible, and guesses near and far."""
    rng = np.random.default_rng(1)
    count = 40
    size = rng.integers(100, 900, (count, 2)).astype(np.float32)
    xy = rng.uniform(0, 1, (count, 5, 2)).astype(np.float32)
    guess = xy + rng.normal(0, 1, xy.shape).astype(np.float32) * rng.choice([0.001, 0.02, 0.2], (count, 1, 1))
    guess = guess.astype(np.float32)
    v = rng.integers(0, 3, (count, 5))
    v[0] = 0
    area = rng.uniform(100, 90_000, count).astype(np.float32)
    box = np.ones((count, 2), np.float32)
    labels = {"xy": xy, "v": v, "size": size, "box": box, "area": area, "category": np.zeros(count, np.int64)}

    def triples(points: Any, seen: Any, of: int) -> list[float]:
        return np.hstack([points[of] * size[of], seen[of][:, None]]).astype(float).ravel().tolist()  # type: ignore[no-any-return]

    truth = [
        {
            "id": of + 1,
            "image_id": of + 1,
            "category_id": 1,
            "iscrowd": 0,
            "keypoints": triples(xy, v, of),
            "num_keypoints": int((v[of] > 0).sum()),
            "area": float(area[of]),
            "bbox": [0.0, 0.0, 10.0, 10.0],
        }
        for of in range(count)
    ]
    guesses = [
        {"image_id": of + 1, "category_id": 1, "keypoints": triples(guess, v, of), "score": 1.0} for of in range(count)
    ]
    expected = by_pycocotools(truth, guesses, keypoints.sigmas)
    metrics = Metrics(keypoints)
    found, counted = metrics.similarities(tf.constant(guess), labels)
    np.testing.assert_allclose(found.numpy()[counted.numpy() > 0], expected, atol=2e-5)
    assert 0.1 < np.mean(expected) < 0.9
    tally = metrics.tally(tf.constant(guess), tf.constant(v), labels).numpy()
    assert metrics.means(tally)[OKS] == pytest.approx(np.mean(expected), abs=2e-5)


def test_without_sigmas_there_is_none() -> None:
    """A number that means nothing is none."""
    assert OKS not in Metrics(read({"keypoints": WORDS})).names
