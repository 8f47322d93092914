import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from blocks import city_of, grid, settings_of
from pydantic import TypeAdapter, ValidationError

from mndt.errors import InputError
from mndt.radio import maps as maps_module
from mndt.radio import pathloss
from mndt.radio.layers import encode, layers_of
from mndt.radio.maps import RadioParameters, aim, build_maps, coverage_dbm, estimate, re_aim

STANDARD = RadioParameters(engine="tr38901")
CALM = replace(STANDARD, shadowing=False, o2i="low")
QUANTUM_DB = 0.6 / 64


@pytest.fixture
def build(tmp_path):
    def build(city, parameters=CALM, **options):
        return build_maps(city, parameters, cache_dir=tmp_path, n_jobs=1, **options)

    return build


def _distances(maps, x_m, y_m, height_m, user_m=1.5):
    row, col = np.indices(maps.level.shape[:2])
    ground_m = np.hypot((col + 0.5) * maps.cell_m - x_m, (row + 0.5) * maps.cell_m - y_m)
    return ground_m, np.maximum(pathloss.slant_distance_m(ground_m, height_m, user_m), 1.0)


@pytest.mark.parametrize("scenario", ["UMi", "UMa", "RMa"])
def test_open_field_is_the_formula(build, scenario):
    maps = build(city_of([], [(100.0, 150.0, 25.0, -1)]), replace(CALM, scenario=scenario))
    ground_m, slant_m = _distances(maps, 100.0, 150.0, 25.0)
    expected = pathloss.loss_db(scenario, True, ground_m, slant_m, 3.5, 25.0, 1.5)
    np.testing.assert_allclose(maps.loss_db()[:, :, 0], expected, atol=QUANTUM_DB)
    assert maps.sight().all()


def test_behind_a_wall_is_the_formula_without_sight(build):
    maps = build(city_of([(200.0, 0.0, 220.0, 400.0)], [(100.0, 200.0, 10.0, -1)]))
    ground_m, slant_m = _distances(maps, 100.0, 200.0, 10.0)
    los = pathloss.umi_los_db(ground_m, slant_m, 3.5, 10.0, 1.5)
    nlos = pathloss.umi_nlos_db(ground_m, slant_m, 3.5, 10.0, 1.5)
    loss, sight = maps.loss_db()[:, :, 0], maps.sight()[:, :, 0]
    np.testing.assert_allclose(loss[:, :50], los[:, :50], atol=QUANTUM_DB)
    np.testing.assert_allclose(loss[:, 55:], nlos[:, 55:], atol=QUANTUM_DB)
    assert sight[:, :50].all()
    assert not sight[:, 50:].any()


def test_inside_adds_wall_and_depth_to_the_state_of_the_facade(build):
    maps = build(city_of([(200.0, 0.0, 240.0, 400.0)], [(100.0, 200.0, 10.0, -1)]))
    ground_m, slant_m = _distances(maps, 100.0, 200.0, 10.0)
    row = 50
    for col, state, depth_m in ((50, True, 2.0), (53, True, 14.0), (59, False, 2.0)):
        base = pathloss.loss_db("UMi", state, ground_m[row, col], slant_m[row, col], 3.5, 10.0, 1.5)
        expected = base + pathloss.wall_loss_db("low", 3.5) + 0.5 * depth_m
        assert maps.loss_db()[row, col, 0] == pytest.approx(expected, abs=QUANTUM_DB)


def test_indoor_station_in_its_house_outside_and_next_door(build):
    boxes = [(80.0, 80.0, 120.0, 120.0), (200.0, 80.0, 240.0, 120.0)]
    maps = build(city_of(boxes, [(102.0, 102.0, 3.0, 0)]), replace(CALM, o2i="high"))
    loss, sight = maps.loss_db()[:, :, 0], maps.sight()[:, :, 0]
    ground_m, slant_m = _distances(maps, 102.0, 102.0, 3.0)
    own = np.s_[20:30, 20:30]
    inside = pathloss.loss_db("InH", sight[own], ground_m[own], slant_m[own], 3.5, 3.0, 1.5)
    np.testing.assert_allclose(loss[own], inside, atol=QUANTUM_DB)
    wall = pathloss.wall_loss_db("high", 3.5)
    out = wall + 0.5 * 18.0  # the station's pixel is five pixels from the wall
    street = pathloss.umi_los_db(ground_m[25, 40], slant_m[25, 40], 3.5, 3.0, 1.5) + out
    assert loss[25, 40] == pytest.approx(street, abs=QUANTUM_DB)
    next_door = pathloss.umi_los_db(ground_m[25, 50], slant_m[25, 50], 3.5, 3.0, 1.5) + out + wall + 0.5 * 2.0
    assert loss[25, 50] == pytest.approx(next_door, abs=QUANTUM_DB)
    outside = np.ones(sight.shape, bool)
    outside[own] = False
    assert not sight[outside].any()


def test_indoor_sight_follows_the_table_in_patches(build):
    stations = [(10.0 + 4.0 * i, 202.0, 3.0, 0) for i in range(60)]
    maps = build(city_of([(0.0, 0.0, 400.0, 396.0)], stations))
    sight, share, expected = maps.sight(), [], []
    for layer, (x_m, y_m, height_m, _) in enumerate(stations):
        ground_m, _ = _distances(maps, x_m, y_m, height_m)
        ring = (ground_m > 8.0) & (ground_m < 16.0)
        ring[-1] = False
        share.append(sight[:, :, layer][ring].mean())
        expected.append(pathloss.los_probability("InH", ground_m[ring]).mean())
    assert np.mean(share) == pytest.approx(np.mean(expected), abs=0.06)
    inside = sight[:-1, :, 0]
    ground_m = _distances(maps, *stations[0][:3])[0][:-1]
    band = (ground_m > 8.0) & (ground_m < 100.0)
    neighbours = np.mean((inside[1:] == inside[:-1])[band[1:]])
    p = inside[band].mean()
    assert neighbours > p**2 + (1 - p) ** 2 + 0.02


def test_every_pixel_has_a_value_whatever_the_city(build):
    built_over = city_of([(0.0, 0.0, 400.0, 400.0)], [(50.0, 50.0, 25.0, -1), (200.0, 200.0, 3.0, 0)])
    outside_the_box = city_of(grid(400.0), [(-50.0, 500.0, 25.0, -1), (200.0, 700.0, 2.0, -1)])
    same_height = city_of([], [(101.0, 99.0, 1.5, -1), (200.0, 200.0, 1.0, -1)])
    indoor_in_the_street = city_of(grid(400.0), [(10.0, 10.0, 3.0, 0)])
    for city in (built_over, outside_the_box, same_height, indoor_in_the_street):
        for parameters in (CALM, replace(STANDARD, resolution_m=7.0)):
            loss = build(city, parameters).loss_db()
            assert loss.shape[:2] == maps_module.map_shape(city, parameters)
            assert np.all((loss > 20.0) & (loss <= 255.0))


def test_at_least_one_metre_apart(build):
    loss = build(city_of([], [(102.0, 102.0, 1.5, -1)])).loss_db()
    assert loss[25, 25, 0] == pytest.approx(pathloss.umi_los_db(0.0, 1.0, 3.5, 1.5, 1.5), abs=QUANTUM_DB)


def test_shadowing_has_the_deviation_of_its_state(build):
    city = city_of([(396.0, 0.0, 400.0, 1200.0)], [(100.0, 600.0, 10.0, -1)], (1200.0, 1200.0))
    calm, rough = (build(city, replace(CALM, shadowing=shadowing)) for shadowing in (False, True))
    extra = (rough.loss_db() - calm.loss_db())[:, :, 0]
    sight = calm.sight()[:, :, 0]
    street = np.ones(sight.shape, bool)
    street[:, 99] = False
    assert extra[sight].std() == pytest.approx(4.0, rel=0.1)
    assert extra[~sight & street].std() == pytest.approx(7.82, rel=0.1)
    assert abs(extra[sight].mean()) < 1.0
    np.testing.assert_array_equal(rough.sight(), calm.sight())


def test_no_second_shadowing_inside(build):
    city = city_of([(200.0, 0.0, 320.0, 1200.0)], [(100.0, 600.0, 10.0, -1)], (1200.0, 1200.0))
    calm, rough = (build(city, replace(CALM, shadowing=shadowing)) for shadowing in (False, True))
    extra = (rough.loss_db() - calm.loss_db())[:, 50:80, 0]
    assert extra.std() == pytest.approx(7.0, rel=0.1)


def test_same_seed_same_bytes_and_independent_of_workers(tmp_path):
    city = city_of(grid(400.0), [(100.0, 100.0, 25.0, -1), (50.0, 50.0, 3.0, 0), (300.0, 310.0, 25.0, -1)])
    options = {"parameters": STANDARD, "seed": 5}
    one = build_maps(city, cache_dir=tmp_path / "a", n_jobs=1, **options)
    two = build_maps(city, cache_dir=tmp_path / "b", n_jobs=2, **options)
    np.testing.assert_array_equal(one.level, two.level)
    other = build_maps(city, STANDARD, cache_dir=tmp_path / "c", seed=6)
    assert np.mean(other.level != one.level) > 0.9


def test_adding_a_site_does_not_change_the_others(build):
    stations = [(100.0, 100.0, 25.0, -1), (300.0, 310.0, 25.0, -1)]
    few, many = (build(city_of(grid(400.0), stations[:n]), STANDARD) for n in (1, 2))
    np.testing.assert_array_equal(few.level[:, :, 0], many.level[:, :, 0])


def test_layers_are_sites_and_carriers():
    city = city_of(
        [], [(10.0, 10.0, 25.0, -1), (90.0, 90.0, 25.0, -1)], cells=[1, 1, 0, 1], carrier_ghz=[3.5, 0.7, 3.5, 3.5]
    )
    layers = layers_of(city)
    assert layers.of_cell.tolist() == [0, 1, 2, 0]
    assert layers.site.tolist() == [1, 1, 0]
    assert layers.carrier_ghz.tolist() == [3.5, 0.7, 3.5]


def test_carriers_of_a_site_share_sight_and_shadow(build):
    city = city_of(grid(400.0), [(100.0, 110.0, 10.0, -1)], cells=[0, 0], carrier_ghz=[3.5, 0.7])
    calm, rough = build(city), build(city, replace(CALM, shadowing=True))
    np.testing.assert_array_equal(calm.sight()[:, :, 0], calm.sight()[:, :, 1])
    street = calm.sight()[:, :, 0]
    extra = rough.loss_db() - calm.loss_db()
    np.testing.assert_allclose(extra[street][:, 0], extra[street][:, 1], atol=2 * QUANTUM_DB)
    difference = calm.loss_db()[0, 0, 0] - calm.loss_db()[0, 0, 1]
    assert difference == pytest.approx(20.0 * np.log10(5.0), abs=2.0)


def test_mixed_walls_follow_the_use():
    boxes = [(20.0 + 50 * (i % 6), 20.0 + 50 * (i // 6), 50.0 + 50 * (i % 6), 50.0 + 50 * (i // 6)) for i in range(36)]
    city = city_of(boxes, [(10.0, 10.0, 10.0, -1)], use=[i % 7 for i in range(36)])
    from mndt.radio.ground import lay_ground, wall_db

    ground = lay_ground(city, replace(CALM, o2i="mixed"), seed=1)
    use = city.buildings.use
    high = np.isclose(wall_db(ground, 3.5), 26.85, atol=0.01)
    assert high[np.isin(use, [1, 2, 4])].all()
    assert not high[np.isin(use, [0, 3, 5])].any()
    spread = lay_ground(city, RadioParameters(), seed=1)
    assert wall_db(spread, 3.5).std() > wall_db(ground, 3.5).std()


def test_look_up_clamps_to_the_border(build):
    city = city_of([], [(100.0, 150.0, 25.0, -1)])
    maps = aim(build(city), city, settings_of(city))
    x_m, y_m = np.array([-10.0, 0.1, 399.0, 1e6]), np.array([-5.0, 0.1, 399.0, 1e6])
    gain = maps.gain_db(x_m, y_m)
    assert gain.dtype == np.float32
    assert gain.shape == (4, 1)
    assert gain[0] == gain[1]
    assert gain[2] == gain[3]
    assert maps.sight(x_m, y_m).all()
    assert maps.nbytes == 100 * 100 * 2


def test_re_aim_changes_the_given_cells_only(build):
    city = city_of([], [(100.0, 150.0, 25.0, -1)], cells=[0, 0, 0], pattern="sector")
    site_maps, before = build(city), settings_of(city)
    maps = aim(site_maps, city, before)
    untouched = maps.level.copy()
    after = settings_of(city, azimuth_deg=[50.0, 60.0, 70.0])
    turned = re_aim(maps, site_maps, city, after, np.array([1]))
    np.testing.assert_array_equal(maps.level, untouched)
    np.testing.assert_array_equal(turned.level[:, :, [0, 2]], untouched[:, :, [0, 2]])
    np.testing.assert_array_equal(turned.level[:, :, 1], aim(site_maps, city, after).level[:, :, 1])


def test_mixed_patterns_keep_their_columns(build):
    city = city_of(
        [], [(100.0, 150.0, 25.0, -1), (300.0, 300.0, 3.0, -1)], cells=[1, 0, 0], pattern=("omni", "sector", "panel")
    )
    site_maps = build(city)
    maps = aim(site_maps, city, settings_of(city))
    np.testing.assert_array_equal(maps.level[:, :, 0], site_maps.level[:, :, site_maps.layers.of_cell[0]])
    assert np.mean(maps.level[:, :, 1] != maps.level[:, :, 2]) > 0.9


def test_encoding_rounds_and_limits():
    gain = np.array([-80.0, -80.01, -300.0, 300.0, -0.001])
    level = encode(gain, np.array([1, 0, 1, 1, 0]))
    assert (level & 1).tolist() == [1, 0, 1, 1, 0]
    np.testing.assert_allclose((level >> 1) / 64.0, np.clip(gain, -255.0, 255.0), atol=1 / 128)


def test_coverage_is_the_strongest_cell():
    level = encode(np.array([[[-80.0, -90.0]], [[-100.0, -95.0]]]), np.zeros((2, 1, 2)))
    maps = maps_module.GainMaps(4.0, level)
    level_dbm, best = coverage_dbm(maps, np.array([1e-3, 1e-3]))
    assert level_dbm.ravel().tolist() == [-80.0, -95.0]
    assert best.ravel().tolist() == [0, 1]
    level_dbm, best = coverage_dbm(maps, np.array([0.0, 1e-3]))
    assert best.ravel().tolist() == [1, 1]
    level_dbm, best = coverage_dbm(maps, np.zeros(2))
    assert np.isneginf(level_dbm).all()
    assert best.ravel().tolist() == [-1, -1]


def test_city_without_cells(build):
    city = city_of([], [])
    with pytest.raises(InputError, match="cells is 0"):
        build(city)


def test_estimate_grows_with_the_work():
    small = city_of([], [(1.0, 1.0, 25.0, -1)])
    large = city_of([], [(1.0, 1.0, 25.0, -1)] * 50, (4000.0, 4000.0))
    large = replace(large, sites=replace(large.sites, x_m=np.arange(50.0)))
    assert estimate(large, CALM)[0] > estimate(small, CALM)[0]
    assert estimate(large, CALM)[1] > 50 * 1000 * 1000 * 2 / 1e6


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"resolution_m": 0.5}, "resolution_m is 0.5, allowed is 1 to 20"),
        ({"scenario": "UMI"}, "did you mean 'UMi'"),
        ({"noise_figure_db": float("nan")}, "noise_figure_db"),
        ({"o2i": "glass"}, "mixed"),
    ],
)
def test_parameters_refuse(wrong, text):
    with pytest.raises(InputError, match=text):
        RadioParameters(**wrong)


def test_parameters_in_a_scenario_file():
    adapter = TypeAdapter(RadioParameters)
    assert adapter.validate_python({"scenario": "UMa", "resolution_m": 8}).resolution_m == 8.0
    for wrong in ({"resolutionm": 4}, {"resolution_m": 50}, {"scenario": "InH"}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
    assert {field.name for field in fields(RadioParameters)} >= {"los_fading", "nlos_fading", "noise_figure_db"}


def test_parameters_and_maps_are_cheap_to_import():
    program = (
        "import sys, mndt.radio.maps; print([m for m in ('numba', 'scipy', 'joblib', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
