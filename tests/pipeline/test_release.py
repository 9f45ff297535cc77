"""Promote, roll back, remove: on a real server, with callers that never stop asking."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ServingError
from pipeline.release import models_config as policy
from pipeline.release import releases as release
from pipeline.release.models_config import Policy
from pipeline.release.releases import Releases
from pipeline.release.store import ModelStore, write_checksums
from pipeline.serving import process
from pipeline.serving.server import wait_until_available
from pipeline.settings import Settings
from seamline_client import PredictClient
from seamline_client.contract import MODEL_NAME
from seamline_client.errors import ClientError
from tests.model_server.model_server_support import save_half_plus
from tests.ports import free_port


def publish(store: ModelStore, releases: Releases, offset: float) -> int:
    """A version whose answers to 0 is `offset`."""
    with store.stage() as staging:
        folder = save_half_plus(staging / "1", offset)
        (folder / "assets.extra").mkdir()
        write_checksums(folder)
        version = store.publish(folder)
    releases.published(version)
    return version.number


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path / "data",
        runs=tmp_path / "runs",
        models=tmp_path / "models",
        server=tmp_path / "server",
        grpc_port=free_port(),
        rest_port=free_port(),
    )


@pytest.fixture
def store(settings: Settings) -> ModelStore:
    return ModelStore(settings.models, MODEL_NAME)


@pytest.fixture
def releases(settings: Settings, store: ModelStore) -> Iterator[Releases]:
    """Versions 1 and 2 are published, answering 1.0 and 2.0, and a server runs."""
    offline = Releases(store, None)
    for number in (1, 2):
        assert publish(store, offline, float(number)) == number
    flags = (
        f"--model_config_file={policy.path(store)}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
    )
    with process.start(flags, settings.server / "log", settings.grpc_port, settings.rest_port) as server:
        wait_until_available(server, MODEL_NAME, 60)
        yield Releases(store, server.grpc_target)


def answer(releases: Releases, label: str | None = None) -> float:
    assert releases.target
    with PredictClient(releases.target) as client:
        return float(client.run({"x": np.zeros(1, np.float32)}, label=label)["y"][0])


def test_labels_are_the_production_address(store: ModelStore, releases: Releases) -> None:
    """After the first promote a new publish is loaded, and callers of the label stay where they are."""
    assert answer(releases) == 2.0
    releases.promote(1)
    assert answer(releases, "stable") == 1.0
    assert publish(store, releases, 3.0) == 3
    assert answer(releases) == 3.0
    assert answer(releases, "stable") == 1.0
    assert policy.read(store) == Policy(frozenset({1, 3}), {"stable": 1})


def test_rollback_goes_back_step_by_step(releases: Releases) -> None:
    """To where the label was before; and when there is nothing before that, it says so."""
    releases.promote(1)
    releases.promote(2)
    assert answer(releases, "stable") == 2.0
    assert releases.rollback() == 1
    assert answer(releases, "stable") == 1.0
    with pytest.raises(ServingError, match="no other version before"):
        releases.rollback()


def test_rollback_without_labels_serves_the_version_before_until_the_next_publish(
    store: ModelStore, releases: Releases
) -> None:
    """Plain callers are back on version 1 at once; version 3 then takes over as a new version does."""
    assert releases.rollback() == 1
    assert eventually(releases, 1.0)
    publish(store, releases, 3.0)
    assert eventually(releases, 3.0)
    with pytest.raises(ServingError, match="no version is published"):
        Releases(ModelStore(store.base, "other"), None).rollback()


def eventually(releases: Releases, expected: float) -> bool:
    """The old version may answer until the server has unloaded it."""
    deadline = time.monotonic() + 10
    while answer(releases) != expected:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_no_request_on_the_label_fails_while_it_moves(releases: Releases) -> None:
    """Asked without a pause through promotes and rollbacks, the label always answers, by one version or the other."""
    releases.promote(1)
    done = threading.Event()
    answers: list[float] = []
    failures: list[ClientError] = []

    def ask() -> None:
        assert releases.target
        with PredictClient(releases.target, retries=0) as client:
            while not done.is_set():
                try:
                    answers.append(float(client.run({"x": np.zeros(1, np.float32)}, label="stable")["y"][0]))
                except ClientError as error:
                    failures.append(error)

    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(2):
            releases.promote(2)
            releases.rollback()
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert failures == []
    assert set(answers) == {1.0, 2.0}
    assert len(answers) > 100


def test_served_and_labelled_versions_are_not_removed(store: ModelStore, releases: Releases) -> None:
    """Any other is, and one that is not there is named."""
    releases.promote(1)
    for number in (1, 2):
        with pytest.raises(ServingError, match="is being served"):
            releases.remove(number)
    publish(store, releases, 3.0)
    releases.remove(2)
    assert [version.number for version in store.versions()] == [1, 3]
    with pytest.raises(ServingError, match="No version 2"):
        releases.promote(2)


def test_old_versions_go_and_labelled_ones_stay(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the newest KEEP, which are the labelled one's neighbours no more."""
    monkeypatch.setattr(release, "KEEP", 2)
    offline = Releases(store, None)
    publish(store, offline, 1.0)
    offline.promote(1)
    for offset in (2.0, 3.0, 4.0):
        publish(store, offline, offset)
    assert [version.number for version in store.versions()] == [1, 3, 4]


def test_a_promote_that_was_killed_is_finished_by_the_next_one(store: ModelStore, releases: Releases) -> None:
    """Killed after the new version was loaded and before the label moved: the label still answers, then it moves."""
    releases.promote(1)
    policy.write(store, Policy(frozenset({1, 2}), {"stable": 1}))
    assert answer(releases, "stable") == 1.0
    releases.promote(2)
    assert answer(releases, "stable") == 2.0
    assert policy.read(store) == Policy(frozenset({2}), {"stable": 2})


def test_rollback_passes_over_a_promote_that_failed(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that no server would load is not where the label was before, neither at once nor later."""
    offline = Releases(store, None)
    for number in (1, 2, 3, 4):
        publish(store, offline, float(number))
    offline.promote(1)
    offline.promote(2)
    monkeypatch.setattr(release, "WAIT_SECONDS", 0.2)
    unreachable = Releases(store, f"127.0.0.1:{free_port()}")
    with pytest.raises(ServingError, match="version 3 was not loaded"):
        unreachable.promote(3)
    offline.promote(4)
    assert [offline.rollback(), offline.rollback()] == [2, 1]
    with pytest.raises(ServingError, match="version 3 was not loaded"):
        unreachable.promote(3)
    with pytest.raises(ServingError, match="no other version before"):
        offline.rollback()


def test_rollback_before_anything_was_published_says_so(tmp_path: Path) -> None:
    """In a project where nothing was exported yet there is no store at all."""
    with pytest.raises(ServingError, match="no version is published"):
        Releases(ModelStore(tmp_path / "models", MODEL_NAME), None).rollback()


def test_a_config_that_was_spoiled_by_hand_says_what_to_do(store: ModelStore) -> None:
    """models.config that cannot be parsed: named, with the way out."""
    publish(store, Releases(store, None), 1.0)
    policy.path(store).write_text("not a config")
    with pytest.raises(ServingError, match=r"models.config: cannot be read.*Delete it"):
        policy.read(store)
