"""From pictures in any of the forms that people have them in, to the tensor that one of the model's doors takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seamline_client import images
from seamline_client.answers import Size
from seamline_client.contract import BYTES, DEFAULT, IMAGE_SIDE, SIGNATURES, Signature
from seamline_client.errors import InvalidInput
from seamline_client.images import Photo
from seamline_client.transport import object_array

Images = Union[Photo, Iterable[Photo], "NDArray[Any]"]
"""One picture, several, or a batch of pixels in RGB: uint8 (N, H, W, 3), or floats of 0 to 255 (N, 384, 384, 3)."""


_SHAPE = DEFAULT.input.shape[1:]


@dataclass(frozen=True, eq=False)
class Request:
    """Inputs for one call of `signature`, and the size of each original picture."""

    signature: str
    inputs: dict[str, NDArray[Any]]
    sizes: Sequence[Size]


def prepare(pictures: Images, signature: str | None, preferred: Signature) -> Request:
    """Decode, stretch and stack; raises InvalidInput.

    Without a `signature`, floats go through the float door and everything else through the `preferred` one.
    """
    if isinstance(pictures, np.ndarray) and pictures.dtype.kind == "f":
        return _floats(pictures, signature)
    door = preferred if signature is None else _door(signature)
    if door is not BYTES and isinstance(pictures, np.ndarray) and _is_ready(pictures):
        tensor = pictures.astype(door.input.dtype, copy=False)
        return Request(door.key, {door.input.name: tensor}, [(IMAGE_SIDE, IMAGE_SIDE)] * len(pictures))
    make = images.encoded if door is BYTES else images.pixels
    made = [make(photo) for photo in _several(pictures)]
    if not made:
        raise InvalidInput("no picture was given")
    values, sizes = [value for value, _ in made], [size for _, size in made]
    tensor = object_array(values) if door is BYTES else np.stack(values).astype(door.input.dtype, copy=False)  # type: ignore[arg-type]
    return Request(door.key, {door.input.name: tensor}, sizes)


def _door(key: str) -> Signature:
    if key not in SIGNATURES:
        raise InvalidInput(f"signature {key!r} is not in the contract, which has {', '.join(SIGNATURES)}")
    return SIGNATURES[key]


def _is_ready(pixels: NDArray[Any]) -> bool:
    """Whether a batch has the shape that the model takes, so that nothing is left to do (and nothing to copy)."""
    return pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.shape[1:] == _SHAPE and len(pixels) > 0


def _floats(pixels: NDArray[Any], signature: str | None) -> Request:
    if signature not in (None, DEFAULT.key):
        raise InvalidInput(f"floats go through {DEFAULT.key}; round them to uint8 for {signature}")
    batch = pixels[None] if pixels.ndim == 3 else pixels
    if batch.ndim != 4 or batch.shape[1:] != _SHAPE or not len(batch):
        raise InvalidInput(f"floats must be (N, {IMAGE_SIDE}, {IMAGE_SIDE}, 3), these are {pixels.shape}")
    tensor = batch.astype(DEFAULT.input.dtype, copy=False)
    return Request(DEFAULT.key, {DEFAULT.input.name: tensor}, [(IMAGE_SIDE, IMAGE_SIDE)] * len(batch))


def _several(pictures: Images) -> Iterable[Photo]:
    if isinstance(pictures, np.ndarray):
        return pictures if pictures.ndim == 4 or pictures.dtype == object else [pictures]
    if isinstance(pictures, (str, PathLike, bytes, Image.Image)) or hasattr(pictures, "read"):
        return [pictures]  # type: ignore[list-item]
    return pictures
