"""Promote and roll back in containers: the running server follows, as in the local runtime."""

from __future__ import annotations

import json
import urllib.request

from tests.containers.job import Job


def stable(job: Job) -> str:
    """The version that answers callers of the label."""
    with urllib.request.urlopen(f"{job.url}/labels/stable/metadata", timeout=10) as answer:
        return str(json.load(answer)["model_spec"]["version"])


def test_labels_move_in_the_running_server(job: Job) -> None:
    """An export waits for the server; promote and rollback move `stable` there, with no restart."""
    container = job.server()
    assert "The running server at serve:8500 has loaded it" in job.make("export")
    assert "stable is version 1" in job.make("promote", "VERSION=1")
    assert stable(job) == "1"
    said = job.make("versions")
    assert "stable" in said
    assert "AVAILABLE" in said
    job.make("promote", "VERSION=2")
    assert stable(job) == "2"
    assert "Back to version 1" in job.make("rollback")
    assert stable(job) == "1"
    assert "what was trained" in job.make("verify", "LABEL=stable")
    assert job.server() == container
