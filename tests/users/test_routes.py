"""A* against Dijkstra, and the edges of its routes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from road_grid import grid_ways
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from mndt.checks._routing import routes_per_s
from mndt.city.model import City, Ways
from mndt.city.osm import helsinki
from mndt.city.synthetic import synthetic_city
from mndt.users.routes import RouteGraph, find_routes


def dijkstra_costs(ways: Ways, cost: np.ndarray) -> np.ndarray:
    """All pairs by scipy; of parallel edges the cheapest counts."""
    best: dict[tuple[int, int], float] = {}
    for a, b, c in zip(ways.edge_from.tolist(), ways.edge_to.tolist(), cost.tolist(), strict=True):
        best[a, b] = min(c, best.get((a, b), np.inf))
    tails, heads = np.array(list(best)).T
    matrix = csr_matrix((list(best.values()), (tails, heads)), shape=(ways.n_nodes, ways.n_nodes))
    return np.asarray(dijkstra(matrix))


@pytest.fixture(scope="module")
def table1() -> City:
    return synthetic_city()


@pytest.fixture(scope="module", params=["table1", "helsinki"])
def city(request: pytest.FixtureRequest, table1: City) -> City:
    return table1 if request.param == "table1" else helsinki()


@pytest.mark.parametrize(("part", "cost"), [("roads", "time"), ("footways", "length")])
def test_ten_thousand_pairs_of_the_test_maps_cost_what_dijkstra_says(city: City, part: str, cost: str) -> None:
    ways = getattr(city, part)
    edge_cost = np.asarray(ways.edge_length_m, float) / (ways.edge_speed_mps if cost == "time" else 1.0)
    source, target = np.random.default_rng(7).integers(0, ways.n_nodes, (2, 10_000))
    routes = find_routes(RouteGraph.from_ways(ways, cost), source, target)
    np.testing.assert_allclose(routes.cost, dijkstra_costs(ways, edge_cost)[source, target], rtol=1e-12)
    total = np.concatenate([[0.0], np.cumsum(edge_cost[routes.edges])])[routes.start]
    found = np.isfinite(routes.cost)
    assert found.sum() > 9_000
    np.testing.assert_allclose(np.diff(total)[found], routes.cost[found], rtol=1e-9, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), degree=st.floats(0.0, 3.0), free=st.floats(0.0, 0.5))
def test_any_graph_with_one_way_parts_islands_and_edges_that_cost_nothing(
    seed: int, n: int, degree: float, free: float
) -> None:
    rng = np.random.default_rng(seed)
    tail, head = rng.integers(0, n, (2, int(degree * n)))
    x, y = rng.uniform(0, 1000, (2, n))
    straight = np.hypot(x[tail] - x[head], y[tail] - y[head])
    length = np.where(rng.random(len(tail)) < free, 0.0, straight * rng.uniform(1, 3, len(tail)))
    ways = replace(
        grid_ways(side=2), node_x_m=x, node_y_m=y, edge_from=tail, edge_to=head, edge_length_m=length,
        edge_speed_mps=np.ones(len(tail)),
    )  # fmt: skip
    expected = np.where(np.eye(n, dtype=bool), 0.0, np.inf)
    np.minimum.at(expected, (tail, head), length)
    for k in range(n):  # Floyd and Warshall
        expected = np.minimum(expected, expected[:, k : k + 1] + expected[k])
    source, target = (rows.ravel() for rows in np.indices((n, n)))
    routes = find_routes(RouteGraph.from_ways(ways, "length"), source, target)
    np.testing.assert_allclose(routes.cost, expected.ravel(), rtol=1e-12, atol=1e-9)
    assert (np.diff(routes.start)[np.isinf(routes.cost)] == 0).all()


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


def test_the_paper_s_roads_answer_far_more_than_fifty_thousand_pairs_a_second(table1: City) -> None:
    assert routes_per_s(RouteGraph.from_ways(table1.roads)) > 50_000


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
