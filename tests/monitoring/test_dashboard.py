"""The dashboard: Grafana's JSON, whose every query is put to a Prometheus that real traffic has filled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seamline_client.errors import ClientError
from tests.monitoring.conftest import DEPLOY, Watched, shortened
from tests.monitoring.draw import draw, panels

DRIFT = """\
seamline_drift_statistic{trait="score",test="ks"} 0.12
seamline_drift_estimated_error 0.08
seamline_drift_evaluation_error 0.07
"""


def test_it_is_one_that_grafana_reads() -> None:
    """Its parts have numbers of their own, do not lie over each other, and name the data source by a variable."""
    board = json.loads((DEPLOY / "dashboard.json").read_text())
    assert [each["name"] for each in board["templating"]["list"]] == ["datasource"]
    ids = [each["id"] for each in board["panels"]]
    assert len(ids) == len({*ids})
    taken = [(x, y) for each in board["panels"] for x, y in _cells(**each["gridPos"])]
    assert len(taken) == len({*taken})
    assert {each["datasource"]["uid"] for each in board["panels"]} == {"${datasource}"}


@pytest.mark.slow
def test_every_query_answers(watched: Watched, tmp_path: Path) -> None:
    """With numbers, after requests of two callers over both transports, some of them wrong; and can be drawn."""
    watched.settings.metrics.mkdir(exist_ok=True)
    drift = watched.settings.metrics / "drift.prom"
    drift.write_text(DRIFT)
    photo = watched.seamline.sample()

    def ask() -> None:
        for caller, transport in (("camera-7", "grpc"), ("line-3", "rest")):
            with watched.client(transport, caller) as client:
                client.predict(photo)
                with pytest.raises(ClientError):
                    client.run({}, signature="serving_bytes")

    def unanswered() -> list[str]:
        ask()
        queries = [query for panel in panels() for query, _ in panel.queries]
        return [query for query in queries if not watched.ask(shortened(query))]

    try:
        watched.until(lambda: not unanswered(), unanswered)
    finally:
        drift.unlink()
    picture = tmp_path / "figures.png"
    draw(watched.settings.monitoring_ports[0], picture, minutes=1, change=shortened)
    assert picture.stat().st_size > 10_000


def _cells(x: int, y: int, w: int, h: int) -> list[tuple[int, int]]:
    return [(x + right, y + down) for right in range(w) for down in range(h)]
