"""The command that says whether what is asked is still what the model was made for."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Optional

import typer

from pipeline.cli.shared import app, releases
from pipeline.console import console, progress
from pipeline.errors import EXIT_DRIFT, ServingError
from pipeline.settings import Settings

SAMPLE = typer.Option(..., "--sample", help="Folder that clients keep a sample in, as `predict.py --sample` does.")
VERSION = typer.Option(None, min=1, help="Whose answers are compared. Default: the version that serves.")
TO = typer.Option(None, "--to", help="Folder for the page and the list of photos to label. Default: var/drift.")
JSON = typer.Option(False, "--json", help="Write one JSON object to standard output, not a table.")
PROMETHEUS = typer.Option(None, "--prometheus", help="Write gauges there, for the textfile collector of node_exporter.")


@app.command()
def drift(
    sample: Path = SAMPLE,
    version: Optional[int] = VERSION,
    to: Optional[Path] = TO,
    json: bool = JSON,
    prometheus: Optional[Path] = PROMETHEUS,
) -> None:
    """Compare a sample of photos and answers with the evaluation photos. Exit code 16 where something differs."""
    found = releases()
    number = version or found.names().version
    if number is None:
        raise ServingError("No version serves. --version names one.")
    chosen = found.store.find(number)

    from pipeline.drift import compare, gauges, reference, taken
    from pipeline.drift.estimate import estimate
    from pipeline.release import card
    from pipeline.report import drifting

    known = reference.read(chosen.folder)
    with progress("Reading", shown=not json) as on_progress:
        photos = taken.read(sample, number, card.keypoints(chosen.folder), on_progress)
    findings = compare.compare(known, photos)
    guessed = estimate(photos, known.guess)
    folder = to or Settings.from_environment().data.with_name("drift")
    page, worst = drifting.write(folder, number, known, photos, findings, guessed)
    if prometheus:
        gauges.write(prometheus, number, photos, findings, guessed)
    differing = [each.trait for each in findings if each.differs]
    if json:
        document = {
            "version": number,
            "photos": len(photos.photos),
            "other_versions": photos.others,
            "refused": len(photos.refusals),
            "differing": differing,
            "findings": [asdict(each) for each in findings],
            "estimate": asdict(guessed) if guessed else None,
            "page": str(page),
            "worst": str(worst),
        }
        print(dumps(document, indent=1))
    else:
        console.print(drifting.table(findings))
        for line in drifting.lines(number, photos, guessed):
            console.print(line)
        console.print(f"Page: {page}\nPhotos to label next: python -m pipeline rank --photos {worst}")
    if differing:
        typer.echo(
            f"The sample differs in {', '.join(differing)} from what version {number} was evaluated on.", err=True
        )
        raise typer.Exit(EXIT_DRIFT)
