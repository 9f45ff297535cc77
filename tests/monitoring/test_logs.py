"""Logs as JSON, and one request found in all of them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from model_server.logs import JsonLines
from seamline_client.errors import InvalidInput
from tests.client.fakes import TRANSPORTS
from tests.homes import Seamline
from tests.monitoring.conftest import Watched


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_of_a_command_is_an_object(tmp_path: Path) -> None:
    """What it says and what went wrong, with the time; a form that is not known is an error."""
    seamline = Seamline(tmp_path / "home")
    seamline.environment["SEAMLINE_LOGS"] = "json"
    (said,) = objects(seamline.pipeline("versions"))
    assert said["level"] == "INFO"
    assert said["message"].startswith("No version is published")
    (failed,) = objects(seamline.pipeline("promote", "77", code=6))
    assert failed.keys() == {"time", "level", "message"}
    assert failed["level"] == "ERROR"
    seamline.environment["SEAMLINE_LOGS"] = "yaml"
    assert "expected text or json" in seamline.pipeline("versions", code=1)


def test_a_traceback_of_the_stand_in_stays_in_its_line() -> None:
    """Which is one object, however many lines the traceback has."""
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        caught = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("model_server", logging.ERROR, __file__, 1, "%s failed", ("it",), caught)
    (line,) = objects(JsonLines().format(record))
    assert (line["level"], line["message"]) == ("ERROR", "it failed")
    assert "two\nlines" in line["traceback"]


@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_error_leads_to_the_servers_line(watched: Watched, transport: str) -> None:
    """And to the gateway's, by one id, over both transports."""
    with watched.client(transport) as client, pytest.raises(InvalidInput) as caught:
        client.run({}, signature="serving_bytes")
    name = caught.value.request_id
    logs = (watched.settings.server / "server.log", watched.settings.gateway / "gateway.log")
    watched.until(lambda: all(name in log.read_text() for log in logs), lambda: name)
    (line,) = (each for each in objects(logs[0].read_text()) if each.get("id") == name)
    assert (line["model"], line["status"]) == ("keypoints", "INVALID_ARGUMENT")
    assert all(objects(log.read_text()) for log in logs)
