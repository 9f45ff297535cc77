"""The commands of a release as a person types them: what they say, and how they end."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from model.metrics import NE
from pipeline import job
from pipeline.cli import app, release, serving
from pipeline.console import step
from pipeline.errors import ServingError
from pipeline.gateway import running as gateway
from pipeline.monitoring import running as watching
from pipeline.release import gate, verify_http, versions
from pipeline.release.export import Candidate
from pipeline.release.models_config import Serving
from pipeline.release.store import ModelStore, write_checksums
from pipeline.settings import Settings
from tests.homes import Seamline
from tests.release.conftest import Trained
from tests.release.world import World

Run = Callable[..., str]


AT = r"[-\d]+ [\d:]+"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("promote", "2")` is `python -m pipeline promote 2` in the world's home; it returns what that said."""
    seamline = Seamline(tmp_path)

    def pipeline(*arguments: str, code: int = 0, server: str | None = None) -> str:
        seamline.environment.update(COLUMNS="200", SEAMLINE_SERVER=server or "")
        return " ".join(seamline.pipeline(*arguments, code=code).split())

    return pipeline


def test_versions_and_status_say_what_each_version_is(world: World, run: Run) -> None:
    """The one that serves, the canary and where a rollback goes; when each served, and what the server says."""
    server = world.releases.target
    world.publish()
    world.publish()
    assert f"version 1 answered before, version 2 answers now at {server}" in run("promote", "2", server=server)
    assert f"version 2 answers at {server}, as before" in run("promote", "2", server=server)
    run("canary", "3", server=server)
    table, lines = run("versions", server=server), run("status", server=server)
    assert re.search(r" 3 [^:]+ MB canary answers as canary ", table)
    assert re.search(rf" 2 [^:]+ MB serves since {AT} answers ", table)
    assert re.search(rf" 1 [^:]+ MB rollback goes here {AT} to {AT} not loaded$", table)
    assert re.search(r"version 3: NE [^:]+ MB, canary, answers as canary", lines)
    assert re.search(rf"version 2: NE [^:]+ MB, serves, since {AT} UTC, answers", lines)
    assert re.search(rf"version 1: NE [^:]+ MB, rollback goes here, {AT} to {AT} UTC, not loaded", lines)


def test_a_version_that_is_retired_while_versions_are_listed(offline: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is left out, as it would be a moment later."""
    for _ in range(2):
        offline.export()
    there = offline.store.versions()
    monkeypatch.setattr(ModelStore, "versions", lambda _: there)
    shutil.rmtree(there[0].folder)
    assert [row[0] for row in versions.rows(offline.offline)] == ["2"]


def test_a_change_says_what_answered_before_and_what_answers_next(offline: World, run: Run, tmp_path: Path) -> None:
    """Each command its own; without a server that it takes effect at the next `make serve`."""
    assert "No version is published" in run("versions")
    offline.export()
    offline.export()
    assert "no server is running" in run("promote", "1")
    assert "keypoints: version 2 answers from the next `make serve` on (before: version 1)" in run("rollback")
    assert "keypoints-canary: version 1 answers" in run("canary", "1")
    # A gateway that had a share for it, and was stopped.
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "routes.json").write_text('{"runtime_fraction": {}}')
    assert "keypoints-canary: no version answers" in run("canary", "--end")
    assert run("retire", "1") == "Retired version 1"
    assert run("retire", "1") == "Version 1 was retired before"
    assert "make serve" in run("status", code=6)
    assert "make serve" in run("verify", code=6)
    assert "There is nothing to go back to" in run("rollback", code=6)


def test_status_says_what_else_runs_where_no_server_does(
    offline: World, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gateway before nothing is what an alert sends people to look for; the exit code is that of no server."""
    monkeypatch.setattr(gateway, "find", lambda _: gateway.Gateway(4711, "https://127.0.0.1:8443", Path("log"), False))
    monkeypatch.setattr(watching, "find", lambda _: [SimpleNamespace(name="Prometheus", url="http://127.0.0.1:9090")])
    with pytest.raises(ServingError, match="No server is running"):
        serving.status()
    said = capsys.readouterr().out
    assert "gateway  https://127.0.0.1:8443, process 4711" in said
    assert "Prometheus  http://127.0.0.1:9090" in said


def test_the_texts_of_others_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A file name is no markup and has no emoji in it."""
    with step("a[bold].jpg") as found:
        found("[/] :warning:.csv")
    assert capsys.readouterr().out == "  a[bold].jpg: [/] :warning:.csv\n"


@pytest.mark.parametrize("arguments", [("canary",), ("canary", "1", "--end"), ("promote",), ("promote", "one")])
def test_a_command_line_that_makes_no_sense_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    run(*arguments, code=2)


@pytest.mark.parametrize(
    "command",
    [("evaluate", "--data", "."), ("predict", "--photos", ".", "--to", "."), ("drift", "--sample", ".")],
)
def test_no_version_has_the_number_0(offline: World, run: Run, command: tuple[str, ...]) -> None:
    """It does not stand for the one that serves."""
    offline.export()
    run(*command, "--version", "0", code=2)
    with pytest.raises(ServingError, match="No version 0"):
        offline.releases.find(0)


@pytest.mark.parametrize(
    ("options", "named", "port"),
    [
        ((), {}, "8500"),
        (("--rest",), {}, "8501"),
        ((), {"SEAMLINE_GRPC_PORT": "9500"}, "9500"),
        (("--rest",), {"SEAMLINE_REST_PORT": "9501", "SEAMLINE_SERVER": "serve:8500"}, "9501"),
        ((), {"SEAMLINE_SERVER": "serve:7500"}, "7500"),
        (("--rest", "--target", "models:7501"), {}, "7501"),
    ],
)
def test_who_asks_for_a_proof_is_asked_at_the_port_of_its_transport(
    options: tuple[str, ...], named: dict[str, str], port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/caller`: that of `--target`, else of the settings."""
    asked: list[str] = []
    for name in ("SEAMLINE_GRPC_PORT", "SEAMLINE_REST_PORT", "SEAMLINE_SERVER"):
        monkeypatch.setenv(name, named.get(name, ""))
    monkeypatch.setattr(release, "_verdicts", lambda target, _: asked.append(target))
    monkeypatch.setattr(verify_http, "serve", lambda host, port, ask, ready: ask("10.0.0.7"))
    CliRunner().invoke(app, ["verify", "--listen", "8700", *options], catch_exceptions=False)
    assert asked == [f"10.0.0.7:{port}"]


def test_a_server_that_does_not_answer_is_told_in_words(offline: World, run: Run) -> None:
    """`verify` of a place where nobody listens: what to do, and the exit code of servers."""
    said = run("verify", "--target", f"127.0.0.1:{offline.grpc_port}", code=6)
    assert "No server answers. `make serve` starts one" in said
    assert f"127.0.0.1:{offline.grpc_port}" in said


def test_verify_replays_to_the_plain_name_and_to_the_canary(trained: Trained, run: Run, tmp_path: Path) -> None:
    """Over both transports; exit code 11 when one of them does not answer what was trained."""
    world = World(tmp_path, served=True)
    for each in (trained.best, trained.worse):
        with world.store.stage() as staging:
            world.releases.publish(Path(shutil.copytree(each.folder, staging / "1")))
    world.releases.promote(1)
    world.releases.canary(2)
    world.start()
    try:
        server = world.releases.target
        for where in ((), ("--rest", "--target", f"127.0.0.1:{world.rest_port}")):
            said = run("verify", *where, server=server)
            assert "version 1 answers as trained" in said
            assert "version 2 answers as trained" in said
        golden = "assets.extra/golden"
        shutil.rmtree(world.store.folder / "2" / golden)
        shutil.copytree(world.store.folder / "1" / golden, world.store.folder / "2" / golden)
        assert "differs from what the Estimator predicted" in run("verify", code=11, server=server)
    finally:
        world.stop()


@pytest.fixture
def export(offline: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """`job.export` of candidates that pass every proof, of a model that is no better than none."""

    def candidate(checkpoint: Any, preset: Any, dataset: Any, staging: Path) -> Candidate:
        (staging / "1" / "assets.extra").mkdir(parents=True)
        write_checksums(staging / "1")
        return Candidate(staging / "1", {NE: 60.0}, 45.0)

    monkeypatch.setattr(job, "export_candidate", candidate)
    monkeypatch.setattr(gate, "prove", lambda *_, **__: None)
    settings = replace(Settings.from_environment(), keep=1)
    thing: Any = SimpleNamespace(folder=tmp_path, preset=None, dataset=None, step=1)
    return lambda **options: job.export(thing, thing, offline.releases, settings, **options)


def test_export_publishes_and_promotes(offline: World, export: Callable[..., Any], capsys: Any) -> None:
    """`--hold` publishes only, `--dry-run` does neither; old versions go; a poor model is warned of last."""
    export(dry_run=True)
    assert offline.store.numbers() == []
    for _ in range(3):
        export()
    assert offline.releases.names() == Serving(3)
    export(hold=True)
    assert offline.releases.names() == Serving(3)
    capsys.readouterr()
    export()
    said = capsys.readouterr().out
    assert offline.releases.names() == Serving(5)
    assert offline.store.numbers() == [3, 4, 5]
    assert "Retired version 2" in said
    assert said.splitlines()[-1].startswith("Warning: This model is no better than none")
