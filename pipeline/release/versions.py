"""What a person wants to know of each published version."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone

from rich.table import Table

from pipeline.console import console, grid
from pipeline.release import card
from pipeline.release.releases import Releases
from pipeline.release.store import Version
from seamline_client import PredictClient
from seamline_client.errors import ClientError, NotFound

COLUMNS = ("version", "NE", "age", "size", "now", "served, UTC", "server")


def table(releases: Releases) -> Table:
    """The published versions, newest first. Raises as `rows`."""
    shown = grid(COLUMNS, numbers=COLUMNS[:4])
    for row in rows(releases):
        shown.add_row(*row)
    return shown


def lines(releases: Releases) -> list[str]:
    """The same in a line for each version. Raises as `rows`."""
    return [
        f"version {number}: NE {ne}, {age} old, {size}, "
        + ", ".join(filter(None, (now, served and f"{served} UTC", said)))
        for number, ne, age, size, now, served, said in rows(releases)
    ]


def rows(releases: Releases) -> list[tuple[str, ...]]:
    """A cell for each of COLUMNS, newest version first.

    Raises ServingError when models.config or the history cannot be read.
    """
    names, history, states = releases.names(), releases.history(), _states(releases)
    roles = (("serves", names.version), ("canary", names.canary), ("rollback goes here", releases.previous()))
    found: list[tuple[str, ...]] = []
    for version in reversed(releases.store.versions()):
        with suppress(FileNotFoundError):  # retired meanwhile
            row = (
                str(version.number),
                "?" if (ne := card.ne(version.folder)) is None else f"{ne:.2f} %",
                _age(version),
                f"{_bytes(version) / 1e6:.1f} MB",
                ", ".join(role for role, whose in roles if whose == version.number),
                _period(*history.last_served(version.number)),
                ", ".join(states.get(version.number, ["not loaded"] if states else [])),
            )
            found.append(row)
    return found


def _period(since: str | None, until: str | None) -> str:
    since, until = (
        at and datetime.fromisoformat(at).astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M") for at in (since, until)
    )
    if since and until:
        return f"{since} to {until}"
    return f"since {since}" if since else f"until {until}" if until else ""


def _states(releases: Releases) -> dict[int, list[str]]:
    """What the running server says of each version, under both names; of several, which of them say so."""
    found: dict[int, dict[str, list[str]]] = {}
    for server in releases.replicas:
        try:
            for version, said in _said_by(server, releases):
                found.setdefault(version, {}).setdefault(said, []).append(server)
        except ClientError as error:
            console.print(f"The server does not say what it has loaded: {error}")
    count = len(releases.replicas)
    return {
        version: [
            said if count == 1 else f"{said} at all {count}" if len(where) == count else f"{said} at {', '.join(where)}"
            for said, where in states.items()
        ]
        for version, states in found.items()
    }


def _said_by(server: str, releases: Releases) -> Iterator[tuple[int, str]]:
    for name, suffix in ((releases.name, ""), (releases.canary_name, " as canary")):
        with suppress(NotFound), PredictClient(server, model=name, timeout=5.0, retries=0) as client:
            answering = client.metadata().version
            for status in client.status():
                state = "answers" if status.version == answering else status.state
                if state != "END" or status.error:
                    yield status.version, f"{state}{suffix} {status.error}".strip()


def _age(version: Version) -> str:
    hours = (time.time() - version.folder.stat().st_mtime) / 3600
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _bytes(version: Version) -> int:
    return sum(path.stat().st_size for path in version.folder.rglob("*") if path.is_file())
