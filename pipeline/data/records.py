"""Checked annotations to sharded TFRecords, and back.

    <folder>/dataset.json, <folder>/{train,eval}-00000-of-00004.tfrecord

A record keeps the photo's own bytes. A data set is written beside its place and renamed into it, so it is whole or
absent; `dataset.json` says what it was made from, so that it is made again only when the source has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import tensorflow as tf

from pipeline.console import OnProgress
from pipeline.data.annotations import Annotation, Refusal, Source, find_sources, read
from pipeline.data.checks import Photo, Splits, check_all, refuse_too_little
from pipeline.data.folders import new_folder
from pipeline.data.split import EVAL_PERCENT, split_of
from pipeline.errors import DataError
from seamline_client.keypoints import CATEGORIES, CATEGORY_KEYPOINTS, KEYPOINTS

FORMAT = 2
"""Part of the stamp: a change of what a record holds, or of what is let in, makes data sets anew."""
SHARDS = 4


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
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each shard, by its name: one that is cut short between two records reads like a whole one."""

    def count(self, split: str) -> int:
        return sum(self.categories[split].values())

    @property
    def missing(self) -> tuple[str, ...]:
        """Categories that no photo is of. One that rows name, without a photo to train on, is no data set at all."""
        return tuple(category for category in CATEGORIES if category not in self.categories["train"])

    def shards(self, split: str) -> list[str]:
        return [str(path) for path in sorted(self.folder.glob(f"{split}-*.tfrecord"))]


def prepare(source: Path, folder: Path, on_progress: OnProgress, *, strict: bool = False) -> Dataset:
    """The data set in `folder`, written from the photos in `source` unless it is there already.

    With `strict` a refused row or photo is an error, and so is a category without photos. Raises DataError where
    `checks.refuse_too_little` does.
    """
    sources = find_sources(source)
    annotated: dict[str, list[Annotation]] = {"train": [], "eval": []}
    refusals: list[Refusal] = []
    for each in sources:
        found, refused = read(each)
        refusals += refused
        for annotation in found:
            annotated[each.split or split_of(annotation.image_id)].append(annotation)
    stamp = _stamp(sources, annotated)
    dataset = load(folder) if (folder / "dataset.json").is_file() else None
    if dataset is None or dataset.stamp != stamp:
        dataset = _write(source, folder, annotated, refusals, stamp, on_progress)
    if strict and dataset.refusals:
        raise DataError("Refused, and --strict was asked for:\n" + "\n".join(map(str, dataset.refusals)))
    if strict and dataset.missing:
        raise DataError(f"{source}: no photo of {', '.join(dataset.missing)}, and --strict was asked for")
    return dataset


def load(folder: Path) -> Dataset:
    """A data set that was written before. Raises DataError when it is damaged."""
    try:
        raw = json.loads((folder / "dataset.json").read_text())
        refusals = tuple(Refusal(**refusal) for refusal in raw.pop("refusals"))
        dataset = Dataset(folder=folder, refusals=refusals, **raw)
        for split in dataset.categories:
            if len(dataset.shards(split)) != SHARDS:
                raise ValueError(f"{SHARDS} shards of {split} are expected, {len(dataset.shards(split))} are there")
        for name, size in dataset.sizes.items():
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{name} has {(folder / name).stat().st_size} bytes, {size} were written")
        return dataset
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{folder / 'dataset.json'}: damaged ({error}). Delete {folder} to have it made again."
        ) from error


@contextmanager
def reading(*datasets: Dataset | None) -> Iterator[None]:
    """Within it a record of these that cannot be read raises DataError; TensorFlow does not say of which."""
    try:
        yield
    except tf.errors.DataLossError as error:
        raise DataError(
            f"{' or '.join(str(each.folder) for each in datasets if each)}: a record is damaged "
            f"({error.message.splitlines()[0]}). Delete the folder to have it made again."
        ) from error


def _stamp(sources: list[Source], annotated: Splits) -> str:
    """Of all that is read: the CSVs, and each photo that they name, wherever it is and whatever links lead there."""
    digest = hashlib.sha256(f"{FORMAT} {SHARDS} {EVAL_PERCENT} {CATEGORY_KEYPOINTS}".encode())
    for source in sources:
        for path in source.csvs:
            digest.update(os.fsencode(f"{source.split} {path.name} ") + path.read_bytes())
    for annotation in (each for split in annotated.values() for each in split):
        try:
            stat = annotation.image.stat()
            digest.update(f"{annotation.image_id} {stat.st_size} {stat.st_mtime_ns}".encode())
        except (OSError, ValueError):  # checked, and refused, where it is read
            digest.update(f"{annotation.image_id} -".encode())
    return digest.hexdigest()


def _write(
    source: Path,
    folder: Path,
    annotated: Splits,
    refusals: list[Refusal],
    stamp: str,
    on_progress: OnProgress,
) -> Dataset:
    with new_folder(folder, replace=True) as partial:
        digest = hashlib.sha256()
        usable: dict[str, list[Annotation]] = {split: [] for split in annotated}
        total, done = sum(map(len, annotated.values())), 0
        for split, rows in annotated.items():
            with ExitStack() as stack:
                paths = [str(partial / _shard(split, shard)) for shard in range(SHARDS)]
                writers = [stack.enter_context(tf.io.TFRecordWriter(path)) for path in paths]
                for checked in check_all(rows):
                    done += 1
                    on_progress(done, total)
                    if isinstance(checked, Refusal):
                        refusals.append(checked)
                        continue
                    record = _serialise(checked)
                    digest.update(split.encode() + record)
                    writers[len(usable[split]) % SHARDS].write(record)
                    usable[split].append(checked.annotation)
        refuse_too_little(source, annotated, usable, refusals)
        categories = {split: dict(sorted(Counter(each.category for each in usable[split]).items())) for split in usable}
        sizes = {path.name: path.stat().st_size for path in sorted(partial.iterdir())}
        dataset = Dataset(folder, digest.hexdigest(), stamp, categories, tuple(refusals), sizes)
        raw = asdict(dataset)
        del raw["folder"]
        (partial / "dataset.json").write_text(json.dumps(raw, indent=1))
    return dataset


def _shard(split: str, shard: int) -> str:
    return f"{split}-{shard:05d}-of-{SHARDS:05d}.tfrecord"


def _serialise(photo: Photo) -> bytes:
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
