"""The commands of a release as a person types them: what they say, and how they end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import cli, job
from pipeline.release import gate
from pipeline.release.export import Candidate
from pipeline.release.gate import Verdict
from pipeline.release.models_config import Serving
from pipeline.release.store import write_checksums
from pipeline.release.versions import rows
from pipeline.settings import Settings
from tests.release.conftest import Trained
from tests.release.world import World

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`run("promote", "2")` is `python -m pipeline promote 2` in the world's home; it returns what that said."""
    monkeypatch.setenv("SEAMLINE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def pipeline(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return " ".join((said.out + said.err).split())

    return pipeline


def test_versions_and_status_say_what_each_version_is(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that serves, the canary and where a rollback goes; when each served, and what the server says."""
    world.export()
    world.publish()
    world.releases.canary(3)
    world.catch_up()
    three, two, one = rows(world.releases)
    assert (three.role, three.served, three.server) == ("canary", "", "answers as canary")
    assert (two.role, two.server) == ("serves", "answers")
    assert two.served.startswith("since ")
    assert (one.role, one.server) == ("rollback goes here", "not loaded")
    assert " to " in one.served
    monkeypatch.setenv("SEAMLINE_SERVER", world.releases.target or "")
    table, lines = run("versions"), run("status")
    for row in (three, two, one):
        assert str(row) in lines
        assert set(row.role.split()) <= set(table.split())


def test_a_change_says_what_answered_before_and_what_answers_now(offline: World, run: Run) -> None:
    """Each command its own; without a server that it takes effect at the next `make serve`."""
    offline.export()
    offline.export()
    assert "no server is running" in run("promote", "1")
    assert "keypoints: version 2 answers from the next `make serve` on (before: version 1)" in run("rollback")
    assert "keypoints-canary: version 1 answers" in run("canary", "1")
    assert "keypoints-canary: no version answers" in run("canary", "--end")
    assert run("retire", "1") == "Retired version 1"
    assert run("retire", "1") == "Version 1 was retired before"
    assert "make serve" in run("status", code=6)
    assert "make serve" in run("verify", code=6)
    assert "There is nothing to go back to" in run("rollback", code=6)


@pytest.mark.parametrize("arguments", [("canary",), ("canary", "1", "--end"), ("promote",), ("promote", "one")])
def test_a_command_line_that_makes_no_sense_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    run(*arguments, code=2)


def test_a_server_that_does_not_answer_is_told_in_words(offline: World, run: Run) -> None:
    """`verify` of a place where nobody listens: what to do, and the exit code of servers."""
    said = run("verify", "--target", f"127.0.0.1:{offline.grpc_port}", code=6)
    assert "No server answers. `make serve` starts one" in said
    assert f"127.0.0.1:{offline.grpc_port}" in said


def test_verify_replays_to_the_plain_name_and_to_the_canary(
    trained: Trained, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over both transports; exit code 11 when one of them does not answer what was trained."""
    world = World(tmp_path, served=True)
    for each in (trained.best, trained.worse):
        with world.store.stage() as staging:
            world.releases.publish(Path(shutil.copytree(each.folder, staging / "1")))
    world.releases.promote(1)
    world.releases.canary(2)
    world.start()
    try:
        monkeypatch.setenv("SEAMLINE_SERVER", world.releases.target or "")
        for where in ((), ("--rest", "--target", f"127.0.0.1:{world.rest_port}")):
            said = run("verify", *where)
            assert "version 1 answers as trained" in said
            assert "version 2 answers as trained" in said
        golden = "assets.extra/golden"
        shutil.rmtree(world.store.folder / "2" / golden)
        shutil.copytree(world.store.folder / "1" / golden, world.store.folder / "2" / golden)
        assert "differs from what the Estimator predicted" in run("verify", code=11)
    finally:
        world.stop()


@pytest.fixture
def export(offline: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """`job.export` of candidates that pass every proof, of a model that is no better than none."""

    def candidate(checkpoint: Any, preset: Any, dataset: Any, staging: Path) -> Candidate:
        (staging / "1" / "assets.extra").mkdir(parents=True)
        write_checksums(staging / "1")
        return Candidate(staging / "1", {}, 45.0)

    monkeypatch.setattr(job, "export_candidate", candidate)
    monkeypatch.setattr(gate, "prove", lambda *_, **__: Verdict(60.0, 45.0, None))
    settings = replace(Settings.from_environment(), keep=1)
    thing: Any = SimpleNamespace(folder=tmp_path, preset=None, dataset=None, step=1)
    return lambda **options: job.export(thing, thing, offline.releases, settings, **options)


def test_export_publishes_and_promotes(offline: World, export: Callable[..., Any], capsys: Any) -> None:
    """`--hold` publishes only, `--dry-run` does neither; old versions go; a poor model is warned of last."""
    export(dry_run=True)
    assert offline.store.versions() == []
    for _ in range(3):
        export()
    assert offline.releases.numbers() == Serving(3)
    export(hold=True)
    assert offline.releases.numbers() == Serving(3)
    capsys.readouterr()
    export()
    said = capsys.readouterr().out
    assert offline.releases.numbers() == Serving(5)
    assert [version.number for version in offline.store.versions()] == [3, 4, 5]
    assert "Retired version 2" in said
    assert said.splitlines()[-1].startswith("WARNING: This model is no better than none")
