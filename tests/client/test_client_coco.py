"""What `predict.py --coco` writes, the pipeline reads: answers become annotations to correct and to train on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.annotations import find_sources, read
from pipeline.data.convert import convert
from seamline_client.keypoints import CATEGORY_KEYPOINTS
from tests.client.client_support import ROOT, Server


def skirt() -> Image.Image:
    """A picture whose cells are blue where the tiny model is to see a skirt's points, bright and half so."""
    cells = np.zeros((24, 3), np.uint8)
    cells[:, :2] = np.linspace(20, 230, 48).reshape(24, 2)
    cells[list(CATEGORY_KEYPOINTS["skirt"]), 2] = (250, 250, 120, 120)
    return Image.fromarray(cells.reshape(4, 6, 3).repeat(96, 0).repeat(64, 1)).resize((300, 400))


def test_answers_as_coco_become_annotations_with_the_same_points(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`predict.py photos/ --coco`, then `convert`: each photo is there, its points and v as they were answered."""
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.png"):
        skirt().save(tmp_path / "photos" / name)
    command = [sys.executable, str(ROOT / "client" / "predict.py"), "photos", "--coco", "--target", server.grpc]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    (tmp_path / "answers.json").write_text(done.stdout)
    monkeypatch.chdir(tmp_path)
    converted = convert(Path("answers.json"), Path("photos"), Path("out"), {}, lambda *_: None)
    assert (converted.categories, converted.guessed, converted.refusals) == ({"skirt": 2}, 2, ())
    (source,) = find_sources(tmp_path / "out")
    annotations, refusals = read(source)
    assert refusals == []
    for row, answer in zip(annotations, json.loads(done.stdout)["annotations"]):
        triples = np.asarray(answer["keypoints"]).reshape(24, 3)
        there = triples[:, 2] > 0
        assert there.sum() == 4
        np.testing.assert_array_equal(np.asarray(row.v), triples[:, 2].astype(int) - 1)
        np.testing.assert_allclose(np.asarray(row.points)[there], triples[there, :2])
