"""Other things than garments, from a COCO file to answers, without an edit: stick figures with COCO's 17 points."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import requests

from pipeline.data import records
from pipeline.data.augment import Augmentation
from pipeline.data.input_fn import train_input_fn
from pipeline.data.photos import Photos, batches
from pipeline.evaluation.scores import score
from tests import figures
from tests.homes import PREDICT, ROOT, Seamline
from tests.test_docs import fenced


def test_what_is_trained_on_and_measured(tmp_path: Path) -> None:
    """A batch has 17 points; whoever answers the truth has NE 0 and OKS 1, who answers the middle has not."""
    folder = figures.write(tmp_path / "persons", 6, 6)
    dataset = records.prepare(folder, tmp_path / "set", lambda *_: None)
    _, labels = next(iter(train_input_fn(dataset, 4, Augmentation(), 1, 0)()))
    assert labels["xy"].shape == (4, 17, 2)
    photos = Photos(folder, "val")
    truth = [labels for _, labels in batches(photos.annotations, photos.keypoints, photos.refusals.append)]
    right = score([(each["xy"], each["v"], each) for each in truth], photos.keypoints)
    wrong = score([(np.full_like(each["xy"], 0.5), each["v"], each) for each in truth], photos.keypoints)
    assert (right.overall.ne, right.oks, right.photos) == (0, 1, 7)
    assert wrong.oks is not None
    assert wrong.oks < 0.5


@pytest.mark.slow
def test_from_a_coco_file_to_answers(tmp_path: Path) -> None:
    """The first hour as its page has it: messages speak of persons, the card knows them, both ports answer."""
    folder = figures.write(tmp_path / "persons", 24, 6)
    seamline = Seamline(tmp_path / "home")
    try:
        said = seamline.run("bash", "-ec", _first_hour(folder, tmp_path))
        assert list((tmp_path / "drawn").glob("**/*.jpg"))
        assert json.loads((tmp_path / "answers.json").read_text())["annotations"]
        for expected in ("28 persons, evaluating on 7", "cut out of photos that show several: 10 persons", "AVAILABLE"):
            assert expected in said
        assert "garment" not in said
        photo = folder / "val2017" / "000000000000.jpg"
        body = {
            "inputs": {"image_bytes": [{"b64": base64.b64encode(photo.read_bytes()).decode()}]},
            "signature_name": "serving_bytes",
        }
        outputs = requests.post(f"{seamline.url}:predict", json=body, timeout=30).json()["outputs"]
        assert {len(values[0]) for values in outputs.values()} == {17}
        assert str(photo) in seamline.run(*PREDICT, "--json", str(photo))
        card = json.loads((seamline.home / "models/keypoints/1/assets.extra/model_card.json").read_text())
        assert (card["keypoints"]["thing"], card["keypoints"]["keypoints"]) == ("person", figures.NAMES)
        assert 0 <= card["metrics"]["oks"] <= 1
        assert "mean OKS" in seamline.make("evaluate", f"DATA={folder}", "SPLIT=val")
    finally:
        seamline.make("stop")


def _first_hour(folder: Path, scratch: Path) -> str:
    """What the page tells a person to type, with this folder, and trained for less long."""
    script = "".join(fenced(ROOT / "docs/first-hour.md", "sh"))
    assert script.count("\n") == 6
    script = re.sub(r"^make .*", rf"\g<0> RUNTIME=local PYTHON={sys.executable}", script, flags=re.M)
    script = script.replace("STEPS=500", "PRESET=tiny").replace("photos more", f"photos {folder / 'val2017'}")
    script = re.sub(r"(DATA=|IMAGE=)photos", rf"\g<1>{folder}", script)
    return script.replace(" drawn", f" {scratch / 'drawn'}").replace("answers.json", str(scratch / "answers.json"))
