"""Training and export under SIGKILL: what they leave, and what the next run makes of it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.training.checkpoints import step_of
from pipeline.training.runs import latest_run
from tests.faults.homes import EXPORT, TRAIN, Home
from tests.faults.small_store import beside, versions
from tests.faults.victims import after
from tests.homes import Made

NOISE = 0.5
"""Percentage points of NE between runs that should be equal: the order in which floats are summed is not fixed."""


def best(said: str) -> float:
    """The lowest NE, as training prints it at its end."""
    (ne,) = re.findall(r"Best checkpoint: .*NE ([\d.]+) %", said)
    return float(ne)


def has_a_checkpoint(home: Home) -> Callable[[psutil.Process], bool]:
    """For `when`: true once training has saved that of step 3."""
    return lambda _: any("ckpt-3" in path.read_text() for path in home.folder.glob("runs/*/checkpoint"))


def proof_has_begun(export: psutil.Process) -> bool:
    """Whether the server that it started for its candidate takes requests."""
    connections = [connection for child in export.children() for connection in child.net_connections()]
    return any(each.status == psutil.CONN_LISTEN for each in connections)


MOMENTS: list[dict[str, Any]] = [
    {"before": "open .*saved_model.pb"},  # Estimator has written it; we rename its signatures
    {"before": "open .*golden.npz"},
    {"before": "rename .*SHA256SUMS"},
    {"when": proof_has_begun},
    {"before": r"rename .*/keypoints/\d+$"},  # it would be visible
    {"before": "rename .*models.config"},  # it is visible, and not yet what answers
]


@pytest.mark.slow
def test_an_export_that_is_killed_leaves_whole_versions_and_no_server(made: Made, tmp_path: Path, soak: bool) -> None:
    """At each of the moments, with --soak before every change of the store: the next export cleans up and publishes."""
    home = Home(made.home).with_copies(tmp_path / "home", "data", "runs")
    kills = [*MOMENTS]
    if soak:
        undisturbed = Home(made.home).with_copies(tmp_path / "undisturbed", "data", "runs")
        changes = sum(f" {undisturbed.store.base}" in change for change in undisturbed.run(EXPORT).changes)
        kills += [{"before": re.escape(f" {home.store.base}"), "nth": nth} for nth in range(1, changes + 1)]
    seen = {0}
    for kill in kills:
        old = versions(home.store)
        ended = home.run(EXPORT, **kill)
        now = versions(home.store)
        assert ended.killed, f"{kill}: {ended.said}"
        assert all(number > max(seen) for number in now.keys() - old.keys()), kill
        assert all(old[number] == now[number] for number in old.keys() & now.keys()), kill
        everything = psutil.process_iter(["cmdline"])
        servers = [each for each in everything if any(str(home.folder) in word for word in each.info["cmdline"] or ())]
        assert psutil.wait_procs(servers, timeout=20)[1] == []  # they end by themselves, in a moment
        seen |= now.keys()
    ended = home.run(EXPORT)
    assert ended.code == 0, ended.said
    assert max(versions(home.store)) > max(seen)
    assert beside(home.store) == beside(Home(made.home).store)


@pytest.mark.slow
def test_the_whole_job_killed_at_random_moments_ends_where_it_would_have(
    made: Made, tmp_path: Path, soak: bool
) -> None:
    """Train, export and publish, SIGKILL at a checkpoint and then at a seeded moment: it goes on from there to the last
    step, with other draws of the photos and no higher NE than at the checkpoint, and the store is whole in the end.
    """
    first = float(re.findall(r"Step 3: NE ([\d.]+) %", made.said)[0])
    chance = random.Random(10)
    for round_ in range(20 if soak else 1):
        home = Home(made.home).with_copies(tmp_path / f"home{round_}", "data")
        assert home.run(TRAIN, when=has_a_checkpoint(home)).killed
        moment = after(chance.uniform(0, made.seconds))
        again = home.run(TRAIN, when=moment)
        assert again.killed or "Going on from step 3 of" in again.said
        if not again.killed:
            home.run(EXPORT, when=moment)
        old = versions(home.store)
        ended = home.run(TRAIN)
        assert ended.code == 0, ended.said
        run = latest_run(home.folder / "runs")
        assert step_of(run.folder) == run.preset.steps
        assert best(ended.said) <= first + NOISE
        assert home.run(EXPORT).code == 0
        assert len(versions(home.store)) == len(old) + 1
        assert beside(home.store) == beside(Home(made.home).store)
