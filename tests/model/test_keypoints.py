"""The 24 points against the published facts of FashionAI."""

from __future__ import annotations

import subprocess
import sys

from seamline_client import contract as signature
from seamline_client import keypoints


def test_flip_is_the_published_permutation() -> None:
    """Mirroring swaps left and right; the permutation is the one that FashionAI's baselines use."""
    assert keypoints.FLIP == (1, 0, 2, 4, 3, 6, 5, 8, 7, 11, 12, 9, 10, 14, 13, 16, 15, 18, 17, 19, 22, 23, 20, 21)


def test_categories_have_their_published_number_of_points() -> None:
    """13, 14, 15, 4 and 7 points, and together all 24."""
    counts = {category: len(points) for category, points in keypoints.CATEGORY_KEYPOINTS.items()}
    assert counts == {"blouse": 13, "outwear": 14, "dress": 15, "skirt": 4, "trousers": 7}
    assert set().union(*keypoints.CATEGORY_KEYPOINTS.values()) == set(range(signature.KEYPOINT_COUNT))


def test_normalisers_and_outlines_name_real_points() -> None:
    """Every name in the tables is a keypoint, and each category has both of its normaliser's ends."""
    for category, ends in keypoints.NORMALISER.items():
        assert {keypoints.INDEX[end] for end in ends} <= set(keypoints.CATEGORY_KEYPOINTS[category])
    assert {name for line in keypoints.OUTLINE for name in line} <= set(keypoints.KEYPOINTS)


def test_the_contract_needs_only_the_standard_library() -> None:
    """Importing it loads neither TensorFlow nor numpy."""
    code = "import sys, seamline_client.contract, seamline_client.keypoints"
    code += "; assert not {'tensorflow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
