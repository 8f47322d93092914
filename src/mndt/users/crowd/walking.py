"""Halls full of people: what the kernel moves, the walls it respects and the way-points it follows."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int64

from mndt.users.crowd.correction import Correction

Array = np.ndarray

STEP_S: Final = 0.1
"""Step of the crowd within a second."""


class People(NamedTuple):
    """Everyone whom an area may hold; the kernel changes all columns but pace, way and goal."""

    x: Float64[Array, "people"]
    y: Float64[Array, "people"]
    vx: Float64[Array, "people"]
    vy: Float64[Array, "people"]
    goal_x: Float64[Array, "people"]
    goal_y: Float64[Array, "people"]
    pace: Float64[Array, "people"]  # desired speed, m/s
    way_m: Float64[Array, "people"]  # length of the whole walk when it began
    via: Int8[Array, "people"]  # next way-point
    aim: Int8[Array, "people"]  # the way-point the goal is at
    walking: Bool[Array, "people"]


class Walls(NamedTuple):
    """Segments nobody crosses; those of area a are rows ``start[a]:start[a + 1]``."""

    start: Int64[Array, "areas_plus_1"]
    ax: Float64[Array, "segments"]
    ay: Float64[Array, "segments"]
    bx: Float64[Array, "segments"]
    by: Float64[Array, "segments"]

    @classmethod
    def none(cls, areas: int = 1) -> Walls:
        """Open ground without borders."""
        return cls(np.zeros(areas + 1, np.int64), *(np.zeros(0) for _ in range(4)))


class WayTables(NamedTuple):
    """Shortest ways between the points of each area, along straight lines that cross no wall."""

    x: Float64[Array, "areas points"]
    y: Float64[Array, "areas points"]
    length: Float32[Array, "areas points points"]  # m; negative where no way leads
    hop: Int8[Array, "areas points points"]  # first point on the way from i to j

    @classmethod
    def between(
        cls, x_m: Float64[Array, "areas points"], y_m: Float64[Array, "areas points"], walls: Walls
    ) -> WayTables:
        """Shortest ways between points (Floyd and Warshall's algorithm on pairs that see each other)."""
        from mndt.users.crowd._kernel import way_tables

        n, points = x_m.shape
        out = cls(
            np.ascontiguousarray(x_m, np.float64), np.ascontiguousarray(y_m, np.float64),
            np.zeros((n, points, points), np.float32), np.zeros((n, points, points), np.int8),
        )  # fmt: skip
        way_tables(out.x, out.y, walls, out.length, out.hop)
        return out

    @classmethod
    def none(cls, areas: int = 1) -> WayTables:
        """Everyone goes straight to his goal."""
        return cls.between(np.zeros((areas, 1)), np.zeros((areas, 1)), Walls.none(areas))


def by_area(area: Array, inside: Array, areas: int) -> tuple[Int64[Array, "inside"], Int64[Array, "areas_plus_1"]]:
    """Rows of those inside, sorted by area, and where each area begins.

    >>> order, start = by_area(np.array([1, 0, 1, -1]), np.array([True, True, True, False]), 2)
    >>> order.tolist(), start.tolist()
    ([1, 0, 2], [0, 1, 3])
    """
    rows = np.flatnonzero(inside)
    order = rows[np.argsort(area[rows], kind="stable")]
    start = np.concatenate([[0], np.cumsum(np.bincount(area[rows], minlength=areas))])
    return order.astype(np.int64), start.astype(np.int64)


def walk(
    people: People,
    order: Int64[Array, "inside"],
    start: Int64[Array, "areas_plus_1"],
    walls: Walls,
    ways: WayTables,
    correction: Correction,
    seconds: float = 1.0,
    step_s: float = STEP_S,
) -> None:
    """Move all walkers in place for some time.

    Args:
        people: columns of the whole population.
        order: rows of those inside, by area (`by_area`).
        start: first entry of each area in `order`, and the end.
        walls: of all areas.
        ways: of all areas.
        correction: the law they walk by.
        seconds: for how long.
        step_s: length of one step.
    """
    from mndt.users.crowd._kernel import step_areas

    step_areas(people, order, start, walls, ways, correction.table(), round(seconds / step_s), step_s)
