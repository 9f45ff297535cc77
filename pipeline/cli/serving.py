"""The commands round the server of this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Optional

import typer

from pipeline.cli.shared import app, releases, running_target
from pipeline.console import console
from pipeline.errors import ServingError
from pipeline.settings import Settings
from seamline_client.contract import BYTES, MODEL_NAME

BATCHING = typer.Option(False, "--batching", help="Put requests together; config/batching.config says for whom.")
GATEWAY = typer.Option(False, "--gateway", help="Start the gateway before it too: TLS, tokens and limits.")
SHARE = typer.Option(0, "--share", min=0, max=100, help="Of 100 REST requests to the gateway, so many ask the canary.")
MONITORING = typer.Option(False, "--monitoring", help="Start Prometheus and Alertmanager too, which watch them.")
SHEET = typer.Option(None, "--to", help="Where the picture goes, - for standard output. Default: var/demo.png.")


@app.command()
def serve(
    batching: bool = BATCHING, gateway: bool = GATEWAY, share: int = SHARE, monitoring: bool = MONITORING
) -> None:
    """Start a server in the background, unless one runs, and wait until the model is available."""
    from pipeline import job
    from pipeline.monitoring import running as watching
    from pipeline.release.golden import sample

    found, settings = releases(), Settings.from_environment()
    if share and not (gateway and found.names().canary):
        raise ServingError(
            "--share (SHARE) needs --gateway (GATEWAY=1) and a canary: run `make canary VERSION=<number>` first."
        )
    served = job.serve(found, settings, batching=batching)
    server = served.server
    console.print(
        f"Started {_name(server.program)}, process {server.pid}, log in {server.log}"
        if served.started
        else f"Already running: {_name(server.program)}, process {server.pid}"
    )
    url = f"http://{server.rest_target}/v1/models/{MODEL_NAME}"
    photo = sample(found.store.find(served.version).folder)
    console.print(
        f"\nVersion {served.version} of {MODEL_NAME} is AVAILABLE\n"
        f"  gRPC  {server.grpc_target}\n"
        f"  REST  {url}\n"
        "\nAsk it about a photo:"
    )
    console.print(
        f"  .venv/bin/python client/predict.py {photo}\n"
        f"""  echo '{{"signature_name": "{BYTES.key}", "instances": [{{"b64": "'"""
        f"""$(base64 < {photo} | tr -d '\\n')'"}}]}}' | curl -d @- {url}:predict""",
        soft_wrap=True,
    )
    if gateway:
        _serve_gateway(settings, photo, share)
    if monitoring or watching.find(settings):  # which has to know where a gateway is that was started again
        _serve_monitoring(settings)


def _serve_gateway(settings: Settings, photo: Path, share: int) -> None:
    from pipeline.gateway import running
    from pipeline.gateway.files import Files

    found = running.serve(settings, share)
    was = "Started" if found.started else "Already running:"
    console.print(f"\n{was} the gateway, process {found.pid}, log in {found.log}\n  {found.url}\n\nAsk through it:")
    console.print(
        "  .venv/bin/python -m pipeline token --name me > token\n"
        f"  .venv/bin/python client/predict.py {photo} --target {found.url} --token-file token "
        f"--tls-ca {Files(settings.gateway).authority}",
        soft_wrap=True,
    )


def _serve_monitoring(settings: Settings) -> None:
    from pipeline.gateway import running as gateway
    from pipeline.monitoring import running

    console.print()
    for program, started in running.serve(settings, gateway.find(settings) is not None):
        console.print(f"{'Started' if started else 'Already running'}: {program.name}  {program.url}")
    if not settings.alerts:
        console.print("Alerts are shown there and sent to nobody: SEAMLINE_ALERTS names a file that says to whom.")


@app.command()
def demo(to: Optional[Path] = SHEET) -> None:
    """Draw garments that no training saw, ask the running server, and show where it sees their points, in one PNG."""
    from pipeline.serving import demo as stage

    target = running_target()
    if to == Path("-"):
        sys.stdout.buffer.write(stage.contact_sheet(target))
        return
    path = to or Settings.from_environment().data.with_name("demo.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stage.contact_sheet(target))
    console.print(f"\nDrawn garments that no training saw, with the points that {target} answers:\n  {path}")


@app.command()
def stop() -> None:
    """End the background server, the gateway, and what watches them."""
    from pipeline.gateway import running
    from pipeline.monitoring import running as watching
    from pipeline.serving import local

    settings = Settings.from_environment()
    for name in watching.stop(settings):
        console.print(f"Stopped: {name}")
    pid = running.stop(settings)
    if pid:
        console.print(f"Stopped the gateway, process {pid}")
    server = local.stop(settings)
    console.print(f"Stopped the server, process {server.pid}" if server else "No server is running.")


@app.command()
def status() -> None:
    """Say what runs, since when and where, and list the versions. Exit code 6 when no server runs."""
    from pipeline.gateway import running
    from pipeline.monitoring import running as watching
    from pipeline.release import versions

    settings = Settings.from_environment()
    try:
        _say_server(settings)
    finally:  # what else runs is worth knowing all the more where no server does
        gateway = running.find(settings)
        if gateway:
            console.print(f"  gateway  {gateway.url}, process {gateway.pid}, log {gateway.log}")
        for program in watching.find(settings):
            console.print(f"  {program.name}  {program.url}")
    for line in versions.lines(releases()):
        console.print(f"  {line}")


def _say_server(settings: Settings) -> None:
    """Where it is, and since when. Raises ServingError where none runs."""
    from pipeline.serving import fleet, process

    target = running_target()
    server = process.running(settings.server)
    if server:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(server.created))
        console.print(f"{_name(server.program)}, process {server.pid}, since {since}")
        console.print(f"  log   {server.log}")
        console.print(f"  gRPC  {target}\n  REST  http://{server.rest_target}/v1/models/{MODEL_NAME}")
    else:
        console.print(f"Server at {', '.join(fleet.replicas(target))}")


def _name(program: str) -> str:
    """Which server it is, by what was started."""
    return program if program.startswith("/") else "model_server, the stand-in for tensorflow_model_server"
