"""One HTML page about one run or several of the same city.

The page is self-contained: pictures, style and script are inside, nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mndt.report.coverage import Coverage, coverage_of
from mndt.report.parts import PARTS, heading
from mndt.report.section import Part, Section, fill
from mndt.report.view import RunLike, view

__all__ = ["PARTS", "Coverage", "Part", "RunLike", "Section", "coverage_of", "write_report"]

SIZE_LIMIT_BYTES: Final = 6_000_000
"""What a page may weigh: it is to be forwarded by mail."""


def write_report(
    runs: Sequence[RunLike],
    path: str | Path,
    *,
    coverage: Coverage | None = None,
    more: Sequence[Section] = (),
    parts: Sequence[Part] = PARTS,
) -> Path:
    """Write the report of runs; the first is the one that others are compared with.

    Args:
        runs: one or more of the same city, as `mndt.runs.run` and `mndt.runs.read` return them.
        path: the HTML file.
        coverage: best-server power; None = from the gain maps of the first run.
        more: further sections, shown before the last one.
        parts: what makes the sections, in their order; a part may decline.

    Returns:
        The path of the page.

    Raises:
        InputError: no runs, runs of different cities, or nothing simulated yet.

    >>> from mndt import runs, write_report  # doctest: +SKIP
    >>> write_report([runs.read("runs/helsinki-fundamentals-1")], "report.html")  # doctest: +SKIP
    """
    from mndt.checkpoint import write_atomically

    if coverage is None and runs:
        scenario = runs[0].scenario
        coverage = coverage_of(runs[0].city, scenario.radio, scenario.city.seed)
    seen = view(runs, coverage)
    sections = [section for part in parts if (section := part(seen)) is not None]
    html = fill("report.html", {**heading(seen), "sections": [*sections[:-1], *more, *sections[-1:]]})
    path = Path(path)
    write_atomically(path, lambda part: _write(part, html))
    return path


def _write(path: Path, html: str) -> None:
    path.write_text(html, encoding="utf-8")
