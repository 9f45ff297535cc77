"""Left and right, held against the labels: every second training picture is a mirrored one, where pairs change sides.

Nobody can tell from labels alone whose left is meant, the picture's or the wearer's; both can be learnt. What cannot is
a mixture of the two, or a pair that is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.annotations import Annotation
from pipeline.data.sets import KEYPOINTS_FILE
from pipeline.errors import DataError
from seamline_client.keypoints import KeypointSet

Indices = NDArray[np.int64]

ENOUGH = 10
"""Photos. Of fewer nothing is said."""
APART = 0.1
"""Of the thing's box: points that are nearer to each other do not tell on which side they are."""
AGREED = 0.8
"""The share of a photo's pairs that must be the same way round, of those that tell: at least half of all."""
FEW = 0.45
"""Where more are the other way round there is no rule that these could be exceptions to."""
NAMED = 5


def check_sides(source: Path, rows: Sequence[Annotation], keypoints: KeypointSet) -> list[str]:
    """Sentences about photos whose left and right may have been mixed up, none where there is nothing to say.

    Raises DataError for a pair that is not beside each other as the others are: what is above is not to change sides.
    """
    if len(rows) < ENOUGH or not keypoints.pairs:
        return []
    sides = np.array([[keypoints.index[name] for name in pair] for pair in keypoints.pairs])
    points, v = (np.array(each) for each in ([row.points for row in rows], [row.v for row in rows]))
    there = (v[:, sides] >= 0).all(2)
    size = np.maximum(np.array([each.box for each in rows]), 1e-9)
    # (rows, pairs, 2): from right to left, in fractions of the box; NaN where one of the two is not there.
    across = np.where(there[..., None], (points[:, sides[:, 0]] - points[:, sides[:, 1]]) / size[:, None], np.nan)
    notes = _above_each_other(source, across, keypoints)
    way = _ways(across[..., 0])
    for category in keypoints.category_names:
        of_it = np.array([each.category == category for each in rows])
        usual = 1 if (way[of_it] > 0).sum() >= (way[of_it] < 0).sum() else -1
        odd, even = (np.flatnonzero(of_it & (way == each)) for each in (-usual, usual))
        told = len(odd) + len(even)
        if told < ENOUGH or not 0 < len(odd) < FEW * told or _seen_from_behind(v, odd, even, sides):
            continue
        places = ", ".join(rows[index].source for index in odd[:NAMED])
        more = f" and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
        notes.append(
            f"left and right: in {len(odd)} of {told} photos of category {category} the left points are on the other "
            f"side of the right ones than in the rest: {places}{more}. If left is the picture's in some and the "
            f"wearer's in others, a model learns neither: mend these. If they show it from behind or upside down, they "
            f"are right."
        )
    return notes


def _above_each_other(source: Path, across: NDArray[np.float64], keypoints: KeypointSet) -> list[str]:
    """Mirroring fits the labels worse than leaving the two names where they are once they are more above than beside.

    With m and n the mean places of the two on things centred at 0, a mirrored pair is |mirror(m) - n|**2 off, and
    without changing names |mirror(m) - m|**2: the sum over both is lower with change where |dx| > |dy| of m - n.
    """
    beside: list[str] = []
    above: list[str] = []
    for pair, offsets in zip(keypoints.pairs, across.swapaxes(0, 1)):
        offsets = offsets[~np.isnan(offsets[:, 0])]
        if len(offsets) >= ENOUGH:
            x, y = np.abs(offsets.mean(0))
            unsure = 3 * offsets[:, 1].std() / len(offsets) ** 0.5
            (above if y - unsure > max(x, APART) else beside).append(" and ".join(pair))
    if not above:
        return []
    found = f"{', '.join(above)}: pairs of left and right that are above each other in these photos, not beside."
    if len(above) < len(beside):
        raise DataError(
            f"{source}: {found} Mirrored training pictures would be labelled wrongly. Take them out of `pairs` in a "
            f"{KEYPOINTS_FILE} beside the photos; `python -m pipeline keypoints` writes one."
        )
    return [f"{found} If the things do not lie on their sides, these are no pairs."]


def _ways(across: NDArray[np.float64]) -> Indices:
    """(rows, pairs) -> (rows,): 1 where left points are to the right of right ones, -1 the other way, 0 untold."""
    votes = np.where(np.abs(across) > APART, np.sign(across), 0)
    total, cast, could = votes.sum(1), np.abs(votes).sum(1), (~np.isnan(across)).sum(1)
    told = (cast > 0) & (2 * cast >= could) & (np.abs(total) >= (2 * AGREED - 1) * cast)
    return np.where(told, np.sign(total), 0).astype(np.int64)


def _seen_from_behind(v: Indices, odd: Indices, even: Indices, sides: Indices) -> bool:
    """Whether what is visible differs too, as with persons who turn their backs: no face, and their left on the left.

    Both points of a pair count as one, since mixed up labels would tell those apart too. Two proportions differ where
    z > 3: with so few points none would by chance.
    """
    visible = (v > 0).astype(float)
    visible[:, sides[:, 0]] = visible[:, sides[:, 1]] = (visible[:, sides[:, 0]] + visible[:, sides[:, 1]]) / 2
    here, there = visible[odd].mean(0), visible[even].mean(0)
    pooled = (visible[odd].sum(0) + visible[even].sum(0)) / (len(odd) + len(even))
    spread = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / len(odd) + 1 / len(even)))
    return bool((np.abs(here - there) > np.maximum(0.3, 3 * spread)).any())
