"""Put the results of benchmarks into docs/benchmarks.md."""

from __future__ import annotations

import re
import shutil
from pathlib import Path


def fill(results: Path, page: Path) -> None:
    """Rewrites the page from `serving.md` and `serving.png` in `results`, and so on.

    `<!-- serving -->` and `<!-- /serving -->` enclose what is replaced. A benchmark that was not run keeps what it has.
    """
    pictures = page.with_suffix("")
    pictures.mkdir(exist_ok=True)

    def filled(section: re.Match[str]) -> str:
        name = section[1]
        tables = results / f"{name}.md"
        if not tables.is_file():
            return section[0]
        shutil.copyfile(tables.with_suffix(".png"), pictures / f"{name}.png")
        picture = f"![{name}]({pictures.name}/{name}.png)"
        return f"<!-- {name} -->\n{picture}\n\n{tables.read_text(encoding='utf-8')}<!-- /{name} -->"

    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^<!-- (\w+) -->$.*?^<!-- /\1 -->$", filled, text, flags=re.MULTILINE | re.DOTALL)
    page.write_text(text, encoding="utf-8")
