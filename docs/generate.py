"""Write the generated pages of docs/ anew, or with `--check` say which are not up to date.

python -m docs.generate [--check]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from docs import pages
from docs.sources import DOCS, ROOT

_MARKED = re.compile(r"(<!-- destinations: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
_WITH_OVERVIEW = {ROOT / "README.md": "docs/", DOCS / "guides" / "destinations.md": "../"}


def outputs() -> dict[Path, str]:
    """Every generated file and its text; files with a generated part come whole."""
    reference = DOCS / "reference"
    makers: dict[Path, Callable[[], str]] = {
        reference / "cli.md": pages.commands,
        reference / "sync.md": pages.sync,
        reference / "errors.md": pages.errors,
        reference / "tables.md": pages.state_tables,
        reference / "artifacts.md": pages.artifacts,
        ROOT / "models" / "revetl_sources.yml": pages.sources,
        **{reference / "destinations" / f"{kind}.md": partial(pages.destination, kind) for kind in pages.LIVE},
        **{path: partial(_with_overview, path, docs) for path, docs in _WITH_OVERVIEW.items()},
    }
    return {path: make() for path, make in makers.items()}


def stale() -> list[Path]:
    """The files that would change."""
    return [path for path, text in outputs().items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages; with `--check`, write nothing and return 1 when one is out of date."""
    if "--check" in (sys.argv[1:] if arguments is None else arguments):
        old = [str(path.relative_to(ROOT)) for path in stale()]
        if old:
            sys.stderr.write(f"Out of date: {', '.join(old)}\nhint: run `python -m docs.generate`\n")
        return 1 if old else 0
    for path, text in outputs().items():
        path.write_text(text, encoding="utf-8")
    return 0


def _with_overview(path: Path, docs: str) -> str:
    overview = pages.overview().replace("{docs}", docs)
    return _MARKED.sub(lambda found: f"{found[1]}{overview}\n{found[2]}", path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
