"""Which annotated photos can be used, and whether those that can are enough to train on."""

from __future__ import annotations

import io
import math
import os
import re
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import tensorflow as tf
from PIL import ExifTags, Image, UnidentifiedImageError

from model.receivers import decode
from pipeline.data.annotations import Annotated, Annotation, Box, Refusal, reasons
from pipeline.errors import DataError
from seamline_client.contract import MAX_PIXELS
from seamline_client.images import upright
from seamline_client.keypoints import KeypointSet

READ_AHEAD = 256
"""Photos that are read and checked before somebody asks for them: at most this many are in memory."""
_FORMATS = ("JPEG", "MPO", "PNG")
"""What the graph reads. MPO is a JPEG with others behind it, as phones take them: depth, motion, other light."""


@dataclass(frozen=True)
class Photo:
    """A photo that can be used: its file as it is on disk, or written anew where the graph would see it otherwise.

    Of a crop, which is a picture of its own, with the points moved along.
    """

    annotation: Annotation
    encoded: bytes
    width: int
    height: int


def check_all(annotations: Iterable[Annotation], keypoints: KeypointSet) -> Iterator[Photo | Refusal]:
    """In order, decoding on all `cores`: the decoders let go of the interpreter's lock.

    Only so many are read ahead: where reading is faster than what follows, a large folder would end up in memory.
    """
    waiting: deque[Future[Photo | Refusal]] = deque()
    with ThreadPoolExecutor(cores()) as pool:
        for annotation in annotations:
            waiting.append(pool.submit(_check, annotation, keypoints.keypoints))
            if len(waiting) >= READ_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def cores() -> int | None:
    """How many threads may decode. Engines that run several processes on a machine say so by OMP_NUM_THREADS."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and said != "0" else os.cpu_count()


def _check(annotation: Annotation, names: Sequence[str]) -> Photo | Refusal:
    """Reads and decodes the photo, turns it upright, sees that its points are inside, and cuts out its crop."""

    def refusal(reason: str) -> Refusal:
        return Refusal(annotation.source, reason)

    try:
        encoded, whole, (left, top) = _as_seen(annotation.image.read_bytes(), annotation.crop)
        # What the graph cannot read is of no use, whatever Pillow makes of it.
        height, width, _ = decode(encoded).shape
    except FileNotFoundError:
        return refusal(f"{annotation.image}: no such file")
    except tf.errors.OpError as error:
        reason = re.sub(r"^\{\{.*?\}\} | \[Op:.*", "", error.message.splitlines()[0])
        return refusal(f"{annotation.image}: cannot be used: {reason}")
    except UnidentifiedImageError:  # which says where in memory the file is
        return refusal(f"{annotation.image}: cannot be used: it is not a picture")
    except Exception as error:  # Pillow raises nearly anything on a damaged file: struct.error, TypeError, SyntaxError
        return refusal(f"{annotation.image}: cannot be used: {error}")
    picture = "x".join(map(str, whole))
    if annotation.size not in (None, whole):
        annotated = "x".join(f"{side:.9g}" for side in annotation.size)
        return refusal(f"{annotation.image}: it has {picture} pixels, but was annotated at {annotated}")
    for name, (x, y), v in zip(names, annotation.points, annotation.v):
        if v >= 0 and not (0 <= x <= whole[0] and 0 <= y <= whole[1]):
            return refusal(f"{name} at ({x:g}, {y:g}) lies outside of the {picture} picture")
    if left or top:
        moved = [(x - left, y - top) if v >= 0 else (x, y) for (x, y), v in zip(annotation.points, annotation.v)]
        annotation = replace(annotation, points=tuple(moved))
    return Photo(annotation, encoded, width, height)


def _as_seen(encoded: bytes, crop: Box | None) -> tuple[bytes, tuple[int, int], tuple[int, int]]:
    """The file, or a new one of the pixels that the client would send for it where the graph's decoder sees others.

    That decoder leaves a photo lying on its side, and makes black or anything else of what is transparent. A `crop` is
    cut out. Also the size of the whole photo as people see it, and which of its pixels is the first one here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(encoded)) as image:  # reads the header only
            kind = image.format
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"it has {image.width}x{image.height} pixels; at most {MAX_PIXELS} are accepted")
            lying = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            if kind in _FORMATS and not (crop or lying or image.has_transparency_data):
                return encoded, image.size, (0, 0)
    picture = upright(encoded)
    left, top, right, bottom = _pixels(crop, picture.size) if crop else (0, 0, *picture.size)
    buffer = io.BytesIO()
    part = picture.crop((left, top, right, bottom))
    part.save(buffer, "PNG" if kind == "PNG" else "JPEG", quality=95)
    return buffer.getvalue(), picture.size, (left, top)


def _pixels(crop: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Those of the picture that a crop touches, and at least one: all points of a thing may lie on one line."""
    left, top = (min(max(0, math.floor(low)), side - 1) for low, side in zip(crop[:2], size))
    right, bottom = (math.ceil(high) for high in crop[2:])
    return left, top, min(max(left + 1, right), size[0]), min(max(top + 1, bottom), size[1])


def refuse_too_little(folder: Path, annotated: Annotated, usable: Mapping[str, Sequence[Annotation]]) -> None:
    """Raises DataError where photos that can be used are too few to train, to evaluate, or to measure NE.

    Also for a category that rows name but no training photo shows: the model could only guess there.
    """
    keypoints, splits, refusals = annotated.keypoints, annotated.splits, annotated.refusals
    why = reasons(refusals)
    rows = sum(map(len, splits.values()))
    for split, purpose in (("train", "train on"), ("eval", "evaluate on")):
        if splits[split] and not usable[split]:
            raise DataError(f"{folder}: none of {len(splits[split])} photo(s) to {purpose} can be used.{why}")
        if not splits[split]:
            raise DataError(
                f"{folder}: no photo to {purpose}, of {rows} row(s) that can be read. About one photo in ten is held "
                f"out for evaluation: add photos, or put some in val/ and the others in train/.{why}"
            )
    for category in keypoints.category_names:
        named = {each.source for rows in splits.values() for each in rows if each.category == category}
        if named and all(each.category != category for each in usable["train"]):
            refused = [refusal for refusal in refusals if refusal.source in named]
            first = f" (the first: {refused[0]})" if refused else ""
            raise DataError(
                f"{folder}: {len(named)} row(s) name the category {category}, but none of its photos is left to train "
                f"on: {len(refused)} refused{first}, {len(named) - len(refused)} in the evaluation split. "
                f"Add or mend photos of it, or take its rows out."
            )
    ends = {each.name: each.normaliser for each in keypoints.categories}

    def measurable(annotation: Annotation) -> bool:
        pair = ends[annotation.category]
        if pair is None:
            return max(annotation.box) > 0 and max(annotation.v) > 0
        first, second = (keypoints.index[name] for name in pair)
        apart = annotation.points[first] != annotation.points[second]
        return apart and min(annotation.v[first], annotation.v[second]) >= 0 and max(annotation.v) > 0

    if not any(map(measurable, usable["eval"])):
        pairs = {each.category: " and ".join(ends[each.category] or ()) or "its box" for each in usable["eval"]}
        raise DataError(
            f"{folder}: NE cannot be measured. No photo of the evaluation split has a visible point and what errors "
            f"are divided by: {'; '.join(f'{name}: {pair}' for name, pair in pairs.items())}. Label these."
        )
