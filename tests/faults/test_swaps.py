"""Publishing again and again under a server that polls: what anyone sees of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from pipeline.errors import ChecksumError
from pipeline.release.releases import Releases
from pipeline.release.store import verify_checksums
from tests.faults.fleet import Callers, Fleet, ask, fleet


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as made:
        yield made


def eventually(served: Fleet, number: int) -> None:
    with served.client("grpc") as client:
        deadline = time.monotonic() + 30
        while (found := ask(client, 0.0)) != number:
            assert time.monotonic() < deadline, f"version {found} answers, not {number}"
            time.sleep(0.1)


def test_it_listens_on_this_machine_only(served: Fleet) -> None:
    """As the pipeline starts it, with no flag that says where."""
    listening = [each.laddr.ip for each in served.process.net_connections() if each.status == psutil.CONN_LISTEN]
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert len(listening) == 2


def test_fifty_publishes_are_seen_whole_and_fail_no_request(served: Fleet, soak: bool) -> None:
    """Versions come faster than the server polls: what is visible verifies, and callers are only ever moved ahead."""
    store = served.store
    seen: set[int] = set()

    def watch() -> None:
        for version in store.versions():
            wrong = ""
            try:
                verify_checksums(version.folder)
                seen.add(version.number)
            except (ChecksumError, OSError) as error:
                wrong = str(error)
            # What is gone now was removed while we looked, being old.
            assert not (wrong and version.folder.exists()), wrong

    callers = Callers()
    callers.repeat(watch)
    with served.client("grpc") as grpc, served.client("rest") as rest:
        for client in (grpc, rest):
            last = [0]

            def question(client: object = client, last: list[int] = last) -> None:
                number = ask(client, 3.0)  # type: ignore[arg-type]
                assert number >= last[0], f"back from version {last[0]} to {number}"
                last[0] = number

            callers.repeat(question)
        with callers:
            for _ in range(500 if soak else 50):
                version = served.make()
                Releases(store, None).published(version)
    assert callers.failures == []
    assert len(seen) > 10
    eventually(served, version.number)


@pytest.mark.parametrize("labelled", [False, True])
def test_a_publisher_that_is_overtaken_by_another_does_not_wait_for_its_version(served: Fleet, labelled: bool) -> None:
    """Of two versions that appear at once a server may load the newer one only: both publishers end well."""
    if labelled:
        latest = served.store.latest()
        assert latest
        served.releases.promote(latest.number)
    first, second = served.make(), served.make()
    served.releases.published(second)
    served.releases.published(first)
    eventually(served, second.number)
