"""Publishing: a proven candidate becomes a version that servers see, by one rename."""

from __future__ import annotations

from pipeline.export import Candidate
from pipeline.store import ModelStore, Version


def publish(candidate: Candidate, store: ModelStore) -> Version:
    """Raises ExportError when a file does not match its checksum, or another process is publishing."""
    return store.publish(candidate.folder)
