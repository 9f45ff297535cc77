"""A photo with its keypoints drawn on it: named points, and the lines that join them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from seamline_client.answers import Keypoint, Prediction
from seamline_client.contract import VISIBILITY_NAMES, VISIBLE
from seamline_client.errors import InvalidInput
from seamline_client.finding import SUFFIXES
from seamline_client.images import Photo, upright

LONG_SIDE = 900
"""A smaller picture is enlarged to this many pixels, so that two dozen names can be read on it."""

_LONGEST = 200
"""Bytes of a photo's name in that of its drawing: file systems take 255."""

POINT, LINE, TEXT, SHADOW = "#ff3d7f", "#19d3c5", "white", "#202020"

FAINTEST = 0.15
"""How opaque a mark with the score 0 is."""


def draw(photo: Photo, prediction: Prediction, *, names: bool = True, weight: float = 1.0) -> Image.Image:
    """The photo in RGB, upright; visible points are discs, occluded ones rings. Raises InvalidInput as images do.

    The less sure a point is, the fainter are its mark and its lines; names stay legible.

    For pictures that are made smaller afterwards: no `names`, and marks and lines `weight` times as heavy.
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
                stretch = [(points[name].x, points[name].y) for name in (start, end)]
                pen.line(stretch, fill=_faint(LINE, points[start], points[end]), width=max(1, round(2 * unit)))
    font = ImageFont.load_default(max(8, round(13 * unit)))
    for point in points.values():
        _mark(pen, point, 5 * unit)
    if not names:
        return canvas
    taken: list[tuple[float, float, float, float]] = []
    for point in points.values():  # after all marks, which would cover them
        taken.append(_write(pen, point, 8 * unit, font, width, taken))
    return canvas


def _mark(pen: ImageDraw.ImageDraw, point: Keypoint, radius: float) -> None:
    box = (point.x - radius, point.y - radius, point.x + radius, point.y + radius)
    fill = _faint(POINT, point) if point.visibility == VISIBILITY_NAMES[VISIBLE] else None
    pen.ellipse(box, fill=fill, outline=_faint(SHADOW if fill else POINT, point), width=max(1, round(radius / 3)))


def _faint(colour: str, *points: Keypoint) -> str:
    """The colour, as opaque as the least of the scores, and never quite gone; #rrggbbaa."""
    least = min(1.0 if point.score is None else point.score for point in points)
    return f"{colour}{round(255 * (FAINTEST + (1 - FAINTEST) * least)):02x}"


def _write(
    pen: ImageDraw.ImageDraw,
    point: Keypoint,
    gap: float,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float, float, float]:
    """Write the name beside it, left of a left point, as far as the picture has room for it.

    It moves down past names that are there already. Returns the box that it takes.
    """
    length = pen.textlength(point.name, font)
    x = point.x - gap - length if "left" in point.name else point.x + gap
    x = min(max(x, 0.0), max(width - length, 0.0))
    height = font.getbbox(point.name)[3]
    y = point.y - height / 2
    while any(
        x < right and left < x + length and y < bottom and top < y + height for left, top, right, bottom in taken
    ):
        y += height / 4
    pen.text((x, y), point.name, fill=TEXT, font=font, stroke_width=2, stroke_fill=SHADOW)
    return x, y, x + length, y + height


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
