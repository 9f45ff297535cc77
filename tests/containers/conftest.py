"""Fixtures of the container tests: the job after `make train export serve`, on the real engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.job import Job, missing


@pytest.fixture(scope="session")
def docker() -> None:
    lack = missing()
    if lack:
        pytest.skip(lack)


@pytest.fixture(scope="session")
def built(docker: None) -> Iterator[Job]:
    """Images of all services, built by plain `docker compose build`."""
    job = Job(f"seamline-test-{os.getpid()}")
    try:
        job.compose("build", "train", "serve", "client")
        yield job
    finally:
        job.remove()


@pytest.fixture(scope="session")
def job(built: Job) -> Job:
    """After `make train export serve PRESET=tiny RUNTIME=docker`: version 1 is served."""
    built.said = built.make("train", "export", "serve", "PRESET=tiny")
    return built


@pytest.fixture(scope="session")
def photo(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of the golden requests, out of the models volume."""
    folder = tmp_path_factory.mktemp("golden")
    job.run("docker", "cp", f"{job.server()}:/models/keypoints/1/assets.extra/golden/.", str(folder))
    return next(folder.glob("0.*"))


@pytest.fixture
def fresh(built: Job) -> Iterator[Job]:
    """The same images, and volumes in which nothing happened yet."""
    job = Job(f"{built.name}-fresh")
    for service in ("train", "serve", "client"):
        job.run("docker", "tag", f"{built.name}-{service}", f"{job.name}-{service}")
    try:
        yield job
    finally:
        job.remove()
