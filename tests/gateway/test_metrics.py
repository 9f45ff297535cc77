"""What the gateway counts, and who can see and change it."""

from __future__ import annotations

import json
import re
from typing import Literal

import pytest
import requests

from seamline_client.errors import AccessDenied, InvalidInput
from tests.client.fakes import TRANSPORTS
from tests.gateway.conftest import HALF, Door


def page(door: Door, path: str = "/stats/prometheus", method: str = "GET") -> requests.Response:
    return requests.request(method, f"http://{door.files.metrics.read_text()}{path}", timeout=10)


def counted(door: Door, **labels: str) -> int:
    """Requests with these labels."""
    rows = re.findall(r"^envoy_gateway_requests{(.*)} (\d+)$", page(door).text, re.M)
    wanted = {f'{name}="{value}"' for name, value in labels.items()}
    return sum(int(number) for found, number in rows if wanted <= {*found.split(",")})


def test_requests_are_counted_by_caller_and_route(door: Door) -> None:
    """Over both transports, and the canary's apart; with each caller's name comes when its token ends."""
    for transport, model, route in (
        ("grpc", "keypoints", "grpc/Predict"),
        ("rest", "keypoints", "rest/keypoints"),
        ("rest", "keypoints-canary", "rest/keypoints-canary"),
    ):
        before = counted(door, caller="camera-7", route=route)
        with door.client(transport, model=model) as client:  # type: ignore[arg-type]
            client.run(HALF, signature="serving_default")
        assert counted(door, caller="camera-7", route=route) > before
    issued, expiry = (
        float(re.findall(rf'^envoy_gateway_token_{name}{{caller="camera-7"}} (.*)$', page(door).text, re.M)[0])
        for name in ("issued", "expiry")
    )
    assert expiry - issued == 86_400


def test_nobody_can_put_a_name_there_by_a_header(door: Door) -> None:
    """A caller without a token is counted without a name, whatever it says that it is called."""
    before = counted(door, caller="")
    with door.client("rest", None, metadata=[("x-seamline-caller", "spoof")]) as client, pytest.raises(AccessDenied):
        client.run(HALF, signature="serving_default")
    assert counted(door, caller="") == before + 1
    assert "spoof" not in page(door).text


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/quitquitquit"), ("GET", "/config_dump"), ("GET", "/"), ("POST", "/logging")]
)
def test_there_is_nothing_else_to_see_or_do(door: Door, method: str, path: str) -> None:
    """The port of the metrics is for reading them, on the loopback interface, and callers do not reach it at all."""
    assert door.files.metrics.read_text().startswith("127.0.0.1:")
    assert page(door, path, method).status_code == 403
    headers = {"Authorization": f"Bearer {door.files.token('camera-7', 1)}"}
    through = requests.get(
        f"{door.url}/stats/prometheus", verify=str(door.files.authority), headers=headers, timeout=10
    )
    assert through.status_code == 404


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_error_is_found_in_the_log_by_its_request(door: Door, transport: Literal["grpc", "rest"]) -> None:
    """The id that ends its message is on the gateway's line, and so is one that the caller chose."""
    for chosen in ((), (("x-request-id", f"mine-{transport}"),)):
        with door.client(transport, metadata=chosen) as client, pytest.raises(InvalidInput) as caught:
            client.run({"other": HALF["x"]}, signature="serving_default")
        name = caught.value.request_id
        assert str(caught.value).endswith(f"(request {name})")
        assert not chosen or name == chosen[0][1]
        door.logs(name)
        (line,) = (json.loads(each) for each in door.log.splitlines() if name in each)
        assert (line["id"], line["caller"]) == (name, "camera-7")
