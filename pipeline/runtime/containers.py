"""The stages in containers, by the `docker compose` commands that people can type too (docs/containers.md lists them).

Standard library only.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

from pipeline.runtime.compose import ROOT, Compose
from pipeline.runtime.mounts import mount_data, mount_photos
from seamline_client.contract import BYTES, GRPC_PORT, MODEL_NAME, REST_PORT

EXIT_USAGE, EXIT_SERVING = 2, 6
CONFIG = "/models/models.config"
SAMPLE = Path("var", "sample")
"""A picture of the served version's golden requests, for people to try."""
DEMO = Path("var", "demo.png")
LOG_LINES = "15"
ANSWER_SECONDS = 10.0
REPORT = Path("var", "report")
"""Where a copy of the report is put, out of the volume."""
_SERVICE = {"data": "train", "train": "train", "evaluate": "evaluate", "export": "export"}
_SERVICE.update(dict.fromkeys(("versions", "promote", "rollback", "remove", "verify"), "release"))


def run(compose: Compose, stage: str, arguments: list[str]) -> int:
    """The stage's exit code, the same as in the local runtime."""
    if stage in _SERVICE:
        return _run_stage(compose, stage, arguments)
    commands = {
        "report": _report,
        "predict": _predict,
        "serve": _serve,
        "demo": _demo,
        "stop": _stop,
        "status": _status,
        "logs": _logs,
        "clean": _clean,
    }
    if stage not in commands:
        return _fail(f"No such stage: {stage}. There are {', '.join([*_SERVICE, *commands])}.", EXIT_USAGE)
    return commands[stage](compose, arguments)


def _run_stage(compose: Compose, stage: str, arguments: list[str]) -> int:
    try:
        mounts, arguments = mount_data(arguments)
    except ValueError as error:
        return _fail(str(error), EXIT_USAGE)
    if stage == "verify" and not any(each.startswith("--target") for each in arguments):
        arguments = ["--target", f"serve:{REST_PORT if '--rest' in arguments else GRPC_PORT}", *arguments]
    return compose.run(*mounts, _SERVICE[stage], stage, *arguments)


def _report(compose: Compose, arguments: list[str]) -> int:
    """Written in the volume of the runs, then copied out of it to where a browser reaches it."""
    code = compose.call("run", "--rm", "-T", "train", "report", *arguments)
    if code:
        return code
    copy = "cd /runs/$(cat /runs/latest)/report && tar -c *"
    archive = compose.output("run", "--rm", "-T", "--no-deps", "--entrypoint", "sh", "train", "-c", copy)
    (ROOT / REPORT).mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            content = files.extractfile(member)
            if content:
                (ROOT / REPORT / Path(member.name).name).write_bytes(content.read())
    print(f"Copied to {REPORT}: open {REPORT / 'report.html'}")
    return 0


def _predict(compose: Compose, arguments: list[str]) -> int:
    mounts, arguments = mount_photos(arguments)
    # As the user who asks, whose photos need not be readable by others. Root asks as the image's own user.
    user = ["--user", f"{os.getuid()}:{os.getgid()}"] if os.getuid() else []
    return compose.run(*user, *mounts, "client", *arguments)


def _serve(compose: Compose, _: list[str]) -> int:
    look = ("run", "--rm", "-T", "--entrypoint", "sh", "serve", "-c", f"test -f {CONFIG} && echo there || echo absent")
    found = compose.ask(*look)
    if found == "absent":
        return _fail("No version is published. `make export` publishes one.")
    if not found:
        return _fail(f"The serving image cannot be run: {compose.complaint(*look) or 'it said nothing'}")
    before = _running(compose)
    complaint = compose.complaint("up", "--detach", "--wait", "serve")
    container = _running(compose)
    if complaint:
        log = _log(compose)
        if not before:
            compose.call("rm", "--stop", "--force", "serve", quiet=True)
        hint = "; SEAMLINE_GRPC_PORT and SEAMLINE_REST_PORT name other ports" if "port" in complaint else ""
        return _fail(f"The server did not become healthy: {complaint.splitlines()[-1]}{hint}\n{log}")
    print(f"{'Already running' if container == before else 'Started'}, container {container[:12]}")
    grpc, url = _endpoints(compose)
    try:
        version = next(number for number, state in _states(url) if state == "AVAILABLE")
    except (OSError, ValueError, StopIteration) as error:
        return _fail(f"{url}: healthy a moment ago, and now {error!r}\n{_log(compose)}")
    sample = _copy_sample(container, version)
    print(
        f"\nVersion {version} of {MODEL_NAME} is AVAILABLE\n"
        f"  gRPC  {grpc}\n"
        f"  REST  {url}\n"
        "\nAsk it about a photo:\n"
        f"  make predict IMAGE={sample}\n"
        f"""  echo '{{"signature_name": "{BYTES.key}", "instances": [{{"b64": "'"""
        f"""$(base64 < {sample} | tr -d '\\n')'"}}]}}' | curl -d @- {url}:predict"""
    )
    return 0


def _demo(compose: Compose, _: list[str]) -> int:
    """The picture comes out of its container on standard output: no folder of this machine is written to from there."""
    picture, code = compose.answer("release", "demo", "--to", "-")
    if code:
        return code
    (ROOT / DEMO).parent.mkdir(exist_ok=True)
    (ROOT / DEMO).write_bytes(picture)
    print(f"\nDrawn garments that no training saw, with the points that the running server answers:\n  {DEMO}")
    return 0


def _stop(compose: Compose, _: list[str]) -> int:
    container = _running(compose)
    compose.call("rm", "--stop", "--force", "serve", quiet=True)
    print(f"Stopped container {container[:12]}" if container else "No server runs.")
    return 0


def _status(compose: Compose, _: list[str]) -> int:
    container = _running(compose)
    if not container:
        return _fail("No server runs. `make serve` starts one.")
    known = json.loads(subprocess.check_output(["docker", "inspect", container]))[0]
    state = known["State"]
    grpc, url = _endpoints(compose)
    since = state["StartedAt"][:19].replace("T", " ")
    print(f"{known['Config']['Image']}, container {known['Name'].strip('/')}, since {since} UTC")
    print(f"  {state['Health']['Status']}\n  gRPC  {grpc}\n  REST  {url}")
    try:
        states = _states(url)
    except (OSError, ValueError) as error:
        return _fail(f"{url}: {error}\n{_log(compose)}")
    for version, word in states:
        print(f"  version {version} is {word}")
    return 0


def _logs(compose: Compose, _: list[str]) -> int:
    return compose.become("logs", "--tail", "200", *(["--follow"] if sys.stdout.isatty() else []), "serve")


def _clean(compose: Compose, _: list[str]) -> int:
    """Photos that were given as DATA are not among what is removed."""
    for made in (*ROOT.glob(f"{SAMPLE}.*"), *ROOT.glob(str(DEMO))):
        made.unlink()
    shutil.rmtree(ROOT / REPORT, ignore_errors=True)
    compose.remove_containers()
    return compose.call("down", "--volumes", "--remove-orphans", "--rmi", "all")


def _running(compose: Compose) -> str:
    """The server's container; empty when none runs."""
    return compose.ask("ps", "--quiet", "--status", "running", "serve")


def _log(compose: Compose) -> str:
    return "Last lines of the server:\n" + compose.ask("logs", "--no-log-prefix", "--tail", LOG_LINES, "serve")


def _endpoints(compose: Compose) -> tuple[str, str]:
    """gRPC target and REST address, on this machine."""
    grpc, rest = (compose.ask("port", "serve", str(port)) for port in (GRPC_PORT, REST_PORT))
    return grpc, f"http://{rest}/v1/models/{MODEL_NAME}"


def _states(url: str) -> list[tuple[str, str]]:
    """Version and state, the highest first. Raises OSError or ValueError when there is no answer of that kind."""
    # No proxy of the environment stands between this machine and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=ANSWER_SECONDS) as answer:
        versions: list[dict[str, Any]] = json.load(answer)["model_version_status"]
    versions.sort(key=lambda each: -int(each["version"]))
    return [(str(each["version"]), str(each["state"])) for each in versions]


def _copy_sample(container: str, version: str) -> str:
    """Out of the models volume to where people and curl reach it. Its path, or a stand-in for a photo of one's own."""
    (ROOT / SAMPLE).parent.mkdir(exist_ok=True)
    for suffix in (".jpg", ".png"):
        source = f"{container}:/models/{MODEL_NAME}/{version}/assets.extra/golden/0{suffix}"
        target = SAMPLE.with_suffix(suffix)
        if (
            subprocess.run(["docker", "cp", source, str(ROOT / target)], capture_output=True, check=False).returncode
            == 0
        ):
            return str(target)
    return "photo.jpg"


def _fail(message: str, code: int = EXIT_SERVING) -> int:
    print(f"Error: {message}", file=sys.stderr)
    return code
