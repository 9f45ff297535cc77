"""What `drift` found, for people: a table, and a page with curves and the photos that the model is least sure of."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from pipeline.atomic import write_atomically
from pipeline.console import grid
from pipeline.drift.compare import ALPHA, FAR, KIND, MANY, Finding
from pipeline.drift.estimate import Estimate
from pipeline.drift.reference import Reference
from pipeline.drift.taken import Taken
from pipeline.drift.traits import TRAITS, counted
from pipeline.labelling import alike, sheet
from pipeline.labelling.asking import Answer
from pipeline.labelling.rank import order
from pipeline.report import page
from pipeline.report.curves import BLUE, DPI, GREY, RED, tidy
from seamline_client.finding import Found
from seamline_client.images import upright
from seamline_client.sampling import Kept

WORST = 30
CONSIDERED = 3 * WORST
"""Of the least sure, those among which ones that look alike are looked for."""
COLUMNS = ("differs", "trait", "reference: median (middle half)", "sample", "by", "p")
TITLES = {
    "traits": "Photos and answers, then and now",
    "kinds": "Kinds, then and now",
    "worst": "The least sure answers",
}
NOTE = (
    f"The reference is the evaluation photos as they are, and what this version answered to them when it was exported. "
    f"Below {MANY:,} photos in either, tests decide: p is the chance of so large a difference where there is none, "
    f"corrected (Holm) for the number of tests, and below {ALPHA:g} counts. From {MANY:,} on, distances of {FAR:g} or "
    f"more do. Tests take photos for independent of each other: a burst of the same thing counts too much."
)


def write(
    folder: Path,
    version: int,
    reference: Reference,
    taken: Taken,
    findings: Sequence[Finding],
    estimate: Estimate | None,
) -> tuple[Path, Path]:
    """Writes the page, its pictures and a list of photos that are worth labelling; the paths of page and list."""
    folder.mkdir(parents=True, exist_ok=True)
    worst = order(_least_sure(taken))[:WORST]
    sheet.draw(worst, folder / "worst.png")
    listed = folder / "worst.txt"
    paths = "".join(f"{Path(each.answer.photo.path).absolute()}\n" for each in worst)
    write_atomically(listed, paths.encode(errors="surrogateescape"))
    _curves(reference, taken, findings, folder / "traits.png")
    _kinds(reference, taken, folder / "kinds.png")
    title = f"Version {version} and {len(taken.photos)} photos that it answered"
    head = "".join(f"<th>{html.escape(each)}</th>" for each in COLUMNS)
    rows = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in map(_row, findings)
    )
    said = "".join(f"<p>{html.escape(line)}</p>" for line in (*lines(version, taken, estimate), NOTE))
    return page.put(folder / "drift.html", title, f"<table><tr>{head}</tr>{rows}</table>{said}", TITLES), listed


def table(findings: Sequence[Finding]) -> Table:
    shown = grid(COLUMNS, numbers=("p",))
    for each in findings:
        shown.add_row(*_row(each))
    return shown


def _row(found: Finding) -> tuple[str, ...]:
    p = "" if found.p is None else f"{found.p:.2g}"
    by = f"{found.test} {found.statistic:.2f}"
    return ("yes" if found.differs else "no", found.trait, found.reference, found.sample, by, p)


def lines(version: int, taken: Taken, estimate: Estimate | None) -> Iterator[str]:
    """What a table has no room for."""
    first, last = (when(each.at for each in taken.photos).strftime("%Y-%m-%d") for when in (min, max))
    yield f"{len(taken.photos)} photos that version {version} answered from {first} to {last}."
    if taken.others:
        yield f"{taken.others} were left out, which other versions answered: --version names one of them."
    if taken.refusals:
        yield f"{len(taken.refusals)} could not be used, as {taken.refusals[0]}."
    if estimate:
        yield f"{estimate} That counts as long as scores mean what they meant: where much differs, label some photos."
    else:
        yield "The error cannot be estimated: the sample has no scores, or the version does not know how good it was."


def _least_sure(taken: Taken) -> list[Answer]:
    def sureness(kept: Kept) -> float:
        answer = kept.prediction
        there = answer.score[answer.visibility > 0] if answer.score is not None else np.empty(0)
        return float(there.mean()) if len(there) else 0.0

    def answer(kept: Kept) -> Answer:
        said = kept.prediction
        score = np.zeros(len(said.about), np.float32) if said.score is None else said.score
        return Answer(Found(str(kept.path), kept.path.name), said, score, alike.look(upright(kept.path)))

    return [answer(kept) for kept in sorted(taken.photos, key=sureness)[:CONSIDERED]]


def _curves(reference: Reference, taken: Taken, findings: Sequence[Finding], path: Path) -> None:
    """For each trait the share of photos that have at most so much of it: tests look at how far these are apart."""
    shown = [each for each in findings if each.trait != KIND]
    figure = Figure(figsize=(13, 3.2 * -(-len(shown) // 4)), dpi=DPI, layout="constrained")
    for place, each in enumerate(shown, 1):
        axes = figure.add_subplot(-(-len(shown) // 4), 4, place)
        sample = taken.traits[each.trait]
        for values, colour, label in (
            (np.array(reference.values[each.trait]), GREY, "reference"),
            (np.sort(sample[np.isfinite(sample)]), RED if each.differs else BLUE, "sample"),
        ):
            axes.plot(values, (np.arange(len(values)) + 0.5) / len(values), color=colour, label=label)
        axes.set(title=each.trait, ylim=(0, 1))
        axes.set_xlabel(textwrap.fill(TRAITS[each.trait], 44), fontsize=7)
        tidy(axes)
        if place == 1:
            axes.legend(frameon=False)
    figure.savefig(path)


def _kinds(reference: Reference, taken: Taken, path: Path) -> None:
    now = counted(taken.kinds)
    names = sorted({*reference.kinds, *now})
    figure = Figure(figsize=(9, 0.5 * len(names) + 1.4), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))
    for offset, counts, colour, label in ((-0.2, reference.kinds, GREY, "reference"), (0.2, now, BLUE, "sample")):
        shares = [counts.get(name, 0) / sum(counts.values()) for name in names]
        axes.barh(places + offset, shares, height=0.38, color=colour, label=label)
    axes.set_yticks(places, names)
    axes.set(xlabel="share of the photos, by the points that were answered")
    axes.invert_yaxis()
    axes.legend(frameon=False)
    tidy(axes, "x")
    figure.savefig(path)
