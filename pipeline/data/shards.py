"""The shards of a data set: which rows are in each, and writing one, whole or not at all, on whichever machine.

Nothing here depends on how many write, or on what the others found: a shard is made of its own rows alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import tensorflow as tf

from pipeline.data.annotations import Annotated, Annotation, Refusal
from pipeline.data.checks import Photo, check_all
from pipeline.data.parts import Tick
from seamline_client.keypoints import KeypointSet

LEAST = 4
"""Of each split, so that several can be read at once."""
PHOTOS = 512
"""At most so many are in a shard: some 50 to 250 MB of photos as cameras and shops have them."""


@dataclass(frozen=True)
class Rows:
    """What one shard is to be made of."""

    split: str
    number: int
    of: int
    annotations: Sequence[Annotation]

    def __len__(self) -> int:
        return len(self.annotations)

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}-of-{self.of:05d}.tfrecord"


@dataclass(frozen=True)
class Shard:
    """What was written. The rows that were used and refused are known by their place in the split."""

    split: str
    name: str
    size: int
    digest: str
    """SHA-256 of the records."""
    used: tuple[int, ...]
    refused: tuple[tuple[int, Refusal], ...]


def plan(annotated: Annotated) -> list[Rows]:
    """As many shards as the rows need, each with every so manieth of them."""
    counts = {split: max(LEAST, -(-len(rows) // PHOTOS)) for split, rows in annotated.splits.items()}
    return [
        Rows(split, number, count, annotated.splits[split][number::count])
        for split, count in counts.items()
        for number in range(count)
    ]


def write(rows: Rows, tick: Tick, *, folder: Path, keypoints: KeypointSet) -> Shard:
    """Writes one shard into `folder`: beside its place, then renamed into it."""
    digest = hashlib.sha256()
    used: list[int] = []
    refused: list[tuple[int, Refusal]] = []
    partial = folder / f".{rows.name}-{uuid4().hex}"
    with tf.io.TFRecordWriter(str(partial)) as writer:
        for index, checked in enumerate(check_all(rows.annotations, keypoints)):
            place = rows.number + index * rows.of
            if isinstance(checked, Refusal):
                refused.append((place, checked))
            else:
                record = serialise(checked, keypoints)
                digest.update(len(record).to_bytes(8, "little") + record)
                writer.write(record)
                used.append(place)
            tick()
    size = partial.stat().st_size
    partial.rename(folder / rows.name)
    return Shard(rows.split, rows.name, size, digest.hexdigest(), tuple(used), tuple(refused))


def fingerprint(keypoints: KeypointSet, shards: Iterable[Shard]) -> str:
    """SHA-256 of all that the records hold, from the digests of the shards."""
    lines = (f"{shard.name} {shard.digest}\n" for shard in shards)
    return hashlib.sha256("".join([f"{keypoints!r}\n", *lines]).encode()).hexdigest()


def serialise(photo: Photo, keypoints: KeypointSet) -> bytes:
    """A tf.train.Example, the same bytes everywhere; `Dataset.parse` reads it."""
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
