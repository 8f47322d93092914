"""Two runs beside each other: differences of their totals and how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mndt.errors import InputError
from mndt.runfolder import Run


@dataclass(frozen=True)
class Difference:
    """One total of two runs over their whole period, and the 95 % interval of b - a."""

    name: str
    unit: str
    a: float
    b: float
    difference: float
    low: float
    high: float


def compare(a: Run, b: Run, *, batch_s: int = 60) -> list[Difference]:
    """The totals of two runs over the same seconds, as `mndt.network.kpi.summarise` defines them.

    The interval is Student's t with a jackknife over paired batches: seconds resemble their
    neighbours, batches hardly do (Law, Simulation Modeling and Analysis, 5th ed., section 9.5.3),
    and leaving batches out one by one suits ratios as well as means (Miller, The jackknife: a
    review, Biometrika 61, 1974, doi:10.1093/biomet/61.1.1).

    Args:
        a: the yardstick.
        b: the run to judge by it.
        batch_s: length of a batch in seconds; halved until there are at least five batches.

    Raises:
        InputError: the runs do not cover the same seconds.

    What changed beyond chance::

        for row in mndt.compare(before, after):
            print(row.name, row.difference, (row.low, row.high))
    """
    from mndt.network.kpi import KPI_FIELDS, summarise

    one, two = a.kpis.fetchnumpy(), b.kpis.fetchnumpy()
    if not np.array_equal(one["time_s"], two["time_s"]):
        raise InputError(
            "runs",
            f"{_span(one)} and {_span(two)}",
            allowed="two runs over the same seconds",
            fix="run both with the same start and minutes",
        )
    whole_a, whole_b = summarise(one), summarise(two)
    both = [name for name in whole_a if name in whole_b]  # an older run may lack some
    fields = {f.column: f for f in KPI_FIELDS if f.level == "total"}
    counted = {name for name, field in fields.items() if field.counted}
    without: list[dict[str, float]] = []  # differences, each with one batch left out
    for kept in _all_but_one(len(one["time_s"]), batch_s):
        less_a, less_b = summarise(_rows(one, kept)), summarise(_rows(two, kept))
        scale = {name: len(kept) / np.count_nonzero(kept) for name in counted}  # a count adds up
        without.append({name: scale.get(name, 1.0) * (less_b[name] - less_a[name]) for name in both})
    found = []
    for name in both:
        difference = whole_b[name] - whole_a[name]
        half = _half_width(np.array([less[name] for less in without]))
        values = (whole_a[name], whole_b[name], difference, difference - half, difference + half)
        found.append(Difference(name, fields[name].unit, *values))
    return found


def admission_note(a: Run, b: Run) -> str:
    """What to know of two policies that admit unlike numbers of users; empty where they do not, or it is not known."""
    from mndt.network.scheduling import USERS_PER_BLOCK
    from mndt.optimise.policy import SCHEDULERS

    names = [run.scenario.run.policy for run in (a, b)]
    places = [USERS_PER_BLOCK[SCHEDULERS[name]] for name in names if name in SCHEDULERS]
    if len(places) < 2 or places[0] == places[1]:
        return ""
    told = " and ".join(f"{n} under {name}" for n, name in zip(places, names, strict=True))
    return f"a cell admits as many users per block as can share it, {told}: refusals differ by that, too"


def _all_but_one(seconds: int, batch_s: int) -> list[np.ndarray]:
    """For each batch a mask of the seconds outside it; the last batch takes the remainder."""
    while batch_s > 1 and seconds // batch_s < 5:
        batch_s //= 2
    n = max(1, seconds // batch_s)
    batch = np.minimum(np.arange(seconds) // batch_s, n - 1)
    return [batch != k for k in range(n)] if n > 1 else []


def _rows(columns: dict[str, np.ndarray], kept: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[kept] for name, values in columns.items()}


def _half_width(without: np.ndarray) -> float:
    """Half the 95 % interval from values that each leave out one batch; nan of fewer than two."""
    from scipy.special import stdtrit

    n = len(without)
    if n < 2:
        return math.nan
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    return float(stdtrit(n - 1, 0.975)) * error


def _span(columns: dict[str, np.ndarray]) -> str:
    first, last = int(columns["time_s"][0]), int(columns["time_s"][-1])
    return f"{first // 3600:02d}:{first % 3600 // 60:02d} to {last // 3600:02d}:{last % 3600 // 60:02d}"
