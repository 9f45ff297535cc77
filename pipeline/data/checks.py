"""Which annotated photos can be used, and whether those that can teach every category that is named."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipeline.data.annotations import Annotation, Refusal
from pipeline.errors import DataError
from seamline_client.contract import MAX_PIXELS
from seamline_client.images import upright
from seamline_client.keypoints import CATEGORIES, KEYPOINTS

READ_AHEAD = 256
"""Photos that are read and checked before somebody asks for them: at most this many are in memory."""
_ORIENTATION = 0x0112
_UPRIGHT = 1
_FORMATS = ("JPEG", "MPO", "PNG")
"""MPO is a JPEG with further pictures behind it, as phones take them: depth, motion, the same in other light."""


@dataclass(frozen=True)
class Photo:
    """A photo that can be used, as it lies on disk, or turned upright where it was lying on its side."""

    annotation: Annotation
    encoded: bytes
    width: int
    height: int


def check_all(annotations: Iterable[Annotation]) -> Iterator[Photo | Refusal]:
    """In order, decoding on all cores: Pillow lets go of the interpreter's lock while it decodes.

    Only so many are read ahead: where reading is faster than what follows, a large folder would end up in memory.
    """
    waiting: deque[Future[Photo | Refusal]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for annotation in annotations:
            waiting.append(pool.submit(_check, annotation))
            if len(waiting) >= READ_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _check(annotation: Annotation) -> Photo | Refusal:
    """Reads and decodes the photo, turns it upright, and sees that its points lie inside."""
    try:
        encoded = annotation.image.read_bytes()
        with Image.open(io.BytesIO(encoded)) as image:
            if image.format not in _FORMATS:
                raise ValueError(f"it is {image.format}; expected JPEG or PNG")
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"it has {image.width}x{image.height} pixels; at most {MAX_PIXELS} are accepted")
            image.load()
            if image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT or image.has_transparency_data:
                # TensorFlow's decoder leaves a photo lying on its side, and drops what is transparent to black or to
                # anything else: the pixels are made what the client would make of them.
                image = upright(encoded)
                buffer = io.BytesIO()
                image.save(buffer, "JPEG", quality=95)
                encoded = buffer.getvalue()
            width, height = image.size
    except FileNotFoundError:
        return Refusal(annotation.source, f"{annotation.image}: no such file")
    except Exception as error:  # Pillow raises nearly anything on a damaged file: struct.error, TypeError, SyntaxError
        return Refusal(annotation.source, f"{annotation.image}: cannot be used: {error}")
    for name, (x, y), v in zip(KEYPOINTS, annotation.points, annotation.v):
        if v >= 0 and not (0 <= x <= width and 0 <= y <= height):
            return Refusal(annotation.source, f"{name} at ({x:g}, {y:g}) lies outside of the {width}x{height} picture")
    return Photo(annotation, encoded, width, height)


def refuse_unlearnable(
    folder: Path,
    annotations: Mapping[str, list[Annotation]],
    categories: Mapping[str, Mapping[str, int]],
    refusals: list[Refusal],
) -> None:
    """Raises DataError for a category that rows name and no training photo is of: the model would only guess there."""
    rows = [(split, each) for split in annotations for each in annotations[split]]
    for category in CATEGORIES:
        named = [(split, each.source) for split, each in rows if each.category == category]
        if not named or category in categories["train"]:
            continue
        refused = {refusal.source: refusal for refusal in refusals}
        reasons = [str(refused[source]) for _, source in named if source in refused]
        raise DataError(
            f"{folder}: {len(named)} row(s) name the category {category}, but none of its photos is left to train on: "
            f"{sum(split == 'eval' for split, _ in named)} in the evaluation split, {len(reasons)} refused"
            f"{f' (the first: {reasons[0]})' if reasons else ''}. Add or mend photos of it, or take its rows out."
        )
