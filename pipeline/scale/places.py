"""Where photos are and answers go: a folder of this machine, or an object store by its URL."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from pipeline.atomic import sync
from pipeline.errors import DataError
from pipeline.extras import needed
from seamline_client.errors import InvalidInput
from seamline_client.finding import SUFFIXES, find_photos

MISSING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What is wrong with one photo. Any other error is one of the disk or the store, which another attempt may not have."""


def is_url(name: str) -> bool:
    return "://" in name


def photos(where: str) -> tuple[str, list[str]]:
    """What `where` means: a place, and the names in it of the photos that are below it.

    A folder, the URL of a prefix in a store, a photo, or a text file that names one in each line, by its path as seen
    from the current folder or by its URL. Raises DataError where there is none.
    """
    path, place = Path(where), where
    if is_url(where):
        where = where.partition("?")[0]  # keys may be behind it, which are not for messages
        names = sorted(_in_store(place))
    elif path.is_dir():
        try:
            place, names = str(path.absolute()), [each.below for each in find_photos([where])]
        except InvalidInput as error:
            raise DataError(str(error)) from error
    elif path.suffix.lower() in SUFFIXES:
        place, names = str(path.absolute().parent), [path.name]
    else:
        try:
            lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        except OSError as error:
            raise DataError(f"{where}: {error.strerror}. Expected a folder, a URL, or a list of photos.") from error
        place, names = str(Path.cwd()), [name for line in lines if (name := line.rstrip("\r"))]
    if not names:
        raise DataError(f"{where}: no photo in it ({', '.join(sorted(SUFFIXES))})")
    (most, count), *_ = Counter(names).most_common(1)
    if count > 1:
        raise DataError(f"{where}: names {most} {count} times; name each photo once")
    return place, names


def read(place: str, name: str) -> bytes:
    """The whole file. Raises one of MISSING, or another OSError."""
    whole = name if is_url(name) else _below(place, name)
    if not is_url(whole):
        return Path(whole).read_bytes()
    store, path = _store(whole)
    with store.open_input_stream(path) as file:
        return bytes(file.read())


def write(place: str, name: str, content: bytes) -> None:
    """The file has all of the content or none of it, whenever the process ends. The place is made where it is not."""
    if not is_url(place):
        return _write_here(Path(place), name, content)
    store, path = _store(_below(place, name))
    if store.type_name == "local":  # of which a file is seen before it is closed
        return _write_here(Path(path).parent, name, content)
    with store.open_output_stream(path) as file:  # a store shows what was closed
        file.write(content)
    return None


def _write_here(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name}-{uuid4().hex}"  # of this writer alone, on whichever machine it is
    try:
        partial.write_bytes(content)
        sync(partial)
        partial.rename(folder / name)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def names_in(place: str) -> set[str]:
    """Of the files there, none where there is no such place. Hidden ones are left out: `write` may have been killed."""
    if not is_url(place):
        names = {each.name for each in Path(place).iterdir()} if Path(place).exists() else set()
    else:
        names = {PurePosixPath(each).name for each in _files(place)}
    return {each for each in names if not each.startswith(".")}


def _in_store(url: str) -> Iterator[str]:
    root = _store(url)[1].rstrip("/") + "/"
    for path in _files(url, recursive=True):
        below = PurePosixPath(path[len(root) :])
        if below.suffix.lower() in SUFFIXES and not below.name.startswith("."):
            yield str(below)


def _files(url: str, *, recursive: bool = False) -> list[str]:
    with needed("spark"):
        from pyarrow import fs
    store, path = _store(url)
    try:
        found = store.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=recursive))
    except OSError as error:
        raise DataError(f"{url.partition('?')[0]}: cannot be listed: {error}") from error
    return [each.path for each in found if each.type == fs.FileType.File]


def _below(place: str, name: str) -> str:
    """Options of a URL, as in s3://bucket/photos?region=eu-west-1, stay at its end."""
    before, mark, options = place.partition("?")
    return f"{before.rstrip('/')}/{name}{mark}{options}" if is_url(place) else str(Path(place) / name)


def _store(url: str) -> tuple[Any, str]:
    """A file system of pyarrow, and the path in it."""
    before, _, options = url.partition("?")
    parts = urlsplit(before)
    bucket, path = (parts.netloc, before.split("://", 1)[1][len(parts.netloc) :])
    store, root = _connected(f"{parts.scheme}://{bucket or '/'}", options)
    return store, f"{root.rstrip('/')}{path}"


@functools.lru_cache(maxsize=8)
def _connected(bucket: str, options: str) -> tuple[Any, str]:
    with needed("spark"):
        from pyarrow import fs
    # Amazon's library adds checksums since 2025 in a way that other stores refuse to read.
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    try:
        return fs.FileSystem.from_uri(f"{bucket}?{options}" if options else bucket)  # type: ignore[no-any-return]
    except (ValueError, OSError) as error:
        raise DataError(f"{bucket}: cannot be opened: {error}") from error
