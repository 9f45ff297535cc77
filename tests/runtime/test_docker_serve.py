"""`make serve`, `status` and `stop` in containers, with a `docker` of our making."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from pipeline.runtime import docker_gateway, docker_server, docker_stages
from tests.runtime.machine import Machine

HERE = "python:slim tensorflow/serving:2.15.1"
"""The images that others are built on."""


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["serve", "--nonsense"], 2, "--nonsense"),
        (["serve", "--gateway", "--share=150"], 2, "'150' is no whole number from 0 to 100"),
        (["serve", "--gateway", "--share", "ten"], 2, "'ten' is no whole number from 0 to 100"),
        (["serve", "--share=10"], 6, "A share of the requests needs the gateway"),
        (["status", "--nonsense"], 2, "--nonsense"),
        (["stop", "--nonsense"], 2, "--nonsense"),
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
    monkeypatch.setattr(docker_server, "serve", Mock())
    monkeypatch.setattr(docker_gateway, "serve", gateway)
    assert docker_stages.run(compose, "serve", ["--gateway", *share]) == 0
    gateway.assert_called_once_with(compose, 20)
