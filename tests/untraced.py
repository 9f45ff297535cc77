"""Programs that coverage is not to look into: those that are measured, and those that are killed."""

from __future__ import annotations

import os


def untraced() -> dict[str, str]:
    """This process's environment, without what makes coverage begin in the programs that it starts."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
