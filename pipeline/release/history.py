"""Who changed what, and what served when: lines of JSON that are appended to one file and never rewritten.

    {"at", "who", "what", "before", "now", "why"}    a change begins
    {"at", "of": 7, "done": true}                    that of line 7 has come to its end; false: it did not happen

The first is on the disk before anything changes, and models.config and the versions' folders alone say what is. So the
two are reconciled on reading, whatever a command that was killed left behind: a last change that never got there did
not happen, and a version that somebody wrote into models.config by hand did serve. The next change writes that down.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from pipeline.atomic import write_atomically
from pipeline.errors import PipelineError, ServingError
from pipeline.release import models_config
from pipeline.release.journal import append, lines_of
from pipeline.release.models_config import Serving
from pipeline.release.store import ModelStore

FILE = "history.jsonl"
OLD_FILE = "promotions.jsonl"
"""Of before there was FILE: promotions alone, and nobody's name. It is read, and no more written."""
PUBLISH, EXPORT, PROMOTE, ROLLBACK, CANARY, RETIRE = "publish", "export", "promote", "rollback", "canary", "retire"
BY_HAND = "hand"
PROMOTIONS = (EXPORT, PROMOTE, ROLLBACK, BY_HAND)
"""What changes the version that the plain name answers with."""


@dataclass(frozen=True)
class By:
    """Who makes a change, and why, in their own words."""

    who: str
    why: str | None = None


@dataclass(frozen=True)
class Entry:
    """From one version to another; None is none: before a publish, after a retire, without a canary."""

    what: str
    before: int | None
    now: int | None
    at: str | None = None
    """When it began: ISO 8601, UTC, by the clock of the machine; None where nobody knows."""
    who: str | None = None
    why: str | None = None
    of: int | None = None
    """The number of its line; None for one that is written nowhere yet."""
    done: bool | None = None
    """None: the command was killed after it had changed what serves, or is still waiting for the server."""
    ended: str | None = None


@dataclass(frozen=True)
class History:
    """What happened, in the order of the file, which no clock can change."""

    changes: tuple[Entry, ...]
    """Those that did not happen are among them: their `done` is False."""
    unwritten: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    """Lines that the next change has to write first: what became of the last one, and what was done by hand."""

    @property
    def promotions(self) -> tuple[Entry, ...]:
        """Those that took place; the last one serves."""
        return tuple(each for each in self.changes if each.what in PROMOTIONS and each.done is not False)

    @property
    def serving(self) -> int | None:
        return self.promotions[-1].now if self.promotions else None

    @property
    def unfinished_rollback(self) -> bool:
        """Whether the last promotion was a rollback that was killed on its way."""
        return bool(self.promotions) and self.promotions[-1].what == ROLLBACK and not self.promotions[-1].done

    def previous(self, existing: Container[int | None]) -> int | None:
        """Where a rollback goes: what served before, among the versions that are still there.

        A rollback takes off the stack what it went back from: a second one goes further back, not forward again.
        """
        stack: list[int | None] = []
        for each in self.promotions:
            if each.what == ROLLBACK and each.now in stack:
                while stack[-1] != each.now:
                    stack.pop()
            else:
                stack.append(each.now)
        return next((each for each in reversed(stack) if each != self.serving and each in existing), None)

    def last_served(self, number: int) -> tuple[str | None, str | None]:
        """From when until when that version served last. None: unknown, or until now, or never."""
        ends = (*(each.at for each in self.promotions[1:]), None)
        periods = [(each.at, end) for each, end in zip(self.promotions, ends) if each.now == number]
        return periods[-1] if periods else (None, None)


def read(store: ModelStore) -> History:
    """The history, reconciled with what is. Raises ServingError when it or models.config cannot be read."""
    names = models_config.read(store)
    changes = _read(store)
    unwritten: list[dict[str, Any]] = []
    if changes and changes[-1].done is None and not _happened(changes[-1], names, store):
        unwritten.append({"of": changes[-1].of, "done": False})
        changes[-1] = replace(changes[-1], done=False)
    for whats, now in ((PROMOTIONS, names.version), ((CANARY,), names.canary)):
        known = next((each.now for each in reversed(changes) if each.what in whats and each.done is not False), None)
        if known != now:
            by_hand = Entry(whats[-1], known, now, done=True, why="models.config was edited by hand, or is of before")
            unwritten.append(_line(by_hand))
            changes.append(by_hand)
    return History(tuple(changes), tuple(unwritten))


def _happened(change: Entry, names: Serving, store: ModelStore) -> bool:
    if change.what == PUBLISH:
        return change.now in store.numbers()
    if change.what == RETIRE:
        return change.before not in store.numbers()
    return change.now == (names.canary if change.what == CANARY else names.version)


@contextmanager
def noted(store: ModelStore, what: str, before: int | None, now: int | None, by: By) -> Iterator[None]:
    """Round a change, with the store locked: its line is on the disk before, and how it ended after.

    Raises OSError, before anything is changed, where the line cannot be written.
    """
    append(store.base / FILE, *read(store).unwritten)
    of = append(store.base / FILE, _line(Entry(what, before, now, _now(), by.who, by.why)))
    try:
        yield
    except (PipelineError, OSError):
        # Where it cannot be written either, it is found out on reading.
        with suppress(PipelineError, OSError):
            append(store.base / FILE, *({"at": _now(), **line} for line in read(store).unwritten))
        raise
    append(store.base / FILE, {"at": _now(), "of": of, "done": True})


def confirm(store: ModelStore) -> None:
    """Notes that the promotion of what serves, whose command was killed, has come to its end. The store is locked."""
    found = read(store)
    if found.promotions and found.promotions[-1].done is None:
        append(store.base / FILE, *found.unwritten, {"at": _now(), "of": found.promotions[-1].of, "done": True})


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _line(change: Entry) -> dict[str, Any]:
    said = {name: value for name, value in asdict(change).items() if name not in ("of", "ended")}
    return said if change.done else {name: value for name, value in said.items() if name != "done"}


def _read(store: ModelStore) -> list[Entry]:
    """Both files; a line of OLD_FILE has its number with a minus before it."""
    changes: dict[int, Entry] = {}
    serving = None
    for name, sign in ((OLD_FILE, -1), (FILE, 1)):
        for number, line in enumerate(lines_of(store.base / name), 1):
            try:
                raw = json.loads(line)
                if "of" in raw:
                    of = raw["of"]
                    changes[of] = replace(changes[of], done=raw["done"], ended=raw.get("at"))
                elif sign < 0:
                    promoted = Entry(raw["by"], serving, raw["version"], raw["at"], done=raw["confirmed"] or None)
                    changes[-number], serving = replace(promoted, of=-number), promoted.now
                else:
                    changes[number] = Entry(**raw, of=number)
            except (ValueError, TypeError, KeyError) as error:
                raise ServingError(
                    f"{store.base / name}: line {number} cannot be read: {error}. Restore the file from a backup. "
                    "Or move it away: the history is lost then, and what serves stays."
                ) from error
    return list(changes.values())


def lines(store: ModelStore) -> list[str]:
    """The file's, for other stores that follow this one."""
    return list(lines_of(store.base / FILE))


def follow(store: ModelStore, there: list[str]) -> None:
    """The history becomes that of the store that this one follows. The store is locked."""
    write_atomically(store.base / FILE, "".join(f"{line}\n" for line in there))
