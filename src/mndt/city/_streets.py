"""The streets of a generated city: arterials, a local grid of its own in every quarter, a river.

Streets are drawn on a plan where everything is parallel to an axis, which keeps junctions exact,
and then bent by a smooth warp into a grown-looking town.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import shapely
from jaxtyping import Bool, Float64

from mndt.city.model import Array, Ways

ARTERIAL, COLLECTOR, LOCAL = 0, 1, 2
_SPEED_MPS: Final = (50 / 3.6, 40 / 3.6, 30 / 3.6)
_MARGIN_M = 16.0  # the ring road's distance from the edge of the map
_SNAP_M = 30.0  # junctions closer than this on one side of a street become one
_QUARTER = 4.3  # local blocks across a quarter, the land between arterials
_MAX_LANES = 6
# who gets a further lane next: main streets have two or three before collectors have two
_WAVES: Final = tuple("ACL".index(letter) for letter in "AACACLACLACLCLL")

Point = tuple[float, float]
Warp = Callable[[Float64[Array, "n 2"]], Float64[Array, "n 2"]]


@dataclass(frozen=True)
class Street:
    """A piece of street between two junctions, drivable both ways."""

    a: int  # junctions, rows of Streets.node_xy
    b: int
    line: Float64[Array, "points 2"]  # from a to b
    level: int
    lanes_ab: int = 1
    lanes_ba: int = 1

    @property
    def half_width_m(self) -> float:
        """Half of the carriageway: lanes of 3.2 m and a strip for parking or cycling."""
        return 1.6 * (self.lanes_ab + self.lanes_ba) + 2.3


@dataclass(frozen=True)
class Streets:
    """The street network and the water of a generated city."""

    node_xy: Float64[Array, "nodes 2"]
    signal: Bool[Array, "nodes"]
    pieces: tuple[Street, ...]
    river: shapely.Geometry  # empty polygon where there is none

    def ways(self) -> Ways:
        """The drivable graph: two edges for each piece."""
        return make_ways(
            self.node_xy,
            self.signal,
            [(p.a, p.b, p.line) for p in self.pieces],
            speed_mps=[_SPEED_MPS[p.level] for p in self.pieces],
            lanes=[(p.lanes_ab, p.lanes_ba) for p in self.pieces],
            rank=[p.level for p in self.pieces],
        )


def make_ways(
    node_xy: Float64[Array, "nodes 2"],
    signal: Bool[Array, "nodes"],
    pieces: list[tuple[int, int, Float64[Array, "points 2"]]],
    *,
    speed_mps: list[float],
    lanes: list[tuple[int, int]],
    rank: list[int],
) -> Ways:
    """`Ways` from undirected pieces (node, node, line): edges 2i and 2i + 1 are piece i and its reverse."""
    lines = [line for _, _, one in pieces for line in (one, one[::-1])]
    length = [float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in lines]
    points = np.vstack(lines) if lines else np.empty((0, 2))
    return Ways(
        node_x_m=node_xy[:, 0].copy(),
        node_y_m=node_xy[:, 1].copy(),
        node_signal=signal,
        edge_from=np.array([n for a, b, _ in pieces for n in (a, b)], dtype=np.int32),
        edge_to=np.array([n for a, b, _ in pieces for n in (b, a)], dtype=np.int32),
        edge_length_m=np.array(length, dtype=np.float64),
        edge_speed_mps=np.repeat(np.array(speed_mps, dtype=np.float64), 2),
        edge_lanes=np.array([n for pair in lanes for n in pair], dtype=np.int32),
        edge_rank=np.repeat(np.array(rank, dtype=np.int32), 2),
        shape_start=np.concatenate(([0], np.cumsum([len(line) for line in lines]))).astype(np.int32),
        shape_x_m=points[:, 0].copy(),
        shape_y_m=points[:, 1].copy(),
    )


def grow_streets(size_m: float, lanes: int, rng: np.random.Generator) -> Streets:
    """Streets of a square city with exactly `lanes` lanes, every direction counted.

    Args:
        size_m: side of the square.
        lanes: lanes wanted in total.
        rng: all randomness.

    Raises:
        ValueError: no street network of this size has that many lanes.
    """
    # about 1.5 lanes for a street and direction, four directed edges for a block, some merged away
    per_side = 0.5 + np.sqrt(0.25 + lanes / 5.6)
    spacing_m = max((size_m - 2 * _MARGIN_M) / max(per_side - 1.0, 1.0), 60.0)
    warp = _warp(size_m, rng)
    while True:
        plan = _Plan(size_m, spacing_m, rng)
        streets = _trace(plan, warp)
        if 2 * len(streets.pieces) <= lanes or spacing_m > size_m:
            return _with_lanes(streets, lanes, size_m)
        spacing_m *= 1.07


def _warp(size_m: float, rng: np.random.Generator) -> Warp:
    """A smooth bend of the plane that leaves the square's edges where they are."""
    phase = rng.uniform(0, 2 * np.pi, 4)

    def bend(xy: Float64[Array, "n 2"]) -> Float64[Array, "n 2"]:
        u, v = xy[:, 0] / size_m, xy[:, 1] / size_m
        free_x, free_y = np.minimum(1.0, 6 * u * (1 - u)), np.minimum(1.0, 6 * v * (1 - v))
        dx = 0.026 * np.sin(2 * np.pi * (0.8 * v + 0.3 * u) + phase[0]) + 0.009 * np.sin(5 * np.pi * v + phase[1])
        dy = 0.026 * np.sin(2 * np.pi * (0.7 * u - 0.3 * v) + phase[2]) + 0.009 * np.sin(5 * np.pi * u + phase[3])
        return np.column_stack((xy[:, 0] + size_m * dx * free_x, xy[:, 1] + size_m * dy * free_y))

    return bend


class _Plan:
    """Streets on the plan: pieces between points, all parallel to an axis but the avenue."""

    def __init__(self, size_m: float, spacing_m: float, rng: np.random.Generator) -> None:
        self.rng, self.spacing_m = rng, spacing_m
        self.levels: dict[tuple[Point, Point], int] = {}
        inner_m = size_m - 2 * _MARGIN_M
        n = max(1, round(inner_m / (_QUARTER * spacing_m)))
        self.x = self._arterials(n, inner_m)
        self.y = self._arterials(n, inner_m)
        self.river_row = -1
        if size_m >= 1200 and n >= 3:
            self.river_row = int(rng.integers(1, n))  # not along the edge of the map
            width_m = 0.05 * size_m
            squeezed = _MARGIN_M + (self.y - _MARGIN_M) * (1 - width_m / inner_m)
            bank = squeezed[self.river_row]
            self.y = np.concatenate((squeezed[: self.river_row + 1], squeezed[self.river_row :] + width_m))
            self.y[self.river_row] = bank
        self.n_rows, self.n_columns = len(self.y) - 1, n
        self.columns: dict[tuple[int, int], list[float]] = {}  # x of the local streets of a quarter
        self.rows: dict[tuple[int, int], list[float]] = {}
        self._avenue()
        for quarter in ((i, j) for i in range(self.n_columns) for j in range(self.n_rows)):
            if quarter[1] != self.river_row and quarter not in self.columns:
                self._local_grid(quarter)
        self._draw()

    def _arterials(self, n: int, inner_m: float) -> Float64[Array, "lines"]:
        widths = self.rng.uniform(0.78, 1.22, n)
        return _MARGIN_M + np.concatenate(([0.0], np.cumsum(widths) / widths.sum())) * inner_m

    def _inner(self, start: float, end: float, count: int) -> list[float]:
        """Positions of local streets that cut [start, end] into `count` blocks, none equally wide."""
        widths = self.rng.uniform(0.75, 1.25, count)
        return [float(p) for p in np.round(start + (end - start) * np.cumsum(widths)[:-1] / widths.sum(), 2)]

    def _blocks_across(self, length_m: float) -> int:
        return max(1, round(length_m / self.spacing_m + self.rng.uniform(-0.5, 0.5)))

    def _local_grid(self, quarter: tuple[int, int]) -> None:
        """A local grid that meets the streets of neighbouring quarters or keeps clear of them."""
        i, j = quarter
        columns = self._inner(self.x[i], self.x[i + 1], self._blocks_across(self.x[i + 1] - self.x[i]))
        rows = self._inner(self.y[j], self.y[j + 1], self._blocks_across(self.y[j + 1] - self.y[j]))
        self.columns[quarter] = _clear_of(columns, self.columns.get((i, j - 1), []), self.columns.get((i, j + 1), []))
        self.rows[quarter] = _clear_of(rows, self.rows.get((i - 1, j), []), self.rows.get((i + 1, j), []))

    def _avenue(self) -> None:
        """A diagonal avenue through one or two quarters: their junctions lie on the diagonal."""
        self.diagonals: list[tuple[int, int]] = []
        if self.n_columns < 3:
            return
        above = self.n_rows - 1 - self.river_row >= self.river_row  # the larger bank
        rows = range(self.river_row + 1, self.n_rows) if above else range(self.river_row)
        j = rows[0]
        i = int(self.rng.integers(0, self.n_columns - min(len(rows), 2) + 1))
        for step in range(min(len(rows), 2)):
            quarter = (i + step, j + step)
            width, depth = self.x[i + step + 1] - self.x[i + step], self.y[j + step + 1] - self.y[j + step]
            share = np.array(self._inner(0.0, 1000.0, self._blocks_across((width + depth) / 2))) / 1000.0
            self.columns[quarter] = [float(v) for v in np.round(self.x[i + step] + share * width, 2)]
            self.rows[quarter] = [float(v) for v in np.round(self.y[j + step] + share * depth, 2)]
            self.diagonals.append(quarter)

    def _draw(self) -> None:
        """All pieces, then the local ones that parks and large plots swallow are taken out."""
        on_x: dict[int, set[float]] = defaultdict(set)  # junctions on each arterial
        on_y: dict[int, set[float]] = defaultdict(set)
        for (i, j), columns in self.columns.items():
            for side in (j, j + 1):
                on_y[side].update(columns)
            for side in (i, i + 1):
                on_x[side].update(self.rows[i, j])
        for quarter in self.columns:
            self._draw_quarter(quarter)
        for i, x in enumerate(self.x):
            self._line([(float(x), y) for y in sorted({*map(float, self.y), *on_x[i]})], ARTERIAL)
        for j, y in enumerate(self.y):
            self._line([(x, float(y)) for x in sorted({*map(float, self.x), *on_y[j]})], ARTERIAL)

    def _draw_quarter(self, quarter: tuple[int, int]) -> None:
        i, j = quarter
        xs = [float(self.x[i]), *self.columns[quarter], float(self.x[i + 1])]
        ys = [float(self.y[j]), *self.rows[quarter], float(self.y[j + 1])]
        main_x, main_y = (len(xs) // 2 if self.rng.random() < 0.6 else -1 for _ in range(2))
        diagonal = quarter in self.diagonals
        for k in range(1, len(xs) - 1):
            self._line([(xs[k], y) for y in ys], COLLECTOR if k == main_x else LOCAL, thin=not diagonal)
        for k in range(1, len(ys) - 1):
            self._line([(x, ys[k]) for x in xs], COLLECTOR if k == main_y else LOCAL, thin=not diagonal)
        if diagonal:
            self._line(list(zip(xs, ys, strict=True)), ARTERIAL)
        elif len(xs) > 3 and len(ys) > 3:  # one junction gives way to a park or a large plot
            gone = (xs[int(self.rng.integers(1, len(xs) - 1))], ys[int(self.rng.integers(1, len(ys) - 1))])
            self.levels = {piece: level for piece, level in self.levels.items() if gone not in piece}

    def _line(self, points: list[Point], level: int, *, thin: bool = False) -> None:
        for a, b in pairwise(points):
            if not (thin and level == LOCAL and self.rng.random() < 0.1):
                self.levels[a, b] = level


def _clear_of(own: list[float], *neighbours: list[float]) -> list[float]:
    """Own positions moved onto a neighbour's where close; left out where two neighbours disagree."""
    kept: list[float] = []
    for position in own:
        close = {p for others in neighbours for p in others if abs(p - position) < _SNAP_M}
        moved = min(close, key=lambda p: abs(p - position)) if close else position
        if all(abs(p - moved) < 1e-6 or abs(p - moved) >= _SNAP_M for others in (*neighbours, kept) for p in others):
            kept.append(moved)
    return sorted(set(kept))


def _trace(plan: _Plan, warp: Warp) -> Streets:
    """From the plan to the ground: prune dead ends, join bends, bend the streets, set signals."""
    pieces = _joined(_pruned(plan.levels))
    points = sorted({p for path, _ in pieces for p in (path[0], path[-1])})
    row = {p: i for i, p in enumerate(points)}
    streets = tuple(
        Street(row[path[0]], row[path[-1]], _bent(np.array(path), warp), level)
        for path, level in sorted(pieces, key=lambda piece: (piece[1], piece[0]))
    )
    river: shapely.Geometry = shapely.Polygon()
    if plan.river_row >= 0:
        south, north = plan.y[plan.river_row], plan.y[plan.river_row + 1]
        west, east = plan.x[0], plan.x[-1]
        bank = np.array([(west, south), (east, south), (east, north), (west, north), (west, south)])
        river = shapely.Polygon(_bent(bank, warp))
    node_xy = warp(np.array(points))
    return Streets(node_xy, _signals(streets, len(points)), streets, river)


def _pruned(levels: dict[tuple[Point, Point], int]) -> dict[tuple[Point, Point], int]:
    """Without dead ends. What is left is connected: everything hangs on the arterials."""
    while True:
        degree: dict[Point, int] = defaultdict(int)
        for piece in levels:
            for point in piece:
                degree[point] += 1
        kept = {piece: level for piece, level in levels.items() if all(degree[p] > 1 for p in piece)}
        if len(kept) == len(levels):
            return _largest(kept)
        levels = kept


def _largest(levels: dict[tuple[Point, Point], int]) -> dict[tuple[Point, Point], int]:
    """The part that can be reached from the city's ring road (its smallest point)."""
    neighbours: dict[Point, list[Point]] = defaultdict(list)
    for a, b in levels:
        neighbours[a].append(b)
        neighbours[b].append(a)
    start = min(neighbours)
    reached, front = {start}, [start]
    while front:
        for point in neighbours[front.pop()]:
            if point not in reached:
                reached.add(point)
                front.append(point)
    return {piece: level for piece, level in levels.items() if piece[0] in reached}


def _joined(levels: dict[tuple[Point, Point], int]) -> list[tuple[list[Point], int]]:
    """Paths between junctions: where exactly two pieces of one level meet is a bend, no junction."""
    paths: dict[int, tuple[list[Point], int]] = {
        k: ([a, b], level) for k, ((a, b), level) in enumerate(sorted(levels.items()))
    }
    at: dict[Point, set[int]] = defaultdict(set)
    for k, (path, _) in paths.items():
        at[path[0]].add(k)
        at[path[-1]].add(k)
    for point in sorted(at):
        if len(at[point]) != 2:
            continue
        first, second = sorted(at[point])
        (one, level), (two, other) = paths[first], paths[second]
        one = one if one[-1] == point else one[::-1]
        two = two if two[0] == point else two[::-1]
        ends = {one[0], two[-1]}
        parallel = any(ends == {paths[k][0][0], paths[k][0][-1]} for k in at[one[0]] - {first, second})
        if level != other or len(ends) < 2 or parallel:
            continue
        paths[first] = (one + two[1:], level)
        del paths[second], at[point]
        at[two[-1]] = (at[two[-1]] - {second}) | {first}
    return list(paths.values())


def _bent(path: Float64[Array, "n 2"], warp: Warp) -> Float64[Array, "points 2"]:
    """A path of the plan on the ground: warped every 30 m, then without needless points."""
    line = shapely.segmentize(shapely.LineString(path), 30.0)
    smooth = shapely.simplify(shapely.LineString(warp(shapely.get_coordinates(line))), 0.4)
    return np.asarray(shapely.get_coordinates(smooth))


def _signals(streets: tuple[Street, ...], n_nodes: int) -> Bool[Array, "nodes"]:
    """Traffic lights where a main street meets another main street or a collector."""
    main, collector = np.zeros(n_nodes, dtype=int), np.zeros(n_nodes, dtype=int)
    for street in streets:
        for node in (street.a, street.b):
            main[node] += street.level == ARTERIAL
            collector[node] += street.level == COLLECTOR
    return (main >= 3) | ((main >= 2) & (collector >= 1))


def _with_lanes(streets: Streets, lanes: int, size_m: float) -> Streets:
    """Give main streets more lanes, the central ones first, until the total is exact."""
    extra = lanes - 2 * len(streets.pieces)
    if extra < 0:
        raise ValueError(f"at least {2 * len(streets.pieces)}")
    if extra > 2 * (_MAX_LANES - 1) * len(streets.pieces):
        raise ValueError(f"at most {2 * _MAX_LANES * len(streets.pieces)}")
    middle = np.array([shapely.get_coordinates(shapely.LineString(p.line).centroid)[0] for p in streets.pieces])
    off_centre = np.hypot(*(middle - size_m / 2).T) / size_m
    level = np.array([p.level for p in streets.pieces])
    added = np.zeros((len(level), 2), dtype=int)
    for wave in _WAVES:
        for k in np.flatnonzero(level == wave)[np.argsort(off_centre[level == wave], kind="stable")]:
            give = min(2, extra)  # one in each direction; an odd total ends with a turning lane
            added[k, :give] += 1
            extra -= give
    pieces = tuple(
        replace(p, lanes_ab=1 + int(more[0]), lanes_ba=1 + int(more[1]))
        for p, more in zip(streets.pieces, added, strict=True)
    )
    return replace(streets, pieces=pieces)
