"""Scores that can be believed: of the points that are scored 0.8, eight in ten are right.

A point is right when it is there and at most NEAR of the normaliser from where it is said to be. Its score is a
logistic regression of the network's evidence (Platt, 1999), fitted on the evaluation photos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.metrics import Metrics
from pipeline.evaluation.answers import Answers
from seamline_client.contract import ABSENT
from seamline_client.keypoints import KeypointSet

NEAR = 0.1
BINS = 10
RIDGE = 1e-2
"""Keeps the weights of evidence that tells nothing at nothing."""

Calibration = tuple[float, float, float]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """How true scores are, of points that were said to be there, by BINS of equal width. Shares are NaN where none is.

    The score of each photo's points is by constants that were fitted on other photos.
    """

    photos: int
    points: NDArray[np.int64]
    score: Floats
    """The mean score of a bin's points."""
    right: Floats
    """The share of them that are right."""

    @property
    def ece(self) -> float | None:
        """Expected calibration error: by how much the two differ, averaged over the points. None without points."""
        total = int(self.points.sum())
        return float(np.nansum(np.abs(self.score - self.right) * self.points)) / total if total else None


def calibrate(answers: Answers, keypoints: KeypointSet) -> tuple[Calibration, Reliability]:
    """Constants from all photos on which an error can be measured, and how reliable such scores are.

    For the latter each half of these photos (every other one) is scored by constants of the other half, so that no
    photo is judged by what was learned from itself.
    """
    evidence, right, said = measured(answers, keypoints)
    scores = held_out(evidence, right)
    return fit(evidence, right), reliability(scores[said], right[said], len(right))


def held_out(evidence: Floats, right: NDArray[np.bool_]) -> Floats:
    """(M, K, 2) evidence of M photos and whether points are right -> (M, K) scores, each by constants from others."""
    scores = np.zeros(right.shape)
    for half in (0, 1):
        scores[half::2] = score(evidence[half::2], fit(evidence[1 - half :: 2], right[1 - half :: 2]))
    return scores


def measured(answers: Answers, keypoints: KeypointSet) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Of the M photos that have an NE: evidence (M, K, 2), and whether each point is right, and said to be there."""
    errors, counted = (each.numpy() for each in Metrics(keypoints).normalised_errors(answers.xy, answers.truth))
    photos = counted.any(axis=1)
    right = (answers.truth["v"] != ABSENT) & (errors <= NEAR)
    return answers.evidence[photos].astype(float), right[photos], answers.v[photos] != ABSENT


def fit(evidence: Floats, right: NDArray[np.bool_]) -> Calibration:
    """(..., 2) evidence and (...) whether a point is right -> constants. More evidence never lowers a score.

    Any points will do, few or none, all of them right or all wrong: the constants are finite.
    """
    x, positive = evidence.reshape(-1, 2), right.reshape(-1)
    many, few = positive.sum(), (~positive).sum()
    # Not quite 1 and 0, as Platt has it: with the points at hand nobody can be surer than that.
    target = np.where(positive, (many + 1) / (many + 2), 1 / (few + 2))
    for used in ([0, 1], [0], [1]):
        weights = np.zeros(3)
        weights[[0, *(index + 1 for index in used)]] = _regression(x[:, used], target)
        if weights[1:].min() >= 0:
            return (float(weights[0]), float(weights[1]), float(weights[2]))
    return (float(_regression(x[:, []], target)[0]), 0.0, 0.0)


def score(evidence: Floats, calibration: Calibration) -> Floats:
    """(..., 2) evidence -> (...) scores, as `predictions.predict` computes them in the graph."""
    found: Floats = 1 / (1 + np.exp(-(calibration[0] + evidence @ np.asarray(calibration[1:]))))
    return found


def reliability(scores: Floats, right: NDArray[np.bool_], photos: int) -> Reliability:
    """(P,) scores of points and whether they are right."""
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    points = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, each, minlength=BINS) / points for each in (scores, right)]
    return Reliability(photos, points, *means)


def _regression(x: Floats, target: Floats) -> Floats:
    """(P, F) features, (P,) probabilities -> (1 + F,) bias and weights, by Newton's steps, each of which descends."""
    x = np.column_stack([np.ones(len(x)), x])
    penalty = np.diag([1e-6, *[RIDGE] * (x.shape[1] - 1)])

    def loss(weights: Floats) -> float:
        logit = x @ weights
        return float((np.logaddexp(0, logit) - target * logit).sum() + weights @ penalty @ weights / 2)

    weights = np.zeros(x.shape[1])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-x @ weights))
        curvature = (x * (probability * (1 - probability))[:, None]).T @ x + penalty
        step = np.linalg.solve(curvature, x.T @ (probability - target) + penalty @ weights)
        while loss(weights - step) > loss(weights):
            step /= 2
        weights = weights - step
    return weights
