"""The recipe of the weights that ship: what it takes from a teacher, and that it goes on where it stopped."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.starter import ablations, photos, rounds
from benchmarks.starter.labels import NEAR, UNKNOWN, UNPLACED, Views, label
from benchmarks.starter.photos import KINDS, Pictures
from benchmarks.starter.student import Round, batches, loss_parts
from model.losses import LossConfig, position_loss, total_loss
from model.model_fn import OptimiserConfig
from model.network import Heads
from pipeline.data.clothing import annotated
from pipeline.training.presets import tiny
from seamline_client.contract import ABSENT, OCCLUDED, VISIBLE
from seamline_client.keypoints import GARMENTS
from tests.homes import ROOT, TinyRun

KINDS_OF = GARMENTS.category_names
POINTS = len(GARMENTS)
USUAL = np.array([[name in {"waistband_left", "waistband_right"} for name in GARMENTS.keypoints]] * len(KINDS_OF))


def views(seen: dict[str, int], *, apart: float = 0.0) -> Views:
    """Of one picture, looked at twice: sure of the classes of `seen`, and that the other points are absent."""
    v = np.array([seen.get(name, ABSENT) for name in GARMENTS.keypoints])
    probability = np.tile(np.where(np.eye(3)[v] > 0, 0.98, 0.01), (2, 1, 1, 1))
    return Views(np.stack([np.full((1, POINTS, 2), 0.5 + side * apart / 2) for side in (-1, 1)]), probability)


def labelled(teacher: Views, kind: str, earlier: tuple[Views, ...] = ()) -> dict[str, int]:
    _, v, _ = label(teacher, earlier, np.array([KINDS_OF.index(kind)]), USUAL)
    return dict(zip(GARMENTS.keypoints, v[0].tolist()))


def test_the_kind_of_garment_overrules_its_teacher() -> None:
    """A point that the kind cannot have is absent, one that nearly all have is there; no more is known."""
    v = labelled(views({"neckline_left": VISIBLE}), "skirt")
    assert v["neckline_left"] == ABSENT
    assert v["waistband_left"] == UNPLACED
    assert v["hemline_left"] == UNKNOWN


def test_a_point_is_trusted_where_views_agree() -> None:
    """Its class is the teacher's then; otherwise it is there without a place, or nothing is known of it."""
    seen = {"waistband_left": VISIBLE, "hemline_left": OCCLUDED}
    near, far = (labelled(views(seen, apart=apart), "skirt") for apart in (NEAR, 3 * NEAR))
    assert (near["waistband_left"], near["hemline_left"]) == (VISIBLE, OCCLUDED)
    assert (far["waistband_left"], far["hemline_left"]) == (UNPLACED, UNKNOWN)


def test_earlier_teachers_count_where_they_saw_the_same() -> None:
    """The place is the mean over all views that are near the last teacher's; others change nothing."""
    last, near, far = (Views(views({}).xy + shift, views({}).probability) for shift in (0.0, NEAR / 2, 0.3))
    kind = np.array([KINDS_OF.index("skirt")])
    assert label(last, [near, far], kind, USUAL)[0] == pytest.approx(0.5 + NEAR / 4)


def heads(random: np.random.Generator) -> Heads:
    def some(*shape: int) -> tf.Tensor:
        return tf.constant(random.random((2, POINTS, *shape)), tf.float32)

    return Heads(some(2), some(2), some(48), some(48), some(3), some())


def test_the_losses_are_those_of_training_where_everything_is_known() -> None:
    """On labels that people made, position and visibility add up to what any run minimises."""
    random = np.random.default_rng(1)
    found, xy, v = heads(random), tf.random.uniform((2, POINTS, 2)), tf.constant(random.integers(0, 3, (2, POINTS)))
    assert float(sum(loss_parts(found, xy, v))) == pytest.approx(
        float(total_loss(found, xy, v, LossConfig())), rel=1e-5
    )


def test_what_is_not_known_teaches_nothing() -> None:
    """The place of an UNPLACED or UNKNOWN point has no gradient, nor has the class of an UNKNOWN one."""
    found = heads(np.random.default_rng(1))
    v = np.full((2, POINTS), VISIBLE)
    v[:, 0], v[:, 1] = UNPLACED, UNKNOWN
    with tf.GradientTape() as tape:
        tape.watch([found.x_logits, found.mean_xy, found.visibility_logits])
        loss = sum(loss_parts(found, tf.fill((2, POINTS, 2), 0.3), tf.constant(v)))
    x, mean, visibility = (
        np.abs(each.numpy()).sum((0, 2))
        for each in tape.gradient(loss, [found.x_logits, found.mean_xy, found.visibility_logits])
    )
    assert not x[:2].any()
    assert not mean[:2].any()
    assert visibility[0]
    assert not visibility[1]
    assert x[2:].all()
    assert visibility[2:].all()
    assert np.isfinite(
        float(position_loss(found, tf.zeros((2, POINTS, 2)), tf.fill((2, POINTS), UNKNOWN), LossConfig()))
    )


def test_a_round_that_goes_on_sees_what_it_would_have_seen() -> None:
    """Batches depend on the step alone."""
    random = np.random.default_rng(1)
    fit, taught = (
        Pictures(
            random.integers(0, 256, (4, *photos.SHAPE), dtype=np.uint8),
            {
                "xy": random.random((4, POINTS, 2), np.float32),
                "v": random.integers(0, 3, (4, POINTS)),
                "size": np.full((4, 2), 400.0, np.float32),
                "category": np.array([0, 0, 1, 4]),
            },
        )
        for _ in range(2)
    )
    how = Round(OptimiserConfig(steps=3), annotated=1, taught=2)
    whole = [batch["images"] for batch in batches(how, fit, taught, 0).take(3).as_numpy_iterator()]
    (last,) = batches(how, fit, taught, 2).take(1).as_numpy_iterator()
    assert np.array_equal(whole[2], last["images"])
    assert not np.array_equal(whole[1], whole[2])


def test_the_public_set_is_read_as_it_is_fetched(tmp_path: Path) -> None:
    """Photos of a known kind are taken from its images.csv; other labels, annotated and missing photos are not."""
    (labelled_photo, *_) = (Path(each).stem for each in annotated("val"))
    (tmp_path / "images").mkdir()
    named = {"a": "Pants", "b": "Hoodie", "c": "Not sure", "gone": "Dress", labelled_photo: "Skirt"}
    for name in named.keys() - {"gone"}:
        (tmp_path / "images" / f"{name}.jpg").touch()
    rows = "".join(f"{name},1,{label},False\n" for name, label in named.items())
    (tmp_path / "images.csv").write_text(f"image,sender_id,label,kids\n{rows}")
    found = photos.of_known_kind(tmp_path)
    assert [(path.name, kind) for _, path, kind in found] == [("a.jpg", "trousers"), ("b.jpg", "outwear")]
    assert KINDS.keys() == set(KINDS_OF)


@pytest.fixture(scope="module")
def public(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn garments in the place of the public photos, some of them as if only their kind was known."""
    folder = tmp_path_factory.mktemp("public")
    for split in ("train", "val", "more"):
        shutil.copytree(tiny_run.photos, folder / split)
    (source,) = (folder / "more" / "Annotations").glob("*.csv")
    with source.open() as file, (folder / "more" / "kinds.csv").open("w") as to:
        csv.writer(to).writerows(row[:2] for row in csv.reader(file))
    return folder


@pytest.mark.slow
def test_the_recipe_goes_on_where_it_stopped(public: Path, tmp_path: Path) -> None:
    """With `--quick`, killed and asked again: each round's weights and figures are there, and none is made twice."""
    command = [sys.executable, "-m", "benchmarks.starter", "--photos", str(public), "--out", str(tmp_path), "--quick"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        for line in first.stdout:
            if "Training round-1" in line:
                first.kill()
    assert not (tmp_path / "round-1" / "weights.npz").exists()
    rounds.run(public, tmp_path, "none", quick=True)
    told = json.loads((tmp_path / "figures.json").read_text())
    assert {"round-0", "round-1"} <= told.keys()
    assert told["round-1"]["val"]["ne"] > 0
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.npz")}
    assert made
    rounds.run(public, tmp_path, "none", quick=True)
    assert made == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.npz")}


@pytest.mark.slow
def test_each_way_is_scored_as_it_was_trained(public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ablations: a network of another width is measured as such, and none is trained twice."""
    monkeypatch.setattr(ablations, "WAYS", {"narrow": replace(ablations.USUAL, network=tiny().model.network)})
    ablations.run(public, tmp_path, quick=True)
    told = json.loads((tmp_path / "ablations" / "figures.json").read_text())
    assert told["narrow"]["choose"]["ne"] > 0
    (made,) = tmp_path.rglob("weights.npz")
    before = made.stat().st_mtime_ns
    ablations.run(public, tmp_path, quick=True)
    assert made.stat().st_mtime_ns == before
