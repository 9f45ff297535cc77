"""Children that do not outlive their parent: `python -m pipeline.serving.leash <parent> <command> ...`.

A process that is killed cannot end its children; on Linux the kernel does it in its place. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def hold(parent: int) -> None:
    """From here on this process ends with `parent`, more exactly with the thread of it that started this process."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    hold(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
