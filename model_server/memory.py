"""Settings of malloc and Python for a process that handles megabytes per request and swaps models while it does.

By default freed megabytes go back to the kernel at once and return page by page: 3 ms for a float image. Every thread
may have a heap of its own, which stays fragmented by the remains of models that are gone. And the 150,000 lists of a
float image in JSON would set off 200 garbage collections, some through all of TensorFlow's objects: half a second.
"""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_SETTINGS = {
    _M_MMAP_THRESHOLD: 32 << 20,  # the most that glibc accepts
    _M_TRIM_THRESHOLD: 256 << 20,  # how much freed memory at the end of the heap is kept for the next request
    _M_ARENA_MAX: 2,
}


_OBJECTS_BETWEEN_COLLECTIONS = 1_000_000  # what is certain to hold cycles, a model that is gone, is collected at once


def configure() -> None:
    """Keep freed memory for reuse, in few heaps, and collect garbage rarely. To be called before there are threads.

    The settings of malloc have no effect without glibc.
    """
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in _SETTINGS.items():
            libc.mallopt(option, value)


def trim() -> None:
    """Return free memory to the kernel after a model was unloaded. No effect without glibc."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
