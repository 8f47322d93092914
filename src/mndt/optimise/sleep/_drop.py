"""Kernel of the greedy rule: cells dropped one after the other."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from mndt.radio._simd import FAST


@nb.njit(**FAST)
def drop(first: Any, station: Any, capacity: Any, idle: Any, bbu: Any, start: Any, station_start: Any, members: Any,
         before: Any, demand: Any, status: Any) -> None:  # fmt: skip
    """Switch off, in every grid, the cell of largest saving that is not needed, until none is left.

    A cell saves its idle energy, less its start if it was on: it may be wanted again. The last of a station saves
    the baseband too. `status` comes with all on.
    """
    live, ran = members.copy(), np.zeros(len(bbu), np.bool_)
    for c in range(len(before)):
        ran[station[c]] |= before[c] != 2
    for g in range(len(first) - 1):
        a, b = first[g], first[g + 1]
        room = 0.0
        for c in range(a, b):
            room += capacity[c]
        while True:
            best, chosen = 0.0, -1
            for c in range(a, b):
                if status[c] != 0 or room - capacity[c] < demand[g]:
                    continue
                saving = idle[c] + (start[c] if before[c] == 2 else -start[c])
                if live[station[c]] == 1:
                    k = station[c]
                    saving += bbu[k] + (-station_start[k] if ran[k] else station_start[k])
                if saving > best:
                    best, chosen = saving, c
            if chosen < 0:
                break
            status[chosen] = 2
            room -= capacity[chosen]
            live[station[chosen]] -= 1
