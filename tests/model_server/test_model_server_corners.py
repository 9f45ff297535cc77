"""Rare requests and flags that ended in a traceback, a lost thread, a busy loop or a connection out of step."""

from __future__ import annotations

import contextlib
import http.client

import pytest

from tests.model_server.model_server_support import Server


@pytest.mark.parametrize("path", ["/v1/models/zoo", "/v1/models/none", "/elsewhere"])
def test_head_leaves_the_connection_in_step(server: Server, path: str) -> None:
    """The answer to HEAD has no body: the next one on the same connection is read as what it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=30)
    with contextlib.closing(connection):
        connection.request("HEAD", path)
        assert connection.getresponse().read() == b""
        connection.request("GET", "/v1/models/zoo")
        assert connection.getresponse().status == 200


@pytest.mark.parametrize(
    "body",
    [
        rb'{"instances": ["\ud800"]}',
        rb'{"instances": [{"\ud800": 1}]}',
        rb'{"signature_name": "\ud800", "instances": [1]}',
        rb'"\ud800"',
    ],
)
def test_half_of_a_surrogate_pair(server: Server, body: bytes) -> None:
    """JSON can spell what is no character: the message that quotes it is JSON too."""
    code, answer = server.post("/v1/models/zoo:predict", body)
    assert code == 400
    assert answer["error"]


@pytest.mark.parametrize("depth", range(960, 1000, 5))
def test_nesting_at_the_limit(server: Server, depth: int) -> None:
    """What can just be read can perhaps not be written into a message: no error of the server's own."""
    assert server.post("/v1/models/zoo:predict", b"[" * depth + b"]" * depth)[0] == 400


def test_a_scalar_before_a_list(server: Server) -> None:
    """The first element says the shape, also when it has none."""
    code, answer = server.rest_predict("zoo", {"instances": [1.0, [1.0]]})
    assert code == 400
    assert "element: 1 of 'instances' list" in answer["error"]
    assert "Expecting shape [] but got: [1]" in answer["error"]
