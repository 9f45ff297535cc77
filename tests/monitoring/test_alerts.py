"""Each alert, provoked for real: the rules as they are but for their durations, which are seconds here."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pipeline.gateway import certificates
from pipeline.gateway import running as gateway
from pipeline.gateway.files import Files
from pipeline.monitoring import running
from pipeline.release import models_config
from pipeline.release.golden import FOLDER
from pipeline.release.models_config import Serving
from pipeline.release.store import ModelStore
from seamline_client.contract import MODEL_NAME
from seamline_client.errors import ClientError
from tests import golden
from tests.homes import ROOT
from tests.monitoring.conftest import DEPLOY, Watched

pytestmark = pytest.mark.slow
PROVOKED = {
    "no server": {
        *("NoReplica", "ReplicaGone", "ErrorBudgetBurnsFast", "ErrorBudgetBurns", "ErrorBudgetBurnsSlowly"),
        *("VersionNotServed", "GoldenNotAsked"),
    },
    "more requests than it can answer": {"SlowAnswers", "Queue"},
    "a broken version": {"VersionFailsToLoad"},
    "another model's answers": {"GoldenDiffers"},
    "what ends": {"CertificateEnds", "TokenEnds"},
    "a full disk": {"StoreFull"},
    "a drift that was found": {"Drift"},
    "a page that is gone": {"NotWatched"},
    "a gateway that is gone": {"GatewayGone"},
}


@contextmanager
def callers(watched: Watched, number: int, pictures: int) -> Iterator[None]:
    """So many who ask again and again, half of them over each transport, each time about so many pictures."""
    done = threading.Event()
    photo = Path(watched.seamline.sample()).read_bytes()

    def ask(transport: str) -> None:
        with watched.client(transport, timeout=30.0) as client:
            while not done.is_set():
                with suppress(ClientError):
                    client.predict([photo] * pictures, signature="serving_bytes")
                done.wait(0.01)

    threads = [threading.Thread(target=ask, args=(("grpc", "rest")[each % 2],)) for each in range(number)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        done.set()
        for each in threads:
            each.join()


def test_every_alert_is_provoked_here() -> None:
    """A rule without a test of this page is not finished, nor is one that docs/monitoring.md does not explain."""
    rules = re.findall(r"alert: (\w+)$.*?severity: (\w+)\}$", (DEPLOY / "rules.yml").read_text(), re.M | re.S)
    assert {rule for rule, _ in rules} == set.union(*PROVOKED.values())
    assert {f"test_{what}".replace(" ", "_").replace("'", "") for what in PROVOKED} <= globals().keys()
    explained = re.findall(r"^\| `([A-Z]\w+)`, (\w+) \|", (ROOT / "docs" / "monitoring.md").read_text(), re.M)
    assert sorted(rules) == sorted(explained)


def test_nothing_fires_while_all_is_well(watched: Watched) -> None:
    """Every page is read, requests are answered, and nobody is called."""
    with callers(watched, 2, 1):
        watched.until(
            lambda: len(watched.ask("up == 1")) == 3 and watched.ask("seamline:failed:ratio_rate5m"),
            lambda: watched.ask("up"),
        )
        watched.until(
            lambda: len(watched.ask("seamline_golden_same == 1")) == 1, lambda: watched.ask("seamline_unknown")
        )
    # On a machine that has much else to do answers may be slow.
    watched.until(lambda: watched.firing() <= {"SlowAnswers"}, watched.firing)


def test_no_server(watched: Watched) -> None:
    """The server is killed: callers are refused, and a message comes to the webhook."""
    os.kill(watched.server_pid, signal.SIGKILL)
    try:
        with callers(watched, 2, 1):
            watched.until_firing(*PROVOKED["no server"])
        watched.until(
            lambda: (
                {("NoReplica", "firing")} <= {(each["labels"]["alertname"], each["status"]) for each in watched.told}
            ),
            lambda: watched.told,
        )
    finally:
        watched.serve()
    with callers(watched, 2, 1):
        watched.until_quiet(*PROVOKED["no server"])


def test_more_requests_than_it_can_answer(watched: Watched) -> None:
    """Forty-eight callers at once, over both transports."""
    with callers(watched, 48, 4):
        watched.until_firing(*PROVOKED["more requests than it can answer"])


def test_a_broken_version(watched: Watched) -> None:
    """Half of a SavedModel, as a copy that was cut short leaves it, is made the canary."""
    store = ModelStore(watched.settings.models, MODEL_NAME)
    broken = store.folder / "2"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes((store.folder / "1" / "saved_model.pb").read_bytes()[:1000])
    try:
        models_config.write(store, Serving(version=1, canary=2))
        watched.until_firing(*PROVOKED["a broken version"])
    finally:
        models_config.write(store, Serving(version=1, canary=None))
        shutil.rmtree(broken)


def test_another_models_answers(watched: Watched) -> None:
    """What the golden requests were answered at export is not what the server answers."""
    version = watched.settings.models / MODEL_NAME / "1"
    archive = version / FOLDER / "golden.npz"
    before = archive.read_bytes()
    golden.change(version)
    try:
        watched.until_firing(*PROVOKED["another model's answers"])
    finally:
        archive.write_bytes(before)
    watched.until_quiet("GoldenDiffers")


def test_what_ends(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of ten days, and a token of five seconds, which was used."""
    monkeypatch.setattr(certificates, "DAYS", 10)
    Files(watched.settings.gateway).certify(*certificates.own(certificates.HERE))
    with watched.client(caller="line-3", days=5 / 86400) as client:
        client.status()
    try:
        watched.until_firing(*PROVOKED["what ends"])
    finally:
        monkeypatch.undo()
        Files(watched.settings.gateway).certify(*certificates.own(certificates.HERE))
    assert [each["metric"]["caller"] for each in watched.ask('ALERTS{alertname="TokenEnds"}')] == ["line-3"]


def test_a_full_disk(watched: Watched) -> None:
    """One of a megabyte stands in the store's place."""
    place = watched.settings.models
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=False).returncode:
        pytest.skip("a disk of our own cannot be mounted here, which root can")
    try:
        (place / "filler").write_bytes(bytes(1_000_000))
        watched.until_firing(*PROVOKED["a full disk"])
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_drift_that_was_found(watched: Watched) -> None:
    """By another command, which left it in a file."""
    watched.settings.metrics.mkdir(exist_ok=True)
    path = watched.settings.metrics / "drift.prom"
    path.write_text('# TYPE seamline_drift_differs gauge\nseamline_drift_differs{trait="scores"} 1\n')
    try:
        watched.until_firing(*PROVOKED["a drift that was found"])
    finally:
        path.unlink()


def test_a_gateway_that_is_gone(watched: Watched) -> None:
    """It is ended; started again, it is found where it is now."""
    gateway.stop(watched.settings)
    watched.until_firing(*PROVOKED["a gateway that is gone"])
    watched.serve()
    watched.until_quiet("GatewayGone")


def test_a_page_that_is_gone(watched: Watched) -> None:
    """Our own page of metrics is ended."""
    page = next(each for each in running.find(watched.settings) if each.name == running.METRICS)
    page.process(watched.settings.monitoring).stop()
    watched.until_firing(*PROVOKED["a page that is gone"])
    watched.serve()
