"""Kernels over the joint states of a grid's cells: exact choice for one slot, and costs of slots to come.

A state of a grid of n cells is a number in base 3 (or 2, without sleep); its i-th digit is the status of the i-th
cell, 0 on, then sleep, the last off. All on is 0. What couples cells is the load they share and their stations.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._simd import FAST

NEVER: Final = 1e30  # not infinity: fastmath assumes there is none


@nb.njit(**FAST)
def tabulate(base: Any, n: Any, local: Any, capacity: Any, idle: Any, load: Any, sleep: Any, digit: Any, room: Any,
             fixed: Any, dynamic: Any, used: Any) -> None:  # fmt: skip
    """Digits, capacity, energy without load, energy at full load and used stations (bits) of each state."""
    for s in range(len(room)):
        rest, used[s] = s, 0
        room[s] = fixed[s] = dynamic[s] = 0.0
        for i in range(n):
            d = rest % base
            rest //= base
            d = 2 if d == base - 1 else d
            digit[s, i] = d
            if d == 0:
                room[s] += capacity[i]
                fixed[s] += idle[i]
                dynamic[s] += load[i]
            elif d == 1:
                fixed[s] += sleep[i]
            if d != 2:
                used[s] |= 1 << local[i]


@nb.njit(**FAST)
def step_back(base: Any, n: Any, local: Any, start: Any, wake: Any, digit: Any, used: Any, entry: Any, hold: Any,
              value: Any) -> None:  # fmt: skip
    """In place: from the cost of being in a state next to the least cost of getting to any from a state now.

    Going down is free. `entry` is what a station costs that starts.
    """
    size, last = len(value), base - 1
    for j in range(len(entry)):
        bit = 1 << j
        if entry[j] > 0.0:
            for s in range(size):
                hold[s] = value[s]
                if not used[s] & bit:
                    value[s] = NEVER
        stride = 1
        for i in range(n):
            if local[i] == j:
                up, part = start[i], start[i] - wake[i]
                for block in range(0, size, stride * base):
                    for s in range(block, block + stride):
                        on, off = value[s], value[s + last * stride]
                        if base == 3:
                            rest = value[s + stride]
                            low = min(rest, off)
                            value[s] = min(on, low)
                            value[s + stride] = min(on + wake[i], low)
                            value[s + 2 * stride] = min(min(on + up, rest + part), off)
                        else:
                            value[s] = min(on, off)
                            value[s + stride] = min(on + up, off)
            stride *= base
        if entry[j] > 0.0:
            for s in range(size):
                if used[s] & bit:
                    closed, stride = s, 1
                    for i in range(n):
                        if local[i] == j:
                            d = digit[s, i]
                            closed += stride * (last - (last if d == 2 else d))
                        stride *= base
                    value[s] = min(value[s], hold[closed])
                else:
                    value[s] = min(hold[s], value[s] + entry[j])


@nb.njit(inline="always", **FAST)
def moved(n: Any, base: Any, from_digit: Any, to_digit: Any, s: Any, start: Any, wake: Any) -> Any:
    """Cost of the cells' way to state s, without stations."""
    total = 0.0
    for i in range(n):
        a, b = from_digit[i], to_digit[s, i]
        if b < a:
            total += wake[i] if a == 1 else (start[i] if b == 0 else start[i] - wake[i])
    return total


@nb.njit(inline="always", **FAST)
def expected(demand: Any, below: Any, before: Any, room: Any, fixed: Any, dynamic: Any, price: Any) -> Any:
    """Mean cost of serving sorted demands; `below[k]` and `before[k]` are mean and probability of the first k."""
    n = len(demand)
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if demand[middle] <= room:
            low = middle + 1
        else:
            high = middle
    served = below[low] + (1.0 - before[low]) * room
    return fixed + (served / room * dynamic if room > 0.0 else 0.0) + price * (below[n] - served)


@nb.njit(**FAST)
def reserve_cost(n: Any, to_digit: Any, s: Any, from_digit: Any, demand: Any, mass: Any, room: Any, dynamic: Any,
                 capacity: Any, idle: Any, load: Any, sleep: Any, wake: Any, boot_loss: Any, wake_loss: Any,
                 weight: Any, price: Any, asleep: Any, least: Any) -> Any:  # fmt: skip
    """Mean cost of a slot in which those cells are woken that serve the demand with the least cost.

    `demand` is sorted; `asleep` and `least` are room to work in.
    """
    count, m = len(demand), 0
    for i in range(n):
        if to_digit[s, i] == 1:
            asleep[m] = i
            m += 1
    for k in range(count):
        least[k] = NEVER
    for woken in range(1 << m):
        space, full, extra = room, dynamic, 0.0
        for j in range(m):
            if woken >> j & 1:
                i = asleep[j]
                share = 1.0 - wake_loss - (boot_loss if from_digit[i] == 2 else 0.0)
                space += capacity[i] * share
                full += load[i] * share
                extra += idle[i] - sleep[i] + weight * wake[i]
        slope = full / space if space > 0.0 else 0.0
        last = woken == (1 << m) - 1
        for k in range(count):
            if demand[k] <= space:
                least[k] = min(least[k], extra + slope * demand[k])
            elif last:
                least[k] = extra + full + price * (demand[k] - space)
            else:
                break
    total = 0.0
    for k in range(count):
        total += mass[k] * least[k]
    return total


@nb.njit(**FAST)
def decide(
    base: Any, first: Any, local: Any, member: Any, station_first: Any, capacity: Any, idle: Any, load: Any,
    sleep: Any, boot: Any, start: Any, wake: Any, bbu: Any, station_start: Any, before: Any, demand: Any,
    mass: Any, below: Any, value: Any, value_first: Any, weight: Any, price: Any, boot_loss: Any, wake_loss: Any,
    wakes: Any, rounds: Any, status: Any,
) -> None:  # fmt: skip
    """The state of least cost for each grid, one grid after the other, `rounds` times.

    Cost is energy, `price` times what is not served, `weight` times switching and `value` of the state left. A
    station that runs for another grid costs this one nothing; as long as the other has not chosen, its part.
    """
    n_grids, n_stations = len(first) - 1, len(bbu)
    ran, runs = np.zeros(n_stations, np.bool_), np.zeros(n_stations, np.int64)
    open_grids = np.zeros(n_stations, np.int64)  # that have not chosen yet
    most = 0
    for g in range(n_grids):
        most = max(most, first[g + 1] - first[g])
        for j in range(station_first[g], station_first[g + 1]):
            open_grids[member[j]] += 1
            for c in range(first[g], first[g + 1]):
                if local[c] == j - station_first[g] and before[c] != 2:
                    ran[member[j]] = True
    size = base**most
    digit, used = np.empty((size, most), np.int8), np.empty(size, np.int64)
    room, fixed, dynamic = np.empty(size), np.empty(size), np.empty(size)
    sums = np.zeros(len(mass) + 1)
    for k in range(len(mass)):
        sums[k + 1] = sums[k] + mass[k]
    asleep, least = np.empty(most, np.int64), np.empty(demand.shape[1])
    for turn in range(rounds):
        for g in range(n_grids):
            a, b = first[g], first[g + 1]
            n, sa, sb = b - a, station_first[g], station_first[g + 1]
            states = base**n
            own = local[a:b]
            tabulate(base, n, own, capacity[a:b], idle[a:b], load[a:b], sleep[a:b], digit[:states], room[:states],
                     fixed[:states], dynamic[:states], used[:states])  # fmt: skip
            for j in range(sa, sb):
                if turn == 0:
                    open_grids[member[j]] -= 1
                    continue
                for c in range(a, b):
                    if local[c] == j - sa and status[c] != 2:
                        runs[member[j]] -= 1
                        break
            best, chosen = NEVER, 0
            d, total, v = demand[g], below[g], value_first[g]
            for s in range(states):
                cost = value[v + s] if len(value) else 0.0
                cost += weight * moved(n, base, before[a:b], digit, s, start[a:b], wake[a:b])
                lost, idle_load = 0.0, 0.0
                for i in range(n):
                    if before[a + i] == 2 and digit[s, i] != 2:
                        cost += boot[a + i]
                        if digit[s, i] == 0:
                            lost += boot_loss * capacity[a + i]
                            idle_load += boot_loss * load[a + i]
                for j in range(sb - sa):
                    k = member[sa + j]
                    if used[s] >> j & 1 and runs[k] == 0:
                        own_part = 1.0 / (1.0 + open_grids[k])
                        cost += own_part * (bbu[k] + (0.0 if ran[k] else weight * station_start[k]))
                if cost + fixed[s] >= best:
                    continue
                if wakes:
                    cost += fixed[s] + reserve_cost(
                        n, digit, s, before[a:b], d, mass, room[s] - lost, dynamic[s] - idle_load, capacity[a:b],
                        idle[a:b], load[a:b], sleep[a:b], wake[a:b], boot_loss, wake_loss, weight, price[g], asleep,
                        least,
                    )  # fmt: skip
                else:
                    cost += expected(d, total, sums, room[s] - lost, fixed[s], dynamic[s] - idle_load, price[g])
                if cost < best:
                    best, chosen = cost, s
            for i in range(n):
                status[a + i] = digit[chosen, i]
            for j in range(sb - sa):
                if used[chosen] >> j & 1:
                    runs[member[sa + j]] += 1


@nb.njit(**FAST)
def week(
    base: Any, first: Any, local: Any, station_first: Any, capacity: Any, idle: Any, load: Any, sleep: Any, boot: Any,
    start: Any, wake: Any, demand: Any, charge: Any, entry: Any, price: Any, grids: Any, status: Any, cost: Any,
) -> None:  # fmt: skip
    """The course of least cost through all slots, grid by grid, from all on; demands known.

    `charge` and `entry` are what each station of a grid costs in each slot where the grid uses it, and where it
    begins to. Starts cost no capacity. `status` [slots, cells] and `cost` [grids] of the named grids are written.
    """
    slots, most = demand.shape[1], 0
    for g in grids:
        most = max(most, first[g + 1] - first[g])
    size = base**most
    digit, used = np.empty((size, most), np.int8), np.empty(size, np.int64)
    room, fixed, dynamic, hold = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    value, held = np.empty(size), np.empty((slots + 1, size))
    for g in grids:
        a, b, sa, sb = first[g], first[g + 1], station_first[g], station_first[g + 1]
        n = b - a
        states = base**n
        own, up = local[a:b], start[a:b] + boot[a:b]
        tabulate(base, n, own, capacity[a:b], idle[a:b], load[a:b], sleep[a:b], digit[:states], room[:states],
                 fixed[:states], dynamic[:states], used[:states])  # fmt: skip
        for s in range(states):
            value[s] = 0.0
        for t in range(slots - 1, -1, -1):
            d = demand[g, t]
            for s in range(states):
                served = min(d, room[s])
                here = fixed[s] + price[g] * (d - served)
                if room[s] > 0.0:
                    here += served / room[s] * dynamic[s]
                for j in range(sb - sa):
                    if used[s] >> j & 1:
                        here += charge[sa + j, t]
                value[s] += here
                held[t, s] = value[s]
            step_back(base, n, own, up, wake[a:b], digit, used, entry[sa:sb, t], hold, value[:states])
        cost[g] = value[0]
        now = 0
        for t in range(slots):
            best, chosen = NEVER, 0
            for s in range(states):
                total = held[t, s]
                for j in range(sb - sa):
                    if used[s] >> j & 1 and not used[now] >> j & 1:
                        total += entry[sa + j, t]
                if total < best:
                    total += moved(n, base, digit[now], digit, s, up, wake[a:b])
                if total < best:
                    best, chosen = total, s
            now = chosen
            for i in range(n):
                status[t, a + i] = digit[now, i]


@nb.njit(**FAST)
def ahead(
    base: Any, first: Any, station: Any, local: Any, member: Any, station_first: Any, capacity: Any, idle: Any,
    load: Any, sleep: Any, boot: Any, start: Any, wake: Any, bbu: Any, station_start: Any, before: Any, courses: Any,
    price: Any, value_first: Any, value: Any,
) -> None:  # fmt: skip
    """Mean over equally likely courses of demand of the least cost from each state on, the course then known.

    Stations that other grids use now are taken to run on.
    """
    n_grids, most = len(first) - 1, 0
    live = np.zeros(len(bbu), np.int64)
    for c in range(len(before)):
        live[station[c]] += before[c] != 2
    for g in range(n_grids):
        most = max(most, first[g + 1] - first[g])
    size = base**most
    digit, used = np.empty((size, most), np.int8), np.empty(size, np.int64)
    room, fixed, dynamic, hold = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    now, charge, entry = np.empty(size), np.empty(8), np.empty(8)
    for g in range(n_grids):
        a, b, sa, sb = first[g], first[g + 1], station_first[g], station_first[g + 1]
        n = b - a
        states = base**n
        own, up = local[a:b], start[a:b] + boot[a:b]
        tabulate(base, n, own, capacity[a:b], idle[a:b], load[a:b], sleep[a:b], digit[:states], room[:states],
                 fixed[:states], dynamic[:states], used[:states])  # fmt: skip
        for j in range(sb - sa):
            k, others = member[sa + j], live[member[sa + j]]
            for c in range(a, b):
                others -= local[c] == j and before[c] != 2
            charge[j] = 0.0 if others > 0 else bbu[k]
            entry[j] = 0.0 if others > 0 else station_start[k]
        for s in range(states):
            for j in range(sb - sa):
                if used[s] >> j & 1:
                    fixed[s] += charge[j]
            value[value_first[g] + s] = 0.0
        for k in range(courses.shape[1]):
            for s in range(states):
                now[s] = 0.0
            for h in range(courses.shape[2] - 1, -1, -1):
                d = courses[g, k, h]
                for s in range(states):
                    served = min(d, room[s])
                    here = fixed[s] + price[g] * (d - served)
                    if room[s] > 0.0:
                        here += served / room[s] * dynamic[s]
                    now[s] += here
                step_back(base, n, own, up, wake[a:b], digit, used, entry[: sb - sa], hold, now[:states])
            for s in range(states):
                value[value_first[g] + s] += now[s] / courses.shape[1]
