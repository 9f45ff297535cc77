"""Does a sample differ from the reference, in what, and by how much?

With fewer photos than MANY, in the sample or the reference, by tests: Kolmogorov-Smirnov of numbers, chi-squared of
kinds. Holm's correction keeps the chance that a sample which is no different is said to be, in anything at all, below
ALPHA. With more photos tests find differences that matter to nobody, so distances decide: Wasserstein's in standard
deviations of the reference, and Jensen and Shannon's, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.drift.reference import Reference
from pipeline.drift.taken import FEWEST, Taken
from pipeline.drift.traits import TRAITS, Floats, counted
from pipeline.errors import DataError
from pipeline.extras import needed

with needed("drift"):
    from scipy import stats
    from scipy.spatial.distance import jensenshannon

MANY = 1000
ALPHA = 0.01
FAR = 0.1
"""Distance from which on a sample is said to differ."""
KIND = "kind"
TABLES = 9999
"""Random tables that the chi-squared of kinds is held against, whose own distribution is wrong where kinds are rare."""

KS, CHI_SQUARED = "Kolmogorov-Smirnov", "chi-squared"
WASSERSTEIN, JENSEN_SHANNON = "Wasserstein", "Jensen-Shannon"


@dataclass(frozen=True)
class Finding:
    """How a trait of the sample is held against the reference's. `statistic` is of `test`, in its own measure."""

    trait: str
    test: str
    statistic: float
    p: float | None
    """The chance of such a statistic where nothing differs, after Holm's correction; None for distances."""
    differs: bool
    reference: str
    sample: str
    """What is usual in either, for people: the median and the middle half, or the share of each kind."""


def compare(reference: Reference, taken: Taken) -> list[Finding]:
    """A finding for each trait that both have, and one for the kinds. Raises DataError for a reference too small."""
    of_kinds = sum(reference.kinds.values())
    if of_kinds < FEWEST:
        raise DataError(
            f"The version has {of_kinds} evaluation photos; `drift` needs at least {FEWEST}. Put more into val/, train "
            "and export."
        )
    found = [_kinds(reference.kinds, taken.kinds)]
    for trait in TRAITS:
        sample = taken.traits.get(trait, np.empty(0))
        sample = sample[np.isfinite(sample)]
        if min(len(sample), reference.photos[trait]) >= FEWEST:
            found.append(_numbers(trait, np.array(reference.values[trait]), reference.photos[trait], np.sort(sample)))
    return _corrected(found)


def _numbers(trait: str, reference: Floats, photos: int, sample: Floats) -> Finding:
    shown = usual(reference), usual(sample)
    if min(photos, len(sample)) >= MANY:
        distance = stats.wasserstein_distance(reference, sample) / max(reference.std(), 1e-9)
        return Finding(trait, WASSERSTEIN, float(distance), None, bool(distance >= FAR), *shown)
    everywhere = np.concatenate([reference, sample])
    shares = [np.searchsorted(each, everywhere, "right") / len(each) for each in (reference, sample)]
    furthest = float(np.abs(shares[0] - shares[1]).max())
    p = stats.kstwo.sf(furthest, round(photos * len(sample) / (photos + len(sample))))
    return Finding(trait, KS, furthest, float(p), False, *shown)


def _kinds(reference: Mapping[str, int], sample: Sequence[str]) -> Finding:
    now = counted(sample)
    names = sorted({*reference, *now})
    table = np.array([[each.get(name, 0) for name in names] for each in (reference, now)])
    shown = shares(reference), shares(now)
    if table.sum(axis=1).min() >= MANY:
        distance = float(jensenshannon(*table, base=2))
        return Finding(KIND, JENSEN_SHANNON, distance, None, distance >= FAR, *shown)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    expected = np.outer(rows, columns) / table.sum()

    def statistic(tables: Floats) -> Floats:
        found: Floats = ((tables - expected) ** 2 / expected).sum(axis=(-2, -1))
        return found

    found = statistic(table)
    random = statistic(stats.random_table(rows, columns, seed=1).rvs(TABLES))
    p = (1 + int((random >= found - 1e-9).sum())) / (1 + TABLES)
    return Finding(KIND, CHI_SQUARED, float(found), p, False, *shown)


def _corrected(findings: Sequence[Finding]) -> list[Finding]:
    """By Holm (1979): the smallest p counts as often as there are tests, the next once less, and none below another."""
    tested = sorted((each for each in findings if each.p is not None), key=lambda each: each.p or 0.0)
    corrected: dict[str, float] = {}
    least = 0.0
    for place, each in enumerate(tested):
        least = max(least, min(1.0, (each.p or 0.0) * (len(tested) - place)))
        corrected[each.trait] = least
    return [
        replace(each, p=corrected[each.trait], differs=corrected[each.trait] < ALPHA) if each.p is not None else each
        for each in findings
    ]


def usual(values: Floats) -> str:
    """The median, and what half of the values are between."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def shares(counts: Mapping[str, int]) -> str:
    """The share of each kind, the most frequent first."""
    total = sum(counts.values())
    return ", ".join(f"{name} {count / total:.0%}" for name, count in sorted(counts.items(), key=lambda each: -each[1]))
