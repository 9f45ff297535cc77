"""A photo with its keypoints drawn on it: named points, and the lines that join them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from seamline_client.answers import Keypoint, Prediction
from seamline_client.contract import VISIBILITY_NAMES, VISIBLE
from seamline_client.errors import InvalidInput
from seamline_client.finding import SUFFIXES
from seamline_client.images import Photo, upright
from seamline_client.name_tags import place

LONG_SIDE = 900
"""A smaller picture is enlarged to this many pixels, so that two dozen names can be read on it."""

_LONGEST = 200
"""Bytes of a photo's name in that of its drawing: file systems take 255."""

POINT, LINE, TEXT, SHADOW, TAG = "#ff3d7f", "#19d3c5", "white", "#202020", "#202020a0"

UNSURE = 0.5
"""Below this score a point's name has the score beside it, and lines that lead to it are dashed."""

FAINTEST = 0.15
"""How opaque a mark with the score 0 is."""


def draw(photo: Photo, prediction: Prediction, *, names: bool = True, weight: float = 1.0) -> Image.Image:
    """The photo in RGB, upright; visible points are discs, occluded ones rings. Raises InvalidInput as images do.

    The less sure a point is, the fainter is its mark. A thin line joins a point to its name where that is further away.

    For pictures that are made smaller afterwards: no `names`, and marks, lines and names `weight` times as large.
    """
    picture = upright(photo)
    factor = max(1.0, LONG_SIDE / max(picture.size))
    width, height = (max(1, round(side * factor)) for side in picture.size)
    canvas = picture.resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas, "RGBA")  # so that what is drawn in a colour with alpha lets the photo through
    unit = weight * max(width, height) / LONG_SIDE
    points = {each.name: replace(each, x=each.x * factor, y=each.y * factor) for each in prediction.keypoints}
    for line in prediction.about.lines:
        for start, end in zip(line, line[1:]):
            if start in points and end in points:
                _join(pen, points[start], points[end], unit)
    for point in points.values():
        _mark(pen, point, 5 * unit)
    if names:
        _name(pen, list(points.values()), canvas.size, unit)
    return canvas


def _join(pen: ImageDraw.ImageDraw, start: Keypoint, end: Keypoint, unit: float) -> None:
    colour, thick = _faint(LINE, start, end), max(1, round(2 * unit))
    pieces = (
        1
        if _sureness(start, end) >= UNSURE
        else max(1, round(math.dist((start.x, start.y), (end.x, end.y)) / (12 * unit)))
    )
    for piece in range(pieces):  # of which a dash is the first half
        ends = (piece / pieces, (piece + (0.5 if pieces > 1 else 1.0)) / pieces)
        pen.line(
            [(start.x + (end.x - start.x) * t, start.y + (end.y - start.y) * t) for t in ends], fill=colour, width=thick
        )


def _mark(pen: ImageDraw.ImageDraw, point: Keypoint, radius: float) -> None:
    box = (point.x - radius, point.y - radius, point.x + radius, point.y + radius)
    fill = _faint(POINT, point) if point.visibility == VISIBILITY_NAMES[VISIBLE] else None
    pen.ellipse(box, fill=fill, outline=_faint(SHADOW if fill else POINT, point), width=max(1, round(radius / 3)))


def _faint(colour: str, *points: Keypoint) -> str:
    """The colour, as opaque as the least of the scores, and never quite gone; #rrggbbaa."""
    return f"{colour}{round(255 * (FAINTEST + (1 - FAINTEST) * _sureness(*points))):02x}"


def _sureness(*points: Keypoint) -> float:
    """The least of the scores."""
    return min(1.0 if point.score is None else point.score for point in points)


def _name(pen: ImageDraw.ImageDraw, points: list[Keypoint], size: tuple[int, int], unit: float) -> None:
    font = ImageFont.load_default(max(8, round(13 * unit)))
    margin = 3 * unit
    texts = [each.name if _sureness(each) >= UNSURE else f"{each.name} {each.score:.2f}" for each in points]
    height = font.getbbox("Ag")[3] + 2 * margin
    sizes = [(pen.textlength(text, font) + 2 * margin, height) for text in texts]
    boxes = place([(each.x, each.y) for each in points], sizes, size, 8 * unit)
    for point, box in zip(points, boxes):
        near = min(max(point.x, box.left), box.right), min(max(point.y, box.top), box.bottom)
        if math.dist(near, (point.x, point.y)) > 12 * unit:
            pen.line([(point.x, point.y), near], fill=TEXT, width=max(1, round(unit)))
    for text, box in zip(texts, boxes):
        pen.rounded_rectangle(box, radius=margin, fill=TAG)
        pen.text((box.left + margin, box.top + margin), text, fill=TEXT, font=font)


class Drawings:
    """Where drawn photos go: a folder, or one file when `out` is named like a picture.

    A photo from below a folder that was named keeps its place below `out`, and no two drawings of a run share a path.
    """

    def __init__(self, out: Path, photos: int) -> None:
        """Make the folder; raises InvalidInput where nothing can be written, before any photo has been asked about."""
        self._out, self._one_file = out, out.suffix.lower() in SUFFIXES
        if self._one_file and photos != 1:
            raise InvalidInput(f"{out}: {photos} photos do not fit into one file, name a folder to draw them to")
        self._taken: set[Path] = set()
        with _writing(out):
            (out.parent if self._one_file else out).mkdir(parents=True, exist_ok=True)

    def save(self, photo: Photo, below: str, prediction: Prediction) -> Path:
        """Draw, and write to a path like that of the photo below its folder; raises InvalidInput where it cannot."""
        picture = draw(photo, prediction)
        path = self._out if self._one_file else self._free((self._out / below).with_suffix(""))
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, quality=90)
        return path

    def _free(self, stem: Path) -> Path:
        name = os.fsdecode(os.fsencode(stem.name)[:_LONGEST])
        path, count = stem.with_name(f"{name}-keypoints.jpg"), 1
        while path in self._taken:
            count += 1
            path = stem.with_name(f"{name}-keypoints-{count}.jpg")
        self._taken.add(path)
        return path


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written ({error.strerror or error})") from error
