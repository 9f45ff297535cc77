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
COLUMNS, ROWS = 5, 2
TILE = (450, 600)


def contact_sheet(target: str) -> bytes:
    """A PNG of COLUMNS x ROWS garments, every category in each row. Raises the errors of `seamline_client.errors`."""
    garments = [draw_garment(SEED, index).image for index in range(COLUMNS * ROWS)]
    sheet = Image.new("RGB", (COLUMNS * TILE[0], ROWS * TILE[1]), "white")
    with PredictClient(target) as client:
        for index, outcome in enumerate(client.stream(garments)):
            if outcome.prediction is None:
                raise outcome.error or ServerFailed(f"{target}: no answer")
            tile = ImageOps.pad(draw_points(outcome.photo, outcome.prediction), TILE, color="white")
            sheet.paste(tile, (index % COLUMNS * TILE[0], index // COLUMNS * TILE[1]))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
