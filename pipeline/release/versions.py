"""What a person wants to know of each published version, as rows of a table or as a line each."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

from rich.table import Table

from pipeline.console import console
from pipeline.release import card
from pipeline.release.releases import Releases
from pipeline.release.store import Version
from seamline_client import PredictClient
from seamline_client.errors import ClientError, NotFound

COLUMNS = ("version", "NE", "age", "size", "now", "served", "in the server")


_UNLOADED = {"END": "not loaded"}


@dataclass(frozen=True)
class Row:
    """In words; empty where there is nothing to say."""

    version: str
    ne: str
    age: str
    size: str
    role: str
    """Whether it serves, is the canary, or is where a rollback would go."""
    served: str
    """When it answered."""
    server: str
    """What the running server says of it."""

    def __str__(self) -> str:
        parts = (f"NE {self.ne}", f"{self.age} old", self.size, self.role, self.served, self.server)
        return f"version {self.version}: {', '.join(part for part in parts if part)}"


def rows(releases: Releases) -> list[Row]:
    """Newest first. Raises ServingError when models.config or the record of promotions cannot be read."""
    serving, history, previous = releases.numbers(), releases.history(), releases.previous()
    states = _states(releases)
    found = []
    for version in reversed(releases.store.versions()):
        number = version.number
        roles = {serving.version: "serves", serving.canary: "canary", previous: "rollback goes here"}
        ne = card.ne(version.folder)
        found.append(
            Row(
                version=str(number),
                ne="?" if ne is None else f"{ne:.2f} %",
                age=_age(version),
                size=f"{_bytes(version.folder) / 1e6:.1f} MB",
                role="canary, serves" if number == serving.version == serving.canary else roles.get(number, ""),
                served=_served(history.periods(number)),
                server=", ".join(states.get(number, ())),
            )
        )
    return found


def table(found: list[Row]) -> Table:
    shown = Table(*COLUMNS)
    for row in found:
        shown.add_row(*astuple(row))
    return shown


def _served(periods: list[tuple[str | None, str | None]]) -> str:
    if not periods:
        return ""
    since, until = (_local(each) for each in periods[-1])
    last = " ".join(part for part in (since and f"since {since}", until and f"until {until}") if part)
    if since and until:
        last = f"{since} to {until}"
    return (last or "now") + (f" ({len(periods)} times in all)" if len(periods) > 1 else "")


def _local(at: str | None) -> str | None:
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M") if at else None


def _states(releases: Releases) -> dict[int, list[str]]:
    """What the running server says of each version, under both names."""
    found: dict[int, list[str]] = {}
    for name, suffix in ((releases.name, ""), (releases.canary_name, " as canary")) if releases.target else ():
        try:
            with PredictClient(releases.target, model=name, timeout=5.0, retries=0) as client:
                answering = client.metadata().version
                for status in client.status():
                    state = "answers" if status.version == answering else _UNLOADED.get(status.state, status.state)
                    found.setdefault(status.version, []).append(f"{state}{suffix} {status.error}".strip())
        except NotFound:
            continue
        except ClientError as error:
            console.print(f"The server does not say what it has loaded: {error}", markup=False)
            break
    return found


def _age(version: Version) -> str:
    hours = (time.time() - version.folder.stat().st_mtime) / 3600
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
