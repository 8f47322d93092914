"""One street to look at closely: which one, and who drives along it.

The street is chosen from the map alone, so that every run of a city shows the same one. Vehicles are found on
it by their positions, whatever the source of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64, Int8, Int32

from mndt.city.model import Ways
from mndt.state import Mode, Users

Array = np.ndarray

LONG_M: Final = 600.0
"""A chain this long is worth a picture; shorter ones only where no class has one."""

MOST_M: Final = 2000.0
"""A longer street is cut here: a picture shows no more."""

STRAIGHT_ON: Final = float(np.cos(np.deg2rad(40.0)))
"""A street goes on where it bends by less than 40 degrees."""

LANE_M: Final = 3.2
"""Width of a lane."""

VERGE_M: Final = 2.6
"""Room of the bicycles' lane beside it."""

SLOW_M: Final = 0.5
"""Who moves less in a second has no direction to speak of."""


@dataclass(frozen=True)
class Street:
    """A chain of edges in one direction, as a line with a band of lanes beside it."""

    edges: Int32[Array, "edges"]
    x_m: Float64[Array, "points"]
    y_m: Float64[Array, "points"]
    at_m: Float64[Array, "points"]  # along the street
    right_m: Float64[Array, "segments"]  # reach of the lanes to the right of the line
    left_m: Float64[Array, "segments"]
    signals_m: Float64[Array, "signals"]  # where lights stand

    @property
    def length_m(self) -> float:
        """From end to end."""
        return float(self.at_m[-1])

    @classmethod
    def of(cls, roads: Ways, edges: Sequence[int]) -> Street:
        """The street along these edges.

        >>> one = np.zeros(1, np.int32)
        >>> road = Ways(np.array([0.0, 90.0]), np.zeros(2), np.array([False, True]), one, one + 1, np.array([90.0]),
        ...             np.array([13.9]), one + 2, one, np.array([0, 2]), np.array([0.0, 90.0]), np.zeros(2))
        >>> street = Street.of(road, [0])
        >>> street.length_m, street.signals_m.tolist()
        (90.0, [90.0])
        """
        row = np.asarray(edges, np.int32)
        points = [np.arange(roads.shape_start[e], roads.shape_start[e + 1]) for e in row]
        of_edge = np.repeat(row, [len(p) for p in points])
        point = np.concatenate(points)
        x, y = roads.shape_x_m[point].astype(float), roads.shape_y_m[point].astype(float)
        new = np.concatenate([[True], np.hypot(np.diff(x), np.diff(y)) > 1e-6])
        x, y, of_edge = x[new], y[new], of_edge[new]
        at = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        both = set(zip(roads.edge_to.tolist(), roads.edge_from.tolist(), strict=True))
        ends = zip(roads.edge_from[of_edge[1:]].tolist(), roads.edge_to[of_edge[1:]].tolist(), strict=True)
        two_way = np.array([end in both for end in ends], bool)
        width = roads.edge_lanes[of_edge[1:]] * LANE_M
        last = np.cumsum([len(p) for p in points])[roads.node_signal[roads.edge_to[row]]] - 1
        return cls(
            edges=row,
            x_m=x,
            y_m=y,
            at_m=at,
            right_m=np.where(two_way, width, 0.5 * width) + VERGE_M,
            left_m=np.where(two_way, 0.5, 0.5 * width + VERGE_M),
            signals_m=at[np.cumsum(new)[last] - 1],
        )

    def find(
        self, before: Users, after: Users
    ) -> tuple[Int32[Array, "n"], Float32[Array, "n"], Float32[Array, "n"], Int8[Array, "n"]]:
        """Who is on its lanes, and not driving against or across it.

        Args:
            before, after: everyone at the start and the end of a second.

        Returns:
            Rows of the users, metres along the street, speeds in m/s, modes: all at the end of the second.
        """
        reach = float(max(self.right_m.max(), self.left_m.max()))
        x, y = after.x_m, after.y_m
        near = (x > self.x_m.min() - reach) & (x < self.x_m.max() + reach)
        near &= (y > self.y_m.min() - reach) & (y < self.y_m.max() + reach)
        rows = np.flatnonzero(near & ((after.mode == Mode.CAR) | (after.mode == Mode.BICYCLE)))
        along, beside, segment = self._project(x[rows].astype(float), y[rows].astype(float))
        on = (beside < self.left_m[segment]) & (beside > -self.right_m[segment])
        step_x, step_y = x[rows] - before.x_m[rows], y[rows] - before.y_m[rows]
        step_m = np.hypot(step_x, step_y)
        length = np.diff(self.at_m)
        ux, uy = np.diff(self.x_m) / length, np.diff(self.y_m) / length
        ahead = step_x * ux[segment] + step_y * uy[segment]
        on &= (step_m < SLOW_M) | (ahead > STRAIGHT_ON * step_m)
        rows, along = rows[on], along[on]
        return rows.astype(np.int32), along.astype(np.float32), after.speed_mps[rows], after.mode[rows]

    def _project(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Metres along, metres to the left, and the nearest segment of points."""
        ux, uy = np.diff(self.x_m), np.diff(self.y_m)
        length = np.hypot(ux, uy)
        dx, dy = x[:, None] - self.x_m[:-1], y[:, None] - self.y_m[:-1]
        share = np.clip((dx * ux + dy * uy) / length**2, 0.0, 1.0)
        away = np.hypot(dx - share * ux, dy - share * uy)
        nearest = away.argmin(axis=1)
        row = np.arange(len(x))
        along = self.at_m[nearest] + share[row, nearest] * length[nearest]
        cross = (ux * dy - uy * dx)[row, nearest]
        return along, np.copysign(away[row, nearest], cross), nearest


def choose_street(roads: Ways) -> Street | None:
    """The longest chain of the most important class of roads that has one of `LONG_M`, or of all classes.

    Returns:
        None where there are no roads.
    """
    longest: list[int] = []
    for rank in np.unique(roads.edge_rank).tolist():
        chain = _longest_chain(roads, np.flatnonzero(roads.edge_rank == rank))
        if _length_m(roads, chain) > _length_m(roads, longest) + 1e-6:
            longest = chain
        if _length_m(roads, longest) >= LONG_M:
            break
    return Street.of(roads, longest) if longest else None


def _length_m(roads: Ways, chain: list[int]) -> float:
    return float(roads.edge_length_m[chain].sum()) if chain else 0.0


def _longest_chain(roads: Ways, edges: Array) -> list[int]:
    """Of all chains that go straight on from an edge of these, the longest; where equal, the first."""
    onward = _onward(roads, edges)
    best: list[int] = []
    best_m = 0.0
    for edge in edges.tolist():
        chain, seen, length_m = [edge], {int(roads.edge_from[edge]), int(roads.edge_to[edge])}, 0.0
        length_m = float(roads.edge_length_m[edge])
        while (following := onward.get(chain[-1])) is not None and length_m < MOST_M:
            node = int(roads.edge_to[following])
            if node in seen:
                break
            chain.append(following)
            seen.add(node)
            length_m += float(roads.edge_length_m[following])
        if length_m > best_m + 1e-6:
            best, best_m = chain, length_m
    return best


def _onward(roads: Ways, edges: Array) -> dict[int, int]:
    """The straightest next edge of each, where one goes straight on."""
    leaving: dict[int, list[int]] = {}
    for edge in edges.tolist():
        leaving.setdefault(int(roads.edge_from[edge]), []).append(edge)
    first, last = roads.shape_start[:-1], roads.shape_start[1:] - 1
    x, y = roads.shape_x_m.astype(float), roads.shape_y_m.astype(float)
    out_x, out_y = _unit(x[first + 1] - x[first], y[first + 1] - y[first])
    in_x, in_y = _unit(x[last] - x[last - 1], y[last] - y[last - 1])
    onward = {}
    for edge in edges.tolist():
        choices = [
            (float(in_x[edge] * out_x[f] + in_y[edge] * out_y[f]), -f)
            for f in leaving.get(int(roads.edge_to[edge]), [])
            if roads.edge_to[f] != roads.edge_from[edge]
        ]
        if choices and max(choices)[0] > STRAIGHT_ON:
            onward[edge] = -max(choices)[1]
    return onward


def _unit(x: Array, y: Array) -> tuple[Array, Array]:
    length = np.maximum(np.hypot(x, y), 1e-9)
    return x / length, y / length
