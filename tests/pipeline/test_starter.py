"""The weights that ship with Seamline are those of the default network, small, and as good as their card says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tensorflow as tf

from model.model_fn import predict
from model.network import KeypointNetwork
from pipeline.data.photos import Photos
from pipeline.evaluation.scores import score
from pipeline.training.presets import STARTER, demo, photos
from pipeline.training.weights import STARTER_FILE, load
from seamline_client.contract import PRED_V

v1 = tf.compat.v1
CARD = STARTER_FILE.with_name("README.md")


def test_the_starter_is_of_the_default_network() -> None:
    """Every variable has its array, in the presets that begin with it; the file stays below 4 MB."""
    for preset in (demo(), photos()):
        assert preset.init == STARTER
        with tf.Graph().as_default():
            network = KeypointNetwork(preset.model.network)
            network(v1.placeholder(tf.float32, (None, 384, 384, 3)), training=False)
            shapes = {variable.op.name: tuple(variable.shape) for variable in network.variables}
        assert {name: array.shape for name, array in load(STARTER).items()} == shapes
    assert STARTER_FILE.stat().st_size < 4_000_000


def test_the_starter_scores_what_its_card_says(real_photos: Path) -> None:
    """NE on real photos that were not trained on, to a tenth of a percent."""
    weights = load(STARTER)
    val = list(Photos(real_photos, "val").batches(lambda done, total, note="": None))
    with tf.Graph().as_default(), v1.Session() as session:
        pictures = v1.placeholder(tf.float32, (None, 384, 384, 3))
        network = KeypointNetwork(photos().model.network)
        heads = network(pictures, training=False)
        answers = [heads.xy, predict(heads)[PRED_V.name]]
        for variable in network.variables:
            variable.load(weights[variable.op.name], session)
        answered = [session.run(answers, {pictures: images}) for images, _ in val]
    found = score((xy, v, labels) for (xy, v), (_, labels) in zip(answered, val))
    (told,) = re.findall(r"^\| NE there \| ([\d.]+) %", CARD.read_text(), re.M)
    assert found.overall.ne == pytest.approx(float(told), abs=0.1)
