"""What only the stand-in does, or does better than the official server: command line, ports, shutdown, limits."""

from __future__ import annotations

import gc
import http.client
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, cast
from unittest import mock

import grpc
import numpy as np
import pytest
from tensorflow.core.framework.tensor_pb2 import TensorProto

from model_server import flags
from model_server.errors import StatusError
from model_server.rest_api import RestApplication
from model_server.rest_server import RestServer, listen
from model_server.server import serve
from model_server.versions import Versions
from pipeline.background.ports import free_port
from tests.homes import ROOT
from tests.model_server.conftest import Saved
from tests.model_server.saved_models import publish
from tests.model_server.servers import Server, predict_request, running
from tests.waiting import until

SLOW = 60_000


def test_flags_are_read_as_the_official_ones() -> None:
    """`--flag=value`; a boolean takes true, false, 1, 0 or nothing; defaults are the official ones."""
    read = flags.parse(["--port=9000", "--model_base_path=/m", "--enable_batching", "--enable_model_warmup=false"])
    assert (read.port, read.model_base_path) == (9000, "/m")
    assert (read.enable_batching, read.enable_model_warmup) == (True, False)
    assert (read.model_name, read.rest_api_port, read.max_num_load_retries) == ("default", 0, 5)
    assert (read.file_system_poll_wait_seconds, read.load_retry_interval_micros) == (1, 60_000_000)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model_base_path=/m", "--no_such_flag=1"], "this stand-in does not have --no_such_flag=1; --help lists"),
        (["--model_base_path=/m", "--grpc_socket_path=/s"], "this stand-in does not have --grpc_socket_path=/s"),
        (["--model_base_path=/m", "--enable_batching=maybe"], "is not true or false"),
        (["--model_base_path=/m", "--port=70000"], "not a TCP port"),
        (["--model_base_path=/m", "--rest_api_port=8500"], "cannot be same as --port"),
        (["--model_base_path=/m", "--batching_parameters_file=/x"], "without setting --enable_batching"),
        ([], "Both --model_base_path and --model_config_file are empty!"),
    ],
)
def test_wrong_flags_end_with_2(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A flag that is unknown, left out or makes no sense ends the process with 2 and says why."""
    with pytest.raises(SystemExit) as ended:
        flags.parse(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "text", "complaint"),
    [
        ("batching_parameters_file", "max_batch_sise { value: 8 }", "max_batch_sise"),
        ("batching_parameters_file", "max_batch_size { value: -1 }", "must be positive"),
        ("batching_parameters_file", "pad_variable_length_inputs: true", "no field named .pad_variable"),
        ("ssl_config_file", 'server_key: "x"', "server_key and server_cert must both be set"),
        ("model_config_file", 'model_config_list { config { name: "m" base_path: "m" } }', "absolute path"),
        ("model_config_file", "", "Only ModelConfigList is currently supported"),
        (
            "model_config_file",
            'model_config_list { config { name: "m" base_path: "/m" model_platform: "other" } }',
            "unsupported platform 'other'",
        ),
        ("model_config_file", "nonsense", "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:"),
    ],
)
def test_wrong_config_files(tmp_path: Path, flag: str, text: str, complaint: str) -> None:
    """A config file that cannot be read or used keeps the server from starting, and the error says what is wrong."""
    file = tmp_path / "wrong.config"
    file.write_text(text)
    batching = ["--enable_batching"] if flag.startswith("batching") else []
    read = flags.parse([f"--model_base_path={tmp_path}", f"--port={free_port()}", f"--{flag}={file}", *batching])
    with pytest.raises(StatusError, match=complaint):
        serve(read, threading.Event())


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """A port in use ends the process with 255 at once, before anything is loaded, and the message names the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        complaint = f"Cannot listen on 127.0.0.1 port {port}: Address already in use"
        with running("process", tmp_path, model_base_path=tmp_path, port=port) as server:
            assert server.exit_code() == 255
            assert f"Failed to start server. Error: UNAVAILABLE: {complaint}" in server.log.read_text()
        with running("model_server", tmp_path, model_base_path=tmp_path, rest_api_port=port) as server:
            assert server.exit_code() == 255
            assert complaint in server.log.read_text()


@pytest.mark.parametrize(
    ("flag", "address", "elsewhere"),
    [("127.0.0.1", "127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.2", "127.0.0.1"), ("[::1]", "::1", "127.0.0.1")],
)
def test_listens_on_one_address_only(saved: Saved, tmp_path: Path, flag: str, address: str, elsewhere: str) -> None:
    """--bind_address is listened on over both transports, and nothing else is."""
    publish(saved.half[1], tmp_path / "m", 1)
    flags = {"model_name": "m", "model_base_path": tmp_path / "m", "bind_address": flag}
    with running("model_server", tmp_path, **flags) as server:
        server.wait_for(lambda: "Serving m" in server.log.read_text(), "serving m")
        for port in (server.grpc_port, server.rest_port):
            socket.create_connection((address, port), timeout=5).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((elsewhere, port), timeout=5)


def test_several_servers_in_one_process(saved: Saved, tmp_path: Path) -> None:
    """Each answers with its own model on its own ports, and none leaves a thread or an open port behind."""
    before = {*threading.enumerate()}
    servers: list[Server] = []

    def left() -> list[str]:
        gc.collect()  # a call that was given up keeps its channel, and that a thread, for as long as a cycle holds it
        new = [each.name for each in threading.enumerate() if each not in before]
        ours = tuple(f"grpc-{each.grpc_port}_" for each in servers)
        # Others that this process serves, for other tests, may be asked just now.
        return [name for name in new if name.startswith(ours) or not name.startswith("grpc-")]

    with ExitStack() as stack:
        for number, path in saved.half.items():
            base = tmp_path / str(number) / "m"
            publish(path, base, 1)
            server = stack.enter_context(running("model_server", base.parent, model_name="m", model_base_path=base))
            server.wait_available("m")
            servers.append(server)
        for number, server in enumerate(servers, start=1):
            assert server.rest_predict("m", {"instances": [2]}) == (200, {"predictions": [1.0 + number]})
            assert list(server.predict("m", {"x": np.ones(1, np.float32)}).outputs["y"].float_val) == [0.5 + number]
    until(lambda: not left(), said=left)
    for server in servers:
        assert not server.listens(server.rest_port)
        assert not server.listens(server.grpc_port)


def test_calls_beyond_the_threads_are_refused(saved: Saved, tmp_path: Path) -> None:
    """--grpc_max_threads limits the calls that are under way: the next is RESOURCE_EXHAUSTED at once. REST goes on."""
    publish(saved.zoo, tmp_path / "m", 1)
    flags = {"model_name": "m", "model_base_path": tmp_path / "m", "grpc_max_threads": 3}
    with running("model_server", tmp_path, **flags) as server, ThreadPoolExecutor(8) as pool:
        server.wait_available("m")
        rounds = {"rounds": np.array([SLOW], np.int32)}
        calls = [pool.submit(server.predict, "m", rounds, "slow") for _ in range(8)]
        assert server.rest_predict("m", {"instances": [2]}) == (200, {"predictions": [3.0]})
        errors = [cast(Any, error) for call in calls if (error := call.exception(timeout=60))]
        assert [error.code() for error in errors] == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 6
        assert server.predict("m", rounds, "slow").model_spec.version.value == 1


def test_the_rest_side_ends_whatever_state_waitress_is_in() -> None:
    """Ending raises nothing and leaves no thread, also after waitress has closed what wakes its loop."""
    for waitress_fails in (False, True):
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        server = RestServer(RestApplication(Versions(), timeout=None), listener, threads=2)
        if waitress_fails:  # in accepting a connection, upon which it closes all that it listens to
            with mock.patch.object(server._waitress, "accept", side_effect=RuntimeError):
                with suppress(ConnectionResetError):
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                while server._waitress.socket:
                    time.sleep(0.01)
        server.drain(5)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        server.close()
        assert not server._thread.is_alive()


def test_sigterm_finishes_what_is_in_flight(saved: Saved, tmp_path: Path) -> None:
    """SIGTERM closes the ports, answers what is in flight, turns new requests away, and ends the process with 0."""
    publish(saved.zoo, tmp_path / "m", 1)
    flags = {"model_name": "m", "model_base_path": tmp_path / "m"}
    with running("process", tmp_path, **flags) as server:
        server.wait_available("m")
        kept = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=30)
        kept.request("GET", "/v1/models/m")
        assert kept.getresponse().read()
        with ThreadPoolExecutor(3) as pool:
            rounds = np.array([SLOW], np.int32)
            over_grpc = pool.submit(server.predict, "m", {"rounds": rounds}, "slow")
            over_rest = pool.submit(server.rest_predict, "m", {"signature_name": "slow", "instances": [SLOW]})
            time.sleep(0.3)  # until both are surely under way
            code = pool.submit(server.stop)
            server.wait_for(lambda: not server.listens(), "closing its port")
            kept.request("GET", "/v1/models/m")
            answer = kept.getresponse()
            assert (answer.status, json.loads(answer.read())) == (503, {"error": "The server is shutting down"})
            kept.close()
            assert over_rest.result(timeout=30) == (200, {"predictions": [SLOW]})
            assert list(over_grpc.result(timeout=30).outputs["rounds"].int_val) == [SLOW]
        assert code.result() == 0


def test_sigterm_while_waiting_for_a_model(tmp_path: Path) -> None:
    """SIGTERM ends a server that still waits for its first version, with 0."""
    with running("process", tmp_path, model_name="m", model_base_path=tmp_path) as server:
        server.wait_for(lambda: "No versions of servable m" in server.log.read_text(), "looking for a version")
        assert server.stop() == 0


@pytest.mark.parametrize("kind", ["model_server"], indirect=True)
def test_small_requests_cannot_ask_for_much_memory(server: Server) -> None:
    """A body of more than the limit, and a shape of 4 GB with one value to fill it, are refused."""
    too_long = {"Content-Length": str(257 << 20)}
    assert server.request("POST", "/v1/models/zoo:predict", headers=too_long)[0] == 413
    assert server.request("POST", "/v1/models/zoo:predict", b"x", {"Content-Encoding": "gzip"})[0] == 501
    request = predict_request("zoo", {"x": np.ones(1, np.float32)})
    request.inputs["x"].CopyFrom(TensorProto(dtype=1, tensor_shape={"dim": [{"size": 1 << 30}]}, float_val=[1]))
    with pytest.raises(grpc.RpcError, match="tensor parsing error: x"):
        server.call("PredictionService", "Predict", request)


def test_every_known_difference_is_tested() -> None:
    """The README's table marks each difference and names its test; what is the same is asked of every server, too."""
    sources = "\n".join(path.read_text() for path in (ROOT / "tests" / "model_server").rglob("test_*.py"))
    table = re.findall(r"^\| .* \| (.*) \| `(\w+)` \|$", (ROOT / "model_server" / "README.md").read_text(), re.M)
    assert len(table) > 20
    for mark, name in table:
        assert re.match("same|stricter|left out", mark), mark
        test = re.search(rf"^def {name}\((.*)", sources, re.M)
        assert test, name
        if mark == "same":
            assert re.match(r"server: Server|kind: str", test[1]), f"{name} does not ask every server"
