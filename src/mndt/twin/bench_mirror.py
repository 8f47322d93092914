"""How far the mirror is behind a network of 184 cells and 20 counters that reports every second."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from mndt.checks.output import Result, peak_mb
from mndt.network.kpi import KPI_FIELDS
from mndt.parallel import bar
from mndt.streams import Streams
from mndt.twin.mirror import Mirror
from mndt.twin.mirror_records import Record

CELLS, COUNTERS = 184, 20
DISTURBED = 0.02
"""Share of records to which something happens on the way: lost, twice, or some seconds late."""


def run(*, seconds: int = 3600, quick: bool = False, seed: int = 0) -> Result:
    """Feed the mirror an hour of records, asking it for the state every second.

    The records of a second are there at its end; the mirror begins with them when it has done with those before. The
    lag of a second is from its end until its records are in and `Mirror.state` has answered.

    Args:
        seconds: of the network.
        quick: a minute and a half of them.
        seed: of values and disturbances.

    Returns:
        Figures: `lag_worst_s`, `lag_median_s`, `lag_p99_s`, `ms_per_second` (of processor and disk), `records`,
        `accounted` (share of the records sent whose fate is counted: 1), `peak_mb`.
    """
    seconds = min(seconds, 90) if quick else seconds
    counters = [f.column for f in KPI_FIELDS if f.level == "cell" and f.unit != "%"][:COUNTERS]
    names = [f"cell-{number}" for number in range(CELLS)]
    lag_s, spent_s, sent, free_s = [], 0.0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder, bar("seconds", seconds) as progress:
        mirror = Mirror(folder, names, counters)
        for second, records in enumerate(_seconds(names, counters, seconds, seed), start=1):
            began = time.perf_counter()
            for record in records:
                mirror.take(record)
            mirror.state(second)
            cost_s = time.perf_counter() - began
            free_s = max(free_s, second) + cost_s  # by the network's clock
            lag_s.append(free_s - second)
            spent_s, sent = spent_s + cost_s, sent + len(records)
            progress()
        mirror.close()
        c = mirror.counts
    known = c.taken + c.duplicate + c.contradicting + c.late + c.unknown_cell + c.impossible_time
    figures = {
        "lag_worst_s": max(lag_s),
        "lag_p99_s": float(np.percentile(lag_s, 99)),
        "lag_median_s": float(np.median(lag_s)),
        "ms_per_second": 1e3 * spent_s / seconds,
        "records": sent,
        "accounted": known / sent if sent else math.nan,
        "late": c.late,
        "duplicate": c.duplicate,
        "missing": c.missing,
        "peak_mb": peak_mb(),
    }
    return Result("mirror", figures, seeds=[seed])


def _seconds(names: list[str], counters: list[str], seconds: int, seed: int) -> Iterator[list[Record]]:
    """What arrives in each second."""
    rng = Streams(seed).generator("bench-mirror")
    on_the_way: dict[int, list[Record]] = {}
    for second in range(1, seconds + 1):
        table = rng.random((len(names), len(counters)))
        fate = rng.random(len(names))
        arriving = on_the_way.pop(second, [])
        for name, row, what in zip(names, table.tolist(), fate, strict=True):
            delay = int(rng.integers(1, 45)) if what < DISTURBED / 2 else 0
            record = Record(name, float(second), float(second + delay), dict(zip(counters, row, strict=True)))
            if what < DISTURBED / 2:
                on_the_way.setdefault(second + delay, []).append(record)
            elif what < 0.75 * DISTURBED:
                arriving += [record, record]
            elif what >= DISTURBED:  # the rest is lost
                arriving.append(record)
        yield arriving
