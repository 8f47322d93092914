"""Where lanes lie: beside the ways' shapes, cut off before junctions, joined by curves inside them."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from mndt.city.model import Ways

Array = np.ndarray
Points = list[tuple[float, float]]

LANE_WIDTH_M: Final = 3.2
BICYCLE_WIDTH_M: Final = 1.6

_LEAST_CUT_M: Final = 1.5
_CORNER_M: Final = 2.0  # between the stop line and where the kerbs meet
_MOST_CUT_M: Final = 30.0
_OPPOSITE_RAD: Final = np.deg2rad(150.0)
_NEARLY_SAME_RAD: Final = np.deg2rad(20.0)
_MOST_CUT_SHARE: Final = 0.6  # of an edge, at both ends together
_CURVE_POINTS: Final = 8


class Arms(NamedTuple):
    """Edges as their lanes need them. Angles are those of the edge's arm seen from the node at that end."""

    enter_rad: Float64[Array, "edges"]
    leave_rad: Float64[Array, "edges"]
    two_way: Bool[Array, "edges"]
    cut_start_m: Float64[Array, "edges"]
    cut_end_m: Float64[Array, "edges"]


def arms_of(roads: Ways) -> Arms:
    """Directions of all edges at their ends, and how far from their nodes their lanes begin and end."""
    first, last = roads.shape_start[:-1], roads.shape_start[1:] - 1
    x, y = roads.shape_x_m, roads.shape_y_m
    enter = np.arctan2(y[last - 1] - y[last], x[last - 1] - x[last])
    leave = np.arctan2(y[first + 1] - y[first], x[first + 1] - x[first])
    pairs = set(zip(roads.edge_from.tolist(), roads.edge_to.tolist(), strict=True))
    ends = zip(roads.edge_from.tolist(), roads.edge_to.tolist(), strict=True)
    two_way = np.array([(b, a) in pairs for a, b in ends], bool)
    cut_start, cut_end = _cuts(roads, enter, leave, two_way)
    share = np.minimum(1.0, _MOST_CUT_SHARE * roads.edge_length_m / (cut_start + cut_end))
    return Arms(enter, leave, two_way, cut_start * share, cut_end * share)


def _cuts(roads: Ways, enter: Array, leave: Array, two_way: Array) -> tuple[Array, Array]:
    """How far lanes stay away from the node so that they do not lie on those of the arms beside."""
    n = roads.n_edges
    right = np.where(two_way, 1.0, 0.5) * roads.edge_lanes * LANE_WIDTH_M + BICYCLE_WIDTH_M
    left = np.where(two_way, 0.0, 0.5 * roads.edge_lanes * LANE_WIDTH_M)
    # an end of an edge, seen outwards from its node: angle, how far it reaches to the left and to the right
    angle = np.concatenate([leave, enter])
    to_left, to_right = np.concatenate([left, right]), np.concatenate([right, left])
    node = np.concatenate([roads.edge_from, roads.edge_to])
    cut = np.full(2 * n, _LEAST_CUT_M)
    order = np.argsort(node, kind="stable")
    bounds = np.searchsorted(node[order], np.arange(roads.n_nodes + 1))
    for a, b in pairwise(bounds):
        at = order[a:b]
        turn = (angle[at][None] - angle[at][:, None] + np.pi) % (2 * np.pi) - np.pi
        apart = np.abs(turn)
        mine = np.where(turn > 0, to_left[at][:, None], to_right[at][:, None])
        theirs = np.where(turn > 0, to_right[at][None], to_left[at][None])
        with np.errstate(divide="ignore", invalid="ignore"):
            meet = (theirs + mine * np.cos(apart)) / np.sin(apart)
        counts = (apart > _NEARLY_SAME_RAD) & (apart < _OPPOSITE_RAD)
        reach = np.where(counts, meet, 0.0).max(axis=1, initial=0.0)
        cut[at] = np.where(reach > 0, np.clip(reach + _CORNER_M, _LEAST_CUT_M, _MOST_CUT_M), _LEAST_CUT_M)
    return cut[:n], cut[n:]


def lane_offsets(n_cars: int, two_way: bool) -> list[float]:
    """How far to the right of the edge's shape its lanes lie: the bicycles', then the cars' from right to left.

    >>> [round(offset, 1) for offset in lane_offsets(2, True)]
    [7.2, 4.8, 1.6]
    """
    left_m = 0.0 if two_way else -0.5 * n_cars * LANE_WIDTH_M
    cars = [left_m + (n_cars - 0.5 - k) * LANE_WIDTH_M for k in range(n_cars)]
    return [left_m + n_cars * LANE_WIDTH_M + 0.5 * BICYCLE_WIDTH_M, *cars]


def between(x: Array, y: Array, from_m: float, to_m: float) -> Float64[Array, "points 2"]:
    """The part of a line between two distances from its end points: from its start, from its end."""
    points = np.stack([x, y], axis=1).astype(float)
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    a, b = from_m, along[-1] - to_m
    inner = (along > a + 0.01) & (along < b - 0.01)
    ends = [(np.interp(s, along, points[:, 0]), np.interp(s, along, points[:, 1])) for s in (a, b)]
    return np.vstack([ends[:1], points[inner], ends[1:]])


def beside(line: Float64[Array, "points 2"], offset_m: float) -> Float64[Array, "points 2"]:
    """A line to the right of another one; sharp bends are cut off.

    >>> beside(np.array([[0.0, 0.0], [10.0, 0.0]]), 2.0).tolist()
    [[0.0, -2.0], [10.0, -2.0]]
    """
    step = np.diff(line, axis=0)
    step /= np.maximum(np.hypot(*step.T), 1e-9)[:, None]
    before, after = np.vstack([step[:1], step]), np.vstack([step, step[-1:]])
    middle = before + after
    size = np.maximum(np.hypot(*middle.T), 1e-9)
    middle = np.where((size > 0.5)[:, None], middle / size[:, None], after)
    stretch = 1.0 / np.maximum((middle * after).sum(axis=1), 0.6)
    return np.asarray(line + offset_m * stretch[:, None] * np.stack([middle[:, 1], -middle[:, 0]], axis=1))


def curve(start: Array, start_rad: float, end: Array, end_rad: float) -> Float64[Array, "points 2"]:
    """A smooth line from one point and direction to another (cubic Bezier).

    >>> curve(np.zeros(2), 0.0, np.array([9.0, 0.0]), 0.0).tolist()
    [[0.0, 0.0], [9.0, 0.0]]
    """
    gap = end - start
    distance = float(np.hypot(*gap))
    if distance < 0.1:
        ahead = np.array([np.cos(end_rad), np.sin(end_rad)])
        return np.stack([start, start + 0.1 * ahead])
    turn = (end_rad - start_rad + np.pi) % (2 * np.pi) - np.pi
    bearing = (np.arctan2(gap[1], gap[0]) - start_rad + np.pi) % (2 * np.pi) - np.pi
    if abs(turn) < 0.05 and abs(bearing) < 0.05:
        return np.stack([start, end])
    pull = distance * (0.39 if abs(turn) < 2.5 else 0.8)
    ahead, back = np.array([np.cos(start_rad), np.sin(start_rad)]), np.array([np.cos(end_rad), np.sin(end_rad)])
    t = np.linspace(0.0, 1.0, _CURVE_POINTS)[:, None]
    return np.asarray(
        (1 - t) ** 3 * start
        + 3 * (1 - t) ** 2 * t * (start + pull * ahead)
        + 3 * (1 - t) * t**2 * (end - pull * back)
        + t**3 * end
    )


def length_of(line: Float64[Array, "points 2"]) -> float:
    """Length of a line in m."""
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def split_at(line: Float64[Array, "points 2"], at_m: float) -> tuple[Array, Array]:
    """A line in two parts."""
    rest_m = length_of(line) - at_m
    x, y = line.T
    return between(x, y, 0.0, rest_m), between(x, y, at_m, 0.0)


def as_points(line: Float64[Array, "points 2"]) -> tuple[tuple[float, float], ...]:
    """A line as plain numbers."""
    return tuple((float(x), float(y)) for x, y in line)
