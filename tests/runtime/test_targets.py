"""What is typed after `make`: passed on as it is, or refused before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime import targets
from tests.homes import ROOT


def make(*words: str, cwd: Path = ROOT, code: int = 0, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *words], cwd=cwd, env={**kept, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "STEP=3"), "STEP is not a variable of Seamline. Did you mean STEPS?"),
        (("train", "CFLAGS=-O2"), "CFLAGS is not a variable of Seamline. It knows ARGS, AT, BATCH"),
        (("promote", "STEPS=3"), "STEPS means nothing to make promote. It is for demo, train"),
        (("lint", "HOLD=1"), "HOLD means nothing to make lint"),
    ],
)
def test_a_variable_that_would_be_ignored_is_an_error(words: tuple[str, ...], said: str) -> None:
    """One line that names the known ones, exit code 2; no stage begins."""
    printed = make(*words, code=2)
    assert said in printed
    assert printed.count("\n") == 1


def test_one_of_several_targets_takes_a_variable() -> None:
    """`make train export serve PRESET=tiny`; what may be in the environment may be typed for any target."""
    assert "launch --runtime 'local' serve" in make(
        "-n", "train", "export", "serve", "PRESET=tiny", "RUNTIME=local", "SEAMLINE_GRPC_PORT=1"
    )
    assert targets.complaint(["promote"], ["VERSION", "SEAMLINE_SERVER"]) == ""


@pytest.mark.parametrize("folder", ['it\'s a "folder" with $HOME, 100 % #1', "~", "-x"])
def test_a_value_arrives_as_it_was_typed(tmp_path: Path, folder: str) -> None:
    """Quotes, blanks, dollars; `~` is the home folder in every shell. From another folder with -C and -f, too."""
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport os, sys; sys.path[:0] = [{str(ROOT)!r}]; from pipeline.runtime import targets\n"
        "if 'pipeline.runtime.launch' in sys.argv: print(targets.arguments('train', os.environ))\n"
    )
    python.chmod(0o755)
    expected = str(["--data", str(Path("~").expanduser()) if folder == "~" else folder, "--steps", "3"])
    for where in (("-C", str(ROOT)), ("-f", str(ROOT / "Makefile"))):
        assert expected in make(*where, "train", f"DATA={folder}", "STEPS=3", f"PYTHON={python}", cwd=tmp_path)


@pytest.mark.parametrize(
    ("target", "variables", "arguments"),
    [
        ("train", "PRESET=tiny STEPS=20 BATCH=4 INIT=none", "--preset tiny --steps 20 --batch 4 --init none"),
        ("export", "HOLD=1 FORCE=no", "--hold"),
        ("predict", "IMAGE=a.jpg LABEL=stable ARGS=--json", "a.jpg --label stable --json"),
        ("serve", "BATCHING=1", "--batching"),
        ("serve", "BATCHING=no", ""),
        ("rollback", "VERSION=3", ""),
    ],
)
def test_variables_become_options(target: str, variables: str, arguments: str) -> None:
    """Each target's own, whatever else is set; a switch that is off or empty is none."""
    given = dict(each.split("=") for each in f"{variables} OTHER=1 DRAW=".split())
    assert targets.arguments(target, given) == arguments.split()


def test_args_may_have_quotes() -> None:
    """As in a shell; one that does not end is an error of the command line."""
    assert targets.arguments("predict", {"ARGS": "--draw 'my photo.png'"}) == ["--draw", "my photo.png"]
    assert 'ARGS="x: No closing quotation' in make("train", 'ARGS="x', "RUNTIME=local", code=2)


@pytest.mark.parametrize(
    ("typed", "arrives"),
    [
        ("--data ~/photos", ["--data", "{home}/photos"]),
        ("--data=~/photos", ["--data={home}/photos"]),
        ("--data ~nobody-of-this-name/x", ["--data", "~nobody-of-this-name/x"]),
    ],
)
def test_a_tilde_is_the_home_folder(typed: str, arrives: list[str]) -> None:
    """In ARGS, too, and before a runtime is chosen: both see the same folder."""
    home = os.path.expanduser("~")  # noqa: PTH111
    assert targets.arguments("train", {"ARGS": typed}) == [each.format(home=home) for each in arrives]


def test_what_is_typed_is_one_word_for_the_shell(tmp_path: Path) -> None:
    """A runtime with a command in it, a Python with a blank in its path; a checkout that is called what it likes."""
    assert "invalid choice" in make("status", f"RUNTIME=local; touch {tmp_path}/made", code=2)
    assert not (tmp_path / "made").exists()
    checkout = tmp_path / "it's $HOME `id` [a]*"
    checkout.mkdir()
    for name in ("Makefile", "pipeline", "client"):
        (checkout / name).symlink_to(ROOT / name)
    python = tmp_path / "a python"
    python.symlink_to(sys.executable)
    # A home of its own: whoever runs the tests may have served before.
    given = ("logs", "RUNTIME=local", f"PYTHON={python}")
    said = make("-f", str(checkout / "Makefile"), *given, code=2, SEAMLINE_HOME=str(tmp_path / "home"))
    assert "no server was started here" in said


def test_the_help_fits_a_small_terminal() -> None:
    """Every target is named, in 24 lines of 80 characters."""
    lines = make(COLUMNS="80").splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert {"retire", "test-all", "bench-docs"} <= {*" ".join(lines).split()}


def test_a_python_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    """pyenv puts a python3.11 on the path that only says that it is not installed. One that was named is an error."""
    for name, script in (("python3.11", "exit 127"), ("python3.10", f'exec {sys.executable} "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    said = make("-n", "status", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "python3.10 -m pipeline.runtime.launch" in said
    for named in (tmp_path / "python3.11", tmp_path / "none", "/bin/false"):
        said = make("status", f"PYTHON={named}", code=2)
        assert f"PYTHON={named}: not a Python 3 that runs here" in said
        assert said.count("\n") == 1
