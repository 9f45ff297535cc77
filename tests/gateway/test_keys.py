"""Keys that sign tokens, and what the gateway is told of them: the one that signs is always known to it."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.gateway import tokens
from pipeline.gateway.files import Files
from pipeline.settings import Settings


@pytest.fixture
def settings(envoy: None, tmp_path: Path) -> Settings:
    return replace(Settings.from_environment(), gateway=tmp_path / "gateway")


def known(files: Files) -> list[str]:
    """The numbers of the keys that the gateway is told of, those that sign first."""
    return re.findall(r'\\"kid\\": \\"(\d+)\\"', (files.folder / "keys.json").read_text())


def test_a_rotation_that_was_cut_off_is_finished_by_the_next_start(settings: Settings) -> None:
    """A kill came between the key and the word of it; tokens of the key before go on counting."""
    files = Files(settings.gateway)
    files.write(settings, 0)
    tokens.rotate(files.signing)
    assert known(files) == ["1"]
    files.write(settings, 0)
    assert known(files) == ["2", "1"]


def test_two_that_start_on_one_folder_know_the_same_key(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As replicas do that share a volume."""
    make, both_begin = tokens.new_key, threading.Barrier(2)

    def slowly() -> tuple[Any, str]:
        time.sleep(0.2)  # so that the other would have come here too
        return make()

    def start() -> None:
        both_begin.wait()
        Files(settings.gateway).write(settings, 0)

    monkeypatch.setattr(tokens, "new_key", slowly)
    starting = [threading.Thread(target=start) for _ in range(2)]
    for each in starting:
        each.start()
    for each in starting:
        each.join()
    files = Files(settings.gateway)
    assert [path.stem for path in files.signing.glob("*.pem")] == known(files) == ["1"]
    assert json.loads((files.folder / "routes.json").read_text())
