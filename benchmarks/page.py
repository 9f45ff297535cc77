"""Put the results of benchmarks into docs/benchmarks.md.

`<!-- serving -->` and `<!-- /serving -->` enclose what `serving.md` and `serving.png` hold. What is between the two is
replaced and the picture copied; a benchmark that was not run keeps what it has.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

RESULTS = Path("var/benchmarks")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"), help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Rewrites the page."""
    pictures: Path = arguments.page.with_suffix("")
    pictures.mkdir(exist_ok=True)

    def filled(section: re.Match[str]) -> str:
        name = section[1]
        results: Path = arguments.results / f"{name}.md"
        if not results.is_file():
            print(f"{name}: no {results}, left as it is")
            return section[0]
        shutil.copyfile(results.with_suffix(".png"), pictures / f"{name}.png")
        print(f"{name}: {results}")
        tables = results.read_text(encoding="utf-8")
        return f"<!-- {name} -->\n![{name}]({pictures.name}/{name}.png)\n\n{tables}<!-- /{name} -->"

    text = arguments.page.read_text(encoding="utf-8")
    text = re.sub(r"^<!-- (\w+) -->$.*?^<!-- /\1 -->$", filled, text, flags=re.MULTILINE | re.DOTALL)
    arguments.page.write_text(text, encoding="utf-8")
