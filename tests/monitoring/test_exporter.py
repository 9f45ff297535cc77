"""The page of metrics: what it says without a server, and when something is wrong with what it reads."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore
from seamline_client.contract import MODEL_NAME
from seamline_client.wire import serving_pb2 as pb
from tests.client.fakes import FakeGrpc
from tests.homes import Made

pytest.importorskip("prometheus_client", reason="requirements/monitoring.lock is not installed; `make test` does it")


def page(store: Path, files: Path, find: Callable[[], Releases] | None = None) -> str:
    from prometheus_client import CollectorRegistry, generate_latest

    from pipeline.monitoring.exporter import Exporter

    exporter = Exporter(find or (lambda: Releases(ModelStore(store, MODEL_NAME), None)), files)
    exporter.replay()
    registry = CollectorRegistry()
    registry.register(exporter)
    return str(generate_latest(registry), "utf-8")


def test_without_a_server_it_says_what_should_answer(made: Made, tmp_path: Path) -> None:
    """And that nothing does; the disk is there all the same."""
    said = page(made.home / "models", tmp_path)
    assert 'seamline_promoted{model_name="keypoints",version="1"} 1.0' in said
    assert "seamline_answering{" not in said
    assert float(re.findall("^seamline_store_bytes (.*)$", said, re.M)[0]) == shutil.disk_usage(made.home).total
    assert "seamline_unknown 0.0" in said


def test_what_others_left_is_passed_on(made: Made, tmp_path: Path) -> None:
    """As it is, with when it was written."""
    (tmp_path / "drift.prom").write_text('# TYPE seamline_drift_differs gauge\nseamline_drift_differs{trait="a"} 1\n')
    said = page(made.home / "models", tmp_path)
    assert 'seamline_drift_differs{trait="a"} 1.0' in said
    assert 'seamline_file_timestamp_seconds{file="drift"}' in said


def test_a_file_that_is_none_takes_nothing_else_along(made: Made, tmp_path: Path) -> None:
    """The page says that something is not known, and all the rest."""
    (tmp_path / "drift.prom").write_text("not metrics at all {{{\n")
    said = page(made.home / "models", tmp_path)
    assert "seamline_unknown 1.0" in said
    assert "seamline_store_bytes" in said


def test_servers_are_asked_at_once(tmp_path: Path) -> None:
    """However many are cut off, the page comes as soon as for one; Prometheus waits 15 s for it."""
    from pipeline.monitoring.exporter import ASK_SECONDS, Exporter

    together = threading.Barrier(4)

    def answer(*_: object) -> bytes:
        together.wait(ASK_SECONDS)  # for the others: in turn none of them would be asked
        status = pb.GetModelStatusResponse(model_version_status=[pb.ModelVersionStatus(version=1, state="AVAILABLE")])
        return status.SerializeToString()

    with ExitStack() as stack:
        servers = [stack.enter_context(FakeGrpc(answer)).target for _ in range(4)]
        releases = Releases(ModelStore(tmp_path / "models", MODEL_NAME), ",".join(servers))
        pages = {family.name: family.samples for family in Exporter(lambda: releases, tmp_path).collect()}
    assert {each.labels["server"] for each in pages["seamline_version_state"]} == {*servers}


def test_a_replay_that_fails_does_not_end_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A disk that cannot be read is said, there and on the page."""

    def fails() -> Releases:
        raise OSError(5, "Input/output error")

    assert "seamline_unknown 2.0" in page(tmp_path, tmp_path, fails)
    assert "replay: [Errno 5] Input/output error" in capsys.readouterr().out
