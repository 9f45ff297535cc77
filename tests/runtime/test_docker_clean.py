"""`make clean` in containers, with an engine of our making: no volume of this machine is touched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.runtime import docker_stages, engine, ownership
from pipeline.runtime.engine import EngineError


def test_clean_waits_for_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where sizes take too long there are none, and what takes minutes to delete is deleted."""
    deleted: list[str] = []

    def ask(*arguments: str, seconds: float = engine.ANSWER_SECONDS) -> str:
        slow = arguments[:2] == ("system", "df") or "rm" in arguments or "prune" in arguments
        if slow and seconds < 600:
            raise EngineError("Docker did not answer within 15 s")
        if "rm" in arguments:
            deleted.append(arguments[-1])
        return f"seamline_{arguments[0]}" if "ls" in arguments or arguments[0] == "ps" else ""

    monkeypatch.setattr(engine, "ask", ask)
    monkeypatch.setattr(ownership, "check", lambda _: True)
    monkeypatch.setattr(docker_stages, "ROOT", tmp_path)
    monkeypatch.setenv("YES", "1")
    compose = SimpleNamespace(project="seamline")
    assert docker_stages.run(cast(Any, compose), "clean", []) == 0
    assert deleted == ["seamline_ps", "seamline_network", "seamline_volume", "seamline_image"]
    assert "Deleted volume seamline_volume" in capsys.readouterr().out
