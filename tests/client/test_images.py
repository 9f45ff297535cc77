"""Preprocessing: one definition, equal to the decoders in the graph, and short clear errors for what is no photo."""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from PIL import Image

from model.receivers import decode_image
from seamline_client import images
from seamline_client.contract import IMAGE_SIDE
from seamline_client.errors import LONGEST_DETAIL, InvalidInput
from seamline_client.images import Photo

SQUARE = (IMAGE_SIDE, IMAGE_SIDE, 3)
NOBODY = 65534


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def from_graph(ours: NDArray[np.uint8], data: bytes) -> int:
    """The largest difference, in levels of 255, to what the model makes of a file in training and in serving."""
    return int(np.abs(ours.astype(int) - decode_image(tf.constant(data)).numpy()).max())


@pytest.mark.parametrize("size", [(500, 400), (1600, 1200), (200, 300), (384, 384), (37, 911)])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_pixels_are_those_of_the_graph(picture: Image.Image, form: str, size: tuple[int, int]) -> None:
    """Enlarged or reduced, from PNG or JPEG: what we send as pixels is at most 2 of 255 levels from the graph's own."""
    data = saved(picture.resize(size), form)
    ours, original = images.pixels(data)
    assert original == size
    assert from_graph(ours, data) <= (0 if size == (384, 384) and form == "PNG" else 2)


def variants(picture: Image.Image) -> dict[str, bytes]:
    """The same picture in the forms that photos come in."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be looked at after a quarter turn clockwise
    alpha = picture.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(picture.size))
    grey16 = Image.fromarray((np.asarray(picture.convert("L")).astype(np.uint16) << 8) | 0x7F)
    return {
        "jpeg": saved(picture, "JPEG"),
        "grey jpeg": saved(picture.convert("L"), "JPEG"),
        "cmyk jpeg": saved(picture.convert("CMYK"), "JPEG"),
        "turned jpeg": saved(picture, "JPEG", exif=exif),
        "progressive jpeg": saved(picture, "JPEG", progressive=True),
        "png": saved(picture, "PNG"),
        "palette png": saved(picture.quantize(64), "PNG"),
        "palette png with a transparent colour": saved(picture.quantize(64), "PNG", transparency=3),
        "alpha png": saved(alpha, "PNG"),
        "1-bit png": saved(picture.convert("1"), "PNG"),
        "16-bit png": saved(grey16, "PNG"),
        "gif": saved(picture, "GIF"),
        "animated gif": saved(picture, "GIF", save_all=True, append_images=[Image.new("RGB", picture.size)]),
        "animated png": saved(picture, "PNG", save_all=True, append_images=[Image.new("RGB", picture.size)]),
        "webp": saved(picture, "WEBP"),
        "tiff": saved(picture, "TIFF"),
        "bmp": saved(picture, "BMP"),
        "one pixel": saved(Image.new("RGB", (1, 1), "teal"), "PNG"),
    }


def test_every_form_of_a_photo_reaches_the_graph_as_the_same_pixels(picture: Image.Image) -> None:
    """What `encoded` sends, decoded by the graph, is within 2 levels of `pixels`: any signature will do.

    A plain JPEG or PNG goes as it is on disk; what the graph would read otherwise goes as a PNG of our pixels.
    """
    untouched = set()
    for form, data in variants(picture).items():
        square, size = images.pixels(data)
        file, same_size = images.encoded(data)
        assert (square.shape, square.dtype.name, size) == (SQUARE, "uint8", same_size), form
        assert from_graph(square, file) <= 2, form
        if file == data:
            untouched.add(form)
    assert untouched == {"jpeg", "grey jpeg", "progressive jpeg", "png", "one pixel"}


def test_a_photo_is_what_a_person_sees(picture: Image.Image) -> None:
    """Turned as EXIF says, a cut-out on white and not on what alpha 0 hides, 16 bits scaled to 8 and not clipped."""
    turned, size = images.pixels(variants(picture)["turned jpeg"])
    assert size == (400, 500)
    upright, _ = images.pixels(picture.transpose(Image.Transpose.ROTATE_270))
    assert np.abs(turned.astype(int) - upright.astype(int)).mean() < 3
    cut_out, dark = Image.new("RGBA", (8, 8), (0, 0, 0, 0)), Image.fromarray(np.full((4, 4), 0x4000, np.uint16))
    for image, level in ((cut_out, 255), (dark, 0x40)):
        assert set(images.pixels(saved(image, "PNG"))[0].flat) == {level}


def test_any_source_gives_the_same_pixels_and_stays_as_it_is(picture: Image.Image, tmp_path: Path) -> None:
    """Path, string, bytes, open file, Pillow image and array are one photo; a Pillow image is not changed."""
    path = tmp_path / "picture.png"
    picture.save(path)
    with path.open("rb") as file:
        sources: list[Photo] = [path, str(path), path.read_bytes(), file, picture, np.asarray(picture)]
        made = [images.pixels(source)[0] for source in sources]
    for pixels in made[1:]:
        np.testing.assert_array_equal(pixels, made[0])
    lying = Image.open(io.BytesIO(variants(picture)["turned jpeg"]))
    for image in (picture, lying, picture.convert("RGBA")):
        before = (image.size, image.mode, image.getexif().get(0x0112), image.tobytes())
        images.pixels(image)
        assert (image.size, image.mode, image.getexif().get(0x0112), image.tobytes()) == before


def png_of(side: int) -> bytes:
    """A PNG whose header says side x side pixels, and that has none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"This is no image. " * 100_000, "not an image"),
        (b"", "empty"),
        (png_of(30_000), "at most 64 million"),  # Pillow itself raises
        (png_of(10_000), "at most 64 million"),
        (png_of(10), "broken image"),
    ],
    ids=["text", "nothing", "30000x30000", "10000x10000", "a header alone"],
)
@pytest.mark.parametrize("prepare", [images.pixels, images.encoded])
def test_what_is_no_photo_is_refused(prepare: Any, data: bytes, message: str, tmp_path: Path) -> None:
    """Each in one short line that names the file; bombs by their header, before decoding."""
    path = tmp_path / "bad.jpg"
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=message) as caught:
        prepare(path)
    assert "bad.jpg" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < LONGEST_DETAIL + len(str(path))


FILES = [saved(Image.linear_gradient("L").convert("RGB"), form) for form in ("JPEG", "PNG", "GIF", "TIFF", "WEBP")]


@settings(deadline=None)
@given(some.sampled_from(FILES), some.floats(0, 1), some.binary(max_size=4))
def test_a_damaged_file_is_an_error_or_a_picture(data: bytes, place: float, damage: bytes) -> None:
    """Cut or overwritten anywhere, a file raises InvalidInput and nothing else, or is read."""
    where = round(place * len(data))
    for damaged in (data[:where], data[:where] + damage + data[where + len(damage) :]):
        with suppress(InvalidInput):
            assert images.pixels(damaged)[0].shape == SQUARE


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3), (2, 4, 4, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_arrays_of_another_shape_or_dtype_are_refused(shape: tuple[int, ...], dtype: Any) -> None:
    """An image array is uint8 (H, W, 3) and nothing else."""
    with pytest.raises(InvalidInput, match="uint8"):
        images.pixels(np.zeros(shape, dtype))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a folder and a file without permission are told apart; an endless one is not read to its end."""
    locked = tmp_path / "locked.jpg"
    locked.touch(mode=0)
    monkeypatch.setattr(images, "MAX_BYTES", 1024 * 1024)
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)  # root may read every file
    try:
        for path, why in (
            (str(locked), "Permission denied"),
            ("/", "Is a directory"),
            ("no.jpg", "No such file"),
            ("/dev/zero", "larger than 1 MB"),
        ):
            with pytest.raises(InvalidInput, match=f"^{path}: {why}"):
                images.encoded(path)
    finally:
        os.seteuid(me)
