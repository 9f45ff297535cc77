"""The rule: the plain name answers with the version that was promoted last, and with no other, whatever is done.

Random sequences of everything that changes it, on a real server, with commands that are killed on their way and callers
that never stop asking.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.errors import ServingError
from tests.release import command
from tests.release.world import CANARY, DEADLINE, Callers, World

KEEP = 3
ANY = st.integers(0, 99)
PROCESSES = multiprocessing.get_context("forkserver")


class Rule(RuleBasedStateMachine):
    """Knows by the plainest of means what should answer: `answered` is a stack, what serves on top."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder, served=True)
        self.existing = {self.world.export() for _ in range(4)}
        self.world.releases.rollback()
        self.answered = [1, 2, 3]
        self.canary_is: int | None = None
        self.world.start()
        self.callers = Callers(self.world)
        self.callers.rule(3)
        self.callers.__enter__()

    def teardown(self) -> None:
        try:
            self.callers.__exit__()
        finally:
            self.world.stop()
            shutil.rmtree(self.folder)

    @property
    def serving(self) -> int:
        return self.answered[-1]

    @property
    def previous(self) -> int | None:
        return next((n for n in reversed(self.answered) if n in self.existing and n != self.serving), None)

    def one_of(self, index: int) -> int:
        return sorted(self.existing)[index % len(self.existing)]

    def promoted(self, number: int) -> None:
        if number != self.serving:
            self.answered.append(number)
        self.callers.rule(number)

    def rolled_back(self, number: int) -> None:
        while self.serving != number:
            self.answered.pop()
        self.callers.rule(number)

    @rule()
    def export(self) -> None:
        new = self.world.publish()
        self.existing.add(new)
        self.callers.rule(self.serving, new)
        self.world.releases.promote(new, by="export", wait=True)
        self.promoted(new)
        needed = {self.serving, self.canary_is, self.previous}
        old = sorted(self.existing - needed)[:-KEEP]
        assert self.world.releases.prune(KEEP) == old
        self.existing -= set(old)

    @rule()
    def hold(self) -> None:
        self.existing.add(self.world.publish())

    @rule(index=ANY)
    def promote(self, index: int) -> None:
        number = self.one_of(index)
        self.callers.rule(self.serving, number)
        change = self.world.releases.promote(number)
        assert (change.before, change.now) == (self.serving, number)
        self.promoted(number)

    @rule()
    def rollback(self) -> None:
        number = self.previous
        if number is None:
            with pytest.raises(ServingError, match="nothing to go back to"):
                self.world.releases.rollback()
            return
        self.callers.rule(self.serving, number)
        assert self.world.releases.rollback().now == number
        self.rolled_back(number)

    @rule(index=ANY)
    def canary(self, index: int) -> None:
        self.canary_is = self.one_of(index)
        assert self.world.releases.canary(self.canary_is).now == self.canary_is

    @precondition(lambda self: self.canary_is)
    @rule()
    def end_of_the_canary(self) -> None:
        assert self.world.releases.canary(None).before == self.canary_is
        self.canary_is = None

    @rule(index=ANY)
    def retire(self, index: int) -> None:
        number = self.one_of(index)
        if number in (self.serving, self.canary_is):
            with pytest.raises(ServingError, match=f"Version {number}"):
                self.world.releases.retire(number)
            return
        assert self.world.releases.retire(number)
        self.existing.remove(number)

    @rule()
    def restart(self) -> None:
        with self.callers.outage():
            self.world.stop()
            self.world.start()
            self.world.catch_up()

    @rule(name=st.sampled_from(["promote", "rollback", "canary", "retire"]), index=ANY, delay=st.floats(0, 1.5))
    def killed(self, name: str, index: int, delay: float) -> None:
        """It leaves one of the two states, to which the server comes by itself; the same command finishes the job."""
        number = self.one_of(index)
        arguments = () if name == "rollback" else (number,)
        if name == "rollback":
            if self.previous is None:
                return
            number = self.previous
        if name == "retire" and number in (self.serving, self.canary_is):
            return
        if name in ("promote", "rollback"):
            self.callers.rule(self.serving, number)
        self._kill(delay, name, *arguments)
        found = self.world.offline.numbers()
        there = {version.number for version in self.world.store.versions()}
        if name in ("promote", "rollback"):
            assert found.version in (self.serving, number)
        else:
            assert found.version == self.serving
        assert found.canary in ((self.canary_is, number) if name == "canary" else (self.canary_is,))
        assert there in ((self.existing, self.existing - {number}) if name == "retire" else (self.existing,))
        self.world.catch_up()
        done = name == "rollback" and found.version == number and not self.world.offline.history().unfinished_rollback
        if not done:  # the kill came in time
            getattr(self.world.releases, name)(*arguments)
        if name == "promote":
            self.promoted(number)
        elif name == "rollback":
            self.rolled_back(number)
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

    @invariant()
    def the_rule_holds(self) -> None:
        serving = self.world.offline.numbers()
        assert (serving.version, serving.canary) == (self.serving, self.canary_is)
        assert {version.number for version in self.world.store.versions()} == self.existing
        assert (self.world.answer(), self.world.answer(CANARY)) == (self.serving, self.canary_is)
        self.callers.check()


def test_the_plain_name_answers_with_the_version_that_was_promoted_last(soak: bool) -> None:
    """Through exports, promotes, canaries, rollbacks, restarts and kills; no request fails, over gRPC and REST."""
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        PROCESSES.set_forkserver_preload([command.__name__])
        forkserver.ensure_running()
    examples, steps = (50, 30) if soak else (2, 10)
    run_state_machine_as_test(
        Rule,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
