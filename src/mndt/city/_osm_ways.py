"""From pieces of ways to a directed graph of junctions: clip, keep what hangs together, merge bends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from mndt.city import _osm_tags as tags_of
from mndt.city._osm_box import Box, Ground
from mndt.city._osm_source import Layers
from mndt.city.model import Ways

Array = np.ndarray

WALKING_MPS: Final = 1.34
"""Mean free walking speed (Weidmann 1993, doi:10.3929/ethz-a-000687810)."""
SIGNAL_REACH_M: Final = 30.0
"""A light mapped at the stop line belongs to the junction within this distance."""
_SAME_PLACE_M: Final = 1e-3


class Lane(NamedTuple):
    """What one direction of a way offers; bends vanish only where it stays the same."""

    lanes: int
    speed_mps: float
    rank: int


LanesOf = Callable[[tags_of.Tags], tuple[Lane | None, Lane | None]]
"""Lanes of a way (as drawn, against it), None where that direction is closed."""


@dataclass(frozen=True)
class Pieces:
    """Straight pieces of ways between their nodes. `ahead` and `back` are rows of `kinds`, -1 = no such direction."""

    xy_m: Float64[Array, "nodes 2"]
    stop: Bool[Array, "nodes"]  # a traffic light stands here
    start: Int64[Array, "pieces"]
    end: Int64[Array, "pieces"]
    ahead: Int64[Array, "pieces"]
    back: Int64[Array, "pieces"]
    kinds: tuple[Lane, ...]

    @property
    def length_m(self) -> Float64[Array, "pieces"]:
        """Length of each piece."""
        return np.asarray(np.hypot(*(self.xy_m[self.end] - self.xy_m[self.start]).T))

    def taking(self, chosen: Bool[Array, "pieces"]) -> Pieces:
        """Only the chosen pieces."""
        columns = {name: getattr(self, name)[chosen] for name in ("start", "end", "ahead", "back")}
        return replace(self, **columns)


@dataclass(frozen=True)
class Dropped:
    """What was left out of a graph because one cannot get there and back."""

    pieces: int
    length_m: float


def roads(layers: Layers, ground: Ground) -> tuple[Ways, Dropped]:
    """The road graph for cars: strongly connected, with lanes, limits, ranks and traffic lights."""

    def lanes_of(tags: tags_of.Tags) -> tuple[Lane | None, Lane | None]:
        if not tags_of.drivable(tags):
            return None, None
        rank = tags_of.ROAD_CLASSES[tags_of.text(tags.get("highway"))].rank
        ahead, back = zip(tags_of.lanes_each_way(tags), tags_of.speeds_each_way_kmh(tags), strict=True)
        forward, backward = (Lane(n, round(kmh / 3.6, 3), rank) if n else None for n, kmh in (ahead, back))
        return forward, backward

    stops = {i for i, tags in _tagged_nodes(layers) if tags_of.stops_cars(tags)}
    pieces, dropped = _connected(_clipped(_pieces(layers, lanes_of, stops), ground))
    return _graph(_at_junctions(pieces)), dropped


def footways(layers: Layers, ground: Ground) -> tuple[Ways, Dropped]:
    """The graph people walk on, every way in both directions, with signalled crossings."""
    walk = Lane(1, WALKING_MPS, 0)

    def lanes_of(tags: tags_of.Tags) -> tuple[Lane | None, Lane | None]:
        return (walk, walk) if tags_of.walkable(tags) else (None, None)

    stops = {i for i, tags in _tagged_nodes(layers) if tags_of.stops_walkers(tags)}
    pieces, dropped = _connected(_clipped(_pieces(layers, lanes_of, stops), ground))
    return _graph(pieces), dropped


def _tagged_nodes(layers: Layers) -> Iterator[tuple[int, tags_of.Tags]]:
    for number, shape, tags in zip(layers.place_id.tolist(), layers.place_shape, layers.place_tags, strict=True):
        if shape is not None and shape.geom_type == "Point":
            yield number, tags


def _pieces(layers: Layers, lanes_of: LanesOf, stops: set[int]) -> Pieces:
    """The pieces of the ways that `lanes_of` admits; coordinates still in degrees."""
    kinds: dict[Lane, int] = {}

    def number(lane: Lane | None) -> int:
        return -1 if lane is None else kinds.setdefault(lane, len(kinds))

    way = np.array([[number(lane) for lane in lanes_of(tags)] for tags in layers.way_tags])
    order = np.argsort(layers.node_id)
    ids = layers.node_id[order]
    ends = np.stack([layers.segment_from, layers.segment_to])
    at = np.minimum(np.searchsorted(ids, ends), len(ids) - 1)
    ahead, back = way[layers.segment_way].T
    used = (ids[at] == ends).all(axis=0) & ((ahead >= 0) | (back >= 0))
    start, end = order[at]
    stop = np.isin(layers.node_id, np.fromiter(stops, np.int64, len(stops)))
    return Pieces(layers.node_lon_lat, stop, start, end, ahead, back, tuple(kinds)).taking(used)


def _clipped(pieces: Pieces, ground: Ground) -> Pieces:
    """Pieces cut at the box, in metres, those without length removed."""
    lon_lat, start, end, kept = clip(pieces.xy_m, pieces.start, pieces.end, ground.box)
    limit = np.array([ground.frame.width_m, ground.frame.depth_m])
    xy = np.clip(ground.to_xy(lon_lat), 0.0, limit) if len(lon_lat) else lon_lat
    stop = np.concatenate([pieces.stop, np.zeros(len(lon_lat) - len(pieces.stop), bool)])
    cut = Pieces(xy, stop, start, end, pieces.ahead[kept], pieces.back[kept], pieces.kinds)
    return _without_points(cut)


def clip(
    points: Float64[Array, "nodes 2"], start: Int64[Array, "pieces"], end: Int64[Array, "pieces"], box: Box
) -> tuple[Float64[Array, "more 2"], Int64[Array, "kept"], Int64[Array, "kept"], Int64[Array, "kept"]]:
    """Cut straight pieces at a box (Liang and Barsky 1984, doi:10.1145/357332.357333).

    Returns:
        All points, the new ones at the border appended; start and end of the pieces left; their old rows.
    """
    a, b = points[start], points[end]
    step = b - a
    low, high = np.array([box.west, box.south]), np.array([box.east, box.north])
    with np.errstate(divide="ignore", invalid="ignore"):
        t0, t1 = (low - a) / step, (high - a) / step
    level, inside = step == 0, (a >= low) & (a <= high)
    enter = np.where(level, np.where(inside, 0.0, 2.0), np.minimum(t0, t1)).max(axis=1).clip(0.0, None)
    leave = np.where(level, np.where(inside, 1.0, -1.0), np.maximum(t0, t1)).min(axis=1).clip(None, 1.0)
    kept = np.flatnonzero(enter < leave)
    a, step, enter, leave = a[kept], step[kept], enter[kept], leave[kept]
    start, end = start[kept].copy(), end[kept].copy()
    cut_in, cut_out = np.flatnonzero(enter > 0), np.flatnonzero(leave < 1)
    new = np.concatenate([(a + enter[:, None] * step)[cut_in], (a + leave[:, None] * step)[cut_out]])
    start[cut_in] = len(points) + np.arange(len(cut_in))
    end[cut_out] = len(points) + len(cut_in) + np.arange(len(cut_out))
    return np.concatenate([points, np.clip(new, low, high)]), start, end, kept


def _without_points(pieces: Pieces) -> Pieces:
    """Join the ends of pieces without length, then leave those pieces out."""
    short = pieces.length_m < _SAME_PLACE_M
    if short.any():
        n = len(pieces.xy_m)
        same = coo_array((np.ones(int(short.sum())), (pieces.start[short], pieces.end[short])), shape=(n, n))
        _, group = connected_components(same, directed=False)
        first = np.full(n, n)
        np.minimum.at(first, group, np.arange(n))
        here = first[group]
        stop = pieces.stop.copy()
        np.logical_or.at(stop, here, pieces.stop)
        pieces = replace(pieces, stop=stop, start=here[pieces.start], end=here[pieces.end])
    return pieces.taking(pieces.start != pieces.end)


def _connected(pieces: Pieces) -> tuple[Pieces, Dropped]:
    """The longest part of the graph in which every node is reached from every other."""
    n, length = len(pieces.xy_m), pieces.length_m
    tail = np.concatenate([pieces.start[pieces.ahead >= 0], pieces.end[pieces.back >= 0]])
    head = np.concatenate([pieces.end[pieces.ahead >= 0], pieces.start[pieces.back >= 0]])
    _, part = connected_components(coo_array((np.ones(len(tail)), (tail, head)), shape=(n, n)), connection="strong")
    here = part[pieces.start] == part[pieces.end]
    if not here.any():
        return pieces.taking(here), Dropped(len(here), float(length.sum()))
    total = np.bincount(part[pieces.start[here]], length[here])
    chosen = here & (part[pieces.start] == int(total.argmax()))
    return pieces.taking(chosen), Dropped(int((~chosen).sum()), float(length[~chosen].sum()))


def _degree(pieces: Pieces) -> Int64[Array, "nodes"]:
    return np.bincount(np.concatenate([pieces.start, pieces.end]), minlength=len(pieces.xy_m))


def _at_junctions(pieces: Pieces) -> Pieces:
    """Move lights from stop lines to the junction they guard; those far from any stay where they are."""
    degree = _degree(pieces)
    junctions, lights = np.flatnonzero(degree >= 3), np.flatnonzero(pieces.stop & (degree > 0))
    if len(junctions) == 0 or len(lights) == 0:
        return pieces
    distance, nearest = cKDTree(pieces.xy_m[junctions]).query(pieces.xy_m[lights])
    stop = np.zeros(len(pieces.stop), bool)
    stop[np.where(distance <= SIGNAL_REACH_M, junctions[nearest], lights)] = True
    return replace(pieces, stop=stop)


class _Chain(NamedTuple):
    """Nodes along pieces of one kind, from junction to junction."""

    nodes: list[int]
    ahead: int
    back: int


def _chains(pieces: Pieces) -> Iterator[_Chain]:
    """Follow bends from junction to junction. A ring that returns to its start is cut in two."""
    n, m = len(pieces.xy_m), len(pieces.start)
    # Half-edges: h < m runs along piece h, h >= m against piece h - m.
    tail = np.concatenate([pieces.start, pieces.end])
    head = np.concatenate([pieces.end, pieces.start]).tolist()
    ahead = np.concatenate([pieces.ahead, pieces.back]).tolist()
    back = np.concatenate([pieces.back, pieces.ahead]).tolist()
    leaving = np.argsort(tail, kind="stable")
    first = np.searchsorted(tail[leaving], np.arange(n + 1)).tolist()
    out = leaving.tolist()
    degree = np.diff(first).tolist()
    stop = pieces.stop.tolist()

    def is_bend(node: int) -> bool:
        if degree[node] != 2 or stop[node]:
            return False
        one, other = out[first[node]], out[first[node] + 1]
        return (ahead[one], back[one]) == (back[other], ahead[other])

    bend = [is_bend(node) for node in range(n)]
    seen = [False] * m
    corners = [node for node in range(n) if degree[node] and not bend[node]]
    rings = [node for node in range(n) if bend[node]]
    for node in corners + rings:  # rings: closed loops without any junction, started anywhere
        for half in out[first[node] : first[node + 1]]:
            if seen[half % m]:
                continue
            nodes, start = [node], half
            while True:
                seen[half % m] = True
                here = head[half]
                nodes.append(here)
                if not bend[here] or here == node:
                    break
                one, other = out[first[here]], out[first[here] + 1]
                half = other if one % m == half % m else one
            yield from _opened(_Chain(nodes, ahead[start], back[start]))


def _opened(chain: _Chain) -> Iterator[_Chain]:
    nodes, ahead, back = chain
    if nodes[0] != nodes[-1]:
        yield chain
        return
    middle = len(nodes) // 2
    yield _Chain(nodes[: middle + 1], ahead, back)
    yield _Chain(nodes[middle:], ahead, back)


def _graph(pieces: Pieces) -> Ways:
    """The graph of junctions: one edge per direction of each chain, its bends in the shape."""
    lines: list[list[int]] = []
    kinds: list[int] = []
    for nodes, ahead, back in _chains(pieces):
        for kind, line in ((ahead, nodes), (back, nodes[::-1])):
            if kind >= 0:
                lines.append(line)
                kinds.append(kind)
    sizes = np.array([len(line) for line in lines], np.int64)
    shape_start = np.concatenate([[0], np.cumsum(sizes)])
    points = np.array([node for line in lines for node in line], np.int64)
    xy = pieces.xy_m[points].reshape(-1, 2)
    ends = np.array([(line[0], line[-1]) for line in lines], np.int64).reshape(-1, 2)
    nodes_used, edges = np.unique(ends, return_inverse=True)
    edges = edges.reshape(-1, 2)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))]) if len(xy) else np.zeros(1)
    lane = np.array([pieces.kinds[kind] for kind in kinds], np.float64).reshape(-1, 3)
    return Ways(
        node_x_m=pieces.xy_m[nodes_used, 0],
        node_y_m=pieces.xy_m[nodes_used, 1],
        node_signal=pieces.stop[nodes_used],
        edge_from=edges[:, 0].astype(np.int32),
        edge_to=edges[:, 1].astype(np.int32),
        edge_length_m=along[shape_start[1:] - 1] - along[shape_start[:-1]] if len(lines) else np.zeros(0),
        edge_speed_mps=lane[:, 1],
        edge_lanes=lane[:, 0].astype(np.int32),
        edge_rank=lane[:, 2].astype(np.int32),
        shape_start=shape_start.astype(np.int32),
        shape_x_m=xy[:, 0],
        shape_y_m=xy[:, 1],
    )
