"""Names on a drawn photo can be read."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from seamline_client.name_tags import Box, place

PICTURE, NAME, GAP = (900, 900), (110.0, 20.0), 8.0
PLACES = st.tuples(st.floats(0, PICTURE[0]), st.floats(0, PICTURE[1]))


@settings(max_examples=100, deadline=None)
@given(st.lists(PLACES, min_size=1, max_size=12))
def test_names_are_inside_and_apart(points: list[tuple[float, float]]) -> None:
    """A dozen names fit, wherever their points are, in the corners or all in one place, and none covers a point."""
    boxes = place(points, [NAME] * len(points), PICTURE, GAP)
    assert all(box.left >= 0 and box.top >= 0 and box.right <= 900 and box.bottom <= 900 for box in boxes)
    assert not any(one.meets(other) for one, other in combinations(boxes, 2))
    assert not any(box.meets(Box(x, y, x + 1e-6, y + 1e-6)) for box in boxes for x, y in points)


def test_a_name_is_on_the_outer_side_of_its_point() -> None:
    """Left of what is on the left of the others."""
    left, right = place([(300.0, 400.0), (600.0, 400.0)], [NAME] * 2, PICTURE, GAP)
    assert left.right == 300 - GAP
    assert right.left == 600 + GAP


def test_a_picture_without_room_has_all_its_names() -> None:
    """They cover each other, inside."""
    boxes = place([(5.0, 5.0)] * 24, [(20.0, 10.0)] * 24, (30, 30), GAP)
    assert len(boxes) == 24
    assert all(box.right <= 30 and box.bottom <= 30 for box in boxes)
