"""Checked annotations to sharded TFRecords, and back.

    <folder>/dataset.json, <folder>/{train,eval}-00000-of-00004.tfrecord

A record keeps the photo's own bytes. A data set is written beside its place and renamed into it, so it is whole or
absent; `dataset.json` says what it was made from, so that it is made again only when the source has changed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import tensorflow as tf
from PIL import Image, ImageOps

from model.keypoints import CATEGORIES, KEYPOINTS
from model.receivers import MAX_PIXELS
from pipeline.console import OnProgress
from pipeline.dataset.annotations import CROP, Annotation, Refusal, Source, find_sources, read
from pipeline.errors import DataError

FORMAT = 1
"""Part of the stamp: a change of what a record holds makes data sets anew."""
SHARDS = 4
EVAL_PERCENT = 10
_ORIENTATION = 0x0112
_UPRIGHT = 1


@dataclass(frozen=True)
class Dataset:
    """A data set on disk. `categories` counts the photos of each split by category."""

    folder: Path
    fingerprint: str
    """SHA-256 of all that the records hold: the same photos and annotations have the same fingerprint anywhere."""
    stamp: str
    """Changes when the source folder does; cheap to compute."""
    categories: dict[str, dict[str, int]]
    refusals: tuple[Refusal, ...]

    def count(self, split: str) -> int:
        return sum(self.categories[split].values())

    def shards(self, split: str) -> list[str]:
        return [str(path) for path in sorted(self.folder.glob(f"{split}-*.tfrecord"))]


@dataclass(frozen=True)
class _Photo:
    annotation: Annotation
    encoded: bytes
    width: int
    height: int


def prepare(source: Path, folder: Path, on_progress: OnProgress, *, strict: bool = False) -> Dataset:
    """The data set in `folder`, written from the photos in `source` unless it is there already.

    With `strict` a refused row or photo is an error. Raises DataError when nothing is left to train or evaluate on.
    """
    sources = find_sources(source)
    stamp = _stamp(sources)
    existing = load(folder) if (folder / "dataset.json").is_file() else None
    current = existing and existing.stamp == stamp
    dataset = existing if existing and current else _write(sources, folder, stamp, on_progress)
    if strict and dataset.refusals:
        raise DataError("Refused, and --strict was asked for:\n" + "\n".join(map(str, dataset.refusals)))
    return dataset


def load(folder: Path) -> Dataset:
    """A data set that was written before. Raises DataError when it is damaged."""
    try:
        raw = json.loads((folder / "dataset.json").read_text())
        refusals = tuple(Refusal(**refusal) for refusal in raw.pop("refusals"))
        return Dataset(folder=folder, refusals=refusals, **raw)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{folder / 'dataset.json'}: damaged ({error}). Delete {folder} to have it made again."
        ) from error


def split_of(image_id: str) -> str:
    """`train` or `eval`, by the image's name alone: the same photo is always on the same side, and so are its crops."""
    crop = re.fullmatch(rf"(?:.*/)?(.+){CROP}\d+\.\w+", image_id)
    photo = crop[1] if crop else image_id
    return "eval" if int(hashlib.sha256(photo.encode()).hexdigest(), 16) % 100 < EVAL_PERCENT else "train"


def _stamp(sources: list[Source]) -> str:
    digest = hashlib.sha256(f"{FORMAT} {SHARDS} {EVAL_PERCENT}".encode())
    for source in sources:
        for path in source.csvs:
            digest.update(f"{source.split} {path.name} ".encode() + path.read_bytes())
        for path in sorted((source.folder / "Images").rglob("*")):
            stat = path.stat()
            digest.update(f"{path.relative_to(source.folder)} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def _write(sources: list[Source], folder: Path, stamp: str, on_progress: OnProgress) -> Dataset:
    annotations: dict[str, list[Annotation]] = {"train": [], "eval": []}
    refusals: list[Refusal] = []
    for source in sources:
        found, refused = read(source)
        refusals += refused
        for annotation in found:
            annotations[source.split or split_of(annotation.image_id)].append(annotation)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        digest = hashlib.sha256()
        categories: dict[str, dict[str, int]] = {}
        total = sum(map(len, annotations.values()))
        done = 0
        for split, rows in annotations.items():
            counts: Counter[str] = Counter()
            writers = [tf.io.TFRecordWriter(str(partial / _shard(split, shard))) for shard in range(SHARDS)]
            for checked in _check_all(rows):
                done += 1
                on_progress(done, total)
                if isinstance(checked, Refusal):
                    refusals.append(checked)
                    continue
                record = _serialise(checked)
                digest.update(split.encode() + record)
                writers[sum(counts.values()) % SHARDS].write(record)
                counts[checked.annotation.category] += 1
            for writer in writers:
                writer.close()
            categories[split] = dict(sorted(counts.items()))
            if not counts:
                reasons = "".join(f"\n  {refusal}" for refusal in refusals[:5])
                raise DataError(
                    f"{sources[0].folder}: no photo for {split} in {len(rows)} rows; add photos or mend these.{reasons}"
                )
        dataset = Dataset(folder, digest.hexdigest(), stamp, categories, tuple(refusals))
        raw = asdict(dataset)
        del raw["folder"]
        (partial / "dataset.json").write_text(json.dumps(raw, indent=1))
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
        return dataset
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _shard(split: str, shard: int) -> str:
    return f"{split}-{shard:05d}-of-{SHARDS:05d}.tfrecord"


def _check_all(annotations: Iterable[Annotation]) -> Iterator[_Photo | Refusal]:
    """In order, decoding on all cores: Pillow lets go of the interpreter's lock while it decodes."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(_check, annotations)


def _check(annotation: Annotation) -> _Photo | Refusal:
    """Reads and decodes the photo, turns it upright, and sees that its points lie inside."""
    try:
        encoded = annotation.image.read_bytes()
        with Image.open(io.BytesIO(encoded)) as image:
            if image.format not in ("JPEG", "PNG"):
                raise ValueError(f"it is {image.format}; expected JPEG or PNG")
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"it has {image.width}x{image.height} pixels; at most {MAX_PIXELS} are accepted")
            image.load()
            if image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
                # TensorFlow's decoder leaves a photo lying on its side: turn the pixels themselves.
                image = ImageOps.exif_transpose(image).convert("RGB")
                buffer = io.BytesIO()
                image.save(buffer, "JPEG", quality=95)
                encoded = buffer.getvalue()
            width, height = image.size
    except FileNotFoundError:
        return Refusal(annotation.source, f"{annotation.image}: no such file")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Refusal(annotation.source, f"{annotation.image}: cannot be used: {error}")
    for name, (x, y), v in zip(KEYPOINTS, annotation.points, annotation.v):
        if v >= 0 and not (0 <= x <= width and 0 <= y <= height):
            return Refusal(annotation.source, f"{name} at ({x:g}, {y:g}) lies outside of the {width}x{height} picture")
    return _Photo(annotation, encoded, width, height)


def _serialise(photo: _Photo) -> bytes:
    annotation = photo.annotation
    features = {
        "image": _bytes(photo.encoded),
        "image_id": _bytes(annotation.image_id.encode()),
        "category": _ints([CATEGORIES.index(annotation.category)]),
        "size": _floats([photo.width, photo.height]),
        "xy": _floats([c for x, y in annotation.points for c in (x / photo.width, y / photo.height)]),
        "v": _ints([v + 1 for v in annotation.v]),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(values: list[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values: list[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
    """A scalar serialised record -> `image` and `image_id` strings, and the labels of `model.metrics.Labels`."""
    k = len(KEYPOINTS)
    example = tf.io.parse_single_example(
        record,
        {
            "image": tf.io.FixedLenFeature([], tf.string),
            "image_id": tf.io.FixedLenFeature([], tf.string),
            "category": tf.io.FixedLenFeature([], tf.int64),
            "size": tf.io.FixedLenFeature([2], tf.float32),
            "xy": tf.io.FixedLenFeature([k * 2], tf.float32),
            "v": tf.io.FixedLenFeature([k], tf.int64),
        },
    )
    return {**example, "xy": tf.reshape(example["xy"], [k, 2])}
