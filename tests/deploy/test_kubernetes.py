"""deploy/kubernetes, which no cluster has run: Kubernetes understands it, and it says what the product has."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from pipeline.cli import app
from pipeline.settings import Settings
from seamline_client.contract import GRPC_PORT, REST_PORT
from tests.deploy.manifests import ALL, CONTAINERS, FOLDER, PODS, Json, environment, jobs, kustomizations, named
from tests.homes import ROOT
from tests.test_reference import column, table

VERSIONS = ("1.33", "1.37")
"""The oldest that these files are for, and the newest that the schemas are there of."""
JOBSET: Json = {
    "network": {"enableDNSHostnames": bool, "subdomain": str, "publishNotReadyAddresses": bool},
    "failurePolicy": {"maxRestarts": int, "rules": list},
    "replicatedJobs": list,
}
"""Of JobSet's own definition (v1alpha2, as of 0.9), which no schema is installed of, the fields that are used here."""
RULE = {"name", "action", "onJobFailureReasons"}
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PAGE = (ROOT / "docs" / "scale.md").read_text()
IDS = [f"{each['kind']}-{each['metadata']['name']}" for each in ALL]


def check(resource: Json) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("resource", ALL, ids=IDS)
def test_kubernetes_understands_it(resource: Json) -> None:
    """By the API's own schemas, which let no field pass that they do not know; a JobSet's jobs as jobs."""
    if resource["kind"] != "JobSet":
        check(resource)
        return
    assert resource["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
    for name, value in resource["spec"].items():
        fields = JOBSET[name]
        if isinstance(fields, dict):
            assert all(isinstance(each, fields[field]) for field, each in value.items())
        else:
            assert isinstance(value, fields)
    assert all(set(rule) == RULE for rule in resource["spec"]["failurePolicy"]["rules"])
    assert all(set(each) == {"name", "template"} for each in resource["spec"]["replicatedJobs"])
    for job in jobs(resource):
        check(job)


def test_the_schemas_are_strict() -> None:
    """A misspelt field and a value of another kind are found, wherever they are."""
    (deployment,) = (each for each in ALL if (each["kind"], each["metadata"]["name"]) == ("Deployment", "serve"))
    for change in ({"replica": 3}, {"replicas": "three"}):
        broken = copy.deepcopy(deployment)
        broken["spec"].update(change)
        with pytest.raises(kubernetes_validate.ValidationError):
            check(broken)
    broken = copy.deepcopy(deployment)
    broken["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["grpcs"] = {"port": 1}
    with pytest.raises(kubernetes_validate.ValidationError):
        check(broken)


def test_kustomize_builds_it(tmp_path: Path) -> None:
    """All of it, and every image is of the registry and the tag that are named in one place."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    (tmp_path / "kubernetes" / "signing-key.pub").write_text("a public key")
    built: list[Json] = []
    for folder in (tmp_path / "kubernetes", tmp_path / "kubernetes" / "train"):
        done = subprocess.run(
            [kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        built += yaml.safe_load_all(done.stdout)
        assert set(re.findall(r"image: (\S+?)seamline-\w+(:\S+)", done.stdout)) == {("registry.example.com/", ":1")}
    maps = [each for each in built if each["kind"] == "ConfigMap"]
    assert sorted(each["metadata"]["name"] for each in maps) == ["store", "trusted-keys"]
    assert len(built) == len(ALL) + len(maps)
    # What was merged where it is written once is there in full where it is read.
    assert not any("<<" in json.dumps(each) for each in built)


def test_images_are_built_here() -> None:
    """Each is named in its kustomization, and has a Dockerfile."""
    used = {container["image"] for _, container in CONTAINERS}
    assert used == {each["name"] for kustomization in kustomizations() for each in kustomization["images"]}
    ours = {f"seamline-{path.suffix[1:]}" for path in ROOT.glob("Dockerfile.*")}
    assert used - ours == {"seamline-retrain"}
    assert re.findall(r"^FROM (\S+)", (FOLDER / "train" / "Dockerfile").read_text(), re.M) == [
        "seamline-serve",
        "seamline-train",
    ]


def test_commands_are_the_products() -> None:
    """Every command line of ours is one that its program understands."""
    group: Any = typer.main.get_command(app)
    lines = [container["args"] for _, container in CONTAINERS if container["image"] != "seamline-serve"]
    assert {line[0] for line in lines} == {"train", "export", "push", "pull", "gateway", "verify"}
    for stage, *rest in lines:
        group.commands[stage].make_context(stage, list(rest))


def test_the_server_is_started_as_compose_does() -> None:
    """With the same flags, and none of them left out."""
    text = re.sub(r"\$\{BATCHING:\+[^}]*\}", "", COMPOSE["services"]["serve"]["command"])
    assert named("serve")["args"] == re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).split()


def test_ports() -> None:
    """Of the contract, and of Compose's gateway, wherever one is named."""
    ports = {each["name"]: each["containerPort"] for _, container in CONTAINERS for each in container.get("ports", ())}
    assert (ports["grpc"], ports["rest"]) == (GRPC_PORT, REST_PORT)
    assert COMPOSE["services"]["gateway"]["environment"]["SEAMLINE_GATEWAY"] == f"0.0.0.0:{ports['https']}"
    assert environment(named("gateway"))["SEAMLINE_GATEWAY"] == f"0.0.0.0:{ports['https']}"
    services = {each["metadata"]["name"]: each["spec"] for each in ALL if each["kind"] == "Service"}
    assert [each["port"] for each in services["serve"]["ports"]] == [GRPC_PORT, REST_PORT]
    assert services["serve"]["clusterIP"] == "None"
    assert environment(named("gateway"))["SEAMLINE_REPLICAS"] == "serve"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert named("serve")[probe]["grpc"] == {"port": GRPC_PORT, "service": "PredictionService"}
    proof = named("proof")
    listen, target = proof["args"][2], proof["args"][4]
    assert (listen, target) == (f"0.0.0.0:{ports['proof']}", f"127.0.0.1:{GRPC_PORT}")
    assert all(
        proof[probe]["httpGet"] == {"path": "/", "port": "proof"} for probe in ("startupProbe", "readinessProbe")
    )
    allowed = {
        each["metadata"]["name"]: {port["port"] for rule in each["spec"].get("ingress", ()) for port in rule["ports"]}
        for each in ALL
        if each["kind"] == "NetworkPolicy"
    }
    assert allowed == {
        "nobody": set(),
        "gateway": {ports["https"]},
        "serve": {GRPC_PORT, REST_PORT},
        "train": {ports["cluster"]},
    }


def test_settings_and_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are those of the reference; every path that they or a flag name is on a volume, or in the image."""
    known = {*column("Environment"), "TF_CONFIG", "INDEX"}
    for pod, container in CONTAINERS:
        mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
        assert {each["name"] for each in mounts.values()} <= {each["name"] for each in pod["spec"]["volumes"]}
        assert {each["name"] for each in container.get("env", ())} <= known
        values = environment(container)
        places = [value for value in values.values() if value.startswith("/")]
        places += [each for each in container["args"] if each.startswith("/")]
        for place in places:
            assert any(place == mount or place.startswith(f"{mount}/") for mount in mounts), place
        if container["image"] != "seamline-serve":
            for name, value in values.items():
                monkeypatch.setenv(name, value)
            settings = Settings.from_environment()
            if container["name"] in ("first-pull", "pull"):
                # The image's own home is /, and this its model store.
                assert "SEAMLINE_HOME" not in values
                assert "SEAMLINE_HOME=/\n" in (ROOT / "Dockerfile.sync").read_text()
                assert "/models" in mounts
                assert settings.trusted_keys == Path("/trusted")
            for name in values:
                monkeypatch.delenv(name)
    flags = dict(each.split("=", 1) for each in named("serve")["args"])
    assert flags["--model_config_file"] == "/models/models.config"
    assert (ROOT / "config" / Path(flags["--monitoring_config_file"]).name).is_file()
    assert "COPY --chmod=755 config /etc/seamline" in (ROOT / "Dockerfile.serve").read_text()


def test_a_cluster_of_tasks() -> None:
    """Each task's TF_CONFIG has the same tasks, under the names that JobSet gives to them, and itself; all else is the
    same. One that is lost has all start again, and errors that this does not mend do not."""
    (jobset,) = (each for each in ALL if each["kind"] == "JobSet")
    name, subdomain = jobset["metadata"]["name"], jobset["spec"]["network"]["subdomain"]
    expected: dict[str, list[str]] = {}
    found, lines = [], []
    for each in jobset["spec"]["replicatedJobs"]:
        job, spec = each["name"], each["template"]["spec"]
        expected[job] = [f"{name}-{job}-0-{index}.{subdomain}:7000" for index in range(spec["completions"])]
        assert spec["completions"] == spec["parallelism"]
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        (rule,) = spec["podFailurePolicy"]["rules"]
        documented = {int(row[0]) for row in table("Exit codes of make and the stages")}
        assert {*rule["onExitCodes"]["values"]} <= documented - {15, 130}
        (container,) = spec["template"]["spec"]["containers"]
        lines.append((container["args"], container["image"], container["volumeMounts"]))
        config = json.loads(environment(container)["TF_CONFIG"].replace("$(INDEX)", "1"))
        found.append(config["cluster"])
        assert config["task"] == {"type": job, "index": 1 if job == "worker" else 0}
    assert found == [expected] * 3
    assert lines == lines[:1] * 3


def test_who_selects_whom() -> None:
    """Every selector is met by the pods of one of these files, and what is referred to is there, or the page says how
    it is made."""
    labels = [pod["metadata"]["labels"] for _, pod in PODS]
    for resource in ALL:
        spec = resource.get("spec", {})
        chosen = spec.get("selector", spec.get("podSelector"))
        if chosen:
            assert any((chosen.get("matchLabels") or chosen).items() <= each.items() for each in labels)
    there = {(each["kind"], each["metadata"]["name"]) for each in ALL}
    maps = {each["name"] for kustomization in kustomizations() for each in kustomization.get("configMapGenerator", ())}
    for pod, container in CONTAINERS:
        for volume in pod["spec"]["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in there
            assert volume.get("configMap", {}).get("name", "store") in maps
            secret = volume.get("secret", {}).get("secretName")
            assert not secret or f"create secret generic {secret}" in PAGE
        for source in container.get("envFrom", ()):
            if "secretRef" in source:
                assert f"create secret generic {source['secretRef']['name']}" in PAGE
            else:
                assert source["configMapRef"]["name"] in maps


@pytest.mark.parametrize(("resource", "pod"), PODS, ids=[each["metadata"]["name"] + each["kind"] for each, _ in PODS])
def test_nobody_may_more_than_it_must(resource: Json, pod: Json) -> None:
    """As the namespace demands: not root, no rights, nothing to write on but what is named, limits of memory."""
    security = pod["spec"]["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"] == security["fsGroup"] == 10001
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["spec"]["automountServiceAccountToken"] is False
    for container in [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]:
        allowed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == allowed
        assert container["resources"]["limits"]["memory"]
