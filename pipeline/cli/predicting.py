"""The command that answers to many photos at once, without a server."""

from __future__ import annotations

from typing import Optional

import typer

from pipeline.cli.shared import SPARK, app, engine, releases
from pipeline.console import console, progress

PHOTOS = typer.Option(..., "--photos", help="Folder of photos, file with a path a line, or the URL of an object store.")
TO = typer.Option(..., "--to", help="Folder for the answers, or the URL of one; those that are there already are kept.")
VERSION = typer.Option(None, min=1, help="Published version, a number. Default: the one that serves.")
FORMAT = typer.Option("jsonl", "--format", help="jsonl or parquet.")


@app.command()
def predict(
    photos: str = PHOTOS,
    to: str = TO,
    version: Optional[int] = VERSION,
    form: str = FORMAT,
    spark: Optional[str] = SPARK,
) -> None:
    """Write a published version's answers to many photos, without a server; go on where that stopped."""
    from pipeline.release import card
    from pipeline.scale import predict as batch

    if form not in batch.FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(batch.FORMATS)}", param_hint="'--format'")
    found = releases().find(version)
    model = batch.Model(found.folder.absolute(), found.number, card.keypoints(found.folder))
    job = batch.begin(model, photos, to, form)
    if job.found:
        console.print(f"{job.found} of {job.found + len(job.parts)} files of answers are there already")
    refused = 0
    if job.parts:
        with engine(spark) as workers, progress("Predicting") as on_progress:
            refused = job.run(workers, on_progress)
    asked = sum(map(len, job.parts))
    console.print(f"Version {model.number}: {asked} photos, {refused} refused, in {to.partition('?')[0]}")
