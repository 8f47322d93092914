"""Cheapest routes on a graph of ways: A* with bounds by straight lines and landmarks.

The search expands nodes in the order of ``cost so far + bound to the target``
(Hart, Nilsson and Raphael 1968, doi:10.1109/TSSC.1968.300136). The bound is the larger of two: the
straight line times the best pace (cost per metre of straight line) of any edge, and what the known
costs to and from a few landmarks imply, ``d(v, L) - d(t, L)`` and ``d(L, t) - d(L, v)`` (Goldberg and
Harrelson 2005, "Computing the shortest path: A* search meets graph theory", SODA). Neither exceeds
the true cost and both obey the triangle inequality, so the first time the target leaves the heap its
cost is the least one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int32
from numba import njit

from mndt.city.model import Ways

Array = np.ndarray

LANDMARKS: Final = 16
"""Nodes to and from which all costs are kept; more cost memory and help little on a city's graph."""

_USED: Final = 3
"""Landmark bounds that a search looks at: those that say most about its pair of nodes."""


@dataclass(frozen=True)
class RouteGraph:
    """A directed graph, the edges that leave node v in rows ``first_out[v]:first_out[v + 1]``."""

    first_out: Int32[Array, "nodes_plus_1"]
    out_edge: Int32[Array, "edges"]  # row of Ways
    out_node: Int32[Array, "edges"]  # where that edge leads
    out_cost: Float64[Array, "edges"]  # s for cost="time", m for cost="length"
    node_x_m: Float64[Array, "nodes"]
    node_y_m: Float64[Array, "nodes"]
    pace: float  # least cost per metre of straight line over all edges
    potential: Float64[Array, "nodes bounds"]  # d(v, L) and -d(L, v) of each landmark L; inf where there is no way

    @classmethod
    def from_ways(cls, ways: Ways, cost: Literal["time", "length"] = "time") -> RouteGraph:
        """The graph of a city's roads or footways.

        Args:
            ways: edges with lengths in metres and speeds in m/s.
            cost: what a route keeps small: travel time in s at the speed limits, or length in m.
        """
        edge_cost = ways.edge_length_m.astype(np.float64)
        if cost == "time":
            edge_cost = edge_cost / ways.edge_speed_mps
        x_m, y_m = ways.node_x_m.astype(np.float64), ways.node_y_m.astype(np.float64)
        straight_m = np.hypot(x_m[ways.edge_to] - x_m[ways.edge_from], y_m[ways.edge_to] - y_m[ways.edge_from])
        apart = straight_m > 0.0
        order = np.argsort(ways.edge_from, kind="stable")
        degree = np.bincount(ways.edge_from, minlength=ways.n_nodes)
        out_node = ways.edge_to[order].astype(np.int32)
        return cls(
            first_out=np.concatenate(([0], np.cumsum(degree))).astype(np.int32),
            out_edge=order.astype(np.int32),
            out_node=out_node,
            out_cost=edge_cost[order],
            node_x_m=x_m,
            node_y_m=y_m,
            # a hair below the true least pace, so that rounding cannot lift the bound above the cost
            pace=float((edge_cost[apart] / straight_m[apart]).min(initial=np.inf) * (1.0 - 1e-12))
            if apart.any()
            else 0.0,
            potential=_potentials(np.repeat(np.arange(ways.n_nodes), degree), out_node, edge_cost[order], x_m, y_m),
        )


@dataclass(frozen=True)
class Routes:
    """Routes as lists of edges: route r takes rows ``start[r]:start[r + 1]`` of `edges` in order."""

    start: Int32[Array, "routes_plus_1"]
    edges: Int32[Array, "total"]  # rows of Ways
    cost: Float64[Array, "routes"]  # inf where no way leads to the target

    def __len__(self) -> int:
        return len(self.cost)


def find_routes(graph: RouteGraph, source_node: Int32[Array, "n"], target_node: Int32[Array, "n"]) -> Routes:
    """The cheapest route of every pair of nodes.

    Args:
        graph: from `RouteGraph.from_ways`.
        source_node: rows of the graph's nodes where routes begin.
        target_node: rows where they end.

    Returns:
        Routes; a pair without connection has cost inf and no edges, a pair of equal nodes cost 0 and no edges.
    """
    source, target = np.ascontiguousarray(source_node, np.int32), np.ascontiguousarray(target_node, np.int32)
    start, cost = np.zeros(len(source) + 1, np.int32), np.full(len(source), np.inf)
    edges = np.empty(64 * (len(source) + 1), np.int32)
    work = _Work.for_graph(graph)
    done = 0
    arrays = _Graph(*vars(graph).values())
    while (done := _search(arrays, work, source, target, done, start, edges, cost)) < len(source):
        edges = np.concatenate((edges, np.empty_like(edges)))  # full: go on with the query that did not fit
        work.stamp[:] = work.closed[:] = -1
    return Routes(start, edges[: start[-1]].copy(), cost)


def _potentials(tail: Array, head: Array, cost: Array, x_m: Array, y_m: Array) -> Float64[Array, "nodes bounds"]:
    """Costs to and from landmarks, far from each other in the largest part where all nodes reach all."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components, dijkstra

    n = len(x_m)
    if not len(tail):
        return np.zeros((n, 0))
    order = np.lexsort((cost, head, tail))  # of parallel edges the cheapest counts
    first = order[np.r_[True, (np.diff(tail[order]) != 0) | (np.diff(head[order]) != 0)]]
    there = csr_array((cost[first], (tail[first], head[first])), shape=(n, n))
    back = csr_array(there.T)
    part = connected_components(there, connection="strong")[1]
    members = np.flatnonzero(part == np.bincount(part).argmax())
    landmark = members[np.argmax(np.hypot(x_m - x_m[members].mean(), y_m - y_m[members].mean())[members])]
    columns: list[Array] = []
    near = np.full(len(members), np.inf)
    for _ in range(min(LANDMARKS, len(members))):
        towards, away = dijkstra(back, indices=landmark), dijkstra(there, indices=landmark)
        columns += [towards, -away]
        near = np.minimum(near, (towards + away)[members])
        landmark = members[near.argmax()]
    return np.ascontiguousarray(np.column_stack(columns))


class _Graph(NamedTuple):
    """`RouteGraph` as the kernel takes it."""

    first_out: Array
    out_edge: Array
    out_node: Array
    out_cost: Array
    node_x_m: Array
    node_y_m: Array
    pace: float
    potential: Array


class _Work(NamedTuple):
    """What a search keeps per node; valid for query q only where ``stamp == q``, so nothing is cleared."""

    stamp: Array
    closed: Array  # likewise: the least cost is final
    reached: Array  # least cost from the source so far
    bound: Array  # from here to the target, at least
    arrow: Array  # row of out_* that led here, -1 at the source
    came_from: Array
    heap_key: Array
    heap_node: Array

    @classmethod
    def for_graph(cls, graph: RouteGraph) -> _Work:
        n = len(graph.node_x_m)
        heap = n + len(graph.out_node) + 1  # a node is expanded once: every edge pushes its end at most once
        stamp, closed = np.full((2, n), -1, np.int32)
        reached, bound = np.empty((2, n))
        arrow, came_from = np.empty((2, n), np.int32)
        return cls(stamp, closed, reached, bound, arrow, came_from, np.empty(heap), np.empty(heap, np.int32))


@njit(cache=True, nogil=True, error_model="numpy")
def _search(
    graph: _Graph, work: _Work, source: Array, target: Array, first: int, start: Array, edges: Array, cost: Array
) -> int:
    """One A* after the other from query `first`; the number of the query whose edges do not fit, or of all."""
    x_m, y_m, pace, potential = graph.node_x_m, graph.node_y_m, graph.pace, graph.potential
    stamp, closed, reached, bound, arrow, came_from, heap_key, heap_node = work
    used, at_goal, n_used = np.empty(_USED, np.int32), np.empty(_USED), min(_USED, potential.shape[1])
    for q in range(first, source.shape[0]):
        goal, begin = target[q], source[q]
        goal_x, goal_y = x_m[goal], y_m[goal]
        least = pace * math.sqrt((x_m[begin] - goal_x) ** 2 + (y_m[begin] - goal_y) ** 2)
        for u in range(n_used):  # the landmarks that say most about this pair
            most, choice = -math.inf, 0
            for k in range(potential.shape[1]):
                says = potential[begin, k] - potential[goal, k]
                if says > most:  # no: neither end reaches the landmark, and says is not a number
                    taken = False
                    for j in range(u):
                        taken |= used[j] == k
                    if not taken:
                        most, choice = says, k
            used[u], at_goal[u] = choice, potential[goal, choice]
            least = max(least, most)
        start[q + 1] = start[q]
        if least == math.inf:
            continue  # the landmark is reached from one end only: there is no way
        stamp[begin], reached[begin], arrow[begin], bound[begin] = q, 0.0, -1, least
        heap_key[0], heap_node[0], size = least, begin, 1
        while size > 0:
            here = heap_node[0]
            if here == goal:
                cost[q] = reached[here]
                break
            size -= 1  # take the top out: the hole sinks to where the last entry fits
            last_key, last_node, hole, child = heap_key[size], heap_node[size], 0, 1
            while child < size:
                if child + 1 < size and heap_key[child + 1] < heap_key[child]:
                    child += 1
                if heap_key[child] >= last_key:
                    break
                heap_key[hole], heap_node[hole] = heap_key[child], heap_node[child]
                hole = child
                child = 2 * hole + 1
            heap_key[hole], heap_node[hole] = last_key, last_node
            if closed[here] == q:
                continue  # an older, dearer entry
            closed[here] = q
            for k in range(graph.first_out[here], graph.first_out[here + 1]):
                there, arrival = graph.out_node[k], reached[here] + graph.out_cost[k]
                if stamp[there] == q:
                    if closed[there] == q or arrival >= reached[there]:
                        continue
                else:
                    stamp[there] = q
                    least = pace * math.sqrt((x_m[there] - goal_x) ** 2 + (y_m[there] - goal_y) ** 2)
                    for u in range(n_used):
                        says = potential[there, used[u]] - at_goal[u]
                        if says > least:
                            least = says
                    bound[there] = least
                    if least == math.inf:
                        closed[there] = q  # the target cannot be reached from here
                        continue
                reached[there], arrow[there], came_from[there] = arrival, k, here
                key_there, hole = arrival + bound[there], size
                size += 1
                while hole > 0 and heap_key[(hole - 1) >> 1] > key_there:
                    heap_key[hole], heap_node[hole] = heap_key[(hole - 1) >> 1], heap_node[(hole - 1) >> 1]
                    hole = (hole - 1) >> 1
                heap_key[hole], heap_node[hole] = key_there, there
        end = start[q]
        if cost[q] < math.inf:
            node = goal
            while arrow[node] >= 0:
                node = came_from[node]
                end += 1
            if end > edges.shape[0]:
                cost[q] = math.inf
                return q
            node = goal
            for k in range(end - start[q]):
                edges[end - 1 - k] = graph.out_edge[arrow[node]]
                node = came_from[node]
        start[q + 1] = end
    return len(source)
