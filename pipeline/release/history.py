"""What answered before: a record of promotions, one JSON object a line, oldest first.

A promotion is recorded before models.config changes, and models.config alone says what serves. So the two are
reconciled on reading, whatever a command that was killed left behind: a last record that never reached models.config
did not happen, and a version that somebody wrote into models.config by hand did answer.
"""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone

from pipeline.atomic import write_atomically
from pipeline.errors import ServingError
from pipeline.release.store import ModelStore

FILE = "promotions.jsonl"
ROLLBACK = "rollback"


@dataclass(frozen=True)
class Promotion:
    """`version` took the place of `instead_of`, which is None where no version answered."""

    version: int
    instead_of: int | None
    by: str
    """The command: export, promote, rollback."""
    at: str
    """ISO 8601, UTC."""
    confirmed: bool = False
    """Whether the command came to its end: the server was asked, or there was none."""


@dataclass(frozen=True)
class History:
    """The promotions that came about, and the version that serves now."""

    promotions: tuple[Promotion, ...]
    serving: int | None

    @property
    def unfinished_rollback(self) -> bool:
        """Whether the last thing that happened was a rollback that was killed on its way."""
        last = self.promotions[-1] if self.promotions else None
        return last is not None and last.by == ROLLBACK and last.version == self.serving and not last.confirmed

    def previous(self, existing: Container[int]) -> int | None:
        """Where a rollback goes: what answered before, among the versions that are still there."""
        return next((each for each in reversed(self._answered()) if each != self.serving and each in existing), None)

    def periods(self, number: int) -> list[tuple[str | None, str | None]]:
        """When that version served, as (from, until). None: from before there was a record; until now."""
        found: list[tuple[str | None, str | None]] = []
        since: str | None = None
        serving: int | None = None
        for each in self.promotions:
            if each.instead_of == number:
                found.append((since if serving == number else None, each.at))
            serving, since = each.version, each.at
        if self.serving == number:
            found.append((since if serving == number else None, None))
        return found

    def _answered(self) -> list[int]:
        """What answered, as a stack with the serving version on top.

        A rollback takes off what it went back from: a second one goes further back, not forward again.
        """
        stack: list[int] = []
        for each in self.promotions:
            if each.instead_of is not None and stack[-1:] != [each.instead_of]:
                stack.append(each.instead_of)
            if each.by == ROLLBACK and each.version in stack:
                while stack[-1] != each.version:
                    stack.pop()
            else:
                stack.append(each.version)
        if self.serving is not None and stack[-1:] != [self.serving]:
            stack.append(self.serving)
        return stack


def read(store: ModelStore, serving: int | None) -> History:
    """The history, reconciled with the version that serves. Raises ServingError when the record cannot be read."""
    file = store.base / FILE
    promotions: list[Promotion] = []
    try:
        for line in file.read_text().splitlines() if file.is_file() else ():
            promotions.append(Promotion(**json.loads(line)))
    except (ValueError, TypeError) as error:
        raise ServingError(
            f"{file}: line {len(promotions) + 1} cannot be read: {error}. "
            f"Delete that line to forget that promotion, or the file to forget them all."
        ) from error
    if promotions and promotions[-1].version != serving == promotions[-1].instead_of:
        del promotions[-1]
    return History(tuple(promotions), serving)


def record(store: ModelStore, version: int, instead_of: int | None, by: str) -> None:
    """Notes a promotion that is about to be made."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    _write(store, (*read(store, instead_of).promotions, Promotion(version, instead_of, by, now)))


def confirm(store: ModelStore, serving: int | None) -> None:
    """Notes that the last promotion has come to its end."""
    promotions = read(store, serving).promotions
    if promotions and not promotions[-1].confirmed:
        _write(store, (*promotions[:-1], replace(promotions[-1], confirmed=True)))


def _write(store: ModelStore, promotions: tuple[Promotion, ...]) -> None:
    write_atomically(store.base / FILE, "".join(f"{json.dumps(asdict(each))}\n" for each in promotions))
