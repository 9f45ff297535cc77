"""A change of what serves as a process of its own, which can be killed. Light, so that one begins in no time."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore
from seamline_client.contract import MODEL_NAME


def run(models: Path, target: str | None, begun: Connection, name: str, *arguments: int | None) -> None:
    """`Releases.<name>(*arguments)` of the store in `models`; says when it begins."""
    releases = Releases(ModelStore(models, MODEL_NAME), target)
    begun.send(True)
    getattr(releases, name)(*arguments)
