"""Every command in the documentation: run where that is cheap, read by the program that it is for everywhere else."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks.starter import __main__ as starter
from model_server import flags
from pipeline.cli import app
from pipeline.runtime import venv
from seamline_client.command import parser
from tests.homes import ROOT, Seamline

FOLDERS = ("benchmarks", "config", "deploy", "docs", "examples", "model", "model_server", "pipeline", "tests")
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md")))
    if page.name != "CHANGELOG.md"
)
SHELL = "(?:sh|bash)"
BENCHMARKS = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
SERVICES = {
    name
    for file in ("docker-compose.yml", "docker-compose.cluster.yml")
    for name in re.findall(
        r"^  ([a-z]+):$", (ROOT / file).read_text().split("\nservices:")[1].split("\nnetworks:")[0], re.M
    )
}
OTHERS = {
    *("curl", "export", "openssl", "pip", "sudo", "uvicorn", "node", "crontab", "git", "printf", "(printf", "cat"),
    *("ln", "spark-class"),
}
"""Programs that are not ours, whose options we do not check."""
ANYTHING = "1"
"""Stands for a placeholder: good for a number, a name or a path."""
PLACEHOLDERS = re.compile(r"<[a-z]+>|…")


def fenced(page: Path, language: str) -> Iterator[str]:
    yield from re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def commands(page: Path) -> Iterator[str]:
    """Lines of fenced and indented shell blocks, continued ones joined, and code in the text that calls ours."""
    text = page.read_text()
    for block in fenced(page, SHELL):
        yield from filter(None, map(str.strip, re.sub(r"(\||\\)\n", r"\1 ", block).replace("\\ ", " ").splitlines()))
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    python = r"\.venv/bin/python|python3? (?:-m (?:pipeline|benchmarks|model_server|pytest)|client/predict\.py)"
    ours = rf"(?:[A-Z_]+=\S* )*(?:make|{python}|client/predict\.py|docker)\b"
    yield from re.findall(rf"^    ({ours}.*)$", outside, re.M)
    for code in re.findall(r"`([^`]+)`", outside):
        if re.match(rf"{ours}\S*\s+\S", code):
            yield " ".join(code.split())


def read(command: str) -> None:
    """Raises where the program that it is for would not understand it."""
    command = re.sub(r"^\w+=\$\((.*)\)$", r"\1", command)
    words = shlex.split(PLACEHOLDERS.sub(ANYTHING, command), comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if ">" in words[:-1]:
        words = words[: words.index(">")]
    if not words or words[0].startswith("#") or words[0] in OTHERS:
        return
    program, *rest = words
    if program.endswith(("python", "python3")):
        program, *rest = rest[1:] if rest[0] == "-m" else rest
    if program == "docker":
        read_docker(rest)
    elif program == "make":
        options = [word for word in rest if word not in ("...", "|", "&")]
        done = subprocess.run(
            ["make", "-n", *options], cwd=ROOT, env=quiet(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    elif program == "pipeline":
        read_stage(rest)
    elif program == "pipeline.runtime.venv":
        assert {*rest} <= {*venv.EXTRAS}
    elif program == "client/predict.py" and rest != ["--help"]:
        parser().parse_args([word for word in rest if word != ">"])
    elif program == "benchmarks":
        assert rest[0] == "--help" or rest[0] in BENCHMARKS
    elif program == "benchmarks.starter":
        starter.parser().parse_args(rest)
    elif program == "model_server":
        assert rest == ["--help"] or flags.parse(rest)
    elif program == "pytest":
        assert (ROOT / rest[-1]).exists()
    else:
        assert Path(program).name in ("saved_model_cli", "pytest") or any(
            (ROOT / path).is_file() for path in (program, f"{program.replace('.', '/')}.py")
        ), program


def quiet() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def read_stage(words: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    stage, *rest = words
    if stage not in ("--help", ANYTHING) and rest != ["--help"]:
        group.commands[stage].make_context(stage, list(rest))


def read_docker(words: list[str]) -> None:
    """What our programs are told in containers that run. Of Compose: services that there are. The rest is Docker's."""
    if "exec" in words and "pipeline" in words:
        read_stage(words[words.index("pipeline") + 1 :])
    if words[:1] != ["compose"]:
        return
    named = [word for word in words[1:] if word in SERVICES]
    assert named or {"config", "down", "ls"} & {*words}, words
    if "run" not in words or "--entrypoint" in words:
        return
    service = next(word for word in words[words.index("run") :] if word in SERVICES)
    rest = [word for word in words[words.index(service, words.index("run")) + 1 :] if word != "<"]
    if service == "client":
        parser().parse_args([word for word in rest if word != "photo.jpg"] or ["-"])
    elif rest:
        read_stage(rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_understood(page: Path) -> None:
    """Targets, stages, options, services and files that a page names are there; a page's blocks are shell."""
    for command in commands(page):
        try:
            read(command)
        except (Exception, SystemExit) as error:
            pytest.fail(f"{page.name}: {command}\n{error!r}")
    for block in fenced(page, SHELL):
        text = PLACEHOLDERS.sub(ANYTHING, block)
        done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def anchors(page: Path) -> set[str]:
    """What its headings are called in links, by GitHub's rules."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    """Relative links in all pages, and the headings that they name."""
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text()):
            other = page.parent / target if target else page
            assert target.startswith("http") or other.exists(), f"{page}: {target}"
            if anchor and other.suffix == ".md":
                assert anchor in anchors(other), f"{page}: {target}#{anchor}"


@pytest.fixture
def here(clone: Path, seamline: Seamline) -> Path:
    """A clone whose `var` is that of a model that is served, with the photos that the README asks about."""
    (clone / "var").symlink_to(seamline.home)
    (clone / "photos").mkdir()
    for name in ("photo.jpg", "coat.jpg", "photos/one.jpg"):
        shutil.copy(seamline.sample(), clone / name)
    for name in ("photo2.png", "skirt.png"):
        shutil.copy(seamline.sample(), clone / name)
    return clone


def runnable(page: Path) -> Iterator[str]:
    for block in fenced(page, "sh"):
        if re.match(r"\.venv/bin/(python client/predict\.py|saved_model_cli)|\(printf|curl", block):
            yield block


@pytest.mark.parametrize(("page", "least"), [("README.md", 3), ("docs/asking.md", 6)])
def test_what_a_page_asks_is_answered(here: Path, seamline: Seamline, page: str, least: int) -> None:
    """Its commands about photos, its curl lines and its Python, as they stand, on another port."""
    environment = {**seamline.environment, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    blocks = [["bash", "-ec", block.replace("8501", str(seamline.rest_port))] for block in runnable(ROOT / page)]
    blocks += [[sys.executable, "-c", block] for block in fenced(ROOT / page, "python")]
    assert len(blocks) >= least
    for block in blocks:
        done = subprocess.run(
            block, cwd=here, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{block[-1]}\n{done.stdout}{done.stderr}"
        assert re.search(r"visible|pred_v|Keypoint|description", done.stdout), (
            f"{block[-1]}\n{done.stdout}{done.stderr}"
        )
    assert list(here.glob("drawn/*.jpg"))
