"""The commands round the server of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Optional

import typer

from pipeline.cli.shared import app
from pipeline.console import console
from pipeline.errors import ServingError
from pipeline.settings import Settings

SHEET = typer.Option(None, "--to", help="Where the picture goes, - for standard output. Default: var/demo.png.")


@app.command()
def serve() -> None:
    """Start a server in the background, unless one runs, and wait until the model is available."""
    from pipeline.serving import local

    local.serve(Settings.from_environment())


@app.command()
def demo(to: Optional[Path] = SHEET) -> None:
    """Draw garments that no training saw, ask the running server, and show where it sees their points, in one PNG."""
    from pipeline.serving import demo as stage
    from pipeline.serving import running

    settings = Settings.from_environment()
    target = running.grpc_target(settings)
    if target is None:
        raise ServingError("No server runs here. `make serve` starts one.")
    if to == Path("-"):
        sys.stdout.buffer.write(stage.contact_sheet(target))
        return
    path = to or settings.demo
    stage.write(target, path)
    console.print(f"\nDrawn garments that no training saw, with the points that {target} answers:\n  {path}")


@app.command()
def stop() -> None:
    """End the background server."""
    from pipeline.serving import local

    local.stop(Settings.from_environment())


@app.command()
def status() -> None:
    """Say what runs, which version, since when. Exit code 6 when nothing does."""
    from pipeline.serving import local

    local.status(Settings.from_environment())
