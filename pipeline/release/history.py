"""What served before: a record of promotions, one JSON object a line, oldest first.

A promotion is recorded before models.config changes, and models.config alone says what serves. So the two are
reconciled on reading, whatever a command that was killed left behind: a last record that never reached models.config
did not happen, and a version that somebody wrote into models.config by hand did serve.
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
BY_HAND = "hand"
ROLLBACK = "rollback"


@dataclass(frozen=True)
class Promotion:
    version: int | None
    """None where somebody deleted models.config."""
    by: str
    """The command: export, promote, rollback; or hand."""
    at: str | None
    """ISO 8601, UTC; None where nobody knows."""
    confirmed: bool = False
    """Whether the command came to its end: the server was asked, or there was none."""


@dataclass(frozen=True)
class History:
    """What was promoted, oldest first; the last one serves."""

    promotions: tuple[Promotion, ...]

    @property
    def serving(self) -> int | None:
        return self.promotions[-1].version if self.promotions else None

    @property
    def unfinished_rollback(self) -> bool:
        """Whether the last thing that happened was a rollback that was killed on its way."""
        return bool(self.promotions) and self.promotions[-1].by == ROLLBACK and not self.promotions[-1].confirmed

    def previous(self, existing: Container[int | None]) -> int | None:
        """Where a rollback goes: what served before, among the versions that are still there.

        A rollback takes off the stack what it went back from: a second one goes further back, not forward again.
        """
        stack: list[int | None] = []
        for each in self.promotions:
            if each.by == ROLLBACK and each.version in stack:
                while stack[-1] != each.version:
                    stack.pop()
            else:
                stack.append(each.version)
        return next((each for each in reversed(stack) if each != self.serving and each in existing), None)

    def last_served(self, number: int) -> tuple[str | None, str | None]:
        """From when until when that version served last. None: unknown, or until now, or never."""
        ends = (*(each.at for each in self.promotions[1:]), None)
        periods = [(each.at, end) for each, end in zip(self.promotions, ends) if each.version == number]
        return periods[-1] if periods else (None, None)


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
    if History(tuple(promotions)).serving != serving:
        if promotions and History(tuple(promotions[:-1])).serving == serving:
            del promotions[-1]
        else:
            promotions.append(Promotion(serving, BY_HAND, None, confirmed=True))
    return History(tuple(promotions))


def record(store: ModelStore, serving: int | None, version: int, by: str) -> None:
    """Notes that `version` is about to take the place of `serving`."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write(store, (*read(store, serving).promotions, Promotion(version, by, now)))


def confirm(store: ModelStore, serving: int) -> None:
    """Notes that the promotion of what serves has come to its end."""
    *before, last = read(store, serving).promotions
    if not last.confirmed:
        write(store, (*before, replace(last, confirmed=True)))


def write(store: ModelStore, promotions: tuple[Promotion, ...]) -> None:
    """Replaces the record by another store's, which this one follows."""
    write_atomically(store.base / FILE, "".join(f"{json.dumps(asdict(each))}\n" for each in promotions))
