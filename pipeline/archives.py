"""NumPy's archives of arrays, read as a whole: whatever is damaged in one is one kind of error."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DAMAGE = (EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What NumPy and zipfile raise besides ValueError, each for another byte that is not what it was. (RuntimeError: a
password is asked for, or a way of packing that is not known.)"""


def read(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays by their names. Raises ValueError for what is no whole archive of arrays, OSError for no file."""
    try:
        with path.open("rb") as file:
            archive = np.load(file)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("one array, where an archive of several was expected")
            with archive:
                arrays = dict(archive)
    except _DAMAGE as error:
        raise ValueError(str(error) or "it is cut off") from error
    if others := [name for name, each in arrays.items() if not isinstance(each, np.ndarray)]:
        raise ValueError(f"{others[0]} in it is no array")
    return arrays
