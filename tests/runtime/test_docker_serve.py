"""`make serve`, `status` and `stop` in containers, with a `docker` of our making."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from pipeline.runtime import docker_gateway, docker_monitoring, docker_server, docker_stages, engine
from pipeline.runtime.compose import Compose
from pipeline.runtime.engine import EngineError
from tests.runtime.machine import Machine

HERE = "python:slim tensorflow/serving:2.15.1"
"""The images that others are built on."""


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["serve", "--nonsense"], 2, "--nonsense"),
        (["serve", "--gateway", "--share=150"], 2, "'150' is no whole number from 0 to 100"),
        (["serve", "--gateway", "--share", "ten"], 2, "'ten' is no whole number from 0 to 100"),
        (["serve", "--share=10"], 6, "--share (SHARE) needs --gateway"),
        (["status", "--nonsense"], 2, "--nonsense"),
        (["stop", "--nonsense"], 2, "--nonsense"),
        (["logs"], 6, "No server was started here. `make serve` starts one."),
        (["push", "there"], 2, "No container does push. If it is a stage, --runtime local does it."),
    ],
)
def test_options_are_read_before_anything_is_started_or_ended(
    machine: Machine, options: list[str], code: int, reason: str
) -> None:
    """With the exit codes of the local runtime."""
    machine.has(images=HERE)
    assert reason in machine.launch("docker", *options, code=code)
    assert not {"run", "up", "rm"} & {*machine.asked.split()}


@pytest.mark.parametrize("share", [["--share=20"], ["--share", "20"]])
def test_either_spelling_of_an_option_counts(share: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`ARGS="--gateway --share=20"` is what GATEWAY=1 SHARE=20 is."""
    gateway, compose = Mock(), cast(Any, SimpleNamespace(environment={}))
    monkeypatch.setattr(docker_server, "check", Mock())
    monkeypatch.setattr(docker_server, "serve", Mock())
    monkeypatch.setattr(docker_gateway, "serve", gateway)
    assert docker_stages.run(compose, "serve", ["--gateway", *share]) == 0
    gateway.assert_called_once_with(compose, 20)


def test_a_share_for_a_canary_that_is_not_there_starts_nothing(machine: Machine) -> None:
    """As locally, where it is said before the server is started."""
    machine.has(images=HERE, also='*"cat /models/models.config"*) echo name: keypoints ;;')
    assert "needs a canary" in machine.launch("docker", "serve", "--gateway", "--share=10", code=6)
    assert " up " not in machine.asked


def test_a_version_that_was_held_is_not_said_to_be_missing(machine: Machine) -> None:
    """After `make export HOLD=1` there is one, which nobody promoted: that is what is said, and starts nothing."""
    machine.has(images=HERE, run="exit 0")
    assert "No version was promoted, so there is nothing to serve." in machine.launch("docker", "serve", code=6)
    assert " up " not in machine.asked


@pytest.mark.parametrize("to", [None, "a folder/picture.png", "-"])
def test_the_demos_picture_goes_where_it_was_asked_for(
    to: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the name that was given, or to standard output as it comes."""
    monkeypatch.setattr(docker_stages, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    compose: Any = SimpleNamespace(answer=Mock(return_value=(b"picture", 0)), run=Mock(return_value=0))
    assert docker_stages.run(compose, "demo", ["--to", to] if to else []) == 0
    if to == "-":
        compose.run.assert_called_once_with("release", "demo", "--to", "-")
        assert capsys.readouterr().out == ""
    else:
        assert Path(to or "var/demo.png").read_bytes() == b"picture"


def test_status_says_what_else_runs_where_no_server_does(machine: Machine) -> None:
    """As locally: a gateway before nothing is what an alert sends people to look for."""
    runs = '*"--status running gateway"*) echo 0123456789abcdef ;; *"port gateway 8443"*) echo 127.0.0.1:8443 ;;'
    machine.has(images=HERE, also=runs)
    said = machine.launch("docker", "status", code=6).splitlines()
    assert said[-2:] == [
        "  gateway  https://127.0.0.1:8443, container 0123456789ab",
        "Error: No server is running. `make serve` starts one.",
    ]


def test_stop_ends_what_is_not_running(machine: Machine) -> None:
    """A gateway that ends again and again, and what was made and could not start, are there without running."""
    machine.has(images=HERE, also='*"ps --all --quiet"*) echo 0123456789abcdef ;;')
    said = machine.launch("docker", "stop")
    assert "Stopped Prometheus, Alertmanager and the page of metrics" in said
    assert "Stopped the gateway, container 0123456789ab" in said
    for services in ("metrics alertmanager prometheus", "gateway"):
        assert f" rm --stop --force {services}\n" in machine.asked


@pytest.mark.parametrize(
    ("service", "other"),
    [
        ("serve", "SEAMLINE_GRPC_PORT and SEAMLINE_REST_PORT name others"),
        ("gateway", "SEAMLINE_GATEWAY names another"),
        ("prometheus", "no other than 9090"),
        ("alertmanager", "no other than 9093"),
    ],
)
def test_a_port_that_is_taken_is_named_by_its_setting(service: str, other: str) -> None:
    """That of the container which could not have it."""
    endpoint = f"driver failed programming external connectivity on endpoint mine-{service}-1 (2df1ab6a1762)"
    said = engine.explain(f"Error response from daemon: {endpoint}: listen tcp4 127.0.0.1:1: address already in use")
    assert said.startswith("the port is taken; ")
    assert other in said
    assert engine.explain("Bind for 127.0.0.1:1 failed: port is already allocated").startswith("the port is taken (")


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compose where our page of metrics runs, and nothing else does; nobody answers at any port."""
    monkeypatch.setattr(engine, "has", lambda _: True)
    monkeypatch.setattr(docker_monitoring, "START_SECONDS", 0.1)
    return SimpleNamespace(
        environment={},
        image=str,
        running=lambda service: "0123456789ab" if service == "metrics" else "",
        last_lines=lambda service: f"{service} cannot read its file",
        answer=Mock(return_value=(b"", 0)),
        ask=Mock(return_value="127.0.0.1:1"),
        remove=Mock(),
    )


def test_what_could_not_be_started_is_not_left_behind(watching: Any) -> None:
    """Of Prometheus and what is beside it; what ran before goes on."""
    watching.ask.side_effect = EngineError("the port is taken")
    with pytest.raises(EngineError, match="the port is taken"):
        docker_monitoring.serve(watching)
    watching.remove.assert_called_once_with("alertmanager", "prometheus")


def test_what_does_not_answer_is_not_said_to_watch(watching: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose log says why, and it is removed."""
    with pytest.raises(EngineError, match=r"(?s)prometheus is not ready: .*prometheus cannot read its file"):
        docker_monitoring.serve(watching)
    watching.remove.assert_called_once_with("alertmanager", "prometheus")
    assert capsys.readouterr().out == ""


def test_a_file_of_alerts_is_asked_about_before_it_counts(watching: Any, tmp_path: Path) -> None:
    """Where Alertmanager does not take it nothing is started or ended; else it starts anew, with the file of now."""
    alerts = tmp_path / "alerts.yml"
    alerts.touch()
    watching.environment = {"SEAMLINE_ALERTS": str(alerts)}
    watching.answer.return_value = (b"FAILED: line 1: field nonsense not found", 1)
    with pytest.raises(EngineError, match=f"SEAMLINE_ALERTS is {alerts}, which Alertmanager does not take: FAILED: li"):
        docker_monitoring.serve(watching)
    watching.ask.assert_not_called()
    watching.answer.return_value = (b"", 0)
    with pytest.raises(EngineError, match="is not ready"):
        docker_monitoring.serve(watching)
    assert watching.ask.call_args_list[0].args == ("up", "--detach", "--no-deps", "--force-recreate", "alertmanager")


def test_removing_nothing_removes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Compose is named no service it takes all of them."""
    asked = Mock()
    monkeypatch.setattr(Compose, "ask", asked)
    Compose.__new__(Compose).remove()
    asked.assert_not_called()
