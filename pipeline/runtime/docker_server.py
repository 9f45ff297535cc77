"""The background server in its container: start, stop, and how it is. Standard library only."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path

from pipeline.runtime import engine as engines
from pipeline.runtime.compose import ROOT, Compose
from pipeline.runtime.engine import EngineError
from seamline_client.contract import BYTES, CANARY_NAME, GRPC_PORT, MODEL_NAME, REST_PORT

CONFIG = "cat /models/models.config 2>/dev/null || true"
SAMPLES = Path("var", "sample")
"""Where the pictures of the served version's golden requests are put, for people to try."""
HOW_IT_IS = (
    "{{.Config.Image}}, container {{slice .Name 1}}, {{.State.Health.Status}}, since {{slice .State.StartedAt 0 19}}Z"
)
ANSWER_SECONDS = 10.0


def check(compose: Compose, *, canary: bool) -> None:
    """Raises EngineError where there is nothing to serve, or no `canary` where one is asked for."""
    try:
        config = compose.ask("run", "--rm", "-T", "--entrypoint", "sh", "serve", "-c", CONFIG)
    except EngineError as error:
        raise EngineError(f"The serving image does not run: {error}") from error
    if not config:
        raise EngineError(
            "No version was promoted, so there is nothing to serve. `make export` publishes and promotes one; "
            "`make promote VERSION=...` promotes one that is there, as `make versions` lists them."
        )
    if canary and CANARY_NAME not in config:
        raise EngineError("--share (SHARE) needs a canary: run `make canary VERSION=<number>` first.")


def serve(compose: Compose) -> None:
    """Starts it, unless it runs, and waits until it is healthy. Raises EngineError when it does not become so."""
    before = compose.running("serve")
    try:
        compose.ask("up", "--detach", "--wait", "serve")
        grpc, url = _endpoints(compose)
        version = _version(url)
    except (EngineError, OSError) as error:
        log = compose.last_lines("serve")
        if not before:
            compose.remove("serve")
        raise EngineError(f"The server did not become healthy: {error}\nIts last lines:\n{log}") from error
    container = compose.running("serve")
    print(f"{'Already running' if container == before else 'Started'}, container {container[:12]}")
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
    container = compose.running("serve")
    compose.remove("serve")
    print(f"Stopped the server, container {container[:12]}" if container else "No server is running.")


def describe(compose: Compose) -> None:
    """Says where it is and since when. Raises EngineError when it does not run."""
    container = compose.running("serve")
    if not container:
        raise EngineError("No server is running. `make serve` starts one.")
    print(engines.ask("inspect", "--format", HOW_IT_IS, container))
    grpc, url = _endpoints(compose)
    print(f"  gRPC  {grpc}\n  REST  {url}")


def _endpoints(compose: Compose) -> tuple[str, str]:
    """gRPC target and REST address, on this machine."""
    grpc, rest = (compose.ask("port", "serve", str(port)) for port in (GRPC_PORT, REST_PORT))
    return grpc, f"http://{rest}/v1/models/{MODEL_NAME}"


def _version(url: str) -> str:
    """The version that answers to the plain name. Raises OSError where none does."""
    with here().open(f"{url}/metadata", timeout=ANSWER_SECONDS) as answer:
        return str(json.load(answer)["model_spec"]["version"])


def here(*handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Opens URLs of this machine: no proxy of the environment stands between it and itself."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)


def _copy_sample(container: str, version: str) -> str:
    """A picture out of the models volume, where people and curl reach it; its path below the project's folder."""
    folder = ROOT / SAMPLES
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    engines.ask("cp", f"{container}:/models/{MODEL_NAME}/{version}/assets.extra/golden", str(folder))
    return str(SAMPLES / next(folder.glob("0.*")).name)
