"""docs/reference.md says what the code has, all of it and nothing else: tables are compared row by row."""

from __future__ import annotations

import argparse
import dataclasses
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from pipeline import errors as pipeline_errors
from pipeline import runtime
from pipeline.cli import app
from pipeline.runtime import targets
from pipeline.training import train
from pipeline.training.presets import PRESETS
from seamline_client import errors as client_errors
from seamline_client import keypoints
from seamline_client.command import EPILOG, parser
from tests.homes import ROOT

PAGE = ROOT / "docs" / "reference.md"
CODE = ("client", "examples", "garments", "model", "model_server", "pipeline", "tests")


def table(title: str) -> list[list[str]]:
    """The cells of the table under a heading, without the table's own head."""
    (section,) = re.findall(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def column(title: str, index: int = 0) -> list[str]:
    return [name for row in table(title) for name in names(row[index])]


def same(documented: list[str], real: set[str]) -> None:
    assert len(documented) == len(set(documented)), "a row is there twice"
    assert set(documented) == real


def test_make_targets() -> None:
    """The targets that `make help` lists."""
    same(column("make"), set(re.findall(r"^([a-z-]+):.* ##", (ROOT / "Makefile").read_text(), re.M)))


def test_make_soak_runs_every_test_that_has_larger_numbers() -> None:
    """Those that ask whether they have hours."""
    done = subprocess.run(["make", "-n", "soak", "PYTHON="], cwd=ROOT, capture_output=True, text=True, check=True)
    named = [ROOT / word for word in done.stdout.split() if word.startswith("tests/")]
    tests = (ROOT / "tests").rglob("test_*.py")
    asking = [path for path in tests if re.search(r"soak\b: bool|profile_name\(", path.read_text())]
    assert len(asking) > 5
    assert [path for path in asking if not {path, *path.parents} & {*named}] == []


def test_make_variables() -> None:
    """The variables that make takes, but for those that the environment may name as well."""
    everywhere = {name for name in targets.EVERYWHERE if name not in ("RUNTIME", "PYTHON")}
    taken = {name for names in (*targets.OPTIONS.values(), *targets.ALSO.values()) for name in names}
    same(column("make's variables"), {*taken, "RUNTIME", "PYTHON"} - everywhere)
    of_others = {"BATCHING", "SHARE", "SEAMLINE_START_PERIOD", "SEAMLINE_SERVING_IMAGE"}
    same(column("Environment"), everywhere | of_others)


def test_environment() -> None:
    """Each SEAMLINE_ variable in the code, and each that the compose files and tests fill in."""
    sources = [path.read_text() for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    ours = set(re.findall(r"\bSEAMLINE_[A-Z_]*[A-Z]\b", "\n".join(sources)))
    others = set(re.findall(r"environ\.get\(\s*\"(TENSORFLOW_[A-Z_]+|TF_CONFIG)\"", "\n".join(sources)))
    compose = "\n".join(path.read_text() for path in ROOT.glob("docker-compose*.yml"))
    in_compose = set(re.findall(r"\$\{([A-Z_]+)", compose)) | set(re.findall(r"\b(SEAMLINE_[A-Z_]+):", compose))
    examples = set(re.findall(r"\bSEAMLINE_(?:ROOT|TARGET)\b", "\n".join(sources)))
    same(column("Environment"), (ours | others | in_compose) - examples)


def test_entries_of_a_keypoint_set() -> None:
    """Those that a file may have: others are refused, with a list of these."""
    documented = [names(row[0]) for row in table("keypoints.json")]
    for raw, suffix in (({"?": 1}, 1), ({"keypoints": ["a"], "categories": {"b": {"?": 1}}}, 2)):
        with pytest.raises(ValueError, match="these are: ") as caught:
            keypoints.read(raw)
        known = str(caught.value).partition("these are: ")[2].split(", ")
        of_it = [
            row[0] for row, cells in zip(documented, table("keypoints.json")) if ("of a" in cells[0]) == (suffix == 2)
        ]
        same(of_it, set(known))


def stages() -> Iterator[tuple[str, list[str]]]:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        yield name, []
        for each in command.params:
            yield name, ([*each.opts, *each.secondary_opts])


def test_stages_and_their_options() -> None:
    """Every stage has a row of its own and one for each argument and option, in both spellings."""
    documented = [(names(stage)[0], names(options)) for stage, options, *_ in table("python -m pipeline")]
    assert sorted(documented) == sorted(stages())


def test_defaults() -> None:
    """A number or a word that a stage or the client takes of its own accord is in its row."""
    group: Any = typer.main.get_command(app)
    taken = {
        (name, *each.opts, *each.secondary_opts): each.default
        for name, stage in group.commands.items()
        for each in stage.params
    }
    taken |= {("", each.option_strings[-1]): each.default for each in parser()._actions if each.option_strings}
    real = {key: f"{each:g}" if isinstance(each, float) else f"{each}" for key, each in taken.items() if is_said(each)}
    assert len(real) > 12
    rows = {(names(stage)[0], *names(options)): cell for stage, options, cell, _ in table("python -m pipeline")}
    rows |= {("", names(option)[0]): cell for option, cell, _ in table("client/predict.py")}
    assert {key: rows[key].strip("`") for key in real} == real


def is_said(default: object) -> bool:
    is_value = isinstance(default, (float, int, str)) and not isinstance(default, bool)
    return is_value and default not in (argparse.SUPPRESS, "table")


def test_help_of_stages_and_their_options() -> None:
    """Each stage, argument and option says in whole sentences what it is."""
    group: Any = typer.main.get_command(app)
    told = [(name, each) for name, stage in group.commands.items() for each in (stage, *stage.params)]
    assert [(name, each.name) for name, each in told if not re.match(r"\w.*\.$", each.help or "", re.S)] == []


def test_the_client_s_help_fits_a_small_terminal() -> None:
    """What argparse does not wrap has no line of more than 80 characters."""
    assert max(map(len, EPILOG.splitlines())) <= 80


def test_client_options() -> None:
    """Every option of the command."""
    real = {action.option_strings[-1] if action.option_strings else action.dest for action in parser()._actions}
    same(column("client/predict.py"), real)


def exit_codes(*modules: Any) -> dict[str, int]:
    found: dict[str, int] = {
        name: vars(each)["exit_code"]
        for module in modules
        for name, each in vars(module).items()
        if isinstance(each, type) and "exit_code" in vars(each) and each.__module__ == module.__name__
    }
    constants = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if name.startswith("EXIT_") and isinstance(value, int)
    }
    return {**found, **constants}


@pytest.mark.parametrize(
    ("title", "real"),
    [
        ("Exit codes of make and the stages", exit_codes(pipeline_errors, train, runtime)),
        ("Exit codes of client/predict.py", exit_codes(client_errors)),
    ],
)
def test_exit_codes(title: str, real: dict[str, int]) -> None:
    """Every class and constant with a code, and no number twice."""
    documented = {name: int(row[0]) for row in table(title) for name in names(row[1])}
    assert documented == real
    numbers = [row[0] for row in table(title)]
    assert len(numbers) == len(set(numbers))


def test_exit_codes_of_the_help() -> None:
    """`predict.py --help` lists the same numbers, but for the two that signals bring."""
    told = set(re.findall(r"(?:^|\s{2,})(\d+)  \w", EPILOG.split("exit codes:")[1]))
    assert told == {row[0] for row in table("Exit codes of client/predict.py")} - {"130", "141"}


def flat(config: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        if dataclasses.is_dataclass(value):
            yield from flat(value, f"{prefix}{each.name}.")
        elif each.name != "name":
            yield prefix + each.name, str(value)


def test_presets() -> None:
    """Every setting with its value in every preset. A row that differs is shown as it should be."""
    head = re.search(r"^\| setting \|(.*)\| means \|$", PAGE.read_text(), re.M)
    assert head
    presets = {name: dict(flat(make())) for name, make in PRESETS.items()}
    assert names(head[1]) == list(presets)
    real = {setting: [values[setting] for values in presets.values()] for setting in presets["tiny"]}
    documented = {names(row[0])[0]: row[1 : 1 + len(presets)] for row in table("Presets")}
    assert documented == real
