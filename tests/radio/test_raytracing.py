"""Rays against closed forms, against Sionna RT's own maps, and maps that were re-aimed against traced ones."""

import numpy as np
import pytest
from blocks import city_of, grid

from mndt.city.raster import rasterise
from mndt.errors import InputError
from mndt.radio import _rt_aim, pathloss
from mndt.radio.raytracing import Rays, Scene, TraceParameters, _stage, path_gain, trace
from mndt.units import linear_to_db

pytestmark = pytest.mark.rt

AT = (171.0, 210.0, 10.0)


@pytest.fixture(scope="module")
def blocks():
    city = city_of(grid(400.0), [(*AT, -1)])
    return city, Scene.of(city), rasterise(city.buildings, city.frame, 5.0)


@pytest.fixture(scope="module")
def field():
    city = city_of([], [(*AT, -1)])
    return Scene.of(city), rasterise(city.buildings, city.frame, 5.0)


def test_an_open_field_is_free_space(field) -> None:
    scene, raster = field
    rays = trace(scene, *AT, 3.5, raster, TraceParameters(rays=400_000, reflection=False))
    rows, cols = raster.building.shape
    x, y = np.meshgrid((np.arange(cols) + 0.5) * 5, (np.arange(rows) + 0.5) * 5)
    distance_m = np.sqrt((x - AT[0]) ** 2 + (y - AT[1]) ** 2 + 8.5**2)
    error_db = linear_to_db(rays.gain) + pathloss.free_space_db(distance_m, 3.5)
    far = distance_m > 30.0
    assert rays.sight.all()
    assert np.percentile(abs(error_db[far]), 90) < 0.35
    assert abs(np.mean(error_db[far])) < 0.03


def test_directions_of_an_open_field_point_at_the_pixel(field) -> None:
    scene, raster = field
    rays = trace(scene, *AT, 3.5, raster, TraceParameters(rays=100_000, reflection=False))
    cols = raster.building.shape[1]
    for pixel in (5, 2000, 6000):
        row, col = divmod(pixel, cols)
        straight = np.array([(col + 0.5) * 5 - AT[0], (row + 0.5) * 5 - AT[1], 1.5 - AT[2]])
        directions, share = rays.departures.of_pixel(pixel)
        assert share.sum() == pytest.approx(1.0, abs=1e-3)
        assert (directions @ straight / np.linalg.norm(straight)).min() > 0.99


def test_gains_are_those_of_sionnas_own_maps(blocks) -> None:
    _, scene, raster = blocks
    ours = trace(scene, *AT, 3.5, raster, TraceParameters(rays=600_000)).gain  # in two parts
    stage = _stage(scene, -1, TraceParameters(), 3.5)
    solved = stage.tracer.rt.RadioMapSolver()(
        stage.scene, center=[0, 0, 1.5], orientation=[0, 0, 0], size=[400, 400], cell_size=(5, 5),
        samples_per_tx=3_000_000, max_depth=5, refraction=False,
    )  # fmt: skip
    theirs = solved.path_gain.numpy()[0]
    both = (raster.building < 0) & (ours > 0) & (theirs > 1e-10)
    error_db = linear_to_db(ours[both] / theirs[both])
    assert both.sum() > 0.9 * ((raster.building < 0) & (theirs > 1e-10)).sum()
    assert abs(np.median(error_db)) < 0.1
    assert np.median(abs(error_db)) < 0.4
    assert ours[both].sum() == pytest.approx(theirs[both].sum(), rel=0.02)


def test_sight_ends_behind_buildings(blocks) -> None:
    _, scene, raster = blocks
    rays = trace(scene, *AT, 3.5, raster, TraceParameters(rays=50_000))
    assert rays.sight[50, 34]  # along the street
    assert not rays.sight[50, 58]
    assert not rays.sight[raster.building >= 0].any()
    assert not rays.gain[raster.building >= 0].any()


def test_a_building_can_be_left_out_and_comes_back(blocks) -> None:
    _, scene, raster = blocks
    wanted = TraceParameters(rays=50_000)
    hidden = trace(scene, *AT, 3.5, raster, wanted)
    own = int(raster.at(np.array([195.0]), np.array([210.0]))[0])
    assert own >= 0
    without = trace(scene, *AT, 3.5, raster, wanted, own=own)
    again = trace(scene, *AT, 3.5, raster, wanted)
    assert without.sight.sum() > hidden.sight.sum()
    assert all(np.array_equal(a, b) for a, b in zip(hidden.arrays().values(), again.arrays().values(), strict=True))


def test_the_same_rays_every_time_and_other_ones_by_seed(blocks) -> None:
    _, scene, raster = blocks
    a, b, c = (trace(scene, *AT, 3.5, raster, TraceParameters(rays=60_000, seed=s, scattering=True)) for s in (3, 3, 4))
    assert all(np.array_equal(one, two) for one, two in zip(a.arrays().values(), b.arrays().values(), strict=True))
    assert not np.array_equal(a.gain, c.gain)
    assert Rays.of_arrays(a.arrays()).departures.nbytes == a.departures.nbytes


def test_every_mechanism_adds_power_where_there_was_none(blocks) -> None:
    _, scene, raster = blocks
    none = trace(scene, *AT, 3.5, raster, TraceParameters(rays=100_000, reflection=False)).gain
    for name in ("reflection", "diffraction", "scattering", "refraction"):
        switched = TraceParameters(rays=100_000, **({"reflection": False} | {name: True}))
        more = trace(scene, *AT, 3.5, raster, switched).gain
        new = (more > 0) & (none == 0)
        # waves go through walls into the courts behind, but hardly anything else: only what is outdoors counts
        assert new.sum() > 20, name


@pytest.mark.parametrize("carrier_ghz", [0.7, 28.0])
def test_carriers_outside_the_materials_range_are_traced(field, carrier_ghz: float) -> None:
    scene, raster = field
    assert (trace(scene, *AT, carrier_ghz, raster, TraceParameters(rays=20_000)).gain > 0).any()


def test_an_antenna_under_ground_is_refused(field) -> None:
    scene, raster = field
    with pytest.raises(InputError, match="height_m is -1"):
        trace(scene, 1.0, 1.0, -1.0, 3.5, raster)


def test_one_point_in_free_space(field) -> None:
    scene, _ = field
    gain = path_gain(scene, AT, np.array([[300.0, 210.0, 1.5]]), 3.5, TraceParameters(rays=10_000, reflection=False))
    loss_db = pathloss.free_space_db(np.hypot(300.0 - AT[0], 8.5), 3.5)
    assert linear_to_db(gain[0]) == pytest.approx(-loss_db, abs=0.05)


def test_re_aimed_maps_are_those_traced_anew(blocks) -> None:
    _, scene, raster = blocks
    wanted = TraceParameters(rays=100_000, diffraction=True, refraction=True)
    errors = _rt_aim.errors_db(scene, AT, 3.5, raster, wanted)
    assert set(errors) == {"sector", "panel"}
    assert min(len(e) for e in errors.values()) > 2000
    found = _rt_aim.figures(errors)
    assert found["reaim_median_db"] <= 0.1
    assert found["reaim_p90_db"] <= 0.5
    rays = trace(scene, *AT, 3.5, raster, wanted)
    assert len(rays.departures) < 3 * (rays.gain > 0).sum()
