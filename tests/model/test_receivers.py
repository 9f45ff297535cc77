"""What the graph does with encoded pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from model.receivers import decode_image
from seamline_client.contract import IMAGE_SIDE


def encoded(mode: str = "RGB", size: tuple[int, int] = (120, 90), kind: str = "JPEG") -> bytes:
    """A picture with soft and hard edges."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    pixels = np.stack([x, y, 255 * (np.hypot(x - 128, y - 128) < 60)], 2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGBA", "PNG")],
)
def test_every_kind_of_jpeg_and_png_becomes_384_square_rgb(mode: str, kind: str) -> None:
    """Grey, palette, alpha and CMYK included; the result is within a few levels of Pillow's own conversion."""
    data = encoded(mode, kind=kind)
    pixels = decode_image(tf.constant(data)).numpy()
    assert pixels.shape == (IMAGE_SIDE, IMAGE_SIDE, 3)
    assert pixels.dtype == np.uint8
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR)
    assert np.abs(pixels.astype(int) - np.asarray(image, int)).mean() < 1.5
