"""Presets as files hold them: TOML that a person writes on top of a named one, and the values that a run records."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import TrainingError
from pipeline.training.presets import PRESETS, Preset, tiny

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIX = ".toml"
NONE = "none"
"""How TOML, which has no null, says that an optional setting has no value."""

T = TypeVar("T")


def load(path: Path) -> Preset:
    """The preset of a TOML file: that of its `base`, with the settings that the file names, and named by the file.

    Raises TrainingError, which names the file and the entry, for what is not one.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
        base = entries.pop("base", None)
        if not isinstance(base, str) or base not in PRESETS:
            there = "missing" if base is None else repr(base)
            raise ValueError(f"base is {there}; expected one of {', '.join(PRESETS)}")
        # The name is part of the run's folder, where TensorFlow would take some characters for a pattern.
        return replace(changed(PRESETS[base](), entries), name=re.sub(r"[^\w.-]+", "-", path.stem))
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise TrainingError(f"{path}: not a preset: {error}") from error


def recorded(values: Mapping[str, Any]) -> Preset:
    """The preset that `dataclasses.asdict` made these values of; a setting that was not there yet has its default.

    Raises ValueError for others, KeyError where there is no name.
    """
    name = str(values["name"])
    return replace(changed(tiny(), {key: value for key, value in values.items() if key != "name"}), name=name)


def changed(config: T, entries: Mapping[str, Any], table: str = "") -> T:
    """A dataclass with other values for some of its fields, tables for those that are dataclasses themselves.

    Raises ValueError that names the entry, what it is and what was expected.
    """
    known = {each.name: str(each.type) for each in fields(config) if each.name != "name"}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in entries.items():
        if name not in known:
            where = f"in {table[:-1]}" if table else "at the top"
            raise ValueError(f"{table}{name} is no setting; {where} there are {', '.join(known)}")
        before = getattr(config, name)
        if not is_dataclass(before):
            values[name] = _checked(f"{table}{name}", known[name], value)
        elif isinstance(value, Mapping):
            values[name] = changed(before, value, f"{table}{name}.")
        else:
            raise ValueError(f"{table}{name} is {value!r}; expected a table of {', '.join(_names(before))}")
    return replace(config, **values)  # type: ignore[type-var]


def _names(config: Any) -> list[str]:
    return [each.name for each in fields(config)]


def _checked(where: str, kind: str, value: Any) -> Any:
    plain, _, optional = kind.partition(" | ")
    if optional and value in (None, NONE):
        return None
    expected, read = _KINDS[plain]
    try:
        return read(value)
    except (TypeError, ValueError):
        alternative = f', or "{NONE}"' if optional else ""
        raise ValueError(f"{where} is {value!r}; expected {expected}{alternative}") from None


def _whole(value: Any) -> int:
    if type(value) is int and value >= 1:
        return value
    raise ValueError


def _number(value: Any) -> float:
    if type(value) in (int, float) and 0 <= value < math.inf:
        return float(value)
    raise ValueError


def _wholes(value: Any) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)) and value:
        return tuple(map(_whole, value))
    raise ValueError


def _range(value: Any) -> tuple[float, float]:
    low, high = map(_number, value)
    if 0 < low <= high:
        return low, high
    raise ValueError


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise ValueError

    return read


_KINDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "int": ("a whole number from 1", _whole),
    "float": ("a number from 0", _number),
    "bool": ("true or false", _exactly(bool)),
    "str": ("a string", _exactly(str)),
    "tuple[int, ...]": ("a list of whole numbers from 1", _wholes),
    "tuple[float, float]": ("a list of two numbers above 0, the smaller one first", _range),
}
"""By the annotation of a field: what it takes, in words, and what reads that."""
