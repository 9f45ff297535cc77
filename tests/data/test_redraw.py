"""Redrawing against TensorFlow's own operation and against colours computed by NumPy."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.redraw import Changes, redraw
from tests.homes import ROOT

SIDE = 48


def still(count: int) -> Changes:
    """Changes that change nothing."""
    twos, threes = (np.tile(np.eye(size, dtype=np.float32), (count, 1, 1)) for size in (2, 3))
    nought, paint = np.zeros((count, 2), np.float32), np.zeros((count, 3), np.uint8)
    return Changes(twos, nought, np.zeros(count, bool), threes, nought[:, 0], nought, nought, paint)


def pictures(count: int) -> np.ndarray[Any, Any]:
    """Smooth ones with a frame of noise, since the border is what can go wrong."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE]
    smooth = 127 + 100 * np.sin(x / 7 + np.arange(count * 3)[:, None, None]) * np.cos(y / 9)
    images = np.moveaxis(smooth.reshape(count, 3, SIDE, SIDE), 1, 3).copy()
    images[:, [0, 1, -2, -1]] = rng.uniform(0, 255, (count, 4, SIDE, 3))
    return images.astype(np.uint8)


def test_shapes_are_those_of_tensorflows_own_operation() -> None:
    """Turned, mirrored, shrunk and moved beyond the border; that operation cuts off where this one rounds."""
    rng = np.random.default_rng(2)
    images, count = pictures(8), 8
    place = rng.normal(0, 1, (count, 2, 2)).astype(np.float32)
    origin = rng.uniform(-SIDE, 2 * SIDE, (count, 2)).astype(np.float32)
    rows = [place[:, 0], origin[:, :1], place[:, 1], origin[:, 1:], np.zeros((count, 2), np.float32)]
    expected = tf.raw_ops.ImageProjectiveTransformV3(
        images=images.astype(np.float32),
        transforms=np.concatenate(rows, 1),
        output_shape=[SIDE, SIDE],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    found = redraw(images, still(count)._replace(place=place, origin=origin)).numpy()
    difference = np.abs(found - expected.numpy())
    assert difference.max() <= 2
    assert difference.mean() < 0.5


def test_colours_are_mixed_and_cut_off_at_black_and_white() -> None:
    """Against NumPy, to rounding."""
    rng = np.random.default_rng(3)
    images = pictures(2)
    colour, light = rng.normal(0.3, 0.5, (2, 3, 3)).astype(np.float32), np.array([-20, 60], np.float32)
    expected = np.einsum("nij,nhwj->nhwi", colour, images.astype(np.float32)) + light[:, None, None, None]
    assert expected.min() < 0
    assert expected.max() > 255
    found = redraw(images, still(2)._replace(colour=colour, light=light)).numpy()
    assert np.abs(found - np.clip(expected, 0, 255)).max() <= 0.51


def test_a_blurred_pixel_is_the_mean_of_those_round_it() -> None:
    """The whole part of it, for the pictures that are chosen; the border is mirrored, and white stays white."""
    images = np.concatenate([pictures(2), np.full((1, SIDE, SIDE, 3), 255, np.uint8)])
    wide = np.pad(images.astype(int), ((0, 0), (1, 1), (1, 1), (0, 0)), "symmetric")
    means = sum(wide[:, y : y + SIDE, x : x + SIDE] for y in range(3) for x in range(3)) // 9
    found = redraw(images, still(3)._replace(blurred=np.array([True, False, True]))).numpy()
    assert (found == np.where([[[[True]]], [[[False]]], [[[True]]]], means, images)).all()


def test_a_rectangle_is_hidden_behind_paint() -> None:
    """Where a pixel's middle is less than half a width from the centre; what is no rectangle hides nothing."""
    images = pictures(2)
    centre, half = np.array([[0.25, 0.5]] * 2, np.float32), np.array([[4 / SIDE, 2 / SIDE], [0, 0]], np.float32)
    paint = np.array([[1, 2, 3]] * 2, np.uint8)
    found = redraw(images, still(2)._replace(centre=centre, half=half, paint=paint)).numpy()
    expected = images.copy()
    expected[0, SIDE // 2 - 2 : SIDE // 2 + 2, SIDE // 4 - 4 : SIDE // 4 + 4] = (1, 2, 3)
    assert (found == expected).all()


@pytest.mark.slow
def test_nothing_is_said_about_compiling() -> None:
    """XLA's own lines would be the first thing that a person sees of training."""
    code = "from tests.data.test_redraw import *; redraw(pictures(1), still(1)); print('done')"
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"}
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "done\n"
    assert "XLA" not in done.stderr
    assert "absl" not in done.stderr
