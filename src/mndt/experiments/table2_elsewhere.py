"""Table II where nothing was trained: another map, other numbers of users, a network that lost a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from mndt.checks.output import Figure, Result, aligned
from mndt.errors import unknown_name
from mndt.experiments._table2_jobs import Record, play_all
from mndt.experiments.table2 import ROWS, Row, job_of

SEEDS: Final = 3
ANOTHER_MAP: Final = 90_001
"""Added to seeds: cells, buildings and shadowing of no other episode."""

PLACES: Final[dict[str, dict[str, Any]]] = {
    "as trained": {},
    "half the users": {"n_users": 4000},
    "twice the users": {"n_users": 16_000},
    "a failed cell": {"failed": (145,)},  # the first outdoor one
    "positions off by 30 m": {"position_error_m": 30.0},
    "positions unknown": {"position_error_m": None},
}
"""What is different -> arguments of the episode."""

SCENARIOS: Final[dict[str, dict[str, Any]]] = {
    "table2": {},
    "table2-umi": {"twice the users": {"n_blocks": 96}},
    "table2-city": {"twice the users": {"n_blocks": 96}},
}
"""Scenario -> what has to be different there besides: places for all users."""

PLAYED: Final = tuple(row for row in ROWS if row.key in ("ignoring", "weighted", "ours", "ours_99"))
"""Rows of Table II that are also played here."""


def run(
    *, seeds: int | None = None, out: Path = Path("table2"), scenarios: Sequence[str] | None = None,
    n_jobs: int | None = None, say: Callable[[str], None] | None = None,
) -> Result:  # fmt: skip
    """Play ours, the rule and ignoring demands in places that training did not know.

    In the streets and among the cells of ``table2`` every seed is another map; in the traced city "another map"
    is the city of another seed, traced the first time.

    Args:
        seeds: how many test seeds; default 3.
        out: folder of finished episodes.
        scenarios: which; default the first three.
        n_jobs: episodes at a time; default all cores.
        say: called with a sentence about what comes.

    Raises:
        InputError: an unknown scenario, or, for the traced city, no ray tracer.

    Figures: `satisfaction_METHOD_SCENARIO_PLACE`, `satisfaction_min_*`, `ratio_*` (throughput to ignoring's).
    """
    n, names = seeds or SEEDS, list(scenarios or SCENARIOS)
    for name in names:
        if name not in SCENARIOS:
            raise unknown_name("scenario", name, SCENARIOS)
    wanted = {
        (name, place, row.key, seed): job_of(row, name, seed, tuple(size.items()), "")
        for name in names
        for place, size in _places(name).items()
        for row in PLAYED
        for seed in range(n)
    }
    if "table2-city" in names:
        _trace(say)
    records = play_all(list(wanted.values()), out / "episodes", n_jobs)
    found = {key: records[job] for key, job in wanted.items()}
    figures: dict[str, Figure] = {}
    rows = [["", "throughput", "of ignoring", "satisfied %", "worst seed %"]]
    for name in names:
        for place in _places(name):
            rows.append([f"{name}, {place}", *[""] * 4])
            own = {row.key: [found[name, place, row.key, seed] for seed in range(n)] for row in PLAYED}
            rows += [_line(row, own) for row in PLAYED]
            figures |= _figures(f"{name} {place}".replace("-", "_").replace(" ", "_"), own)
    return Result("table2", figures, seeds=list(range(n)), table=aligned(rows), note=_note(n))


def _places(name: str) -> dict[str, dict[str, Any]]:
    """What is different in a scenario."""
    places = {place: size | SCENARIOS[name].get(place, {}) for place, size in PLACES.items()}
    return places | {"another map": {"map_seed": 1 if name == "table2-city" else ANOTHER_MAP}}


def _trace(say: Callable[[str], None] | None) -> None:
    from mndt.optimise.allocation.channels import traced_city

    if say is not None:
        say("gain maps of two cities: about 5 minutes of tracing each the first time")
    for seed in (1, 0):
        traced_city(seed)


def _satisfied(records: Sequence[Record]) -> list[float]:
    return [record.satisfaction for record in records]


def _ratio(key: str, own: Mapping[str, Sequence[Record]]) -> float:
    mine, ignoring = (sum(record.throughput for record in own[name]) for name in (key, "ignoring"))
    return mine / ignoring


def _line(row: Row, own: Mapping[str, Sequence[Record]]) -> list[str]:
    satisfied = _satisfied(own[row.key])
    delivered = float(np.mean([record.throughput for record in own[row.key]]))
    shares = [f"{100 * np.mean(satisfied):.2f}", f"{100 * min(satisfied):.2f}"]
    return [f"  {row.label}", f"{delivered:,.0f}", f"{_ratio(row.key, own):.3f}", *shares]


def _figures(where: str, own: Mapping[str, Sequence[Record]]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for key, records in own.items():
        satisfied = _satisfied(records)
        figures[f"satisfaction_{key}_{where}"] = float(np.mean(satisfied))
        figures[f"satisfaction_min_{key}_{where}"] = min(satisfied)
        figures[f"ratio_{key}_{where}"] = _ratio(key, own)
    return figures


def _note(n: int) -> str:
    return f"Means over test seeds 0 to {n - 1}; the network of ours as shipped, lambda of the rule as in Table II."
