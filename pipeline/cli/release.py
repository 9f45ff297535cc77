"""The commands that publish versions and decide which of them answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import typer

from pipeline.cli.shared import app, latest_checkpoint, listens_at, releases, running_target
from pipeline.console import console
from pipeline.errors import ServingError
from pipeline.settings import Settings
from seamline_client.contract import MODEL_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.release.releases import Change
    from pipeline.release.verdicts import Verdict

TARGET = typer.Option(
    None,
    help="host:port of any server of this model; several with commas between them. Default: those that run here.",
)
LISTEN = typer.Option(
    None, help="Answer over HTTP at this address until SIGTERM: 200, or 500 with the difference. As 127.0.0.1:8700."
)
VERSION = typer.Argument(..., metavar="VERSION", help="Published version, a number.")
"""Named as the variable of make that carries it."""
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

    settings = Settings.from_environment()
    with latest_checkpoint() as (run, checkpoint):
        job.export(run, checkpoint, releases(why), settings, hold=hold, force=force, dry_run=dry_run)


@app.command()
def versions() -> None:
    """List the published versions: score, age, size, when each served, and what the running server says."""
    from pipeline.release import versions as listing

    found = releases()
    none = f"No version is published in {found.store.folder}. `make export` publishes one."
    console.print(listing.table(found) if found.store.versions() else none)


@app.command()
def promote(version: int = VERSION, why: Optional[str] = WHY) -> None:
    """Let a version answer from now on, in a running server too, without a failed request."""
    _say(releases(why).promote(version))


@app.command()
def canary(
    version: Optional[int] = typer.Argument(None, help="Published version, a number."),
    end: bool = typer.Option(False, "--end", help="End the trial: the canary's name answers no longer."),
    why: Optional[str] = WHY,
) -> None:
    """Let a version answer to the name keypoints-canary, beside the one that serves."""
    from pipeline.gateway import running
    from pipeline.gateway.files import Files

    if (version is None) != end:
        raise typer.BadParameter("name a version, or --end (make: VERSION=<number>, or END=1)")
    settings = Settings.from_environment()
    if end and running.find(settings) and Files(settings.gateway).shares():
        raise ServingError(
            "The gateway still sends a share of the requests to the canary. "
            "Run `make serve GATEWAY=1` without SHARE first."
        )
    _say(releases(why).canary(version))


@app.command()
def rollback(why: Optional[str] = WHY) -> None:
    """Let that version answer again which answered before."""
    _say(releases(why).rollback())


@app.command()
def retire(version: int = VERSION, why: Optional[str] = WHY) -> None:
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
        raise typer.BadParameter(f"{at!r} is not an instant, as 2026-11-01T12:00", param_hint="'--at'") from error
    for line in timeline.answered(found, moment):
        console.print(line)


@app.command()
def verify(
    target: Optional[str] = TARGET,
    rest: bool = typer.Option(False, "--rest", help="Speak REST with the target. Default: gRPC."),
    listen: Optional[str] = LISTEN,
) -> None:
    """Replay the golden requests of what answers, the canary too: is it what was trained? Exit code 11 when not."""
    from pipeline.release import verdicts

    if listen is not None:
        _listen(listen, target, rest)
        return
    if target is None:
        running_target()
        releases().confirm()
    found = _verdicts(target, rest)
    for each in found:
        if not each.error:
            console.print(str(each))
    verdicts.check(found)


def _verdicts(target: str | None, rest: bool) -> Sequence[Verdict]:
    from pipeline.release import verdicts
    from pipeline.release.store import ModelStore
    from pipeline.serving import fleet

    named = fleet.replicas(running_target(rest=rest) if target is None else target)
    servers = [each for server in named for each in fleet.addresses(server)]
    store = ModelStore(Settings.from_environment().models, MODEL_NAME)
    return verdicts.verdicts(store, servers, "rest" if rest else "grpc")


def _listen(where: str, target: str | None, rest: bool) -> None:
    from pipeline.release import verify_http

    host, port = listens_at(where, lowest=0)
    settings = Settings.from_environment()
    named = target or (None if rest else settings.serving_target)
    asked = named.rpartition(":")[2] if named else settings.rest_port if rest else settings.grpc_port

    def ask(caller: str) -> Sequence[Verdict]:
        own = f"[{caller}]" if ":" in caller else caller
        return _verdicts(f"{own}:{asked}" if caller else target, rest)

    def ready(port: int) -> None:
        console.print(f"Proofs of {target or 'what runs'} at http://{host}:{port}/")

    verify_http.serve(host, port, ask, ready)


def _say(change: Change) -> None:
    console.print(str(change))
    change.check()
