"""The commands that train, and say how good it got."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from pipeline.cli.shared import DATA, PRESET, SPARK, app, chosen_preset, engine, latest_checkpoint, releases
from pipeline.console import console, progress
from pipeline.errors import DataError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.training.checkpoints import Checkpoint
    from pipeline.training.runs import Run

PHOTOS = typer.Option(..., "--data", "--source", help="Folder of annotated photos, COCO or FashionAI.")
VERSION = typer.Option(None, min=1, help="Published version, a number. Default: the one that serves.")
WEIGHTS = typer.Option(..., help="File to write, .npz.")
STEPS = typer.Option(None, min=1, help="Train this many steps. Default: as the preset says.")
BATCH = typer.Option(None, min=1, help="Photos in each batch. Default: as the preset says.")
INIT = typer.Option(
    None, help="Weights to start from: starter, none, or a file of `weights`. Default: as the preset says."
)


@app.command()
def train(
    source: Optional[Path] = DATA,
    preset: Optional[str] = PRESET,
    steps: Optional[int] = STEPS,
    batch: Optional[int] = BATCH,
    init: Optional[str] = INIT,
) -> None:
    """Train, or go on training, and keep the best checkpoint. Other options make another run."""
    from pipeline import job, report
    from pipeline.training.presets import with_options

    chosen = with_options(chosen_preset(preset, source), steps=steps, batch=batch, init=init)
    run, checkpoint = job.train(source, chosen, Settings.from_environment())
    if checkpoint is None:
        console.print(f"Trained in {run.folder}. The evaluator has the best checkpoint and writes the report.")
        return
    console.print(f"Best checkpoint: step {checkpoint.step}, NE {checkpoint.ne:.1f} %, in {run.folder}")
    if report.is_current(checkpoint):
        console.print(f"Report: {report.path_of(run.folder)}")
    else:
        _report(run, checkpoint)


@app.command()
def presets() -> None:
    """List the presets with all their settings, as a file for --preset has them."""
    from pipeline.training.preset_table import lines
    from pipeline.training.presets import PRESETS

    for line in lines([make() for make in PRESETS.values()]):
        console.print(line)
    console.print('\nPRESET=<file>.toml changes any of them: base = "photos", then settings as above.')


@app.command()
def report() -> None:
    """Write the report on the latest run: curves, and errors and overlays of its best checkpoint."""
    with latest_checkpoint() as (run, checkpoint):
        _report(run, checkpoint)


@app.command()
def evaluate(
    source: Path = PHOTOS,
    version: Optional[int] = VERSION,
    split: str = typer.Option("all", help="train, val or all: by subfolders, or else as training splits the folder."),
    as_json: bool = typer.Option(False, "--json", help="Write one JSON object to standard output, not a table."),
    spark: Optional[str] = SPARK,
) -> None:
    """Say how good a published version is on any annotated photos: overall, by category, by keypoint."""
    from pipeline.data.photos import SPLITS, Photos
    from pipeline.evaluation import scoreboard
    from pipeline.evaluation.saved_model import evaluate_photos
    from pipeline.release import card

    if split not in SPLITS:
        raise typer.BadParameter(f"{split!r} is not one of {', '.join(SPLITS)}", param_hint="'--split'")
    found = releases().find(version)
    asked = card.keypoints(found.folder)
    photos = Photos(source, split, asked)
    if asked.keypoints != photos.keypoints.keypoints:
        raise DataError(
            f"{source}: annotated with other keypoints than those that version {found.number} answers. Name photos "
            "with its keypoints, or another version (--version)."
        )
    made = card.read(found.folder)
    trained_on = made["dataset"]["name"] if made else "unknown photos"
    with engine(spark) as workers, progress("Evaluating", shown=not as_json) as on_progress:
        scores = evaluate_photos(found.folder.absolute(), photos, on_progress, workers)
    if as_json:
        about = {"version": found.number, "trained_on": trained_on, "data": str(source), "split": split}
        print(json.dumps({**about, "refused": len(photos.refusals), **scores.as_json()}, indent=1))
        return
    console.print(f"Version {found.number}, trained on {trained_on}: {scores.photos} photos of {source}, split {split}")
    scoreboard.show(scores)
    scoreboard.show_refusals(photos.refusals)


@app.command()
def weights(to: Path = WEIGHTS) -> None:
    """Write the weights of the latest run's best checkpoint to a file, for `train --init`."""
    from pipeline.training.weights import save

    with latest_checkpoint() as (run, checkpoint):
        run.check(checkpoint.prefix)
        save(checkpoint, run.dataset.keypoints, to)
    console.print(f"Wrote the weights of step {checkpoint.step}, NE {checkpoint.ne:.1f} %, to {to}")


def _report(run: Run, checkpoint: Checkpoint) -> None:
    from pipeline import report

    console.print(f"Report: {report.write(run, checkpoint)}")
