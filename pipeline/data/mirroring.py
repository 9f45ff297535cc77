"""Left and right, held against the labels: every second training picture is a mirrored one, where pairs change sides.

Nobody can tell from labels alone whose left is meant, the picture's or the wearer's; both can be learnt. What cannot is a
mixture of the two, or a pair that is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.annotations import Annotation
from pipeline.errors import DataError
from seamline_client.keypoints import KeypointSet

ENOUGH = 10
"""Photos. Of fewer nothing is said."""
APART = 0.1
"""Of the thing's box: points that are nearer to each other do not tell on which side they are."""
AGREED = 0.8
"""The share of a photo's pairs that must be the same way round, for the photo to be one way round."""
FEW = 0.45
"""Where more are the other way round there is no rule that these could be exceptions to."""
NAMED = 5


def check_sides(source: Path, rows: Sequence[Annotation], keypoints: KeypointSet) -> list[str]:
    """Sentences about photos whose left and right may have been mixed up, none where there is nothing to say.

    Raises DataError for pairs that are not beside each other: mirrored, such points are where they were.
    """
    if len(rows) < ENOUGH or not keypoints.pairs:
        return []
    sides = np.array([[keypoints.index[name] for name in pair] for pair in keypoints.pairs])
    points, v = np.array([each.points for each in rows]), np.array([each.v for each in rows])
    there = (v[:, sides] >= 0).all(2)
    size = np.maximum(np.array([each.box for each in rows]), 1e-9)
    # (rows, pairs, 2): from right to left, in fractions of the box; NaN where one of the two is not there.
    across = np.where(there[..., None], (points[:, sides[:, 0]] - points[:, sides[:, 1]]) / size[:, None], np.nan)
    _refuse_what_is_no_pair(source, across, keypoints)
    way = _ways(across[..., 0])
    notes = []
    for category in keypoints.category_names:
        of_it = np.array([each.category == category for each in rows])
        usual = 1 if (way[of_it] > 0).sum() >= (way[of_it] < 0).sum() else -1
        odd, even = np.flatnonzero(of_it & (way == -usual)), np.flatnonzero(of_it & (way == usual))
        share = len(odd) / max(1, len(odd) + len(even))
        if len(odd) and len(odd) + len(even) >= ENOUGH and share < FEW and not _seen_from_behind(v, odd, even, sides):
            places = ", ".join(rows[index].source for index in odd[:NAMED])
            more = f" and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
            notes.append(
                f"left and right: in {len(odd)} of the {len(odd) + len(even)} photos of a {category} that tell, the left "
                f"points are on the other side of the right ones than in the rest: {places}{more}. If left is the "
                f"picture's in some and the wearer's in others, a model learns neither: mend these. If they show it "
                f"from behind or upside down, they are right."
            )
    return notes


def _refuse_what_is_no_pair(source: Path, across: NDArray[np.float64], keypoints: KeypointSet) -> None:
    """Mirroring fits the labels worse than leaving the two names where they are once they are more above than beside.

    With m and n the mean places of the two on things centred at 0, a mirrored pair is |mirror(m) - n|**2 off, and
    without changing names |mirror(m) - m|**2: the sum over both is lower with change where |dx| > |dy| of m - n.
    """
    for pair, offsets in zip(keypoints.pairs, across.swapaxes(0, 1)):
        offsets = offsets[~np.isnan(offsets[:, 0])]
        if len(offsets) < ENOUGH:
            continue
        x, y = np.abs(offsets.mean(0))
        unsure = 3 * offsets[:, 1].std() / len(offsets) ** 0.5
        if y - unsure > max(x, APART):
            raise DataError(
                f"{source}: {pair[0]} and {pair[1]} are a pair of left and right, but in {len(offsets)} photos they are "
                f"above each other rather than beside. Mirrored training pictures would be labelled wrongly: take the "
                f"pair out of the set, or mend it (`python -m pipeline keypoints --help`)."
            )


def _ways(across: NDArray[np.float64]) -> NDArray[np.int64]:
    """(rows, pairs) -> (rows,): 1 where left points are to the right of right ones, -1 the other way, 0 untold."""
    votes = np.where(np.abs(across) > APART, np.sign(across), 0)
    total, cast = votes.sum(1), np.abs(votes).sum(1)
    return np.where(np.abs(total) >= np.maximum(1, (2 * AGREED - 1) * cast), np.sign(total), 0).astype(np.int64)


def _seen_from_behind(
    v: NDArray[np.int64], odd: NDArray[np.int64], even: NDArray[np.int64], sides: NDArray[np.int64]
) -> bool:
    """Whether what is visible differs too, as with persons who turn their backs: no face, and their left on the left.

    Both points of a pair count as one, since mixed up labels would tell those apart too. Two proportions differ where
    z > 4: with so many points none would by chance.
    """
    visible = (v > 0).astype(float)
    visible[:, sides[:, 0]] = visible[:, sides[:, 1]] = (visible[:, sides[:, 0]] + visible[:, sides[:, 1]]) / 2
    here, there = visible[odd].mean(0), visible[even].mean(0)
    pooled = (visible[odd].sum(0) + visible[even].sum(0)) / (len(odd) + len(even))
    spread = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / len(odd) + 1 / len(even)))
    return bool((np.abs(here - there) > np.maximum(0.3, 4 * spread)).any())
