"""The background server in its container: start, stop, and how it is. Standard library only."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from pipeline.runtime import engine as engines
from pipeline.runtime.compose import ROOT, Compose
from pipeline.runtime.engine import EngineError
from seamline_client.contract import BYTES, GRPC_PORT, MODEL_NAME, REST_PORT

CONFIG = "/models/models.config"
SAMPLE = Path("var", "sample")
"""A picture of the served version's golden requests, for people to try."""
LOG_LINES = "15"
ANSWER_SECONDS = 10.0


def serve(compose: Compose) -> None:
    """Starts it, unless it runs, and waits until it is healthy. Raises EngineError when it does not become so."""
    look = ("run", "--rm", "-T", "--entrypoint", "sh", "serve", "-c", f"test -f {CONFIG} && echo there || echo absent")
    try:
        found = compose.ask(*look)
    except EngineError as error:
        raise EngineError(f"The serving image does not run: {error}") from error
    if found == "absent":
        raise EngineError("No version is published. `make export` publishes one.")
    before = running(compose)
    try:
        compose.ask("up", "--detach", "--wait", "serve")
    except EngineError as error:
        log = _log(compose)
        if not before:
            compose.ask("rm", "--stop", "--force", "serve")
        raise EngineError(f"The server did not become healthy: {error}\n{log}") from error
    container = running(compose)
    print(f"{'Already running' if container == before else 'Started'}, container {container[:12]}")
    grpc, url = _endpoints(compose)
    try:
        version = _available(url)
    except (OSError, ValueError, LookupError) as error:
        raise EngineError(f"{url}: healthy a moment ago, and now {error!r}\n{_log(compose)}") from error
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


def stop(compose: Compose) -> None:
    container = running(compose)
    compose.ask("rm", "--stop", "--force", "serve")
    print(f"Stopped container {container[:12]}" if container else "No server is running.")


def describe(compose: Compose) -> None:
    """Says where it is and since when. Raises EngineError when it does not run."""
    container = running(compose)
    if not container:
        raise EngineError("No server is running. `make serve` starts one.")
    (known,) = json.loads(engines.ask("inspect", container))
    grpc, url = _endpoints(compose)
    since = known["State"]["StartedAt"][:19].replace("T", " ")
    print(f"{known['Config']['Image']}, container {known['Name'].strip('/')}, since {since} UTC")
    print(f"  {known['State']['Health']['Status']}\n  gRPC  {grpc}\n  REST  {url}")


def running(compose: Compose) -> str:
    """The server's container; empty when none runs."""
    return compose.ask("ps", "--quiet", "--status", "running", "serve")


def _log(compose: Compose) -> str:
    return "Last lines of the server:\n" + compose.ask("logs", "--no-log-prefix", "--tail", LOG_LINES, "serve")


def _endpoints(compose: Compose) -> tuple[str, str]:
    """gRPC target and REST address, on this machine."""
    grpc, rest = (compose.ask("port", "serve", str(port)) for port in (GRPC_PORT, REST_PORT))
    return grpc, f"http://{rest}/v1/models/{MODEL_NAME}"


def _available(url: str) -> str:
    """The version that answers. Raises OSError, ValueError or LookupError when there is no such answer."""
    # No proxy of the environment stands between this machine and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=ANSWER_SECONDS) as answer:
        versions: list[dict[str, Any]] = json.load(answer)["model_version_status"]
    available = [int(each["version"]) for each in versions if each["state"] == "AVAILABLE"]
    return str(max(available))


def _copy_sample(container: str, version: str) -> str:
    """Out of the models volume to where people and curl reach it. Its path, or a stand-in for a photo of one's own."""
    (ROOT / SAMPLE).parent.mkdir(exist_ok=True)
    for suffix in (".jpg", ".png"):
        source = f"{container}:/models/{MODEL_NAME}/{version}/assets.extra/golden/0{suffix}"
        target = SAMPLE.with_suffix(suffix)
        try:
            engines.ask("cp", source, str(ROOT / target))
        except EngineError:
            continue
        return str(target)
    return "photo.jpg"
