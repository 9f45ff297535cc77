"""Augmentation: points follow the pixels, on pictures whose points can be found again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.augment import Augmentation, augment
from seamline_client.contract import ABSENT, IMAGE_SIDE, OCCLUDED, VISIBLE
from seamline_client.keypoints import GARMENTS

STILL = Augmentation(
    flip=0, rotate=0, scale=(1, 1), shift=0, brightness=0, contrast=0, saturation=0, hue=0, tint=0, blur=0, erase=0
)


def dots(count: int, seed: int) -> dict[str, Any]:
    """Pictures with one soft white dot each on black, which is where all their keypoints are."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0.35, 0.65, (count, 2)).astype(np.float32)
    places = (np.arange(IMAGE_SIDE) + 0.5) / IMAGE_SIDE
    square = (places - centres[:, :1]) ** 2
    distance = ((places - centres[:, 1:]) ** 2)[:, :, None] + square[:, None, :]
    images = np.repeat((255 * np.exp(-distance / (2 * 0.015**2)))[..., None], 3, 3)
    return {
        "images": tf.constant(images.round().astype(np.uint8)),
        "xy": tf.constant(np.repeat(centres[:, None], len(GARMENTS), 1)),
        "v": tf.fill([count, len(GARMENTS)], tf.constant(VISIBLE, tf.int64)),
        "size": tf.constant([[300.0, 600.0]] * count),
        "category": tf.zeros([count], tf.int64),
    }


def found(images: Any) -> np.ndarray[Any, Any]:
    """Where each picture's dot is: its centre of mass, (N, 2) fractions."""
    light = images.numpy().astype(np.float64).mean(3)
    light[light < 30] = 0
    places = (np.arange(IMAGE_SIDE) + 0.5) / IMAGE_SIDE
    total = light.sum((1, 2))
    return np.stack([(light.sum(1) * places).sum(1) / total, (light.sum(2) * places).sum(1) / total], 1)


def run(batch: dict[str, Any], config: Augmentation, number: int = 0) -> dict[str, Any]:
    return augment(batch, tf.constant(number, tf.int64), config, GARMENTS.flip, seed=1)


def with_only(**changes: Any) -> Augmentation:
    return Augmentation(**{**STILL.__dict__, **changes})


@pytest.mark.parametrize("config", [with_only(flip=1.0), with_only(flip=0.5, rotate=40.0, scale=(0.7, 1.3), shift=0.1)])
def test_points_follow_the_pixels(config: Augmentation) -> None:
    """The dot is found where its point says, to a tenth of a pixel: mirrored alone, and with everything at once."""
    after = run(dots(16, seed=3), config)
    inside = ((after["xy"][:, 0] > 0.1) & (after["xy"][:, 0] < 0.9)).numpy().all(1)
    assert inside.sum() > 8
    assert found(after["images"])[inside] == pytest.approx(after["xy"][:, 0].numpy()[inside], abs=0.1 / IMAGE_SIDE)


def test_mirroring_swaps_left_and_right_and_their_visibility() -> None:
    """What was the left cuff is the right one afterwards, at the mirrored place."""
    batch = dots(1, seed=1)
    xy = np.random.default_rng(1).uniform(0.1, 0.9, (1, len(GARMENTS), 2)).astype(np.float32)
    v = np.arange(len(GARMENTS))[None] % 3
    after = run({**batch, "xy": tf.constant(xy), "v": tf.constant(v, tf.int64)}, with_only(flip=1.0))
    assert after["xy"][0, :, 0].numpy() == pytest.approx(1 - xy[0, GARMENTS.flip, 0], abs=1e-6)
    assert after["v"].numpy()[0].tolist() == v[0, GARMENTS.flip].tolist()


def test_a_rotation_keeps_the_garments_proportions() -> None:
    """Distances are kept in the original's pixels (300 x 600), not in the square."""
    batch = dots(8, seed=1)
    xy = np.random.default_rng(1).uniform(0.3, 0.7, (8, len(GARMENTS), 2)).astype(np.float32)
    after = run({**batch, "xy": tf.constant(xy)}, with_only(rotate=30.0))
    size = np.array([300.0, 600.0])
    before = np.linalg.norm((xy[:, 0] - xy[:, 1]) * size, axis=1)
    assert np.linalg.norm((after["xy"][:, 0] - after["xy"][:, 1]) * size, axis=1) == pytest.approx(before, rel=1e-4)


def test_a_point_that_leaves_the_picture_becomes_absent() -> None:
    """There is nothing to see of it any more."""
    batch = {**dots(32, seed=1), "xy": tf.fill([32, len(GARMENTS), 2], 0.99)}
    after = run(batch, with_only(shift=0.2))
    outside = (after["xy"].numpy() > 1).any(2)
    assert outside.any()
    assert not outside.all()
    assert ((after["v"].numpy() == ABSENT) == outside).all()


def test_an_erased_point_is_occluded_and_still_has_a_place() -> None:
    """A visible point behind the rectangle keeps its place and is no longer called visible."""
    xy = np.random.default_rng(1).uniform(0, 1, (16, len(GARMENTS), 2)).astype(np.float32)
    after = run({**dots(16, seed=1), "xy": tf.constant(xy)}, with_only(erase=1.0))
    assert 0 < (after["v"].numpy() == OCCLUDED).mean() < 0.2
    assert after["xy"].numpy() == pytest.approx(xy, abs=1e-6)


def test_the_same_batch_of_a_run_is_drawn_the_same_again() -> None:
    """A run can be repeated, and each of its batches differs from the next."""
    first, again, next_one = (run(dots(4, seed=1), Augmentation(), number) for number in (5, 5, 6))
    assert (first["images"].numpy() == again["images"].numpy()).all()
    assert (first["images"].numpy() != next_one["images"].numpy()).any()
