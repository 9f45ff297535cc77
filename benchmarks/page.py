"""Puts the tables and pictures of benchmarks that were run into a page, between its markers.

`<!-- serving -->` and `<!-- /serving -->` in the page enclose what `serving.json` and `serving.png` show. What is
between them is replaced, the rest of the page stays; a benchmark without a JSON file keeps what it has.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("docs/benchmarks"), help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"), help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Rewrites the page. Ends with a message where a marker has no end or nothing was found to put in."""
    text = arguments.page.read_text(encoding="utf-8")
    filled = []
    for name in re.findall(r"^<!-- (\w+) -->$", text, re.MULTILINE):
        path = arguments.results / f"{name}.json"
        if not path.is_file():
            print(f"{name}: no {path}, left as it is")
            continue
        whole = re.compile(rf"^<!-- {name} -->$.*?^<!-- /{name} -->$", re.MULTILINE | re.DOTALL)
        if not whole.search(text):
            raise SystemExit(f"{arguments.page}: <!-- {name} --> has no <!-- /{name} -->")
        picture = Path(os.path.relpath(path.with_suffix(".png"), arguments.page.parent)).as_posix()
        tables = markdown(json.loads(path.read_text()))
        shown = f"<!-- {name} -->\n![{name}]({picture})\n\n{tables}\n<!-- /{name} -->"
        text = whole.sub(shown.replace("\\", r"\\"), text)
        filled.append(name)
    if not filled:
        raise SystemExit(f"{arguments.results}: no results; `python -m benchmarks all --out {arguments.results}` first")
    arguments.page.write_text(text, encoding="utf-8")
    print(f"{arguments.page}: {', '.join(filled)}")


def markdown(results: dict[str, Any]) -> str:
    """The tables of a benchmark's JSON, and a line on when, how long and where it was run."""
    parts = []
    for table in results["tables"]:
        header, rows = table["header"], table["rows"]
        parts.append(f"**{table['title']}**")
        parts.append(
            "\n".join(
                [
                    _row(header),
                    _row(["---", *["---:"] * (len(header) - 1)]),
                    *(_row(row) for row in rows),
                ]
            )
        )
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    quick = " with --quick, which is too short for figures to rely on" if results["quick"] else ""
    parts.append(f"{results['taken']}, in {results['seconds']} s{quick}: {facts}.")
    return "\n\n".join(parts)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
