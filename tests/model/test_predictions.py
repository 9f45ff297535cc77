"""What is answered is of one thing: all of its points belong to one category."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.predictions import of_one_thing
from seamline_client.contract import ABSENT
from seamline_client.keypoints import GARMENTS, KeypointSet, numbered

POSSIBLE = np.array(
    [[index in GARMENTS.can_have(name) for index in range(len(GARMENTS))] for name in GARMENTS.category_names]
)


def answer(logits: NDArray[np.float32], keypoints: KeypointSet = GARMENTS) -> NDArray[np.int64]:
    found: NDArray[np.int64] = of_one_thing(logits, keypoints).numpy().argmax(2)
    return found


def categories(v: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N, K) classes -> (N, C): whether a category can have all points that are there."""
    found: NDArray[np.bool_] = ~((v != ABSENT)[:, None] & ~POSSIBLE).any(2)
    return found


def test_it_is_the_most_probable_answer_that_one_category_can_give() -> None:
    """Whatever the network says. The others are tried one by one: none of them has more of the logits."""
    logits = np.random.default_rng(1).normal(0, 3, (200, 24, 3)).astype(np.float32)
    v = answer(logits)
    assert categories(v).any(1).all()
    freely = logits.argmax(2)
    assert not categories(freely).any(1).all()
    possible = np.where(POSSIBLE[:, None], freely, ABSENT)
    total = np.take_along_axis(logits[None], possible[..., None], 3).sum((2, 3))
    chosen = np.take_along_axis(logits, v[..., None], 2).sum((1, 2))
    np.testing.assert_allclose(chosen, total.max(0), rtol=1e-5)


def test_an_answer_of_one_category_stays_as_it_is() -> None:
    """As does any answer where there is one category, or where each can have all points."""
    logits = np.random.default_rng(2).normal(0, 3, (50, 24, 3)).astype(np.float32)
    logits[..., ABSENT] += 100 * ~POSSIBLE[np.arange(50) % len(POSSIBLE)]
    np.testing.assert_array_equal(answer(logits), logits.argmax(2))
    logits = np.random.default_rng(3).normal(0, 3, (50, 7, 3)).astype(np.float32)
    np.testing.assert_array_equal(answer(logits, numbered(7)), logits.argmax(2))


def test_a_blouse_with_a_faint_hemline_has_none() -> None:
    """Nor has a skirt with a faint shoulder: what is surer decides what it is."""
    logits = np.zeros((2, 24, 3), np.float32)
    for row, category, faint in ((0, "blouse", "hemline_left"), (1, "skirt", "shoulder_left")):
        for name in GARMENTS.keypoints:
            there = GARMENTS.index[name] in GARMENTS.can_have(category)
            logits[row, GARMENTS.index[name]] = (-4, 0, 4) if there else (4, 0, -4)
        before = logits[row].argmax(1)
        logits[row, GARMENTS.index[faint]] = (0, -2, 1)
        np.testing.assert_array_equal(answer(logits)[row], before)
