"""The stages in containers, by the `docker compose` commands that people can type too (docs/containers.md lists them).

Standard library only.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
from pathlib import Path

from pipeline.runtime import EXIT_SERVING, EXIT_USAGE, deleting, docker_server
from pipeline.runtime import engine as engines
from pipeline.runtime.compose import ROOT, Compose
from pipeline.runtime.engine import EngineError
from pipeline.runtime.mounts import mount_data, mount_photos
from seamline_client.contract import GRPC_PORT, REST_PORT

DEMO = Path("var", "demo.png")
REPORT = Path("var", "report")
"""Where a copy of the report is put, out of the volume."""
SERVICES = {
    **{stage: stage for stage in ("train", "evaluate", "export")},
    "data": "train",
    **dict.fromkeys(("versions", "promote", "canary", "rollback", "retire", "verify"), "release"),
}
"""Which service runs a stage of the pipeline. The others are below."""
SIZES = {
    "Volumes": "{{range .Volumes}}{{.Name}}\t{{.Size}}\n{{end}}",
    "Images": "{{range .Images}}{{.Repository}}:{{.Tag}}\t{{.Size}}\n{{end}}",
}
"""Templates for `docker system df --verbose`: a name and its size a line."""


def run(compose: Compose, stage: str, arguments: list[str]) -> int:
    """The stage's exit code, the same as in the local runtime."""
    try:
        if stage in SERVICES:
            return _run(compose, stage, arguments)
        if stage == "predict":
            return _predict(compose, arguments)
        if stage == "report":
            return _report(compose, arguments)
        if stage == "demo":
            return _demo(compose)
        if stage == "serve":
            docker_server.serve(compose)
        elif stage == "stop":
            docker_server.stop(compose)
        elif stage == "status":
            docker_server.describe(compose)
            return compose.run("release", "status")
        elif stage == "logs":
            compose.become("logs", "--tail", "200", *(["--follow"] if sys.stdout.isatty() else []), "serve")
        elif stage == "clean":
            return _clean(compose)
        else:
            return _fail(f"There is no stage {stage}.", EXIT_USAGE)
    except ValueError as error:
        return _fail(str(error), EXIT_USAGE)
    except EngineError as error:
        return _fail(str(error), EXIT_SERVING)
    return 0


def _run(compose: Compose, stage: str, arguments: list[str]) -> int:
    mounts, arguments = mount_data(arguments)
    if stage == "verify" and not any(each.startswith("--target") for each in arguments):
        arguments = ["--target", f"serve:{REST_PORT if '--rest' in arguments else GRPC_PORT}", *arguments]
    return compose.run(*mounts, SERVICES[stage], stage, *arguments)


def _report(compose: Compose, arguments: list[str]) -> int:
    """Written in the volume of the runs, then copied out of it to where a browser reaches it."""
    said, code = compose.answer("train", "report", *arguments)
    print(said.decode(), end="")
    if code:
        return code
    copy = "cd /runs/$(cat /runs/latest)/report && tar -c *"
    archive, code = compose.answer("--no-deps", "--entrypoint", "sh", "train", "-c", copy)
    if code:
        return code
    (ROOT / REPORT).mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            content = files.extractfile(member)
            if content:
                (ROOT / REPORT / Path(member.name).name).write_bytes(content.read())
    print(f"Copied to {REPORT}: open {REPORT / 'report.html'}")
    return 0


def _predict(compose: Compose, arguments: list[str]) -> int:
    """As the user who asks, whose photos need not be readable by others. Root asks as the image's own user.

    What is drawn belongs to the user who asks, root too; so does all that root writes in a rootless engine.
    """
    user = f"{os.getuid()}:{os.getgid()}"
    if compose.engine.rootless:
        user = "0:0"
    draws = any(each.partition("=")[0] == "--draw" for each in arguments)
    chosen = ["--user", user] if os.getuid() or draws else []
    return compose.run(*chosen, *mount_photos(arguments), "client", *arguments)


def _demo(compose: Compose) -> int:
    """The picture comes out of its container on standard output: no folder of this machine is written to from there."""
    picture, code = compose.answer("release", "demo", "--to", "-")
    if code:
        return code
    (ROOT / DEMO).parent.mkdir(exist_ok=True)
    (ROOT / DEMO).write_bytes(picture)
    print(f"\nDrawn garments that no training saw, with the points that the running server answers:\n  {DEMO}")
    return 0


def _clean(compose: Compose) -> int:
    """Deletes what the compose files made, by their label: another application may use this project name too.

    Photos that were given as DATA are not among it. Raises EngineError where something is still in use.
    """
    ours = ("--filter", f"label=seamline.project={compose.project}")
    folder = '{{.Label "com.docker.compose.project.working_dir"}}'
    for other in {*engines.ask("ps", "--all", *ours, "--format", folder).splitlines()} - {"", str(ROOT)}:
        if Path(other).is_dir():
            raise EngineError(f"{other} uses the project {compose.project} too. COMPOSE_PROJECT_NAME tells them apart.")
    sizes = dict(
        line.split("\t")
        for kind in ("Volumes", "Images")
        for line in engines.ask("system", "df", "--verbose", "--format", SIZES[kind]).splitlines()
    )
    made = [
        (kind, name)
        for kind, *listing in (
            ("container", "ps", "--all", "--format", "{{.Names}}"),
            ("network", "network", "ls", "--format", "{{.Name}}"),
            ("volume", "volume", "ls", "--format", "{{.Name}}"),
            ("image", "image", "ls", "--filter", "dangling=false", "--format", "{{.Repository}}:{{.Tag}}"),
        )
        for name in engines.ask(*listing, *ours).split()
    ]
    files = [path for path in (*ROOT.glob("var/sample.*"), ROOT / DEMO, ROOT / REPORT) if path.exists()]
    named = {f"{kind} {name}": sizes.get(name, "") for kind, name in made}
    refused = deleting.refused({**named, **{str(path.relative_to(ROOT)): "" for path in files}})
    if refused is not None:
        return refused
    for kind, name in made:
        engines.ask(kind, "rm", *(["--force", "--volumes"] if kind == "container" else []), name)
        print(f"Deleted {kind} {name}")
    for path in files:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return 0


def _fail(message: str, code: int) -> int:
    print(f"Error: {message}", file=sys.stderr)
    return code
