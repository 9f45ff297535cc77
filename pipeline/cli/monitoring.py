"""The page that Prometheus reads."""

from __future__ import annotations

import typer

from pipeline.cli.shared import app, releases
from pipeline.settings import Settings, address

LISTEN = typer.Option("127.0.0.1:9105", help="Where the page is: host:port.")
EVERY = typer.Option(300.0, min=1.0, help="Seconds between two replays of the golden requests.")


@app.command()
def metrics(listen: str = LISTEN, every: float = EVERY) -> None:
    """Serve a page for Prometheus, and replay the golden requests now and then, until it is ended."""
    from pipeline.monitoring import exporter

    where = address("--listen", listen)
    exporter.serve(exporter.Exporter(releases, Settings.from_environment().metrics), where, every)
