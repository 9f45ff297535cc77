"""Redraw pictures in another shape and other colours: what augmentation does to pixels, compiled by XLA.

TensorFlow's own operations take several times as long, on cores that training wants too: they look for each pixel's old
place once for every channel. Here the channels of a pixel are one number, and each step is one loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import tensorflow as tf

_SHIFTS = (0, 8, 16)
"""Where red, green and blue are in a packed pixel."""
_OUTER = 0x00FF00FF
"""Red and blue; green is between them, where a sum of theirs may overflow to."""
_NINTH = 7282
"""Times a sum of nine bytes, over 65,536: the whole part of a ninth of it."""


class Changes(NamedTuple):
    """What becomes of each of N pictures, in this order. All are float32 where nothing else is said."""

    place: tf.Tensor
    """(N, 2, 2): what is new at (x, y) was at place @ (x, y) + origin, in pixel indices."""
    origin: tf.Tensor
    """(N, 2)"""
    blurred: tf.Tensor
    """(N,) bool: a pixel becomes the mean of the 3x3 round it."""
    colour: tf.Tensor
    """(N, 3, 3): RGB becomes colour @ RGB + light."""
    light: tf.Tensor
    """(N,)"""
    centre: tf.Tensor
    """(N, 2): of a rectangle that is hidden, as fractions of the picture's sides."""
    half: tf.Tensor
    """(N, 2): half its width and height; 0 hides nothing."""
    paint: tf.Tensor
    """(N, 3) uint8: what it is hidden behind."""


def redraw(images: tf.Tensor, changes: Changes) -> tf.Tensor:
    """(N, S, S, 3) uint8 -> the same, changed.

    Between pixels a picture is bilinear, to 1/256 of a pixel; beyond its border it is mirrored.
    """
    _silence()
    # Compiled apart: as one loop it would do each step again for every pixel that the next one looks at.
    pulled = _compiled(_pull)(_compiled(_pack)(images), changes.place, changes.origin)
    return _compiled(_retouch)(pulled, changes)


@cache
def _silence() -> None:
    """Has XLA announce to nobody that it compiles: it does so once in a process, and no setting prevents it."""
    standard_error = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with tf.Graph().as_default(), _without_gpu() as session:
            number = tf.compat.v1.placeholder(tf.float32, [])
            session.run(_compiled(tf.negative)(number), {number: 1.0})
    finally:
        os.dup2(standard_error, 2)
        os.close(nowhere)
        os.close(standard_error)


def _without_gpu() -> tf.compat.v1.Session:
    """What a GPU says and does when it is first used is not to be hidden."""
    return tf.compat.v1.Session(config=tf.compat.v1.ConfigProto(device_count={"GPU": 0}))


def _compiled(step: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    program: Callable[..., tf.Tensor] = tf.function(step, jit_compile=True)
    return program


def _pack(images: tf.Tensor) -> tf.Tensor:
    """(N, S, S) uint32."""
    return _packed(tf.unstack(tf.cast(images, tf.uint32), axis=3))


def _packed(channels: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.add_n([tf.bitwise.left_shift(channel, shift) for channel, shift in zip(channels, _SHIFTS)])


def _channels(pixels: tf.Tensor) -> list[tf.Tensor]:
    """Red, green and blue, each in a number of its own."""
    return [tf.bitwise.bitwise_and(tf.bitwise.right_shift(pixels, shift), 0xFF) for shift in _SHIFTS]


def _pull(pixels: tf.Tensor, place: tf.Tensor, origin: tf.Tensor) -> tf.Tensor:
    count, side = tf.shape(pixels)[0], tf.shape(pixels)[1]
    index = tf.range(tf.cast(side, tf.float32))
    x, y = (
        _mirrored(
            place[:, axis, 0, None, None] * index[None, None, :]
            + place[:, axis, 1, None, None] * index[None, :, None]
            + origin[:, axis, None, None],
            tf.cast(side, tf.float32),
        )
        for axis in (0, 1)
    )
    (left, right, part_x), (top, bottom, part_y) = (_neighbours(at, side) for at in (x, y))
    first = tf.range(count)[:, None, None] * side * side
    flat = tf.reshape(pixels, [-1])
    corners = [tf.gather(flat, first + row * side + column) for row in (top, bottom) for column in (left, right)]
    outer = _between_four([tf.bitwise.bitwise_and(corner, _OUTER) for corner in corners], part_x, part_y)
    corners = [tf.bitwise.bitwise_and(tf.bitwise.right_shift(corner, 8), _OUTER) for corner in corners]
    return tf.bitwise.bitwise_or(outer, tf.bitwise.left_shift(_between_four(corners, part_x, part_y), 8))


def _mirrored(at: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Indices of any size -> those in a row of mirrored pictures (a b c c b a a b c), from -0.5 to side - 0.5."""
    there_and_back = 2 * side
    at += 0.5
    at -= there_and_back * tf.floor(at / there_and_back)  # floormod is a call for each pixel
    return tf.minimum(at, there_and_back - at) - 0.5


def _neighbours(at: tf.Tensor, side: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The pixels before and after a place, and how far it is from one to the other, 0 to 255."""
    before = tf.floor(at)
    part = tf.cast((at - before) * 256, tf.uint32)
    before = tf.cast(before, tf.int32)
    return tf.maximum(before, 0), tf.minimum(before + 1, side - 1), part


def _between_four(corners: list[tf.Tensor], part_x: tf.Tensor, part_y: tf.Tensor) -> tf.Tensor:
    top_left, top_right, bottom_left, bottom_right = corners
    return _between(_between(top_left, top_right, part_x), _between(bottom_left, bottom_right, part_x), part_y)


def _between(a: tf.Tensor, b: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    """Two channels at once, in 16 bits each, rounded."""
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(a * (256 - part) + b * part + 0x00800080, 8), _OUTER)


def _retouch(pixels: tf.Tensor, changes: Changes) -> tf.Tensor:
    """(N, S, S) packed -> (N, S, S, 3) uint8: all changes but that of shape."""
    both = zip(_blurred(pixels), _channels(pixels))
    rgb = [tf.cast(tf.where(changes.blurred[:, None, None], soft, sharp), tf.float32) for soft, sharp in both]
    pixels = _packed(_mixed(rgb, changes.colour[:, None, None], changes.light[:, None, None]))
    hidden = _packed(tf.unstack(tf.cast(changes.paint, tf.uint32), axis=1))
    pixels = tf.where(_inside(changes.centre, changes.half, tf.shape(pixels)[1]), hidden[:, None, None], pixels)
    return tf.bitcast(pixels, tf.uint8)[..., :3]


def _blurred(pixels: tf.Tensor) -> list[tf.Tensor]:
    """The channels of the mean of 3x3 pixels: sums of nine of them, two channels at once, in 16 bits each."""
    wide = tf.pad(pixels, [[0, 0], [1, 1], [1, 1]], "SYMMETRIC")
    outer, green = (_nine(tf.bitwise.bitwise_and(tf.bitwise.right_shift(wide, shift), _OUTER)) for shift in (0, 8))
    sums = tf.bitwise.bitwise_and(outer, 0xFFFF), green, tf.bitwise.right_shift(outer, 16)
    return [tf.bitwise.right_shift(each * _NINTH, 16) for each in sums]


def _nine(wide: tf.Tensor) -> tf.Tensor:
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    return rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]


def _mixed(rgb: Sequence[tf.Tensor], colour: tf.Tensor, light: tf.Tensor) -> list[tf.Tensor]:
    rows = [sum(colour[..., row, column] * rgb[column] for column in range(3)) + light for row in range(3)]
    return [tf.cast(tf.clip_by_value(row + 0.5, 0, 255), tf.uint32) for row in rows]


def _inside(centre: tf.Tensor, half: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """(N, S, S) bool: whether the middle of a pixel is in the rectangle."""
    middle = (tf.range(tf.cast(side, tf.float32)) + 0.5) / tf.cast(side, tf.float32)
    in_x, in_y = (tf.abs(middle - centre[:, axis, None]) < half[:, axis, None] for axis in (0, 1))
    return in_y[:, :, None] & in_x[:, None, :]
