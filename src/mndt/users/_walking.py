"""Compiled steps of everyone on foot: speeds from the density or the person ahead, ways, positions."""

from __future__ import annotations

from math import exp, sqrt
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

from mndt.users.driving._krauss import brake_gap, stop_speed

Array = np.ndarray
_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "error_model": "numpy"}

GAMMA: Final = 1.913
"""Of Weidmann's diagram, persons per m2."""

JAM_PER_M2: Final = 5.4
"""Density at which nobody moves in Weidmann's diagram."""

SHUFFLE_MPS: Final = 0.05
"""Least speed in any crowd, so that a jam dissolves from its edge. [assumed]"""

EPS_M: Final = 1e-6


class Footways(NamedTuple):
    """The paths as the kernels take them."""

    shape_start: Array  # points of edge e are rows shape_start[e]:shape_start[e + 1]
    shape_x_m: Array
    shape_y_m: Array
    along_m: Array  # of each point, from the beginning of its edge
    length_m: Array  # of each edge
    edge_to: Array
    node_signal: Array
    first_bin: Array  # of each edge; both directions of a path have the same bins
    n_bins: Array
    backwards: Array  # bins run against the edge


class Feet(NamedTuple):
    """`mndt.users.pedestrians.Walks` as the kernels take them."""

    from_x_m: Array
    from_y_m: Array
    to_x_m: Array
    to_y_m: Array
    first: Array
    n_edges: Array
    edges: Array
    part: Array
    offset_m: Array


@njit(**_OPTIONS)
def slow_by_density(
    ways: Footways, feet: Feet, desired_mps: Array, width_m: float, least_m: float, ahead_m: float, count: Array,
    out_mps: Array,
) -> None:  # fmt: skip
    """Speeds by Weidmann's diagram of the density a little ahead.

    Everyone is shared out to the two nearest bins of their path, and density is read between bins
    the same way. `count` is room for all bins; zeros come in, garbage goes out.
    """
    for i in range(len(feet.part)):
        part = feet.part[i]
        if part < 0 or part >= feet.n_edges[i]:
            continue
        edge = feet.edges[feet.first[i] + part]
        n, first = ways.n_bins[edge], ways.first_bin[edge]
        at = feet.offset_m[i] * n / ways.length_m[edge] - 0.5
        if ways.backwards[edge]:
            at = n - 1.0 - at
        at = min(max(at, 0.0), n - 1.0)
        low = min(int(at), n - 1)
        share = at - low
        count[first + low] += 1.0 - share
        count[first + min(low + 1, n - 1)] += share
    for i in range(len(feet.part)):
        out_mps[i] = desired_mps[i]
        part = feet.part[i]
        if part < 0 or part >= feet.n_edges[i]:
            continue
        edge = feet.edges[feet.first[i] + part]
        n, first = ways.n_bins[edge], ways.first_bin[edge]
        bin_m = ways.length_m[edge] / n
        at = (feet.offset_m[i] + ahead_m) / bin_m - 0.5
        if ways.backwards[edge]:
            at = n - 1.0 - at
        at = min(max(at, 0.0), n - 1.0)
        low = min(int(at), n - 1)
        share = at - low
        people = (1.0 - share) * count[first + low] + share * count[first + min(low + 1, n - 1)]
        density = people / (width_m * max(bin_m, least_m))
        if density > 0.0:
            law = 1.0 - exp(-GAMMA * (1.0 / density - 1.0 / JAM_PER_M2))
            out_mps[i] = min(desired_mps[i], max(desired_mps[i] * law, SHUFFLE_MPS))


@njit(**_OPTIONS)
def slow_by_krauss(
    ways: Footways, feet: Feet, desired_mps: Array, speed_mps: Array, order: Array, strip: Array, n_strips: int,
    tail: Array, length_m: float, min_gap_m: float, accel: float, decel: float, headway_s: float, step_s: float,
    out_mps: Array,
) -> None:  # fmt: skip
    """Speeds by the Krauss law behind whoever is next ahead in the same strip, on this edge or the next.

    `order` sorts walkers by edge and strip, in those from the front to the back; `tail` is room for
    a row of each edge and strip, -1 comes in, garbage goes out.
    """
    for k in range(len(order)):
        i = order[k]
        if 0 <= feet.part[i] < feet.n_edges[i]:
            tail[feet.edges[feet.first[i] + feet.part[i]] * n_strips + strip[i]] = i  # the last one stays
    leader, last_lane = -1, -1
    for k in range(len(order)):
        i = order[k]
        part = feet.part[i]
        v = speed_mps[i]
        plan = min(desired_mps[i], v + accel * step_s)
        if part < 0 or part >= feet.n_edges[i]:
            out_mps[i] = desired_mps[i]
            continue
        edge = feet.edges[feet.first[i] + part]
        lane = edge * n_strips + strip[i]
        front, beyond = leader, 0.0
        if lane != last_lane:
            front = -1
            if part + 1 < feet.n_edges[i]:
                front = tail[feet.edges[feet.first[i] + part + 1] * n_strips + strip[i]]
                beyond = ways.length_m[edge]
                if front == i:
                    front = -1
        if front >= 0:
            gap = beyond + feet.offset_m[front] - feet.offset_m[i] - length_m - min_gap_m
            if gap < 0.0:
                plan = 0.0
            else:
                reach = gap + brake_gap(speed_mps[front], decel, step_s)
                plan = min(plan, stop_speed(reach, v, decel, headway_s, step_s))
        out_mps[i] = plan
        leader, last_lane = i, lane


@njit(**_OPTIONS)
def move(
    ways: Footways, feet: Feet, reach_m: Array, cycle_s: int, green_s: int, time_s: int, part: Array, offset_m: Array,
    left_m: Array, ended: Array,
) -> None:  # fmt: skip
    """Take everyone `reach_m` further along their parts; red lights end the movement, a cycle of 0 has none."""
    for i in range(len(reach_m)):
        last = feet.n_edges[i] if feet.n_edges[i] > 0 else -1
        p, at, left = feet.part[i], feet.offset_m[i], reach_m[i]
        while p <= last:
            on_edge = 0 <= p < feet.n_edges[i]
            if on_edge:
                edge = feet.edges[feet.first[i] + p]
                length = ways.length_m[edge]
            else:
                ax, ay, bx, by = _ends(ways, feet, i, p)
                length = sqrt((bx - ax) ** 2 + (by - ay) ** 2)
            go = min(max(length - at, 0.0), left)
            at += go
            left -= go
            if at < length - EPS_M:
                break
            if on_edge and cycle_s > 0:
                node = ways.edge_to[edge]
                if ways.node_signal[node] and _is_red(node, cycle_s, green_s, time_s):
                    break
            p += 1
            if p <= last:
                at = 0.0  # who is at the end of the way keeps it, and so their place
        part[i], offset_m[i], left_m[i], ended[i] = p, at, left, p > last


@njit(**_OPTIONS)
def positions(ways: Footways, feet: Feet, x_m: Array, y_m: Array) -> None:
    """Where everyone is."""
    for i in range(len(feet.part)):
        part, at = feet.part[i], feet.offset_m[i]
        if 0 <= part < feet.n_edges[i]:
            edge = feet.edges[feet.first[i] + part]
            low, high = ways.shape_start[edge], ways.shape_start[edge + 1] - 1
            while high - low > 1:
                middle = (low + high) // 2
                if ways.along_m[middle] < at:
                    low = middle
                else:
                    high = middle
            ax, ay, bx, by = ways.shape_x_m[low], ways.shape_y_m[low], ways.shape_x_m[high], ways.shape_y_m[high]
            length, at = ways.along_m[high] - ways.along_m[low], at - ways.along_m[low]
        else:
            ax, ay, bx, by = _ends(ways, feet, i, part)
            length = sqrt((bx - ax) ** 2 + (by - ay) ** 2)
        share = min(max(at / max(length, EPS_M), 0.0), 1.0)
        x_m[i], y_m[i] = ax + share * (bx - ax), ay + share * (by - ay)


@njit(inline="always")
def _ends(ways: Footways, feet: Feet, i: int, part: int) -> tuple[float, float, float, float]:
    """Ends of the straight leg before or after a walk's edges, or of the only leg."""
    ax, ay, bx, by = feet.from_x_m[i], feet.from_y_m[i], feet.to_x_m[i], feet.to_y_m[i]
    if feet.n_edges[i] > 0:
        if part < 0:
            point = ways.shape_start[feet.edges[feet.first[i]]]
            bx, by = ways.shape_x_m[point], ways.shape_y_m[point]
        else:
            point = ways.shape_start[feet.edges[feet.first[i] + feet.n_edges[i] - 1] + 1] - 1
            ax, ay = ways.shape_x_m[point], ways.shape_y_m[point]
    return ax, ay, bx, by


@njit(inline="always")
def _is_red(node: int, cycle_s: int, green_s: int, time_s: int) -> bool:
    """Every node has its own offset into the cycle: a multiplicative hash."""
    offset = ((np.uint64(node) * np.uint64(2654435761)) >> np.uint64(7)) % np.uint64(cycle_s)
    return (int(offset) + time_s) % cycle_s >= green_s
