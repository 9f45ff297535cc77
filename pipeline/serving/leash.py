"""Runs a command that does not outlive its parent: `python -m pipeline.serving.leash <parent> <command> ...`.

A process that is killed cannot end its children; on Linux the kernel does it in its place, as soon as the thread that
started them ends. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        try:
            os.execvp(command[0], command)
        except OSError as error:  # its log is shown
            sys.exit(f"{command[0]}: {error.strerror}")
