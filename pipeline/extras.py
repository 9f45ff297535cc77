"""Packages that only some of the pipeline's rooms need, and most people never install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import PipelineError


@contextmanager
def needed(name: str) -> Iterator[None]:
    """Round imports of what requirements/<name>.lock brings. Raises PipelineError where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise PipelineError(
            f"{error.name} is not installed, which only this command needs. "
            f"In the project's folder: python3 -m pipeline.runtime.venv {name}"
        ) from error
