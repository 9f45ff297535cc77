"""A server that a stranger's request has ended, and the callers of the one that takes its place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pipeline.background.ports import free_port
from seamline_client import PredictClient
from tests.model_server.saved_models import publish, save_half_plus
from tests.model_server.servers import running

DEADLY_JSON = b"[" * 23_515 + b"]" * 23_515
X = {"x": np.zeros(1, np.float32)}


@pytest.mark.slow
def test_callers_find_the_next_server(tmp_path: Path) -> None:
    """Callers over both transports, whose requests come while there is none, are answered by the next, untold.

    As after `make serve`, which starts another where one has died; containers are started again by themselves.
    """
    publish(save_half_plus(tmp_path / "saved", 1.0), tmp_path / "m", 1)
    flags = {"model_name": "m", "model_base_path": tmp_path / "m", "official_crashes": True}
    ports = {"port": free_port(), "rest_api_port": free_port()}
    with (
        PredictClient(f"127.0.0.1:{ports['port']}", "grpc", model="m", retries=30, timeout=60) as over_grpc,
        PredictClient(f"127.0.0.1:{ports['rest_api_port']}", "rest", model="m", retries=30, timeout=60) as over_rest,
        ThreadPoolExecutor(2) as pool,
    ):
        clients = (over_grpc, over_rest)
        with running("process", tmp_path, **flags, **ports) as server:
            server.wait_available("m")
            assert [client.run(X)["y"].tolist() for client in clients] == [[1.0], [1.0]]
            with suppress(OSError):
                server.request("POST", "/v1/models/m:predict", DEADLY_JSON)
            server.exit_code()
        answers = [pool.submit(client.run, X) for client in clients]
        with running("process", tmp_path, **flags, **ports):
            assert [answer.result(timeout=60)["y"].tolist() for answer in answers] == [[1.0], [1.0]]
