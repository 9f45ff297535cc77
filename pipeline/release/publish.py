"""Publishing: a proven candidate becomes a version that servers see, by one rename."""

from __future__ import annotations

from pipeline.release.export import Candidate
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, Version


def publish(candidate: Candidate, store: ModelStore, releases: Releases) -> Version:
    """The new version, once the running server, if any, has loaded it. Versions that nobody needs any more are removed.

    Raises ChecksumError when a file is not what was written, BusyError when another process is changing the store.
    """
    version = store.publish(candidate.folder)
    releases.published(version)
    return version
