"""Checked annotations to sharded TFRecords, and back.

    <folder>/dataset.json, <folder>/{train,eval}-00000-of-00004.tfrecord

A record keeps the photo's own bytes. A data set is written beside its place and renamed into it, so it is whole or
absent; `dataset.json` says what it was made from, so that it is made again only when the source has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import tensorflow as tf

from pipeline.console import OnProgress
from pipeline.data.annotations import Annotated, Annotation, Refusal, is_mixed
from pipeline.data.checks import Photo, check_all, refuse_too_little
from pipeline.data.folders import new_folder
from pipeline.data.mirroring import check_sides
from pipeline.data.sources import read_folder
from pipeline.data.split import EVAL_PERCENT
from pipeline.errors import DataError
from seamline_client import keypoints as sets
from seamline_client.keypoints import KeypointSet

FORMAT = 4
"""Part of the stamp: a change of what a record holds, or of what is let in, makes data sets anew."""
SHARDS = 4


@dataclass(frozen=True)
class Dataset:
    """A data set on disk. `categories` counts the photos of each split by category."""

    folder: Path
    keypoints: KeypointSet
    fingerprint: str
    """SHA-256 of all that the records hold: the same photos and annotations have the same fingerprint anywhere."""
    stamp: str
    """Changes when the source folder does; cheap to compute."""
    categories: dict[str, dict[str, int]]
    refusals: tuple[Refusal, ...]
    sizes: dict[str, int]
    """Bytes of each shard, by its name: one that is cut short between two records reads like a whole one."""
    notes: tuple[str, ...] = ()
    """Sentences for people: what was passed over, cut out or guessed, and what may be wrong with left and right."""

    def count(self, split: str) -> int:
        return sum(self.categories[split].values())

    @property
    def missing(self) -> tuple[str, ...]:
        """Categories without a photo. (If rows name one that has no photo to train on, no data set is written.)"""
        return tuple(name for name in self.keypoints.category_names if name not in self.categories["train"])

    def shards(self, split: str) -> list[str]:
        return [str(path) for path in sorted(self.folder.glob(f"{split}-*.tfrecord"))]

    def parse(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """A scalar serialised record -> `image` and `image_id` strings, and the labels of `model.metrics.Labels`."""
        count = len(self.keypoints)
        features = {
            "image": tf.io.FixedLenFeature([], tf.string),
            "image_id": tf.io.FixedLenFeature([], tf.string),
            "category": tf.io.FixedLenFeature([], tf.int64),
            "size": tf.io.FixedLenFeature([2], tf.float32),
            "box": tf.io.FixedLenFeature([2], tf.float32),
            "area": tf.io.FixedLenFeature([], tf.float32),
            "xy": tf.io.FixedLenFeature([count, 2], tf.float32),
            "v": tf.io.FixedLenFeature([count], tf.int64),
        }
        parsed: dict[str, tf.Tensor] = tf.io.parse_single_example(record, features)
        return parsed


def prepare(source: Path, folder: Path, on_progress: OnProgress, *, strict: bool = False) -> Dataset:
    """The data set in `folder`, written from the photos in `source` unless it is there already.

    With `strict` a refused row or photo is an error, and so is a category without photos. Raises DataError where
    `checks.refuse_too_little` does.
    """
    annotated = read_folder(source)
    stamp = _stamp(annotated)
    made = _is_made(folder, stamp)
    dataset = load(folder) if made else _write(source, folder, annotated, stamp, on_progress)
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
        keypoints = sets.read(raw.pop("keypoints"))
        notes = tuple(raw.pop("notes"))
        dataset = Dataset(folder=folder, keypoints=keypoints, refusals=refusals, notes=notes, **raw)
        for name, size in dataset.sizes.items():
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{name} has {(folder / name).stat().st_size} bytes, {size} were written")
        return dataset
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{folder / 'dataset.json'}: damaged ({error}). Delete {folder} to have it made again."
        ) from error


def _is_made(folder: Path, stamp: str) -> bool:
    """Whether the data set there is of this source, or damaged. One of another format need not be understood."""
    try:
        return bool(json.loads((folder / "dataset.json").read_text())["stamp"] == stamp)
    except FileNotFoundError:
        return False
    except (OSError, ValueError, TypeError, KeyError):
        return True  # which `load` reports


@contextmanager
def reading(*datasets: Dataset | None) -> Iterator[None]:
    """Inside, a record that cannot be read raises DataError with these folders; TensorFlow does not say which it is."""
    try:
        yield
    except tf.errors.DataLossError as error:
        raise DataError(
            f"{' or '.join(str(each.folder) for each in datasets if each)}: a record is damaged "
            f"({error.message.splitlines()[0]}). Delete the folder to have it made again."
        ) from error


def _stamp(annotated: Annotated) -> str:
    """Changes with all that is read: the rows and the photos that they name, wherever those are or links lead to."""
    made_by = f"{FORMAT} {SHARDS} {EVAL_PERCENT} {annotated.keypoints} {annotated.refusals}"
    digest = hashlib.sha256(made_by.encode())
    for split, rows in annotated.splits.items():
        for row in rows:
            try:
                stat = row.image.stat()
                file = f"{stat.st_size} {stat.st_mtime_ns}"
            except (OSError, ValueError):  # refused where it is read
                file = "-"
            shape = f"{row.points} {row.v} {row.box} {row.area} {row.size} {row.crop}"
            digest.update(f"{split} {row.image_id} {row.category} {shape} {file}\n".encode())
    return digest.hexdigest()


def _write(source: Path, folder: Path, annotated: Annotated, stamp: str, on_progress: OnProgress) -> Dataset:
    with new_folder(folder, replace=True) as partial:
        keypoints, refusals = annotated.keypoints, annotated.refusals
        digest = hashlib.sha256(repr(keypoints).encode())
        usable: dict[str, list[Annotation]] = {split: [] for split in annotated.splits}
        total, done = sum(map(len, annotated.splits.values())), 0
        for split, rows in annotated.splits.items():
            with ExitStack() as stack:
                names = [f"{split}-{shard:05d}-of-{SHARDS:05d}.tfrecord" for shard in range(SHARDS)]
                writers = [stack.enter_context(tf.io.TFRecordWriter(str(partial / name))) for name in names]
                for checked in check_all(rows, keypoints):
                    done += 1
                    on_progress(done, total)
                    if isinstance(checked, Refusal):
                        refusals.append(checked)
                        continue
                    record = _serialise(checked, keypoints)
                    digest.update(split.encode() + record)
                    writers[len(usable[split]) % SHARDS].write(record)
                    usable[split].append(checked.annotation)
        refuse_too_little(source, annotated, usable)
        categories = {split: dict(sorted(Counter(each.category for each in usable[split]).items())) for split in usable}
        sizes = {path.name: path.stat().st_size for path in sorted(partial.iterdir())}
        notes = [*annotated.notes, *check_sides(source, usable["train"], keypoints)]
        mixed = sum(is_mixed(each.category, each.v, keypoints) for split in usable.values() for each in split)
        if mixed:
            found = keypoints.counted(mixed)
            notes.append(f"with points that nothing of their category has, and trained on as they are: {found}.")
        dataset = Dataset(
            folder, keypoints, digest.hexdigest(), stamp, categories, tuple(refusals), sizes, tuple(notes)
        )
        raw = {**asdict(dataset), "keypoints": keypoints.as_json()}
        del raw["folder"]
        (partial / "dataset.json").write_text(json.dumps(raw, indent=1))
    return dataset


def _serialise(photo: Photo, keypoints: KeypointSet) -> bytes:
    annotation = photo.annotation
    ratios = [ratio for x, y in annotation.points for ratio in (x / photo.width, y / photo.height)]
    example = tf.train.Example()
    features = example.features.feature
    features["image"].bytes_list.value.append(photo.encoded)
    features["image_id"].bytes_list.value.append(annotation.image_id.encode())
    features["category"].int64_list.value.append(keypoints.category_names.index(annotation.category))
    features["size"].float_list.value.extend([photo.width, photo.height])
    features["box"].float_list.value.extend(annotation.box)
    features["area"].float_list.value.append(annotation.area)
    features["xy"].float_list.value.extend(ratios)
    features["v"].int64_list.value.extend(v + 1 for v in annotation.v)
    return bytes(example.SerializeToString(deterministic=True))
