"""Light programmes of a city's junctions: two phases, one programme for lights that stand close together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from mndt.city.model import Ways

Array = np.ndarray

GREEN_S: Final = 30
YELLOW_S: Final = 3
ALL_RED_S: Final = 2
CYCLE_S: Final = 2 * (GREEN_S + YELLOW_S + ALL_RED_S)
CROSSING_GREEN_S: Final = 45
"""Green for cars where a light only lets walkers cross."""

CLUSTER_M: Final = 35.0
"""Lights closer to each other along a road are one crossing with one programme."""

WAVE_MPS: Final = 11.0
"""Speed of the green wave that the programmes' offsets follow towards the north-east."""

MAIN, SECOND, INSIDE = range(3)
"""Phase of an edge that ends at a light; those inside a crossing always have green and clear it first."""


class Lights(NamedTuple):
    """Lights at the ends of edges."""

    phase: Int64[Array, "edges"]  # MAIN, SECOND, INSIDE; -1 = no light
    inside: Bool[Array, "edges"]
    offset_s: Int64[Array, "nodes"]
    alone: Bool[Array, "nodes"]  # no second phase for cars


def lights_of(roads: Ways, enter_rad: Float64[Array, "edges"]) -> Lights:
    """Phases of all edges.

    Approaches within 45 degrees of the axis of the most important approach share its phase, the others have the
    second one. Where all share one axis the light is for walkers and cars have the longer green.
    """
    crossing = _crossings(roads)
    a, b = crossing[roads.edge_from], crossing[roads.edge_to]
    inside = (a >= 0) & (a == b) & (roads.edge_length_m < CLUSTER_M)
    phase = np.where(inside, INSIDE, np.where(b >= 0, MAIN, -1))
    offset_s, alone = np.zeros(roads.n_nodes, np.int64), np.zeros(roads.n_nodes, bool)
    for c in np.unique(crossing[crossing >= 0]):
        nodes = np.flatnonzero(crossing == c)
        edges = np.flatnonzero((b == c) & ~inside)
        if len(edges) == 0:
            continue
        main = edges[np.lexsort((edges, -roads.edge_lanes[edges], roads.edge_rank[edges]))[0]]
        second = np.abs(np.cos(enter_rad[edges] - enter_rad[main])) < np.cos(np.pi / 4)
        phase[edges[second]] = SECOND
        at = roads.edge_to[main]
        offset_s[nodes] = round((roads.node_x_m[at] + roads.node_y_m[at]) / WAVE_MPS) % CYCLE_S
        alone[nodes] = not second.any()
    return Lights(phase, inside, offset_s, alone)


def _crossings(roads: Ways) -> Int32[Array, "nodes"]:
    """The crossing of every node with a light (nodes joined by short edges are one), -1 elsewhere."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    joined = roads.node_signal[roads.edge_from] & roads.node_signal[roads.edge_to] & (roads.edge_length_m < CLUSTER_M)
    ends = (roads.edge_from[joined], roads.edge_to[joined])
    graph = coo_matrix((np.ones(joined.sum(), np.int8), ends), shape=(roads.n_nodes, roads.n_nodes))
    _, label = connected_components(graph, directed=False)
    return np.where(roads.node_signal, label, -1).astype(np.int32)


def phases_of(phase: Sequence[int], yields: Sequence[set[int]], alone: bool) -> tuple[tuple[float, str], ...]:
    """One light's phases: G goes first, g yields to others that also have green.

    Args:
        phase: of every link, as in `Lights`.
        yields: links that it must yield to.
        alone: no second phase.

    >>> phases_of([MAIN, SECOND], [set(), {0}], False)[0]
    (30.0, 'Gr')
    """
    shown: list[tuple[int, int]] = [(CROSSING_GREEN_S, MAIN)] if alone else [(GREEN_S, MAIN), (GREEN_S, SECOND)]
    rest_s = CYCLE_S - CROSSING_GREEN_S - YELLOW_S if alone else ALL_RED_S
    phases = []
    for green_s, now in shown:
        for seconds, letter in ((green_s, "G"), (YELLOW_S, "y"), (rest_s, "r")):
            phases.append((float(seconds), _letters(phase, yields, now, letter)))
    return tuple(phases)


def _letters(phase: Sequence[int], yields: Sequence[set[int]], now: int, letter: str) -> str:
    goes = [p == INSIDE or (p == now and letter == "G") for p in phase]
    return "".join(
        ("g" if any(goes[foe] for foe in yields[k]) else "G") if goes[k] else letter if p == now else "r"
        for k, p in enumerate(phase)
    )
