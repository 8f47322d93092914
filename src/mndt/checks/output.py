"""How a bench, a validation or a reproduction says what it found: lines for people, one JSON line for programs."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mndt.runfolder import Run

Figure = float | int | str | bool | None


@dataclass(frozen=True)
class Result:
    """What one command found.

    >>> found = Result("step", {"steps_per_s": 51.0}, seeds=[0])
    >>> json.loads(found.json())["figures"]
    {'steps_per_s': 51.0}
    """

    name: str
    figures: Mapping[str, Figure]  # flat: key to number
    peers: Sequence[Mapping[str, Any]] = ()  # each with name, version and figures
    seeds: Sequence[int] = ()
    seconds: float = 0.0  # wall-clock time of the whole command
    note: str = ""  # a sentence for people, e.g. about a missing peer
    table: str = ""  # for people, in the place of the list of figures

    def json(self) -> str:
        """One line: name, figures, peers, machine, seeds, seconds. Figures that are not finite are null."""
        content = {
            "name": self.name,
            "figures": _finite(self.figures),
            "peers": [{**peer, "figures": _finite(peer["figures"])} for peer in self.peers],
            "machine": machine(),
            "seeds": list(self.seeds),
            "seconds": round(self.seconds, 3),
        }
        return json.dumps(content, default=_plain_number, allow_nan=False)

    def text(self) -> str:
        """The table, or else the figures and the peers' one a line, and the note: for people."""
        rows = list(self.figures.items())
        for peer in self.peers:
            rows += [(f"{peer['name']} {peer['version']}: {key}", value) for key, value in peer["figures"].items()]
        width = max((len(key) for key, _ in rows), default=0)
        lines = [self.table] if self.table else [f"{key:<{width}}  {number(value)}" for key, value in rows]
        return "\n".join([*lines, self.note] if self.note else lines)


def timed(measure: Callable[[], Result]) -> Result:
    """The result of a command with the wall-clock time it took."""
    began = time.perf_counter()
    return replace(measure(), seconds=time.perf_counter() - began)


def peak_mb() -> float:
    """Most memory this process has held so far, in megabytes."""
    import resource

    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def number(value: Figure) -> str:
    """A figure as people read it: four digits that count, thousands apart.

    >>> number(1234567.8), number(0.012345), number(3)
    ('1,234,568', '0.01235', '3')
    """
    plain = _plain_number(value)
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        return str(plain)
    if isinstance(plain, int):
        return f"{plain:,}"
    return f"{plain:,.0f}" if abs(plain) >= 1000 else f"{plain:.4g}"


def planner_table(runs: Sequence[Run]) -> str:
    """What a planner wants first, one column a policy."""
    rows = [["", *(run.name for run in runs)]]
    for label, key, scale, unit in (
        ("throughput", "X.ThroughputDl", 1e-6, "Mbit/s"),
        ("satisfied share of demand", "X.SatisfiedShare", 100.0, "%"),
        ("outage ratio", "X.OutageRatio", 100.0, "%"),
    ):
        rows.append([label, *(f"{run.summary[key] * scale:.1f} {unit}" for run in runs)])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text: first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from mndt.parallel import core_count

    return {
        "processor": _processor(),
        "cores": core_count(),
        "memory_gb": memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "numba": metadata.version("numba"),
        "mndt": metadata.version("mndt"),
    }


def memory_gb() -> float | None:
    """Installed memory in GB; None where the system does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return found[0] if found else platform.machine()


def _finite(figures: Mapping[str, Figure]) -> dict[str, Figure]:
    plain = {key: _plain_number(value) for key, value in figures.items()}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in plain.items()
    }


def _plain_number(value: Any) -> Any:
    """A NumPy scalar as Python's own number."""
    return value.item() if hasattr(value, "item") else value
