"""The rounds, from the photos to the weights. What each one makes is a file, so that none is made twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.starter import figures, labels, student
from benchmarks.starter.labels import Views
from benchmarks.starter.photos import Pictures, load
from benchmarks.starter.student import Round
from model.metrics import NE
from model.model_fn import OptimiserConfig, Weights
from model.network import NetworkConfig
from pipeline.console import console
from pipeline.training import weights
from pipeline.training.checkpoints import Checkpoint
from seamline_client.keypoints import GARMENTS

FIRST = Round(OptimiserConfig(steps=6000, warmup_steps=200), annotated=16, taught=0)
"""From nothing, on the annotated photos alone: what labels first where no weights are given."""
ROUNDS = (
    Round(OptimiserConfig(steps=600, learning_rate=7e-4, warmup_steps=40)),
    Round(OptimiserConfig(steps=800, learning_rate=8e-4, warmup_steps=40), teacher=1, balance=0.3, seed=2),
    Round(OptimiserConfig(steps=280, learning_rate=3e-4, warmup_steps=20), 8, 8, teacher=1, balance=0.3, seed=3),
    Round(
        OptimiserConfig(steps=600, learning_rate=5e-4, warmup_steps=20),
        5,
        11,
        teacher=3,
        balance=0.3,
        visibility=3.0,
        seed=4,
    ),
    Round(OptimiserConfig(steps=3500, learning_rate=1e-3, warmup_steps=100), 5, 11, teacher=3, balance=0.4, seed=5),
    Round(OptimiserConfig(steps=4000, learning_rate=1e-3, warmup_steps=100), 5, 11, teacher=5, balance=0.4, seed=6),
)
"""The first begins with the weights that label first, each other one with the mean of those of the rounds before it.
What the last one makes is the starter."""
WEIGHTS, VIEWS, FIGURES = "weights.npz", "views.npz", "figures.json"


def run(photos: Path, out: Path, init: str, *, quick: bool) -> None:
    """Makes `<out>/round-<n>/weights.npz` of each round, and tells how good they are.

    Raises DataError for photos that cannot be read, TrainingError for weights that cannot.
    """
    pictures = load(photos, out / "photos", most=8 if quick else None)
    fit, more = pictures["fit"], pictures["more"]
    usual = labels.usual(fit)
    made = [_first(out / "round-0", init, fit, more, quick=quick)]
    report(out, "round-0", made[0], pictures)
    for number, how in enumerate(ROUNDS[:1] if quick else ROUNDS, 1):
        folder = out / f"round-{number}"
        if not (folder / WEIGHTS).is_file():
            last, *earlier = [_views(out / f"round-{each}", made[each], more) for each in range(how.teacher, -1, -1)]
            xy, v, trust = labels.label(last, earlier, more.labels["category"], usual)
            console.print(f"Labels of {len(more)} photos: {100 * trust.mean():.0f} % of their points are trusted")
            taught = Pictures(more.pixels, {**more.labels, "xy": xy, "v": v})
            train(folder, shortened(how) if quick else how, fit, taught, mean(made[1:] or made))
        made.append(weights.load(str(folder / WEIGHTS)))
        report(out, f"round-{number}", made[-1], pictures)
    console.print(f"The weights: {out / f'round-{len(made) - 1}' / WEIGHTS}")


def _first(folder: Path, init: str, fit: Pictures, more: Pictures, *, quick: bool) -> Weights:
    if init != "none":
        folder.mkdir(exist_ok=True)
        return weights.load(init)
    if not (folder / WEIGHTS).is_file():
        train(folder, shortened(FIRST) if quick else FIRST, fit, more, None)
    return weights.load(str(folder / WEIGHTS))


def train(folder: Path, how: Round, fit: Pictures, taught: Pictures, initial: Weights | None) -> None:
    student.train(folder, how, fit, taught, initial)
    steps = how.optimiser.steps
    weights.save(Checkpoint(folder, f"{folder}/model.ckpt-{steps}", steps, {}), GARMENTS, folder / WEIGHTS)


def mean(made: Sequence[Weights]) -> Weights:
    """Of each number, over weights of one network."""
    arrays = {name: np.mean([each.arrays[name] for each in made], 0) for name in made[0].arrays}
    return Weights(arrays, made[0].keypoints)


def _views(folder: Path, known: Weights, more: Pictures) -> Views:
    path = folder / VIEWS
    if not path.is_file():
        views = labels.views(known, more, "photos without points")
        partial = path.with_name(f"partial-{path.name}")
        np.savez(partial, xy=views.xy, probability=views.probability)
        partial.rename(path)
    with np.load(path) as archive:
        return Views(archive["xy"], archive["probability"])


def report(
    out: Path, name: str, known: Weights, pictures: dict[str, Pictures], network: NetworkConfig | None = None
) -> None:
    """What weights reach: on the photos that choose, those of known kind that do, and, only to be told, on val."""
    if name in figures.read(out / FIGURES):
        return

    def seen(each: str) -> Views:
        return labels.views(known, pictures[each], each, flip=False, config=network)

    found = {each: figures.scored(seen(each), pictures[each]) for each in ("choose", "val")}
    wrong = figures.wrong_kind(seen("kinds"), pictures["kinds"].labels["category"])
    figures.record(out / FIGURES, name, {**found, "kinds": {"wrong_kind": round(wrong, 1)}})
    console.print(f"{name}: " + ", ".join(f"{each} NE {one[NE]} %" for each, one in found.items()))


def shortened(how: Round) -> Round:
    return replace(how, optimiser=replace(how.optimiser, steps=2, warmup_steps=1))
