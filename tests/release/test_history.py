"""Who changed what, and what served when: whatever was killed, edited by hand, or dated by a wrong clock."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.release import history, models_config, timeline
from pipeline.release.history import By, Entry
from pipeline.release.models_config import Serving
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore
from tests.faults.small_store import MODEL, candidate
from tests.faults.victims import run as victim
from tests.homes import Seamline
from tests.nobody import nobody
from tests.release.world import World

ANNA = By("anna@office", "better hems")


def did(world: World) -> list[tuple[str, int | None, int | None, bool | None]]:
    return [(each.what, each.before, each.now, each.done) for each in world.offline.history().changes]


def test_each_change_is_on_record_with_who_when_from_to_and_why(offline: World) -> None:
    """A line before it and one after, the first of them never touched again; what changes nothing has none."""
    offline.export()
    file = offline.store.base / history.FILE
    before = file.read_bytes()
    anna = Releases(offline.store, None, by=ANNA)
    offline.publish()
    anna.promote(2)
    anna.promote(2)
    anna.canary(1)
    anna.canary(None)
    anna.rollback()
    anna.retire(2)
    assert did(offline) == [
        ("publish", None, 1, True),
        ("export", None, 1, True),
        ("publish", None, 2, True),
        ("promote", 1, 2, True),
        ("canary", None, 1, True),
        ("canary", 1, None, True),
        ("rollback", 2, 1, True),
        ("retire", 2, None, True),
    ]
    assert file.read_bytes().startswith(before)
    *_, last = offline.releases.history().changes
    assert (last.who, last.why) == ("anna@office", "better hems")
    assert last.at
    assert abs((datetime.now(timezone.utc) - datetime.fromisoformat(last.at)).total_seconds()) < 60


def test_old_versions_that_go_by_themselves_are_on_record_with_the_reason(offline: World) -> None:
    for _ in range(4):
        offline.export()
    assert offline.releases.prune(1) == [1]
    assert offline.releases.history().changes[-1].why == "besides those in use, 1 are kept"


def work(base: Path) -> None:
    """Two publishes and one of each other change, by anna."""
    releases = Releases(ModelStore(base, MODEL), None, by=ANNA)
    for _ in range(2):
        with releases.store.stage() as staging:
            number = releases.publish(candidate(staging)).number
        releases.promote(number)
    releases.canary(number)
    releases.canary(None)
    releases.rollback()
    releases.retire(number)


@pytest.mark.slow
def test_whenever_a_command_is_killed_the_record_and_what_is_agree(tmp_path: Path, soak: bool) -> None:
    """Before each change of a file: what the record says happened did, the rest did not, and neither is lost later.

    Without --soak every third of the changes.
    """
    for nth in itertools.count(1, 1 if soak else 3):
        base = tmp_path / str(nth)
        ended = victim(work, base, before="(open|fsync|rename) .*(history|models.config|/m$|/m/|staging)", nth=nth)
        store = ModelStore(base, MODEL)
        if base.is_dir():
            agree(store, ended.changes[-1])
            with suppress(PipelineError):
                Releases(store, None).promote(max(store.numbers(), default=1))
            if store.numbers():
                agree(store, ended.changes[-1])
        if not ended.killed:
            break
    assert ended.code == 0, ended.said
    assert nth > 60


def agree(store: ModelStore, where: str) -> None:
    """The versions, and what answers, are what the changes make of nothing."""
    numbers: set[int | None] = set()
    serving = canary = None
    for each in history.read(store).changes:
        assert each.who != "?", where
        if each.done is False:
            continue
        assert each.what != history.BY_HAND, where
        if each.what == history.PUBLISH:
            numbers.add(each.now)
        elif each.what == history.RETIRE:
            numbers.remove(each.before)
        elif each.what == history.CANARY:
            canary = each.now
        else:
            serving = each.now
    assert numbers == set(store.numbers()), where
    assert Serving(serving, canary) == models_config.read(store), where


def test_a_line_of_which_a_kill_left_a_part_is_no_line(offline: World) -> None:
    """What it was about did not begin; the next change takes it away."""
    offline.export()
    file = offline.store.base / history.FILE
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"at": "2026-')
    assert len(did(offline)) == 2
    offline.publish()
    assert file.read_bytes().startswith(whole)
    assert did(offline)[2:] == [("publish", None, 2, True)]


def test_what_a_server_refuses_is_on_record_as_failed(offline: World) -> None:
    """And neither a rollback nor a question about that moment is led astray."""
    offline.export()
    offline.publish()
    with pytest.raises(PipelineError):
        Releases(offline.store, nobody(), wait_seconds=0.2).promote(2)
    assert did(offline)[-1] == ("promote", 1, 2, False)
    assert "version 1" in answer(offline, "2999-01-01")


def test_what_was_written_by_hand_is_put_on_record_by_the_next_change(offline: World) -> None:
    """With nobody's name, and a time that nobody knows."""
    for _ in range(2):
        offline.export()
    models_config.write(offline.store, Serving(1, 2))
    known = did(offline)
    assert known[4:] == [("hand", 2, 1, True), ("canary", None, 2, True)]
    assert "version 2, since" in answer(offline, "2999-01-01")
    assert "or version 1, from a moment that nobody knows" in answer(offline, "2999-01-01")
    offline.publish()
    assert did(offline) == [*known, ("publish", None, 3, True)]
    assert offline.releases.history().unwritten == ()


def test_a_store_of_before_goes_on_and_what_it_does_not_know_is_unknown(offline: World) -> None:
    """Promotions have a time and no name there; a rollback goes through them, and they are not written again."""
    for _ in range(3):
        offline.publish()
    (offline.store.base / history.FILE).unlink()
    old = offline.store.base / history.OLD_FILE
    lines = [{"version": n, "by": "export", "at": f"2026-10-0{n}T12:00:00+00:00", "confirmed": True} for n in (1, 2)]
    old.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    before = old.read_bytes()
    models_config.write(offline.store, Serving(2))
    assert answer(offline, "2026-09-01").endswith("unknown before 2026-10-01T12:00:00Z")
    assert answer(offline, "2026-10-01T13:00").endswith("version 1, since 2026-10-01T12:00:00Z (export by unknown)")
    Releases(offline.store, None, by=ANNA).promote(3)
    assert offline.releases.rollback().now == 2
    assert offline.releases.rollback().now == 1
    assert old.read_bytes() == before


def answer(world: World, at: str) -> str:
    return next(iter(timeline.answered(world.offline, timeline.instant(at))))


def dated(world: World, *times: str) -> None:
    """Versions 1, 2, ... were promoted at these times, each in a minute."""
    changes = [
        line
        for number, at in enumerate(times, 1)
        for line in (
            {
                "what": "promote",
                "before": number - 1 or None,
                "now": number,
                "at": f"{at}:00+00:00",
                "who": "anna@office",
            },
            {"of": 2 * number - 1, "done": True, "at": f"{at}:59+00:00"},
        )
    ]
    (world.store.base / history.FILE).write_text("".join(f"{json.dumps(line)}\n" for line in changes))
    models_config.write(world.store, Serving(len(times)))


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-10-31", "unknown before 2026-11-01T12:00:00Z"),
        ("2026-11-01T12:00:30", "version 1, .*; no version may still have answered, until 2026-11-01T12:00:59Z"),
        ("2026-11-01T12:01", "version 1, since 2026-11-01T12:00:00Z .promote by anna@office.$"),
        ("2026-11-02T12:59Z", "version 1"),
        ("2026-11-02T13:59+01:00", "version 1"),
        ("2026-11-02T14:05+01:00", "version 2"),
        ("2026-11-30", "version 2"),
    ],
)
def test_what_served_at_any_moment(offline: World, at: str, said: str) -> None:
    """In UTC unless a zone is named; while a server is changing over, either."""
    offline.publish()
    dated(offline, "2026-11-01T12:00", "2026-11-02T13:00")
    assert re.search(said, answer(offline, at))


def test_a_clock_that_was_wrong_moves_only_what_it_dated(offline: World) -> None:
    """One in the far future, then set right: later changes count from their own time on, and it is said."""
    offline.publish()
    dated(offline, "2026-11-01T12:00", "2031-01-01T00:00", "2026-11-03T12:00")
    assert "version 1" in answer(offline, "2026-11-02")
    assert "version 3" in answer(offline, "2026-11-04")
    assert "version 3" in answer(offline, "2032-01-01")
    assert "The clock was set back" in list(timeline.answered(offline.offline, timeline.instant("2026-11-04")))[-1]
    assert [each.now for each in offline.releases.history().promotions] == [1, 2, 3]


def test_the_commands_say_who_and_why(offline: World, tmp_path: Path) -> None:
    """SEAMLINE_WHO or user@host; why in one's own words, whatever they are; a moment that is none is refused."""
    seamline = Seamline(tmp_path)
    seamline.environment.update(COLUMNS="200", SEAMLINE_WHO="")
    run: Callable[..., str] = seamline.pipeline
    offline.export()
    offline.publish()
    run("promote", "2", "--why", "hems [are] better\n'now'")
    assert re.search(r"promote +1 +2 +\S+@\S+ +hems \[are\] better", run("history"))
    seamline.environment["SEAMLINE_WHO"] = "the weekly job"
    run("rollback")
    assert re.search(r"rollback +2 +1 +the weekly job", run("history"))
    assert "keypoints-canary at 2999-01-01T00:00:00Z: no version" in run("history", "--at", "2999-01-01")
    for none in ("yesterday", "9999-12-31T23:59-01:00"):
        assert f"'{none}' is not an instant" in run("history", "--at", none, code=2)


def test_an_entry_can_be_read_back() -> None:
    """What is written of an entry is all that a line has."""
    entry = Entry("promote", 1, 2, "2026-11-01T12:00:00+00:00", "anna@office", "why not", of=1)
    assert Entry(**history._line(entry), of=1) == entry
