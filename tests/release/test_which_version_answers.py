"""The rule: the plain name answers with the version that was promoted last, and with no other, whatever is done.

Random sequences of everything that changes it, on a real server, with commands that are killed on their way and callers
that never stop asking.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.errors import ServingError
from seamline_client.contract import CANARY_NAME
from tests.release import command
from tests.release.world import DEADLINE, Callers, World

KEEP = 3
PLAN = (
    *("canary", "rollback", "rollback", "export", "killed", "hold", "promote", "killed", "end_of_the_canary"),
    *("retire", "restart", "killed", "export", "canary", "rollback"),
)
KILLED = ("promote", "rollback", "canary", "retire")
PROCESSES = multiprocessing.get_context("forkserver")


class Rule:
    """What may be done, and by the plainest of means what should answer then.

    `answered` is what answered, as a stack, with what serves on top.
    """

    def __init__(self, world: World, callers: Callers, choose: st.DataObject) -> None:
        self.world, self.callers, self._draw = world, callers, choose.draw
        self.existing = {1, 2, 3, 4}
        self.answered = [1, 2, 3]
        self.canary_is: int | None = None

    @property
    def serving(self) -> int:
        return self.answered[-1]

    @property
    def previous(self) -> int | None:
        return next((n for n in reversed(self.answered) if n in self.existing and n != self.serving), None)

    def check(self) -> None:
        serving = self.world.offline.names()
        assert (serving.version, serving.canary) == (self.serving, self.canary_is)
        assert {version.number for version in self.world.store.versions()} == self.existing
        assert (self.world.answer(), self.world.answer(CANARY_NAME)) == (self.serving, self.canary_is)
        self.callers.check()

    def export(self) -> None:
        new = self.world.publish()
        self.existing.add(new)
        self.callers.rule(self.serving, new)
        self.world.releases.promote(new, what="export", wait=True)
        self._promoted(new)
        old = sorted(self.existing - {self.serving, self.canary_is, self.previous})[:-KEEP]
        assert self.world.releases.prune(KEEP) == old
        self.existing -= set(old)

    def hold(self) -> None:
        self.existing.add(self.world.publish())

    def promote(self) -> None:
        number = self._any()
        self.callers.rule(self.serving, number)
        change = self.world.releases.promote(number)
        assert (change.before, change.now) == (self.serving, number)
        self._promoted(number)

    def rollback(self) -> None:
        number = self.previous
        if number is None:
            with pytest.raises(ServingError, match="nothing to go back to"):
                self.world.releases.rollback()
            return
        self.callers.rule(self.serving, number)
        assert self.world.releases.rollback().now == number
        self._rolled_back(number)

    def canary(self) -> None:
        self.canary_is = self._any()
        assert self.world.releases.canary(self.canary_is).now == self.canary_is

    def end_of_the_canary(self) -> None:
        assert self.world.releases.canary(None).before == self.canary_is
        self.canary_is = None

    def retire(self) -> None:
        number = self._any()
        if number in (self.serving, self.canary_is):
            with pytest.raises(ServingError, match=f"Version {number}"):
                self.world.releases.retire(number)
            return
        assert self.world.releases.retire(number)
        self.existing.remove(number)

    def restart(self) -> None:
        with self.callers.outage():
            self.world.stop()
            self.world.start()
            self.world.releases.confirm()

    def killed(self) -> None:
        """It leaves one of the two states, to which the server comes by itself; the same command finishes the job."""
        name, delay = self._draw(st.sampled_from(KILLED)), self._draw(st.floats(0, 1.5))
        number = self.previous if name == "rollback" else self._any()
        if number is None or (name == "retire" and number in (self.serving, self.canary_is)):
            return
        arguments = () if name == "rollback" else (number,)
        if name in ("promote", "rollback"):
            self.callers.rule(self.serving, number)
        self._kill(delay, name, *arguments)
        found, there = self.world.offline.names(), {version.number for version in self.world.store.versions()}
        assert found.version in (self.serving, number if name in ("promote", "rollback") else self.serving)
        assert found.canary in (self.canary_is, number if name == "canary" else self.canary_is)
        assert self.existing - there <= ({number} if name == "retire" else set())
        if name == "rollback" and found.version == number and not self.world.offline.history().unfinished_rollback:
            self.world.releases.confirm()  # the kill came too late, and once more would go further back
        else:
            getattr(self.world.releases, name)(*arguments)
        if name == "promote":
            self._promoted(number)
        elif name == "rollback":
            self._rolled_back(number)
        elif name == "canary":
            self.canary_is = number
        else:
            self.existing.remove(number)

    def _kill(self, delay: float, name: str, *arguments: int) -> None:
        begun, begins = PROCESSES.Pipe(duplex=False)
        everything = (self.world.store.base, self.world.releases.target, begins, name, *arguments)
        process = PROCESSES.Process(target=command.run, args=everything)
        process.start()
        assert begun.poll(DEADLINE)
        process.join(delay)
        process.kill()
        process.join()

    def _any(self) -> int:
        return sorted(self.existing, reverse=True)[self._draw(st.integers(0, len(self.existing) - 1))]

    def _promoted(self, number: int) -> None:
        if number != self.serving:
            self.answered.append(number)
        self.callers.rule(number)

    def _rolled_back(self, number: int) -> None:
        while self.serving != number:
            self.answered.pop()
        self.callers.rule(number)


@contextmanager
def served() -> Iterator[World]:
    """Version 4 was rolled back from, so 3 serves; there is something to go back to, and something newer."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), served=True)
        for _ in range(4):
            world.export()
        world.releases.rollback()
        with world.serving():
            yield world


def test_the_plain_name_answers_with_the_version_that_was_promoted_last(soak: bool) -> None:
    """Through exports, promotes, canaries, rollbacks, restarts and kills; no request fails, over gRPC and REST."""
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        PROCESSES.set_forkserver_preload([command.__name__])
        forkserver.ensure_running()

    @settings(
        max_examples=60 if soak else 2,  # the first is the plan as it stands
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def sequence(data: st.DataObject) -> None:
        with served() as world, Callers(world, 3) as callers:
            rule = Rule(world, callers, data)
            for what in data.draw(st.permutations(PLAN * (2 if soak else 1))):
                getattr(rule, what)()
                rule.check()

    sequence()
