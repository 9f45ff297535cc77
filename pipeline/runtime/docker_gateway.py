"""The gateway in its container, as `docker_server` is for the server. Standard library only."""

from __future__ import annotations

import ssl
import time
import urllib.request
from pathlib import Path

from pipeline.runtime import docker_server
from pipeline.runtime import engine as engines
from pipeline.runtime.compose import ROOT, Compose
from pipeline.runtime.engine import EngineError
from seamline_client.contract import MODEL_NAME

PORT = "8443"
CERTIFICATE = Path("var", "gateway.pem")
"""Where its certificate is put, for callers on this machine to trust it by."""
START_SECONDS, POLL_SECONDS, ANSWER_SECONDS = 30.0, 0.2, 5.0
SHARES = "grep runtime_fraction /gateway/routes.json || true"
IN_IT = ("exec", "-T", "gateway", "python", "-m", "pipeline")


def serve(compose: Compose, share: int) -> None:
    """Starts it, with the settings of now, and waits until the model answers through it.

    Of 100 REST requests `share` are for the canary. Raises EngineError if nothing answers.
    """
    compose.environment["SHARE"] = str(share)
    before = compose.running("gateway")
    try:
        compose.ask("up", "--detach", "--wait", "--no-deps", "gateway")
        url = _url(compose)
        _wait_until_it_answers(url, compose.ask(*IN_IT, "token", "--name", "seamline-serve", "--days", "0.001"))
    except (EngineError, OSError) as error:
        log = compose.last_lines("gateway")
        if not before:
            compose.remove("gateway")
        raise EngineError(f"The gateway does not let the model answer: {error}\nIts last lines:\n{log}") from error
    container = compose.running("gateway")
    engines.ask("cp", f"{container}:/gateway/certificate.pem", str(ROOT / CERTIFICATE))
    print(
        f"\n{'Already running:' if container == before else 'Started'} the gateway, container {container[:12]}\n"
        f"  {url}\n"
        "\nAsk through it, for example:\n"
        "  docker compose exec gateway python -m pipeline token --name me > token\n"
        f'  curl --cacert {CERTIFICATE} -H "Authorization: Bearer $(cat token)" {url}/v1/models/{MODEL_NAME}'
    )


def stop(compose: Compose) -> None:
    container = compose.left("gateway")
    if container:
        compose.remove("gateway")
        print(f"Stopped the gateway, container {container[:12]}")


def check_no_share(compose: Compose) -> None:
    """Raises EngineError while it sends some of the requests to the canary."""
    if compose.running("gateway") and compose.ask("exec", "-T", "gateway", "sh", "-c", SHARES):
        raise EngineError(
            "The gateway still sends a share of the requests to the canary. "
            "Run `make serve GATEWAY=1` without SHARE first."
        )


def describe(compose: Compose) -> None:
    """Says where it is, if it runs."""
    container = compose.running("gateway")
    if container:
        print(f"  gateway  {_url(compose)}, container {container[:12]}")


def _url(compose: Compose) -> str:
    host, _, port = compose.ask("port", "gateway", PORT).rpartition(":")
    return f"https://{host.replace('0.0.0.0', '127.0.0.1')}:{port}"


def _wait_until_it_answers(url: str, token: str) -> None:
    """Raises OSError with the last answer where a good token does not learn how the model is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # it is this machine, whatever the name in its certificate
    context.verify_mode = ssl.CERT_NONE
    opener = docker_server.here(urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(f"{url}/v1/models/{MODEL_NAME}", headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            opener.open(request, timeout=ANSWER_SECONDS).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)
