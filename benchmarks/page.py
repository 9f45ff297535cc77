"""Put the results of benchmarks into docs/benchmarks.md.

`<!-- serving -->` and `<!-- /serving -->` in the page enclose what `serving.json` and `serving.png` show. What is
between the two is replaced and the picture is copied; a benchmark without a JSON file keeps what it has.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

RESULTS = Path("var/benchmarks")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"), help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Rewrites the page. Ends with a message if a marker is not closed or there are no results."""
    text = arguments.page.read_text(encoding="utf-8")
    pictures = arguments.page.with_suffix("")
    filled = []
    for name in re.findall(r"^<!-- (\w+) -->$", text, re.MULTILINE):
        path = arguments.results / f"{name}.json"
        if not path.is_file():
            print(f"{name}: no {path}, left as it is")
            continue
        whole = re.compile(rf"^<!-- {name} -->$.*?^<!-- /{name} -->$", re.MULTILINE | re.DOTALL)
        if not whole.search(text):
            raise SystemExit(f"{arguments.page}: <!-- {name} --> has no <!-- /{name} -->")
        pictures.mkdir(exist_ok=True)
        shutil.copyfile(path.with_suffix(".png"), pictures / f"{name}.png")
        tables = markdown(json.loads(path.read_text()))
        shown = f"<!-- {name} -->\n![{name}]({pictures.name}/{name}.png)\n\n{tables}\n<!-- /{name} -->"
        text = whole.sub(shown.replace("\\", r"\\"), text)
        filled.append(name)
    if not filled:
        raise SystemExit(f"{arguments.results}: no results; `python -m benchmarks all` writes them")
    arguments.page.write_text(text, encoding="utf-8")
    print(f"{arguments.page}: {', '.join(filled)}")


def markdown(results: dict[str, Any]) -> str:
    """The tables of a benchmark's JSON, and a line on when and where it was run."""
    parts = []
    for table in results["tables"]:
        header, rows = table["header"], table["rows"]
        parts.append(f"**{table['title']}**")
        parts.append("\n".join(map(_row, [header, ["---", *["---:"] * (len(header) - 1)], *rows])))
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    quick = " with --quick, which is too short for figures to rely on" if results["quick"] else ""
    parts.append(f"{results['taken']}, in {results['seconds']} s{quick}: {facts}.")
    return "\n\n".join(parts)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
