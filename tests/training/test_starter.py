"""The weights that ship with Seamline fit the default network, are small, and as good as their card says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.network import KeypointNetwork, NetworkConfig
from model.predictions import EVIDENCE, predict
from pipeline.data.input_fn import LABELS
from pipeline.data.photos import Photos, batches
from pipeline.data.prepare import prepare
from pipeline.evaluation import calibration
from pipeline.evaluation.answers import Answers
from pipeline.evaluation.baseline import mean_position_ne
from pipeline.evaluation.scores import score
from pipeline.training.presets import STARTER, demo, photos
from pipeline.training.runs import Run
from pipeline.training.train import train
from pipeline.training.weights import STARTER_FILE, load, save
from seamline_client.contract import PRED_V
from seamline_client.keypoints import GARMENTS
from tests.homes import ROOT, TinyRun

v1 = tf.compat.v1
CARD = STARTER_FILE.with_name("README.md")


def answers_of(init: str, folder: Path, split: str) -> Answers:
    """On the photos of a folder. Every variable of the network must have its array, and no other."""
    weights = load(init).arrays
    photos = Photos(folder, split)
    given = list(batches(photos.annotations, photos.keypoints, photos.refusals.append))
    with tf.Graph().as_default(), v1.Session() as session:
        pictures = v1.placeholder(tf.float32, (None, 384, 384, 3))
        network = KeypointNetwork(NetworkConfig(), len(GARMENTS))
        heads = network(pictures, training=False)
        predicted = predict(heads, GARMENTS)
        answers = [heads.xy, predicted[PRED_V.name], predicted[EVIDENCE]]
        assert {variable.op.name for variable in network.variables} == weights.keys()
        for variable in network.variables:
            variable.load(weights[variable.op.name], session)
        answered = [session.run(answers, {pictures: images}) for images, _ in given]
    truth = {name: np.concatenate([labels[name] for _, labels in given]) for name in LABELS}
    xy, v, evidence = map(np.concatenate, zip(*answered))
    return Answers(xy, v, evidence, truth)


def ne_of(init: str, folder: Path, split: str) -> float:
    answers = answers_of(init, folder, split)
    ne = score([(answers.xy, answers.v, answers.truth)], GARMENTS).overall.ne
    assert ne is not None
    return ne


def test_the_starter_fits_the_default_network_and_knows_garments(tiny_run: TinyRun) -> None:
    """Presets that start from it have the default network; the file is below 4 MB, NE a fraction of the baseline's."""
    for preset in (demo(), photos()):
        assert preset.init == STARTER
        assert preset.model.network == NetworkConfig()
    assert STARTER_FILE.stat().st_size < 4_000_000
    assert ne_of(STARTER, tiny_run.photos, "val") < mean_position_ne(tiny_run.dataset) / 3


@pytest.mark.slow
def test_the_starter_scores_what_its_card_says(real_photos: Path) -> None:
    """NE on real photos that were not trained on, to a tenth of a percent."""
    (told,) = re.findall(r"^\| NE there \| ([\d.]+) %", CARD.read_text(), re.M)
    assert ne_of(STARTER, real_photos, "val") == pytest.approx(float(told), abs=0.1)


def test_pages_say_of_the_starter_what_its_card_says() -> None:
    """The README, and the table of what presets reach: its NE on val."""
    (told,) = re.findall(r"^\| NE there \| ([\d.]+) %", CARD.read_text(), re.M)
    assert re.findall(r"points\s+are\s+off\s+by\s+([\d.]+) %", (ROOT / "README.md").read_text()) == [told]
    row = r"^\| `photos` \| \[?the starter.*? \| 0 of .*? \| ([\d.]+) % \|"
    assert re.findall(row, (ROOT / "docs" / "training.md").read_text(), re.M) == [told]


@pytest.mark.slow
def test_the_starters_scores_can_be_believed(real_photos: Path) -> None:
    """Calibrated on 44 photos that it was not trained on, their ECE is at most 0.06 on 51 others, which are easier.

    With so few points true scores would have 0.035 by chance.
    """
    constants, _ = calibration.calibrate(answers_of(STARTER, real_photos / "train", "val"), GARMENTS)
    evidence, right, said = calibration.measured(answers_of(STARTER, real_photos, "val"), GARMENTS)
    ece = calibration.reliability(calibration.score(evidence, constants)[said], right[said], len(right)).ece
    assert ece is not None
    assert ece <= 0.06


@pytest.mark.slow
def test_training_on_drawn_garments_forgets_no_photos(real_photos: Path, tmp_path: Path) -> None:
    """What `make train` makes of the starter without data is better on drawn garments and no worse on photos.

    All steps of the preset, on a fifth of its garments.
    """
    preset = replace(demo(), drawn=240)
    run = Run(tmp_path / "run", prepare(None, tmp_path / "data", drawn=preset.drawn), preset)
    best = train(run)
    assert best.step == preset.steps
    save(best, GARMENTS, tmp_path / "weights.npz")
    before, after = (ne_of(init, real_photos, "val") for init in (STARTER, str(tmp_path / "weights.npz")))
    assert after <= before + 0.1
