"""A second of all areas, compiled: social force, the learned correction, walls, way-points.

People of area a are ``order[start[a]:start[a + 1]]``. Only those who walk are moved; the others stand in the way.
"""

from __future__ import annotations

from math import exp, sqrt
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mndt.radio._simd import exp2f
from mndt.users.crowd.correction import (
    ARRIVED_M,
    CUTOFF_M,
    EDGE_FEATURES,
    EDGE_HIDDEN,
    FASTEST_FACTOR,
    FASTEST_SPARE_MPS,
    LEAST_SHARE,
    MOST_FASTER_MPS,
    MOST_PUSH_MPS2,
    MOST_SIDEWAYS_MPS,
    SELF_FEATURES,
    SELF_HIDDEN,
)  # fmt: skip

_FAST: dict[str, Any] = {"fastmath": True, "error_model": "numpy", "nogil": True}
_INNER: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
inner = njit(**_INNER, **_FAST)
inlined = njit(forceinline=True, **_INNER, **_FAST)

H, S = EDGE_HIDDEN, SELF_HIDDEN
_GATE = 4 + EDGE_FEATURES * H + H
_HIDDEN = _GATE + H + 1
_SECOND = _HIDDEN + (H + SELF_FEATURES) * S + S
_OUT = _SECOND + S * S + S
F = np.float32
LOG2_E = 1.4426950408889634

Array = np.ndarray

ALL_PAIRS = 40
"""With fewer people in an area, all pairs are cheaper than cells."""
MOST_CELLS = 64
WALL_PUSH_MPS2 = 5.0
WALL_RANGE_M = 0.15
BODY_M = 0.25
WALL_REACH_M = 1.0
SKIN_M = 0.03
"""Nobody comes nearer to a wall by his own steps."""
WAY_POINT_M = 0.5


@inlined
def _clip(x):  # type: ignore[no-untyped-def]
    return F(max(-1.5, min(1.5, x)))


@inlined
def _soft(x):  # type: ignore[no-untyped-def]
    return x / (F(1.0) + abs(x))


@inner
def _pull(p, law, net, i, candidates, n_candidates, to_x, to_y, rest_m, first, second, sums):  # type: ignore[no-untyped-def]
    """Acceleration of walker i towards (to_x, to_y), walls apart; `rest_m` is the way from there to his goal."""
    x, y, vx, vy, v0 = p.x[i], p.y[i], p.vx[i], p.vy[i], p.pace[i]
    way_x, way_y = to_x - x, to_y - y
    leg = sqrt(way_x * way_x + way_y * way_y + 1e-8)
    ex, ey = way_x / leg, way_y / leg
    v1, v2 = vx * ex + vy * ey, -vx * ey + vy * ex
    fx = fy = 0.0
    for k in range(H):
        sums[k] = F(0.0)
    for c in range(n_candidates):
        j = candidates[c]
        rx, ry = p.x[j] - x, p.y[j] - y
        d2 = rx * rx + ry * ry + 1e-6
        if j == i or d2 >= CUTOFF_M * CUTOFF_M:
            continue
        d = sqrt(d2)
        near = F((1.0 - d2 / (CUTOFF_M * CUTOFF_M)) ** 2)
        r1, u1, u2 = rx * ex + ry * ey, p.vx[j] * ex + p.vy[j] * ey, -p.vx[j] * ey + p.vy[j] * ex
        f0, f1 = _clip(r1 / CUTOFF_M), _clip((-rx * ey + ry * ex) / CUTOFF_M)
        f2, f3 = _clip((u1 - v1) / 2), _clip((u2 - v2) / 2)
        f4, f5 = _clip(d / CUTOFF_M), _clip(1.0 / (1.0 + 4.0 * d2))
        f6, f7 = _clip(u1 / 1.5), _clip(u2 / 1.5)
        gate = net[_GATE + H]
        for k in range(H):
            h = net[4 + EDGE_FEATURES * H + k] + f0 * net[4 + k] + f1 * net[4 + H + k] + f2 * net[4 + 2 * H + k]
            h += f3 * net[4 + 3 * H + k] + f4 * net[4 + 4 * H + k] + f5 * net[4 + 5 * H + k]
            h += f6 * net[4 + 6 * H + k] + f7 * net[4 + 7 * H + k]
            h = max(h, F(0.0))
            sums[k] += near * h
            gate += h * net[_GATE + k]
        power = F(max(-60.0, min(20.0, law[1] + (0.6 - d) * law[2])))
        push = exp2f(power) * (law[3] + (1.0 - law[3]) * (1.0 + r1 / d) / 2) * (F(1.0) + _soft(gate)) / d
        fx -= push * rx
        fy -= push * ry
    size = fx * fx + fy * fy
    cap = MOST_PUSH_MPS2 / sqrt(size) if size > MOST_PUSH_MPS2 * MOST_PUSH_MPS2 else 1.0
    goal_m = leg + rest_m
    _network(net, sums, first, second, v1, v2, v0, p.way_m[i], goal_m)
    faster, sideways = sums[0], sums[1]
    change = faster * (MOST_FASTER_MPS if faster > 0 else (1.0 - LEAST_SHARE) * v0)
    aside = sideways * MOST_SIDEWAYS_MPS * min(1.0, leg / 1.5)
    ax = ((v0 + change) * ex - aside * ey - vx) * law[0] + cap * fx
    ay = ((v0 + change) * ey + aside * ex - vy) * law[0] + cap * fy
    return ax, ay


@inner
def _network(net, sums, first, second, v1, v2, v0, way_m, goal_m):  # type: ignore[no-untyped-def]
    """Slower or faster and sideways, each in (-1, 1), into sums[0] and sums[1].

    Who walks by his own plan was *seen* to walk straight at v0.
    """
    o0, o1, o2, o3 = _clip(v1 / 1.5), _clip(v2 / 1.5), _clip(v0 / 1.5), _clip(v0 / 1.5)
    o5, o6 = _clip(min(way_m, 25.0) / 10 - 1), _clip(min(goal_m, 25.0) / 10 - 1)
    o7, q = _clip(goal_m / (goal_m + 2.0)), _HIDDEN + H * S
    for k in range(S):
        h = net[_HIDDEN + (H + SELF_FEATURES) * S + k] + o0 * net[q + k] + o1 * net[q + S + k]
        h += o2 * net[q + 2 * S + k] + o3 * net[q + 3 * S + k] + o5 * net[q + 5 * S + k]
        first[k] = h + o6 * net[q + 6 * S + k] + o7 * net[q + 7 * S + k]
    for f in range(H):
        if sums[f] > F(0.0):
            m = sums[f] / (F(2.0) + sums[f])
            for k in range(S):
                first[k] += m * net[_HIDDEN + f * S + k]
    for k in range(S):
        first[k] = _soft(first[k])
        second[k] = net[_SECOND + S * S + k]
    for f in range(0, S, 4):
        h0, h1, h2, h3 = first[f], first[f + 1], first[f + 2], first[f + 3]
        q = _SECOND + f * S
        for k in range(S):
            second[k] += h0 * net[q + k] + h1 * net[q + S + k] + h2 * net[q + 2 * S + k] + h3 * net[q + 3 * S + k]
    faster, sideways = net[_OUT + 2 * S], net[_OUT + 2 * S + 1]
    for f in range(S):
        h = _soft(second[f])
        faster += h * net[_OUT + 2 * f]
        sideways += h * net[_OUT + 2 * f + 1]
    sums[0], sums[1] = _soft(faster), _soft(sideways)


@inlined
def _nearest(w, s, x, y):  # type: ignore[no-untyped-def]
    """Vector from the nearest point of a wall, and its length squared."""
    ux, uy = w.bx[s] - w.ax[s], w.by[s] - w.ay[s]
    t = ((x - w.ax[s]) * ux + (y - w.ay[s]) * uy) / (ux * ux + uy * uy + 1e-12)
    t = max(0.0, min(1.0, t))
    dx, dy = x - w.ax[s] - t * ux, y - w.ay[s] - t * uy
    return dx, dy, dx * dx + dy * dy


@inlined
def _crosses(w, s, x, y, nx, ny):  # type: ignore[no-untyped-def]
    """Whether a step crosses a wall."""
    ax, ay, bx, by = w.ax[s], w.ay[s], w.bx[s], w.by[s]
    side_u = (nx - x) * (ay - y) - (ny - y) * (ax - x)
    side_v = (nx - x) * (by - y) - (ny - y) * (bx - x)
    side_p = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    side_q = (bx - ax) * (ny - ay) - (by - ay) * (nx - ax)
    return side_u * side_v <= 0.0 and side_p * side_q <= 0.0


@inner
def _allowed(w, near, k, n_near, x, y, nx, ny):  # type: ignore[no-untyped-def]
    """Whether a step of the k-th walker neither crosses a wall nor ends in its skin (unless it leads out of it)."""
    for c in range(n_near):
        s = near[k, c]
        d2 = _nearest(w, s, nx, ny)[2]
        if d2 < SKIN_M * SKIN_M and d2 <= _nearest(w, s, x, y)[2]:
            return False
        if d2 < 1.0 and _crosses(w, s, x, y, nx, ny):
            return False
    return True


@inner
def _wall_push(w, near, k, n_near, x, y):  # type: ignore[no-untyped-def]
    """Push in m/s2 away from walls; the nearest wall and its distance squared."""
    fx, fy, best, wall = 0.0, 0.0, 1e30, 0
    for c in range(n_near):
        s = near[k, c]
        dx, dy, d2 = _nearest(w, s, x, y)
        if d2 < best:
            best, wall = d2, s
        if d2 < WALL_REACH_M * WALL_REACH_M:
            d = sqrt(d2) + 1e-9
            push = WALL_PUSH_MPS2 * exp((BODY_M - d) / WALL_RANGE_M) / d
            fx += push * dx
            fy += push * dy
    cap = min(1.0, MOST_PUSH_MPS2 / sqrt(fx * fx + fy * fy + 1e-8))
    return cap * fx, cap * fy, best, wall


@inner
def _walls_around(w, first, last, x, y, reach_m, near, k):  # type: ignore[no-untyped-def]
    """Walls within reach."""
    n = 0
    for s in range(first, last):
        low_x, high_x = min(w.ax[s], w.bx[s]) - reach_m, max(w.ax[s], w.bx[s]) + reach_m
        low_y, high_y = min(w.ay[s], w.by[s]) - reach_m, max(w.ay[s], w.by[s]) + reach_m
        if low_x <= x <= high_x and low_y <= y <= high_y and _nearest(w, s, x, y)[2] <= reach_m * reach_m:
            near[k, n] = s
            n += 1
    return n


@inner
def _fill_cells(p, members, m, head, following, box):  # type: ignore[no-untyped-def]
    """Linked lists of the people in square cells as wide as the cutoff."""
    box[0] = box[1] = 1e30
    high_x = high_y = -1e30
    for k in range(m):
        box[0], box[1] = min(box[0], p.x[members[k]]), min(box[1], p.y[members[k]])
        high_x, high_y = max(high_x, p.x[members[k]]), max(high_y, p.y[members[k]])
    n_x = min(MOST_CELLS, int((high_x - box[0]) / CUTOFF_M) + 1)
    n_y = min(MOST_CELLS, int((high_y - box[1]) / CUTOFF_M) + 1)
    head[: n_x * n_y] = -1
    for k in range(m):
        i = members[k]
        c = min(n_x - 1, int((p.x[i] - box[0]) / CUTOFF_M)) + n_x * min(n_y - 1, int((p.y[i] - box[1]) / CUTOFF_M))
        following[k] = head[c]
        head[c] = k
    return n_x, n_y


@inner
def _people_around(p, members, i, head, following, box, n_x, n_y, found):  # type: ignore[no-untyped-def]
    """Members in the nine cells around person i."""
    n = 0
    cx = min(n_x - 1, int((p.x[i] - box[0]) / CUTOFF_M))
    cy = min(n_y - 1, int((p.y[i] - box[1]) / CUTOFF_M))
    for qy in range(max(0, cy - 1), min(n_y, cy + 2)):
        for qx in range(max(0, cx - 1), min(n_x, cx + 2)):
            k = head[qx + n_x * qy]
            while k >= 0:
                found[n] = members[k]
                n += 1
                k = following[k]
    return n


@inner
def _target(p, ways, a, i):  # type: ignore[no-untyped-def]
    """Where walker i heads now, and the way from there to his goal."""
    via, aim = p.via[i], p.aim[i]
    while via != aim:
        dx, dy = ways.x[a, via] - p.x[i], ways.y[a, via] - p.y[i]
        if dx * dx + dy * dy > WAY_POINT_M * WAY_POINT_M:
            p.via[i] = via
            return ways.x[a, via], ways.y[a, via], ways.length[a, via, aim]
        via = ways.hop[a, via, aim]
    p.via[i] = via
    return p.goal_x[i], p.goal_y[i], F(0.0)


@inner
def _move(p, w, near, k, n_near, i, ax, ay, wall, free_m2, step_s):  # type: ignore[no-untyped-def]
    """One step of a walker; walls make him slide along or stop. Whoever comes to his goal stands.

    `wall` is the one nearest to him, `free_m2` the square of the distance.
    """
    vx, vy = p.vx[i] + ax * step_s, p.vy[i] + ay * step_s
    v = sqrt(vx * vx + vy * vy + 1e-8)
    cap = min(1.0, (FASTEST_FACTOR * p.pace[i] + FASTEST_SPARE_MPS) / v)
    vx, vy = cap * vx, cap * vy
    x, y = p.x[i], p.y[i]
    touches = free_m2 < (cap * v * step_s + SKIN_M) ** 2
    if touches and not _allowed(w, near, k, n_near, x, y, x + vx * step_s, y + vy * step_s):
        ux, uy = w.bx[wall] - w.ax[wall], w.by[wall] - w.ay[wall]
        along = (vx * ux + vy * uy) / (ux * ux + uy * uy + 1e-12)
        vx, vy = along * ux, along * uy
        if not _allowed(w, near, k, n_near, x, y, x + vx * step_s, y + vy * step_s):
            vx = vy = 0.0
    p.x[i], p.y[i] = x + vx * step_s, y + vy * step_s
    p.vx[i], p.vy[i] = vx, vy
    if p.via[i] != p.aim[i]:
        return
    to_x, to_y, from_x, from_y = p.goal_x[i] - p.x[i], p.goal_y[i] - p.y[i], p.goal_x[i] - x, p.goal_y[i] - y
    passed = to_x * from_x + to_y * from_y < 0.0 and from_x * from_x + from_y * from_y < 0.25
    if to_x * to_x + to_y * to_y < ARRIVED_M * ARRIVED_M or passed:
        _stand(p, i)


@inlined
def _stand(p, i):  # type: ignore[no-untyped-def]
    """He stays where he is."""
    p.walking[i] = False
    p.vx[i] = p.vy[i] = 0.0


@inner
def _step_area(p, members, m, walkers, n, near, n_near, a, w, ways, law, net, box, ints, reals, singles, step_s):  # type: ignore[no-untyped-def]
    """One step of one area."""
    n_x = n_y = 0
    if m > ALL_PAIRS:
        n_x, n_y = _fill_cells(p, members, m, ints.head, ints.following, box)
    for k in range(n):
        i = walkers[k]
        if not p.walking[i]:
            continue
        to_x, to_y, rest_m = _target(p, ways, a, i)
        candidates, count = members, m
        if m > ALL_PAIRS:
            candidates = ints.found
            count = _people_around(p, members, i, ints.head, ints.following, box, n_x, n_y, candidates)
        ax, ay = _pull(
            p, law, net, i, candidates, count, to_x, to_y, rest_m, singles.first, singles.second, singles.sums
        )
        push_x, push_y, reals.free_m2[k], ints.wall[k] = _wall_push(w, near, k, n_near[k], p.x[i], p.y[i])
        reals.ax[k], reals.ay[k] = ax + push_x, ay + push_y
    for k in range(n):
        if p.walking[walkers[k]]:
            _move(
                p, w, near, k, n_near[k], walkers[k], reals.ax[k], reals.ay[k], ints.wall[k], reals.free_m2[k], step_s
            )


class _Ints(NamedTuple):
    head: Array
    following: Array
    found: Array
    wall: Array


class _Reals(NamedTuple):
    ax: Array
    ay: Array
    free_m2: Array


class _Singles(NamedTuple):
    first: Array
    second: Array
    sums: Array


@njit(cache=True, **_FAST)
def step_areas(p, order, start, w, ways, net, steps, step_s):  # type: ignore[no-untyped-def]
    """Move all walkers in place.

    Args:
        p: people (`mndt.users.crowd.walking.People`).
        order: rows of the people inside, by area.
        start: first entry of each area in `order`, and the end.
        w: walls (`Walls`).
        ways: way-points (`WayTables`).
        net: `Correction.table`.
        steps: how many.
        step_s: length of one.
    """
    most = 1
    for a in range(len(start) - 1):
        most = max(most, start[a + 1] - start[a])
    law = np.array([exp(-net[0]), net[1] * LOG2_E, LOG2_E * exp(-net[2]), 1.0 / (1.0 + exp(-net[3]))])
    ints = _Ints(
        np.empty(MOST_CELLS * MOST_CELLS, np.int64), np.empty(most, np.int64), np.empty(most, np.int64),
        np.empty(most, np.int64),
    )  # fmt: skip
    reals, box = _Reals(np.empty(most), np.empty(most), np.empty(most)), np.empty(2)
    singles = _Singles(np.empty(S, np.float32), np.empty(S, np.float32), np.empty(H, np.float32))
    walkers, n_near = np.empty(most, np.int64), np.empty(most, np.int64)
    for a in range(len(start) - 1):
        members = order[start[a] : start[a + 1]]
        m, n = len(members), 0
        for k in range(m):
            if p.walking[members[k]]:
                walkers[n] = members[k]
                n += 1
        if n == 0:
            continue
        first, last = w.start[a], w.start[a + 1]
        near = np.empty((n, max(last - first, 1)), np.int64)
        for k in range(n):
            i = walkers[k]
            reach_m = WALL_REACH_M + steps * step_s * (FASTEST_FACTOR * p.pace[i] + FASTEST_SPARE_MPS)
            n_near[k] = _walls_around(w, first, last, p.x[i], p.y[i], reach_m, near, k)
        for _ in range(steps):
            _step_area(p, members, m, walkers, n, near, n_near, a, w, ways, law, net, box, ints, reals, singles, step_s)


@njit(cache=True, **_FAST)
def way_tables(x, y, w, length, hop):  # type: ignore[no-untyped-def]
    """Fill in `length` and `hop` of all areas: shortest ways along pairs of points that see each other.

    Where no way leads, `length` is negative.
    """
    n_points = x.shape[1]
    for a in range(x.shape[0]):
        for i in range(n_points):
            length[a, i, i], hop[a, i, i] = 0.0, i
            for j in range(i):
                clear = True
                for s in range(w.start[a], w.start[a + 1]):
                    if _crosses(w, s, x[a, i], y[a, i], x[a, j], y[a, j]):
                        clear = False
                        break
                far = sqrt((x[a, i] - x[a, j]) ** 2 + (y[a, i] - y[a, j]) ** 2) if clear else 1e9
                length[a, i, j] = length[a, j, i] = far
                hop[a, i, j], hop[a, j, i] = j, i
        for k in range(n_points):
            for i in range(n_points):
                for j in range(n_points):
                    far = length[a, i, k] + length[a, k, j]
                    if far < length[a, i, j] - 1e-4:
                        length[a, i, j], hop[a, i, j] = far, hop[a, i, k]
        for i in range(n_points):
            for j in range(n_points):
                if length[a, i, j] >= 1e9:
                    length[a, i, j] = -1.0
