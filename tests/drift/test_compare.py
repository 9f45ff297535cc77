"""A shift that is there is found, and none between two halves of the same photos."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.drift import compare, estimate, reference, taken, traits
from pipeline.drift.compare import Finding
from pipeline.drift.reference import Guess, Reference
from pipeline.drift.taken import Taken
from pipeline.errors import DataError, PipelineError
from seamline_client import sampling
from seamline_client.answers import Prediction
from seamline_client.contract import ABSENT
from seamline_client.images import pixels
from seamline_client.keypoints import GARMENTS

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
Edit = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Photo:
    """With its labels as what a model that is never wrong would answer, and scores that are like those of one."""

    picture: Image.Image
    answer: Prediction


def labelled(folder: Path) -> list[Photo]:
    """In random order, which is always the same: a folder has one kind after the other."""
    found = []
    for table in sorted(folder.glob("Annotations/*.csv")):
        for number, row in enumerate(csv.DictReader(table.read_text().splitlines())):
            with Image.open(folder / row["image_id"]) as opened:
                picture = opened.convert("RGB")
            points = [tuple(map(int, row[name].split("_"))) for name in GARMENTS.keypoints]
            x, y, v = np.array(points).T
            score = np.random.default_rng(number).beta(8, 2, len(v))
            across, down = ((at / side).astype(np.float32) for at, side in zip((x, y), picture.size))
            answer = Prediction(across, down, v + 1, picture.size, GARMENTS, score.astype(np.float32))
            found.append(Photo(picture, answer))
    return [found[place] for place in np.random.default_rng(1).permutation(len(found))]


def sample(photos: list[Photo], edit: Edit = lambda picture: picture) -> Taken:
    """Of these photos, through the very file that a client writes of each."""
    pictures = []
    for photo in photos:
        sent = pixels(edit(photo.picture))[0]
        pictures.append(traits.of_pictures(pixels(sampling.encode(sent, photo.picture.size))[0][None]))
    answers = [photo.answer for photo in photos]
    xy = np.stack([np.stack([each.x_ratio, each.y_ratio], axis=1) for each in answers])
    v = np.stack([each.visibility for each in answers])
    found = {name: np.concatenate([each[name] for each in pictures]) for name in pictures[0]}
    found |= traits.of_answers(xy, v, np.stack([each.score for each in answers if each.score is not None]))
    kept = [sampling.Kept(Path("x.jpg"), each, NOW) for each in answers]
    return Taken(kept, found, traits.kinds(v, GARMENTS), 0, [])


def made_of(known: Taken) -> Reference:
    finite = {name: values[np.isfinite(values)] for name, values in known.traits.items()}
    return Reference(
        {name: reference.sketch(values) for name, values in finite.items()},
        {name: len(values) for name, values in finite.items()},
        dict(traits.counted(known.kinds)),
        None,
    )


def differing(findings: list[Finding]) -> set[str]:
    return {each.trait for each in findings if each.differs}


def test_two_halves_of_the_same_photos_do_not_differ(val: list[Photo]) -> None:
    assert differing(compare.compare(made_of(sample(val[::2])), sample(val[1::2]))) == set()


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda picture: picture.point(lambda value: round(value * 0.6)), {"brightness"}),
        (lambda picture: picture.filter(ImageFilter.GaussianBlur(2)), {"sharpness"}),
    ],
)
def test_photos_that_are_darker_or_blurred_are_found(val: list[Photo], edit: Edit, found: set[str]) -> None:
    """And nothing else: one half so, held against the other half as it is."""
    assert differing(compare.compare(made_of(sample(val[::2])), sample(val[1::2], edit))) == found


def test_another_kind_of_photos_is_found(val: list[Photo]) -> None:
    """All of one kind; that kind alone, or nothing found in most of them."""
    found = sample(val)
    known = made_of(found)
    usual = max(known.kinds, key=lambda name: known.kinds[name])
    for other in ({*known.kinds} - {usual}, [traits.NOTHING]):
        strange = replace(found, kinds=[min(other)] * len(found.kinds))
        assert compare.KIND in differing(compare.compare(known, strange))


def test_points_elsewhere_and_scores_that_sank_are_found(val: list[Photo]) -> None:
    found = sample(val)
    known = made_of(found)
    shifted = {**found.traits, "x": found.traits["x"] + 0.15, "score": found.traits["score"] - 0.15}
    assert differing(compare.compare(known, replace(found, traits=shifted))) == {"x", "score"}


def numbers(random: np.random.Generator, photos: int, shift: float = 0.0) -> Taken:
    """All traits normal, and two kinds, as often as each other."""
    values = {name: random.normal(shift, 1, photos) for name in traits.TRAITS}
    return Taken([], values, random.choice(["a", "b"], photos).tolist(), 0, [])


@pytest.mark.slow
def test_where_nothing_differs_it_is_seldom_said_to() -> None:
    """In anything at all: of 100 samples at most a few, ALPHA of which would be one."""
    random = np.random.default_rng(1)
    wrong = sum(bool(differing(compare.compare(made_of(numbers(random, 60)), numbers(random, 80)))) for _ in range(100))
    assert wrong <= 4


def test_of_many_photos_distances_decide() -> None:
    """A shift that matters to nobody is significant, and no finding; one of a fifth of what is usual is one."""
    random = np.random.default_rng(2)
    known = made_of(numbers(random, 20_000))
    near, far = (compare.compare(known, numbers(random, 20_000, shift)) for shift in (0.05, 0.2))
    assert {each.test for each in near} == {compare.WASSERSTEIN, compare.JENSEN_SHANNON}
    assert differing(near) == set()
    assert differing(far) == set(traits.TRAITS)
    (score,) = (each for each in far if each.trait == "score")
    assert score.statistic == pytest.approx(0.2, abs=0.03)
    assert score.p is None


def test_a_sketch_stands_for_all_values() -> None:
    """Of 5,000 values 500 are kept: the largest distance of the curves is that of all of them, within a 300th."""
    from scipy import stats

    random = np.random.default_rng(3)
    values, others = random.gamma(2, 1, 5000), random.gamma(2.5, 1, 400)
    (_, found, *_) = compare.compare(
        replace(
            made_of(numbers(random, 30)),
            values={"score": reference.sketch(values)},
            photos=dict.fromkeys(traits.TRAITS, 0) | {"score": 5000},
        ),
        replace(numbers(random, 30), traits={"score": others}),
    )
    exact = stats.ks_2samp(values, others)
    assert found.statistic == pytest.approx(exact.statistic, abs=1 / 300)
    assert found.p is not None
    assert np.log(found.p) == pytest.approx(np.log(exact.pvalue * 2), rel=0.1)


def test_too_few_photos_tell_nothing(val: list[Photo], tmp_path: Path) -> None:
    """On either side; and a version from before there was a reference says what to do."""
    with pytest.raises(DataError, match="5 evaluation photos"):
        compare.compare(made_of(sample(val[:5])), sample(val))
    (tmp_path / "x.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"0 photos that version 1 answered and 1 that cannot be used, as .*x.jpg"):
        taken.read(tmp_path, 1, GARMENTS, lambda *_: None)
    with pytest.raises(PipelineError, match="`make export` of the same run"):
        reference.read(tmp_path)


def answered(random: np.random.Generator, photos: int) -> tuple[list[Prediction], NDArray[np.bool_]]:
    """Points that are right as often as their scores say, and more so on some photos."""
    score = random.beta(4, 1.5, (photos, 1)) * random.uniform(0.8, 1, (photos, 24))
    places = np.zeros(24, np.float32)
    said = [
        Prediction(places, places, np.full(24, 2), (9, 9), GARMENTS, each.astype(np.float32), version=1)
        for each in score
    ]
    return said, random.random(score.shape) < score


def test_the_error_is_estimated_within_its_margin() -> None:
    """Without labels, 95 times of 100: here at least 180 of 200 samples."""
    random = np.random.default_rng(4)
    within = 0
    for _ in range(200):
        said, right = answered(random, 60)
        other, truly = answered(random, 50)
        wrong, expected = (
            (~right).sum(axis=1),
            np.array([(1 - each.score).sum() for each in said if each.score is not None]),
        )
        guess = Guess(
            60, expected.sum() / 1440, wrong.sum() / 1440, float(np.sqrt(np.mean((wrong - expected) ** 2)) / 24)
        )
        kept = [sampling.Kept(Path("x"), each, NOW) for each in other]
        found = estimate.estimate(Taken(kept, {}, [], 0, []), guess)
        assert found
        within += abs(found.error - (~truly).mean()) <= found.margin
    assert within >= 180


def test_absent_points_have_no_part_in_an_estimate() -> None:
    """And where nothing is there, nothing is estimated."""
    said, _ = answered(np.random.default_rng(5), 2)
    nothing = replace(said[0], visibility=np.full(24, ABSENT))
    guess = Guess(50, 0.1, 0.1, 0.1)
    some, none = (
        [sampling.Kept(Path("x"), each, NOW) for each in photos] for photos in ([said[1], nothing], [nothing])
    )
    found = estimate.estimate(Taken(some, {}, [], 0, []), guess)
    assert found
    assert said[1].score is not None
    assert found.error == pytest.approx(1 - said[1].score.mean(), abs=1e-6)
    assert estimate.estimate(Taken(none, {}, [], 0, []), guess) is None


def test_the_kind_is_that_which_can_have_the_points_and_has_most_of_its_own() -> None:
    """Of each category the points that it has, or all but one, are that category; none is none."""
    for name in GARMENTS.category_names:
        own = sorted(GARMENTS.can_have(name))
        v = np.zeros((3, 24), np.int64)
        v[0, own] = 2
        v[1, own[1:]] = 1
        assert traits.kinds(v, GARMENTS) == [name, name, traits.NOTHING]
