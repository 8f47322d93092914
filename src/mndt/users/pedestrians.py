"""Walking: individual speeds on the shapes of the footways, slowed by others, waiting at signalled crossings.

A walk is a straight leg from the door to the first footway, the edges of a route, and a straight
leg to the place inside. Desired speeds are normal, 1.34 +- 0.26 m/s (Weidmann 1993), at least 0.5 m/s.
On footways people slow each other by one of two laws (`Footpath.model`):

- ``density``: the fundamental diagram of Weidmann, "Transporttechnik der Fussgaenger", IVT ETH Zurich 1993,
  ``v = v0 (1 - exp(-1.913 (1/rho - 1/5.4)))``, of the density on the path a little ahead, both directions together;
- ``krauss``: Krauss's car-following law in single file, two strips for each direction on a path 2 m wide, with SUMO's
  parameters of a pedestrian. Walking evenly, a person takes ``0.465 m + 1 s v`` of the strip; measured in single file
  is ``0.36 m + 1.06 s v`` (Seyfried and others 2005, doi:10.1088/1742-5468/2005/10/P10002). Krauss's random
  loss is left out: at a person's speed, SUMO's usual 0.5 would take a quarter of the speed of who walks alone.

Widths of paths are not in the maps: one is assumed for all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from mndt.city.model import Ways
from mndt.users import _walking
from mndt.users._walking import GAMMA, JAM_PER_M2, Feet, Footways

Array = np.ndarray

_COLUMNS = ("user", "from_x_m", "from_y_m", "to_x_m", "to_y_m", "first", "n_edges", "part", "offset_m")

BIN_M: Final = 10.0
"""Stretches over which people are counted; an edge has a whole number of equal ones."""

LEAST_M: Final = 5.0
"""Ground counts as at least so long: nobody hinders themselves on a short edge. [assumed]"""

AHEAD_M: Final = 5.0
"""How far ahead people see the density that slows them. [assumed]"""

STRIP_M: Final = 0.478
"""Width of a person in SUMO (1.28); as many strips as fit into half a path."""

BODY_M: Final = 0.215
MIN_GAP_M: Final = 0.25
ACCEL_MPS2: Final = 1.5
DECEL_MPS2: Final = 2.0
HEADWAY_S: Final = 1.0
"""Defaults of SUMO's class pedestrian (1.28): length, gap, acceleration, deceleration, headway."""


def weidmann_speed(density_per_m2: Array, free_mps: float = 1.34) -> Array:
    """Weidmann's fundamental diagram in m/s.

    >>> weidmann_speed(np.array([0.0, 1.0, 5.4])).round(2).tolist()
    [1.34, 1.06, 0.0]
    """
    density = np.clip(np.asarray(density_per_m2, float), 1e-9, JAM_PER_M2)
    return np.asarray(free_mps * (1.0 - np.exp(-GAMMA * (1.0 / density - 1.0 / JAM_PER_M2))))


@dataclass(frozen=True)
class Footpath:
    """How people slow each other on footways."""

    model: Literal["density", "krauss", "free"] = "density"  # free: nobody hinders anybody
    width_m: float = 2.0  # of all paths [assumed]

    @property
    def strips(self) -> int:
        """Files of people side by side in each direction."""
        return max(1, int(0.5 * self.width_m / STRIP_M))


@dataclass(frozen=True)
class Paths:
    """The footways, measured along their shapes."""

    ways: Ways
    edge_length_m: Float64[Array, "edges"]  # along its shape
    arrays: Footways

    @classmethod
    def from_ways(cls, ways: Ways) -> Paths:
        """Measure the shapes, and lay bins along them that both directions of a path share."""
        start = np.asarray(ways.shape_start, np.int64)
        x, y = np.asarray(ways.shape_x_m, float), np.asarray(ways.shape_y_m, float)
        tape = np.cumsum(np.hypot(np.diff(x, prepend=x[:1]), np.diff(y, prepend=y[:1])))
        along = tape - np.repeat(tape[start[:-1]], np.diff(start))
        length = np.maximum(along[start[1:] - 1], 1e-9)
        twin = _twins(ways, length)
        n_bins = np.maximum(1, np.rint(length / BIN_M)).astype(np.int32)
        first = np.zeros(len(length), np.int64)
        own = (twin < 0) | (np.arange(len(length)) < twin)  # of two directions the lower row has the bins
        first[own] = np.cumsum(n_bins[own]) - n_bins[own]
        first[~own], n_bins[~own] = first[twin[~own]], n_bins[twin[~own]]
        return cls(
            ways,
            length,
            Footways(
                start, x, y, along, length, np.asarray(ways.edge_to, np.int32), np.asarray(ways.node_signal, bool),
                first.astype(np.int32), n_bins, ~own,
            ),
        )  # fmt: skip

    @cached_property
    def total_bins(self) -> int:
        """Bins of all paths."""
        return int((self.arrays.first_bin + self.arrays.n_bins).max(initial=0))


def _twins(ways: Ways, length_m: Array) -> Int32[Array, "edges"]:
    """The other direction of each edge, -1 for one-way ones: the same two nodes and length."""
    tail, head = np.asarray(ways.edge_from), np.asarray(ways.edge_to)
    low, high, flip = np.minimum(tail, head), np.maximum(tail, head), tail > head
    twin = np.full(len(tail), -1, np.int32)
    order = np.lexsort((flip, np.round(length_m, 2), high, low))
    a, b = order[:-1], order[1:]
    same = (low[a] == low[b]) & (high[a] == high[b]) & (np.abs(length_m[a] - length_m[b]) < 0.02) & ~flip[a] & flip[b]
    twin[a[same]], twin[b[same]] = b[same], a[same]
    return twin


@dataclass(frozen=True)
class Signals:
    """Fixed-time green for pedestrians, every crossing with its own offset into the cycle."""

    cycle_s: int
    green_s: int

    def is_red(self, node: Int32[Array, "n"], time_s: int) -> Array:
        """Whether a node's light is red; the offset is a multiplicative hash of the node."""
        offset = (node.astype(np.uint64) * np.uint64(2654435761) >> np.uint64(7)) % np.uint64(self.cycle_s)
        return np.asarray((offset.astype(np.int64) + time_s) % self.cycle_s >= self.green_s)


@dataclass(frozen=True)
class Walks:
    """Everyone on foot now. A walk's parts are numbered -1 (first straight leg), 0 .. n - 1 (edges),
    n (last straight leg); a walk without edges is one straight leg, part -1."""

    user: Int32[Array, "walks"]
    from_x_m: Float64[Array, "walks"]
    from_y_m: Float64[Array, "walks"]
    to_x_m: Float64[Array, "walks"]
    to_y_m: Float64[Array, "walks"]
    first: Int32[Array, "walks"]  # row of `edges` where the route begins
    n_edges: Int32[Array, "walks"]
    edges: Int32[Array, "total"]
    part: Int32[Array, "walks"]
    offset_m: Float64[Array, "walks"]  # walked on this part

    @classmethod
    def empty(cls) -> Walks:
        """Nobody walks."""
        f, i = np.zeros(0), np.zeros(0, np.int32)
        return cls(i, f, f, f, f, i, i, i, i, f)

    def __len__(self) -> int:
        return len(self.user)

    @property
    def last_part(self) -> Int32[Array, "walks"]:
        """Number of the part with which each walk ends."""
        return np.where(self.n_edges > 0, self.n_edges, -1).astype(np.int32)

    @property
    def on_edge(self) -> Bool[Array, "walks"]:
        """Who is on an edge now, not on a straight leg."""
        return np.asarray((self.part >= 0) & (self.part < self.n_edges))

    def current_edge(self) -> Int32[Array, "on_edge"]:
        """Edges under the feet of those who are on one, in their order."""
        on = self.on_edge
        return np.asarray(self.edges[self.first[on] + self.part[on]])

    @property
    def feet(self) -> Feet:
        """As the kernels take them."""
        return Feet(
            self.from_x_m, self.from_y_m, self.to_x_m, self.to_y_m, self.first, self.n_edges, self.edges, self.part,
            self.offset_m,
        )  # fmt: skip

    def take(self, rows: Array) -> Walks:
        """Some of the walks; they share the whole edge list."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _COLUMNS})


def begin(
    walks: Walks,
    user: Int32[Array, "n"],
    from_xy: tuple[Array, Array],
    to_xy: tuple[Array, Array],
    edge_start: Int32[Array, "n_plus_1"],
    edges: Int32[Array, "total"],
) -> Walks:
    """Add walks; `edge_start` and `edges` are as in `Routes`, all zeros for one straight leg."""
    n = len(user)
    from_x, from_y, to_x, to_y = (np.asarray(v, float) for v in (*from_xy, *to_xy))
    return Walks(
        user=np.concatenate([walks.user, user.astype(np.int32)]),
        from_x_m=np.concatenate([walks.from_x_m, from_x]),
        from_y_m=np.concatenate([walks.from_y_m, from_y]),
        to_x_m=np.concatenate([walks.to_x_m, to_x]),
        to_y_m=np.concatenate([walks.to_y_m, to_y]),
        first=np.concatenate([walks.first, len(walks.edges) + edge_start[:-1]]).astype(np.int32),
        n_edges=np.concatenate([walks.n_edges, np.diff(edge_start)]).astype(np.int32),
        edges=np.concatenate([walks.edges, edges]).astype(np.int32),
        part=np.concatenate([walks.part, np.full(n, -1, np.int32)]),
        offset_m=np.concatenate([walks.offset_m, np.zeros(n)]),
    )


def step(
    paths: Paths,
    walks: Walks,
    desired_mps: Float32[Array, "walks"],
    signals: Signals,
    time_s: int,
    step_s: float = 1.0,
    *,
    footpath: Footpath = Footpath(model="free"),
    speed_mps: Float32[Array, "walks"] | None = None,
) -> tuple[Walks, Float32[Array, "walks"], Bool[Array, "walks"]]:
    """Walk for `step_s`.

    Args:
        paths, walks: where people are.
        desired_mps: how fast each walks alone.
        signals, time_s: lights of crossings, now.
        step_s: how long.
        footpath: how people slow each other.
        speed_mps: how fast each walked a step ago; model krauss alone asks.

    Returns:
        The walks, the speed of each (0 while waiting) and whether it has ended.
    """
    pace = np.asarray(desired_mps, np.float64)
    if footpath.model == "density":
        pace = np.empty(len(walks))
        count = np.zeros(paths.total_bins)
        _walking.slow_by_density(
            paths.arrays, walks.feet, np.asarray(desired_mps, np.float64), footpath.width_m, LEAST_M, AHEAD_M, count,
            pace,
        )  # fmt: skip
    elif footpath.model == "krauss":
        pace = _in_file(paths, walks, pace, pace if speed_mps is None else speed_mps, footpath, step_s)
    return _forward(paths, walks, pace * step_s, step_s, (signals, time_s))


def _in_file(
    paths: Paths, walks: Walks, desired_mps: Array, speed_mps: Array, footpath: Footpath, step_s: float
) -> Float64[Array, "walks"]:
    """Speeds by the Krauss law, each behind the next in their strip."""
    n = footpath.strips
    strip = (walks.user % n).astype(np.int32)
    on = walks.on_edge
    lane = np.full(len(walks), -1, np.int32)
    lane[on] = walks.current_edge() * n + strip[on]
    order = np.lexsort((walks.user, -walks.offset_m, lane)).astype(np.int32)
    pace = np.empty(len(walks))
    _walking.slow_by_krauss(
        paths.arrays, walks.feet, desired_mps, np.asarray(speed_mps, np.float64), order, strip, n,
        np.full(n * len(paths.edge_length_m), -1, np.int32), BODY_M, MIN_GAP_M, ACCEL_MPS2, DECEL_MPS2, HEADWAY_S,
        step_s, pace,
    )  # fmt: skip
    return pace


def skip(paths: Paths, walks: Walks, share: Float64[Array, "walks"]) -> Walks:
    """Put walks at a share of their way, as if they had been under way already."""
    total = np.zeros(len(walks))
    for part in range(-1, int(walks.n_edges.max(initial=-1)) + 1):
        there = np.flatnonzero(part <= walks.last_part)
        total[there] += _length_m(paths, replace(walks.take(there), part=np.full(len(there), part, np.int32)))
    # a hair short of the end, so that everyone still has an arrival before them
    return _forward(paths, walks, np.minimum(share, 0.999) * total, 1.0, None)[0]


def locate(paths: Paths, walks: Walks) -> tuple[Float64[Array, "walks"], Float64[Array, "walks"]]:
    """Positions of all walks."""
    x, y = np.empty((2, len(walks)))
    _walking.positions(paths.arrays, walks.feet, x, y)
    return x, y


def drop(walks: Walks, ended: Array) -> Walks:
    """Without the walks that have ended."""
    if not ended.any():
        return walks
    kept = walks.take(np.flatnonzero(~ended))
    first = np.zeros(len(kept), np.int32)
    np.cumsum(kept.n_edges[:-1], out=first[1:])
    used = np.repeat(kept.first - first, kept.n_edges) + np.arange(kept.n_edges.sum(), dtype=np.int32)
    return replace(kept, first=first, edges=walks.edges[used])


def _straight(paths: Paths, walks: Walks) -> tuple[Array, Array, Array, Array]:
    """Ends of the straight leg a walk is on (meaningless for walks on an edge)."""
    ax, ay, bx, by = walks.from_x_m.copy(), walks.from_y_m.copy(), walks.to_x_m.copy(), walks.to_y_m.copy()
    shape_start, x, y = paths.ways.shape_start, paths.ways.shape_x_m, paths.ways.shape_y_m
    routed = walks.n_edges > 0
    to_route = np.flatnonzero(routed & (walks.part < 0))
    p = shape_start[walks.edges[walks.first[to_route]]]
    bx[to_route], by[to_route] = x[p], y[p]
    from_route = np.flatnonzero(routed & (walks.part >= walks.n_edges))
    p = shape_start[walks.edges[(walks.first + walks.n_edges)[from_route] - 1] + 1] - 1
    ax[from_route], ay[from_route] = x[p], y[p]
    return ax, ay, bx, by


def _length_m(paths: Paths, walks: Walks) -> Float64[Array, "walks"]:
    """Length of the part each walk is on."""
    ax, ay, bx, by = _straight(paths, walks)
    length = np.hypot(bx - ax, by - ay)
    length[walks.on_edge] = paths.edge_length_m[walks.current_edge()]
    return np.asarray(length)


def _forward(
    paths: Paths, walks: Walks, reach_m: Float64[Array, "walks"], step_s: float, lights: tuple[Signals, int] | None
) -> tuple[Walks, Float32[Array, "walks"], Bool[Array, "walks"]]:
    """Move every walk by up to `reach_m`, part after part; red lights end the movement."""
    n = len(walks)
    part, offset, left, ended = np.empty(n, np.int32), np.empty(n), np.empty(n), np.empty(n, np.bool_)
    cycle_s, green_s, time_s = (0, 0, 0) if lights is None else (lights[0].cycle_s, lights[0].green_s, lights[1])
    _walking.move(paths.arrays, walks.feet, reach_m, cycle_s, green_s, time_s, part, offset, left, ended)
    speed = ((reach_m - left) / step_s).astype(np.float32)
    return replace(walks, part=part, offset_m=offset), speed, ended
