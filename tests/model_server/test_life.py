"""The life of versions on every server that this machine has: start, swap, failure, warm-up, config and promotion."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import model_management_pb2, prediction_log_pb2

from tests.model_server.conftest import Saved
from tests.model_server.saved_models import publish
from tests.model_server.servers import Server, predict_request, running

ONE = np.ones(1, np.float32)
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"


def answer(server: Server, model: str, version: str = "") -> float:
    code, body = server.rest_predict(model, {"instances": [0]}, version)
    assert code == 200, body
    return float(body["predictions"][0])


def truncated(version: Path, directory: Path) -> Path:
    """A copy of a version whose saved_model.pb ends in the middle."""
    copy = shutil.copytree(version, directory / "truncated")
    graph = copy / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])
    return copy


def stays(condition: Callable[[], bool], seconds: float = 1.5) -> None:
    """Fail when the condition, which is true now, does not stay so for longer than a server polls."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition()
        time.sleep(0.02)


@contextmanager
def asking(server: Server, path: str) -> Iterator[list[tuple[int, Any]]]:
    """Ask without pause in the background and collect the answers."""
    collected: list[tuple[int, Any]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            collected.append(server.rest_predict(path, {"instances": [0]}))

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        try:
            yield collected
        finally:
            stop.set()
        asked.result(timeout=30)


def test_waits_then_serves_and_swaps(kind: str, saved: Saved, tmp_path: Path) -> None:
    """An empty base path keeps the ports closed; the highest number is served; a swap fails no request."""
    base = tmp_path / "m"
    (base / "not-a-version").mkdir(parents=True)
    with running(kind, tmp_path, model_name="m", model_base_path=base) as server:
        stays(lambda: not server.listens(server.rest_port) and not server.listens(server.grpc_port))
        assert server.process.poll() is None
        publish(saved.zoo, base, 1)
        server.wait_available("m")
        assert server.listens(server.grpc_port)
        with ThreadPoolExecutor(1) as pool, asking(server, "m") as answers:
            rounds = np.array([20_000], np.int32)
            slow = pool.submit(server.predict, "m", {"rounds": rounds}, "slow")
            server.wait_for(lambda: len(answers) > 20, "answering")  # the slow one is under way by then
            publish(saved.half[3], base, 5)
            server.wait_available("m", 5)
            assert slow.result(timeout=30).model_spec.version.value == 1
            server.wait_for(lambda: server.states("m") == {1: "END", 5: "AVAILABLE"}, "done with version 1")
        assert [code for code, _ in answers if code != 200] == []
        assert {body["predictions"][0] for _, body in answers} == {2.0, 3.0}
        with pytest.raises(grpc.RpcError, match="Servable not found for request: Specific"):
            server.predict("m", {"x": ONE}, version=1)


def test_bad_versions(kind: str, saved: Saved, tmp_path: Path) -> None:
    """What cannot be loaded reaches END with its error, and the old version stays. It returns when the new one goes."""
    base = tmp_path / "m"
    publish(saved.half[1], base, 1)
    flags = {"model_name": "m", "model_base_path": base, "max_num_load_retries": 0}
    with running(kind, tmp_path, **flags) as server:
        server.wait_available("m")
        publish(truncated(saved.half[2], tmp_path), base, 3)
        server.wait_for(lambda: server.states("m").get(3) == "END", "done with version 3")
        server.wait_for(lambda: server.states("m").get(1) == "AVAILABLE", "serving version 1")
        _, document = server.get("/v1/models/m/versions/3")
        status = document["model_version_status"][0]["status"]
        assert status["error_code"] != "OK"
        assert status["error_message"]
        assert answer(server, "m") == 1
        publish(saved.half[2], base, 4)
        server.wait_available("m", 4)
        shutil.rmtree(base / "3")
        shutil.rmtree(base / "4")
        server.wait_for(lambda: server.states("m") == {1: "AVAILABLE", 3: "END", 4: "END"}, "back at version 1")
        assert answer(server, "m") == 1


def test_start_fails_with_a_broken_first_version(kind: str, saved: Saved, tmp_path: Path) -> None:
    """With --max_num_load_retries=0 a broken first version ends the process with 255, the reason and no open port."""
    publish(truncated(saved.half[1], tmp_path), tmp_path / "m", 1)
    flags = {"model_name": "m", "model_base_path": tmp_path / "m", "max_num_load_retries": 0}
    with running(kind, tmp_path, **flags) as server:
        assert server.exit_code() == 255
        text = server.log.read_text()
        assert "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available" in text


def servable(base: Path, policy: str, name: str = "m", **labels: int) -> str:
    lines = "".join(f'version_labels {{ key: "{label}" value: {number} }}\n' for label, number in labels.items())
    return f"""config {{
      name: "{name}" base_path: "{base}" model_platform: "tensorflow"
      model_version_policy {{ {policy} }}
      {lines}
    }}"""


def replace(file: Path, *servables: str) -> None:
    """Write a config whole or not at all."""
    staged = file.with_suffix(".new")
    staged.write_text(f"model_config_list {{ {' '.join(servables)} }}")
    staged.rename(file)


def test_labels_need_a_flag_at_start(kind: str, saved: Saved, tmp_path: Path) -> None:
    """Without --allow_version_labels_for_unavailable_models a config with labels does not start: exit code 255."""
    publish(saved.half[1], tmp_path / "m", 1)
    replace(tmp_path / "models.config", servable(tmp_path / "m", "all {}", stable=1))
    with running(kind, tmp_path, model_config_file=tmp_path / "models.config") as server:
        assert server.exit_code() == 255
        assert "Request to assign label to version 1 of model m" in server.log.read_text()


def test_a_config_file_and_the_next(kind: str, saved: Saved, tmp_path: Path) -> None:
    """A label of the lower of two versions answers once the port is open, and no request on it fails when it moves.

    A file that cannot be read leaves all as it is. The next one may have another servable of the same base path.
    """
    base, file = tmp_path / "m", tmp_path / "models.config"
    for number, path in saved.half.items():
        publish(path, base, number)
    replace(file, servable(base, "latest { num_versions: 2 }", stable=2))
    flags = {"model_config_file": file, "model_config_file_poll_wait_seconds": 1}
    with running(kind, tmp_path, allow_version_labels_for_unavailable_models=True, **flags) as server:
        server.wait_for(server.listens, "listening")
        assert answer(server, "m", "/labels/stable") == 2
        assert server.states("m") == {2: "AVAILABLE", 3: "AVAILABLE"}
        with asking(server, "m/labels/stable") as answers:
            file.write_text("model_config_list { config { this is no config")
            stays(lambda: server.states("m") == {2: "AVAILABLE", 3: "AVAILABLE"}, 2)
            other = servable(base, "specific { versions: 1 }", "other")
            replace(file, servable(base, "latest { num_versions: 2 }", stable=3), other)
            server.wait_for(lambda: answer(server, "m", "/labels/stable") == 3, "moving the label")
            server.wait_available("other")
            assert (answer(server, "m"), answer(server, "other")) == (3, 1)
            replace(file, servable(base, "specific { versions: 3 }", stable=3))
            server.wait_for(lambda: server.states("m") == {2: "END", 3: "AVAILABLE"}, "unloading version 2")
            server.wait_for(lambda: server.states("other") == {1: "END"}, "unloading the other one")
        assert [body for code, body in answers if code != 200] == []


def test_reload_config_request(kind: str, saved: Saved, tmp_path: Path) -> None:
    """HandleReloadConfigRequest returns when the new model is there, takes models away, and refuses what is wrong."""
    publish(saved.half[1], tmp_path / "m", 1)
    publish(saved.half[2], tmp_path / "other", 1)
    with running(kind, tmp_path, model_name="m", model_base_path=tmp_path / "m") as server:
        server.wait_available("m")
        request = model_management_pb2.ReloadConfigRequest()
        with pytest.raises(grpc.RpcError, match="Only ModelConfigList is currently supported"):
            server.call("ModelService", "HandleReloadConfigRequest", request)
        models = request.config.model_config_list.config
        models.add(name="other", base_path=str(tmp_path / "other"), model_platform="tensorflow")
        response = server.call("ModelService", "HandleReloadConfigRequest", request)
        assert response.status.error_code == 0
        assert answer(server, "other") == 2
        server.wait_for(lambda: server.states("m") == {1: "END"}, "unloading m")
        models.add(name="other", base_path="/x", model_platform="tensorflow")
        with pytest.raises(grpc.RpcError, match="Illegal to list model other multiple times in config list"):
            server.call("ModelService", "HandleReloadConfigRequest", request)


def with_warmup(version: Path, copy: Path, records: list[bytes]) -> Path:
    shutil.copytree(version, copy)
    (copy / WARMUP).parent.mkdir()
    with tf.io.TFRecordWriter(str(copy / WARMUP)) as writer:
        for record in records:
            writer.write(record)
    return copy


def test_warm_up(kind: str, saved: Saved, tmp_path: Path) -> None:
    """Good warm-up records run before a version is available; a bad one fails the load and the old version stays."""
    base = tmp_path / "m"
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("m", {"x": ONE}))
    publish(with_warmup(saved.half[1], tmp_path / "good", [log.SerializeToString()] * 3), base, 1)
    log.predict_log.request.CopyFrom(predict_request("m", {"wrong": ONE}))
    bad = with_warmup(saved.half[2], tmp_path / "bad", [log.SerializeToString()])
    with running(kind, tmp_path, model_name="m", model_base_path=base, max_num_load_retries=0) as server:
        server.wait_available("m")
        assert "Number of warmup records read: 3" in server.log.read_text()
        publish(bad, base, 2)
        server.wait_for(lambda: server.states("m") == {2: "END", 1: "AVAILABLE"}, "refusing version 2")


def test_rest_timeout(kind: str, saved: Saved, tmp_path: Path) -> None:
    """--rest_api_timeout_in_ms ends a run that takes longer with 504."""
    publish(saved.zoo, tmp_path / "m", 1)
    flags = {"model_name": "m", "model_base_path": tmp_path / "m", "rest_api_timeout_in_ms": 200}
    with running(kind, tmp_path, **flags) as server:
        server.wait_available("m")
        assert server.rest_predict("m", {"signature_name": "slow", "instances": [1]})[0] == 200
        started = time.monotonic()
        code, _ = server.rest_predict("m", {"signature_name": "slow", "instances": [1_000_000]})
        assert code == 504
        assert time.monotonic() - started < 10
