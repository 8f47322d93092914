"""The decision process: a status for every cell in each slot, what it serves and what it costs.

Three settings, never mixed: what is known when a slot's statuses are chosen decides what a method is worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float64, Int8

from mndt.errors import InputError
from mndt.optimise.sleep import _serve
from mndt.optimise.sleep.fleet import Fleet
from mndt.state import Status

Array = np.ndarray

SEEN = 4
"""Past slots whose demand a method sees."""


class Setting(Enum):
    """What is known, and what happens within a slot."""

    KNOWN = "a"  # demand of the slot to come is known; cells start before it begins
    CAUSAL = "b"  # only past slots are known; a cell that starts lacks the first minutes of the slot
    RESERVE = "c"  # as CAUSAL, and cells that sleep are woken within the slot when demand asks for them

    @property
    def knows(self) -> bool:
        """Whether the demand of the slot is known beforehand."""
        return self is Setting.KNOWN

    @property
    def wakes(self) -> bool:
        """Whether cells are woken within a slot."""
        return self is Setting.RESERVE


@dataclass(frozen=True)
class Moment:
    """What a method sees when it chooses statuses for a slot."""

    slot: int  # of the series; slot 0 begins at midnight
    slot_of_day: int
    past: Float64[Array, "grids 4"]  # demand of the last four slots, the latest last
    demand: Float64[Array, "grids"] | None  # of this slot, where it is known
    status: Int8[Array, "cells"]  # Status at the end of the slot before


Method = Callable[[Moment], Int8[Array, "cells"]]


@dataclass(frozen=True)
class Outcome:
    """What a method did, slot by slot."""

    energy_wh: Float64[Array, "slots"]
    switching_wh: Float64[Array, "slots"]
    unserved: Float64[Array, "slots grids"]
    cell_switches: Float64[Array, "slots"]  # every change of a status, wakes within the slot counted too
    station_switches: Float64[Array, "slots"]
    status: Int8[Array, "slots cells"]  # at the end of each slot
    seconds: float  # processor time of all decisions


def start(fleet: Fleet) -> Int8[Array, "cells"]:
    """Every cell on."""
    return np.full(len(fleet.grid), Status.ON, np.int8)


def play(
    fleet: Fleet, demand: Float64[Array, "grids slots"], setting: Setting, method: Method,
    *, begin: int = 0, slots_per_day: int = 48,
) -> Outcome:  # fmt: skip
    """Let a method decide slot by slot, from all cells on.

    Args:
        fleet: of the problem.
        demand: units of traffic in each grid and slot, from a midnight on.
        setting: what the method sees.
        method: chooses statuses.
        begin: first slot that is played; those before are only seen as the past. At least 4.
        slots_per_day: of the series.

    Raises:
        InputError: fewer than four slots before `begin`, or a status that is none.
    """
    from time import process_time

    if begin < SEEN:
        raise InputError("begin", begin, allowed=f"at least {SEEN}", fix="a method sees four slots of the past")
    n = demand.shape[1] - begin
    status, rows, spent = start(fleet), [], 0.0
    for slot in range(begin, begin + n):
        known = demand[:, slot] if setting.knows else None
        moment = Moment(slot, slot % slots_per_day, demand[:, slot - SEEN : slot], known, status)
        before = process_time()
        wanted = method(moment)
        spent += process_time() - before
        row = serve(fleet, status, wanted, demand[:, slot], setting)
        rows.append(row)
        status = row.status
    names = [name for name in Outcome.__dataclass_fields__ if name != "seconds"]
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in names}
    return Outcome(seconds=spent, **columns)


@dataclass(frozen=True)
class Slot:
    """What came of one slot."""

    energy_wh: float
    switching_wh: float
    unserved: Float64[Array, "grids"]
    cell_switches: float
    station_switches: float
    status: Int8[Array, "cells"]
    cell_wh: Float64[Array, "cells"]  # energy and switching of each, stations' in equal parts among those not off


def serve(
    fleet: Fleet, status: Int8[Array, "cells"], wanted: Int8[Array, "cells"],
    demand: Float64[Array, "grids"], setting: Setting,
) -> Slot:  # fmt: skip
    """Carry out statuses and serve the demand of a slot.

    Args:
        fleet: of the problem.
        status: at the end of the slot before.
        wanted: for this slot.
        demand: of this slot.
        setting: whether a start costs capacity, and whether cells are woken.

    Raises:
        InputError: not one Status for each cell.
    """
    wanted = np.asarray(wanted)
    if wanted.shape != status.shape or not np.isin(wanted, (Status.ON, Status.SLEEP, Status.OFF)).all():
        raise InputError("status", wanted, allowed=f"{len(status)} of 0, 1 and 2", fix="one for each cell")
    end, unserved, sums = wanted.astype(np.int8), np.zeros(fleet.n_grids), np.zeros(4)
    cell_wh = np.empty(len(status))
    loss = 0.0 if setting.knows else fleet.boot_loss
    f = fleet
    _serve.serve(
        f.first, f.station, f.capacity, f.idle_wh, f.load_wh, f.sleep_wh, f.bbu_wh, f.boot_wh, f.start_wh, f.wake_wh,
        f.station_wh, status, np.ascontiguousarray(demand, np.float64), loss, f.wake_loss,
        setting.wakes, end, unserved, cell_wh, sums,
    )  # fmt: skip
    return Slot(float(sums[0]), float(sums[1]), unserved, float(sums[2]), float(sums[3]), end, cell_wh)
