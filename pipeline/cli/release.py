"""The commands that publish versions and decide which of them answers."""

from __future__ import annotations

from typing import Optional

import typer

from pipeline.cli.shared import app, latest_checkpoint, releases, running_target
from pipeline.console import console
from pipeline.errors import ServingError
from pipeline.settings import Settings

TARGET = typer.Option(None, help="host:port of any server of this model. Default: the one that runs here.")
WHY = typer.Option(None, "--why", help="What the history is to say of it, in your own words.")


@app.command()
def export(
    hold: bool = typer.Option(False, "--hold", help="Publish it, and let the version that serves go on answering."),
    force: bool = typer.Option(False, "--force", help="Publish it even if it scores worse than what serves."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Prove it, and publish nothing."),
    why: Optional[str] = WHY,
) -> None:
    """Export the latest run's best checkpoint, prove it, publish it as a new version and let that answer."""
    from pipeline import job

    run, checkpoint = latest_checkpoint()
    job.export(run, checkpoint, releases(why), Settings.from_environment(), hold=hold, force=force, dry_run=dry_run)


@app.command()
def versions() -> None:
    """List the published versions: score, age, size, when each served, and what the running server says."""
    from pipeline.release import versions as listing

    found = releases()
    none = f"No version is published in {found.store.folder}. `make export` publishes one."
    console.print(listing.table(found) if found.store.versions() else none)


@app.command()
def promote(version: int, why: Optional[str] = WHY) -> None:
    """Let a version answer from now on, in a running server too, without a failed request."""
    console.print(str(releases(why).promote(version)))


@app.command()
def canary(
    version: Optional[int] = typer.Argument(None, help="The version to try."),
    end: bool = typer.Option(False, "--end", help="The trial is over: the canary's name answers no longer."),
    why: Optional[str] = WHY,
) -> None:
    """Let a version answer to the name keypoints-canary, beside the one that serves."""
    from pipeline.gateway.files import Files

    if (version is None) != end:
        raise typer.BadParameter("name a version, or --end")
    if end and Files(Settings.from_environment().gateway).shares():
        raise ServingError("The gateway sends a share of the requests there. `make serve GATEWAY=1` ends that first.")
    console.print(str(releases(why).canary(version)))


@app.command()
def rollback(why: Optional[str] = WHY) -> None:
    """Let that version answer again which answered before."""
    console.print(str(releases(why).rollback()))


@app.command()
def retire(version: int, why: Optional[str] = WHY) -> None:
    """Delete a version for good; not the one that serves, nor the canary."""
    gone = releases(why).retire(version)
    console.print(f"Retired version {version}" if gone else f"Version {version} was retired before")


@app.command()
def history(
    at: Optional[str] = typer.Option(None, help="What served then, as 2026-11-01T12:00? In UTC, or with +02:00."),
) -> None:
    """List who published, promoted, rolled back and retired what, when and why; or say what served at a moment."""
    from pipeline.release import timeline

    found = releases()
    if at is None:
        console.print(timeline.table(found.history()))
        return
    try:
        moment = timeline.instant(at)
    except ValueError as error:
        raise typer.BadParameter(f"{at!r} is not an instant, as 2026-11-01T12:00", param_hint="--at") from error
    for line in timeline.answered(found, moment):
        console.print(line)


@app.command()
def verify(
    target: Optional[str] = TARGET,
    rest: bool = typer.Option(False, "--rest", help="The target speaks REST. Default: gRPC."),
) -> None:
    """Replay the golden requests of what answers, the canary too: is it what was trained? Exit code 11 when not."""
    from pipeline.release.verify import verify as verify_live
    from seamline_client.errors import NotFound

    found = releases()
    if target is None:
        target = running_target(rest=rest)
        found.confirm()
    for name in (found.name, found.canary_name):
        try:
            number, largest = verify_live(found.store, target, name, "rest" if rest else "grpc")
        except NotFound:
            if name == found.canary_name:
                continue
            raise
        console.print(f"{name} at {target}: version {number} answers as trained, differences at most {largest:.1g}")
