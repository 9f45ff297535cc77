"""The rounds, from the photos to the weights. What each one makes is a file, so that none is made twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.starter import figures, labels, student
from benchmarks.starter.labels import Views
from benchmarks.starter.photos import Pictures, load
from benchmarks.starter.student import Round
from model.metrics import NE
from model.model_fn import OptimiserConfig, Weights
from pipeline.console import console
from pipeline.training import weights
from pipeline.training.checkpoints import Checkpoint
from seamline_client.keypoints import GARMENTS

FIRST = Round(OptimiserConfig(steps=6000, warmup_steps=200), annotated=16, taught=0)
"""From nothing, on the annotated photos alone: what labels first where no weights are given."""
ROUNDS = (
    Round(OptimiserConfig(steps=600, learning_rate=7e-4, warmup_steps=40)),
    Round(OptimiserConfig(steps=800, learning_rate=8e-4, warmup_steps=40), balance=0.3, seed=2),
)
"""Each begins with the weights of the one before and learns what those say of the photos without points."""
WEIGHTS, VIEWS, FIGURES = "weights.npz", "views.npz", "figures.json"


def run(photos: Path, out: Path, init: str, *, quick: bool) -> Path:
    """Makes `<out>/<round>/weights.npz` of each round, and tells which one is the best by the photos that choose.

    Raises DataError for photos that cannot be read, TrainingError for weights that cannot.
    """
    pictures = load(photos, out / "photos", most=32 if quick else None)
    usual = labels.usual(pictures["fit"])
    more = pictures["more"]
    folder = out / "round-0"
    folder.mkdir(exist_ok=True)
    if init == "none":
        known = _round(folder, _shortened(FIRST) if quick else FIRST, pictures["fit"], more, None)
    else:
        known = weights.load(init)
    seen: list[Views] = []
    for number, how in enumerate(ROUNDS, 1):
        _report(out, folder.name, known, pictures)
        seen.insert(0, _views(folder, known, more))
        xy, v, trust = labels.label(seen[0], seen[1:], more.labels["category"], usual)
        console.print(f"Labels of {len(more)} photos: {100 * trust.mean():.0f} % of their points are trusted")
        taught = Pictures(more.pixels, {**more.labels, "xy": xy, "v": v})
        folder = out / f"round-{number}"
        known = _round(folder, _shortened(how) if quick else how, pictures["fit"], taught, known)
    _report(out, folder.name, known, pictures)
    best = figures.best(out / FIGURES)
    path = out / best / WEIGHTS
    console.print(f"The best by the photos that choose: {path if path.is_file() else init}")
    return path


def _round(folder: Path, how: Round, fit: Pictures, taught: Pictures, known: Weights | None) -> Weights:
    path = folder / WEIGHTS
    if not path.is_file():
        student.train(folder, how, fit, taught, known)
        steps = how.optimiser.steps
        weights.save(Checkpoint(folder, f"{folder}/model.ckpt-{steps}", steps, {}), GARMENTS, path)
    return weights.load(str(path))


def _views(folder: Path, known: Weights, more: Pictures) -> Views:
    path = folder / VIEWS
    if not path.is_file():
        views = labels.views(known, more, "photos without points")
        partial = path.with_name(f"partial-{path.name}")
        np.savez(partial, xy=views.xy, probability=views.probability)
        partial.rename(path)
    with np.load(path) as archive:
        return Views(archive["xy"], archive["probability"])


def _report(out: Path, name: str, known: Weights, pictures: dict[str, Pictures]) -> None:
    """What weights reach: on the photos that choose, those of known kind that do, and, only to be told, on val."""
    if name in figures.read(out / FIGURES):
        return
    found = {
        each: figures.scored(labels.views(known, pictures[each], each, flip=False), pictures[each])
        for each in ("choose", "val")
    }
    kinds = pictures["kinds"]
    wrong = figures.wrong_kind(labels.views(known, kinds, "kinds", flip=False), kinds.labels["category"])
    figures.record(out / FIGURES, name, {**found, "kinds": {"wrong_kind": round(wrong, 1)}})
    console.print(f"{name}: " + ", ".join(f"{each} NE {one[NE]} %" for each, one in found.items()))


def _shortened(how: Round) -> Round:
    return replace(how, optimiser=replace(how.optimiser, steps=2, warmup_steps=1))
