"""The parts that need no server: tensors against TensorFlow's own reading, the life of versions with fake models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_pb2, model_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from model_server import metrics, model_config
from model_server.errors import StatusError, invalid_argument
from model_server.flags import Flags
from model_server.grpc_server import GrpcServer
from model_server.lifecycle import Lifecycle
from model_server.tensors import to_numpy, to_proto
from model_server.versions import State
from pipeline.background.ports import free_port
from tests.waiting import until

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16"]
any_array = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)


@settings(max_examples=50, deadline=None)
@given(array=any_array)
def test_tensors_are_read_and_written_as_tensorflow_does(array: np.ndarray[Any, Any]) -> None:
    """TensorFlow reads what is written here and the other way round, bit for bit."""
    theirs = tf.make_tensor_proto(array)
    ours = to_proto(array)
    assert ours.dtype == theirs.dtype
    assert not ours.tensor_content
    for read in (tf.make_ndarray(ours), to_numpy(theirs, "x"), to_numpy(ours, "x")):
        assert (read.dtype, read.shape) == (array.dtype, array.shape)
        assert read.tobytes() == array.tobytes()


class Loader:
    """Loads mocks and notes how many were in memory at once; numbers in `broken` fail."""

    def __init__(self) -> None:
        self.loaded: dict[int, mock.Mock] = {}
        self.broken: set[int] = set()
        self.attempts: list[int] = []
        self.most_at_once = 0

    def __call__(self, model: str, path: Path) -> Any:
        number = int(path.name)
        self.attempts.append(number)
        if number in self.broken:
            raise invalid_argument(f"{path} is broken")
        self.loaded[number] = mock.Mock()
        self.most_at_once = max(self.most_at_once, sum(not fake.close.called for fake in self.loaded.values()))
        return self.loaded[number]


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def life(loader: Loader) -> Iterator[Lifecycle]:
    with Lifecycle(loader, poll_seconds=0.02, max_load_retries=1, retry_seconds=0.05) as lifecycle:
        yield lifecycle


def config(base: Path, policy: str = "") -> model_server_config_pb2.ModelServerConfig:
    made = model_config.single_model("m", str(base))
    if policy == "all":
        made.model_config_list.config[0].model_version_policy.all.SetInParent()
    return made


def states(lifecycle: Lifecycle) -> dict[int, State]:
    try:
        return {number: state for number, state, _ in lifecycle.versions.status("m")}
    except StatusError:
        return {}


def spec(version: int | None = None) -> model_pb2.ModelSpec:
    made = model_pb2.ModelSpec(name="m")
    if version is not None:
        made.version.value = version
    return made


def test_a_swap_keeps_two_in_memory_and_closes_after_the_last_lease(
    life: Lifecycle, loader: Loader, tmp_path: Path
) -> None:
    """The new version is loaded before the old one goes, and the old one is closed when its last request ends."""
    (tmp_path / "1").mkdir()
    life.reload(config(tmp_path))
    with life.versions.lease(spec()) as (version, _):
        assert version.number == 1
        (tmp_path / "2").mkdir()
        until(lambda: states(life) == {1: State.UNLOADING, 2: State.AVAILABLE})
        assert not loader.loaded[1].close.called
        with life.versions.lease(spec()) as (newer, _):
            assert newer.number == 2
        with pytest.raises(StatusError, match="Specific"), life.versions.lease(spec(1)):
            pass
    until(lambda: states(life)[1] is State.END and loader.loaded[1].close.called)
    assert loader.most_at_once == 2


def test_a_version_that_cannot_be_closed_holds_up_no_other(life: Lifecycle, loader: Loader, tmp_path: Path) -> None:
    """It is gone all the same, and what comes after it is loaded."""
    (tmp_path / "1").mkdir()
    life.reload(config(tmp_path))
    loader.loaded[1].close.side_effect = RuntimeError("no")
    (tmp_path / "2").mkdir()
    until(lambda: states(life) == {1: State.END, 2: State.AVAILABLE})
    (tmp_path / "3").mkdir()
    until(lambda: states(life).get(3) is State.AVAILABLE)


def test_retries_then_end_then_again_when_it_comes_back(life: Lifecycle, loader: Loader, tmp_path: Path) -> None:
    """A load is tried as often as configured; after that only when the version was taken away and put back."""
    loader.broken.add(2)
    (tmp_path / "1").mkdir()
    life.reload(config(tmp_path))
    (tmp_path / "2").mkdir()
    until(lambda: states(life).get(2) is State.END)
    assert loader.attempts == [1, 2, 2]
    assert states(life)[1] is State.AVAILABLE
    error = {number: error for number, _, error in life.versions.status("m")}[2]
    assert error is not None
    assert "is broken" in error.message
    loader.broken.clear()
    (tmp_path / "2").rmdir()
    until(lambda: not life.versions.by_model["m"][2].aspired)
    (tmp_path / "2").mkdir()
    until(lambda: states(life).get(2) is State.AVAILABLE)


def test_reload_tells_why_a_new_model_cannot_be_served(life: Lifecycle, loader: Loader, tmp_path: Path) -> None:
    """Reload waits for new models and raises their errors; with a deadline it does not wait for ever."""
    loader.broken.add(1)
    with pytest.raises(StatusError, match="did not become available in time"):
        life.reload(config(tmp_path), timeout=0.2)
    life.reload(model_config.single_model("other", str(tmp_path / "x")), wait=False)
    (tmp_path / "1").mkdir()
    with pytest.raises(StatusError, match=r"1 servable\(s\) did not become available: .*is broken"):
        life.reload(config(tmp_path))


def test_a_vanished_base_path_unloads_nothing(life: Lifecycle, tmp_path: Path) -> None:
    """A base path that cannot be read leaves things as they are; one that is empty unloads all."""
    base = tmp_path / "m"
    (base / "1").mkdir(parents=True)
    life.reload(config(base))
    base.rename(tmp_path / "away")
    with life.versions.changed:
        assert not life.versions.changed.wait_for(lambda: states(life) != {1: State.AVAILABLE}, timeout=0.3)
    base.mkdir()
    until(lambda: states(life) == {1: State.END})


def test_names_that_are_versions(tmp_path: Path) -> None:
    """Numbers are versions, with leading zeros too; anything else is ignored."""
    for name in ("7", "0012", "-3", "1.5", "x", "1e3", "² ", "9" * 30, "staged-9"):
        (tmp_path / name).mkdir()
    found = model_config.aspired_versions(config(tmp_path, "all").model_config_list.config[0])
    assert found == {7: tmp_path / "7", 12: tmp_path / "0012"}


def test_metrics_do_not_grow_without_limit() -> None:
    """Model names come from requests, so a counter keeps a thousand label sets and no more."""
    counter = metrics.Counter("test", "name")
    for number in range(2000):
        counter.increment(f"name{number}")
    assert len(counter.lines()) == 1001


def test_a_caller_who_hangs_up_frees_the_thread_of_a_reload(loader: Loader, tmp_path: Path) -> None:
    """A reload waits for its models as long as its caller does, and no longer."""
    with Lifecycle(loader) as life:
        port = free_port()
        server = GrpcServer(Flags(port=port, grpc_max_threads=2), None, life)  # one call at a time
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            waiting = stub.HandleReloadConfigRequest.future(
                model_management_pb2.ReloadConfigRequest(config=config(tmp_path))
            )

            def status() -> grpc.StatusCode:
                with pytest.raises(grpc.RpcError) as answered:
                    stub.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(model_spec=spec()), timeout=20)
                code: grpc.StatusCode = answered.value.code()
                return code

            until(lambda: life.versions.by_model)
            assert status() is grpc.StatusCode.RESOURCE_EXHAUSTED
            waiting.cancel()
            until(lambda: status() is grpc.StatusCode.NOT_FOUND)
        server.close()
