"""Left and right are held against the labels before anything is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.annotations import Annotation
from pipeline.data.mirroring import check_sides
from pipeline.data.sets import from_categories
from pipeline.errors import DataError
from seamline_client.keypoints import KeypointSet
from tests import figures

PERSON, _ = from_categories([(Path("a.json"), figures.PERSON)])
FLIP = list(PERSON.flip)


def rows(count: int, away: Sequence[int] = ()) -> list[Annotation]:
    rng = np.random.default_rng(1)
    made = []
    for number in range(count):
        points = figures.person(rng, 15, 10, 215, away=number in away)
        places = tuple((x, y) if v else (-1.0, -1.0) for x, y, v in points)
        seen = tuple(int(v) - 1 for *_, v in points)
        name = f"{number}.jpg"
        made.append(
            Annotation(name, Path(name), "person", places, seen, (100.0, 215.0), f"a.json: annotation {number}")
        )
    return made


def swapped(row: Annotation) -> Annotation:
    """Labelled by somebody to whom left is the picture's."""
    return replace(row, points=tuple(row.points[index] for index in FLIP), v=tuple(row.v[index] for index in FLIP))


def check(found: Sequence[Annotation], keypoints: KeypointSet = PERSON) -> list[str]:
    return check_sides(Path("photos"), found, keypoints)


def test_one_rule_is_fine() -> None:
    """The wearer's left, the picture's left, and too few photos to tell."""
    assert check(rows(60)) == []
    assert check([swapped(row) for row in rows(60)]) == []
    assert check([*rows(6), *map(swapped, rows(3))]) == []


def test_persons_who_look_away_are_right() -> None:
    """Their own left is on the left of the picture; and no face is seen, which tells them from mistakes."""
    for share in (20, 5, 3):
        assert check(rows(60, away=range(0, 60, share))) == []


@pytest.mark.parametrize("wrong", [(7,), (7, 11, 30), range(0, 60, 4), range(0, 60, 3)])
def test_rows_with_another_left_are_named(wrong: Sequence[int]) -> None:
    """Whether it is one mistake, or a second person who understood it otherwise; the first few by their places."""
    found = rows(60)
    mixed = [swapped(row) if number in wrong else row for number, row in enumerate(found)]
    (note,) = check(mixed)
    assert f"in {len(wrong)} of 60 photos of category person" in note
    assert ", ".join(found[number].source for number in list(wrong)[:5]) in note
    assert ("more" in note) == (len(wrong) > 5)


def test_points_that_do_not_tell_are_not_asked() -> None:
    """Persons seen from the side: left and right are in one place, this way round or that."""
    rng = np.random.default_rng(1)
    found = []
    for row in rows(60):
        points = np.array(row.points)
        for left, right in PERSON.pairs:
            middle = points[[PERSON.index[left], PERSON.index[right]]].mean(0)
            points[[PERSON.index[left], PERSON.index[right]]] = middle + rng.normal(0, 4, (2, 2))
        found.append(replace(row, points=tuple(map(tuple, points))))
    assert check(found) == []


def test_a_pair_that_is_none_is_refused() -> None:
    """The nose changes sides with nothing: mirrored, it would be labelled an ankle."""
    pairs = tuple(pair for pair in PERSON.pairs if pair[0] != "left_ankle")
    with pytest.raises(DataError, match=r"photos: nose and left_ankle: pairs .* above each other .* keypoints\.json"):
        check(rows(60), replace(PERSON, pairs=(*pairs, ("nose", "left_ankle"))))


def test_things_that_lie_on_their_side_are_asked_about() -> None:
    """All pairs are above each other then, and may be right."""
    lying = [replace(row, points=tuple((y, x) for x, y in row.points), box=row.box[::-1]) for row in rows(60)]
    (note,) = check(lying)
    assert "If the things do not lie on their sides, these are no pairs." in note
