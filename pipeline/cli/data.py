"""The commands that make data sets."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Optional

import typer

from pipeline.cli.shared import DATA, PRESET, SPARK, app, chosen_preset, engine
from pipeline.console import console
from pipeline.errors import DataError
from pipeline.settings import Settings

COCO = typer.Option(..., "--coco", help="COCO keypoints: a JSON file.")
IMAGES = typer.Option(..., "--images", help="Folder that the file's photos are in.")
TO = typer.Option(..., "--to", help="New folder for --data, in the FashionAI layout.")
NAMES = typer.Option(
    None, "--map", help="theirs=ours for a keypoint or category of another name, or a JSON file of such pairs."
)
FROM = typer.Option(None, "--from", help="COCO keypoints: a JSON file, or a folder of photos with one.")
SIGMAS = typer.Option(
    None, "--sigmas", metavar="LABELS LABELS", help="Two label files of the same photos, COCO or CSV, by two people."
)
SET = typer.Option(None, "--to", help="File to write. Default: standard output.")
PHOTOS = typer.Argument(..., help="Folder that the photos are in, at any depth.")
GARMENTS = typer.Option("garments", help="New folder for --data.")


@app.command()
def data(
    source: Optional[Path] = DATA,
    preset: Optional[str] = PRESET,
    strict: bool = typer.Option(False, help="A refused row or photo is an error, and so is a category without photos."),
    spark: Optional[str] = SPARK,
) -> None:
    """Check photos and annotations and write them as TFRecord."""
    from pipeline.data.prepare import prepare
    from pipeline.evaluation.limits import limits

    drawn = chosen_preset(preset, source).drawn
    with engine(spark) as found:
        dataset = prepare(source, Settings.from_environment().data, drawn=drawn, strict=strict, engine=found)
    console.print(f"Data set {dataset.folder}")
    for split, counts in dataset.categories.items():
        console.print(f"  {split}: {dataset.keypoints.counted(sum(counts.values()))} ({by_name(counts)})")
    for refusal in dataset.refusals:
        console.print(f"  refused: {refusal}")
    for sentence in limits(dataset):
        console.print(f"Note: {sentence}")


@app.command()
def convert(
    coco: Path = COCO,
    images: Path = IMAGES,
    to: Path = TO,
    names: Optional[list[str]] = NAMES,
    crop_all: bool = typer.Option(
        False, "--crop-all", help="Cut out each garment. Default: only where a photo has several."
    ),
    margin: float = typer.Option(0.1, min=0.0, max=10.0, help="Room left around a garment, as a share of its sides."),
    strict: bool = typer.Option(False, help="A refused annotation is an error, and nothing is written."),
) -> None:
    """Write COCO keypoints and their photos as a folder that `data` and `train` read."""
    from pipeline.console import progress
    from pipeline.data.coco import read_names
    from pipeline.data.convert import convert as convert_stage

    with progress("Converting") as on_progress:
        converted = convert_stage(
            coco, images, to, read_names(names or []), on_progress, crop_all=crop_all, margin=margin, strict=strict
        )
    counts = converted.categories
    written = converted.keypoints.counted(sum(counts.values()))
    console.print(f"Wrote {to}: {written} ({', '.join(f'{n} {c}' for c, n in counts.items())})")
    if converted.cropped:
        console.print(f"  cut out of their photos: {converted.cropped}")
    if converted.guessed:
        console.print(f"  category guessed from their points: {converted.guessed} (--map <theirs>=<ours> states it)")
    if converted.mixed:
        console.print(f"  with points that nothing of their category has, kept as they are: {converted.mixed}")
    if converted.without_keypoints:
        console.print(f"  passed over, for they have no keypoints: {converted.without_keypoints} annotations")
    for refusal in converted.refusals:
        console.print(f"  refused: {refusal}")


@app.command()
def keypoints(
    source: Optional[Path] = FROM, labels: Optional[tuple[Path, Path]] = SIGMAS, to: Optional[Path] = SET
) -> None:
    """Write a keypoint set to be edited: that of a COCO file's categories, or of labels, whose sigmas are measured."""
    from pipeline.data import coco_folder

    if (source is None) == (labels is None):
        raise typer.BadParameter("give one of --from and --sigmas")
    if to and to.exists():
        raise DataError(f"{to}: exists, and nothing is ever written over; name another file.")
    if source:
        found, notes = coco_folder.keypoints_of(source)
    elif labels:
        from pipeline.data.sigmas import measure

        found, measured = measure(*labels)
        found = replace(found, sigmas=tuple(round(sigma, 5) for sigma, _ in measured.values()))
        notes = [f"sigma of {name}: {sigma:.4f}, from {count} labels" for name, (sigma, count) in measured.items()]
    text = json.dumps(found.as_json(), indent=1)
    if to is None:
        print(text)
    else:
        to.write_text(text + "\n", encoding="utf-8")
        console.print(f"Wrote {to}: {len(found)} keypoints, {len(found.pairs)} pairs. Beside the photos it is used.")
    for note in notes:
        print(f"  {note}", file=sys.stderr if to is None else sys.stdout)


@app.command()
def garments(photos: Path = PHOTOS, to: Path = GARMENTS) -> None:
    """Make a data set from the photos of the public Clothing Dataset and the annotations that come with Seamline."""
    from pipeline.data.clothing import arrange

    counts = arrange(photos, to)
    console.print(f"Made {to}: {' and '.join(f'{count} photos in {split}/' for split, count in counts.items())}")


def by_name(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
