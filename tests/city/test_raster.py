"""Pixels against shapely, courtyards, overlaps, look-ups and facades."""

import time

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.city.footprints import assemble
from mndt.city.model import Buildings, City, Frame
from mndt.city.raster import Raster, facade, rasterise
from mndt.errors import InputError

FRAME = Frame(32635, 0.0, 0.0, 40.0, 30.0)


def built(shapes: list[object], heights: list[float]) -> Buildings:
    n = len(shapes)
    return assemble(shapes, np.array(heights, float), np.ones(n, bool), np.zeros(n, np.int64))


def centres(raster: Raster) -> tuple[np.ndarray, np.ndarray]:
    row, col = np.indices(raster.building.shape)
    return (col + 0.5) * raster.cell_m, (row + 0.5) * raster.cell_m


# Corners on a grid of sevenths never meet the pixel centres, where inside and outside are a matter of taste.
corner = st.tuples(st.integers(-40, 320), st.integers(-40, 250)).map(lambda p: (p[0] / 7 + 0.01, p[1] / 7 + 0.013))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(corner, min_size=3, max_size=9), min_size=1, max_size=5),
    st.sampled_from([0.7, 1.0, 2.0]),
    st.randoms(),
)
def test_equals_shapely(outlines: list[list[tuple[float, float]]], cell_m: float, random) -> None:
    shapes = [shapely.make_valid(shapely.Polygon(outline)) for outline in outlines]
    shapes = [shapely.union_all([p for p in shapely.get_parts(s) if "Polygon" in p.geom_type]) for s in shapes]
    shapes = [s for s in shapes if s.geom_type in ("Polygon", "MultiPolygon") and not s.is_empty]
    heights = random.sample(range(1, 100), len(shapes))
    raster = rasterise(built(shapes, heights), FRAME, cell_m)
    x, y = centres(raster)
    expected = np.zeros(x.shape)
    for shape, height in zip(shapes, heights, strict=True):
        shapely.prepare(shape)
        expected = np.where(shapely.contains_xy(shape, x, y), np.maximum(expected, height), expected)
    assert raster.height_m == pytest.approx(expected)
    assert ((raster.building >= 0) == (expected > 0)).all()
    indoor = raster.building >= 0
    assert (np.array([*heights, 0])[raster.building[indoor]] == raster.height_m[indoor]).all()


def test_courtyards_and_several_outlines() -> None:
    court = shapely.Polygon([(2, 2), (20, 2), (20, 20), (2, 20)], [[(6, 6), (16, 6), (16, 16), (6, 16)]])
    two = shapely.MultiPolygon([shapely.box(24, 2, 28, 6), shapely.box(32, 2, 38, 28)])
    raster = rasterise(built([court, two], [10, 20]), FRAME, 1.0)
    assert raster.building.shape == (30, 40)
    assert raster.at(np.array([4.0, 11, 26, 30, 35]), np.array([4.0, 11, 4, 4, 20])).tolist() == [0, -1, 1, -1, 1]
    assert (raster.building == 0).sum() == 18 * 18 - 100
    assert (raster.building == 1).sum() == 16 + 6 * 26


def test_the_highest_wins() -> None:
    low, high = shapely.box(0, 0, 20, 20), shapely.box(5, 5, 10, 10)
    for shapes, heights, top in (([low, high], [5, 50], 1), ([high, low], [50, 5], 0)):
        assert rasterise(built(shapes, heights), FRAME, 1.0).building[7, 7] == top


def test_row_zero_is_south() -> None:
    raster = rasterise(built([shapely.box(0, 0, 3, 1)], [4]), FRAME, 1.0)
    assert raster.height_m[0, :4].tolist() == [4, 4, 4, 0]
    assert raster.height_m[1].max() == 0


def test_look_up_beyond_the_city() -> None:
    raster = rasterise(built([shapely.box(-50, -50, 90, 90)], [4]), FRAME, 2.0)
    x = np.array([-0.1, 0.0, 39.9, 40.1, 5, 5, np.nan, 1e30])
    y = np.array([5, 5, 5, 5, -0.1, 30.1, 5, 5])
    assert raster.at(x, y).tolist() == [-1, 0, 0, -1, -1, -1, -1, -1]


def test_no_buildings_and_wrong_cells() -> None:
    empty = rasterise(built([], []), FRAME, 2.0)
    assert (empty.building == -1).all()
    assert len(facade(empty).row) == 0
    with pytest.raises(InputError, match="cell_m is 0"):
        rasterise(built([], []), FRAME, 0)


def test_facade_is_the_nearest_outdoor_pixel(helsinki_city: City) -> None:
    raster = rasterise(helsinki_city.buildings, helsinki_city.frame, 8.0)
    row, col, depth_m = facade(raster)
    indoor, outdoor = np.argwhere(raster.building >= 0), np.argwhere(raster.building < 0)
    assert (raster.building[row, col] == -1).all()
    best = np.array([np.hypot(*(outdoor - here).T).min() for here in indoor])
    assert np.hypot(*(indoor - np.column_stack([row, col])).T) == pytest.approx(best)
    assert depth_m == pytest.approx((best - 0.5) * 8.0, rel=1e-5)


def test_built_over_without_a_gap() -> None:
    raster = rasterise(built([shapely.box(-1, -1, 50, 50)], [4]), FRAME, 10.0)
    assert np.isinf(facade(raster).depth_m).all()


def test_speed(helsinki_city: City) -> None:
    frame = Frame(32635, 0.0, 0.0, 2000.0, 2000.0)
    rasterise(helsinki_city.buildings, frame, 2.0)
    taken = []
    for _ in range(3):
        start = time.process_time()
        rasterise(helsinki_city.buildings, frame, 2.0)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.2  # about 5 ms on an idle core
