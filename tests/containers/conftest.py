"""Fixtures of the container tests: the job after `make train export serve`, on the real engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.job import SERVICES, Job, missing
from tests.homes import ROOT


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
        job.compose("build", *SERVICES)
        yield job
    finally:
        job.remove()


@pytest.fixture(scope="session")
def job(built: Job) -> Job:
    """After `make train export serve PRESET=tiny RUNTIME=docker`: version 1 is served."""
    built.said = built.make("train", "export", "serve", "PRESET=tiny")
    return built


@pytest.fixture(scope="session")
def photo(job: Job) -> Path:
    """A picture of the golden requests, which `make serve` copied out of the models volume."""
    return next((ROOT / "var" / "sample").glob("0.*"))


@pytest.fixture
def fresh(built: Job) -> Iterator[Job]:
    """The same images, and volumes in which nothing happened yet."""
    job = Job(f"{built.name}-fresh")
    for service in SERVICES:
        job.run("docker", "tag", f"{built.name}-{service}", f"{job.name}-{service}")
    try:
        yield job
    finally:
        job.remove()
