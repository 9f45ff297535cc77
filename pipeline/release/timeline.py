"""The history as a person reads it: all of it as a table, or what answered at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from rich.table import Table

from pipeline.console import grid
from pipeline.release.history import CANARY, PROMOTIONS, Entry, History
from pipeline.release.releases import Releases
from pipeline.serving.server import named
from seamline_client.errors import one_line

UNKNOWN = "unknown"
COLUMNS = ("when, UTC", "what", "from", "to", "who", "why")


def instant(text: str) -> datetime:
    """ISO 8601, in UTC where it names no zone; a day begins at midnight. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except OverflowError as error:  # of the year 10000, in UTC
        raise ValueError(str(error)) from error


def table(history: History) -> Table:
    """A row for each change, in the order in which they were made, newest last."""
    shown = grid(COLUMNS, numbers=("from", "to"))
    for each in history.changes:
        what = each.what if each.done is not False else f"{each.what}, which failed"
        versions = ("-" if version is None else str(version) for version in (each.before, each.now))
        shown.add_row(_shown(each.at), what, *versions, *map(one_line, (each.who or UNKNOWN, each.why or "")))
    return shown


def answered(releases: Releases, moment: datetime) -> Iterator[str]:
    """A line for each of the two names, and one where a clock that was wrong makes them doubtful."""
    history = releases.history()
    dated = [_time(each) for each in history.changes if each.at]
    for name, whats in ((releases.name, PROMOTIONS), (releases.canary_name, (CANARY,))):
        changes = [each for each in history.changes if each.what in whats and each.done is not False]
        yield f"{name} at {_shown(moment.isoformat())}: {_answer(changes, moment)}"
    if dated != sorted(dated):
        yield "The clock was set back between two changes, so times near them may be wrong: see `make history`."


def _answer(changes: Sequence[Entry], moment: datetime) -> str:
    """By the last change, in the order of the file, that had begun then: a wrong clock moves only what it wrote."""
    begun = [place for place, each in enumerate(changes) if each.at and _time(each) <= moment]
    if not begun:
        first = next((f" {_shown(each.at)}" for each in changes if each.at), "")
        return f"{UNKNOWN} before{first}" if changes else "no version, as far as is known"
    last = changes[begun[-1]]
    said = f"{named(last.now)}, since {_shown(last.at)} ({last.what} by {last.who or UNKNOWN}"
    said = one_line(f"{said}: {last.why})" if last.why else f"{said})")
    if last.ended and datetime.fromisoformat(last.ended) > moment:
        said += f"; {named(last.before)} may still have answered, until {_shown(last.ended)}"
    following = changes[begun[-1] + 1 :]
    if following and following[0].at is None:
        said += f"; or {named(following[0].now)}, from a moment that nobody knows ({following[0].why})"
    return said


def _time(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.at or "")


def _shown(at: str | None) -> str:
    return UNKNOWN if at is None else datetime.fromisoformat(at).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
