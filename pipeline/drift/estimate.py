"""How often it is wrong, without a label: what calibrated scores expect, and how far that could be believed on val."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.drift.reference import Guess
from pipeline.drift.taken import Taken
from seamline_client.contract import ABSENT


@dataclass(frozen=True)
class Estimate:
    """The share of points that are said to be there which are wrong, as `Guess` has it; 95 in 100 lie within `margin`.

    The margin takes for granted that scores mean what they meant. The further photos are from those, the less they do.
    """

    error: float
    margin: float
    guess: Guess

    def __str__(self) -> str:
        return (
            f"By its scores {self.error:.1%} of the points are wrong, give or take {self.margin:.1%}. On "
            f"{self.guess.photos} evaluation photos scores expected {self.guess.estimated:.1%}, and "
            f"{self.guess.found:.1%} were wrong."
        )


def estimate(taken: Taken, guess: Guess | None) -> Estimate | None:
    """None where there are no scores, no points, or nothing that says how good an estimate would be."""
    answers = [each.prediction for each in taken.photos]
    scores = [each.score[each.visibility != ABSENT] for each in answers if each.score is not None]
    wrong = 1 - np.concatenate(scores, dtype=float) if scores else np.empty(0)
    if guess is None or not len(wrong):
        return None
    margin = 1.96 * guess.spread * math.sqrt(1 / len(answers) + 1 / guess.photos)
    return Estimate(float(wrong.mean()), margin, guess)
