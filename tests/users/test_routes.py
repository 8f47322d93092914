"""A* against Dijkstra, and the edges of its routes."""

from dataclasses import replace
from time import process_time

import numpy as np
import pytest
from road_grid import grid_ways
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from mndt.city.model import Ways
from mndt.users.routes import RouteGraph, find_routes


def dijkstra_costs(ways: Ways, cost: np.ndarray) -> np.ndarray:
    """All pairs by scipy; of parallel edges the cheapest counts."""
    best: dict[tuple[int, int], float] = {}
    for a, b, c in zip(ways.edge_from.tolist(), ways.edge_to.tolist(), cost.tolist(), strict=True):
        best[a, b] = min(c, best.get((a, b), np.inf))
    tails, heads = np.array(list(best)).T
    matrix = csr_matrix((list(best.values()), (tails, heads)), shape=(ways.n_nodes, ways.n_nodes))
    return np.asarray(dijkstra(matrix))


@pytest.mark.parametrize("cost", ["time", "length"])
@pytest.mark.parametrize("jitter_m", [20.0, 0.0])  # without jitter nearly every pair has equal-cost ties
def test_cost_equals_dijkstra(cost: str, jitter_m: float) -> None:
    ways = grid_ways(side=15, jitter_m=jitter_m, seed=3, one_way_share=0.3, island=True)
    edge_cost = ways.edge_length_m / (ways.edge_speed_mps if cost == "time" else 1.0)
    expected = dijkstra_costs(ways, edge_cost)
    source, target = np.random.default_rng(0).integers(0, ways.n_nodes, (2, 10_000))
    routes = find_routes(RouteGraph.from_ways(ways, cost), source, target)
    np.testing.assert_allclose(routes.cost, expected[source, target], rtol=1e-12)
    assert np.isinf(routes.cost).sum() > 50
    assert (source == target).sum() > 10
    for r in range(0, len(routes), 7):
        edges = routes.edges[routes.start[r] : routes.start[r + 1]]
        if np.isinf(routes.cost[r]) or source[r] == target[r]:
            assert len(edges) == 0
            continue
        assert ways.edge_from[edges[0]] == source[r]
        assert ways.edge_to[edges[-1]] == target[r]
        assert (ways.edge_to[edges[:-1]] == ways.edge_from[edges[1:]]).all()
        assert edge_cost[edges].sum() == pytest.approx(routes.cost[r], rel=1e-12)


def test_thirteen_thousand_routes_in_a_second() -> None:
    ways = grid_ways(side=22, jitter_m=20.0, seed=1)
    graph = RouteGraph.from_ways(ways)
    source, target = np.random.default_rng(1).integers(0, ways.n_nodes, (2, 13_000))
    find_routes(graph, source[:1], target[:1])
    start = process_time()
    find_routes(graph, source, target)
    assert process_time() - start < 1.0


def test_edges_shorter_than_the_straight_line_keep_the_bound_admissible() -> None:
    ways = grid_ways(side=8, jitter_m=20.0, seed=2)
    ways.edge_length_m[::3] *= 0.4  # a map may round lengths; the bound has to follow
    expected = dijkstra_costs(ways, ways.edge_length_m / ways.edge_speed_mps)
    source, target = np.random.default_rng(2).integers(0, ways.n_nodes, (2, 2_000))
    np.testing.assert_allclose(
        find_routes(RouteGraph.from_ways(ways), source, target).cost, expected[source, target], rtol=1e-12
    )


def test_routes_longer_than_the_first_guess_of_room() -> None:
    line = grid_ways(side=2)
    n = 200  # one long street: 199 edges for one query
    x = np.arange(n) * 10.0
    street = replace(
        line,
        node_x_m=x,
        node_y_m=0 * x,
        edge_from=np.arange(n - 1),
        edge_to=np.arange(1, n),
        edge_length_m=np.full(n - 1, 10.0),
        edge_speed_mps=np.full(n - 1, 10.0),
    )
    routes = find_routes(RouteGraph.from_ways(street), np.array([5, 0, 0]), np.array([4, n - 1, n - 2]))
    np.testing.assert_allclose(routes.cost, [np.inf, n - 1, n - 2])
    np.testing.assert_array_equal(np.diff(routes.start), [0, n - 1, n - 2])
    np.testing.assert_array_equal(routes.edges, np.concatenate([np.arange(n - 1), np.arange(n - 2)]))
