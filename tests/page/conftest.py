"""The page in a real Chromium without a window, before a model server with a canary: one of each for all tests."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import HTTPServer
from pathlib import Path
from typing import TypeVar

import pytest

from garments import write_dataset
from pipeline.page import desk
from pipeline.page.server import PageServer
from tests.homes import Made
from tests.model_server import servers
from tests.model_server.servers import Server
from tests.page.browser import Browser

AnyServer = TypeVar("AnyServer", bound=HTTPServer)


@contextmanager
def serving(server: AnyServer) -> Iterator[AnyServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    with server:
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


@pytest.fixture(scope="session")
def models(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Version 1 serves, and the same as version 2 is the canary."""
    folder = tmp_path_factory.mktemp("models")
    versions = {"keypoints": 1, "keypoints-canary": 2}
    for name, number in versions.items():
        shutil.copytree(made.home / "models/keypoints/1", folder / name / str(number), copy_function=os.link)
    config = servers.models_config(folder, {name: folder / name for name in versions})
    with servers.running("model_server", folder, model_config_file=config) as found:
        for name, number in versions.items():
            found.wait_available(name, number)
        yield found


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Drawn garments that no training saw."""
    folder = tmp_path_factory.mktemp("drawn") / "garments"
    write_dataset(folder, 6, seed=2027, processes=1)
    return sorted(folder.rglob("*.jpg"))


Pages = Callable[..., PageServer]


@pytest.fixture
def page(models: Server, tmp_path: Path) -> Iterator[Pages]:
    """Starts the page's server, which saves to tmp_path/corrected; before another model server with `target`."""
    with ExitStack() as running:

        def start(photos: Mapping[str, Path] | None = None, target: str = "") -> PageServer:
            target = target or f"127.0.0.1:{models.rest_port}"
            server = PageServer(desk.lay(target, tmp_path / "corrected", photos or {}), 0)
            return running.enter_context(serving(server))

        yield start


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests: starting it is what costs."""
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: apt-get install chromium chromium-driver")
    found = Browser(tmp_path_factory.mktemp("chromium"))
    yield found
    found.close()


@pytest.fixture
def browser(chromium: Browser, tmp_path: Path) -> Iterator[Browser]:
    """As a person's is who comes for the first time, on a desktop."""
    chromium.begin(tmp_path / "downloads")
    yield chromium
    assert chromium.complaints() == []
