"""People inside areas: they stand or sit, and now and then walk to another point of the same area.

Points come from the real outlines (for buildings all parts, courtyards excluded). A person only
sets out on a straight line that stays inside; otherwise another point is tried a second later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32, Int64

from mndt.city.model import City

Array = np.ndarray

POINTS_PER_AREA = 24


@dataclass(frozen=True)
class Outlines:
    """The border of every area as loose segments: those of area a are rows ``start[a]:start[a + 1]``."""

    start: Int64[Array, "areas_plus_1"]
    ax_m: Float64[Array, "segments"]
    ay_m: Float64[Array, "segments"]
    bx_m: Float64[Array, "segments"]
    by_m: Float64[Array, "segments"]

    @classmethod
    def from_city(cls, city: City) -> Outlines:
        """All rings of the building of an area, or the outline of open ground."""
        areas, buildings = city.areas, city.buildings
        n = len(areas)
        has_building = np.asarray(areas.building) >= 0
        b = np.where(has_building, areas.building, 0)
        ring_start, point_start = np.asarray(buildings.ring_start), np.asarray(buildings.point_start)
        n_rings = np.where(has_building, ring_start[b + 1] - ring_start[b], 1) if n else np.zeros(0, np.int64)
        ring_area = np.repeat(np.arange(n), n_rings)
        nth = _within(n_rings)
        built = has_building[ring_area]
        ring = np.where(built, ring_start[b[ring_area]] + nth, 0)
        first = np.asarray(areas.point_start)[:-1][ring_area].astype(np.int64)
        size = np.diff(areas.point_start)[ring_area].astype(np.int64)
        first[built] = point_start[ring[built]]
        size[built] = point_start[ring[built] + 1] - point_start[ring[built]]
        x = np.concatenate([areas.point_x_m, buildings.point_x_m]).astype(float)
        y = np.concatenate([areas.point_y_m, buildings.point_y_m]).astype(float)
        first[built] += len(areas.point_x_m)
        k, base = _within(size), np.repeat(first, size)
        p, q = base + k, base + (k + 1) % np.repeat(np.maximum(size, 1), size)
        start = np.concatenate([[0], np.cumsum(np.bincount(ring_area, size, n))]).astype(np.int64)
        return cls(start, x[p], y[p], x[q], y[q])

    def __len__(self) -> int:
        return len(self.start) - 1

    def pairs(self, area: Int32[Array, "n"]) -> tuple[Int64[Array, "pairs"], Int64[Array, "pairs"]]:
        """All (query, segment) pairs of queries about areas."""
        count = self.start[area + 1] - self.start[area]
        query = np.repeat(np.arange(len(area)), count)
        return query, self.start[area][query] + _within(count)

    def contain(self, area: Int32[Array, "n"], x_m: Array, y_m: Array) -> Bool[Array, "n"]:
        """Whether points lie inside areas (even-odd rule, so courtyards are outside)."""
        q, s = self.pairs(area)
        above = (self.ay_m[s] > y_m[q]) != (self.by_m[s] > y_m[q])
        q, s = q[above], s[above]
        slope = (self.bx_m[s] - self.ax_m[s]) / (self.by_m[s] - self.ay_m[s])
        right = x_m[q] < self.ax_m[s] + (y_m[q] - self.ay_m[s]) * slope
        return np.asarray(np.bincount(q[right], minlength=len(area)) % 2 == 1)

    def clear(self, area: Int32[Array, "n"], ax: Array, ay: Array, bx: Array, by: Array) -> Bool[Array, "n"]:
        """Whether straight lines between two points inside cross no border."""
        q, s = self.pairs(area)
        px, py, qx, qy = ax[q], ay[q], bx[q], by[q]
        ux, uy, vx, vy = self.ax_m[s], self.ay_m[s], self.bx_m[s], self.by_m[s]
        # ends of each on different sides of the other; touching counts as crossing
        side_u = (qx - px) * (uy - py) - (qy - py) * (ux - px)
        side_v = (qx - px) * (vy - py) - (qy - py) * (vx - px)
        side_p = (vx - ux) * (py - uy) - (vy - uy) * (px - ux)
        side_q = (vx - ux) * (qy - uy) - (vy - uy) * (qx - ux)
        crossed = (side_u * side_v <= 0) & (side_p * side_q <= 0)
        return np.asarray(np.bincount(q[crossed], minlength=len(area)) == 0)


def sample_points(
    city: City, outlines: Outlines, rng: np.random.Generator, per_area: int = POINTS_PER_AREA
) -> tuple[Float32[Array, "areas points"], Float32[Array, "areas points"]]:
    """Points inside every area, uniform over it, by rejection from its bounding box.

    Where chance finds no point (a sliver) the area's own inner point stands in.
    """
    n = len(outlines)
    x = np.repeat(np.asarray(city.areas.x_m, np.float32)[:, None], per_area, axis=1)
    y = np.repeat(np.asarray(city.areas.y_m, np.float32)[:, None], per_area, axis=1)
    have = np.zeros(n, np.int64)
    some = np.flatnonzero(np.diff(outlines.start) > 0)
    low_x, high_x = _extent(outlines, some, outlines.ax_m, n)
    low_y, high_y = _extent(outlines, some, outlines.ay_m, n)
    for _ in range(8):
        area = np.repeat(some, 2 * per_area)
        if not len(area):
            break
        px = (low_x[area] + rng.random(len(area)) * (high_x - low_x)[area]).astype(np.float32)
        py = (low_y[area] + rng.random(len(area)) * (high_y - low_y)[area]).astype(np.float32)
        for rows in np.array_split(np.arange(len(area)), 1 + len(area) // 50_000):
            inside = rows[outlines.contain(area[rows], px[rows], py[rows])]
            slot = have[area[inside]] + _rank(area[inside])
            fits = slot < per_area
            x[area[inside][fits], slot[fits]] = px[inside][fits]
            y[area[inside][fits], slot[fits]] = py[inside][fits]
            have += np.bincount(area[inside][fits], minlength=n)
        some = some[have[some] < per_area]
    # what is still missing repeats points already found
    short = np.flatnonzero((have > 0) & (have < per_area))
    for a in short:
        again = np.arange(have[a], per_area) % have[a]
        x[a, have[a] :], y[a, have[a] :] = x[a, again], y[a, again]
    return x, y


@dataclass(frozen=True)
class Stays:
    """Where people inside areas are heading; equal to the position while they stand."""

    goal_x_m: Float32[Array, "users"]
    goal_y_m: Float32[Array, "users"]


@dataclass(frozen=True)
class Indoor:
    """The indoor model of a city: `step` moves all people inside areas by one second."""

    outlines: Outlines
    point_x_m: Float32[Array, "areas points"]
    point_y_m: Float32[Array, "areas points"]
    stand_s: float

    @classmethod
    def from_city(cls, city: City, stand_s: float, rng: np.random.Generator) -> Indoor:
        """Sample the points of every area."""
        outlines = Outlines.from_city(city)
        return cls(outlines, *sample_points(city, outlines, rng), stand_s)

    def random_point(
        self, area: Int32[Array, "n"], rng: np.random.Generator
    ) -> tuple[Float32[Array, "n"], Float32[Array, "n"]]:
        """One of the points of each area."""
        if not len(area):
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        which = rng.integers(self.point_x_m.shape[1], size=len(area))
        return self.point_x_m[area, which], self.point_y_m[area, which]

    def step(
        self,
        stays: Stays,
        x_m: Float32[Array, "users"],
        y_m: Float32[Array, "users"],
        area: Int32[Array, "users"],
        inside: Bool[Array, "users"],
        pace_mps: Float32[Array, "users"],
        rng: np.random.Generator,
    ) -> tuple[Stays, Float32[Array, "users"], Float32[Array, "users"], Float32[Array, "users"]]:
        """Returns stays, x, y, speed; rows that are not inside keep their position at speed 0."""
        goal_x, goal_y = stays.goal_x_m.copy(), stays.goal_y_m.copy()
        restless = rng.random(len(x_m), dtype=np.float32) < -np.expm1(-1.0 / self.stand_s)
        rows = np.flatnonzero(restless & inside & (goal_x == x_m) & (goal_y == y_m))
        nx, ny = self.random_point(area[rows], rng)
        clear = self.outlines.clear(area[rows], *(v.astype(float) for v in (x_m[rows], y_m[rows], nx, ny)))
        goal_x[rows[clear]], goal_y[rows[clear]] = nx[clear], ny[clear]
        x, y, speed = x_m.copy(), y_m.copy(), np.zeros_like(x_m)
        rows = np.flatnonzero(inside & ((goal_x != x_m) | (goal_y != y_m)))
        dx, dy = goal_x[rows] - x_m[rows], goal_y[rows] - y_m[rows]
        distance = np.hypot(dx, dy)
        # indoors people stroll at about two thirds of their pace outdoors
        reach = np.minimum(distance, np.float32(0.65) * pace_mps[rows])
        arrived = reach >= distance
        share = reach / np.maximum(distance, np.float32(1e-6))
        x[rows] = np.where(arrived, goal_x[rows], x_m[rows] + share * dx)
        y[rows] = np.where(arrived, goal_y[rows], y_m[rows] + share * dy)
        speed[rows] = reach
        return Stays(goal_x, goal_y), x, y, speed


def _within(count: Int[Array, "n"]) -> Int64[Array, "total"]:
    """0, 1, .. count[0] - 1, 0, 1, .. count[1] - 1, ..."""
    count = np.asarray(count, np.int64)
    return np.asarray(np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count))


def _rank(sorted_rows: Int[Array, "n"]) -> Int64[Array, "n"]:
    """Position of each entry among its equals in a sorted array."""
    return np.arange(len(sorted_rows)) - np.searchsorted(sorted_rows, sorted_rows)


def _extent(outlines: Outlines, some: Array, values: Array, n: int) -> tuple[Array, Array]:
    low, high = np.zeros(n), np.zeros(n)
    if len(some):
        low[some] = np.minimum.reduceat(values, outlines.start[some])
        high[some] = np.maximum.reduceat(values, outlines.start[some])
    return low, high
