"""The command that says what to label next."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from pipeline.cli.shared import app, server_to_ask
from pipeline.console import console, progress
from pipeline.settings import Settings

PHOTOS = typer.Option(..., "--photos", help="Folder of photos without labels, or a file with a path a line.")
COUNT = typer.Option(30, min=1, help="How many photos are listed and written.")
SHEET = typer.Option(None, "--to", help="Where the contact sheet goes, a PNG. Default: var/rank.png.")
COCO = typer.Option(None, "--coco", help="Write the model's answers here, to correct them in a labelling tool.")
TARGET = typer.Option(None, help="host:port of any server of this model. Default: the one that runs here.")


@app.command()
def rank(
    photos: Path = PHOTOS,
    count: int = COUNT,
    to: Optional[Path] = SHEET,
    coco: Optional[Path] = COCO,
    target: Optional[str] = TARGET,
) -> None:
    """List photos by how much their labels would teach: the least sure first, those that look alike once."""
    from pipeline.labelling import rank as ranking
    from pipeline.labelling import sheet
    from seamline_client import PredictClient

    with PredictClient(target or server_to_ask()) as client, progress("Asking") as on_progress:
        found = ranking.rank(client, photos, on_progress)
    chosen = found.photos[:count]
    for place, each in enumerate(chosen, 1):
        answer = each.answer
        names = ", ".join(answer.prediction.about.keypoints[index] for index in answer.least_sure(sheet.MARKED))
        more = f"; {len(each.others)} more like it" if each.others else ""
        console.print(f"{place:>4}  {answer.doubt:.2f}  {answer.photo.below}  {names or 'no point found'}{more}")
    for refusal in found.refusals:
        console.print(f"Left out: {refusal}")
    if coco:
        ranking.write_coco(chosen, coco)
        console.print(f"Answers to correct: {coco}")
    path = to or Settings.from_environment().data.with_name("rank.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.draw(chosen, path)
    console.print(f"Contact sheet: {path}")
