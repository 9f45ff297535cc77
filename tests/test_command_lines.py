"""Values that nobody means, for every option there is: a documented exit code, one message, and that is all.

Commands and options are those that the parsers know, so a new one is tried without a line here.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import matplotlib.font_manager  # noqa: F401  # which writes a cache when it is imported
import psutil
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image

from pipeline import cli, job
from pipeline.errors import PipelineError, RemoteError
from pipeline.page.server import PageServer
from pipeline.runtime import targets
from seamline_client import command, finding
from tests.test_reference import table

VALUES = (
    *("", " ", "-1", "0", "1", "nan", "inf", "1e400", "9" * 30, "9" * 5000, str(2**63), "²", "{}", "%s", "--", "-"),
    *("\x01\x1b[31m", "\n", "caf\udce9", "é", "[/red]", "[bold]x", "a" * 300, "a" * 5000, "*", "[", "**/*", "a/../b"),
    *("missing", "folder", "unreadable", "pipe", "text", "photo.jpg", "~no-such-user/x"),
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/fd"),
    *("http://", "https://x:y", "http://127.0.0.1:99999", "HTTP://127.0.0.1:1", "http://127.0.0.1:1/v1/models/m?x=1"),
    *("[::1", "unix:", "a:b:c", "127.0.0.1:0", "127.0.0.1:1", "127.0.0.1:²"),
)
"""Not `/`: a walk through the whole disk is what it asks for."""
SECONDS = 10.0
OF_STAGES = (
    *(name for name in targets.EVERYWHERE if name.startswith(("SEAMLINE_", "TENSORFLOW_"))),
    *("SEAMLINE_SERVER", "SEAMLINE_SERVING_IMAGE", "HOME", "TMPDIR", "COLUMNS"),
)
OF_CLIENT = (
    *("SEAMLINE_GRPC_PORT", "SEAMLINE_REST_PORT", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("NETRC", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
)
WRITES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate")
"""What Python tells of before it does it; the first argument of each is a path."""
GROUP: Any = typer.main.get_command(cli.app)


class Option(NamedTuple):
    """`program` is a stage, or client for client/predict.py; an argument has no name."""

    program: str
    name: str
    needed: tuple[str, ...] = ()
    """What the program does not begin without, beside this option."""
    values: int = 1
    """How many values it takes."""


def of_stages() -> Iterator[Option]:
    for program, stage in GROUP.commands.items():
        valued = [each for each in stage.params if not getattr(each, "is_flag", False)]
        for each in valued or [None]:
            others = [other for other in valued if other is not each and other.required]
            needed = [part for other in others for part in ([*other.opts[:1]] if _named(other) else []) + ["folder"]]
            values = each.nargs if each and each.nargs > 1 else 1
            yield Option(program, each.opts[0] if each and _named(each) else "", tuple(needed), values)


def of_client() -> Iterator[Option]:
    for action in command.parser()._actions:
        if not isinstance(action, (argparse._StoreConstAction, argparse._StoreTrueAction, argparse._HelpAction)):
            yield Option("client", action.option_strings[-1] if action.option_strings else "")


def _named(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


OPTIONS = [*of_stages(), *of_client()]


def codes(title: str) -> set[int]:
    return {int(row[0]) for row in table(title)}


STAGES, CLIENT = codes("Exit codes of make and the stages"), codes("Exit codes of client/predict.py")


class Place(NamedTuple):
    """The folder that commands run in, with a home in it. Whatever else they write to is in `elsewhere`."""

    here: Path
    elsewhere: list[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Stages begin, and do not draw, train or serve: by then they have understood what is asked for."""
    folder = tmp_path_factory.mktemp("place")
    here = folder / "here"
    for each in (here / "folder", folder / "person", folder / "temporary"):
        each.mkdir(parents=True)
    os.mkfifo(here / "pipe")
    (here / "text").write_text("x")
    (here / "unreadable").touch(mode=0)
    Image.new("RGB", (40, 40)).save(here / "photo.jpg")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(here)
        for name in {*targets.EVERYWHERE, *OF_STAGES, *OF_CLIENT}:
            patched.delenv(name, raising=False)
        patched.setenv("HOME", str(folder / "person"))
        patched.setenv("TMPDIR", str(folder / "temporary"))
        patched.setenv("SEAMLINE_HOME", str(here / "home"))
        patched.setenv("SEAMLINE_GRPC_PORT", "1")
        patched.setattr("pipeline.data.prepare.write_dataset", mock.Mock(side_effect=PipelineError("drawing begins")))
        patched.setattr(job, "train_run", mock.Mock(side_effect=PipelineError("training begins")))
        patched.setattr("pipeline.monitoring.exporter.serve", mock.Mock(side_effect=PipelineError("serving begins")))
        patched.setattr("pipeline.release.verify_http.serve", mock.Mock(side_effect=PipelineError("listening begins")))
        patched.setattr("os.execv", mock.Mock(side_effect=PipelineError("Envoy begins")))
        patched.setattr(PageServer, "serve_forever", mock.Mock(side_effect=KeyboardInterrupt))
        patched.setattr("pipeline.sync.remote._rclone", mock.Mock(side_effect=RemoteError("rclone begins")))
        patched.setattr("pipeline.sync.loop.sleep", mock.Mock(side_effect=PipelineError("waiting begins")))
        patched.setattr(finding, "_arrivals", mock.Mock(side_effect=KeyboardInterrupt))
        yield Place(here, writes_outside(here))


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Processes of other tests, such as a browser, may start processes of their own meanwhile: those are not ours."""
    before = psutil.Process().children()
    yield
    assert [each for each in psutil.Process().children() if each not in before] == []


def writes_outside(here: Path) -> list[str]:
    """A list that grows, for as long as this process lives, where Python writes anywhere but below `here`."""
    found: list[str] = []

    def notice(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in WRITES or not _watching or isinstance(arguments[0], int):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100  # links are not followed
        if not path.startswith((str(here), "/dev/")) and "__pycache__" not in path:
            found.append(f"{event} {path}")

    sys.addaudithook(notice)
    return found


_watching: list[str] = []


class Hung(BaseException):
    """Not one of those that a program catches."""


@contextmanager
def deadline(what: str) -> Iterator[None]:
    """Raises Hung where it takes too long, and shows what each thread is doing."""

    def ring(*_: object) -> None:
        faulthandler.dump_traceback(file=2)
        raise Hung(what)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ended(main: Callable[[], object]) -> tuple[int, str]:
    """The exit code and what was said on standard error; a traceback is an exit code that no page has."""
    out, err, code = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO(), 0
    stdin = mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    with stdin, redirect_stdout(out), redirect_stderr(err):
        try:
            code = int(str(main() or 0))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception:
            code = -1
            traceback.print_exc()
    return code, err.getvalue()


def ends_well(place: Place, arguments: list[str], environment: dict[str, str] | None = None) -> None:
    """One command line, the program first."""
    program, *rest = arguments
    client = program == "client"
    argv = ["predict.py" if client else "pipeline", *(rest if client else arguments)]
    what = f"{environment or ''} {' '.join(map(ascii, arguments))}"
    with mock.patch.object(sys, "argv", argv), mock.patch.dict(os.environ, environment or {}), deadline(what):
        place.elsewhere.clear()
        _watching.append(what)
        code, said = ended((lambda: command.main(rest)) if client else cli.main)
        _watching.clear()
    assert code in (CLIENT if client else STAGES), f"{what}: {code}\n{said}"
    assert not re.search(r"Traceback|\[Errno", said), f"{what}\n{said}"
    if client:
        # A line for each photo; or argparse's, below how to call it.
        assert bool(re.search(r"^predict(\.py: error)?: ", said, re.M)) == (code not in (0, 130)), f"{what}\n{said}"
    else:
        assert len(re.findall(r"^(?:Error:|╭─ Error)", said, re.M)) == (code != 0), f"{what}\n{said}"
    assert not place.elsewhere, f"{what}: {place.elsewhere}"


def line(option: Option, value: str, *, joined: bool = False, transport: str = "--grpc") -> list[str]:
    """A command line in which this option has that value, and those that matter besides have others."""
    given = [value] if not option.name else [f"{option.name}={value}"] if joined else [option.name, value]
    given += [value] * (option.values - 1)
    if option.program != "client":
        return [option.program, *option.needed, *given]
    usual = {"--timeout": "0.3", "--retries": "0", "--target": "127.0.0.1:1"}
    pair = {"--tls-cert": "--tls-key", "--tls-key": "--tls-cert"}.get(option.name)
    kept = [f"{name}={each}" for name, each in usual.items() if name != option.name]
    photos = [] if option.name in ("", "--watch") else ["photo.jpg"]
    return ["client", transport, *kept, *([f"{pair}=text"] if pair else []), *photos, *given]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda each: f"{each.program}{each.name or '-argument'}")
def test_every_value_of_every_option(place: Place, option: Option) -> None:
    """One at a time; the client's over both transports."""
    for value in VALUES:
        for transport in ("--grpc", "--rest") if option.program == "client" else ("",):
            ends_well(place, line(option, value, joined=True, transport=transport))


@pytest.mark.parametrize("variable", OF_STAGES)
def test_every_value_of_every_variable_of_the_stages(place: Place, variable: str) -> None:
    """In those that read it before they do anything."""
    for value in VALUES:
        for stage in ("status", "serve"):
            ends_well(place, [stage], {variable: value})


@pytest.mark.parametrize("variable", OF_CLIENT)
def test_every_value_of_every_variable_of_the_client(place: Place, variable: str) -> None:
    """On its way to this machine, and past it, where proxies count."""
    for value in VALUES:
        for options in (["--grpc"], ["--rest"], ["--target=http://0.0.0.0:1"], ["--target=0.0.0.0:1", "--tls"]):
            ends_well(place, ["client", "--timeout=0.3", "--retries=0", *options, "photo.jpg"], {variable: value})


def test_values_of_several_options(place: Place, soak: bool) -> None:
    """Two options of one program, in either spelling."""

    @settings(
        max_examples=10_000 if soak else 60,
        deadline=None,
        derandomize=not soak,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(some.data())
    def holds(data: some.DataObject) -> None:
        option = data.draw(some.sampled_from(OPTIONS))
        other = data.draw(some.sampled_from([each for each in OPTIONS if each.program == option.program]))
        values = some.sampled_from(VALUES) | some.text(max_size=20).filter(lambda text: "\0" not in text)
        transport = data.draw(some.sampled_from(("--grpc", "--rest")))
        first = line(option, data.draw(values), joined=data.draw(some.booleans()), transport=transport)
        second = line(other, data.draw(values), joined=data.draw(some.booleans()))[-2:] if other.name else []
        ends_well(place, [*first, *second])

    holds()
