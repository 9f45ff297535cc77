"""From a photo to what the model's signatures take: the client's one definition of preprocessing.

EXIF orientation is applied, transparency is laid on white, the rest becomes 8-bit RGB, and a plain stretch with
Pillow's bilinear filter (which antialiases) makes IMAGE_SIDE x IMAGE_SIDE of it. Of an animation the first frame
counts.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from seamline_client.answers import Size
from seamline_client.contract import BYTES, DEFAULT, IMAGE_SIDE, MAX_PIXELS, SIGNATURES, Signature
from seamline_client.errors import ClientError, InvalidInput

Photo = Union[str, "PathLike[str]", bytes, IO[bytes], Image.Image, "NDArray[np.uint8]"]
"""A path, a file's bytes, an open file, a Pillow image, or uint8 pixels (H, W, 3) in RGB."""

Images = Union[Photo, Iterable[Photo], "NDArray[Any]"]
"""One photo, several, or a batch of pixels in RGB: uint8 (N, H, W, 3), or floats of 0 to 255 (N, 384, 384, 3)."""

MAX_BYTES = 256 * 1024 * 1024
"""A file with more is not a photo that anyone means to send, and is not read to its end to find out."""

_ORIENTATION = 0x0112
_RAW_MODES = {"JPEG": ("L", "RGB"), "PNG": ("L", "RGB")}
"""Formats and modes that the decoder in the graph reads as Pillow does."""
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"\0\0\0\0IEND\xaeB`\x82"}


@dataclass(frozen=True, eq=False)
class Request:
    """A batch for one signature: the tensor of its input, and the size of each original picture."""

    signature: Signature
    tensor: NDArray[Any]
    sizes: Sequence[Size]


def prepare(pictures: Images, key: str | None, preferred: Signature) -> Request:
    """Decode, stretch and stack; raises InvalidInput.

    Without the `key` of a signature, floats go through the one for floats and everything else through `preferred`.
    """
    if key is not None and key not in SIGNATURES:
        raise InvalidInput(f"signature {key!r} is not in the contract, which has {', '.join(SIGNATURES)}")
    if isinstance(pictures, np.ndarray) and pictures.dtype.kind == "f":
        return _floats(pictures, key or DEFAULT.key)
    signature = SIGNATURES[key] if key else preferred
    made = [encoded(photo) if signature is BYTES else pixels(photo) for photo in _several(pictures)]
    if not made:
        raise InvalidInput("no picture was given")
    values, sizes = zip(*made)
    if signature is BYTES:
        return Request(signature, np.array(values, dtype=object), list(sizes))
    return Request(signature, np.stack(values).astype(signature.input.dtype, copy=False), list(sizes))


def _floats(batch: NDArray[Any], key: str) -> Request:
    batch = batch[None] if batch.ndim == 3 else batch
    if key != DEFAULT.key:
        raise InvalidInput(f"floats go through {DEFAULT.key}; round them to uint8 for {key}")
    if batch.ndim != 4 or batch.shape[1:] != DEFAULT.input.shape[1:] or not len(batch):
        raise InvalidInput(f"floats must be (N, {IMAGE_SIDE}, {IMAGE_SIDE}, 3), these are {batch.shape}")
    return Request(DEFAULT, batch.astype(DEFAULT.input.dtype, copy=False), [(IMAGE_SIDE, IMAGE_SIDE)] * len(batch))


def _several(pictures: Images) -> Iterable[Photo]:
    if isinstance(pictures, np.ndarray):
        return pictures if pictures.ndim == 4 or pictures.dtype == object else [pictures]
    if isinstance(pictures, (str, PathLike, bytes, Image.Image)) or hasattr(pictures, "read"):
        return [pictures]  # type: ignore[list-item]
    return pictures


def pixels(photo: Photo) -> tuple[NDArray[np.uint8], Size]:
    """RGB uint8 (IMAGE_SIDE, IMAGE_SIDE, 3) and the original's size; raises InvalidInput."""
    image = upright(photo)
    return np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR)), image.size


def encoded(photo: Photo) -> tuple[bytes, Size]:
    """A JPEG or PNG file for the graph's own decoder, and the original's size; raises InvalidInput.

    The file goes as it is on disk where the graph reads it as we do. Otherwise (turned by EXIF, transparent, CMYK,
    damaged, another format) a PNG of `pixels` goes: the graph's stretch leaves it as it is, so the answer is the same.
    """
    if not isinstance(photo, (Image.Image, np.ndarray)):
        data, name = _content(photo), name_of(photo)
        with _refused_as_invalid(name):
            image = _opened(data, name)
            if _graph_reads(image) and _is_whole(data, image.format or ""):
                return data, image.size
        photo = image
    square, size = pixels(photo)
    file = io.BytesIO()
    Image.fromarray(square).save(file, "PNG", compress_level=1)  # on its way to a decoder, not to a disk
    return file.getvalue(), size


def upright(photo: Photo) -> Image.Image:
    """The decoded photo in 8-bit RGB as it is meant to be looked at.

    Raises InvalidInput for what is not an image, cannot be read, is broken, or has more than MAX_PIXELS.
    """
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
            raise InvalidInput(f"an image array is uint8 (H, W, 3) in RGB, this one is {photo.dtype} {photo.shape}")
        return Image.fromarray(photo)
    name = name_of(photo)
    with _refused_as_invalid(name):
        image = photo if isinstance(photo, Image.Image) else _opened(_content(photo), name)
        _check_size(image, name)
        return _rgb(ImageOps.exif_transpose(image))


def name_of(photo: Photo) -> str:
    """What messages call a photo."""
    if isinstance(photo, (str, PathLike)):
        return fspath(photo)
    return str(getattr(photo, "name", None) or getattr(photo, "filename", None) or "the image")


@contextmanager
def _refused_as_invalid(name: str) -> Iterator[None]:
    """Pillow's decoders raise nearly anything on a hostile file (struct.error, IndexError, SyntaxError, zlib.error)."""
    try:
        yield
    except ClientError:
        raise
    except UnidentifiedImageError as error:
        raise InvalidInput(f"{name}: not an image (JPEG, PNG, WebP, TIFF, BMP and GIF can be read)") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidInput(_too_large(name, "a decompression bomb")) from error
    except Exception as error:
        raise InvalidInput(f"{name}: broken image ({error})") from error


def _check_size(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise InvalidInput(_too_large(name, f"{image.width}x{image.height} pixels"))


def _too_large(name: str, what: str) -> str:
    return f"{name}: {what}, at most {MAX_PIXELS // 1_000_000} million pixels are accepted"


def _content(photo: Any) -> bytes:
    if isinstance(photo, bytes):
        return photo
    try:
        if hasattr(photo, "read"):
            data = bytes(photo.read(MAX_BYTES + 1))
        else:
            path = Path(photo)
            if path.is_fifo():  # one that nobody writes to would never end
                raise InvalidInput(f"{path}: a pipe (predict.py - reads a photo from standard input)")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{name_of(photo)}: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{name_of(photo)}: larger than {MAX_BYTES // 1024 // 1024} MB, which no photo is")
    return data


def _opened(data: bytes, name: str) -> Image.Image:
    if not data:
        raise InvalidInput(f"{name}: the file is empty")
    image = Image.open(io.BytesIO(data))  # reads the header only
    image.filename = name  # what messages call it from here on
    _check_size(image, name)
    return image


def _graph_reads(image: Image.Image) -> bool:
    return (
        image.mode in _RAW_MODES.get(image.format or "", ())
        and image.getexif().get(_ORIENTATION, 1) == 1
        and "transparency" not in image.info
        and not getattr(image, "is_animated", False)
    )


def _is_whole(data: bytes, format: str) -> bool:
    """Whether the file ends as it should, and a PNG's checksums are right. Pillow forgives what the graph does not."""
    if not data.endswith(_ENDS[format]):
        return False
    try:
        if format == "PNG":
            Image.open(io.BytesIO(data)).verify()
    except Exception:  # as in `_refused_as_invalid`
        return False
    return True


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey: Pillow's own conversion would clip instead of scale
        grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
