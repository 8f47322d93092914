"""How many routes a second: random pairs of nodes of one graph, one process."""

from __future__ import annotations

import time

import numpy as np

from mndt.users.routes import RouteGraph, find_routes


def routes_per_s(graph: RouteGraph, *, pairs: int = 10_000, seed: int = 0, rounds: int = 3) -> float:
    """Routes with their edges, found one after the other on one core, a second of processor time.

    Args:
        graph: where routes are sought.
        pairs: of nodes, drawn uniformly with replacement.
        seed: draws them.
        rounds: the fastest counts; compiling and the landmarks' costs, kept with the graph, are left out.
    """
    source, target = np.random.default_rng(seed).integers(0, len(graph.node_x_m), (2, pairs)).astype(np.int32)
    find_routes(graph, source[:1], target[:1])
    best_s = np.inf
    for _ in range(rounds):
        began = time.process_time()
        find_routes(graph, source, target)
        best_s = min(best_s, time.process_time() - began)
    return float(pairs / best_s)
