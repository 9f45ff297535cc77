"""The commands that publish versions and decide which of them answers."""

from __future__ import annotations

from typing import Optional

import typer

from pipeline.cli.shared import app, latest_checkpoint, store_and_releases
from pipeline.console import console
from pipeline.errors import ServingError
from pipeline.release.store import ModelStore
from pipeline.settings import Settings

LABEL = typer.Option("stable", help="stable is the production address; canary, or any other name, is for trials.")


@app.command()
def export(
    dry_run: bool = typer.Option(False, help="Stop before the version is published."),
    force: bool = typer.Option(False, help="Publish even when it scores worse than the version published before."),
) -> None:
    """Export the latest run's best checkpoint, prove it, and publish it as a new version."""
    from pipeline.release.export import export as export_stage
    from pipeline.release.gate import show as show_proofs
    from pipeline.release.gate import validate
    from pipeline.release.publish import publish

    run, checkpoint = latest_checkpoint()
    store, releases = store_and_releases()
    with store.stage() as staging:
        console.print(f"Exporting step {checkpoint.step} of {run.folder}")
        candidate = export_stage(checkpoint, run.preset, run.dataset, staging)
        proofs = validate(
            candidate,
            store.latest(),
            run.dataset,
            serving_image=Settings.from_environment().serving_image,
            force=force,
        )
        show_proofs(proofs)
        if dry_run:
            console.print("Not published, as asked.")
            return
        version = publish(candidate, store, releases)
    console.print(f"Published version {version.number}: {version.folder}")
    if releases.target:
        console.print(f"The running server at {releases.target} has loaded it")
    _warn_of_canary(store)


@app.command()
def versions() -> None:
    """List the published versions: score, labels, age, size, and their state in the running server."""
    from pipeline.release.versions import show

    show(*store_and_releases())


@app.command()
def promote(version: int, label: str = LABEL) -> None:
    """Move a label to a version, in a running server too, without a gap."""
    store, releases = store_and_releases()
    releases.promote(version, label)
    console.print(f"{label} is version {version}")
    _warn_of_canary(store)


@app.command()
def rollback(label: str = LABEL) -> None:
    """Move a label back to the version it was on before; without labels, serve the version before."""
    _, releases = store_and_releases()
    console.print(f"Back to version {releases.rollback(label)}")


@app.command()
def remove(version: int) -> None:
    """Delete a version that is neither served nor labelled."""
    _, releases = store_and_releases()
    releases.remove(version)
    console.print(f"Removed version {version}")


@app.command()
def verify(
    target: Optional[str] = typer.Option(None, help="host:port of any server of ours. Default: the running one."),
    rest: bool = typer.Option(False, "--rest", help="The target speaks REST. Default: gRPC."),
    label: Optional[str] = typer.Option(None, help="Ask the version that this label is on."),
) -> None:
    """Replay the golden requests of the version that answers: is it what was trained? Exit code 11 when it is not."""
    from pipeline.release.golden import Golden, replay
    from seamline_client.api import PredictClient

    store, releases = store_and_releases()
    target = target or releases.target
    if target is None:
        raise ServingError("No server runs here. `make serve` starts one, --target names another.")
    with PredictClient(target, "rest" if rest else "grpc") as client:
        number = client.metadata(label=label).version
        golden = Golden.load(store.folder / str(number))
        largest = replay(golden, client, version=number)
    console.print(f"{target} answers with version {number} what was trained: differences at most {largest:.1g}")


def _warn_of_canary(store: ModelStore) -> None:
    from pipeline.release import models_config as policy

    labels = policy.read(store).labels
    latest = store.latest()
    if labels and latest and latest.number not in (labels.get("stable"),):
        console.print(
            f"Note: requests without a label go to the highest loaded version, {latest.number}; "
            f"production callers name one ({', '.join(f'{label} is {version}' for label, version in labels.items())})."
        )
