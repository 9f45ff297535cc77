"""The Java runtime that Spark starts here. Those of a cluster's machines are their own affair."""

from __future__ import annotations

import os
import re
import subprocess

from pipeline.errors import PipelineError

OLDEST = 17
HOW = f"Spark needs Java {OLDEST} or newer (Debian: apt-get install openjdk-{OLDEST}-jre-headless; or set JAVA_HOME)"


def check() -> None:
    """Raises PipelineError where there is none, or too old a one: Spark itself would only say that it has ended."""
    home = os.environ.get("JAVA_HOME")
    program = os.path.join(home, "bin", "java") if home else "java"  # noqa: PTH118  # as Spark looks for it
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PipelineError(f"{program}: no Java runtime starts: {error}. {HOW}.") from error
    found = re.search(r'version "(\d+)', done.stderr + done.stdout)
    if done.returncode or not found or int(found[1]) < OLDEST:
        said = (done.stderr + done.stdout).strip().partition("\n")[0]
        raise PipelineError(f"{program}: {said or 'it says nothing'}. {HOW}.")
