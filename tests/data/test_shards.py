"""Shards are made one by one, by anyone, in any order: the data set is the same."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.console import OnProgress
from pipeline.data import parts, records, shards
from pipeline.data.parts import P, R, Work, unseen
from pipeline.data.sources import read_folder


def silent(done: int, total: int, note: str = "") -> None:
    """No progress is shown."""


def elsewhere(work: Work[P, R], parts: Sequence[P], on_progress: OnProgress) -> list[R]:
    """Another order, other processes' copies of everything, each third part done twice, and a file of one who died."""
    done: dict[int, R] = {}
    for place in random.Random(1).sample(range(len(parts)), len(parts)):
        for _ in range(1 + (place % 3 == 0)):
            copied, part = pickle.loads(pickle.dumps((work, parts[place])))
            done[place] = pickle.loads(pickle.dumps(copied(part, unseen)))
    (copied.keywords["folder"] / ".train-00000-of-00004.tfrecord-x").write_bytes(b"half")
    return [done[place] for place in range(len(parts))]


def test_whoever_writes_the_shards_the_set_is_the_same(
    garments_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte, with its index; what a process left that died is not in it."""
    monkeypatch.setattr(shards, "PHOTOS", 5)
    here, there = (
        records.prepare(garments_folder, tmp_path / engine.__name__, silent, engine=engine)
        for engine in (parts.here, elsewhere)
    )
    assert there.fingerprint == here.fingerprint
    files = [{path.name: path.read_bytes() for path in each.folder.iterdir()} for each in (here, there)]
    assert files[0] == files[1]


def test_there_are_as_many_shards_as_photos_need(garments_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least four of each split, no row in two of them or in none, and read in turn they are in the rows' order."""
    annotated = read_folder(garments_folder)
    assert [len(shards.plan(annotated)), {rows.of for rows in shards.plan(annotated)}] == [8, {4}]
    monkeypatch.setattr(shards, "PHOTOS", 5)
    for split, rows in annotated.splits.items():
        plan = [each for each in shards.plan(annotated) if each.split == split]
        assert len(plan) == max(4, -(-len(rows) // 5))
        assert max(map(len, plan)) <= 5
        assert [plan[place % len(plan)].annotations[place // len(plan)] for place in range(len(rows))] == rows


def test_a_set_of_before_keeps_its_fingerprint(garments_folder: Path, tmp_path: Path) -> None:
    """By which its runs are known: they go on. Made anew from the same photos it has the one of today."""
    made = records.prepare(garments_folder, tmp_path / "set", silent)
    index = made.folder / "dataset.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "fingerprint": "of before"}))
    assert records.prepare(garments_folder, tmp_path / "set", silent).fingerprint == "of before"
    assert records.prepare(garments_folder, tmp_path / "anew", silent).fingerprint == made.fingerprint


def test_any_change_of_a_record_changes_the_fingerprint(garments_folder: Path, tmp_path: Path) -> None:
    """Also that two records have changed places, or are in another split."""
    (rows, *_) = shards.plan(read_folder(garments_folder))
    keypoints = read_folder(garments_folder).keypoints
    found = set()
    for number, changed in enumerate(
        (rows.annotations, rows.annotations[::-1], rows.annotations[:-1], [*rows.annotations, rows.annotations[0]])
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        for split in ("train", "eval"):
            part = shards.Rows(split, 0, 4, changed)
            shard = shards.write(part, unseen, folder=folder, keypoints=keypoints)
            found.add(shards.fingerprint(keypoints, [shard]))
            assert len(list(tf.data.TFRecordDataset(str(folder / shard.name)))) == len(changed) == len(shard.used)
    assert len(found) == 8
