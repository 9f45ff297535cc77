"""Programs that coverage leaves alone: those that are measured, and those that are killed."""

from __future__ import annotations

import os


def untraced() -> dict[str, str]:
    """This process's environment without the variables that start coverage in child processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
