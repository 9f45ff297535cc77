"""Checked annotations to sharded TFRecords, and back.

    <folder>/dataset.json, <folder>/{train,eval}-00000-of-00004.tfrecord, and more shards where there are more photos

A record keeps the photo's own bytes. A data set is written beside its place and renamed into it, so it is whole or
absent, and stays what it is while anybody reads it; `dataset.json` says what it was made from, so that it is made again
only when the source has changed.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import tensorflow as tf

from pipeline.atomic import locked
from pipeline.console import OnProgress
from pipeline.data import shards
from pipeline.data.annotations import Annotated, Annotation, Refusal, is_mixed, refuse_any
from pipeline.data.checks import refuse_too_little
from pipeline.data.folders import new_folder
from pipeline.data.mirroring import check_sides
from pipeline.data.parts import Engine, here
from pipeline.data.sources import read_folder
from pipeline.data.split import EVAL_PERCENT
from pipeline.errors import DataError
from seamline_client import keypoints as sets
from seamline_client.keypoints import KeypointSet

FORMAT = 4
"""Part of the stamp: a change of what a record holds, or of what is let in, makes data sets anew."""


@dataclass(frozen=True)
class Dataset:
    """A data set on disk. `categories` counts the photos of each split by category."""

    folder: Path
    keypoints: KeypointSet
    fingerprint: str
    """Of all that the records hold: the same photos and annotations have the same one, however many wrote them."""
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


def prepare(
    source: Path, folder: Path, on_progress: OnProgress, *, strict: bool = False, engine: Engine = here
) -> Dataset:
    """The data set in `folder`, written from the photos in `source` unless it is there already.

    With `strict` a refused row or photo is an error, and so is a category without photos. Raises DataError where
    `checks.refuse_too_little` does.
    """
    annotated = read_folder(source)
    stamp = _stamp(annotated)
    made = _is_made(folder, stamp)
    dataset = load(folder) if made else _write(source, folder, annotated, stamp, on_progress, engine)
    if strict:
        refuse_any(dataset.refusals)
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
def reading(dataset: Dataset) -> Iterator[None]:
    """Inside, nobody writes other photos into its folder. Raises DataError where somebody does so now or has done so
    since it was loaded, and for a record that cannot be read.
    """
    folder, lock = dataset.folder, _lock_of(dataset.folder)
    busy = DataError(f"{folder}: another command writes this data set anew. Try again when it is done.")
    with locked(lock, busy, shared=True) if lock.is_file() else nullcontext():
        if load(folder).fingerprint != dataset.fingerprint:
            raise DataError(f"{folder}: holds other photos now than a moment ago. Run the same command again.")
        try:
            yield
        except tf.errors.DataLossError as error:
            raise DataError(
                f"{folder}: a record is damaged ({error.message.splitlines()[0]}). Delete the folder to have it made "
                "again."
            ) from error


def _lock_of(folder: Path) -> Path:
    """Shared by those who read the data set, and held alone by who writes it."""
    return folder.with_name(f".{folder.name}.lock")


def _stamp(annotated: Annotated) -> str:
    """Changes with all that is read: the rows and the photos that they name, wherever those are or links lead to."""
    made_by = f"{FORMAT} {shards.LEAST} {EVAL_PERCENT} {annotated.keypoints} {annotated.refusals}"
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


def _write(
    source: Path, folder: Path, annotated: Annotated, stamp: str, on_progress: OnProgress, engine: Engine
) -> Dataset:
    folder.parent.mkdir(parents=True, exist_ok=True)
    busy = DataError(
        f"{folder}: another command reads or writes this data set now, and {source} is to replace it. Wait for it or "
        f"stop it."
    )
    with locked(_lock_of(folder), busy), new_folder(folder, replace=True) as partial:
        keypoints = annotated.keypoints
        work = functools.partial(shards.write, folder=partial, keypoints=keypoints)
        written = engine(work, shards.plan(annotated), on_progress)
        for left in partial.glob(".*"):  # of an engine's worker that ended, whose shard another one wrote
            left.unlink()
        usable: dict[str, list[Annotation]] = {}
        for split, rows in annotated.splits.items():
            of_it = [shard for shard in written if shard.split == split]
            usable[split] = [rows[place] for place in sorted(place for shard in of_it for place in shard.used)]
            refused = sorted((each for shard in of_it for each in shard.refused), key=lambda each: each[0])
            annotated.refusals.extend(refusal for _, refusal in refused)
        refuse_too_little(source, annotated, usable)
        categories = {split: dict(sorted(Counter(each.category for each in usable[split]).items())) for split in usable}
        sizes = dict(sorted((shard.name, shard.size) for shard in written))
        notes = [*annotated.notes, *check_sides(source, usable["train"], keypoints)]
        mixed = sum(is_mixed(each.category, each.v, keypoints) for split in usable.values() for each in split)
        if mixed:
            found = keypoints.counted(mixed)
            notes.append(f"with points that nothing of their category has, and trained on as they are: {found}.")
        fingerprint = shards.fingerprint(keypoints, written)
        dataset = Dataset(
            folder, keypoints, fingerprint, stamp, categories, tuple(annotated.refusals), sizes, tuple(notes)
        )
        raw = {**asdict(dataset), "keypoints": keypoints.as_json()}
        del raw["folder"]
        (partial / "dataset.json").write_text(json.dumps(raw, indent=1))
    return dataset
