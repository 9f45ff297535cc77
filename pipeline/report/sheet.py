"""A sheet of evaluation photos, truth beside prediction: a good one, a middling one and the worst of each category."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline.evaluation.samples import SEAM, Sample, pair
from seamline_client.answers import Prediction

BOX = (225, 300)
GAP, HEADER, CAPTION = 14, 40, 26
LEGEND = "Left: the truth. Right: the prediction; yellow lines lead from where a point is to where it was predicted."
INK, PAPER = "#20262b", "white"
PLACES = {"a good one": 0.25, "in the middle": 0.5, "the worst": 1.0}
"""The photos to show, by their rank in NE within their category: 0 is the best, 1 the worst."""


def choose(categories: Sequence[str], photo_ne: Sequence[float]) -> dict[int, str]:
    """Index of each photo to show -> why it was chosen. Photos without an NE are never chosen."""
    chosen: dict[int, str] = {}
    for category in dict.fromkeys(categories):
        order = sorted(
            (ne, index)
            for index, (name, ne) in enumerate(zip(categories, photo_ne))
            if name == category and math.isfinite(ne)
        )
        # The worst comes first, so that a single photo is called that.
        for why, place in reversed(PLACES.items() if order else ()):
            chosen.setdefault(order[round(place * (len(order) - 1))][1], why)
    return chosen


def draw(shown: Sequence[tuple[Sample, Prediction, str]], photo_ne: Sequence[float], path: Path) -> None:
    """Writes the picture, a row for each category, of photos with their predictions and why they were chosen."""
    rows: Mapping[str, list[tuple[Sample, Prediction, str]]] = {
        category: sorted(
            (each for each in shown if each[0].category == category), key=lambda each: photo_ne[each[0].index]
        )
        for category in dict.fromkeys(each[0].category for each in shown)
    }
    filled = list(rows.values())
    step = (2 * BOX[0] + SEAM + GAP, BOX[1] + CAPTION + GAP)
    font = ImageFont.load_default(15)
    width = GAP + max(step[0] * max((len(row) for row in filled), default=0), round(font.getlength(LEGEND)) + GAP)
    sheet = Image.new("RGB", (width, HEADER + step[1] * len(filled)), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), LEGEND, INK, font)
    for line, row in enumerate(filled):
        for column, (sample, prediction, why) in enumerate(row):
            x, y = GAP + column * step[0], HEADER + line * step[1]
            sheet.paste(pair(sample, prediction, BOX), (x, y))
            pen.text((x, y + BOX[1] + 4), f"{sample.category}, {why}: NE {photo_ne[sample.index]:.1f} %", INK, font)
    sheet.save(path)
