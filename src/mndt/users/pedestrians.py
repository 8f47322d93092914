"""Walking: individual speeds on the shapes of the footways, waiting at signalled crossings.

A walk is a straight leg from the door to the first footway, the edges of a route, and a straight
leg to the place inside. Speeds are normal, 1.34 +- 0.26 m/s (Weidmann 1993), at least 0.5 m/s.
People do not hinder each other outdoors: for the radio it matters little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from mndt.city.model import Ways

Array = np.ndarray

_EPS_M = 1e-6
_COLUMNS = ("user", "from_x_m", "from_y_m", "to_x_m", "to_y_m", "first", "n_edges", "part", "offset_m")


@dataclass(frozen=True)
class Paths:
    """The footways as one long measuring tape: point p of the shapes lies at `tape_m[p]`."""

    ways: Ways
    tape_m: Float64[Array, "points"]
    edge_tape_m: Float64[Array, "edges"]  # where an edge begins on the tape
    edge_length_m: Float64[Array, "edges"]  # along its shape

    @classmethod
    def from_ways(cls, ways: Ways) -> Paths:
        """Measure the shapes; edges lie one after another on the tape, 1 m apart."""
        step = np.hypot(np.diff(ways.shape_x_m, prepend=0.0), np.diff(ways.shape_y_m, prepend=0.0)).astype(float)
        start = np.asarray(ways.shape_start, np.int64)
        step[start[:-1]] = 1.0
        tape = np.cumsum(step)
        return cls(ways, tape, tape[start[:-1]], tape[start[1:] - 1] - tape[start[:-1]])

    def locate(
        self, edge: Int32[Array, "n"], offset_m: Float64[Array, "n"]
    ) -> tuple[Float64[Array, "n"], Float64[Array, "n"]]:
        """Points at a distance along edges."""
        first, last = self.ways.shape_start[edge], self.ways.shape_start[edge + 1]
        at = self.edge_tape_m[edge] + np.clip(offset_m, 0.0, self.edge_length_m[edge])
        b = np.clip(np.searchsorted(self.tape_m, at, side="left"), first + 1, last - 1)
        a = b - 1
        share = (at - self.tape_m[a]) / np.maximum(self.tape_m[b] - self.tape_m[a], 1e-12)
        share = np.clip(share, 0.0, 1.0)
        x, y = self.ways.shape_x_m, self.ways.shape_y_m
        return x[a] + share * (x[b] - x[a]), y[a] + share * (y[b] - y[a])


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
    return Walks(
        user=np.concatenate([walks.user, user.astype(np.int32)]),
        from_x_m=np.concatenate([walks.from_x_m, from_xy[0]]),
        from_y_m=np.concatenate([walks.from_y_m, from_xy[1]]),
        to_x_m=np.concatenate([walks.to_x_m, to_xy[0]]),
        to_y_m=np.concatenate([walks.to_y_m, to_xy[1]]),
        first=np.concatenate([walks.first, len(walks.edges) + edge_start[:-1]]).astype(np.int32),
        n_edges=np.concatenate([walks.n_edges, np.diff(edge_start)]).astype(np.int32),
        edges=np.concatenate([walks.edges, edges]).astype(np.int32),
        part=np.concatenate([walks.part, np.full(n, -1, np.int32)]),
        offset_m=np.concatenate([walks.offset_m, np.zeros(n)]),
    )


def step(
    paths: Paths, walks: Walks, speed_mps: Float32[Array, "walks"], signals: Signals, time_s: int, step_s: float = 1.0
) -> tuple[Walks, Float32[Array, "walks"], Bool[Array, "walks"]]:
    """Walk for `step_s`. Returns the walks, the speed of each (0 while waiting) and whether it has ended."""
    return _forward(paths, walks, speed_mps.astype(float) * step_s, step_s, (signals, time_s))


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
    on = walks.on_edge
    x, y = np.empty(len(walks)), np.empty(len(walks))
    x[on], y[on] = paths.locate(walks.current_edge(), walks.offset_m[on])
    off = walks.take(~on)
    ax, ay, bx, by = _straight(paths, off)
    length = np.hypot(bx - ax, by - ay)
    share = np.clip(off.offset_m / np.maximum(length, _EPS_M), 0.0, 1.0)
    x[~on], y[~on] = ax + share * (bx - ax), ay + share * (by - ay)
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
    part, offset, last = walks.part.copy(), walks.offset_m.copy(), walks.last_part
    left, moving = reach_m.copy(), walks.part <= last
    # few walks change parts within a second, so the loop is short and its later rounds are small
    while (rows := np.flatnonzero(moving)).size:
        some = replace(walks.take(rows), part=part[rows])
        length = _length_m(paths, some)
        move = np.minimum(np.maximum(length - offset[rows], 0.0), left[rows])
        offset[rows] += move
        left[rows] -= move
        through = offset[rows] >= length - _EPS_M
        if lights is not None:
            through &= ~_at_red(paths, some, *lights)
        moving[rows] = through
        done = rows[through]
        part[done] += 1
        moving[done] = part[done] <= last[done]
        offset[done[moving[done]]] = 0.0  # those at the end of their way keep it, and so their place
    speed = ((reach_m - left) / step_s).astype(np.float32)
    return replace(walks, part=part, offset_m=offset), speed, part > last


def _at_red(paths: Paths, walks: Walks, signals: Signals, time_s: int) -> Bool[Array, "walks"]:
    """Whether the node at the end of the part has a red light."""
    red = np.zeros(len(walks), bool)
    on = np.flatnonzero(walks.on_edge)
    node = paths.ways.edge_to[walks.current_edge()]
    signalled = np.asarray(paths.ways.node_signal)[node]
    red[on[signalled]] = signals.is_red(node[signalled], time_s)
    return red
