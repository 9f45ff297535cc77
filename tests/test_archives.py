"""Archives of arrays that are damaged, in any byte."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import archives

ARRAYS: dict[str, Any] = {"xy": np.arange(6.0), "names": np.array(["hem", "cuff"]), "bytes": np.array([b"1", b"2"])}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_each_byte_that_is_not_what_it_was(tmp_path: Path, save: Callable[..., None]) -> None:
    """Ends as no file does or with the one error for damage, or has changed nothing; so does a file that was cut."""
    path = tmp_path / "arrays.npz"
    save(path, **ARRAYS)
    whole, refused = path.read_bytes(), 0
    changed = (whole[:at] + bytes([value]) + whole[at + 1 :] for at in range(len(whole)) for value in (0, 9, 14, 255))
    for content in (*(whole[:at] for at in range(len(whole))), *changed):
        path.write_bytes(content)
        said = reason(path)
        assert said != ""
        refused += bool(said)
    assert refused > 2 * len(whole)
    path.write_bytes(whole)
    np.testing.assert_equal(archives.read(path), ARRAYS)


def reason(path: Path) -> str | None:
    """Why it is refused; None where it is not."""
    try:
        archives.read(path)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def test_what_is_no_archive_of_arrays(tmp_path: Path) -> None:
    """One array by itself, and an archive of other files."""
    np.save(tmp_path / "one.npy", ARRAYS["xy"])
    with pytest.raises(ValueError, match="one array, where an archive"):
        archives.read(tmp_path / "one.npy")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("readme.txt", "no array")
    with pytest.raises(ValueError, match=r"readme\.txt in it is no array"):
        archives.read(tmp_path / "other.zip")
