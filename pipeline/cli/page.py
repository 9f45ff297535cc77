"""The page in a browser: look at answers, correct them, and keep what was corrected as training data."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from pipeline.cli.shared import app, server_to_ask
from pipeline.console import console, progress
from pipeline.page.desk import PORT as DEFAULT_PORT
from pipeline.settings import Settings

PHOTOS = typer.Option(None, "--photos", help="Folder of photos to correct, those first that would teach the most.")
LIST = typer.Option(
    None, "--list", help="Order of --photos: a file that `rank --coco` wrote. Default: asks the server."
)
TO = typer.Option(None, "--to", help="Folder that corrected photos are saved to. Default: corrected.")
PORT = typer.Option(DEFAULT_PORT, min=0, max=65535, help="Port of 127.0.0.1; 0 takes a free one.")
TARGET = typer.Option(None, help="URL of the model's REST API. Default: the server that runs here.")


@app.command()
def page(
    photos: Optional[Path] = PHOTOS,
    list: Optional[Path] = LIST,
    to: Optional[Path] = TO,
    port: int = PORT,
    target: Optional[str] = TARGET,
) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C: drop photos, see their points, correct and save them."""
    from pipeline.page import desk
    from pipeline.page.server import serve
    from pipeline.serving import local

    if list and not photos:
        raise typer.BadParameter("it names photos below a folder, which --photos says", param_hint="'--list'")
    settings = Settings.from_environment()
    # Of a server that is not there the page itself says so, and asks again.
    rest = target or local.target(settings, rest=True) or f"127.0.0.1:{settings.rest_port}"
    found = {}
    if photos:
        found = desk.listed(photos, list) if list else _ranked(photos, target)
    serve(desk.lay(rest, to or desk.CORRECTED, found), port)


def _ranked(photos: Path, target: str | None) -> dict[str, Path]:
    from pipeline.labelling.rank import rank
    from seamline_client import PredictClient

    # The page speaks REST; what runs here is asked over gRPC, which costs less.
    asked = PredictClient(target, "rest") if target else PredictClient(server_to_ask())
    with asked as client, progress("Asking") as on_progress:
        ranking = rank(client, photos, on_progress)
    for refusal in ranking.refusals:
        console.print(f"Left out: {refusal}")
    return {each.answer.photo.below: Path(each.answer.photo.path) for each in ranking.photos}
