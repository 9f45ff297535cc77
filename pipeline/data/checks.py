"""Which annotated photos can be used, and whether those that can are enough to train on."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from PIL import ExifTags, Image, UnidentifiedImageError

from model.receivers import decode
from pipeline.data.annotations import Annotation, Refusal
from pipeline.errors import DataError
from seamline_client.contract import MAX_PIXELS
from seamline_client.images import upright
from seamline_client.keypoints import CATEGORIES, INDEX, KEYPOINTS, NORMALISER

READ_AHEAD = 256
"""Photos that are read and checked before somebody asks for them: at most this many are in memory."""
_FORMATS = ("JPEG", "MPO", "PNG")
"""MPO is a JPEG with further pictures behind it, as phones take them: depth, motion, the same in other light."""

Splits = Mapping[str, Sequence[Annotation]]
"""Annotations by `train` and `eval`."""


@dataclass(frozen=True)
class Photo:
    """A photo that can be used: its file as it is on disk, or written anew where the graph would see it otherwise."""

    annotation: Annotation
    encoded: bytes
    width: int
    height: int


def check_all(annotations: Iterable[Annotation]) -> Iterator[Photo | Refusal]:
    """In order, decoding on all cores: the decoders let go of the interpreter's lock.

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
    """Reads and decodes the photo, turns it upright, and sees that its points are inside."""
    try:
        encoded = _as_seen(annotation.image.read_bytes())
        # What the graph cannot read is of no use, whatever Pillow makes of it.
        height, width, _ = decode(encoded).shape
    except FileNotFoundError:
        return Refusal(annotation.source, f"{annotation.image}: no such file")
    except tf.errors.OpError as error:
        reason = re.sub(r"^\{\{.*?\}\} | \[Op:.*", "", error.message.splitlines()[0])
        return Refusal(annotation.source, f"{annotation.image}: cannot be used: {reason}")
    except UnidentifiedImageError:  # which says where in memory the file is
        return Refusal(annotation.source, f"{annotation.image}: cannot be used: it is not a picture")
    except Exception as error:  # Pillow raises nearly anything on a damaged file: struct.error, TypeError, SyntaxError
        return Refusal(annotation.source, f"{annotation.image}: cannot be used: {error}")
    for name, (x, y), v in zip(KEYPOINTS, annotation.points, annotation.v):
        if v >= 0 and not (0 <= x <= width and 0 <= y <= height):
            return Refusal(annotation.source, f"{name} at ({x:g}, {y:g}) lies outside of the {width}x{height} picture")
    return Photo(annotation, encoded, width, height)


def _as_seen(encoded: bytes) -> bytes:
    """The file, or a JPEG of the pixels that the client would send for it where the graph's decoder sees others.

    That decoder leaves a photo lying on its side, and makes black or anything else of what is transparent.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(encoded)) as image:  # reads the header only
            if image.format not in _FORMATS:
                raise ValueError(f"it is {image.format}; expected JPEG or PNG")
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"it has {image.width}x{image.height} pixels; at most {MAX_PIXELS} are accepted")
            lying = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            if not (lying or image.has_transparency_data):
                return encoded
    buffer = io.BytesIO()
    upright(encoded).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def refuse_too_little(folder: Path, annotated: Splits, usable: Splits, refusals: Sequence[Refusal]) -> None:
    """Raises DataError where photos that can be used are too few to train, to evaluate, or to measure NE.

    Also for a category that rows name but no training photo shows: the model could only guess there.
    """
    reasons = "".join(f"\n  {refusal}" for refusal in refusals[:5])
    rows = sum(map(len, annotated.values()))
    for split, purpose in (("train", "train on"), ("eval", "evaluate on")):
        if annotated[split] and not usable[split]:
            raise DataError(f"{folder}: none of {len(annotated[split])} photo(s) to {purpose} can be used.{reasons}")
        if not annotated[split]:
            raise DataError(
                f"{folder}: no photo to {purpose}, of {rows} row(s) that can be read. About one photo in ten is held "
                f"out for evaluation: add photos, or put some in val/ and the others in train/.{reasons}"
            )
    for category in CATEGORIES:
        named = {each.source for rows in annotated.values() for each in rows if each.category == category}
        if named and all(each.category != category for each in usable["train"]):
            refused = [refusal for refusal in refusals if refusal.source in named]
            first = f" (the first: {refused[0]})" if refused else ""
            raise DataError(
                f"{folder}: {len(named)} row(s) name the category {category}, but none of its photos is left to train "
                f"on: {len(refused)} refused{first}, {len(named) - len(refused)} in the evaluation split. "
                f"Add or mend photos of it, or take its rows out."
            )
    if not any(_measurable(each) for each in usable["eval"]):
        ends = {each.category: " and ".join(NORMALISER[each.category]) for each in usable["eval"]}
        raise DataError(
            f"{folder}: NE cannot be measured. It is how far visible points are off, divided by the distance between "
            f"two points. No photo of the evaluation split has a visible point and both of these, apart from each "
            f"other: {'; '.join(f'{name}: {pair}' for name, pair in ends.items())}. Annotate them."
        )


def _measurable(annotation: Annotation) -> bool:
    first, second = (INDEX[name] for name in NORMALISER[annotation.category])
    apart = annotation.points[first] != annotation.points[second]
    return apart and min(annotation.v[first], annotation.v[second]) >= 0 and max(annotation.v) > 0
