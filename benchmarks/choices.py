"""What the choices of the photos preset are worth: the same steps with each of them made otherwise, and NE of each.

Every variant learns from nothing, on the same photos, in a process of its own, with `--steps` in place of the preset's;
the learning rate falls to nothing at the last one. A run that was stopped goes on where it was. Then all answer photos
that none has seen, and take turns in answering one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import alternate, run_python
from benchmarks.plot import Bars
from benchmarks.report import Report

if TYPE_CHECKING:  # TensorFlow, which the other benchmarks need not wait for
    from pipeline.training.presets import Preset

STEPS, QUICK_STEPS = 1000, 2
QUICK_DRAWN = 20
BASE = "photos"
EVALUATIONS = 4
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
ROUNDS, QUICK_ROUNDS = 50, 3
RUNS = Path("var/benchmarks/choices")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="photos to learn from; one in ten chooses the step")
    parser.add_argument("--test", type=Path, required=True, help="photos that are only measured on")
    parser.add_argument("--steps", type=int, help=f"of each variant; default: {STEPS}")
    parser.add_argument("--only", action="append", help=f"a variant beside {BASE}; may be repeated; default: all")
    parser.add_argument("--runs", type=Path, default=RUNS, help="default: %(default)s")


def variants(steps: int, *, quick: bool) -> Mapping[str, Preset]:
    """The photos preset over so many steps, from nothing, and what it would be with one choice made otherwise."""
    from pipeline.training.presets import gpu, photos

    usual = photos()
    optimiser = replace(usual.model.optimiser, steps=steps, warmup_steps=max(1, round(WARM_UP * steps)))
    base = replace(
        usual,
        init=None,
        model=replace(usual.model, optimiser=optimiser),
        evaluate_every=max(1, steps // EVALUATIONS),
        drawn=QUICK_DRAWN if quick else usual.drawn,
    )
    wider = replace(base.model, network=gpu().model.network)
    return {
        BASE: base,
        "the wider network of gpu": replace(base, model=wider),
        "no drawn garments": replace(base, drawn_share=0.0),
        "no stretch": replace(base, augmentation=replace(base.augmentation, stretch=0.0)),
    }


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Each in turn; what was learned before is not learned again."""
    from pipeline.evaluation.saved_model import answers
    from pipeline.evaluation.scores import score

    steps = arguments.steps or (QUICK_STEPS if arguments.quick else STEPS)
    report.state(steps=str(steps), data=arguments.data.name, test=arguments.test.name)
    known = variants(steps, quick=arguments.quick)
    chosen = [BASE, *(arguments.only or known.keys() - {BASE})]
    if unknown := set(chosen) - set(known):
        raise SystemExit(f"--only {unknown.pop()}: one of {', '.join(known)}")
    results: dict[str, dict[str, Any]] = {}
    for name in filter(chosen.__contains__, known):
        folder = arguments.runs / f"{name.replace(' ', '-')}-{steps}"
        print(f"{name}: {folder}", flush=True)
        kind = ["--quick"] if arguments.quick else []
        ran = run_python(["-m", "benchmarks.choices", name, str(steps), str(arguments.data), str(folder), *kind])
        results[name] = json.loads(ran.said.splitlines()[-1])
        found = score(answers(Path(results[name]["version"]), _photos(arguments.test)))
        results[name]["test"] = found.as_json()
        print(f"{name}: NE {found.overall.ne:.1f} %", flush=True)
    times = alternate(
        {name: _one_picture(each.pop("version")) for name, each in results.items()},
        QUICK_ROUNDS if arguments.quick else ROUNDS,
    )
    rows = [
        [
            name,
            f"{each['weights'] / 1e6:.2f}",
            f"{each['ne']:.1f}",
            str(each["step"]),
            f"{each['test']['overall']['ne']:.1f}",
            f"{each['test']['overall']['pck_01']:.2f}",
            f"{each['test']['visibility_recall']:.2f}",
            f"{times[name].median:.1f}",
            str(times[name].ratio(times[BASE])),
        ]
        for name, each in results.items()
    ]
    header = ["variant", "weights, millions", "NE % of the chosen step", "that step", "NE % of the test photos"]
    header += ["PCK@0.1", "visibility recall", "ms a picture", "of photos (5-95 %)"]
    report.table(f"After {steps} steps", header, rows)
    report.write(
        f"Choices of the photos preset, {steps} steps each",
        [Bars("One picture, in-process: less is better", "milliseconds", [*times.values()])],
        {"variants": results, "ms": {name: each.values for name, each in times.items()}},
    )


def _photos(folder: Path) -> Any:
    from pipeline.data.photos import Photos

    return Photos(folder).batches(lambda *_: None)


def _one_picture(version: str) -> Any:
    import numpy as np

    from benchmarks import subject
    from seamline_client.contract import IMAGE_SIDE, UINT8

    predict = subject.in_process(Path(version), UINT8)[UINT8]
    return partial(predict, np.zeros((1, IMAGE_SIDE, IMAGE_SIDE, 3), np.uint8))


def learn(preset: Preset, data: Path, folder: Path) -> dict[str, Any]:
    """Trains, exports the best checkpoint, and says which step that was of, its NE and how many weights it has."""
    import tensorflow as tf

    from garments import write_dataset
    from pipeline.data import records
    from pipeline.release.export import export
    from pipeline.training.train import train

    shared = folder.parent
    dataset = records.prepare(data, shared / "photos", lambda *_: None)
    drawings = shared / f"drawings-{preset.drawn}"
    if not drawings.is_dir():
        write_dataset(drawings, preset.drawn, 1)
    drawn = records.prepare(drawings, shared / "drawn", lambda *_: None)
    # Other photos or settings under the same name are another run.
    run_folder = folder / f"{dataset.fingerprint[:6]}{preset.fingerprint[:6]}"
    best = train(dataset, preset, run_folder, drawn=drawn if preset.drawn_share else None)
    version = export(best, preset, dataset, Path(tempfile.mkdtemp(dir=run_folder))).folder
    variables = tf.train.list_variables(str(version / "variables" / "variables"))
    weights = sum(int(tf.TensorShape(shape).num_elements()) for _, shape in variables)
    return {"version": str(version), "step": best.step, "ne": best.ne, "weights": weights}


if __name__ == "__main__":
    variant, steps_given, data_given, folder_given, *kind_given = sys.argv[1:]
    preset = variants(int(steps_given), quick=bool(kind_given))[variant]
    said = learn(preset, Path(data_given), Path(folder_given))
    print(json.dumps(said))
