"""The demo: drawn garments that no training saw, and where a server sees their points, as one picture."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from garments import draw as draw_garment
from seamline_client import PredictClient
from seamline_client.errors import ServerFailed
from seamline_client.overlay import draw as draw_points

SEED = 20180301
"""Not the one that the garments to train on are drawn with."""
SHOWN = (10, 2, 19)
"""Of those: a blouse, a dress and trousers."""
TILE = (675, 900)
WEIGHT = 1.8
"""Names can be read where the picture is a thousand pixels wide."""


def contact_sheet(target: str) -> bytes:
    """A PNG of the garments that are SHOWN, side by side. Raises the errors of `seamline_client.errors`."""
    garments = [draw_garment(SEED, index).image for index in SHOWN]
    sheet = Image.new("RGB", (len(SHOWN) * TILE[0], TILE[1]), "white")
    with PredictClient(target) as client:
        for index, outcome in enumerate(client.stream(garments)):
            if outcome.prediction is None:
                raise outcome.error or ServerFailed(f"{target}: no answer")
            tile = ImageOps.pad(draw_points(outcome.photo, outcome.prediction, weight=WEIGHT), TILE, color="white")
            sheet.paste(tile, (index * TILE[0], 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
