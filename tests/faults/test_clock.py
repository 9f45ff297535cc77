"""The clock of a machine may be set at any time, and nothing may depend on it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from pipeline import cli
from pipeline.errors import ServingError
from pipeline.release.store import ModelStore
from tests.faults.conftest import Served
from tests.faults.small_store import MODEL, publish_to, versions


def test_versions_do_not_depend_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each publish believes to be a day before the last one, whose files are from the future then."""
    store = ModelStore(tmp_path, MODEL)
    now = time.time()
    for day in range(3):
        monkeypatch.setattr(time, "time", lambda day=day: now - 86400 * day)
        assert publish_to(store) == day + 1
        os.utime(store.folder / str(day + 1), (now + 86400, now + 86400))
    assert list(versions(store)) == [1, 2, 3]


def test_a_server_is_known_after_the_clock_was_set(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a process began is told in seconds since 1970, which moves with the clock, so its command line counts too.

    Without either of them the number of the process has gone to another one.
    """
    for name, value in served.home.environment.items():
        monkeypatch.setenv(name, value)
    began = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: began(process) + 3600)
    told = CliRunner().invoke(cli.app, ["status"])
    assert told.exit_code == 0, told.exception
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: ["another", "program"])
    assert isinstance(CliRunner().invoke(cli.app, ["status"]).exception, ServingError)
