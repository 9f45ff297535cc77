"""How Envoy names what its configuration consists of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Json = dict[str, Any]

_EXTENSIONS = "envoy.extensions"


def type_url(message: str) -> str:
    """`message` is below envoy.extensions unless it begins with envoy."""
    return f"type.googleapis.com/{message if message.startswith('envoy.') else f'{_EXTENSIONS}.{message}'}"


def typed(message: str, **fields: Any) -> Json:
    """A message of a type that has to be named."""
    return {"@type": type_url(message), **fields}


def extension(message: str, name: str = "", **fields: Any) -> Json:
    """The same as a part that is plugged in: a filter, a transport socket, a monitor."""
    return {"name": name or message, "typed_config": typed(message, **fields)}


def watched(path: Path) -> Json:
    """What is read from a file, and read again when another takes its place."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}
