"""What settings mean to containers, with a `docker` of our making."""

from __future__ import annotations

from pathlib import Path

from tests.runtime.machine import Machine


def test_alertmanagers_file_is_found_where_it_was_named(machine: Machine, tmp_path: Path) -> None:
    """From any folder, and in any spelling: not beside docker-compose.yml, where Compose would look for it."""
    (tmp_path / "elsewhere").mkdir()
    for name, expected in (
        ("alerts.yml", tmp_path / "elsewhere" / "alerts.yml"),
        ("./alerts.yml", tmp_path / "elsewhere" / "alerts.yml"),
        ("~/alerts.yml", tmp_path / "alerts.yml"),
    ):
        machine.environment = {"SEAMLINE_ALERTS": name, "HOME": str(tmp_path)}
        machine.has(images="python:slim", config='echo "$SEAMLINE_ALERTS" > "$0.told"; exit 1')
        machine.launch("docker", cwd=tmp_path / "elsewhere", code=9)
        assert (tmp_path / "docker.told").read_text().strip() == str(expected)


def test_a_setting_that_compose_refuses_does_not_choose_the_runtime(machine: Machine) -> None:
    """auto ends as docker does, with what Compose says, once runs are in volumes; before that, it goes on locally."""
    machine.has(images="seamline-train", config="echo \"invalid size: 'lots'\" >&2; exit 15")
    for runtime in ("auto", "docker"):
        said = machine.launch(runtime, code=9)
        assert said == "Error: containers cannot be used: invalid size: 'lots'. RUNTIME=local needs none.\n"
    machine.has(config="echo \"invalid size: 'lots'\" >&2; exit 15")
    assert "Runtime: local (invalid size: 'lots')" in machine.launch("auto")
