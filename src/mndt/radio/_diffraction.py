"""The work of the diffraction sweep in numba: rays over a raster, then losses of all cells at once.

Plain reference: `tests/radio/test_diffraction.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, _fitted, exp2f, log2f

_MOST_EDGES = 255
_LEAST_M = 1e-3  # ground distance of a cell right below the antenna
_FLAT_DOWN = -1e12  # slope below all others
_LEAST_TURN = 1e-12  # of a ray at an edge
_HALF, _ONE = 0.500000001, 1.000000001  # two rays may claim a cell, none must not
_LOG2_PER_DB = F(np.log2(10.0) / 10.0)
_DB_PER_LOG2 = F(20.0 / np.log2(10.0))
_LOG2_PER_SIXTH = F(np.log2(np.e) / 6.0)
_HALF_PI = F(np.pi / 2)


def _arctan_ratio(z: Any) -> Any:
    """arctan(x) / x over z = x^2."""
    x = np.sqrt(np.maximum(z, 1e-12))
    return np.arctan(x) / x


_A0, _A1, _A2, _A3, _A4, _A5, _A6, _A7 = _fitted(_arctan_ratio, 0.0, 1.0, 7)


@nb.njit(inline="always", **FAST)
def _way(start: Any, n: Any, quarter: Any) -> Any:
    """The cells with a centre ahead of `start`, forwards in even quarters, backwards in odd ones.

    Returns:
        Distance to the first centre, number of cells, the first cell and the step to the next.
    """
    if quarter % 2 == 0:
        first = max(0, math.floor(start - 0.5) + 1)
        return first + 0.5 - start, n - first, first, 1
    first = min(n - 1, math.ceil(start - 0.5) - 1)
    return start - 0.5 - first, first + 1, first, -1


@nb.njit(inline="always", **FAST)
def _fan(near: Any, far: Any, start: Any, n_across: Any) -> Any:
    """How many rays a quarter of 45 degrees needs, and the lowest and highest that meet the raster."""
    fan = int(far) + 1
    low = -start / (near if start > 0.0 else far)
    high = (n_across - start) / (near if start < n_across else far)
    low, high = min(max(low, -1.0), 2.0), max(min(high, 1.0), -2.0)
    return fan, max(-fan, math.floor(low * fan)), min(fan, math.ceil(high * fan))


@nb.njit(inline="always", **FAST)
def _tangent(hull_d: Any, hull_z: Any, top: Any, d_m: Any, user: Any) -> Any:
    """The hull's point that bounds the user's view towards the antenna, and the slope up to it."""
    e = top
    while e > 1 and (hull_z[e] - user) * (d_m - hull_d[e - 1]) <= (hull_z[e - 1] - user) * (d_m - hull_d[e]):
        e -= 1
    return e, (hull_z[e] - user) / (d_m - hull_d[e])


@nb.njit(inline="always", **FAST)
def _push(hull_d: Any, hull_z: Any, top: Any, d_m: Any, z_m: Any) -> Any:
    """Put a point on the upper convex hull, a stack over the antenna in place 0; the new top."""
    while top > 0 and (hull_z[top] - hull_z[top - 1]) * (d_m - hull_d[top - 1]) <= (z_m - hull_z[top - 1]) * (
        hull_d[top] - hull_d[top - 1]
    ):
        top -= 1
    top += 1
    hull_d[top], hull_z[top] = d_m, z_m
    return top


@nb.njit(**FAST)
def march(
    roof_m: Any,
    building: Any,
    ground_m: Any,
    own: Any,
    cell_m: Any,
    x_m: Any,
    y_m: Any,
    antenna_m: Any,
    user_m: Any,
    detour_m: Any,
    slope: Any,
    edges: Any,
) -> None:
    """What the vertical plane through the antenna and each outdoor cell holds.

    Four quarters of the compass (east, west, north, south) are each swept by a fan of rays that cross
    the raster one column, or row, after the other and lie at most one cell apart at its far end. So every
    cell is crossed, and the one ray that passes nearest to its centre decides.

    Args:
        roof_m, building: raster; `building` < 0 is outdoors.
        ground_m: raster of the ground, or of size 0 for flat ground at 0.
        own: transparent building, -1 for none.
        x_m, y_m, antenna_m: place and altitude of the antenna.
        user_m: height of a user above the ground.
        detour_m: how much longer than the straight line the way over both horizons is, 0 in sight.
        slope: of the departure.
        edges: number of hull points between both ends.
    """
    rows, cols = building.shape
    roofs, inside, lands = roof_m.ravel(), building.ravel(), ground_m.ravel()
    detours, slopes, counts = detour_m.ravel(), slope.ravel(), edges.ravel()
    hilly = lands.size > 0
    hull_d, hull_z = np.empty(max(rows, cols) + 2), np.empty(max(rows, cols) + 2)
    hull_d[0], hull_z[0] = 0.0, antenna_m
    for quarter in range(4):
        if quarter < 2:
            n_across, to_next, to_side, start = rows, 1, cols, y_m / cell_m
            near, n_steps, cell_0, turn = _way(x_m / cell_m, cols, quarter)
        else:
            n_across, to_next, to_side, start = cols, cols, 1, x_m / cell_m
            near, n_steps, cell_0, turn = _way(y_m / cell_m, rows, quarter)
        fan, low, high = _fan(near, near + n_steps - 1, start, n_across)
        for ray in range(low, high + 1 if n_steps > 0 else low):
            lean = ray / fan
            step_m = cell_m * math.sqrt(1.0 + lean * lean)
            top, horizon, stretch = 0, _FLAT_DOWN, 1.0
            for step in range(n_steps):
                ahead = near + step
                across = start + lean * ahead
                if across < 0.0 or across >= n_across:
                    if (across < 0.0) == (lean <= 0.0):
                        break  # for good
                    continue
                line = int(across)
                cell = (cell_0 + turn * step) * to_next + line * to_side
                here = inside[cell]
                if here >= 0 and here == own and not hilly:
                    continue
                d_m = max(ahead * step_m, _LEAST_M)
                land = lands[cell] if hilly else 0.0
                middle = line + 0.5
                # cells beyond the diagonal belong to another quarter
                if here < 0 and abs(across - middle) * fan <= _HALF * ahead and abs(middle - start) <= _ONE * ahead:
                    user = land + user_m
                    fall = (user - antenna_m) / d_m
                    if fall >= horizon:
                        detours[cell], slopes[cell], counts[cell] = 0.0, fall, 0
                    else:
                        last, back = _tangent(hull_d, hull_z, top, d_m, user)
                        # on a line that grazes an edge both sums may round to nothing
                        apex = d_m * min(max((fall + back) / max(horizon + back, _LEAST_TURN), 0.0), 1.0)
                        over = apex * stretch + (d_m - apex) * math.sqrt(1.0 + back * back)
                        detours[cell] = max(over - d_m * math.sqrt(1.0 + fall * fall), 0.0)
                        slopes[cell], counts[cell] = horizon, min(last, _MOST_EDGES)
                if here < 0 and not hilly:
                    continue
                top = _push(hull_d, hull_z, top, d_m, land + (roofs[cell] if here >= 0 and here != own else 0.0))
                if top == 1:
                    horizon = (hull_z[1] - antenna_m) / hull_d[1]
                    stretch = math.sqrt(1.0 + horizon * horizon)


@nb.njit(inline="always", **FAST)
def arctanf(x: Any) -> Any:
    """Arc tangent of a float32, absolute error below 1e-6."""
    steep = abs(x) > F(1.0)
    t = F(1.0) / x if steep else x
    z = t * t
    angle = t * (_A0 + z * (_A1 + z * (_A2 + z * (_A3 + z * (_A4 + z * (_A5 + z * (_A6 + z * _A7)))))))
    return (_HALF_PI if x > F(0.0) else -_HALF_PI) - angle if steep else angle


@nb.njit(**FAST)
def lose(
    building: Any, north_km: Any, east_km: Any, per_wavelength: Any, inside_db: Any, excess: Any, tilt: Any, edges: Any
) -> None:
    """Turn detours into losses and slopes into angles, in place.

    Args:
        building: raster, < 0 outdoors.
        north_km, east_km: of each row and column, seen from the antenna.
        per_wavelength: 1 / wavelength.
        inside_db: written to cells in buildings.
        excess: detours of `march`, then dB.
        tilt: slopes of `march`, then radians.
        edges: of `march`.
    """
    for i in range(building.shape[0]):
        up2 = north_km[i] * north_km[i]
        for j in range(building.shape[1]):
            v = F(2.0) * np.sqrt(excess[i, j] * per_wavelength) - F(0.1)
            edge_db = F(6.9) + _DB_PER_LOG2 * log2f(np.sqrt(v * v + F(1.0)) + v)
            long_db = F(10.0) + F(0.02) * np.sqrt(up2 + east_km[j] * east_km[j])
            loss = edge_db + (F(1.0) - exp2f(-edge_db * _LOG2_PER_SIXTH)) * long_db
            excess[i, j] = loss if edges[i, j] > 0 else F(0.0)
        for j in range(building.shape[1]):  # few arrays a loop, or LLVM gives up on vectors
            excess[i, j] = excess[i, j] if building[i, j] < 0 else inside_db
        for j in range(building.shape[1]):
            tilt[i, j] = arctanf(tilt[i, j]) if building[i, j] < 0 else F(0.0)


@nb.njit(**FAST)
def pool(
    excess: Any,
    edges: Any,
    tilt: Any,
    building: Any,
    row_of: Any,
    col_of: Any,
    other: Any,
    gain: Any,
    out_excess: Any,
    out_edges: Any,
    out_tilt: Any,
) -> None:
    """Mean gain of the outdoor cells of every pixel.

    Args:
        excess, edges, tilt, building: rasters of the sweep.
        row_of, col_of: the pixel of each row and column of cells, -1 beyond the map.
        other: cell (flat) that a pixel without outdoor cells takes, -1 elsewhere.
        gain: of each pixel, scratch.
        out_excess, out_edges, out_tilt: of each pixel.
    """
    gain[:], out_excess[:], out_tilt[:], out_edges[:] = F(0.0), F(0.0), F(0.0), _MOST_EDGES
    line = np.empty(excess.shape[1], np.float32)
    for i in range(excess.shape[0]):
        row = row_of[i]
        if row < 0:
            continue
        for j in range(excess.shape[1]):
            line[j] = exp2f(max(-excess[i, j] * _LOG2_PER_DB, F(-100.0))) if building[i, j] < 0 else F(0.0)
        for j in range(excess.shape[1]):
            col = col_of[j]
            if col >= 0 and building[i, j] < 0:
                gain[row, col] += F(1.0)
                out_excess[row, col] += line[j]
                out_tilt[row, col] += line[j] * tilt[i, j]
                out_edges[row, col] = min(out_edges[row, col], edges[i, j])
    cells_excess, cells_tilt, cells_edges = excess.ravel(), tilt.ravel(), edges.ravel()
    for row in range(gain.shape[0]):
        for col in range(gain.shape[1]):
            cell = other[row, col]
            if cell >= 0:
                out_excess[row, col] = cells_excess[cell]
                out_tilt[row, col], out_edges[row, col] = cells_tilt[cell], cells_edges[cell]
            else:
                out_tilt[row, col] /= out_excess[row, col]
                out_excess[row, col] = -log2f(out_excess[row, col] / gain[row, col]) / _LOG2_PER_DB
