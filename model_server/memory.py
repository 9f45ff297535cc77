"""Settings of glibc's malloc for a process that handles megabytes per request and swaps models while it does.

By default freed megabytes go back to the kernel at once and come back page by page: 3 ms for a float image. And every
thread may have a heap of its own, which stays scattered with the remains of models that are gone.
"""

from __future__ import annotations

import ctypes
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

KEEP_BYTES = 256 << 20
"""How much freed memory at the end of the heap is kept for the next request."""

_MAX_MMAP_THRESHOLD = 32 << 20  # the most that glibc accepts
_ARENAS = 2


def _libc() -> Any:
    return ctypes.CDLL(None)


def configure() -> None:
    """Keep freed memory for reuse, in few heaps. To be called before there are threads. No effect without glibc."""
    libc = _libc()
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD)
        libc.mallopt(_M_TRIM_THRESHOLD, KEEP_BYTES)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give back to the kernel what is free, wherever it lies: after a model was unloaded. No effect without glibc."""
    libc = _libc()
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
