"""Footways beside streets: pavements on both sides, crossings, doors, ways through blocks and parks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import shapely
from jaxtyping import Float64, Int, Shaped

from mndt.city._streets import Street, Streets, make_ways
from mndt.city.model import Array, Ways

WALK_MPS: Final = 1.35
_BESIDE_M = 2.0  # from the edge of the carriageway to the middle of the pavement
_DOOR_GAP_M = 4.0  # doors closer together than this share a node

Line = Float64[Array, "points 2"]


@dataclass
class _Graph:
    """Footways while they are drawn."""

    xy: list[tuple[float, float]] = field(default_factory=list)
    signal: list[bool] = field(default_factory=list)
    pieces: list[tuple[int, int, Line]] = field(default_factory=list)

    def node(self, xy: Float64[Array, "2"], signal: bool = False) -> int:
        self.xy.append((float(xy[0]), float(xy[1])))
        self.signal.append(signal)
        return len(self.xy) - 1

    def straight(self, a: int, b: int) -> None:
        if a != b:
            self.pieces.append((a, b, np.array((self.xy[a], self.xy[b]))))


def lay_pavements(
    streets: Streets, parks: Shaped[Array, "parks"], passages: tuple[Float64[Array, "2 2"], ...], doors: Line
) -> tuple[Ways, Int[Array, "doors"], Int[Array, "parks"]]:
    """The walkable graph of a generated city.

    Args:
        streets: the drivable network.
        parks: polygons with paths to be laid through them.
        passages: ways through blocks, from edge to edge.
        doors: a point of each building; its door is on the nearest pavement.

    Returns:
        Footways, the footway node of each door and the one in the middle of each park.
    """
    graph = _Graph()
    sides = _corners_and_sides(graph, streets)
    lines = np.array([shapely.LineString(line) for _, _, line in sides], dtype=object)
    park_sides = [_mid_sides(park) for park in parks]
    wanted = np.vstack([doors, *passages, *park_sides]) if len(doors) or passages or park_sides else np.empty((0, 2))
    node = _attach(graph, sides, lines, wanted)
    at = len(doors)
    for _ in passages:
        graph.straight(int(node[at]), int(node[at + 1]))
        at += 2
    middles = []
    for park, ends in zip(parks, park_sides, strict=True):
        middles.append(graph.node(shapely.get_coordinates(shapely.point_on_surface(park))[0]))
        for end in dict.fromkeys(node[at : at + len(ends)].tolist()):
            graph.straight(end, middles[-1])
        at += len(ends)
    ways = make_ways(
        np.array(graph.xy),
        np.array(graph.signal, dtype=bool),
        graph.pieces,
        speed_mps=[WALK_MPS] * len(graph.pieces),
        lanes=[(1, 1)] * len(graph.pieces),
        rank=[0] * len(graph.pieces),
    )
    return ways, node[: len(doors)].astype(np.int32), np.array(middles, dtype=np.int32)


def _corners_and_sides(graph: _Graph, streets: Streets) -> list[tuple[int, int, Line]]:
    """Corners and crossings at every junction; returns the pavements between corners.

    Legs of a junction are sorted counter-clockwise; corner k lies between leg k and leg k + 1, so a
    pavement leaves leg k of its first junction on the left at corner k and reaches, seen from the
    other junction, the right-hand corner k' - 1.
    """
    legs: dict[int, list[tuple[float, int, bool]]] = defaultdict(list)  # bearing, piece, leaving forwards
    for row, piece in enumerate(streets.pieces):
        legs[piece.a].append((_bearing(piece.line), row, True))
        legs[piece.b].append((_bearing(piece.line[::-1]), row, False))
    left: dict[tuple[int, bool], int] = {}
    right: dict[tuple[int, bool], int] = {}
    for junction in sorted(legs):
        around = sorted(legs[junction])
        corner = [
            graph.node(_corner(streets, junction, around[k], around[(k + 1) % len(around)])) for k in range(len(around))
        ]
        for k, (_, row, forwards) in enumerate(around):
            left[row, forwards], right[row, forwards] = corner[k], corner[k - 1]
            _cross(graph, corner[k - 1], corner[k], bool(streets.signal[junction]))
    sides = []
    for row, piece in enumerate(streets.pieces):
        aside_m = piece.half_width_m + _BESIDE_M
        for a, b, sign in ((left[row, True], right[row, False], 1.0), (right[row, True], left[row, False], -1.0)):
            inner = piece.line[1:-1] + sign * aside_m * _left_normals(piece.line)[1:-1]
            sides.append((a, b, np.vstack((graph.xy[a], inner, graph.xy[b]))))
    return sides


def _cross(graph: _Graph, a: int, b: int, signal: bool) -> None:
    """A crossing over one leg; at traffic lights with a signalled node in the middle of the road."""
    if a == b:
        return
    if signal:
        middle = graph.node((np.array(graph.xy[a]) + np.array(graph.xy[b])) / 2, signal=True)
        graph.straight(a, middle)
        graph.straight(middle, b)
    else:
        graph.straight(a, b)


def _bearing(line: Line) -> float:
    return float(np.arctan2(line[1, 1] - line[0, 1], line[1, 0] - line[0, 0]))


def _left_normals(line: Line) -> Line:
    """Unit normals to the left at every point, averaged over the two pieces that meet there."""
    step = np.diff(line, axis=0)
    normal = np.column_stack((-step[:, 1], step[:, 0])) / np.hypot(step[:, 0], step[:, 1])[:, None]
    both = np.vstack((normal[:1], normal[:-1] + normal[1:], normal[-1:]))
    return np.asarray(both / np.hypot(both[:, 0], both[:, 1])[:, None])


def _corner(
    streets: Streets, junction: int, leg: tuple[float, int, bool], following: tuple[float, int, bool]
) -> Float64[Array, "2"]:
    """Where the left pavement of one leg meets the right pavement of the next one."""

    def aside(of: Street) -> float:
        return of.half_width_m + _BESIDE_M

    (bearing, row, _), (next_bearing, next_row, _) = leg, following
    w_left, w_right = aside(streets.pieces[row]), aside(streets.pieces[next_row])
    opening = (next_bearing - bearing) % (2 * np.pi)
    origin = streets.node_xy[junction]
    along = np.array((np.cos(bearing), np.sin(bearing)))
    aside_left = np.array((-along[1], along[0]))
    if abs(np.sin(opening)) < 0.2:  # nearly straight on, or nearly back: no intersection to speak of
        way = 1.0 if np.cos(opening) < 0 else 0.0
        return np.asarray(origin + aside_left * max(w_left, w_right) * way + along * (1 - way) * 3 * w_left)
    reach = (w_right + w_left * np.cos(opening)) / np.sin(opening)
    reach = float(np.clip(reach, -3 * w_left, 3 * w_left))
    return np.asarray(origin + along * reach + aside_left * w_left)


def _mid_sides(park: shapely.Geometry) -> Line:
    """The middle of each side of the park's bounding box."""
    box = shapely.get_coordinates(shapely.oriented_envelope(park))[:5]
    return np.asarray((box[:-1] + box[1:]) / 2)


def _attach(graph: _Graph, sides: list[tuple[int, int, Line]], lines: Array, wanted: Line) -> Int[Array, "wanted"]:
    """Put a node on the nearest pavement for every wanted point, then lay the pavements in between."""
    node = np.full(len(wanted), -1, dtype=np.int64)
    on: dict[int, list[tuple[float, int]]] = defaultdict(list)
    if len(wanted):
        points = shapely.points(wanted)
        side_of = shapely.STRtree(lines).nearest(points)
        distance = shapely.line_locate_point(lines[side_of], points)
        for k, (side, at_m) in enumerate(zip(side_of.tolist(), distance.tolist(), strict=True)):
            on[side].append((at_m, k))
    for side, (a, b, _) in enumerate(sides):
        length_m = float(lines[side].length)
        stops: list[tuple[float, int]] = [(0.0, a)]
        for at_m, k in sorted(on.get(side, [])):
            if length_m - at_m < _DOOR_GAP_M:
                node[k] = b
            elif at_m - stops[-1][0] < _DOOR_GAP_M:
                node[k] = stops[-1][1]
            else:
                node[k] = graph.node(shapely.get_coordinates(shapely.line_interpolate_point(lines[side], at_m))[0])
                stops.append((at_m, int(node[k])))
        _lay(graph, lines[side], [*stops, (length_m, b)])
    return node


def _lay(graph: _Graph, line: shapely.Geometry, stops: list[tuple[float, int]]) -> None:
    """The pieces of one pavement between its nodes."""
    if len(stops) == 2:
        graph.pieces.append((stops[0][1], stops[1][1], shapely.get_coordinates(line)))
        return
    from shapely.ops import substring

    for (start, a), (end, b) in pairwise(stops):
        inner = shapely.get_coordinates(substring(line, start, end))[1:-1]
        graph.pieces.append((a, b, np.vstack((graph.xy[a], inner, graph.xy[b]))))
