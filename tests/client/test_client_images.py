"""Preprocessing: one definition, equal to the decoders in the graph, and short clear errors for what is no photo."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from PIL import Image

from seamline_client import images
from seamline_client.contract import IMAGE_SIDE
from seamline_client.errors import LONGEST_DETAIL, InvalidInput
from seamline_client.images import Photo

SQUARE = (IMAGE_SIDE, IMAGE_SIDE, 3)
NOBODY = 65534


@pytest.fixture(scope="module")
def in_graph() -> Callable[[bytes], NDArray[np.uint8]]:
    """What the model itself does to a file, in training and in serving: decode, stretch, round."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow 2.15's imports of deprecated things
        import tensorflow as tf

        from model.receivers import decode_image
    return lambda data: np.asarray(decode_image(tf.constant(data)))


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def largest_difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("size", [(500, 400), (1600, 1200), (200, 300), (384, 384), (37, 911)])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_pixels_are_those_of_the_graph(in_graph: Any, picture: Image.Image, form: str, size: tuple[int, int]) -> None:
    """Enlarged or reduced, from PNG or JPEG: what we send as pixels is at most 2 of 255 levels from the graph's own."""
    data = saved(picture.resize(size), form)
    ours, original = images.pixels(data)
    assert original == size
    assert largest_difference(ours, in_graph(data)) <= (0 if size == (384, 384) and form == "PNG" else 2)


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


def test_every_form_of_a_photo_reaches_the_graph_as_the_same_pixels(in_graph: Any, picture: Image.Image) -> None:
    """What `encoded` sends, decoded by the graph, is within 2 levels of `pixels`: any signature will do."""
    for form, data in variants(picture).items():
        square, size = images.pixels(data)
        file, same_size = images.encoded(data)
        assert square.shape == SQUARE, form
        assert square.dtype == np.uint8, form
        assert size == same_size, form
        assert largest_difference(square, in_graph(file)) <= 2, form


def test_files_that_the_graph_reads_as_we_do_are_sent_untouched(picture: Image.Image) -> None:
    """A plain JPEG or PNG goes as it lies on disk; what the graph would read otherwise goes as a PNG of our pixels."""
    untouched = {form for form, data in variants(picture).items() if images.encoded(data)[0] == data}
    assert untouched == {"jpeg", "grey jpeg", "progressive jpeg", "png", "one pixel"}


def test_exif_orientation_turns_the_picture(picture: Image.Image) -> None:
    """A phone's photo is measured as it is looked at: sides swapped, pixels turned."""
    turned, size = images.pixels(variants(picture)["turned jpeg"])
    assert size == (400, 500)
    upright, _ = images.pixels(picture.transpose(Image.Transpose.ROTATE_270))
    assert np.abs(turned.astype(int) - upright.astype(int)).mean() < 3


def test_a_pillow_image_that_is_given_stays_as_it_is(picture: Image.Image) -> None:
    """Turned, transparent or neither: the caller's own is not changed."""
    lying = Image.open(io.BytesIO(variants(picture)["turned jpeg"]))
    for image in (picture, lying, picture.convert("RGBA")):
        before = (image.size, image.mode, image.getexif().get(0x0112), image.tobytes())
        images.pixels(image)
        assert (image.size, image.mode, image.getexif().get(0x0112), image.tobytes()) == before


@pytest.mark.parametrize(
    ("image", "levels"),
    [
        (Image.new("RGBA", (8, 8), (0, 0, 0, 0)), {255}),  # a cut-out stands on white, not on what alpha 0 hides
        (Image.fromarray(np.full((4, 4), 0x4000, np.uint16)), {0x40}),  # 16 bits are scaled to 8, not clipped
    ],
    ids=["transparent", "16 bits"],
)
def test_brightness_is_what_a_person_sees(image: Image.Image, levels: set[int]) -> None:
    """Transparency is laid on white, and 16 bits keep their brightness."""
    assert set(images.pixels(saved(image, "PNG"))[0].flat) == levels


def test_any_source_gives_the_same_pixels(picture: Image.Image, tmp_path: Path) -> None:
    """Path, string, bytes, open file, Pillow image and array are one photo."""
    path = tmp_path / "picture.png"
    picture.save(path)
    with path.open("rb") as file:
        sources: list[Photo] = [path, str(path), path.read_bytes(), file, picture, np.asarray(picture)]
        made = [images.pixels(source)[0] for source in sources]
    for pixels in made[1:]:
        np.testing.assert_array_equal(pixels, made[0])


def bomb(side: int) -> bytes:
    """A PNG whose header says side x side pixels, in a hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "text": (b"This is no image. " * 100, "not an image"),
    "html": (b"<html>" + b"x" * 1_000_000, "not an image"),
    "nothing": (b"", "empty"),
    "30000x30000": (bomb(30_000), "at most 64 million"),
    "10000x10000": (bomb(10_000), "at most 64 million"),
    "a header alone": (bomb(10), "broken image"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("prepare", [images.pixels, images.encoded])
def test_what_is_no_photo_is_refused(prepare: Any, case: str, tmp_path: Path) -> None:
    """Each in one short line that names the file; bombs by their header, before decoding."""
    data, message = BAD[case]
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


def test_paths_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """A missing file, a folder and a file without permission are told apart."""
    locked = tmp_path / "locked.jpg"
    locked.write_bytes(b"\xff\xd8\xff")
    locked.chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)  # root may read every file
    try:
        for path, why in (
            (locked, "Permission denied"),
            (Path("/"), "Is a directory"),
            (Path("no.jpg"), "No such file"),
        ):
            with pytest.raises(InvalidInput, match=f"^{path}: {why}"):
                images.pixels(path)
    finally:
        os.seteuid(me)


def test_a_file_too_long_for_a_photo_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an endless stream, no more than the limit is taken."""
    monkeypatch.setattr(images, "MAX_BYTES", 1024 * 1024)
    with Path("/dev/zero").open("rb") as endless, pytest.raises(InvalidInput, match="larger than 1 MB"):
        images.encoded(endless)
