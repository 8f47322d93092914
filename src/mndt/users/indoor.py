"""People inside areas: they come in at the door, stand or sit, now and then walk to another point, and leave.

Points come from the real outlines (for buildings all parts, courtyards excluded). Who walks does so as one of a
crowd (`mndt.users.crowd`): around walls by way-points, with regard for the others, at 0.1 s steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int8, Int32, Int64

from mndt.city.model import City
from mndt.users.crowd.correction import Correction, shipped_correction
from mndt.users.crowd.walking import People, Walls, WayTables, by_area, walk

Array = np.ndarray

POINTS_PER_AREA: Final = 24
INDOOR_PACE: Final = 0.65
"""Indoors people stroll at about two thirds of their pace outdoors (assumed)."""
DOOR_M: Final = 1.0
LOOK_AGAIN_S: Final = 8.0
"""Whoever is held up looks for another way that often."""

HELD_UP_MPS: Final = 0.05
FROM_WALLS_M: Final = 0.5
"""Where people stand and turn: nearer to walls they would be pushed away."""
LOOKS: Final = 25
"""Way-points a person looks for before he stays where he is."""


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

    def walls(self) -> Walls:
        """The same as the walls of a crowd."""
        return Walls(self.start, self.ax_m, self.ay_m, self.bx_m, self.by_m)

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

    def clearance(self, area: Int32[Array, "n"], x_m: Array, y_m: Array) -> Float64[Array, "n"]:
        """Distance in m to the nearest border of an area."""
        q, s = self.pairs(area)
        ux, uy = self.bx_m[s] - self.ax_m[s], self.by_m[s] - self.ay_m[s]
        px, py = x_m[q] - self.ax_m[s], y_m[q] - self.ay_m[s]
        t = np.clip((px * ux + py * uy) / np.maximum(ux**2 + uy**2, 1e-12), 0.0, 1.0)
        out = np.full(len(area), np.inf)
        np.minimum.at(out, q, np.hypot(px - t * ux, py - t * uy))
        return out

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
    """Points inside every area, `FROM_WALLS_M` from its border, uniform there, by rejection from its bounding box.

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
            inside = inside[outlines.clearance(area[inside], px[inside], py[inside]) > FROM_WALLS_M]
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


def _nothing(kind: type) -> Array:
    return np.zeros(0, kind)


@dataclass(frozen=True)
class Stays:
    """Where people inside areas are heading; equal to the position while they stand.

    The other columns are the crowd's own memory. They may be left out: then everyone begins anew.
    """

    goal_x_m: Float32[Array, "users"]
    goal_y_m: Float32[Array, "users"]
    velocity_x_mps: Float32[Array, "users"] = field(default_factory=lambda: _nothing(np.float32))
    velocity_y_mps: Float32[Array, "users"] = field(default_factory=lambda: _nothing(np.float32))
    way_m: Float32[Array, "users"] = field(default_factory=lambda: _nothing(np.float32))  # whole length of the walk
    patience_s: Float32[Array, "users"] = field(default_factory=lambda: _nothing(np.float32))  # then he stays there
    via: Int8[Array, "users"] = field(default_factory=lambda: _nothing(np.int8))  # next way-point
    aim: Int8[Array, "users"] = field(default_factory=lambda: _nothing(np.int8))  # way-point at the goal, -1 = none

    def remembered(self, n: int) -> Stays:
        """The same with all columns n long."""
        if len(self.aim) == n:
            return self
        zeros = np.zeros(n, np.float32)
        nowhere = np.zeros(n, np.int8), np.full(n, -1, np.int8)
        return Stays(self.goal_x_m, self.goal_y_m, zeros, zeros, zeros, zeros, *nowhere)

    def towards(self, rows: Int[Array, "n"], x_m: Array, y_m: Array) -> Stays:
        """New goals for some people; where these are their positions, they stand."""
        goal_x, goal_y = self.goal_x_m.copy(), self.goal_y_m.copy()
        aim, patience = self.aim.copy(), self.patience_s.copy()
        goal_x[rows], goal_y[rows] = x_m, y_m
        if len(aim):
            aim[rows], patience[rows] = -1, 0.0
        return replace(self, goal_x_m=goal_x, goal_y_m=goal_y, aim=aim, patience_s=patience)


@dataclass(frozen=True)
class Indoor:
    """The indoor model of a city: `step` moves all people inside areas by one second."""

    outlines: Outlines
    point_x_m: Float32[Array, "areas points"]
    point_y_m: Float32[Array, "areas points"]
    stand_s: float
    door_x_m: Float32[Array, "areas"]  # just inside
    door_y_m: Float32[Array, "areas"]
    ways: WayTables  # between the points and, as the last one, the door
    correction: Correction

    @classmethod
    def from_city(
        cls, city: City, stand_s: float, rng: np.random.Generator, correction: Correction | None = None
    ) -> Indoor:
        """Sample the points of every area, open its door and find the ways between them.

        Args:
            city: the buildings and open areas.
            stand_s: mean time people stand before they walk to another point.
            rng: for the points.
            correction: the law of walking; default the shipped one.
        """
        outlines = Outlines.from_city(city)
        x, y = sample_points(city, outlines, rng)
        door_x, door_y = doors(city, outlines, x, y)
        ways = WayTables.between(
            np.column_stack([x, door_x]).astype(float), np.column_stack([y, door_y]).astype(float), outlines.walls()
        )
        return cls(outlines, x, y, stand_s, door_x, door_y, ways, correction or shipped_correction())

    def random_point(
        self, area: Int32[Array, "n"], rng: np.random.Generator
    ) -> tuple[Float32[Array, "n"], Float32[Array, "n"]]:
        """One of the points of each area."""
        if not len(area):
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        which = rng.integers(self.point_x_m.shape[1], size=len(area))
        return self.point_x_m[area, which], self.point_y_m[area, which]

    def door(self, area: Int32[Array, "n"]) -> tuple[Float32[Array, "n"], Float32[Array, "n"]]:
        """Where people of areas come in and go out."""
        return self.door_x_m[area], self.door_y_m[area]

    def leave(
        self, stays: Stays, rows: Int[Array, "n"], area: Int32[Array, "n"], x_m: Array, y_m: Array
    ) -> tuple[Stays, Bool[Array, "n"]]:
        """Send people to the doors of their areas; also says who of them is there.

        Args:
            stays: of all users.
            rows: those who want to leave.
            area: theirs.
            x_m: where they are.
            y_m: where they are.
        """
        door_x, door_y = self.door(area)
        there = np.hypot(door_x - x_m, door_y - y_m) < DOOR_M
        heads = (stays.goal_x_m[rows] == door_x) & (stays.goal_y_m[rows] == door_y)
        some = ~there & ~heads
        return stays.towards(rows[some], door_x[some], door_y[some]) if some.any() else stays, there

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
        """Returns stays, x, y, speed; rows that are not inside keep their position at speed 0.

        Who has another goal than his position walks there. Who stands sets out for another point now and then.
        """
        stays = stays.remembered(len(x_m))
        restless = rng.random(len(x_m), dtype=np.float32) < -np.expm1(-1.0 / self.stand_s)
        stands = (stays.goal_x_m == x_m) & (stays.goal_y_m == y_m)
        rows = np.flatnonzero(restless & inside & stands)
        if len(rows):
            stays = stays.towards(rows, *self.random_point(area[rows], rng))
            stands[rows] = False
        walking = inside & ~stands
        pace = (INDOOR_PACE * pace_mps).astype(float)
        begins = np.flatnonzero(walking & (stays.aim < 0))
        stays, walking = self._find_ways(stays, begins, walking, x_m, y_m, area, pace)
        goes = np.flatnonzero(walking)
        x, y, speed = x_m.copy(), y_m.copy(), np.zeros_like(x_m)
        if not len(goes):
            return stays, x, y, speed
        # only areas in which somebody walks matter
        busy = np.zeros(len(self.outlines), bool)
        busy[area[goes]] = True
        here = np.flatnonzero(inside & busy[np.maximum(area, 0)] & (area >= 0))
        order, start = by_area(area[here], np.ones(len(here), bool), len(self.outlines))
        old = (stays.velocity_x_mps, stays.velocity_y_mps)
        px, py, vx, vy, gx, gy = (v[here].astype(float) for v in (x_m, y_m, *old, stays.goal_x_m, stays.goal_y_m))
        way = stays.way_m[here].astype(float)
        people = People(px, py, vx, vy, gx, gy, pace[here], way, stays.via[here], stays.aim[here], walking[here])
        walk(people, order, start, self.outlines.walls(), self.ways, self.correction)
        return self._after(stays, here, people, x, y, speed, walking)

    def _after(
        self, stays: Stays, here: Array, people: People, x: Array, y: Array, speed: Array, walking: Array
    ) -> tuple[Stays, Array, Array, Array]:
        """Put what the crowd did into the columns of all users."""
        moved = walking[here]
        rows = here[moved]
        new_x, new_y = people.x[moved].astype(np.float32), people.y[moved].astype(np.float32)
        speed[rows] = np.hypot(new_x - x[rows], new_y - y[rows])
        x[rows], y[rows] = new_x, new_y
        columns = {
            name: getattr(stays, name).copy()
            for name in ("velocity_x_mps", "velocity_y_mps", "via", "aim", "patience_s", "goal_x_m", "goal_y_m")
        }
        columns["velocity_x_mps"][rows], columns["velocity_y_mps"][rows] = people.vx[moved], people.vy[moved]
        columns["via"][rows] = people.via[moved]
        columns["patience_s"][rows] -= 1.0
        ends = rows[~people.walking[moved] | (columns["patience_s"][rows] <= 0.0)]
        # whoever is held up looks for his way anew, every few seconds
        looks = np.floor(columns["patience_s"][rows]) % LOOK_AGAIN_S == 0
        columns["aim"][rows[looks & (speed[rows] < HELD_UP_MPS)]] = -1
        columns["aim"][ends], columns["patience_s"][ends] = -1, 0.0
        columns["velocity_x_mps"][ends] = columns["velocity_y_mps"][ends] = 0.0
        columns["goal_x_m"][ends], columns["goal_y_m"][ends] = x[ends], y[ends]
        return replace(stays, **columns), x, y, speed

    def _find_ways(
        self, stays: Stays, rows: Array, walking: Array, x_m: Array, y_m: Array, area: Array, pace: Array
    ) -> tuple[Stays, Array]:
        """First way-points of those who set out; where no way leads they stay."""
        if not len(rows):
            return stays, walking
        a, ways = area[rows], self.ways
        points = ways.x.shape[1]
        far = np.hypot(ways.x[a] - stays.goal_x_m[rows, None], ways.y[a] - stays.goal_y_m[rows, None])
        aim = far.argmin(1)
        near = np.hypot(ways.x[a] - x_m[rows, None], ways.y[a] - y_m[rows, None])
        rest = ways.length[a[:, None], np.arange(points), aim[:, None]]
        total = np.where(rest >= 0, near + rest, np.inf)
        via, way = np.full(len(rows), -1), np.full(len(rows), np.inf)
        # nearest in sight, in the order of the whole way: few looks are enough
        for k in np.argsort(total, axis=1)[:, :LOOKS].T:
            look = np.flatnonzero((via < 0) & np.isfinite(total[np.arange(len(rows)), k]))
            if not len(look):
                break
            to = k[look]
            sees = self.outlines.clear(
                a[look], x_m[rows[look]].astype(float), y_m[rows[look]].astype(float), ways.x[a[look], to],
                ways.y[a[look], to],
            ) | (near[look, to] < 1e-3)  # fmt: skip
            via[look[sees]], way[look[sees]] = to[sees], total[look[sees], to[sees]]
        found = via >= 0
        good, lost = rows[found], rows[~found]
        columns = {n: getattr(stays, n).copy() for n in ("via", "aim", "way_m", "patience_s", "goal_x_m", "goal_y_m")}
        columns["via"][good], columns["aim"][good], columns["way_m"][good] = via[found], aim[found], way[found]
        allowed = 20.0 + 3.0 * way[found] / np.maximum(pace[good], 0.3)
        columns["patience_s"][good] = np.where(stays.patience_s[good] > 0, stays.patience_s[good], allowed)
        columns["goal_x_m"][lost], columns["goal_y_m"][lost] = x_m[lost], y_m[lost]
        walking = walking.copy()
        walking[lost] = False
        return replace(stays, **columns), walking


def doors(
    city: City, outlines: Outlines, point_x_m: Array, point_y_m: Array
) -> tuple[Float32[Array, "areas"], Float32[Array, "areas"]]:
    """A point just inside each area, at that place of its border that is nearest to the footway.

    Where no such point lies inside (a sliver), the nearest of the area's own points.
    """
    n, areas = len(outlines), city.areas
    node = np.asarray(areas.foot_node)
    to_x, to_y = np.asarray(city.footways.node_x_m, float)[node], np.asarray(city.footways.node_y_m, float)[node]
    rows = np.arange(n)
    q, s = outlines.pairs(rows.astype(np.int32))
    ux, uy = outlines.bx_m[s] - outlines.ax_m[s], outlines.by_m[s] - outlines.ay_m[s]
    size = np.maximum(ux**2 + uy**2, 1e-12)
    # not in a corner: half a metre from the ends where the wall is long enough
    edge = np.minimum(0.5, 0.5 * np.sqrt(size)) / np.sqrt(size)
    t = ((to_x[q] - outlines.ax_m[s]) * ux + (to_y[q] - outlines.ay_m[s]) * uy) / size
    t = np.clip(t, edge, 1 - edge)
    px, py = outlines.ax_m[s] + t * ux, outlines.ay_m[s] + t * uy
    far = np.hypot(px - to_x[q], py - to_y[q])
    order = np.lexsort((far, q))
    has = np.flatnonzero(np.diff(outlines.start) > 0)
    first = order[np.searchsorted(q[order], has)]
    d = np.hypot(point_x_m - to_x[:, None], point_y_m - to_y[:, None]).argmin(1)
    x, y = point_x_m[rows, d].copy(), point_y_m[rows, d].copy()
    normal_x, normal_y = -uy[first] / np.sqrt(size[first]), ux[first] / np.sqrt(size[first])
    left = np.ones(len(has), bool)
    for inset in (0.6, -0.6, 0.25, -0.25):
        dx = (px[first] + inset * normal_x).astype(np.float32)
        dy = (py[first] + inset * normal_y).astype(np.float32)
        ok = left & outlines.contain(has.astype(np.int32), dx.astype(float), dy.astype(float))
        x[has[ok]], y[has[ok]] = dx[ok], dy[ok]
        left &= ~ok
    return x.astype(np.float32), y.astype(np.float32)


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
