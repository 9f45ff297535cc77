"""The commands that train, and say how good it got."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from pipeline.cli.data import note_missing
from pipeline.cli.shared import DATA, PRESET, app, latest_checkpoint, preset_name
from pipeline.console import console
from pipeline.release.store import ModelStore
from pipeline.settings import Settings
from seamline_client.contract import MODEL_NAME

if TYPE_CHECKING:
    from pipeline.training.hooks import Checkpoint
    from pipeline.training.runs import Run

PHOTOS = typer.Option(..., "--data", "--source", help="Folder of annotated photos, FashionAI layout.")
WEIGHTS = typer.Option(..., help="The file to write, .npz.")


@app.command()
def train(
    source: Optional[Path] = DATA,
    preset: Optional[str] = PRESET,
    init: Optional[str] = typer.Option(
        None, help="Weights to start from: starter, none, or a file of `weights`. Default: as the preset says."
    ),
    backbone: Optional[str] = typer.Option(
        None, help="mobilenet_v2: in place of the network's own stages; --init names Keras' .h5 file of its weights."
    ),
) -> None:
    """Train, or go on training, and keep the best checkpoint."""
    from pipeline.data.prepare import prepare
    from pipeline.training.presets import PRESETS
    from pipeline.training.runs import open_run
    from pipeline.training.train import train as train_stage

    settings = Settings.from_environment()
    chosen = PRESETS[preset_name(preset, source)]()
    if init:
        chosen = replace(chosen, init=None if init == "none" else init)
    if backbone:
        if not init:
            raise typer.BadParameter("name its weights, --init <file>.h5, or --init none", param_hint="--backbone")
        try:
            chosen = chosen.with_backbone(backbone)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--backbone") from error
    dataset = prepare(source, chosen.name, settings.data)
    console.print(
        f"Training on {dataset.folder}: {dataset.count('train')} photos, evaluating on {dataset.count('eval')}, "
        f"{len(dataset.refusals)} refused{' (`python -m pipeline data` lists them)' if dataset.refusals else ''}"
    )
    note_missing(dataset)
    drawn = prepare(None, chosen.name, settings.data, mixed_in=True) if source and chosen.drawn_share else None
    run = open_run(settings.runs, dataset, chosen, drawn)
    checkpoint = train_stage(run.dataset, run.preset, run.folder, drawn=run.drawn)
    console.print(f"Best checkpoint: step {checkpoint.step}, NE {checkpoint.ne:.1f} %, in {run.folder}")
    _report(run, checkpoint, again=False)


@app.command()
def report() -> None:
    """Write the report of the latest run, curves, errors and overlays of its best checkpoint, and say where it is."""
    run, checkpoint = latest_checkpoint()
    _report(run, checkpoint, again=True)


@app.command()
def evaluate(
    source: Path = PHOTOS,
    version: Optional[int] = typer.Option(None, help="A published version. Default: the newest."),
    split: str = typer.Option("all", help="train, val or all: as its subfolders have it, or as training splits it."),
    as_json: bool = typer.Option(False, "--json", help="For programs: one JSON object on standard output."),
) -> None:
    """Say how good a published version is on any annotated photos: overall, by category, by keypoint."""
    from pipeline.console import progress
    from pipeline.data.photos import SPLITS, Photos
    from pipeline.evaluation import scoreboard
    from pipeline.evaluation.saved_model import answers
    from pipeline.evaluation.scores import score
    from pipeline.release import card

    if split not in SPLITS:
        raise typer.BadParameter(f"{split!r} is not one of {', '.join(SPLITS)}", param_hint="--split")
    found = ModelStore(Settings.from_environment().models, MODEL_NAME).find(version)
    photos = Photos(source, split)
    made = card.read(found.folder)
    trained_on = made["dataset"]["name"] if made else "unknown photos"
    if as_json:
        scores = score(answers(found.folder, photos.batches(lambda done, total, note="": None)))
        asked = {"version": found.number, "trained_on": trained_on, "data": str(source), "split": split}
        print(json.dumps({**asked, "refused": len(photos.refusals), **scores.as_json()}, indent=1))
        return
    with progress("Evaluating") as on_progress:
        scores = score(answers(found.folder, photos.batches(on_progress)))
    console.print(f"Version {found.number}, trained on {trained_on}: {scores.photos} photos of {source}, split {split}")
    scoreboard.show(scores)
    scoreboard.show_refusals(photos.refusals)


@app.command()
def weights(to: Path = WEIGHTS) -> None:
    """Write the weights of the latest run's best checkpoint, to start other runs from (`train --init`)."""
    from pipeline.training.weights import save

    _, checkpoint = latest_checkpoint()
    save(checkpoint, to)
    console.print(f"Wrote the weights of step {checkpoint.step}, NE {checkpoint.ne:.1f} %, to {to}")


def _report(run: Run, checkpoint: Checkpoint, *, again: bool) -> None:
    """Writes it unless it is there, is younger than the checkpoint, and is not asked for again."""
    from pipeline import report

    page = report.path_of(run.folder)
    if again or not report.is_current(checkpoint):
        page = report.write(checkpoint, run.preset, run.dataset)
    console.print(f"Report: {page}")
