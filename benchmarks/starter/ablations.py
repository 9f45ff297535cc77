"""What pays in the preset `photos`: one thing changed at a time, each trained from nothing on the annotated photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.starter import rounds
from benchmarks.starter.photos import load
from benchmarks.starter.student import Round
from model.model_fn import OptimiserConfig
from pipeline.console import console
from pipeline.data.augment import Augmentation
from pipeline.training import weights
from pipeline.training.presets import gpu, photos

USUAL = Round(
    OptimiserConfig(steps=1000, warmup_steps=100),
    annotated=16,
    taught=0,
    balance=1.0,
    augmentation=photos().augmentation,
)
"""The preset `photos` from nothing, but for its steps: a sixth of them tells ways apart that differ by much."""
WAYS: Mapping[str, Round] = {
    "usual": USUAL,
    "another seed": replace(USUAL, seed=2),
    "kinds evenly": replace(USUAL, balance=0.3),
    "not stretched": replace(USUAL, augmentation=Augmentation()),
    "turned further": replace(USUAL, augmentation=replace(USUAL.augmentation, rotate=40.0)),
    "wider": replace(USUAL, network=gpu().model.network),
}


def run(folder: Path, out: Path, *, quick: bool) -> None:
    """Trains each way into `<out>/ablations/<way>`, going on where it stopped, and tells how good it is.

    Raises DataError for photos that cannot be read.
    """
    pictures = load(folder, out / "photos", most=8 if quick else None)
    for name, way in WAYS.items():
        how = rounds.shortened(way) if quick else way
        place = out / "ablations" / name.replace(" ", "-")
        if not (place / rounds.WEIGHTS).is_file():
            rounds.train(place, how, pictures["fit"], pictures["more"], None)
        rounds.report(out / "ablations", name, weights.load(str(place / rounds.WEIGHTS)), pictures, how.network)
    console.print(f"Figures: {out / 'ablations' / rounds.FIGURES}")
