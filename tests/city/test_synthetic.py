from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from mndt.city.footprints import building_at, footprints
from mndt.city.model import AREA_USES, City, Ways
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.units import w_to_dbm


@cache
def paper_city(seed: int = 0) -> City:
    return synthetic_city(seed=seed)


def check_ways(ways: Ways) -> None:
    """Every way leads from its first node to its last, and every node can be reached from every other."""
    n = ways.n_nodes
    graph = csr_matrix((np.ones(ways.n_edges), (ways.edge_from, ways.edge_to)), (n, n))
    assert connected_components(graph, connection="strong")[0] == 1
    first, last = ways.shape_start[:-1], ways.shape_start[1:] - 1
    for end, row in ((ways.edge_from, first), (ways.edge_to, last)):
        np.testing.assert_allclose(ways.shape_x_m[row], ways.node_x_m[end], atol=1e-6)
        np.testing.assert_allclose(ways.shape_y_m[row], ways.node_y_m[end], atol=1e-6)
    step = np.hypot(np.diff(ways.shape_x_m), np.diff(ways.shape_y_m))
    step[ways.shape_start[1:-1] - 1] = 0.0
    np.testing.assert_allclose(np.add.reduceat(step, first), ways.edge_length_m, rtol=1e-9)
    assert ways.edge_length_m.min() > 0.5
    assert (ways.edge_lanes >= 1).all()


@pytest.mark.parametrize("seed", [0, 7])
def test_the_counts_of_table_i_are_exact(seed: int) -> None:
    city = paper_city(seed)
    assert city.frame.area_km2 == 4.0
    assert city.roads.n_lanes == 1850
    assert len(city.areas) == 1417
    assert len(city.sites) == len(city.cells) == 184
    indoor = city.sites.indoor[city.cells.site]
    assert (int((~indoor).sum()), int(indoor.sum())) == (39, 145)
    np.testing.assert_allclose(w_to_dbm(city.cells.max_power_w), np.where(indoor, 24.0, 30.0))
    assert set(city.cells.pattern) == {"omni"}
    assert set(city.cells.blocks.tolist()) == {45}
    assert set(city.cells.block_hz.tolist()) == {180e3}


def test_streets_and_footways_are_connected_and_exact() -> None:
    city = paper_city()
    check_ways(city.roads)
    check_ways(city.footways)
    assert {1, 2, 3} <= set(city.roads.edge_lanes.tolist())
    assert 20 < int(city.roads.node_signal.sum()) < 150


def test_buildings_stand_clear_of_each_other_and_of_the_carriageways() -> None:
    city = paper_city()
    shapes = footprints(city.buildings)
    assert shapely.is_valid(shapes).all()
    built_m2 = shapely.area(shapes).sum()
    assert shapely.union_all(shapes).area == pytest.approx(built_m2, rel=2e-3)
    assert 0.2 < built_m2 / 4e6 < 0.6
    roads = city.roads
    lines = [
        shapely.LineString(np.column_stack((roads.shape_x_m[a:b], roads.shape_y_m[a:b])))
        for a, b in zip(roads.shape_start[:-1], roads.shape_start[1:], strict=True)
    ]
    tree = shapely.STRtree(shapes)
    assert tree.query(shapely.buffer(lines, 3.0), predicate="intersects").shape[1] == 0


def test_heights_are_lognormal_and_rise_towards_the_centre() -> None:
    city = paper_city()
    height_m = city.buildings.height_m
    assert 15 <= np.median(height_m) <= 21
    assert np.std(np.log(height_m)) == pytest.approx(0.42, abs=0.12)
    house = city.areas.building >= 0
    off_m = np.hypot(city.areas.x_m - 1000, city.areas.y_m - 1000)[house]
    assert np.median(height_m[off_m < 400]) > 1.25 * np.median(height_m[off_m > 900])


def test_areas_lie_where_they_say() -> None:
    city = paper_city()
    areas = city.areas
    house = areas.building >= 0
    assert np.array_equal(
        building_at(footprints(city.buildings), areas.x_m[house], areas.y_m[house]), areas.building[house]
    )
    assert (areas.use[~house] == AREA_USES.index("park")).all()
    assert 10 <= int((~house).sum()) <= 40
    walk_m = np.hypot(
        city.footways.node_x_m[areas.foot_node] - areas.x_m, city.footways.node_y_m[areas.foot_node] - areas.y_m
    )
    assert np.percentile(walk_m, 90) < 60
    assert walk_m.max() < 150
    share = np.bincount(areas.use, minlength=len(AREA_USES)) / len(areas)
    assert 0.4 < share[AREA_USES.index("home")] < 0.75
    assert 0.1 < share[AREA_USES.index("work")] < 0.35


def _same(one: object, two: object) -> bool:
    if is_dataclass(one):
        return all(_same(getattr(one, f.name), getattr(two, f.name)) for f in fields(one))
    return bool(np.array_equal(np.asarray(one), np.asarray(two)))


def test_the_seed_decides_everything() -> None:
    small = {"size_m": 400.0, "lanes": 60, "areas": 40, "outdoor_sites": 2, "indoor_sites": 4}
    assert _same(synthetic_city(seed=3, **small), synthetic_city(seed=3, **small))
    assert not _same(synthetic_city(seed=3, **small), synthetic_city(seed=4, **small))


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size_m=st.floats(300, 700),
    lanes=st.integers(20, 160),
    areas=st.integers(6, 80),
)
def test_other_counts_are_exact_too(seed: int, size_m: float, lanes: int, areas: int) -> None:
    city = synthetic_city(seed=seed, size_m=size_m, lanes=lanes, areas=areas, outdoor_sites=1, indoor_sites=3)
    assert city.roads.n_lanes == lanes
    assert len(city.areas) == areas
    assert len(city.sites) == 4
    check_ways(city.roads)
    check_ways(city.footways)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"size_m": 20.0}, "size_m is 20.0, allowed is 150 to 20000 m"),
        ({"size_m": float("nan")}, "size_m is nan"),
        ({"lanes": 4}, "lanes is 4, allowed is 8 or more"),
        ({"lanes": 9000, "size_m": 300.0}, "lanes is 9000, allowed is at most"),
        ({"areas": 0}, "areas is 0, allowed is 1 or more"),
        ({"areas": 9000, "size_m": 300.0, "lanes": 40}, "areas is 9000, allowed is at most"),
        ({"outdoor_sites": -1}, "outdoor_sites is -1"),
        ({"indoor_sites": -1}, "indoor_sites is -1"),
    ],
)
def test_counts_that_do_not_fit_are_refused(counts: dict[str, float], said: str) -> None:
    with pytest.raises(InputError) as caught:
        synthetic_city(**counts)  # type: ignore[arg-type]
    assert said in str(caught.value)
