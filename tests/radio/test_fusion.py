from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from blocks import city_of, grid, settings_of

from mndt.radio import antenna, fusion, pathloss
from mndt.radio import maps as maps_module
from mndt.radio.departures import WHOLE, Departures, one_each
from mndt.radio.ground import lay_ground, place_of
from mndt.radio.inside import floor_loss_db
from mndt.radio.layers import layers_of
from mndt.radio.maps import RadioParameters, aim, build_maps, re_aim
from mndt.radio.obstructed import GRAZING_DB
from mndt.radio.parts import parts_of

CALM = RadioParameters(engine="sweep", shadowing=False, o2i="low")
QUANTUM_DB = 0.6 / 64


@pytest.fixture
def build(tmp_path):
    def build(city, parameters=CALM, **options):
        return build_maps(city, parameters, cache_dir=tmp_path, n_jobs=1, **options)

    return build


def _free_space_db(maps, x_m, y_m, height_m):
    row, col = np.indices(maps.level.shape[:2])
    ground_m = np.hypot((col + 0.5) * maps.cell_m - x_m, (row + 0.5) * maps.cell_m - y_m)
    return pathloss.free_space_db(np.maximum(np.hypot(ground_m, height_m - 1.5), 1.0), 3.5)


def _scenery(city, parameters=CALM):
    ground, layers = lay_ground(city, parameters, 0), layers_of(city)
    places = [place_of(city, ground, layers, layer) for layer in range(len(layers))]
    return fusion.scenery_of(city, ground, parameters), places


def test_an_open_field_is_free_space(build):
    maps = build(city_of([], [(100.0, 150.0, 25.0, -1)]))
    np.testing.assert_allclose(maps.loss_db()[:, :, 0], _free_space_db(maps, 100.0, 150.0, 25.0), atol=QUANTUM_DB)
    assert maps.sight().all()


def test_sight_counts_once_and_rays_add_their_power():
    scenery, (place,) = _scenery(city_of(grid(400.0), [(100.0, 110.0, 10.0, -1)]))
    alone = fusion.outdoors(scenery, place, None)
    shape = alone.sight.shape
    east = one_each(np.ones(shape), np.zeros(shape), np.zeros(shape))
    silent = SimpleNamespace(gain=np.zeros(shape, np.float32), sight=alone.sight, departures=east)
    np.testing.assert_array_equal(fusion.outdoors(scenery, place, silent).gain_db, alone.gain_db)
    as_loud_db = alone.gain_db + scenery.law.facade_db
    loud = SimpleNamespace(gain=10.0 ** (as_loud_db / 10.0), sight=alone.sight, departures=east)
    both = fusion.outdoors(scenery, place, loud)
    np.testing.assert_allclose((both.gain_db - alone.gain_db)[alone.sight], 10.0 * np.log10(2.0), atol=1e-4)
    toward, share = both.departures.of_pixel(int(np.flatnonzero(alone.sight)[0]))
    assert len(toward) == 2
    np.testing.assert_allclose(share, 0.5, atol=1e-4)


def test_hidden_places_lose_at_least_the_edge_and_rank_by_geometry():
    boxes = [(200.0, 0.0, 220.0, 1000.0)]
    scenery, (place,) = _scenery(city_of(boxes, [(100.0, 500.0, 10.0, -1)], (1000.0, 1000.0)))
    found = fusion.outdoors(scenery, place, None)
    _, slant_m = fusion.distances_m(scenery.ground, place, 1.5)
    excess_db = -found.gain_db - pathloss.free_space_db(slant_m, 3.5)
    hidden = ~found.sight & (scenery.ground.building < 0)
    assert hidden.any()
    assert (excess_db[hidden] >= GRAZING_DB - 1e-3).all()
    assert np.abs(excess_db[found.sight]).max() < 1e-3
    behind = excess_db[125, 56:61]  # the shadow is deepest at the wall
    assert behind[0] > behind[-1]


def test_every_pixel_has_a_value_whatever_the_city(build):
    built_over = city_of([(0.0, 0.0, 400.0, 400.0)], [(50.0, 50.0, 25.0, -1), (200.0, 200.0, 3.0, 0)])
    outside_the_box = city_of(grid(400.0), [(-50.0, 500.0, 25.0, -1), (200.0, 700.0, 2.0, -1)])
    same_height = city_of([], [(101.0, 99.0, 1.5, -1), (200.0, 200.0, 1.0, -1)])
    indoor_in_the_street = city_of(grid(400.0), [(10.0, 10.0, 3.0, 0)])
    for city in (built_over, outside_the_box, same_height, indoor_in_the_street):
        loss = build(city, replace(CALM, resolution_m=7.0)).loss_db()
        assert loss.shape[:2] == maps_module.map_shape(city, replace(CALM, resolution_m=7.0))
        assert np.all((loss > 20.0) & (loss <= 255.0))


def test_a_house_takes_its_facade_through_the_wall(build):
    maps = build(city_of([(200.0, 0.0, 240.0, 400.0)], [(100.0, 200.0, 10.0, -1)]))
    loss = maps.loss_db()[:, :, 0]
    for col, facade, depth_m in ((50, 49, 2.0), (53, 49, 14.0), (59, 60, 2.0)):
        expected = loss[50, facade] + pathloss.wall_loss_db("low", 3.5) + 0.5 * depth_m
        assert loss[50, col] == pytest.approx(expected, abs=2 * QUANTUM_DB)
    assert not maps.sight()[50, 50:60, 0].any()


def test_indoor_station_leaves_through_its_facade(build):
    boxes = [(80.0, 80.0, 120.0, 120.0), (200.0, 80.0, 240.0, 120.0)]
    maps = build(city_of(boxes, [(102.0, 102.0, 3.0, 0)]))
    out_db = pathloss.wall_loss_db("low", 3.5) + 0.5 * 18.0
    street = _free_space_db(maps, 102.0, 102.0, 3.0)[25, 40] + out_db
    assert maps.loss_db()[25, 40, 0] == pytest.approx(street, abs=2 * QUANTUM_DB)


def test_floors_count(build):
    low, high = (build(city_of([(80.0, 80.0, 120.0, 120.0)], [(102.0, 102.0, h, 0)])) for h in (3.0, 9.0))
    own = np.s_[20:30, 20:30, 0]
    extra = high.loss_db()[own] - low.loss_db()[own]
    assert floor_loss_db(2) == 21.0
    assert extra.mean() == pytest.approx(21.0, abs=4.0)  # the slant is a little longer, too


def test_rotating_an_antenna_needs_no_new_map(build):
    city = city_of(grid(400.0), [(100.0, 110.0, 10.0, -1)], cells=[0, 0], pattern=("panel", "sector"))
    site_maps = build(city)
    turned = settings_of(city, azimuth_deg=[200.0, 10.0], electrical_tilt_deg=[9.0, 0.0])
    again = re_aim(aim(site_maps, city, settings_of(city)), site_maps, city, turned, np.array([0, 1]))
    np.testing.assert_array_equal(again.level, aim(site_maps, city, turned).level)


def test_gain_is_the_mean_of_the_pattern_over_the_departures():
    city = city_of([], [(10.0, 10.0, 10.0, -1)], (8.0, 4.0), pattern="panel")
    rng = np.random.default_rng(4)
    toward = rng.standard_normal((5, 3))
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    share = np.array([0.2, 0.3, 0.5, 1.0, 0.0])
    packed = Departures(
        np.array([0, 3, 5]), np.rint(32767 * toward).astype(np.int16), np.rint(share * WHOLE).astype(np.uint16)
    )
    from mndt.radio.departures import stack
    from mndt.radio.layers import encode

    level = encode(np.full((1, 2, 1), -90.0), np.zeros((1, 2, 1)))
    departures = stack([packed], np.array([1, 0], np.int32))  # the pixels take each other's
    maps = maps_module.SiteMaps(4.0, level, layers_of(city), 1.5, departures)
    settings = settings_of(city, azimuth_deg=30.0, mechanical_tilt_deg=4.0, electrical_tilt_deg=5.0)
    found = (aim(maps, city, settings).level[0, :, 0] >> 1) / 64.0 + 90.0
    azimuth = np.degrees(np.arctan2(toward[:, 0], toward[:, 1]))
    zenith = np.degrees(np.arccos(toward[:, 2]))
    gain_db = antenna.gain_db(
        "panel", azimuth, zenith, boresight_deg=30.0, mechanical_tilt_deg=4.0, electrical_tilt_deg=5.0
    )
    power = share * 10.0 ** (gain_db / 10.0)
    expected = 10.0 * np.log10([power[3:].sum(), power[:3].sum()])
    np.testing.assert_allclose(found, expected, atol=0.15)  # the tables are read between nodes


def test_same_bytes_with_any_number_of_workers(tmp_path):
    city = city_of(grid(400.0), [(100.0, 100.0, 25.0, -1), (50.0, 50.0, 3.0, 0), (300.0, 310.0, 25.0, -1)])
    parameters = RadioParameters(engine="sweep")
    one, two = (build_maps(city, parameters, seed=5, cache_dir=tmp_path / str(n), n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(one.level, two.level)
    np.testing.assert_array_equal(one.departures.toward, two.departures.toward)
    cached = build_maps(city, parameters, seed=5, cache_dir=tmp_path / "1")
    np.testing.assert_array_equal(cached.level, one.level)
    np.testing.assert_array_equal(cached.departures.start, one.departures.start)
    few = city_of(grid(400.0), [(100.0, 100.0, 25.0, -1)])
    np.testing.assert_array_equal(
        build_maps(few, parameters, seed=5, cache_dir=tmp_path).level[..., 0], one.level[..., 0]
    )


def test_the_parts_add_up(tmp_path):
    city = city_of(grid(400.0), [(100.0, 110.0, 10.0, -1)])
    parts = parts_of(city, CALM, 0, cache_dir=tmp_path)
    assert parts.names == ("sweep", "fused", "tr38901")
    np.testing.assert_array_equal(parts.gain_db["sweep"], parts.gain_db["fused"])
    assert np.isnan(parts.gain_db["fused"][~parts.outdoor]).all()
    assert np.isfinite(parts.gain_db["fused"][parts.outdoor]).all()
