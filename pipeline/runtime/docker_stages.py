"""The stages in containers, by the `docker compose` commands that people can type too (docs/containers.md lists them).

Standard library only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from pipeline.runtime import deleting, docker_gateway, docker_monitoring, docker_server, ownership
from pipeline.runtime import engine as engines
from pipeline.runtime.compose import ROOT, Compose
from pipeline.runtime.engine import EngineError
from pipeline.runtime.images import SERVICES
from pipeline.runtime.mounts import mount_inputs, mount_keys, mount_photos

DEMO = Path("var", "demo.png")
REPORT = Path("var", "report.html")
SIZES = """{{range .Volumes}}{{.Name}}\t{{.Size}}
{{end}}{{range .Images}}{{.Repository}}:{{.Tag}}\t{{.Size}}
{{end}}"""
"""A template for `docker system df --verbose`: a name and its size a line."""


def run(compose: Compose, stage: str, arguments: list[str]) -> int:
    """The stage's exit code, the same as in the local runtime.

    Raises ValueError for a command line that Docker cannot carry out, EngineError when the engine or a server fails.
    """
    if stage == "predict":
        return _predict(compose, arguments)
    if stage == "page":  # beside the photos, and for this machine alone
        path = os.pathsep.join(map(str, (ROOT, ROOT / "client")))
        os.execve(
            sys.executable, [sys.executable, "-m", "pipeline.page", *arguments], {**os.environ, "PYTHONPATH": path}
        )
    if stage == "report":
        return _report(compose, arguments)
    if stage == "demo":
        return _demo(compose, _options(stage, arguments).to)
    if stage == "clean":
        return _clean(compose)
    if stage == "logs":
        if not compose.left("serve"):
            raise EngineError("No server was started here. `make serve` starts one.")
        compose.become("logs", "--tail", "200", *(["--follow"] if sys.stdout.isatty() else []), "serve")
    if stage == "status":
        _options(stage, arguments)
        try:
            docker_server.describe(compose)
        finally:  # what else runs is worth knowing all the more where no server does
            docker_gateway.describe(compose)
            docker_monitoring.describe(compose)
        return compose.run("release", "status")
    if stage == "serve":
        return _serve(compose, _options(stage, arguments))
    if stage == "stop":
        _options(stage, arguments)
        docker_monitoring.stop(compose)
        docker_gateway.stop(compose)
        docker_server.stop(compose)
        return 0
    if stage == "canary" and "--end" in arguments:
        docker_gateway.check_no_share(compose)
    if stage not in SERVICES:
        raise ValueError(f"No container does {stage}. If it is a stage, --runtime local does it.")
    mounts, arguments = mount_inputs(arguments)
    return compose.run(*mounts, SERVICES[stage], stage, *arguments)


def _options(stage: str, arguments: list[str]) -> argparse.Namespace:
    """Of a stage that no container's command line is asked about. Ends with 2, as the stage itself does locally."""
    parser = argparse.ArgumentParser(prog=stage, allow_abbrev=False)
    if stage == "serve":
        parser.add_argument("--batching", action="store_true")
        parser.add_argument("--gateway", action="store_true")
        parser.add_argument("--share", type=_share, default=0)
        parser.add_argument("--monitoring", action="store_true")
    if stage == "demo":
        parser.add_argument("--to", type=Path, default=ROOT / DEMO)
    return parser.parse_args(arguments)


def _share(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 100")
    return int(text)


def _serve(compose: Compose, options: argparse.Namespace) -> int:
    if options.share and not options.gateway:
        raise EngineError("--share (SHARE) needs --gateway: `make serve GATEWAY=1 SHARE=<number>`.")
    # Said anew each time, as in the local runtime: the container is made again where it was said otherwise before.
    compose.environment["BATCHING"] = "1" if options.batching else ""
    trusted = os.environ.get("SEAMLINE_TRUSTED_KEYS")
    if trusted:
        keys = ("--env", "SEAMLINE_TRUSTED_KEYS=/trusted", *mount_keys(trusted, "/trusted"))
        _, refused = compose.answer(*keys, "release", "signed")
        if refused:
            return refused
    docker_server.check(compose, canary=options.share > 0)
    docker_server.serve(compose)
    if options.gateway:
        docker_gateway.serve(compose, options.share)
    if options.monitoring:
        docker_monitoring.serve(compose)
    return 0


def _report(compose: Compose, arguments: list[str]) -> int:
    """Written in the volume of the runs, and copied to where a browser reaches it: the page has its pictures in it."""
    script = 'python -m pipeline report "$@" >&2 && cat /runs/$(cat /runs/latest)/report/report.html'
    code = _save(compose, ROOT / REPORT, "--entrypoint", "sh", "train", "-c", script, "sh", *arguments)
    if not code:
        print(f"Copied to {REPORT}")
    return code


def _predict(compose: Compose, arguments: list[str]) -> int:
    """As the user who asks, whose photos need not be readable by others. Root asks as the image's own user.

    What is drawn belongs to the user who asks, root too; so does all that root writes in a rootless engine.
    """
    user = "0:0" if compose.engine.rootless else f"{os.getuid()}:{os.getgid()}"
    draws = any(each.partition("=")[0] == "--draw" for each in arguments)
    chosen = ["--user", user] if os.getuid() or draws else []
    return compose.run(*chosen, *mount_photos(arguments, as_others=not chosen), "client", *arguments)


def _demo(compose: Compose, path: Path) -> int:
    if str(path) == "-":
        return compose.run("release", "demo", "--to", "-")
    code = _save(compose, path, "release", "demo", "--to", "-")
    if not code:
        print(f"\nDrawn garments that no training saw, with the points that the running server answers:\n  {path}")
    return code


def _save(compose: Compose, path: Path, *arguments: str) -> int:
    """What comes out of a container on standard output: no folder of this machine is written to from in there."""
    content, code = compose.answer(*arguments)
    if not code:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return code


def _clean(compose: Compose) -> int:
    """Deletes what was made in this checkout's project, by label: another application may use its name too.

    Photos that were given as DATA are not among it. Raises EngineError where something is still in use, and where
    there is something that nobody laid claim to.
    """
    ours = ("--filter", f"label=seamline.project={compose.project}")
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
    if made and not ownership.check(compose):
        raise EngineError(
            f"`docker compose` itself made what is in the project {compose.project}, here or in another checkout: "
            f"`docker compose --profile job down --volumes --rmi all` deletes it"
        )
    made.sort(key=lambda each: each[1] == ownership.volume(compose))  # last, so that what is left is still ours
    written = (docker_server.SAMPLES, DEMO, REPORT, docker_gateway.CERTIFICATE, ownership.IDENTITY)
    files = [each for each in written if (ROOT / each).exists()]
    sizes = _sizes() if made else {}
    named = {f"{kind} {name}": sizes.get(name, "") for kind, name in made}
    refused = deleting.refused({**named, **{str(each): "" for each in files}})
    if refused is not None:
        return refused
    for kind, name in made:
        how = ["--force", "--volumes"] if kind == "container" else []
        engines.ask(kind, "rm", *how, name, seconds=engines.DELETE_SECONDS)
        print(f"Deleted {kind} {name}")
    # What later builds took the names of.
    engines.ask("image", "prune", "--force", *ours, seconds=engines.DELETE_SECONDS)
    for path in (ROOT / each for each in files):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return 0


def _sizes() -> dict[str, str]:
    """By name, of volumes and images. None where the engine, which looks at every file for it, takes too long."""
    try:
        lines = engines.ask("system", "df", "--verbose", "--format", SIZES).splitlines()
    except EngineError:
        return {}
    return dict(line.split("\t") for line in lines)
