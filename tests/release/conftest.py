"""Worlds for the tests of what answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.release.world import World


@pytest.fixture
def offline(tmp_path: Path) -> World:
    """Nothing is published, and no server can be run: versions are empty folders."""
    return World(tmp_path, served=False)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Version 1 was exported and is served."""
    world = World(tmp_path, served=True)
    world.export()
    world.start()
    try:
        yield world
    finally:
        world.stop()
