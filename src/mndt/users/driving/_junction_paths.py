"""Paths over junctions: which of them are in each other's way, and where to wait for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64

from mndt.users.driving._conflicts import Shapes, last_crossing, nearer_than
from mndt.users.driving._junction_shapes import length_of

Array = np.ndarray

CAR_WIDTH_M: Final = 1.8
_CLEAR_M: Final = 2.6  # between the middle of a waiting car and the middle of a path: half a car, half a lane
_LEAST_WAY_M: Final = 1.5  # to a waiting place, and from it
_STEP_M: Final = 0.25


class Path(NamedTuple):
    """From lane `lane` of edge `start` to lane `target` of edge `end`; lane 0 is the bicycles'."""

    start: int
    lane: int
    end: int
    target: int
    line: Float64[Array, "points 2"]
    limit_mps: float
    turn: str  # s, l, r, t


def find_conflicts(nodes: Sequence[list[Path]], foes: Sequence[list[set[int]]]) -> None:
    """Fill in, node by node, the paths that cross each path, join it or come nearer than a car is wide."""
    paths = [path for some in nodes for path in some]
    for some, lists in zip(nodes, foes, strict=True):
        lists[:] = [set() for _ in some]
    a, b, node = _pairs(nodes)
    if len(a) == 0:
        return
    first = np.cumsum([0] + [len(some) for some in nodes])
    shapes = _shapes(paths)
    target = np.array([(path.end, path.target) for path in paths])
    start = np.array([path.start for path in paths])
    meets = (target[a] == target[b]).all(axis=1) | ~np.isnan(last_crossing(shapes, a, b))
    rest = np.flatnonzero(~meets & (start[a] != start[b]))
    meets[rest] = nearer_than(shapes, a[rest], b[rest], CAR_WIDTH_M)
    for i, j, v in zip(a[meets], b[meets], node[meets], strict=True):
        foes[v][i - first[v]].add(int(j - first[v]))
        foes[v][j - first[v]].add(int(i - first[v]))


def _pairs(nodes: Sequence[list[Path]]) -> tuple[Array, Array, Array]:
    """Pairs of paths over one node that do not begin on one lane."""
    rows, begin = [], 0
    for v, some in enumerate(nodes):
        for i, p in enumerate(some):
            for j in range(i + 1, len(some)):
                if (p.start, p.lane) != (some[j].start, some[j].lane):
                    rows.append((begin + i, begin + j, v))
        begin += len(some)
    a, b, node = np.array(rows, np.int64).reshape(-1, 3).T
    return a, b, node


def _shapes(paths: list[Path]) -> Shapes:
    start = np.cumsum([0] + [len(path.line) for path in paths])
    x_m, y_m = np.concatenate([path.line for path in paths]).T
    none = np.zeros(len(paths))
    return Shapes(start, x_m, y_m, none, none, none)


def _to_line(points: Array, line: Array) -> Float64[Array, "points"]:
    d = np.diff(line, axis=0)
    along = ((points[:, None] - line[None, :-1]) * d).sum(-1) / np.maximum((d * d).sum(-1), 1e-12)
    foot = line[None, :-1] + np.clip(along, 0.0, 1.0)[..., None] * d
    return np.asarray(np.hypot(*np.moveaxis(points[:, None] - foot, -1, 0)).min(axis=1))


def waiting_point(path: Path, others: list[Path]) -> float:
    """How far along a path a driver can go and still be in nobody's way; 0 where there is no room to wait."""
    whole_m = length_of(path.line)
    at_m = np.arange(0.0, whole_m, _STEP_M)
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(path.line, axis=0).T))))
    points = np.stack([np.interp(at_m, along, path.line[:, k]) for k in (0, 1)], axis=1)
    near = np.min([_to_line(points, other.line) for other in others], axis=0) < _CLEAR_M
    free_m = float(at_m[max(int(near.argmax()) - 1, 0)]) if near.any() else 0.0
    return free_m if free_m >= _LEAST_WAY_M and whole_m - free_m >= _LEAST_WAY_M else 0.0
