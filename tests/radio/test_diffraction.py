"""The diffraction sweep against closed forms, and against a slow reference that searches whole profiles."""

import math

import numpy as np
import pytest
from blocks import city_of, grid
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.radio.diffraction import (
    INSIDE_DB,
    Surface,
    pixels_of,
    surface_of,
    surface_of_terrain,
    sweep,
    to_pixels,
)
from mndt.units import LIGHT_MPS

GHZ = 3.5
WAVELENGTH_M = LIGHT_MPS / (GHZ * 1e9)


def surface(roof_m, ground_m=None, cell_m=2.0):
    roof_m = np.asarray(roof_m, np.float32)
    building = np.where(roof_m > 0, np.arange(roof_m.size).reshape(roof_m.shape), -1).astype(np.int32)
    return Surface(cell_m, roof_m, building, None if ground_m is None else np.asarray(ground_m, np.float32))


def bullington_db(v, d_m):
    """Recommendation ITU-R P.526-16 annex 1: J(v) of clause 4.1, the term for long paths of clause 4.5.1."""
    edge_db = 6.9 + 20 * math.log10(math.sqrt((v - 0.1) ** 2 + 1) + v - 0.1)
    return edge_db + (1 - math.exp(-edge_db / 6)) * (10 + 0.02 * d_m / 1000)


def slow_loss(profile, antenna_m, user_m, d_m):
    """Loss and departure slope over profile points (distance, altitude): every point against both ends."""
    to_user = (user_m - antenna_m) / d_m
    slopes = [(z - antenna_m) / d for d, z in profile]
    if not slopes or max(slopes) <= to_user:
        return 0.0, to_user
    out = max(slopes)
    back = max((z - user_m) / (d_m - d) for d, z in profile)
    apex = (user_m - antenna_m + back * d_m) / (out + back)
    top_m = antenna_m + out * apex
    detour_m = (
        math.hypot(apex, top_m - antenna_m)
        + math.hypot(d_m - apex, top_m - user_m)
        - math.hypot(d_m, user_m - antenna_m)
    )
    return bullington_db(2 * math.sqrt(max(detour_m, 0.0) / WAVELENGTH_M), d_m), out


def slow_edges(profile, antenna_m, user_m, d_m):
    """Corners of a rope pulled tight over the profile: gift wrapping from the antenna."""
    points, at, corners = [*profile, (d_m, user_m)], (0.0, antenna_m), 0
    while True:
        ahead = [p for p in points if p[0] > at[0]]
        at = max(ahead, key=lambda p: ((p[1] - at[1]) / (p[0] - at[0]), p[0]))
        if at[0] == d_m:
            return corners
        corners += 1


def slow_profile(ground, x_m, y_m, row, col, own, user_height_m):
    """What lies below the line from the antenna through a cell, sampled in the middle of each column or row
    on the ray of the fan that passes nearest to the cell's middle."""
    c = ground.cell_m
    rows, cols = ground.roof_m.shape
    dx, dy = col + 0.5 - x_m / c, row + 0.5 - y_m / c
    along_x = abs(dx) >= abs(dy)
    ahead, across = (dx, dy) if along_x else (dy, dx)
    start = (x_m if along_x else y_m) / c
    n = cols if along_x else rows
    reach = n - 0.5 - start if ahead > 0 else start - 0.5
    fan = int(reach) + 1
    lean = round(across / abs(ahead) * fan) / fan
    scale = c * math.hypot(1, lean)
    land = ground.ground_m if ground.ground_m is not None else np.zeros((rows, cols))
    points, sign = [], (1 if ahead > 0 else -1)
    target = col if along_x else row
    for k in range(n):
        far = (k + 0.5 - start) * sign
        if far <= 0 or far >= abs(ahead) - 1e-9:
            continue
        across_at = (y_m if along_x else x_m) / c + lean * far
        i, j = (int(across_at // 1), k) if along_x else (k, int(across_at // 1))
        if not (0 <= i < rows and 0 <= j < cols):
            continue
        standing = ground.building[i, j] >= 0 and ground.building[i, j] != own
        if standing or ground.ground_m is not None:
            points.append((far * scale, float(land[i, j]) + (float(ground.roof_m[i, j]) if standing else 0.0)))
    assert target >= 0
    return points, abs(ahead) * scale, float(land[row, col]) + user_height_m


@st.composite
def rasters(draw):
    rows, cols = draw(st.integers(2, 14)), draw(st.integers(2, 14))
    seed, share = draw(st.integers(0, 10_000)), draw(st.floats(0.0, 0.6))
    rng = np.random.default_rng(seed)
    roof_m = np.where(rng.random((rows, cols)) < share, rng.uniform(3, 40, (rows, cols)).round(), 0.0)
    ground_m = rng.uniform(0, 15, (rows, cols)).round(1) if draw(st.booleans()) else None
    x_m, y_m = rng.uniform(-4, 2 * cols + 4), rng.uniform(-4, 2 * rows + 4)
    return surface(roof_m, ground_m), float(x_m), float(y_m), draw(st.floats(41, 60))


@settings(max_examples=60, deadline=None)
@given(rasters())
def test_every_outdoor_cell_matches_the_slow_reference(case):
    ground, x_m, y_m, height_m = case
    got = sweep(ground, x_m, y_m, height_m, GHZ)
    rows, cols = ground.roof_m.shape
    here = np.clip(int(y_m // 2), 0, rows - 1), np.clip(int(x_m // 2), 0, cols - 1)
    antenna_m = height_m + (0.0 if ground.ground_m is None else float(ground.ground_m[here]))
    for row, col in np.argwhere(ground.building < 0):
        profile, d_m, user_m = slow_profile(ground, x_m, y_m, row, col, -1, 1.5)
        loss_db, slope = slow_loss(profile, antenna_m, user_m, d_m)
        assert got.excess_db[row, col] == pytest.approx(loss_db, abs=2e-3)
        assert got.elevation_rad[row, col] == pytest.approx(math.atan(slope), abs=1e-5)
        assert got.edges[row, col] == slow_edges(profile, antenna_m, user_m, d_m)


def test_nothing_is_lost_over_an_open_field():
    got = sweep(surface(np.zeros((40, 60))), 33.0, 41.0, 30.0, GHZ)
    assert not got.excess_db.any()
    assert not got.edges.any()


def test_elevation_over_an_open_field_points_at_the_user_even_right_below_the_antenna():
    got = sweep(surface(np.zeros((3, 40))), 1.0, 3.0, 30.0, GHZ)
    assert got.elevation_rad[1, 0] == pytest.approx(-math.pi / 2, abs=1e-4)
    ground_m = 2.0 * np.arange(1, 40)
    np.testing.assert_allclose(got.elevation_rad[1, 1:], np.arctan(-28.5 / ground_m), atol=2e-6)


def test_one_wall_is_one_knife_edge():
    roof_m = np.zeros((1, 100))
    roof_m[0, 60] = 40.0  # middle of the wall 121 m east of the corner
    got = sweep(surface(roof_m), 1.0, 1.0, 30.0, GHZ)
    # to the cell 180 m away: the wall is 120 m away and 40 m high, the line is 30 - 28.5 / 180 * 120 = 11 m high there
    over_m = math.hypot(120.0, 10.0) + math.hypot(60.0, 38.5) - math.hypot(180.0, 28.5)
    v = 2 * math.sqrt(over_m / WAVELENGTH_M)
    assert v == pytest.approx(29.0 * math.sqrt(2 * 180.0 / (WAVELENGTH_M * 120.0 * 60.0)), rel=0.13)
    assert got.excess_db[0, 90] == pytest.approx(bullington_db(v, 180.0), abs=1e-3)
    assert got.edges[0, 90] == 1
    assert got.elevation_rad[0, 90] == pytest.approx(math.atan(10.0 / 120.0), abs=1e-6)
    assert not got.excess_db[0, :60].any()


def test_a_low_long_link_has_the_v_of_the_recommendation_to_within_a_hundredth_db():
    roof_m = np.zeros((1, 1000))
    roof_m[0, 500] = 5.0
    got = sweep(surface(roof_m), 1.0, 1.0, 1.5, GHZ)
    v = 3.5 * math.sqrt(2 * 1900.0 / (WAVELENGTH_M * 1000.0 * 900.0))
    assert got.excess_db[0, 950] == pytest.approx(bullington_db(v, 1900.0), abs=0.01)


def test_an_edge_that_just_blocks_costs_six_db_and_the_term_for_long_paths():
    roof_m = np.zeros((1, 100))
    roof_m[0, 50] = 1.5001
    got = sweep(surface(roof_m), 1.0, 1.0, 1.5, GHZ)
    assert got.excess_db[0, 99] == pytest.approx(6.0 + (1 - math.exp(-1)) * 10.0, abs=0.1)
    roof_m[0, 50] = 1.4999
    assert not np.delete(sweep(surface(roof_m), 1.0, 1.0, 1.5, GHZ).excess_db, 50).any()


def test_two_walls_act_as_the_edge_where_both_horizons_meet():
    roof_m = np.zeros((1, 100))
    roof_m[0, 30], roof_m[0, 60] = 25.0, 25.0
    got = sweep(surface(roof_m), 1.0, 1.0, 10.0, GHZ)
    # at 180 m: slopes 15 / 60 from the antenna and 23.5 / 60 from the user meet at 96.623 m, 34.156 m high
    meet_m = (1.5 - 10.0 + 23.5 / 60.0 * 180.0) / (15.0 / 60.0 + 23.5 / 60.0)
    assert meet_m == pytest.approx(96.6234, abs=1e-4)
    over_m = math.hypot(meet_m, meet_m / 4) + math.hypot(180.0 - meet_m, 10.0 + meet_m / 4 - 1.5)
    v = 2 * math.sqrt((over_m - math.hypot(180.0, 8.5)) / WAVELENGTH_M)
    assert got.edges[0, 90] == 2
    assert got.excess_db[0, 90] == pytest.approx(bullington_db(v, 180.0), abs=1e-3)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_the_city_turns_the_result(turns):
    rng = np.random.default_rng(3)
    roof_m = np.where(rng.random((31, 31)) < 0.2, 20.0, 0.0)
    x, y = 17.3 + math.pi / 100, 22.1 - math.e / 100  # so that no ray runs along a border between cells
    want = sweep(surface(roof_m), 31 + x, 31 + y, 35.0, GHZ)
    for _ in range(turns):
        x, y = y, -x  # np.rot90 with row 0 in the south turns clockwise
    got = sweep(surface(np.rot90(roof_m, turns).copy()), 31 + x, 31 + y, 35.0, GHZ)
    np.testing.assert_allclose(got.excess_db, np.rot90(want.excess_db, turns), atol=1e-3)
    np.testing.assert_array_equal(got.edges, np.rot90(want.edges, turns))


def test_a_mirrored_raster_gives_the_mirrored_result():
    rng = np.random.default_rng(4)
    roof_m = np.where(rng.random((20, 33)) < 0.2, 20.0, 0.0)
    want = sweep(surface(roof_m), 3.6 * math.pi, 6.3 * math.e, 35.0, GHZ)
    got = sweep(surface(roof_m[:, ::-1].copy()), 66.0 - 3.6 * math.pi, 6.3 * math.e, 35.0, GHZ)
    np.testing.assert_allclose(got.excess_db, want.excess_db[:, ::-1], atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(-300, 300, allow_subnormal=False),
    st.floats(-300, 300, allow_subnormal=False),
)
def test_every_outdoor_cell_is_reached_from_anywhere(rows, cols, x_m, y_m):
    ground = surface(np.zeros((rows, cols)))
    got = sweep(ground, x_m, y_m, 30.0, GHZ)
    x, y = np.meshgrid((np.arange(cols) + 0.5) * 2 - x_m, (np.arange(rows) + 0.5) * 2 - y_m)
    far_m = np.hypot(x, y)
    # the ray that decides passes within half a cell of the middle
    steepest, flattest = (np.arctan(-28.5 / np.maximum(far_m + off, 1e-9)) for off in (-1.001, 1.001))
    assert (got.elevation_rad <= flattest + 1e-5).all()
    assert (got.elevation_rad >= steepest - 1e-5).all()


def test_an_antenna_far_beyond_the_raster_sees_its_shadow():
    roof_m = np.zeros((21, 50))
    roof_m[:, 20] = 30.0
    got = sweep(surface(roof_m), -50_000.0, 21.0, 40.0, GHZ)
    assert not got.excess_db[:, :20].any()
    assert (got.excess_db[:, 21:] > 20.0).all()
    assert (got.edges[:, 21:] == 1).all()


def test_the_own_building_is_transparent_and_only_that():
    roof_m = np.zeros((5, 60))
    roof_m[:, 20:30], roof_m[:, 40:45] = 20.0, 15.0
    building = np.full(roof_m.shape, -1, np.int32)
    building[:, 20:30], building[:, 40:45] = 7, 8
    ground = Surface(2.0, roof_m.astype(np.float32), building)
    got = sweep(ground, 50.0, 5.0, 21.0, GHZ, own=7)
    assert not got.excess_db[:, 30:40].any()
    assert not got.excess_db[:, :20].any()
    assert (got.excess_db[:, 45:48] > 10.0).all()
    assert (got.excess_db[building >= 0] == INSIDE_DB).all()
    over_edge = sweep(ground, 50.0, 5.0, 21.0, GHZ)
    assert (over_edge.excess_db[:, 30:35] > 10.0).all()


def test_a_building_around_the_antenna_does_not_wall_it_in():
    roof_m = np.zeros((5, 60))
    roof_m[:, 20:30] = 20.0
    building = np.where(roof_m > 0, 7, -1).astype(np.int32)
    ground = Surface(2.0, roof_m.astype(np.float32), building)
    indoors = sweep(ground, 50.0, 5.0, 3.0, GHZ)
    np.testing.assert_array_equal(indoors.excess_db, sweep(ground, 50.0, 5.0, 3.0, GHZ, own=7).excess_db)
    assert not indoors.excess_db[building < 0].any()


def test_a_hill_obstructs_as_a_wall_of_its_height_does():
    x_m = (np.arange(100) + 0.5) * 2
    hill = np.tile(np.maximum(0.0, 30.0 - 0.5 * np.abs(x_m - 101.0)), (3, 1))
    got = sweep(surface(np.zeros((3, 100)), hill), 1.0, 3.0, 20.0, GHZ)
    wall = np.zeros((3, 100))
    wall[:, 50] = 30.0
    want = sweep(surface(wall), 1.0, 3.0, 20.0, GHZ)
    assert got.edges[1, 95] == 1
    assert got.excess_db[1, 95] == pytest.approx(want.excess_db[1, 95], abs=1e-3)
    assert not got.excess_db[1, :50].any()


@pytest.mark.parametrize("slope", [0.0, 0.1, 1 / 3, -0.7])
def test_a_link_that_grazes_a_slope_is_in_sight_or_on_the_edge_of_it(slope):
    ramp = np.tile(slope * 2.0 * np.arange(300), (3, 1))
    got = sweep(surface(np.zeros((3, 300)), ramp), 1.0, 3.0, 0.0, GHZ, user_height_m=0.0)
    grazing_db = bullington_db(0.0, 300.0)
    assert ((got.excess_db == 0.0) | (np.abs(got.excess_db - grazing_db) < 0.7)).all()


def test_lifting_the_ground_changes_nothing():
    rng = np.random.default_rng(5)
    roof_m = np.where(rng.random((20, 30)) < 0.2, 20.0, 0.0)
    flat = sweep(surface(roof_m), 21.0, 13.0, 35.0, GHZ)
    lifted = sweep(surface(roof_m, np.full(roof_m.shape, 120.0)), 21.0, 13.0, 35.0, GHZ)
    np.testing.assert_allclose(lifted.excess_db, flat.excess_db, atol=1e-3)


def test_the_antenna_stands_on_the_ground_of_its_place():
    ramp = np.tile(0.2 * np.arange(60), (3, 1))
    up = sweep(surface(np.zeros((3, 60)), ramp), 119.0, 3.0, 10.0, GHZ)
    assert up.elevation_rad[1, 0] == pytest.approx(math.atan((1.5 - 10.0 - 0.2 * 59) / 118.0), abs=1e-5)


def test_a_higher_carrier_loses_more_behind_a_roof_and_nothing_more_in_sight():
    roof_m = np.zeros((9, 50))
    roof_m[:, 25] = 25.0
    low, high = (sweep(surface(roof_m), 5.0, 9.0, 30.0, f) for f in (0.8, 26.0))
    assert (high.excess_db[:, 26:] > low.excess_db[:, 26:] + 10.0)[low.edges[:, 26:] > 0].all()
    assert not high.excess_db[(high.edges == 0) & (roof_m == 0)].any()


@pytest.mark.parametrize(
    ("changes", "words"), [({"x_m": math.nan}, "x_m is nan"), ({"carrier_ghz": 0.0}, "carrier_ghz is 0.0")]
)
def test_numbers_that_make_no_sense_are_refused(changes, words):
    arguments = {"x_m": 1.0, "y_m": 1.0, "height_m": 10.0, "carrier_ghz": GHZ} | changes
    with pytest.raises(InputError, match=words):
        sweep(surface(np.zeros((3, 3))), **arguments)


def test_the_surface_of_a_city_holds_its_blocks():
    ground = surface_of(city_of(grid(400.0), [(10.0, 10.0, 25.0, -1)]))
    assert ground.roof_m.shape == (200, 200)
    assert set(np.unique(ground.roof_m)) == {0.0, 20.0}
    assert ((ground.building >= 0) == (ground.roof_m > 0)).all()


def test_a_surface_from_rasters_numbers_connected_roofs():
    roof_m = np.zeros((6, 9))
    roof_m[1:3, 1:4], roof_m[4, 6:8], roof_m[0, 8] = 8.0, 5.0, 1.0
    ground = surface_of_terrain(np.full((6, 9), 3.0), roof_m, cell_m=4.0)
    assert sorted(np.unique(ground.building)) == [-1, 0, 1]
    assert ground.roof_m[0, 8] == 0.0
    with pytest.raises(InputError, match="gaps in ground_m is 1"):
        surface_of_terrain(np.array([[1.0, np.nan]]), cell_m=2.0)
    with pytest.raises(InputError, match="shape of roof_m"):
        surface_of_terrain(np.zeros((2, 2)), np.zeros((2, 3)), cell_m=2.0)


def slow_pixels(got, ground, pixel_m, rows, cols):
    """Mean gain of the cells whose middle lies in a pixel, one pixel at a time."""
    middle = [(np.arange(n) + 0.5) * ground.cell_m for n in ground.building.shape]
    out = np.full((rows, cols), np.nan)
    for row in range(rows):
        for col in range(cols):
            mine = np.outer(middle[0] // pixel_m == row, middle[1] // pixel_m == col) & (ground.building < 0)
            if mine.any():
                out[row, col] = -10 * np.log10(np.mean(10 ** (-got.excess_db[mine].astype(float) / 10)))
    return out


@pytest.mark.parametrize("pixel_m", [2.0, 4.0, 5.0, 12.0])
def test_a_pixel_has_the_mean_gain_of_its_outdoor_cells(pixel_m):
    rng = np.random.default_rng(6)
    ground = surface(np.where(rng.random((30, 41)) < 0.5, 20.0, 0.0))
    got = sweep(ground, 21.0, 13.0, 35.0, GHZ)
    rows, cols = math.ceil(60 / pixel_m) + 1, math.ceil(82 / pixel_m) - 1
    pixels = to_pixels(got, pixels_of(ground, pixel_m, rows, cols))
    want = slow_pixels(got, ground, pixel_m, rows, cols)
    known = np.isfinite(want)
    np.testing.assert_allclose(pixels.excess_db[known], want[known], atol=2e-3)
    assert np.isfinite(pixels.excess_db).all()
    assert (pixels.excess_db < INSIDE_DB).all()
    assert (np.abs(pixels.elevation_rad) <= math.pi / 2).all()


def test_a_pixel_without_outdoor_cells_takes_the_nearest_one():
    roof_m = np.zeros((10, 30))
    roof_m[:, 10:20], roof_m[:, 24] = 20.0, 30.0
    ground = surface(roof_m)
    got = sweep(ground, 5.0, 11.0, 35.0, GHZ)
    pixels = to_pixels(got, pixels_of(ground, 4.0, 5, 15))
    assert pixels.excess_db[2, 5] == got.excess_db[5, 9]
    assert pixels.excess_db[2, 9] == got.excess_db[5, 20]
    assert pixels.edges[2, 9] == got.edges[5, 20] == 1


def test_a_place_built_over_without_a_gap_stays_at_the_stated_value():
    ground = surface(np.full((4, 4), 10.0))
    got = to_pixels(sweep(ground, 4.0, 4.0, 20.0, GHZ), pixels_of(ground, 4.0, 2, 2))
    assert (got.excess_db == INSIDE_DB).all()


def test_pixels_need_a_size():
    with pytest.raises(InputError, match="pixel_m is 0"):
        pixels_of(surface(np.zeros((2, 2))), 0, 1, 1)


def test_the_result_does_not_depend_on_how_many_sweeps_run_side_by_side():
    from mndt.parallel import side_by_side

    rng = np.random.default_rng(8)
    ground = surface(np.where(rng.random((60, 60)) < 0.3, 20.0, 0.0))
    places = [(10.0 * k + 3.3, 7.7 * k + 5.1) for k in range(8)]
    one, two = (
        side_by_side(lambda p: sweep(ground, *p, 25.0, GHZ).excess_db, places, "sweeps", n, threads=True)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
