"""The variables that each make target takes, and the options that they become. Standard library only.

make itself ignores a variable that it does not know: `python3 -m pipeline.runtime.targets "<targets>" "<variables>"`
prints what is wrong with them.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from difflib import get_close_matches

_TRAIN = {"DATA": "--data", "PRESET": "--preset", "STEPS": "--steps", "BATCH": "--batch", "INIT": "--init"}
_EXPORT = {"HOLD": "--hold", "FORCE": "--force", "WHY": "--why"}
OPTIONS: dict[str, dict[str, str]] = {
    "data": {"DATA": "--data"},
    "train": _TRAIN,
    "evaluate": {"DATA": "--data", "VERSION": "--version", "SPLIT": "--split"},
    "export": _EXPORT,
    "serve": {"BATCHING": "--batching", "GATEWAY": "--gateway", "SHARE": "--share", "MONITORING": "--monitoring"},
    "predict": {"IMAGE": "", "LABEL": "--label"},
    "page": {"PHOTOS": "--photos", "LIST": "--list"},
    "promote": {"VERSION": "", "WHY": "--why"},
    "canary": {"VERSION": "", "END": "--end", "WHY": "--why"},
    "rollback": {"WHY": "--why"},
    "retire": {"VERSION": "", "WHY": "--why"},
    "history": {"AT": "--at"},
}
"""By target, the variable and the option that carries its value; without one the value is an argument."""
SWITCHES = ("HOLD", "FORCE", "END", "YES", "BATCHING", "GATEWAY", "MONITORING")
"""Variables that are on or off: their option carries no value."""
ALSO = {
    "demo": (*_TRAIN, *_EXPORT, "BATCHING"),
    "clean": ("YES",),
    "bench": ("BENCH", "ARGS"),
    **dict.fromkeys(("test", "test-all", "soak", "report", "versions", "verify", "status"), ("ARGS",)),
    **dict.fromkeys(OPTIONS, ("ARGS",)),
    "train": ("CLUSTER", "ARGS"),
}
"""By target, variables that are no single option. ARGS holds options as one would type them."""
EVERYWHERE = (
    *("RUNTIME", "PYTHON", "SEAMLINE_HOME", "SEAMLINE_GRPC_PORT", "SEAMLINE_REST_PORT", "SEAMLINE_GRPC_THREADS"),
    *("SEAMLINE_TRAIN_MEMORY", "SEAMLINE_SERVE_MEMORY", "SEAMLINE_KEEP", "SEAMLINE_WHO"),
    *("SEAMLINE_TEST_PHOTOS", "SEAMLINE_TEST_GPU"),
    *("SEAMLINE_GATEWAY", "SEAMLINE_GATEWAY_BODY_MB", "SEAMLINE_GATEWAY_RATE", "SEAMLINE_REPLICAS"),
    *("SEAMLINE_GATEWAY_METRICS", "SEAMLINE_MONITORING_PORTS", "SEAMLINE_ALERTS", "SEAMLINE_GOLDEN_SECONDS"),
    *("SEAMLINE_LOGS", "SEAMLINE_SIGNING_KEY", "SEAMLINE_TRUSTED_KEYS", "SEAMLINE_SERVER", "TF_CONFIG"),
    *("SEAMLINE_SAMPLE", "SEAMLINE_SAMPLE_FOLDER", "SEAMLINE_SAMPLE_MB", "SEAMLINE_SAMPLE_DAYS"),
    *("PYTHON_IMAGE", "SERVING_IMAGE", "PROMETHEUS_IMAGE", "ALERTMANAGER_IMAGE"),
    *("COMPOSE_PROJECT_NAME", "DOCKER_SOCKET", "DOCKER_GID"),
    *("TENSORFLOW_MODEL_SERVER", "TENSORFLOW_SERVING_IMAGE"),
)
"""Good for every target, and in the environment as well as on make's command line."""


def is_on(variables: Mapping[str, str], name: str) -> bool:
    """Whether a switch is set: HOLD=1 is on, HOLD=0, HOLD=no and no HOLD are off."""
    return variables.get(name, "").lower() not in ("", "0", "no", "false")


def arguments(target: str, variables: Mapping[str, str]) -> list[str]:
    """The command line of a stage. A `~` is the home folder, which not every shell puts in after a `=`.

    Raises ValueError for ARGS with a quote that does not end.
    """
    found: list[str] = []
    for name, option in OPTIONS.get(target, {}).items():
        value = _from_home(variables.get(name, ""))
        if name in SWITCHES:
            found += [option] if is_on(variables, name) else []
        elif value:
            found += [option, value] if option else [value]
    typed = shlex.split(variables.get("ARGS", "")) if "ARGS" in ALSO.get(target, ()) else []
    return found + [_from_home(each) for each in typed]


def _from_home(argument: str) -> str:
    """`~/photos` and `--data=~/photos` with the home folder in them; anybody's that is not known stays as it is."""
    option, equals, value = argument.rpartition("=") if argument.startswith("--") else ("", "", argument)
    return f"{option}{equals}{os.path.expanduser(value)}"  # noqa: PTH111  # Path raises for a user who is not there


def complaint(targets: list[str], variables: list[str]) -> str:
    """What is wrong with the variables that were typed, in one line; empty when nothing is."""
    taken = {target: {*OPTIONS.get(target, {}), *ALSO.get(target, ())} for target in {*OPTIONS, *ALSO}}
    known = {*EVERYWHERE, *(name for names in taken.values() for name in names)}
    for name in variables:
        if name not in known:
            close = get_close_matches(name, known, 1, cutoff=0.7)
            hint = f"Did you mean {close[0]}? " if close else ""
            short = sorted(known - {*EVERYWHERE[2:]})
            return f"{name} is not a variable of Seamline. {hint}It knows {', '.join(short)}"
        takers = [target for target, names in taken.items() if name in names]
        if takers and not {*takers} & {*targets}:
            return f"{name} means nothing to make {' '.join(targets)}. It is for {', '.join(sorted(takers))}"
    return ""


if __name__ == "__main__":
    print(complaint(sys.argv[1].split(), sys.argv[2].split()))
