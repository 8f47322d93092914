"""Kernel: what one slot serves, consumes and costs."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from mndt.radio._simd import FAST


@nb.njit(inline="always", **FAST)
def share_of_woken(before: Any, boot_loss: Any, wake_loss: Any) -> Any:
    """What a cell woken within a slot still serves of it; one that was off before starts up first."""
    return 1.0 - wake_loss - (boot_loss if before == 2 else 0.0)


@nb.njit(**FAST)
def cheapest(a: Any, b: Any, before: Any, status: Any, demand: Any, room: Any, dynamic: Any, capacity: Any, idle: Any,
             load: Any, sleep: Any, wake: Any, boot_loss: Any, wake_loss: Any) -> Any:  # fmt: skip
    """Cells a to b to be woken, as bits: those that serve the demand with the least cost, or all."""
    every = 0
    for c in range(a, b):
        if status[c] == 1:
            every |= 1 << (c - a)
    best, chosen, woken = 0.0, every, every
    while woken:  # all subsets of those asleep but none
        space, full, cost = room, dynamic, 0.0
        for c in range(a, b):
            if woken >> (c - a) & 1:
                share = share_of_woken(before[c], boot_loss, wake_loss)
                space += capacity[c] * share
                full += load[c] * share
                cost += idle[c] - sleep[c] + wake[c]
        if space >= demand:
            cost += full * demand / space
            if woken == every or cost < best:
                best, chosen = cost, woken
        woken = (woken - 1) & every
    return chosen


@nb.njit(**FAST)
def serve(
    first: Any, station: Any, capacity: Any, idle: Any, load: Any, sleep: Any, bbu: Any, boot: Any, start: Any,
    wake: Any, station_start: Any, before: Any, demand: Any, boot_loss: Any, wake_loss: Any,
    wakes: Any, status: Any, unserved: Any, cell: Any, sums: Any,
) -> None:  # fmt: skip
    """Serve the demand of a slot; `status` comes as wanted and goes as it is at the end.

    `cell` gets what each cell costs, energy and switching, those of stations in equal parts among their cells that are
    not off; `sums` energy, switching cost, switched cells, switched stations.
    """
    n_stations = len(bbu)
    ran, runs = np.zeros(n_stations, np.bool_), np.zeros(n_stations, np.bool_)
    live, share = np.zeros(n_stations), np.zeros(len(before))
    energy, switching, switches = 0.0, 0.0, 0.0
    for c in range(len(before)):
        ran[station[c]] |= before[c] != 2
        runs[station[c]] |= status[c] != 2
        live[station[c]] += status[c] != 2
        switches += before[c] != status[c]
        moved = 0.0
        cell[c] = 0.0
        if before[c] == 2 and status[c] != 2:
            energy += boot[c]
            cell[c] += boot[c]
            moved = start[c] - (wake[c] if status[c] == 1 else 0.0)
        elif before[c] == 1 and status[c] == 0:
            moved = wake[c]
        switching += moved
        cell[c] += moved
    for g in range(len(first) - 1):
        a, b = first[g], first[g + 1]
        room, dynamic = 0.0, 0.0
        for c in range(a, b):
            if status[c] == 0:
                share[c] = 1.0 - boot_loss if before[c] == 2 else 1.0
                room += capacity[c] * share[c]
                dynamic += load[c] * share[c]
        if wakes and room < demand[g]:
            woken = cheapest(a, b, before, status, demand[g], room, dynamic, capacity, idle, load, sleep, wake,
                             boot_loss, wake_loss)  # fmt: skip
            for c in range(a, b):
                if woken >> (c - a) & 1:
                    share[c] = share_of_woken(before[c], boot_loss, wake_loss)
                    room += capacity[c] * share[c]
                    switching += wake[c]
                    cell[c] += wake[c]
                    switches += 1.0
                    status[c] = 0
        served = min(demand[g], room)
        unserved[g] = demand[g] - served
        level = served / room if room > 0.0 else 0.0
        for c in range(a, b):
            own = idle[c] + load[c] * share[c] * level if status[c] == 0 else (sleep[c] if status[c] == 1 else 0.0)
            energy += own
            cell[c] += own
    stations = 0.0
    for k in range(n_stations):
        if runs[k]:
            energy += bbu[k]
        if ran[k] != runs[k]:
            stations += 1.0
            if runs[k]:
                switching += station_start[k]
    for c in range(len(before)):
        k = station[c]
        if status[c] != 2:
            cell[c] += (bbu[k] + (0.0 if ran[k] else station_start[k])) / live[k]
    sums[0], sums[1], sums[2], sums[3] = energy, switching, switches, stations
