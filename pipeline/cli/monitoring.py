"""The page that Prometheus reads."""

from __future__ import annotations

import typer

from pipeline.cli.shared import app, listens_at, releases
from pipeline.settings import Settings

LISTEN = typer.Option("127.0.0.1:9105", help="Where the page is: host:port.")


@app.command()
def metrics(listen: str = LISTEN) -> None:
    """Serve a page for Prometheus, and replay the golden requests now and then, until it is ended."""
    from pipeline.monitoring import exporter

    settings = Settings.from_environment()
    exporter.serve(exporter.Exporter(releases, settings.metrics), listens_at(listen), settings.golden_seconds)
