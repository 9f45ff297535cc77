"""The home that benchmarks look into: how fast a network is does not depend on what it has learned."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local_job import Seamline


@pytest.fixture(scope="session")
def home(seamline: Seamline) -> Path:
    """A SEAMLINE_HOME with a version of the tiny network."""
    return seamline.home
