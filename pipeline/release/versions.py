"""The table of published versions."""

from __future__ import annotations

import time
from pathlib import Path

from rich.table import Table

from pipeline.console import console
from pipeline.release import card as cards
from pipeline.release import models_config as policy
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, Version
from seamline_client.api import PredictClient
from seamline_client.contract import MODEL_NAME
from seamline_client.errors import ClientError


def show(store: ModelStore, releases: Releases) -> None:
    """Prints it, newest first."""
    versions = store.versions()
    if not versions:
        console.print(f"No version is published in {store.folder}. `make export` publishes one.")
        return
    labels = policy.read(store).labels
    states = _states(releases.target)
    table = Table(*("version", "NE", "preset", "labels", "age", "size", "in the server"))
    for version in reversed(versions):
        card = cards.read(version.folder)
        named = ", ".join(sorted(label for label, number in labels.items() if number == version.number))
        table.add_row(
            str(version.number),
            f"{card['metrics']['ne']:.2f} %" if card else "?",
            card["preset"] if card else "?",
            named,
            _age(version),
            f"{_bytes(version.folder) / 1e6:.1f} MB",
            states.get(version.number, ""),
        )
    console.print(table)


def _states(target: str | None) -> dict[int, str]:
    if target is None:
        return {}
    try:
        with PredictClient(target, model=MODEL_NAME, timeout=5.0, retries=0) as client:
            return {status.version: status.state for status in client.status()}
    except ClientError as error:
        console.print(f"The server at {target} does not answer: {error}")
        return {}


def _age(version: Version) -> str:
    hours = (time.time() - version.folder.stat().st_mtime) / 3600
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
