"""The first photos of a ranking as one picture, with the answers drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline.labelling.asking import Answer
from pipeline.labelling.rank import Ranked
from seamline_client import overlay

SHOWN = 60
COLUMNS = 5
BOX = (240, 320)
GAP, HEADER, LINE = 14, 40, 18
RING = 9
MARKED = 3
LEGEND = "What to label next, the least sure first. Yellow rings: the points of each that the model is least sure of."
INK, PAPER, GROUND, UNSURE = "#20262b", "white", "#f2f2f2", "#ffd23f"


def draw(photos: Sequence[Ranked], path: Path) -> None:
    """Writes a PNG of the first photos, each with its place, its doubt, its name and how many look like it."""
    shown = photos[:SHOWN]
    step = (BOX[0] + GAP, BOX[1] + 2 * LINE + GAP)
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (GAP + COLUMNS * step[0], HEADER + rows * step[1]), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    pen.text((GAP, GAP), LEGEND, INK, font)
    for place, each in enumerate(shown):
        row, column = divmod(place, COLUMNS)
        x, y = GAP + column * step[0], HEADER + row * step[1]
        sheet.paste(_tile(each.answer), (x, y))
        more = f", {len(each.others)} more like it" if each.others else ""
        for number, text in enumerate((f"{place + 1}. doubt {each.answer.doubt:.2f}{more}", each.answer.photo.below)):
            pen.text((x, y + BOX[1] + 2 + number * LINE), _fitting(text, font), INK, font)
    sheet.save(path, "PNG")


def _tile(answer: Answer) -> Image.Image:
    picture = overlay.draw(answer.photo.path, answer.prediction, names=False, weight=2.0)
    picture.thumbnail(BOX, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    for place in answer.least_sure(MARKED):
        x = float(answer.prediction.x_ratio[place]) * picture.width
        y = float(answer.prediction.y_ratio[place]) * picture.height
        pen.ellipse((x - RING, y - RING, x + RING, y + RING), outline=UNSURE, width=3)
    tile = Image.new("RGB", BOX, GROUND)
    tile.paste(picture, ((BOX[0] - picture.width) // 2, (BOX[1] - picture.height) // 2))
    return tile


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of its end as a tile is wide: names differ there."""
    if font.getlength(text) <= BOX[0]:
        return text
    while font.getlength(f"…{text}") > BOX[0]:
        text = text[1:]
    return f"…{text}"
