"""What deploy/kubernetes has, as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tests.homes import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
Json = dict[str, Any]


def resources() -> Iterator[Json]:
    for path in sorted(FOLDER.rglob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text())


def kustomizations() -> Iterator[Json]:
    for path in sorted(FOLDER.rglob("kustomization.yaml")):
        yield yaml.safe_load(path.read_text())


def jobs(resource: Json) -> list[Json]:
    """Those of a JobSet, and that of a CronJob, as jobs of their own."""
    spec = resource["spec"]
    templates = {"JobSet": [each["template"] for each in spec.get("replicatedJobs", ())]}
    templates["CronJob"] = [spec["jobTemplate"]] if "jobTemplate" in spec else []
    name = {"name": resource["metadata"]["name"]}
    return [
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": name, **each}
        for each in templates.get(resource["kind"], ())
    ]


def pods(resource: Json) -> list[Json]:
    """The templates of its pods."""
    spec = resource.get("spec", {})
    if "template" in spec:
        return [spec["template"]]
    return [each["spec"]["template"] for each in jobs(resource)] if spec else []


def containers(pod: Json) -> list[Json]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


ALL = list(resources())
PODS = [(resource, pod) for resource in ALL for pod in pods(resource)]
CONTAINERS = [(pod, container) for _, pod in PODS for container in containers(pod)]


def named(name: str) -> Json:
    return next(container for _, container in CONTAINERS if container["name"] == name)


def environment(container: Json) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container.get("env", ())}
