"""examples/javascript against a server: the points that the Python client finds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from seamline_client import PredictClient
from seamline_client.keypoints import GARMENTS
from tests.client.conftest import Server
from tests.homes import ROOT


@pytest.mark.parametrize("old", [False, True])
def test_javascript(shoes: Server, server: Server, photo: Path, tmp_path: Path, old: bool) -> None:
    """Node gives the points, names and scores that the Python client gives; those of an old version are numbered.

    What is no photo is one line with the server's words.
    """
    if shutil.which("node") is None:
        pytest.skip("no node command (Debian: apt-get install nodejs)")
    there = server if old else shoes
    with PredictClient(there.rest, "rest") as client:
        (expected,) = client.predict(photo)
    (tmp_path / "none.jpg").write_bytes(b"not a photo")
    script = str(ROOT / "examples/javascript/predict.mjs")
    command = ["node", script, str(photo), str(tmp_path / "none.jpg"), str(tmp_path / "missing.jpg")]
    environment = {**os.environ, "SERVER": f"http://{there.rest}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    broken, missing = done.stderr.splitlines()
    assert "none.jpg: " in broken
    assert "Unknown image file format" in broken
    assert "missing.jpg: ENOENT" in missing
    found = json.loads(done.stdout)["keypoints"]
    assert len(found) == len(expected.keypoints)
    for ours, theirs in zip(expected.keypoints, found):
        name = str(GARMENTS.index[ours.name]) if old else ours.name
        assert (theirs["name"], theirs["visibility"]) == (name, ours.visibility)
        place = (theirs["x"] * expected.size[0], theirs["y"] * expected.size[1])
        assert place == pytest.approx((ours.x, ours.y), abs=0.01)
        assert theirs.get("score") == (None if old else pytest.approx(ours.score, abs=1e-6))
