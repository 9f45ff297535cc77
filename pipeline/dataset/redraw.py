"""Redraw pictures in another shape and other colours: the costly part of augmentation, compiled by XLA.

TensorFlow's own operation for shapes (ImageProjectiveTransformV3) looks for each pixel's old place once for every
channel, and takes three times as long, on cores that training wants too. Here the channels of a pixel are one number,
and finding, fetching and mixing are one loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import tensorflow as tf

_SHIFTS = (0, 8, 16)
"""Where red, green and blue are in a packed pixel."""
_OUTER = 0x00FF00FF
"""Red and blue; green is between them, where a sum of theirs may overflow to."""


def redraw(images: tf.Tensor, place: tf.Tensor, origin: tf.Tensor, colour: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    """(N, S, S, 3) uint8 -> the same. What is new at (x, y) was at place @ (x, y) + origin, in pixel indices, and its
    RGB becomes colour @ RGB + light.

    place is (N, 2, 2), origin (N, 2), colour (N, 3, 3), light (N,), all float32. Between pixels it is bilinear, to
    1/256 of a pixel; beyond the border the picture is mirrored.
    """
    _silence()
    # Compiled apart: as one loop it would pack a pixel each time it is fetched, and fetch it once for each channel.
    pixels = _compiled(_pack)(images)
    return _compiled(_mix)(_compiled(_pull)(pixels, place, origin), colour, light)


@cache
def _silence() -> None:
    """XLA says once in a process, on standard error, that it compiles. No setting prevents it: to nobody, then."""
    standard_error = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            number = tf.compat.v1.placeholder(tf.float32, [])
            session.run(_compiled(tf.negative)(number), {number: 1.0})
    finally:
        os.dup2(standard_error, 2)
        os.close(nowhere)
        os.close(standard_error)


def _compiled(step: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    program: Callable[..., tf.Tensor] = tf.function(step, jit_compile=True)
    return program


def _pack(images: tf.Tensor) -> tf.Tensor:
    """(N, S, S) uint32."""
    channels = tf.unstack(tf.cast(images, tf.uint32), axis=3)
    return tf.add_n([tf.bitwise.left_shift(channel, shift) for channel, shift in zip(channels, _SHIFTS)])


def _mix(pixels: tf.Tensor, colour: tf.Tensor, light: tf.Tensor) -> tf.Tensor:
    channels = [tf.bitwise.bitwise_and(tf.bitwise.right_shift(pixels, shift), 0xFF) for shift in _SHIFTS]
    red, green, blue = (tf.cast(channel, tf.float32) for channel in channels)
    colour, light = colour[:, None, None], light[:, None, None]
    mixed = [
        colour[..., row, 0] * red + colour[..., row, 1] * green + colour[..., row, 2] * blue + light for row in range(3)
    ]
    return tf.cast(tf.clip_by_value(tf.stack(mixed, 3) + 0.5, 0, 255), tf.uint8)


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
    at = tf.math.floormod(tf.abs(at + 0.5), 2 * side)
    return tf.minimum(at, 2 * side - at) - 0.5


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
