"""A score is as often right as it says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from model.network import Heads
from model.predictions import EVIDENCE, Served, predict
from pipeline.evaluation.answers import Answers
from pipeline.evaluation.calibration import calibrate, fit, reliability, score
from pipeline.report import reliability as picture
from seamline_client.contract import PRED_SCORE, PRED_V
from seamline_client.keypoints import GARMENTS, numbered

TRUE = (-1.0, 0.5, 1.5)


def drawn(points: int, seed: int = 1) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Evidence, and points that are right as often as constants of TRUE say."""
    random = np.random.default_rng(seed)
    evidence = random.normal(0, 2, (points, 2))
    return evidence, random.random(points) < score(evidence, TRUE)


def test_constants_are_found_again_and_scores_are_as_often_right_as_they_say() -> None:
    """On points that were not seen; the same scores doubled in their log-odds are not."""
    found = fit(*drawn(20_000))
    np.testing.assert_allclose(found, TRUE, rtol=0.1)
    evidence, right = drawn(20_000, seed=2)
    honest = reliability(score(evidence, found), right, 1).ece
    boasting = reliability(score(evidence, tuple(2 * each for each in found)), right, 1).ece  # type: ignore[arg-type]
    assert honest is not None
    assert boasting is not None
    assert honest < 0.01 < 0.05 < boasting


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("points", [0, 1, 2, 100])
def test_few_points_or_points_of_one_kind_give_cautious_scores(points: int, right: bool) -> None:
    """Never 0, 1 or no number; without any point, a half."""
    evidence, _ = drawn(points)
    scores = score(drawn(50)[0], fit(evidence, np.full(points, right)))
    np.testing.assert_allclose(scores, [scores[0]] * 50, atol=0.02)
    expected = (points + 1) / (points + 2)
    assert scores[0] == pytest.approx(expected if right else 1 - expected, abs=0.02)


def test_evidence_that_separates_right_from_wrong_gives_finite_constants() -> None:
    evidence, _ = drawn(200)
    assert all(map(math.isfinite, fit(evidence, evidence[:, 1] > 0)))


def test_more_evidence_never_lowers_a_score() -> None:
    """Though by chance, or with a bad network, surer points are the wrong ones."""
    evidence, _ = drawn(500)
    for right in (evidence[:, 0] < 0, evidence[:, 1] < 0, evidence.sum(1) < 0, evidence[:, 0] < evidence[:, 1]):
        assert min(fit(evidence, right)[1:]) >= 0


def test_the_graph_scores_as_the_calibration_does() -> None:
    """A point that the thing cannot have is as good as surely absent; a model that is not exported has no scores."""
    random = np.random.default_rng(3)
    n, k = 6, len(GARMENTS)
    parts = [(n, k, 2), (n, k, 2), (n, k, 48), (n, k, 48), (n, k, 3), (n, k)]
    heads = Heads(*(tf.constant(random.normal(0, 3, shape).astype(np.float32)) for shape in parts))
    answer = {name: each.numpy() for name, each in predict(heads, GARMENTS, Served(TRUE, "")).items()}
    assert answer[PRED_SCORE.name].dtype == np.float32
    np.testing.assert_allclose(answer[PRED_SCORE.name], score(answer[EVIDENCE].astype(float), TRUE), atol=1e-5)
    ruled_out = heads.visibility_logits.numpy().argmax(2) != answer[PRED_V.name]
    assert ruled_out.any()
    assert (answer[EVIDENCE][ruled_out][:, 0] == -10).all()
    assert PRED_SCORE.name not in predict(heads, GARMENTS)


def test_no_photo_is_judged_by_what_was_learned_from_itself(tmp_path: Path) -> None:
    """Where odd photos are always right and even ones never, whatever the evidence, scores are as wrong as can be.

    Absent points, and photos whose errors cannot be measured, are not counted.
    """
    n, k = 40, 3
    truth_xy = np.full((n, k, 2), 0.5, np.float32)
    xy = truth_xy + 0.5 * (np.arange(n) % 2 == 0)[:, None, None]
    v = np.full((n, k), 2)
    v[:, 2] = 0
    size = np.full((n, 2), 100, np.float32)
    size[-4:] = 0
    truth = {"xy": truth_xy, "v": v, "size": size, "box": size, "category": np.zeros(n, np.int64)}
    evidence = np.random.default_rng(4).normal(size=(n, k, 2)).astype(np.float32)
    constants, found = calibrate(Answers(xy.astype(np.float32), v, evidence, truth), numbered(k))
    assert found.photos == n - 4
    assert found.points.sum() == 2 * found.photos
    assert found.ece is not None
    assert found.ece > 0.5
    assert score(evidence[:, :2].astype(float), constants).mean() == pytest.approx(1 / 3, abs=0.05)
    picture.draw(found, tmp_path / "some.png")
    picture.draw(reliability(np.zeros(0), np.zeros(0, bool), 0), tmp_path / "none.png")
    assert reliability(np.zeros(0), np.zeros(0, bool), 0).ece is None
