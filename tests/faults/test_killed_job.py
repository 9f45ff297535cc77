"""Drawing, training and export under SIGKILL and SIGTERM: what they leave, and what the next run makes of it."""

from __future__ import annotations

import itertools
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.conftest import EXPORT, TRAIN, Home, Trained
from tests.faults.small_store import beside, versions
from tests.faults.victims import after

NOISE = 0.5
"""Percentage points of NE between runs that should be equal: the order in which floats are summed is not fixed."""


def scores(said: str) -> dict[int, float]:
    """NE by step, as training prints it."""
    return {int(step): float(ne) for step, ne in re.findall(r"Step (\d+): NE ([\d.]+) %", said)}


def best(said: str) -> float:
    """The lowest NE, as training prints it at its end."""
    (ne,) = re.findall(r"Best checkpoint: .*NE ([\d.]+) %", said)
    return float(ne)


def has_checkpoint(home: Home, step: int) -> Callable[[psutil.Process], bool]:
    return lambda _: home.checkpoint() == step


def proof_has_begun(export: psutil.Process) -> bool:
    """Whether the server that it started for its candidate takes requests."""
    connections = [each.net_connections() for each in export.children()]
    return any(each.status == psutil.CONN_LISTEN for each in itertools.chain.from_iterable(connections))


def processes_of(home: Home) -> list[psutil.Process]:
    """Those whose command line names the home, as that of a candidate's server does."""
    everything = psutil.process_iter(["cmdline"])
    return [each for each in everything if any(str(home.folder) in word for word in each.info["cmdline"] or ())]


def assert_gone(processes: list[psutil.Process]) -> None:
    """They end by themselves; the kernel takes a moment for it."""
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []


MOMENTS: list[dict[str, Any]] = [
    {"before": "open .*saved_model.pb"},  # Estimator has written it; we rename its signatures
    {"before": "open .*golden.npz"},
    {"before": "rename .*SHA256SUMS"},
    {"when": proof_has_begun},
    {"before": r"rename .*/keypoints/\d+$"},  # it would be visible
    {"before": "rename .*models.config"},  # it is visible, and not yet what answers
]


@pytest.mark.slow
def test_an_export_that_is_killed_leaves_whole_versions_and_no_server(
    trained: Trained, tmp_path: Path, soak: bool
) -> None:
    """At each of the moments, with --soak before every change of the store: the next export cleans up and publishes."""
    home = trained.home.with_copies(tmp_path / "home", "data", "runs")
    kills = [*MOMENTS]
    if soak:
        undisturbed = trained.home.with_copies(tmp_path / "undisturbed", "data", "runs")
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
        assert_gone(processes_of(home))
        seen |= now.keys()
    ended = home.run(EXPORT)
    assert ended.code == 0, ended.said
    assert max(versions(home.store)) > max(seen)
    assert beside(home.store) == beside(trained.home.store)


@pytest.mark.slow
def test_training_that_is_killed_between_a_checkpoint_and_its_evaluation_loses_neither(
    trained: Trained, tmp_path: Path
) -> None:
    """At each checkpoint of the run in turn: the next process evaluates it first, and the best one is kept."""
    home = trained.home.with_copies(tmp_path / "home", "data")
    steps = [*scores(trained.said)]
    said = ""
    for step in steps:
        ended = home.run(TRAIN, when=has_checkpoint(home, step))
        assert ended.killed, ended.said
        assert step not in scores(ended.said)
        said += ended.said
    last = home.run(TRAIN)
    assert last.code == 0, last.said
    assert "Nothing left to do" in last.said
    found = scores(said + last.said)
    assert [*found] == steps
    assert found[steps[0]] == pytest.approx(scores(trained.said)[steps[0]], abs=NOISE)
    assert best(last.said) == min(found.values())


@pytest.mark.slow
def test_training_that_is_asked_to_stop_during_an_evaluation_says_so(trained: Trained, tmp_path: Path) -> None:
    """It ends with 130, with a checkpoint, and before its last step, though Estimator then ends as if it were done."""
    home = trained.home.with_copies(tmp_path / "home", "data")
    first, *_, last = scores(trained.said)
    ended = home.run(TRAIN, when=has_checkpoint(home, first), number=signal.SIGTERM)
    assert ended.code == 130, ended.said
    assert "Traceback" not in ended.said
    assert first <= home.checkpoint() < last


@pytest.mark.slow
def test_the_whole_job_killed_at_random_moments_ends_where_it_would_have(
    trained: Trained, tmp_path: Path, soak: bool
) -> None:
    """Train, export and publish, SIGKILL at seeded moments: the last step, the NE and a whole store in the end."""
    chance = random.Random(20)
    first, *_, last = scores(trained.said)
    for round_ in range(20 if soak else 1):
        home = trained.home.with_copies(tmp_path / f"home{round_}", "data")
        for _ in range(1 if soak else 2):
            moment = after(chance.uniform(0, trained.seconds))
            if not home.run(TRAIN, when=moment).killed:
                home.run(EXPORT, when=moment)
            old = versions(home.store)
        ended = home.run(TRAIN)
        assert ended.code == 0, ended.said
        assert home.checkpoint() == last
        assert best(ended.said) <= scores(trained.said)[first] + NOISE
        assert home.run(EXPORT).code == 0
        assert len(versions(home.store)) == len(old) + 1
        assert beside(home.store) == beside(trained.home.store)


def test_drawing_that_is_killed_leaves_no_process(trained: Trained, tmp_path: Path) -> None:
    """The processes that draw end with the one that started them."""
    home = Home(tmp_path / "home", trained.home.victims)
    children = set[psutil.Process]()

    def drawing(process: psutil.Process) -> bool:
        children.update(process.children(recursive=True))
        return any(home.folder.rglob("*.jpg"))

    assert home.run("data --preset tiny", when=drawing).killed
    assert children
    assert_gone([*children])
