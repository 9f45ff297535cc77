"""Whose work a command is, for the history. Standard library only: on the host it is asked for containers too."""

from __future__ import annotations

import getpass
import os
import platform


def who() -> str:
    """`user@host`, the number of a user who has no name there."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{platform.node()}"
